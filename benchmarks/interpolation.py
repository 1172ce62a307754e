"""Quality and cost of the interpolators: real held-out video, known large motion, seconds and memory.

    python benchmarks/interpolation.py --data DATA --timed --json benchmarks/results/interpolation.json    (quality)
    python benchmarks/interpolation.py --json benchmarks/results/interpolation.json                        (cost)

Quality. Triplets of frames are cut from real video that nothing was trained on (`DATA/video_val`, `DATA/hdrvideo_val`);
the frames before and after go through a camera (shot and read noise, clipping, 8 bits), the true middle frame is kept
clean. Three exposures of the pair, each in its schedule of two:

    under   -3 EV of (-3, 0 EV); the interpolator is told the gain of 8
    well     0 EV of (-3, 0 EV)
    over    +3 EV of (0, +3 EV), clipped

0 EV is the video's own exposure, or one that puts the median of HDR video at 0.18. Scores are PSNR and SSIM in the T
domain, radiance 1.0 = saturation of the schedule's shortest exposure, against the clean middle frame clipped where the
pair's exposure clips. Guided interpolators (`dis-guided`, `compact`) also see the middle frame in the schedule's other
exposure, as they do in a reconstruction; the others do not. Noise follows from the triplet, so that interpolators may
be scored in runs of their own (`--interpolators`): their columns are added to those of the file. Triplets are named by
the motion between their outer frames (90th percentile of DIS flow on the clean frames).
Known motion: a photograph that slides and a disc of another one that slides against it.

Cost. Seconds at 1280x720 on one thread, interpolators taking turns, and the growth of a fresh process's peak memory.
`compact-fast` is what `--quality fast` takes. FILM has random weights: it is timed, not scored (by default at a quarter
of its width).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lrhdr import __version__
from lrhdr.camera import CameraConfig, expose
from lrhdr.checks import WeightsError
from lrhdr.colour import CHROMATICITIES, convert_primaries
from lrhdr.interpolate import GuidedInterpolator, Interpolator, TunableInterpolator, get_interpolator
from lrhdr.interpolate.film import Film, FilmInterpolator
from lrhdr.interpolate.film_config import FilmConfig
from lrhdr.interpolate.flow import dis_flow
from lrhdr.io.images import read_hdr
from lrhdr.io.video import VideoReader
from lrhdr.metrics import psnr, ssim
from lrhdr.nn.precision import bf16_is_fast
from lrhdr.pipeline import set_threads
from lrhdr.randomness import torch_generator
from lrhdr.tonemap import mu_law
from lrhdr.transfer import linearise

NAMES = ("average", "dis", "dis-guided", "compact", "compact-fast", "rife", "rife-tempered")
TIMED = (*NAMES, "film-quarter")
FASTER = {"compact-fast": "compact"}
UNTRAINED = {"film-quarter": "quarter", "film-half": "half", "film-full": "full"}
STEPS = (1, 2, 4)
STARTS = (0.2, 0.6)
KNOWN_MOTION = (8, 16, 32, 64, 96)
KNOWN_STILLS = (0, 3, 6)
LONGEST_SIDE = 512
CLASSES = (("small", 0.0, 8.0), ("medium", 8.0, 32.0), ("large", 32.0, float("inf")))
CUT = 0.12
"""Mean difference (T domain) from which two frames are two shots."""


class Condition(NamedTuple):
    """A pair's exposure and its schedule, relative to 0 EV and to the schedule's shortest."""

    scale: float  # of radiance, so that 1.0 = saturation of the shortest exposure of the schedule
    exposure: float
    other: float
    gain: float


CONDITIONS = {
    "under": Condition(1 / 8, 1.0, 8.0, 8.0),
    "well": Condition(1 / 8, 8.0, 1.0, 1.0),
    "over": Condition(1.0, 8.0, 1.0, 1.0),
}


class Triplet(NamedTuple):
    """Linear frames (3, 3, H, W), 1.0 = saturation at 0 EV; where they are from, and the motion between the ends."""

    source: str
    step: str
    frames: Tensor
    motion: float


def read_radiance(path: Path, start: int, offsets: list[int]) -> Tensor:
    """Frames of a video in linear Rec. 709, 0 EV = 1.0, at most `LONGEST_SIDE` pixels wide or high."""
    reader = VideoReader(path)
    hdr = reader.transfer in ("pq", "hlg")
    primaries = reader.primaries if reader.primaries in CHROMATICITIES else "bt2020"
    frames = []
    for offset, frame in zip(range(max(offsets) + 1), reader.timed_frames(start), strict=False):
        if offset not in offsets:
            continue
        signal = torch.from_numpy(frame.image).permute(2, 0, 1)
        share = LONGEST_SIDE / max(signal.shape[-2:])
        size = [round(side * share) for side in signal.shape[-2:]]
        light = linearise(signal, reader.transfer) if hdr else signal**2.2
        light = F.interpolate(light[None], size=size, mode="area")[0]
        frames.append(convert_primaries(light, primaries, "bt709").clamp_min(0.0) if hdr else light)
    clip = torch.stack(frames)
    return clip * (0.18 / clip.amax(dim=1).median()) if hdr else clip


def motion_of(frames: Tensor) -> float:
    encoded = frames[[0, 2]].clamp(0.0, 1.0) ** (1 / 2.2)
    flow = dis_flow(encoded[:1], encoded[1:])
    return float(flow.square().sum(dim=1).sqrt().quantile(0.9))


def real_triplets(data: Path) -> Iterator[Triplet]:
    """Triplets of several steps around the same middle frames; cuts and repeated frames are left out."""
    files = [p for folder in ("video_val", "hdrvideo_val") for p in sorted((data / folder).iterdir())]
    for path in files:
        total = VideoReader(path).count_frames()
        steps = [step for step in STEPS if 2 * step + 1 <= total]
        if not steps:
            continue
        reach = max(steps)
        offsets = sorted({reach + k * step for step in steps for k in (-1, 0, 1)})
        for start in sorted({int(share * (total - 2 * reach - 1)) for share in STARTS}):
            clip = read_radiance(path, start, offsets)
            for step in steps:
                frames = clip[[offsets.index(reach + k * step) for k in (-1, 0, 1)]]
                tone = mu_law(frames.clamp(0.0, 1.0))
                change = [float((tone[k] - tone[1]).abs().mean()) for k in (0, 2)]
                if min(change) > 0.0 and max(change) < CUT:
                    yield Triplet(path.stem, str(step), frames, motion_of(frames))


def known_triplets(data: Path, size: tuple[int, int] = (288, 512)) -> Iterator[Triplet]:
    """A photograph that slides by a distance between the ends, and a disc of another that slides half as far back."""
    stills = sorted(p for p in (data / "hdr_val").iterdir() if p.suffix in (".exr", ".hdr"))
    height, width = size
    y, x = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    for index in KNOWN_STILLS:
        below, above = (_photograph(stills[(index + k) % len(stills)]) for k in range(2))
        for distance in KNOWN_MOTION:
            frames = []
            for place in (-1, 0, 1):
                # Whole pixels at all three times: nothing is resampled.
                back, front = place * distance // 2, -place * distance // 4
                disc = ((x - front).square() + (y - front / 2).square() < (height / 5) ** 2).float()
                pictures = _window(below, back, back // 4, size), _window(above, front, front // 2, size)
                frames.append(torch.lerp(*pictures, disc))
            yield Triplet(stills[index].stem, f"{distance} px", torch.stack(frames), float(distance))


def _photograph(path: Path) -> Tensor:
    """A still as (3, H, W), 900 pixels wide, its median at 0.18."""
    linear = torch.from_numpy(read_hdr(path)).permute(2, 0, 1)[None]
    size = [round(side * 900 / linear.shape[-1]) for side in linear.shape[-2:]]
    linear = F.interpolate(linear, size=size, mode="area")[0].clamp_min(0.0)
    return linear * (0.18 / linear.amax(dim=0).median())


def _window(image: Tensor, dx: int, dy: int, size: tuple[int, int]) -> Tensor:
    """The middle part of a picture, moved by (dx, dy) pixels."""
    top, left = (image.shape[-2] - size[0]) // 2 - dy, (image.shape[-1] - size[1]) // 2 - dx
    return image[..., top : top + size[0], left : left + size[1]]


class Scorer:
    """Runs the interpolators on triplets and keeps the sums."""

    def __init__(self, interpolators: dict[str, Interpolator]) -> None:
        self.interpolators = interpolators
        self.rows: list[dict[str, Any]] = []

    def __call__(self, triplet: Triplet, group: str, number: int) -> None:
        """Score one triplet under all conditions.

        Args:
            triplet: the frames.
            group: "real" or "known", for the tables.
            number: of the triplet; its camera noise follows from it.
        """
        for condition, c in CONDITIONS.items():
            radiance = triplet.frames * c.scale
            generator = torch_generator(2026, number)
            pair = expose(radiance[[0, 2]], c.exposure, CameraConfig(), generator)
            reference = expose(radiance[1:2], c.other, CameraConfig(), generator)
            truth = radiance[1:2].clamp_max(1.0 / c.exposure).clamp_max(1.0)
            scores = {}
            for name, interpolator in self.interpolators.items():
                first, second = pair[:1], pair[1:]
                if isinstance(interpolator, GuidedInterpolator):
                    ratio = c.other / c.exposure
                    made = interpolator.complete(first, second, 0.5, gain=c.gain, reference=reference, ratio=ratio)
                else:
                    made = interpolator(first, second, 0.5, gain=c.gain)
                seen, true = mu_law(made**2.2 / c.exposure), mu_law(truth)
                code = (truth * c.exposure) ** (1 / 2.2)
                scores[name] = {
                    "psnr_t": float(psnr(seen, true, 1.0)),
                    "ssim_t": float(ssim(seen, true, 1.0)),
                    "psnr_code": float(psnr(made, code, 1.0)),
                }
            motion = next(label for label, low, high in CLASSES if low <= triplet.motion < high)
            self.rows.append(
                {
                    "group": group,
                    "source": triplet.source,
                    "step": triplet.step,
                    "motion": motion if group == "real" else triplet.step,
                    "motion_px": round(triplet.motion, 1),
                    "condition": condition,
                    "scores": scores,
                }
            )

    def means(self, *keys: str) -> list[dict[str, Any]]:
        """Mean scores of the rows that share these keys."""
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row in self.rows:
            groups.setdefault(tuple(str(row[key]) for key in keys), []).append(row)
        return [
            {
                **dict(zip(keys, values, strict=True)),
                "triplets": len(rows),
                **{
                    name: {
                        metric: round(statistics.mean(row["scores"][name][metric] for row in rows), 4)
                        for metric in ("psnr_t", "ssim_t", "psnr_code")
                    }
                    for name in self.interpolators
                },
            }
            for values, rows in groups.items()
        ]


def joined(rows: list[dict[str, Any]], earlier: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of means with the columns that an earlier run of the same triplets had."""
    keys = ("group", "condition", "motion", "step", "source", "triplets")
    before = {tuple(row.get(key) for key in keys): row for row in earlier}
    if before and set(before) != {tuple(row.get(key) for key in keys) for row in rows}:
        raise SystemExit("the file holds scores of other triplets: remove it or name another")
    return [{**before.get(tuple(row.get(key) for key in keys), {}), **row} for row in rows]


