"""What each step of making the network fast gained: seconds and page faults before and after, and what it changed.

    python benchmarks/steps.py --size 1280x720 --repeats 5 --data FOLDER --json benchmarks/results/network-steps.json

Times: the plain network (`LRHDR.forward`, channels_last), the streaming executor in float32 and bfloat16, and the
interpolators, each in turn, `--repeats` rounds after one to warm up, so that a busy machine disturbs all alike; medians
of processor time of this process (all threads, system calls included) and of the time on the clock. On a busy machine
only the former compare. Memory: `--memory WxH` instead reconstructs one window of that size with the streaming executor
alone and prints the peak of the whole process, for which each of `--weights`, `--precision` needs a run of its own.

Quality (`--data`, a folder of sets as for `lrhdr evaluate`): windows of real HDR video, at both polarities; PSNR_T of
the plain network, and of either precision against it and the truth; the largest difference in the T domain.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lrhdr import ExposureSchedule, __version__, load_pretrained
from lrhdr.allocator import keep_memory
from lrhdr.camera import CameraConfig
from lrhdr.data.evaluation import hdrvideo_clips
from lrhdr.filters import gaussian_blur
from lrhdr.interpolate import complete_window, get_interpolator
from lrhdr.metrics.psnr import psnr_mu
from lrhdr.models.lrhdr import LRHDR
from lrhdr.models.streaming import StreamingLRHDR
from lrhdr.nn.precision import bf16_is_fast
from lrhdr.noise import noise_level
from lrhdr.pipeline import set_threads
from lrhdr.tiling import pad_to_multiple
from lrhdr.tonemap import mu_law


def frames(height: int, width: int, count: int) -> Tensor:
    """Blurred noise that moves 3 px per frame, (count, 3, H, W) in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    base = gaussian_blur(torch.rand(1, 3, height, width + 3 * count, generator=generator), 3.0)[0]
    base = (base - base.min()) / (base.max() - base.min())
    return torch.stack([base[..., 3 * i : 3 * i + width] for i in range(count)])


def measure(parts: dict[str, Callable[[], object]], repeats: int) -> dict[str, dict[str, float]]:
    """Median processor and clock seconds, and page faults, of each part, the parts in turn."""
    seen: dict[str, list[tuple[float, float, int]]] = {name: [] for name in parts}
    for turn in range(repeats + 1):
        for name, part in parts.items():
            faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            processor, clock = time.process_time(), time.perf_counter()
            part()
            after = time.process_time() - processor, time.perf_counter() - clock
            if turn:
                seen[name].append((*after, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults))
    keys = ("processor_s", "clock_s", "page_faults")
    return {
        name: dict(zip(keys, (statistics.median(x) for x in zip(*runs, strict=True)), strict=True))
        for name, runs in seen.items()
    }


def stops(n: int) -> list[float]:
    """Stops of a period as the default weights are used: 3 apart for two exposures, 2 for more."""
    return [(3.0 if n == 2 else 2.0) * i for i in range(n)]


def plain(model: LRHDR, window: Tensor, between: Tensor, exposures: Tensor, noise: Tensor) -> Tensor:
    """The network without the executor, padded and cropped."""
    height, width = window.shape[-2:]
    with torch.inference_mode():
        output = model(pad_to_multiple(window, 8), pad_to_multiple(between, 8), exposures, noise)
    hdr: Tensor = output.hdr[..., :height, :width]
    return hdr


def quality(model: LRHDR, folder: Path, interpolator: str, clips: int) -> list[dict[str, Any]]:
    """PSNR_T of the plain network and of both precisions on windows of real HDR video."""
    n = model.config.n_exposures
    runs = {name: StreamingLRHDR(model, name) for name in ("fp32", "bf16")}
    rows = []
    for clip in hdrvideo_clips(folder / "hdrvideo_val")[:clips]:
        schedule = ExposureSchedule.from_stops(stops(n))
        if len(clip.hdr) < 2 * n - 1:
            continue
        ldr = clip.alternate(schedule, CameraConfig())
        for index in range(n - 1, min(2 * n - 1, len(ldr) - n + 1)):
            window = ldr[list(schedule.window(index, len(ldr)))][None]
            exposures = torch.tensor([schedule.window_exposures(index)])
            between = complete_window(window, exposures, get_interpolator(interpolator))
            noise = noise_level(window)
            truth = clip.hdr[index : index + 1]
            expected = plain(model, window, between, exposures, noise)
            row: dict[str, Any] = {"clip": clip.name, "frame": index, "size": list(truth.shape[:1:-1])}
            row["plain_psnr_t"] = float(psnr_mu(expected, truth))
            for name, run in runs.items():
                hdr = run(window, between, exposures, noise).hdr
                row[f"{name}_psnr_t"] = float(psnr_mu(hdr, truth))
                row[f"{name}_largest_t_difference"] = float((mu_law(hdr) - mu_law(expected)).abs().max())
            rows.append(row)
            print(" ".join(f"{k} {v:.3g}" if isinstance(v, float) and v < 1 else f"{k} {v}" for k, v in row.items()))
        clip.release()
    return rows


