"""Processor seconds per frame of the metrics and the baselines, on one thread.

    python benchmarks/metrics.py --size 640x360 --json benchmarks/results/metrics.json

Method: one warm-up, then `--repeats` runs of each part in turn; the fastest counts, in processor time of this process,
so that a busy machine disturbs little. Metrics get smooth noise and the same with noise of 2 %; baselines get a window
of three frames that moves 3 px per frame, stops 0 and 3, with the package's default camera noise. Peak memory is
that of the whole process after each part, so only its growth belongs to the part.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import torch

from lrhdr import __version__
from lrhdr.baselines import BASELINES
from lrhdr.camera import CameraConfig, expose
from lrhdr.filters import gaussian_blur
from lrhdr.interpolate import complete_window, get_interpolator
from lrhdr.metrics import ghost_share, hdrvdp2, hdrvqm, psnr_mu, psnr_pu21, ssim_mu, ssim_pu21, warped_error_change


def parts(height: int, width: int) -> dict[str, Callable[[], object]]:
    """Name to what is timed."""
    generator = torch.Generator().manual_seed(0)
    base = gaussian_blur(torch.rand(1, 3, height, width + 8, generator=generator), 3.0)
    base = ((base - base.min()) / (base.max() - base.min())) ** 4 + 1e-3
    frames = torch.cat([base[..., 3 * t : 3 * t + width] for t in range(3)])
    exposures = torch.tensor([[8.0, 1.0, 8.0]])
    window = expose(frames, exposures[0], CameraConfig(), generator)[None]
    interpolated = complete_window(window, exposures, get_interpolator("dis-guided"))
    truth = frames[1:2]
    result = (truth * (1.0 + 0.02 * torch.randn(truth.shape, generator=generator))).clamp_min(0.0)
    light, true_light = (x * 1000.0 for x in (result, truth))
    flow = torch.zeros(1, 2, height, width)
    flow[:, 0] = -3.0
    seen = torch.ones(1, 1, height, width)
    pair, true_pair = torch.cat((result, result)), frames[:2]
    found: dict[str, Callable[[], object]] = {
        "psnr_t": lambda: psnr_mu(result, truth),
        "ssim_t": lambda: ssim_mu(result, truth),
        "pu21_psnr": lambda: psnr_pu21(light, true_light, peak_luminance=100.0),
        "pu21_ssim": lambda: ssim_pu21(light, true_light, peak_luminance=100.0),
        "ghosts": lambda: ghost_share(result, truth, window[:, 1], exposures[:, 1]),
        "warped_error": lambda: warped_error_change(pair, true_pair, flow, seen),
        "hdrvdp2": lambda: hdrvdp2(light, true_light, encoding="rgb-bt.709", pixels_per_degree=30.0),
        # At one frame per second a clip of two frames gives one moment of one frame.
        "hdrvqm": lambda: hdrvqm(1000.0 * pair, 1000.0 * true_pair, frames_per_second=1.0),
    }
    for name, baseline in BASELINES.items():
        found[f"baseline {name}"] = partial(baseline, window, interpolated, exposures)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    width, height = (int(v) for v in options.size.split("x"))
    rows: dict[str, dict[str, float]] = {}
    for name, part in parts(height, width).items():
        part()
        times = []
        for _ in range(options.repeats):
            start = time.process_time()
            part()
            times.append(time.process_time() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows[name] = {"seconds": round(min(times), 4), "process_peak_mb": round(peak)}
        print(f"{name:22s} {min(times):8.3f} s   process {peak:6.0f} MB")
    if options.json:
        content = {
            "method": " ".join((__doc__ or "").split("Method: ")[1].split()),
            "size": options.size,
            "versions": {"lrhdr": __version__, "torch": torch.__version__, "opencv": cv2.__version__},
            "machine": platform.processor() or platform.machine(),
            "parts": rows,
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
