"""Procedural textures of the demo scene: wood, brick, gingham, a globe, printed matter.

Every function returns linear reflectance, (H, W, 3) float32 in [0, 1], first row on top, or a height map (H, W) where
it says so. Numbers come from a `numpy.random.Generator` that the caller seeds; lettering is OpenCV's Hershey font, so
that no font file is needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Colour = tuple[float, float, float]


def noise(rng: np.random.Generator, height: int, width: int, cells: tuple[float, float], octaves: int = 4) -> Image:
    """Fractal value noise.

    Args:
        rng: where the numbers come from.
        height: rows.
        width: columns.
        cells: lattice cells over the height and over the width, of the coarsest octave.
        octaves: each doubles the cells and halves the amplitude.

    Returns:
        (height, width), mean about 0, standard deviation 1.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        rows, columns = (min(max(int(c * 2**octave), 1) + 3, n) for c, n in zip(cells, (height, width), strict=True))
        lattice = rng.standard_normal((rows, columns)).astype(np.float32)
        total += cv2.resize(lattice, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(0.5**octave)
    return np.asarray((total - total.mean()) / total.std(), np.float32)


def mix(a: Colour, b: Colour, t: Image) -> Image:
    """Blend two colours: (H, W) in [0, 1] to (H, W, 3)."""
    t3 = np.clip(t, 0.0, 1.0)[..., None]
    return np.asarray(np.asarray(a) * (1 - t3) + np.asarray(b) * t3, np.float32)


def letter(image: Image, words: str, origin: tuple[int, int], scale: float, ink: Colour, weight: int) -> None:
    """Write on an image in place, baseline from `origin` (pixels); capitals are 22 `scale` pixels high."""
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.putText(mask, words, origin, cv2.FONT_HERSHEY_DUPLEX, scale, 255, weight, cv2.LINE_AA)
    cover = mask[..., None].astype(np.float32) / 255
    image[:] = image * (1 - cover) + np.asarray(ink, np.float32) * cover


def wood(
    rng: np.random.Generator, height: int, width: int, planks: int, dark: Colour = (0.10, 0.045, 0.018)
) -> tuple[Image, Image]:
    """Planks along the width.

    Args:
        rng: where the numbers come from.
        height: rows.
        width: columns.
        planks: number of planks over the height.
        dark: colour of the late wood; the early wood is three times as bright.

    Returns:
        Reflectance, and a height map (H, W) in [0, 1] for relief (pores and the gaps between planks).
    """
    light: Colour = (dark[0] * 3.2, dark[1] * 3.6, dark[2] * 4.0)
    colour = np.zeros((height, width, 3), np.float32)
    relief = np.ones((height, width), np.float32)
    edges = np.linspace(0, height, planks + 1).astype(int)
    for top, bottom in itertools.pairwise(edges):
        h = bottom - top
        rows = np.linspace(0, 1, h, dtype=np.float32)[:, None]
        warp = noise(rng, h, width, (1.5, 3), 3)
        rings = 0.5 + 0.5 * np.sin(2 * np.pi * (rows * rng.uniform(4, 8) + 0.55 * warp + rng.uniform()))
        fibre = noise(rng, h, width, (h / 3, width / 120), 2)
        t = 0.25 + 0.5 * rings**1.5 + 0.05 * fibre + 0.12 * noise(rng, h, width, (2, 5), 2)
        pores = (noise(rng, h, width, (h / 2, width / 40), 1) > 2.3).astype(np.float32)
        plank = mix(dark, light, t.astype(np.float32)) * np.float32(rng.uniform(0.75, 1.1))
        colour[top:bottom] = plank * (1 - 0.4 * pores[..., None])
        relief[top:bottom] = 1 - 0.5 * pores
        gap = max(h // 90, 1)
        colour[top : top + gap] *= 0.25
        relief[top : top + gap] = 0.0
    return np.clip(colour, 0.004, 1.0), np.clip(relief, 0.0, 1.0)


def brick(rng: np.random.Generator, height: int, width: int, rows: int, columns: int) -> tuple[Image, Image]:
    """A wall in stretcher bond.

    Args:
        rng: where the numbers come from.
        height: rows of pixels.
        width: columns of pixels.
        rows: courses over the height.
        columns: bricks over the width.

    Returns:
        Reflectance, and a height map (H, W) in [0, 1].
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    wobble = noise(rng, height, width, (rows, columns), 3)
    v = y / height * rows + 0.015 * wobble
    course = np.floor(v).astype(int)
    u = x / width * columns + 0.5 * (course % 2) + 0.008 * noise(rng, height, width, (rows, columns), 3)
    index = np.floor(u).astype(int)
    tone = rng.uniform(0, 1, (rows + 2, columns + 3)).astype(np.float32)[course % (rows + 2), index % (columns + 3)]
    # Distance to the joint in units of a brick's height; a brick is about 3.2 times as long as high.
    edge = np.minimum(np.minimum(v - course, course + 1 - v), 3.2 * np.minimum(u - index, index + 1 - u))
    face = np.clip((edge - 0.055) / 0.05, 0, 1).astype(np.float32)
    rough = noise(rng, height, width, (rows * 4, columns * 12), 2)
    clay = mix((0.20, 0.055, 0.030), (0.42, 0.17, 0.095), (tone * 0.85 + 0.10 * rough).astype(np.float32))
    clay *= np.clip(1 + 0.15 * rough, 0.3, 1.5)[..., None]
    mortar = mix((0.30, 0.27, 0.23), (0.42, 0.39, 0.34), 0.5 + 0.3 * rough)
    colour = mortar * (1 - face[..., None]) + clay * face[..., None]
    return np.clip(colour, 0.01, 1).astype(np.float32), np.clip(0.75 * face + 0.03 * rough + 0.1, 0, 1)


def gingham(rng: np.random.Generator, size: int, checks: int) -> Image:
    """A checked cloth with its weave. `size` pixels square, `checks` pairs of stripes each way."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    across = (np.sin(2 * np.pi * checks * x) > 0).astype(np.float32)
    along = (np.sin(2 * np.pi * checks * y) > 0).astype(np.float32)
    threads = checks * 14
    weave = 0.5 + 0.5 * np.sin(2 * np.pi * threads * x) * np.sin(2 * np.pi * threads * y)
    colour = mix((0.62, 0.60, 0.55), (0.05, 0.09, 0.26), 0.5 * (across + along))
    shade = 0.72 + 0.28 * weave + 0.05 * noise(rng, size, size, (6, 6), 3)
    return np.asarray(np.clip(colour * shade[..., None], 0.01, 0.9), np.float32)


def globe(rng: np.random.Generator, height: int = 512) -> Image:
    """A map of an invented planet, equirectangular (width = 2 height), with graticule and lettering."""
    width = 2 * height
    land = noise(rng, height, width, (3, 6), 6)
    land[:, -64:] = land[:, -64:] * np.linspace(1, 0, 64) + land[:, :64][:, ::-1] * np.linspace(0, 1, 64)
    coast = np.clip((land - 0.15) / 0.06, 0, 1).astype(np.float32)
    sea = mix((0.03, 0.13, 0.24), (0.07, 0.25, 0.34), 0.5 + 0.3 * land)
    ground = mix((0.42, 0.33, 0.14), (0.16, 0.25, 0.07), np.clip(land - 0.4, 0, 1))
    colour = sea * (1 - coast[..., None]) + ground * coast[..., None]
    border = np.exp(-(((land - 0.15) / 0.05) ** 2))[..., None]
    colour = colour * (1 - 0.7 * border)
    for k in range(1, 12):
        cv2.line(colour, (0, k * height // 12), (width, k * height // 12), (0.35, 0.32, 0.25), 2)
    for k in range(24):
        cv2.line(colour, (k * width // 24, 0), (k * width // 24, height), (0.35, 0.32, 0.25), 2)
    cv2.line(colour, (0, height // 2), (width, height // 2), (0.55, 0.10, 0.06), 4)
    for k, name in enumerate(("SHADOWS", "MIDTONES", "HIGHLIGHTS", "CLIPPING BAY", "NOISE SEA")):
        origin = (int((k + 0.15) * width / 5), int(height * (0.40 + 0.16 * (k % 2))))
        letter(colour, name, origin, height / 700, (0.55, 0.52, 0.42), 2)
    return np.asarray(np.clip(colour, 0.01, 0.9), np.float32)


def _text(image: Image, words: str, x: float, y: float, size: float, colour: Colour, weight: int) -> None:
    """Letter `words` from (x, y), fractions of the width and height; `size` is the cap height over the height."""
    height, width = image.shape[:2]
    origin = (int(x * width), int(y * height))
    letter(image, words, origin, size * height / 22, colour, weight)


def slate(height: int = 420) -> Image:
    """The face of a clapperboard: white lettering and rules on black, a bar of resolution lines; 4:3."""
    width = height * 4 // 3
    image = np.full((height, width, 3), 0.022, np.float32)
    ink: Colour = (0.72, 0.72, 0.70)
    cv2.rectangle(image, (6, 6), (width - 7, height - 7), ink, 3)
    for y in (0.30, 0.55, 0.80):
        cv2.line(image, (6, int(y * height)), (width - 7, int(y * height)), ink, 3)
    for x in (0.33, 0.66):
        cv2.line(image, (int(x * width), int(0.30 * height)), (int(x * width), int(0.55 * height)), ink, 3)
    _text(image, "LRHDR", 0.05, 0.235, 0.15, ink, 5)
    for x, head, body in ((0.03, "SCENE", "24"), (0.36, "TAKE", "3"), (0.69, "ROLL", "A1")):
        _text(image, head, x, 0.37, 0.045, ink, 2)
        _text(image, body, x + 0.06, 0.52, 0.11, ink, 3)
    _text(image, "EXP  0 EV  +3 EV", 0.04, 0.72, 0.095, ink, 3)
    _text(image, "CAMERA: PINHOLE & SONS", 0.04, 0.92, 0.06, ink, 2)
    x0 = int(0.60 * width)
    for k in range(9):  # line pairs that get finer to the right
        step = 9 - k
        for _ in range(2):
            if x0 + step < width - 12:
                image[int(0.09 * height) : int(0.25 * height), x0 : x0 + step] = ink
            x0 += 2 * step
    return image


def sticks(height: int = 60, width: int = 560) -> Image:
    """The stick of a clapperboard: slanted black and white bars."""
    y, x = np.mgrid[0:height, 0:width]
    bars = (((x + y) // 40) % 2).astype(np.float32)
    return mix((0.022, 0.022, 0.022), (0.72, 0.72, 0.70), bars)


def colour_chart(height: int = 256) -> Image:
    """24 patches in the classic order of such charts (colours chosen by us), on black; 3:2."""
    width = height * 3 // 2
    image = np.full((height, width, 3), 0.025, np.float32)
    patches: Sequence[Colour] = (
        (0.17, 0.08, 0.06), (0.54, 0.31, 0.22), (0.12, 0.19, 0.34), (0.10, 0.15, 0.05), (0.23, 0.22, 0.43),
        (0.13, 0.51, 0.41), (0.68, 0.20, 0.03), (0.08, 0.10, 0.37), (0.53, 0.09, 0.12), (0.11, 0.04, 0.14),
        (0.34, 0.50, 0.05), (0.75, 0.37, 0.03), (0.04, 0.05, 0.28), (0.06, 0.29, 0.07), (0.43, 0.03, 0.04),
        (0.80, 0.57, 0.01), (0.49, 0.09, 0.30), (0.03, 0.24, 0.37), (0.88, 0.88, 0.87), (0.58, 0.58, 0.58),
        (0.36, 0.36, 0.36), (0.19, 0.19, 0.19), (0.09, 0.09, 0.09), (0.032, 0.032, 0.032),
    )  # fmt: skip
    step = width / 6
    for k, patch in enumerate(patches):
        x, y = (k % 6) * step, (k // 6) * step
        gap = step * 0.08
        cv2.rectangle(image, (int(x + gap), int(y + gap)), (int(x + step - gap), int(y + step - gap)), patch, -1)
    return image


def spine(rng: np.random.Generator, title: str, base: Colour, ink: Colour, height: int = 640) -> Image:
    """A book's spine, 1:5, title along its length (read with the head tilted to the right), in cloth."""
    width = height // 5
    flat = np.empty((width, height, 3), np.float32)  # drawn lying, then turned
    flat[:] = base
    weave = 1 + 0.12 * noise(rng, width, height, (width / 3, height / 3), 1)
    flat *= np.clip(weave, 0.5, 1.5)[..., None]
    for x in (0.05, 0.08, 0.92, 0.95):
        cv2.line(flat, (int(x * height), 0), (int(x * height), width), ink, 4)
    (length, _), _ = cv2.getTextSize(title, cv2.FONT_HERSHEY_DUPLEX, 1.0, 3)
    scale = min(0.76 * height / length, 0.5 * width / 22)
    origin = (int((height - length * scale) / 2), int(width / 2 + 11 * scale))
    letter(flat, title, origin, scale, ink, max(int(2.2 * scale), 1))
    return np.clip(np.ascontiguousarray(np.rot90(flat, -1)), 0.005, 0.9).astype(np.float32)


def glaze(rng: np.random.Generator, height: int, bands: Sequence[tuple[float, float, Colour]], base: Colour) -> Image:
    """A glazed pot unrolled (width = 2 height): speckles, and bands (from, to, colour) over the height."""
    width = 2 * height
    image = np.empty((height, width, 3), np.float32)
    image[:] = base
    wave = 0.006 * np.sin(np.arange(width) / width * 2 * np.pi * 9)
    rows = np.arange(height, dtype=np.float32)[:, None] / height + wave[None].astype(np.float32)
    for low, high, colour in bands:
        image[(rows >= low) & (rows < high)] = colour
    speckles = noise(rng, height, width, (height / 3, width / 3), 1) > 2.2
    image[speckles] *= 0.35
    return np.clip(image, 0.01, 0.9)
