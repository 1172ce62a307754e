"""One row of the speed table, in a process of its own (so that its peak memory is its own).

Started by `speed.py` with the row as JSON; loads, warms up, then runs once per line on standard input and answers with
a line of JSON: seconds by part. At the end of its input it says its peak memory.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

Measure = Callable[[], dict[str, float]]
BATCH = 4
"""Frames of one measurement on several cores."""


def clip(height: int, width: int, count: int, exposures: tuple[float, ...]) -> Any:
    """Blurred noise that moves 3 px per frame, exposed in turn: (count, H, W, 3) uint8."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    base = cv2.GaussianBlur(rng.random((height, width + 3 * count, 3), dtype=np.float32), (0, 0), 3.0)
    scene = ((base - base.min()) / (base.max() - base.min())) ** 2.2
    frames = []
    for i in range(count):
        light = scene[:, 3 * i : 3 * i + width] * exposures[i % len(exposures)]
        frames.append(np.rint(255.0 * np.minimum(light, 1.0) ** (1 / 2.2)).astype(np.uint8))
    return np.stack(frames)


def stops(n_exposures: int) -> list[float]:
    """Exposures of one period: 0 and 3 EV, or 0, 2 and 4 EV."""
    return [0.0, 3.0] if n_exposures == 2 else [2.0 * i for i in range(n_exposures)]


def timed(part: Callable[[], object]) -> float:
    start = time.perf_counter()
    part()
    return time.perf_counter() - start


def peak(row: dict[str, Any]) -> tuple[Measure, dict[str, Any]]:
    """The fastest arithmetic that this machine does here: a matrix product, and a large 3x3 convolution."""
    import torch

    torch.set_num_threads(row["cores"])
    size, channels, side = 2048, 128, 256
    a, b = torch.rand(size, size), torch.rand(size, size)
    image = torch.rand(1, channels, side, side).contiguous(memory_format=torch.channels_last)
    conv = torch.nn.Conv2d(channels, channels, 3, padding=1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    flops = {"matmul": 2.0 * size**3, "conv": 2.0 * 9 * channels**2 * side**2}

    def measure() -> dict[str, float]:
        with torch.inference_mode():
            seconds = {"matmul": timed(lambda: a @ b), "conv": timed(lambda: conv(image))}
        return {name: flops[name] / seconds[name] / 1e9 for name in flops}

    return measure, {}


def ours(row: dict[str, Any]) -> tuple[Measure, dict[str, Any]]:
    """`Reconstructor` with the bundled weights: its parts on one core, whole frames at once on several."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from lrhdr import ExposureSchedule, Reconstructor
    from lrhdr.backends import BackendChoice, TorchMethod
    from lrhdr.cost import measure_cost
    from lrhdr.interpolate import complete_frames
    from lrhdr.models.streaming import StreamingLRHDR
    from lrhdr.noise import frame_noise, window_noise
    from lrhdr.weights import load_pretrained
    from lrhdr.workers import plan_workers

    n, (width, height) = row["exposures"], row["size"]
    weights = f"compact-{n}exp"
    plan = plan_workers(width * height, workers=row.get("at_once"), threads=row["cores"])
    said: list[str] = []
    model, record = load_pretrained(weights)
    method: Any = model
    if row["backend"] == "plain":  # layer by layer over whole maps: what it was before the strips
        torch.set_num_threads(plan.threads)
        method = TorchMethod(model, torch.device("cpu"), compiled=False, half=False)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        choice = BackendChoice(precision="fp32")
    else:
        choice = BackendChoice(row["backend"], row["quality"], row["precision"])
    reconstructor = Reconstructor(
        method,
        record.interpolator,
        threads=plan.threads,
        at_once=plan.workers,
        backend=choice,
        notify=said.append,
    )
    schedule = ExposureSchedule.from_stops(stops(n))
    frames = clip(height, width, BATCH + n if row["cores"] > 1 else 2 * n - 1, schedule.relative)
    network = measure_cost(model.config, height, width)
    about = {"network_gmac": network.macs / 1e9, "parameters": network.parameters, "said": said}
    about |= {"at_once": plan.workers, "threads": plan.threads}
    if row["cores"] > 1:

        def whole() -> dict[str, float]:
            done = sum(1 for _ in reconstructor.reconstruct(frames, schedule, skip=range(BATCH, len(frames))))
            assert done == BATCH
            return {}

        return lambda: {"frame": timed(whole) / BATCH}, about
    codes = [torch.from_numpy(f).permute(2, 0, 1).contiguous() for f in frames]
    window = torch.stack(codes)[None].float() / 255.0
    exposures = torch.tensor([schedule.window_exposures(n - 1)])
    lean = isinstance(reconstructor.method, StreamingLRHDR)  # it takes frames as they are, as the pipeline gives them
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        completed = complete_frames(codes, exposures, reconstructor.interpolator)
    about["interpolation_gmac"] = counter.get_total_flops() / 2e9

    def run_network() -> None:
        if lean:  # of the noise of each frame only the new one's is to be measured
            known = frame_noise(window[0, :1]).expand(1, len(codes))
            reconstructor.method(codes, completed, exposures, window_noise(known))
        else:
            reconstructor.fuse(window, torch.stack(completed)[None], exposures, maps=False)

    def parts() -> dict[str, float]:
        with torch.inference_mode():
            interpolation = timed(lambda: complete_frames(codes, exposures, reconstructor.interpolator))
            network = timed(run_network)
        return {"interpolation": interpolation, "network": network, "frame": interpolation + network}

    return parts, about


def yardstick(row: dict[str, Any]) -> tuple[Measure, dict[str, Any]]:
    """HDRFlow's layers, network alone; on several cores one frame by all threads, and one frame per core."""
    from concurrent.futures import ThreadPoolExecutor

    import torch
    from yardstick import MULTIPLE, PUBLISHED, build

    n, cores, (width, height) = row["exposures"], row["cores"], row["size"]
    torch.set_num_threads(cores)
    model = build(n, row["layout"])
    # The nearest larger frame that its grid takes would cost it up to 4 % more: time the nearest smaller one, scaled.
    h, w = (side // MULTIPLE * MULTIPLE for side in (height, width))
    scale = height * width / (h * w)
    window, exposures = torch.rand(1, 2 * n - 1, 3, h, w), torch.tensor([[1.0, 8.0, 4.0, 1.0, 8.0][: 2 * n - 1]])

    def once() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=row["precision"] == "bf16"):
            model(window, exposures)

    def measure() -> dict[str, float]:
        torch.set_num_threads(cores)
        seconds = {"frame": timed(once) * scale}
        if cores > 1:
            with ThreadPoolExecutor(cores, initializer=lambda: torch.set_num_threads(1)) as pool:
                beside = timed(lambda: list(pool.map(lambda _i: once(), range(cores)))) / cores * scale
            seconds |= {"one_frame": seconds["frame"], "frames_at_once": beside}
            seconds["frame"] = min(seconds["frame"], beside)
        return seconds

    return measure, {"gmac": PUBLISHED[n]["gmac_per_megapixel"] * height * width / 1e6}


KINDS = {"peak": peak, "ours": ours, "yardstick": yardstick}


def main() -> None:
    row = json.loads(sys.argv[1])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: row["cores"]])
    measure, about = KINDS[row["kind"]](row)
    measure()  # warm-up
    print(json.dumps(about), flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)
    print(json.dumps({"peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}), flush=True)


if __name__ == "__main__":
    main()
