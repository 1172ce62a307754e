"""Tiny data sets in the published layouts, written by the tests. Every function returns what it wrote."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

SIZE = (20, 24)


class Written(NamedTuple):
    """Values of one scene: 16-bit codes of its frames, and ground truth by frame."""

    codes: list[np.ndarray]
    truths: dict[int, np.ndarray]


def write_tiff(path: Path, codes: np.ndarray) -> None:
    assert cv2.imwrite(str(path), codes[..., ::-1])


def write_rgbe(path: Path, radiance: np.ndarray) -> None:
    assert cv2.imwrite(str(path), radiance[..., ::-1].astype(np.float32))


def codes(rng: np.random.Generator, size: tuple[int, int] = SIZE) -> np.ndarray:
    return rng.integers(0, 65536, (*size, 3)).astype(np.uint16)


def radiance(rng: np.random.Generator, size: tuple[int, int] = SIZE, scale: float = 1.0) -> np.ndarray:
    """What RGBE stores exactly: multiples of 1/256 between 1/2 and 1, times a power of 2."""
    return (scale * rng.integers(128, 256, (*size, 3)) / 256).astype(np.float32)


def write_cinematic(
    root: Path, n_frames: int = 8, scenes: tuple[str, ...] = ("POKER", "CAROUSEL"), exposures: tuple[int, ...] = (2, 3)
) -> dict[tuple[int, str], Written]:
    rng = np.random.default_rng(1)
    written = {}
    for n in exposures:
        names = [f"{scene}_{n}expo" for scene in scenes]
        for name, scene in zip(names, scenes, strict=True):
            folder = root / "Images" / name
            folder.mkdir(parents=True)
            stems = [f"{scene}_{i:04d}" for i in range(n_frames)]
            (folder / "img_list.txt").write_text("\n".join(stems) + "\n")
            (folder / "Exposures.txt").write_text("\n".join(["-1.5", "0.5", "2.5"] if n == 3 else ["0", "3"]))
            frames = [codes(rng) for _ in stems]
            truths = {i: radiance(rng) for i in range(n, n_frames - n)}
            for i, stem in enumerate(stems):
                write_tiff(folder / f"{stem}.tif", frames[i])
                if i in truths:
                    write_rgbe(folder / f"{stem}.hdr", truths[i])
            written[n, scene] = Written(frames, truths)
        (root / f"scenes_{n}expo.txt").write_text("\n".join(names) + "\n")
    return written


def write_deephdrvideo(part: Path, static: bool, n_exposures: int = 2, scale: float = 4.0) -> dict[str, Written]:
    rng = np.random.default_rng(2)
    part.mkdir(parents=True)
    count = 2 * n_exposures + 1
    written = {}
    scenes = ["scene_000_ref_high", "scene_001_ref_low"]
    for scene in scenes:
        folder = part / scene
        folder.mkdir()
        (folder / "Exposures.txt").write_text("\n".join(["0.00", "3.00", "6.00"][:n_exposures]))
        names = [f"img_{i:02d}.tif" for i in range(count)]
        frames = [codes(rng) for _ in names]
        for name, frame in zip(names, frames, strict=True):
            write_tiff(folder / name, frame)
        kept = range(count) if static else [count // 2]
        truths = {i: radiance(rng, scale=scale) for i in kept}
        files = {i: f"img_{i:02d}.hdr" if static else f"{scene}.hdr" for i in range(count)}
        for i, truth in truths.items():
            write_rgbe(folder / files[i], truth)
        (folder / "img_list.txt").write_text("\n".join(names))
        (folder / "img_hdr_list.txt").write_text("\n".join(f"{name} {files[i]}" for i, name in enumerate(names)))
        written[scene] = Written(frames, truths)
    (part / "scene_all.txt").write_text("\n".join(scenes))
    return written


def write_tog13(root: Path, n_frames: int = 4) -> tuple[dict[str, Written], np.ndarray]:
    """Needs SciPy. The curve is a square root of different height in each channel."""
    from scipy.io import savemat

    rng = np.random.default_rng(3)
    root.mkdir(parents=True)
    curve = np.sqrt(np.arange(65536)[:, None] / 65535) * np.array([[1.0, 0.8, 0.5]]) * 3.0
    savemat(root / "BaslerCRF.mat", {"BaslerCRF": curve})
    written = {}
    for n, scene in ((2, "Fire-2Exp-3Stop"), (3, "Dog-3Exp-2Stop")):
        folder = root / scene
        (folder / "Affine_Trans_Matrices").mkdir(parents=True)
        (folder / "Exposures.txt").write_text("\n".join(["0", "2", "4"] if n == 3 else ["0", "3"]))
        names = [f"{i:03d}.tif" for i in range(n_frames)]
        frames = [codes(rng) for _ in names]
        for i, (name, frame) in enumerate(zip(names, frames, strict=True)):
            write_tiff(folder / name, frame)
            rows = [" ".join(str(v) for v in (1, 0, i + k, 0, 1, -k)) for k in range(2 * n - 2)]
            (folder / "Affine_Trans_Matrices" / f"{i:03d}_match.txt").write_text("\n".join(rows))
        (folder / "img_list.txt").write_text("\n".join(names))
        (folder / "img_hdr_list.txt").write_text("\n".join(f"{name} None" for name in names))
        (root / f"{n}Exp_scenes.txt").write_text(scene)
        written[scene] = Written(frames, {})
    return written, curve


def write_realhdrv(root: Path, n_frames: int = 4) -> dict[str, tuple[list[np.ndarray], list[np.ndarray], Written]]:
    """Scene to its short frames, its long frames, and what alternating footage beginning with the long one holds."""
    rng = np.random.default_rng(4)
    written = {}
    for scene in ("scene_10", "scene_2"):
        for name in ("Input_0", "Input_1", "GT"):
            (root / scene / name).mkdir(parents=True)
        short, long = ([codes(rng) for _ in range(n_frames)] for _ in range(2))
        truths = {i: radiance(rng) for i in range(n_frames)}
        for i in range(n_frames):
            write_tiff(root / scene / "Input_0" / f"frame_{i:02d}.tif", short[i])
            write_tiff(root / scene / "Input_1" / f"frame_{i:02d}.tif", long[i])
            write_rgbe(root / scene / "GT" / f"GT_frame_{i:02d}.hdr", truths[i])
        mixed = [(long, short)[i % 2][i] for i in range(n_frames)]
        written[scene] = short, long, Written(mixed, truths)
    return written


def write_folder(
    root: Path,
    n_frames: int = 5,
    truth: str = "truth",
    stops: tuple[float, ...] = (0.0, 3.0),
    size: tuple[int, int] = SIZE,
    moving: bool = False,
) -> Written:
    """A scene that fits together: LDR frames are the exposed ground truth. `truth` "" puts it beside the frames."""
    root.mkdir(parents=True)
    (root / truth).mkdir(exist_ok=True)
    (root / "Exposures.txt").write_text(" ".join(f"{s:g}" for s in stops))
    y, x = np.mgrid[: size[0], : size[1]]
    frames, truths = [], {}
    for i in range(n_frames):
        shift = 2 * i if moving else 0
        level = 0.6 * 2.0 ** (-6.0 * (0.5 + 0.5 * np.sin((x - shift) / 5.0) * np.cos(y / 4.0)))
        scene = np.stack([level, 0.8 * level, 0.6 * level], axis=-1).astype(np.float32)
        exposure = 2.0 ** (stops[i % len(stops)] - min(stops))
        frames.append(np.rint(65535 * (scene * exposure).clip(0, 1) ** (1 / 2.2)).astype(np.uint16))
        write_tiff(root / f"frame_{i:03d}.tif", frames[-1])
        write_rgbe(root / truth / f"frame_{i:03d}.hdr", scene)
        truths[i] = cv2.imread(str(root / truth / f"frame_{i:03d}.hdr"), -1)[..., ::-1]
    return Written(frames, truths)