def build(name: str) -> Interpolator | None:
    """An interpolator (FILM with random weights); None where the cache lacks weights."""
    if name in UNTRAINED:
        torch.manual_seed(0)
        return FilmInterpolator(Film(FilmConfig.preset(UNTRAINED[name])), name)
    try:
        interpolator = get_interpolator(FASTER.get(name, name))
        if isinstance(interpolator, TunableInterpolator):  # as in use
            interpolator = interpolator.tuned(fast=name in FASTER, half=bf16_is_fast())
        return interpolator
    except WeightsError as error:
        print(error, file=sys.stderr)
        return None


def noise_pair(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Smooth noise that moves by 6 pixels."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, size[0] // 8, size[1] // 8 + 4, generator=generator)
    base = F.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0.0, 1.0)
    return base[..., : size[0], 6 : 6 + size[1]].contiguous(), base[..., : size[0], : size[1]].contiguous()


def call(name: str, interpolator: Interpolator, pair: tuple[Tensor, Tensor]) -> Tensor:
    if isinstance(interpolator, GuidedInterpolator):
        return interpolator.complete(*pair, 0.5, gain=8.0, reference=pair[0], ratio=8.0)
    return interpolator(*pair, 0.5, gain=8.0)


def seconds(names: tuple[str, ...], size: tuple[int, int], repeats: int) -> dict[str, dict[str, float]]:
    """Median, fastest and slowest, the interpolators taking turns so that a busy machine disturbs all alike."""
    pair = noise_pair(size)
    built = {name: b for name in names if (b := build(name)) is not None}
    small = tuple(frame[..., :128, :128].contiguous() for frame in pair)
    for name, interpolator in built.items():
        call(name, interpolator, small)  # type: ignore[arg-type]
    runs: dict[str, list[float]] = {name: [] for name in built}
    for _ in range(repeats):
        for name, interpolator in built.items():
            start = time.process_time()
            call(name, interpolator, pair)
            runs[name].append(time.process_time() - start)
    return {
        name: {"median": statistics.median(times), "fastest": min(times), "slowest": max(times)}
        for name, times in runs.items()
    }


