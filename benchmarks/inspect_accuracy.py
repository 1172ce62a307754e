"""How well the pixels tell an alternation: period, phase, ratio, dropped frames; and "none" on ordinary video.

    python benchmarks/inspect_accuracy.py --hdr-video DIR --video DIR --json benchmarks/results/inspect.json

Method: real HDR video (PQ, HLG) is reduced to at most 960 pixels, scaled so that the shortest exposure just saturates
(`lrhdr.data.evaluation`), and taken again by the camera model in 8 bits with two exposures (1, 8) or three (1, 4, 16),
24 frames each. Files with fewer frames are played back and forth. Disturbances: `noise`, a camera with 1000 electrons
of full well and 5 of read noise; `hand-held`, each frame shifted by up to 6 pixels and turned by up to 0.3 degrees;
`exposure error`, each frame's exposure off by up to 10 %; `all`, these three at once; `dropped`, all and one frame
taken out; `repeated`, all and one frame shown twice. The first frame's phase differs from case to case. Nothing is told
to `lrhdr.analysis.analyse`, which `lrhdr inspect` and `lrhdr reconstruct` call. The error of the ratio is the largest
of the period's, against the geometric mean of the exposures that were really taken. Ordinary video: the first
`--frames` frames of each file must give "none" (period 1).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lrhdr import __version__
from lrhdr.analysis import Analysis, analyse
from lrhdr.camera import CameraConfig, expose
from lrhdr.data.evaluation import hdrvideo_clips
from lrhdr.io.sources import FrameSource, open_frames
from lrhdr.response import named_curve

FRAMES = 24
BREAK = 13
SCHEDULES = ((1.0, 8.0), (1.0, 4.0, 16.0))
DISTURBANCES = ("clean", "noise", "hand-held", "exposure error", "all", "dropped", "repeated")


class Frames(FrameSource):
    """Frames in memory as a clip."""

    def __init__(self, name: str, frames: list[NDArray[np.float32]]) -> None:
        self.name, self.n_frames, self.fps, self.exposures_stops = name, len(frames), None, None
        self.size = (frames[0].shape[0], frames[0].shape[1])
        self._frames = frames

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.float32]]:
        """See `FrameSource.frames`."""
        return iter(self._frames[start:stop])


class First(FrameSource):
    """The first frames of a clip."""

    def __init__(self, whole: FrameSource, most: int) -> None:
        self.name, self.fps, self.size = whole.name, whole.fps, whole.size
        self.n_frames, self.exposures_stops = min(most, whole.n_frames), None
        self._whole = whole

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.float32]]:
        """See `FrameSource.frames`."""
        return self._whole.frames(start, min(stop or self.n_frames, self.n_frames))

    def thin_frames(self, step: int) -> Iterator[NDArray[np.float32]]:
        """See `FrameSource.thin_frames`."""
        for _, frame in zip(range(self.n_frames), self._whole.thin_frames(step), strict=False):
            yield frame


def taken_again(
    radiance: NDArray[np.float16], schedule: tuple[float, ...], what: str, seed: int
) -> tuple[list[NDArray[np.float32]], tuple[float, ...]]:
    """A clip through the camera, and the exposures of its period from frame 0 (geometric means), the shortest 1."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    every = what in ("all", "dropped", "repeated")
    noisy = every or what == "noise"
    camera = CameraConfig(full_well_e=1000.0, read_noise_e=5.0) if noisy else CameraConfig(noise="none")
    order = [*range(len(radiance)), *range(len(radiance) - 2, 0, -1)]
    n, start = len(schedule), seed % len(schedule)
    frames, exposures = [], []
    for t in range(FRAMES):
        image = np.ascontiguousarray(radiance[order[t % len(order)]].astype(np.float32).transpose(1, 2, 0))
        if every or what == "hand-held":
            image = shaken(image, rng)
        error = rng.uniform(-0.1, 0.1) if every or what == "exposure error" else 0.0
        exposures.append(schedule[(start + t) % n] * (1.0 + error))
        ldr = expose(torch.from_numpy(image).permute(2, 0, 1), exposures[-1], camera, generator)
        frames.append(np.ascontiguousarray(ldr.permute(1, 2, 0).numpy()))
    if what == "dropped":
        del frames[BREAK]
    if what == "repeated":
        frames.insert(BREAK, frames[BREAK - 1])
    means = [float(np.exp(np.mean(np.log(exposures[k::n])))) for k in range(n)]
    return frames, tuple(e / min(means) for e in means)


