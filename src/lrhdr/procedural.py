"""HDR pictures made from nothing but a random generator: what a benchmark shows where no HDR stills are at hand.

Six kinds of picture, made to be hard in the ways that real scenes are: fine texture, occlusion edges, repeated
patterns, deep shadow next to lamps and windows, smooth gradients. They do not pretend to be photographs.

Every function is `f(rng, (height, width)) -> (H, W, 3)` float32, linear light of any scale, > 0. Lengths scale with the
height, so that a small picture shows the same as a large one. Numbers in them are chosen by us, by eye.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Size = tuple[int, int]


def fractal_noise(rng: np.random.Generator, size: Size, falloff: float = 1.0) -> Array:
    """Periodic Gaussian noise of mean 0 and deviation 1 whose amplitude falls with frequency f as `f^-falloff`.

    Args:
        rng: where the numbers come from.
        size: (H, W).
        falloff: 0 is white, 1 is what natural pictures have (Field 1987), 2 is clouds.
    """
    height, width = size
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(y, x)
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal(size)) * frequency**-falloff
    spectrum[0, 0] = 0.0
    noise = np.fft.irfft2(spectrum, s=size)
    return np.asarray(noise / max(float(noise.std()), 1e-9))


def _axes(size: Size) -> tuple[Array, Array]:
    """Coordinates (y, x) in heights: y from 0 to 1, x from 0 to the aspect ratio."""
    height, width = size
    return (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None] + 0.5) / height


def _tint(rng: np.random.Generator, strength: float) -> Array:
    """A random colour of geometric mean 1."""
    tint = np.exp(strength * rng.standard_normal(3))
    return np.asarray(tint / np.cbrt(tint.prod()))


def _edge(distance: Array, size: Size) -> Array:
    """Coverage of an edge that is one and a half pixels wide; `distance` in heights, positive inside."""
    return np.asarray((distance * size[0] / 1.5 + 0.5).clip(0.0, 1.0))


def _glow(image: Array, at: tuple[float, float], radius: float, light: Array, halo: float = 0.02) -> None:
    """Add a lamp at (y, x), heights: a disc of `light`, and a halo that falls with the square of the distance."""
    y, x = _axes((image.shape[0], image.shape[1]))
    distance = np.hypot(y - at[0], x - at[1])
    disc = _edge(radius - distance, (image.shape[0], image.shape[1]))
    around = halo / (1.0 + (distance / (2.0 * radius)) ** 2)
    image += (disc + around)[..., None] * light


def _finish(image: Array) -> NDArray[np.float32]:
    """A little light everywhere, as in any real scene."""
    return np.asarray(image.clip(0.0) + 1e-4, dtype=np.float32)


def _leaves(
    rng: np.random.Generator,
    size: Size,
    *,
    radii: tuple[float, float],
    slender: tuple[float, float],
    count: int,
    paint: Callable[[], Array],
    texture: Array,
    density: Array | None = None,
) -> tuple[Array, Array]:
    """Dead leaves (Lee, Mumford and Huang, IJCV 2001): overlapping shapes, front to back, radii of density r^-3.

    `density` (H, W) is the chance that a shape with its centre there is kept.

    Returns:
        The picture (H, W, 3), black where nothing lies, and what is left uncovered (H, W) in [0, 1].
    """
    height, width = size
    image, open_share = np.zeros((height, width, 3)), np.ones(size)
    low, high = radii
    for _ in range(count):
        radius = height / math.sqrt(rng.uniform(high**-2, low**-2))
        aspect = rng.uniform(*slender)
        angle, cy, cx = rng.uniform(0.0, math.pi), rng.uniform(0.0, height), rng.uniform(0.0, width)
        if density is not None and rng.random() > density[int(cy), int(cx)]:
            continue
        boxy = rng.random() < 0.35
        light, rough, shift = paint(), rng.uniform(0.05, 0.45), rng.integers(0, min(size), 2)
        top, bottom = max(math.floor(cy - 1.5 * radius), 0), min(math.ceil(cy + 1.5 * radius), height)
        left, right = max(math.floor(cx - 1.5 * radius), 0), min(math.ceil(cx + 1.5 * radius), width)
        box = (slice(top, bottom), slice(left, right))
        if open_share[box].max(initial=0.0) < 1e-3:
            continue
        dy, dx = np.arange(top, bottom)[:, None] + 0.5 - cy, np.arange(left, right)[None] + 0.5 - cx
        u = math.cos(angle) * dx + math.sin(angle) * dy
        v = (math.cos(angle) * dy - math.sin(angle) * dx) * aspect
        inside = radius - (np.maximum(abs(u), abs(v)) if boxy else np.hypot(u, v))
        alpha = (inside / (1.5 * math.sqrt(aspect)) + 0.5).clip(0.0, 1.0) * open_share[box]
        grain = np.exp(rough * np.roll(texture, shift, (0, 1))[box])
        image[box] += (alpha * grain)[..., None] * light
        open_share[box] -= alpha
    return image, open_share


def clutter(rng: np.random.Generator, size: Size) -> NDArray[np.float32]:
    """Overlapping textured shapes of every size, half in sun, half in a shadow four stops darker."""
    texture = fractal_noise(rng, size, 0.8)
    image, left = _leaves(
        rng,
        size,
        radii=(0.012, 0.35),
        slender=(1.0, 3.0),
        count=2500,
        paint=lambda: 0.5 * 2.0 ** rng.normal(0.0, 1.3) * _tint(rng, 0.35),
        texture=texture,
    )
    image += left[..., None] * 0.3 * np.exp(0.3 * texture)[..., None]
    y, x = _axes(size)
    border = 0.5 * size[1] / size[0] + 0.25 * (y - 0.5) - x + 0.06 * fractal_noise(rng, size, 2.0)
    return _finish(image * 2.0 ** (-4.0 * _edge(border / 4.0, size))[..., None])


def foliage(rng: np.random.Generator, size: Size) -> NDArray[np.float32]:
    """Small slender leaves against a bright sky that shows through."""
    y, _ = _axes(size)
    clouds = fractal_noise(rng, size, 1.8)
    sky = (10.0 * np.exp(0.8 * clouds) + 4.0 * y)[..., None] * np.array([0.85, 1.0, 1.25])
    clumps = (0.6 + 0.5 * fractal_noise(rng, size, 1.7)).clip(0.03, 1.0)

    def paint() -> Array:
        lit = 2.0 ** rng.normal(0.0, 1.0) * (3.0 if rng.random() < 0.15 else 0.35)
        return np.asarray(lit * np.array([0.8, 1.2, 0.35]) * _tint(rng, 0.15))

    image, left = _leaves(
        rng,
        size,
        radii=(0.008, 0.05),
        slender=(1.5, 4.0),
        count=7000,
        paint=paint,
        texture=fractal_noise(rng, size, 0.6),
        density=clumps,
    )
    return _finish(image + left[..., None] * sky)


def street(rng: np.random.Generator, size: Size) -> NDArray[np.float32]:
    """A street at night: facades with lit and dark windows, street lamps, coloured signs, wet ground."""
    height, width = size
    y, x = _axes(size)
    aspect = width / height
    image = 0.02 * (1.0 + y)[..., None] * np.array([0.7, 0.8, 1.2]) * np.ones((height, width, 1))
    grain = np.exp(0.35 * fractal_noise(rng, size, 0.5))
    ground = 0.78
    at = -0.05
    while at < aspect:
        wide, roof = rng.uniform(0.18, 0.4), rng.uniform(0.05, 0.45)
        body = _edge(np.minimum(np.minimum(x - at, at + wide - x) + 0 * y, y - roof), size)
        wall = rng.uniform(0.03, 0.2) * _tint(rng, 0.15)
        image += body[..., None] * (wall * grain[..., None] * (0.5 + y[..., None]) - image)
        pitch_y, pitch_x = rng.uniform(0.06, 0.1), rng.uniform(0.05, 0.08)
        warm = np.array([1.3, 1.0, 0.55]) * _tint(rng, 0.1)
        for row in range(int((ground - roof) / pitch_y) - 1):
            for column in range(int(wide / pitch_x)):
                cy, cx = roof + (row + 0.7) * pitch_y, at + (column + 0.5) * pitch_x
                pane = _edge(np.minimum(0.3 * pitch_y - abs(y - cy), 0.28 * pitch_x - abs(x - cx)), size)
                light = rng.uniform(1.5, 12.0) * warm if rng.random() < 0.35 else 0.06 * np.ones(3)
                image += pane[..., None] * (light * (0.7 + 0.3 * grain[..., None]) - image)
        if rng.random() < 0.7:
            sign = _edge(np.minimum(0.018 - abs(y - rng.uniform(0.55, 0.7)), 0.3 * wide - abs(x - at - wide / 2)), size)
            image += sign[..., None] * (rng.uniform(8.0, 40.0) * _tint(rng, 1.0) - image)
        at += wide + rng.uniform(0.0, 0.05)
    for _ in range(4):
        place = (rng.uniform(0.4, 0.6), rng.uniform(0.0, aspect))
        post = _edge(np.minimum(0.005 - abs(x - place[1]), np.minimum(y - place[0], ground + 0.05 - y)), size)
        image += post[..., None] * (0.01 - image)
        _glow(image, place, 0.013, rng.uniform(80.0, 400.0) * np.array([1.2, 1.0, 0.7]), halo=0.004)
    # The ground mirrors what stands above it, broken by ripples.
    below = np.flatnonzero(y[:, 0] > ground).tolist()
    ripple = fractal_noise(rng, size, 1.2)
    for row in below:
        mirrored = max(2 * int(ground * height) - row, 0)
        shifted = (np.arange(width) + np.rint(0.012 * height * ripple[row])).astype(int).clip(0, width - 1)
        image[row] = 0.04 * grain[row][:, None] + 0.35 * image[mirrored, shifted]
    return _finish(image)


def room(rng: np.random.Generator, size: Size) -> NDArray[np.float32]:
    """A dim room with a window to a sunlit outside, blinds, furniture and a patch of sun."""
    height, width = size
    y, x = _axes(size)
    aspect = width / height
    paper = fractal_noise(rng, size, 1.0)
    stripes = 0.12 * np.sin(2.0 * math.pi * x / 0.03) * (y < 0.72)
    wall = (0.25 + 0.5 * np.exp(-((x - 0.5 * aspect) ** 2 + (y - 0.4) ** 2))) * np.exp(0.15 * paper + stripes)
    image = wall[..., None] * _tint(rng, 0.2)
    boards = 0.5 + 0.35 * np.sign(np.sin(2.0 * math.pi * (x + 0.5 * y) / 0.11)) * np.exp(0.2 * paper)
    floor = _edge(y - 0.75 + 0 * x, size)
    image += floor[..., None] * (0.3 * boards[..., None] * np.array([1.2, 0.9, 0.6]) - image)
    for _ in range(6):
        cy, cx, tall, wide = (
            rng.uniform(0.5, 0.9),
            rng.uniform(0.0, aspect),
            rng.uniform(0.08, 0.3),
            rng.uniform(0.05, 0.2),
        )
        thing = _edge(np.minimum(tall - abs(y - cy), wide - abs(x - cx)), size)
        rough = np.exp(rng.uniform(0.1, 0.5) * np.roll(paper, int(rng.integers(1, height)), 0))
        image += thing[..., None] * (0.25 * 2.0 ** rng.normal(-1.0, 1.2) * _tint(rng, 0.4) * rough[..., None] - image)
    outside = (
        35.0
        * (1.2 - y)[..., None]
        * np.array([0.75, 0.95, 1.3])
        * np.exp(0.2 * fractal_noise(rng, size, 1.8))[..., None]
    )
    trees = _edge((y - 0.34 - 0.05 * fractal_noise(rng, size, 1.4)) / 3.0, size)
    green = 5.0 * np.exp(0.5 * fractal_noise(rng, size, 0.7))[..., None] * np.array([0.7, 1.0, 0.4])
    outside += trees[..., None] * (green - outside)
    middle, half = rng.uniform(0.35, 0.65) * aspect, 0.28 * aspect
    opening = np.minimum(0.22 - abs(y - 0.32), half - abs(x - middle))
    opening = np.minimum(opening, abs(abs(x - middle) - half / 3.0) - 0.008)
    opening = np.minimum(opening, np.where(x > middle, abs((y * 22.0) % 1.0 - 0.5) / 22.0 - 0.006, 1.0))
    image += _edge(opening, size)[..., None] * (outside - image)
    patch = _edge(np.minimum(0.06 - abs(y - 0.88), 0.2 - abs(x - middle - 0.5 * (y - 0.88))) + 0 * x, size)
    image *= 1.0 + 14.0 * patch[..., None]
    _glow(image, (0.6, 0.12 * aspect), 0.03, 25.0 * np.array([1.3, 1.0, 0.6]))
    return _finish(image)


def shore(rng: np.random.Generator, size: Size) -> NDArray[np.float32]:
    """Evening sun over hills and water: clouds, silhouettes, glitter."""
    y, x = _axes(size)
    aspect = size[1] / size[0]
    place = (0.33, rng.uniform(0.25, 0.75) * aspect)
    distance = np.hypot(y - place[0], x - place[1])
    clouds = fractal_noise(rng, size, 1.6)
    sky = (1.0 + 6.0 * np.exp(-4.0 * distance) + 1.5 * y) * np.exp(0.35 * clouds)
    image = sky[..., None] * (
        np.array([0.7, 0.8, 1.2]) + np.exp(-3.0 * distance)[..., None] * np.array([1.0, 0.3, -0.5])
    )
    _glow(image, place, 0.025, 900.0 * np.array([1.2, 1.0, 0.7]), halo=0.006)
    horizon = 0.55
    for depth, dark in ((0.09, 0.5), (0.05, 0.16)):
        ridge = horizon - depth * (1.0 + 0.6 * fractal_noise(rng, (1, size[1]), 1.3))
        rough = np.exp(0.5 * fractal_noise(rng, size, 0.7))
        image += _edge(y - ridge, size)[..., None] * (dark * rough[..., None] * np.array([0.5, 0.6, 0.5]) - image)
    water = _edge(y - horizon + 0 * x, size)
    waves = fractal_noise(rng, size, 0.9) + 0.7 * np.sin(2.0 * math.pi * (y - horizon).clip(0.0) ** 0.6 / 0.03)
    path = np.exp(-(((x - place[1]) / (0.04 + 0.5 * (y - horizon).clip(0.0))) ** 2))
    surface = 0.35 * np.exp(0.3 * waves) + 60.0 * path * (waves > 1.3)
    image += water[..., None] * (surface[..., None] * np.array([0.9, 0.85, 0.9]) - image)
    return _finish(image)


def chart(rng: np.random.Generator, size: Size) -> NDArray[np.float32]:
    """Test patterns: stars, zone plates, checks, stripes and text-like marks, each tile with its own light."""
    height, width = size
    y, x = _axes(size)
    image = np.full((height, width, 3), 0.18)
    tile = 0.2
    for row in range(math.ceil(1.0 / tile)):
        for column in range(math.ceil(width / height / tile)):
            v, u = (y - (row + 0.5) * tile) / tile + 0 * x, (x - (column + 0.5) * tile) / tile + 0 * y
            radius, kind = np.hypot(u, v), rng.integers(0, 6)
            if kind == 0:
                wave = np.sign(np.sin(18.0 * np.arctan2(v, u)))
            elif kind == 1:
                wave = np.cos(40.0 * math.pi * 0.35 * radius**2 * (1.0 + rng.random()))
            elif kind == 2:
                wave = np.sign(np.sin(2.0 * math.pi * 4.0 * u) * np.sin(2.0 * math.pi * 4.0 * v))
            elif kind == 3:
                wave = np.sign(np.sin(2.0 * math.pi * rng.uniform(4.0, 12.0) * (u + rng.uniform(-1.0, 1.0) * v)))
            elif kind == 4:
                marks = np.repeat(rng.random((18, 24)) < 0.5, 2, 0)
                rows, columns = ((v + 0.5) * 36).astype(int).clip(0, 35), ((u + 0.5) * 24).astype(int).clip(0, 23)
                wave = np.where((rows % 4 < 2) & marks[rows, columns], -1.0, 1.0)
            else:
                wave = 2.0 * ((u + 0.5) * 8.0).astype(int) / 7.0 - 1.0
            light = 2.0 ** rng.uniform(-4.0, 5.0) * _tint(rng, 0.3)
            contrast = rng.uniform(0.3, 0.95)
            inside = (abs(u) < 0.5) & (abs(v) < 0.5)
            image[inside] = ((1.0 + contrast * wave)[..., None] * light)[inside]
    image *= np.exp(0.04 * fractal_noise(rng, size, 0.3))[..., None]
    return _finish(image)


PROCEDURAL: dict[str, Callable[[np.random.Generator, Size], NDArray[np.float32]]] = {
    "clutter": clutter,
    "foliage": foliage,
    "street": street,
    "room": room,
    "shore": shore,
    "chart": chart,
}
"""Kind to function."""
