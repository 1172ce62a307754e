"""Seconds and memory per frame, by part: interpolation, network, EXR writing; medians of several runs.

    python benchmarks/speed.py --size 1280x720 --threads 1 --repeats 5 --json benchmarks/results/speed.json

Method: frames of smooth noise in motion, one warm-up, then `--repeats` timed runs of each part in turn (so that a busy
machine disturbs all alike); the median, fastest and slowest are printed. Peak memory is the whole process's, after
whole windows were reconstructed. Numbers are only comparable within one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from lrhdr import ExposureSchedule, Reconstructor, __version__
from lrhdr.cost import measure_cost
from lrhdr.filters import gaussian_blur
from lrhdr.io.images import write_exr


def frames(height: int, width: int, count: int) -> torch.Tensor:
    """Blurred noise that moves 3 px per frame, (count, 3, H, W) in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    base = gaussian_blur(torch.rand(1, 3, height, width + 3 * count, generator=generator), 3.0)[0]
    base = (base - base.min()) / (base.max() - base.min())
    return torch.stack([base[..., 3 * i : 3 * i + width] for i in range(count)])


def timed(part: Callable[[], object]) -> float:
    start = time.perf_counter()
    part()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--weights", default="compact-2exp")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    width, height = (int(x) for x in options.size.split("x"))
    reconstructor = Reconstructor.from_pretrained(options.weights, threads=options.threads)
    n = reconstructor.n_exposures or 2
    schedule = ExposureSchedule.from_stops([3.0 * i for i in range(n)])
    window = frames(height, width, 2 * n - 1)[None]
    exposures = torch.tensor([schedule.window_exposures(n)])
    completed = reconstructor.complete(window, exposures)
    hdr, _ = reconstructor.fuse(window, completed, exposures)
    image = hdr[0].permute(1, 2, 0).numpy()
    runs: dict[str, list[float]] = {"interpolation": [], "network": [], "exr": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.repeats):
            runs["interpolation"].append(timed(lambda: reconstructor.complete(window, exposures)))
            runs["network"].append(timed(lambda: reconstructor.fuse(window, completed, exposures)))
            runs["exr"].append(timed(lambda: write_exr(Path(folder) / "frame.exr", image)))
    macs = measure_cost(reconstructor.method.config, height, width).macs  # type: ignore[attr-defined]
    network = statistics.median(runs["network"])
    result = {
        "version": __version__,
        "weights": options.weights,
        "interpolator": reconstructor.interpolator.name,
        "size": [width, height],
        "threads": options.threads,
        "repeats": options.repeats,
        "seconds": {k: {"median": statistics.median(v), "min": min(v), "max": max(v)} for k, v in runs.items()},
        "network_gmac": macs / 1e9,
        "network_gflops": 2e-9 * macs / network,
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__},
    }
    for name, values in result["seconds"].items():  # type: ignore[attr-defined]
        print(f"{name:14} {values['median']:.3f} s  ({values['min']:.3f} to {values['max']:.3f})")
    print(f"network {macs / 1e9:.1f} GMAC per frame, {result['network_gflops']:.0f} GFLOP/s")
    print(f"peak memory {result['peak_memory_gib']:.2f} GiB")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