def shaken(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A frame as a hand-held camera sees it; the border is cut off."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-0.3, 0.3), 1.0)
    matrix[:, 2] += rng.uniform(-6.0, 6.0, 2)
    moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(moved[10:-10, 10:-10])


def judged(analysis: Analysis, exposures: tuple[float, ...], what: str) -> dict[str, Any]:
    """What was found against what was done."""
    found = analysis.alternation
    right = found.period == len(exposures)
    order = lambda values: sorted(range(len(values)), key=values.__getitem__)  # noqa: E731
    error = max(abs(f / e - 1.0) for f, e in zip(found.exposures, exposures, strict=True)) if right else None
    expected = {"dropped": [(BREAK, "dropped")], "repeated": [(BREAK, "repeated")]}.get(what, [])
    return {
        "period": found.period,
        "period_right": right,
        "phase_right": right and order(found.exposures) == order(exposures),
        "ratio_error": None if error is None else round(error, 5),
        "breaks": [[b.index, b.kind] for b in found.breaks],
        "breaks_right": [(b.index, b.kind) for b in found.breaks] == expected,
        "black": analysis.levels.black,
        "saturation": analysis.levels.saturation,
    }


def alternating(folder: Path, rows: list[dict[str, Any]], save: Callable[[], None]) -> None:
    """Add the rows that are missing, saving after each: a run that was stopped goes on."""
    curve = named_curve("gamma2.2")
    done = {(row["clip"], row["exposures"], row["disturbance"]) for row in rows}
    for number, clip in enumerate(hdrvideo_clips(folder)):
        missing = [(s, k) for s in SCHEDULES for k in range(len(DISTURBANCES))]
        missing = [(s, k) for s, k in missing if (clip.name, len(s), DISTURBANCES[k]) not in done]
        radiance = clip.hdr.numpy().astype(np.float16) if missing else None
        clip.release()
        for schedule, k in missing:
            if radiance is not None:
                what = DISTURBANCES[k]
                frames, exposures = taken_again(radiance, schedule, what, 100 * number + k)
                found = judged(analyse(Frames(clip.name, frames), curve), exposures, what)
                rows.append({"clip": clip.name, "exposures": len(schedule), "disturbance": what, **found})
                print(rows[-1], flush=True)
                save()


def ordinary(folder: Path, most: int) -> list[dict[str, Any]]:
    curve = named_curve("gamma2.2")
    rows = []
    for path in sorted(folder.iterdir()):
        source = First(open_frames(path), most)
        found = analyse(source, curve).alternation
        rows.append({"clip": path.name, "frames": source.n_frames, "period": found.period, "reason": found.reason})
        print(rows[-1], flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Rows of a Markdown table: per number of exposures and disturbance, over the clips."""
    lines = [
        "| exposures | disturbance | period, phase found | ratio: median, largest error | break found |",
        "|---|---|---|---|---|",
    ]
    for n in sorted({row["exposures"] for row in rows}):
        for what in DISTURBANCES:
            here = [r for r in rows if r["exposures"] == n and r["disturbance"] == what]
            errors = [r["ratio_error"] for r in here if r["ratio_error"] is not None]
            both = sum(r["period_right"] and r["phase_right"] for r in here)
            breaks = f"{sum(r['breaks_right'] for r in here)} of {len(here)}"
            worst = f"{100 * float(np.median(errors)):.1f} %, {100 * max(errors):.1f} %" if errors else "-"
            lines.append(f"| {n} | {what} | {both} of {len(here)} | {worst} | {breaks} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hdr-video", type=Path, help="folder of PQ and HLG video")
    parser.add_argument("--video", type=Path, help="folder of ordinary video")
    parser.add_argument("--frames", type=int, default=300, help="frames of each ordinary video")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    earlier = json.loads(options.json.read_text()) if options.json and options.json.exists() else {}
    kept = {key: earlier[key] for key in ("alternating", "ordinary") if key in earlier}
    result = {**kept, "version": __version__, "method": (__doc__ or "").split("Method: ")[1].strip()}

    def save() -> None:
        if options.json:
            options.json.write_text(json.dumps(result, indent=1) + "\n")

    if options.hdr_video:
        alternating(options.hdr_video, result.setdefault("alternating", []), save)
        print(table(result["alternating"]))
    if options.video:
        result["ordinary"] = ordinary(options.video, options.frames)
    save()


if __name__ == "__main__":
    main()
