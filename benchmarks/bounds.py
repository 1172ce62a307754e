"""How much of the error is motion, how much is noise: merges that are given frames nobody can have.

    python benchmarks/bounds.py --data DIR --frames 2 --json benchmarks/results/bounds.json

Method. The clips, camera and alternations of `lrhdr evaluate --data DIR --sets generated hdrvideo video`, the first
`--frames` frames of each that have all neighbours. PSNR_T in dB, mean over frames, of:

- `completion`: the completion merge of what the interpolator made;
- `network`: the bundled weights on the same frames;
- `no motion error`: the completion merge, given in place of each interpolated frame the mean of two pictures that the
  camera takes at the reference's own moment in that exposure: an interpolator that averages two frames and makes
  no mistake. What remains is noise, clipping, rounding;
- `tripod`: all frames of the window taken at the reference's moment and averaged by their light where not clipped: the
  merge of a scene that stands still, without knowing anything about images.

`no motion error` less `completion` is what motion costs a merge; a network may lie above it, because it can take noise
off, and below it, because it has the interpolator's frames.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lrhdr.baselines import completion
from lrhdr.camera import CameraConfig, expose
from lrhdr.data.evaluation import EvaluationClip, generated_clips, hdrvideo_clips, video_clips
from lrhdr.exposure import ExposureSchedule, interpolated_exposures
from lrhdr.metrics import psnr_mu
from lrhdr.pipeline import Reconstructor, set_threads
from lrhdr.radiometry import ldr_to_radiance
from lrhdr.randomness import torch_generator

ALTERNATIONS = ((0.0, 2.0), (0.0, 3.0), (0.0, 2.0, 4.0))
CLIPPED = 0.97
"""Code value from which `tripod` leaves a picture out (the shortest exposure keeps a thousandth of its weight)."""


def clips(data: Path) -> Iterator[EvaluationClip]:
    """The three sets of clips."""
    yield from generated_clips(data / "hdr_val")
    yield from hdrvideo_clips(data / "hdrvideo_val")
    yield from video_clips(data / "video_val")


def tripod(frames: Tensor, exposures: Tensor) -> Tensor:
    """Average (1, T, 3, H, W) of one moment, weighted by exposure where not clipped; (1, 3, H, W)."""
    light = exposures.view(1, -1, 1, 1, 1)
    shortest = (light == light.amin()).float()
    weights = (frames < CLIPPED).float() * light + 1e-3 * shortest
    return (weights * ldr_to_radiance(frames, exposures)).sum(dim=1) / weights.sum(dim=1)


@torch.inference_mode()
def score(
    clip: EvaluationClip, schedule: ExposureSchedule, tool: Reconstructor, count: int, seed: int
) -> dict[str, float]:
    """Mean PSNR_T of one clip by column."""
    camera = CameraConfig()
    truth = clip.hdr
    ldr = clip.alternate(schedule, camera, 0)
    generator = torch_generator(seed, clip.seed, len(schedule.relative))
    found: dict[str, list[float]] = {}
    first = schedule.n_exposures - 1
    for i in range(first, min(len(truth) - first, first + count)):
        window = ldr[list(schedule.window(i, len(truth)))][None]
        exposures = torch.tensor([schedule.window_exposures(i)])
        made = tool.complete(window, exposures)
        others = interpolated_exposures(exposures)[0]

        def taken(e: Tensor, moment: Tensor = truth[i]) -> Tensor:
            return torch.stack([expose(moment, float(x), camera, generator) for x in e])[None]

        still = taken(exposures[0])
        still[:, first] = window[:, first]
        results = {
            "completion": completion(window, made, exposures),
            "network": tool.fuse(window, made, exposures, maps=False).hdr,
            "no motion error": completion(window, 0.5 * (taken(others) + taken(others)), exposures),
            "tripod": tripod(still, exposures),
        }
        for name, hdr in results.items():
            found.setdefault(name, []).append(float(psnr_mu(hdr, truth[i][None]).mean()))
    return {name: statistics.mean(values) for name, values in found.items()}


def table(rows: list[dict[str, Any]]) -> str:
    """Means over clips, by set and alternation, as Markdown."""
    names = list(rows[0]["psnr_t"])
    lines = [f"| set, exposures (EV) | clips | {' | '.join(names)} |", "|---|---:|" + "---:|" * len(names)]
    for key in sorted({(r["set"], tuple(r["stops"])) for r in rows}):
        chosen = [r["psnr_t"] for r in rows if (r["set"], tuple(r["stops"])) == key]
        means = " | ".join(f"{statistics.mean(c[n] for c in chosen):.2f}" for n in names)
        lines.append(f"| {key[0]}, {', '.join(f'{s:g}' for s in key[1])} | {len(chosen)} | {means} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with hdr_val, hdrvideo_val, video_val")
    parser.add_argument("--frames", type=int, default=4, help="of each clip")
    parser.add_argument("--seed", type=int, default=7, help="of the pictures that nobody can have")
    parser.add_argument("--json", type=Path, help="keep the result")
    options = parser.parse_args()
    set_threads(1)
    tools = {n: Reconstructor.from_pretrained(f"compact-{n}exp") for n in (2, 3)}
    rows = []
    for clip in clips(options.data):
        for stops in ALTERNATIONS:
            if len(clip.hdr) < 2 * len(stops) - 1:
                continue  # no frame has all neighbours
            schedule = ExposureSchedule.from_stops(stops)
            found = score(clip, schedule, tools[len(stops)], options.frames, options.seed)
            rows.append({"set": clip.group, "clip": clip.name, "stops": stops, "psnr_t": found})
            print(clip.name, stops, {k: round(v, 2) for k, v in found.items()}, flush=True)
        clip.release()
    print(table(rows))
    if options.json:
        result = {"frames": options.frames, "seed": options.seed, "rows": rows}
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
