"""A tiny run with votes and candidates, and the report made of it, for the tests of the viewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lrhdr.exposure import ExposureSchedule
from lrhdr.io.images import write_exr
from lrhdr.pipeline import HdrFrame
from lrhdr.radiometry import GAMMA
from lrhdr.viewer.report_html import ReportClip, ReportWriter

SIZE = (24, 40)


def frames(count: int = 5, n: int = 2, size: tuple[int, int] = SIZE, voting: bool = True) -> list[HdrFrame]:
    """Frames as the reconstructor yields them with its maps: the result is the vote's sum, some votes are zero."""
    rng = np.random.default_rng(7)
    height, width = size
    schedule = ExposureSchedule(tuple(float(8 ** (i / (n - 1))) for i in range(n)))
    y, x = np.mgrid[:height, :width]
    scenes = [2.0 ** (-9.0 * (0.5 + 0.5 * np.sin((x + 2 * t) / 6.0) * np.cos(y / 5.0))) for t in range(count)]
    ldr = []
    for t, base in enumerate(scenes):
        radiance = np.stack([base, 0.8 * base, 0.5 * base], axis=-1) * rng.normal(1.0, 0.03, (height, width, 3))
        ldr.append((radiance.clip(0.0) * schedule.exposure(t)).clip(0.0, 1.0) ** (1 / GAMMA))
    codes = [(np.rint(255.0 * v) / 255.0).astype(np.float32) for v in ldr]
    made = []
    for t in range(count):
        indices, exposures = schedule.window(t, count), schedule.window_exposures(t)
        inputs = [codes[i] ** np.float32(GAMMA) / np.float32(e) for i, e in zip(indices, exposures, strict=True)]
        base = np.stack([scenes[t], 0.8 * scenes[t], 0.5 * scenes[t]], axis=-1)
        others = [base * rng.normal(1.0, 0.05, base.shape) for _ in range(2 * n - 1)]
        candidates = np.stack([*inputs, *others]).astype(np.float32)
        votes = rng.random((4 * n - 2, height, width)) ** 4
        votes[votes < 0.05] = 0.0
        votes[n - 1, votes.sum(axis=0) == 0.0] = 1.0
        votes = (votes / votes.sum(axis=0)).astype(np.float32)
        result = np.einsum("khw,khwc->hwc", votes, candidates)
        if not voting:
            made.append(
                HdrFrame(
                    t,
                    base.astype(np.float32),
                    schedule.exposure(t),
                    None,
                    tuple(codes[i] for i in indices),
                    exposures,
                    indices,
                )
            )
            continue
        window = tuple(codes[i] for i in indices)
        made.append(HdrFrame(t, result, schedule.exposure(t), votes, window, exposures, indices, candidates))
    return made


def about(exposures: tuple[float, ...], size: tuple[int, int] = SIZE, **changes: object) -> ReportClip:
    """What a run would say of the clip."""
    values: dict[str, object] = {
        "title": "shot & <b>take</b> 1",
        "size": size,
        "exposures": exposures,
        "gain": 1.0,
        "scale": "shortest",
        "colorspace": "lin_rec709",
        "rate": 12.0,
        "settings": {"version": "0", "weights": "random", "exposures": list(exposures), "tile": None},
    }
    return ReportClip(**(values | changes))  # type: ignore[arg-type]


def write_run(folder: Path, made: list[HdrFrame]) -> dict[int, Path]:
    """The EXR files of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {f.index: folder / f"shot.{f.index:06d}.exr" for f in made}
    for f in made:
        write_exr(paths[f.index], f.radiance)
    return paths


def write_report(folder: Path, made: list[HdrFrame], **changes: object) -> Path:
    """A run with its report in `folder/report`; returns the page."""
    paths = write_run(folder, made)
    n = (len(made[0].window) + 1) // 2
    period = tuple(made[i].exposure for i in range(n))
    writer = ReportWriter(folder / "report", about(period, made[0].radiance.shape[:2], **changes), list(paths))
    for f in made:
        if writer.wants(f.index):
            writer.add(f)
    return writer.finish(paths)