def peak_growth(name: str, size: tuple[int, int]) -> float:
    """GiB by which the peak memory of a fresh process grows over one interpolation."""
    command = [sys.executable, __file__, "--memory-of", name, "--size", f"{size[1]}x{size[0]}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def print_growth(name: str, size: tuple[int, int]) -> None:
    interpolator = build(name)
    assert interpolator is not None
    pair = noise_pair(size)
    before = peak_kib()
    call(name, interpolator, pair)
    print((peak_kib() - before) / 2**20)


def peak_kib() -> int:
    """Peak memory of this process; that of `getrusage` begins with the peak of the process that forked it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def tables(result: dict[str, Any]) -> str:
    """Markdown: quality by exposure and motion, then costs."""
    names = list(result["names"])
    lines = [f"| pair | motion | triplets | {' | '.join(names)} |", "|---|---|---|" + "---|" * len(names)]
    for row in result["real"] + result["known"]:
        cells = [f"{row[name]['psnr_t']:.2f} ({row[name]['ssim_t']:.3f})" for name in names]
        lines.append(f"| {row['condition']} | {row['motion']} | {row['triplets']} | {' | '.join(cells)} |")
    if "seconds" in result:
        lines += ["", "| interpolator | seconds at 1280x720 | ratio to dis | GiB |", "|---|---|---|---|"]
        base = result["seconds"]["dis"]["median"]
        for name, times in result["seconds"].items():
            ratio = times["median"] / base
            lines.append(f"| {name} | {times['median']:.2f} | {ratio:.2f} | {result['peak_gib'][name]:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with video_val, hdrvideo_val, hdr_val")
    parser.add_argument("--interpolators", nargs="+", default=NAMES, help="to score")
    parser.add_argument("--timed", nargs="*", default=TIMED, help="to time")
    parser.add_argument("--size", default="1280x720", help="of the timed pair")
    parser.add_argument("--repeats", type=int, default=5, help="of the timing; 0 keeps the file's and measures memory")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    set_threads(1)
    width, height = (int(x) for x in options.size.split("x"))
    if options.memory_of:
        print_growth(options.memory_of, (height, width))
        return
    scored = options.interpolators if options.data else ()
    built = {name: b for name in scored if (b := build(name)) is not None}
    earlier = json.loads(options.json.read_text(encoding="utf-8")) if options.json and options.json.exists() else {}
    result: dict[str, Any] = {
        **earlier,
        "version": __version__,
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": 1,
        "names": [n for n in NAMES if n in built or n in earlier.get("names", [])],
    }
    if options.data:
        scorer = Scorer(built)
        for number, triplet in enumerate(real_triplets(options.data)):
            scorer(triplet, "real", number)
            print(f"{triplet.source} step {triplet.step}: {triplet.motion:.1f} px", file=sys.stderr)
        for number, triplet in enumerate(known_triplets(options.data)):
            scorer(triplet, "known", 1000 + number)
        by = scorer.means("group", "condition", "motion")
        order = {key: i for i, key in enumerate([*CONDITIONS, *(label for label, *_ in CLASSES)])}
        by.sort(key=lambda row: (order[row["condition"]], order.get(row["motion"], 0)))
        steps, sources = (scorer.means("group", "condition", key) for key in ("step", "source"))
        for table, rows, group in (
            ("real", by, "real"),
            ("known", by, "known"),
            ("real_by_step", steps, "real"),
            ("real_by_source", sources, "real"),
        ):
            result[table] = joined([row for row in rows if row["group"] == group], earlier.get(table, []))
    if options.timed:
        result["size"] = [height, width]
        result["load"] = os.getloadavg()[0]
        if options.repeats:
            result["seconds"] = seconds(tuple(options.timed), (height, width), options.repeats)
        result["peak_gib"] = {name: peak_growth(name, (height, width)) for name in result["seconds"]}
    print(tables(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