def memory(model: LRHDR, size: str, precision: str) -> dict[str, Any]:
    """Peak memory of this process over one window of float32 frames."""
    width, height = (int(x) for x in size.split("x"))
    n = model.config.n_exposures
    made = frames(height, width, 3 * n - 2)
    exposures = torch.tensor([ExposureSchedule.from_stops(stops(n)).window_exposures(n)])
    run = StreamingLRHDR(model, precision)
    start = time.process_time()
    run(list(made[: 2 * n - 1]), list(made[2 * n - 1 :]), exposures, torch.tensor([0.01]))
    return {
        "size": [width, height],
        "exposures": n,
        "precision": precision,
        "processor_s": time.process_time() - start,
        "frames_gib": made.numel() * 4 / 2**30,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--weights", default="compact-2exp")
    parser.add_argument("--precision", default="fp32", help="of --memory")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep-memory", action="store_true", help="call lrhdr.allocator.keep_memory first")
    parser.add_argument("--memory", metavar="WxH", help="measure peak memory at this size and nothing else")
    parser.add_argument("--data", type=Path, help="folder of sets, for the quality part")
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--json", type=Path, help="results are added to this file under the name of the run")
    options = parser.parse_args()
    if options.keep_memory:
        keep_memory()
    set_threads(options.threads)
    model, record = load_pretrained(options.weights)
    model = model.to(memory_format=torch.channels_last).eval()
    n = model.config.n_exposures
    name = f"{options.weights} {options.size}, {options.threads} threads" + (", kept" if options.keep_memory else "")
    result: dict[str, Any] = {
        "version": __version__,
        "bf16_is_fast": bf16_is_fast(),
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__},
        "load_average": os.getloadavg()[0],
    }
    if options.memory:
        name = f"memory {options.weights} {options.memory} {options.precision}"
        result["memory"] = memory(model, options.memory, options.precision)
        print(json.dumps(result["memory"]))
    else:
        width, height = (int(x) for x in options.size.split("x"))
        schedule = ExposureSchedule.from_stops(stops(n))
        window = frames(height, width, 2 * n - 1)[None]
        exposures = torch.tensor([schedule.window_exposures(n)])
        between = complete_window(window, exposures, get_interpolator(record.interpolator))
        level = noise_level(window)
        first, reference, last = window[:, n - 2], window[:, n - 1], window[:, n]
        dis, compact = get_interpolator("dis"), get_interpolator("compact")
        fp32, bf16 = StreamingLRHDR(model), StreamingLRHDR(model, "bf16")
        result["seconds"] = measure(
            {
                "plain network": lambda: plain(model, window, between, exposures, level),
                "streaming fp32": lambda: fp32(window, between, exposures, level),
                "streaming bf16": lambda: bf16(window, between, exposures, level),
                "noise of one frame": lambda: noise_level(window[:, :1]),
                "dis": lambda: dis(first, last, 0.5, gain=8.0),
                "compact": lambda: compact.complete(  # type: ignore[attr-defined]
                    first, last, 0.5, gain=8.0, reference=reference, ratio=8.0
                ),
            },
            options.repeats,
        )
        for part, values in result["seconds"].items():
            print(f"{part:20} " + "  ".join(f"{k} {v:.3f}" for k, v in values.items()))
        if options.data:
            result["quality"] = quality(model, options.data, record.interpolator, options.clips)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        held = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
        options.json.write_text(json.dumps({**held, name: result}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
