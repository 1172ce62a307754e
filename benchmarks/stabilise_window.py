"""What `--stabilise-window` changes on hand-held clips: PSNR_T with and without it.

    python benchmarks/stabilise_window.py --hdr-video DIR --json benchmarks/results/stabilise.json

Method: real HDR video (PQ, HLG; `lrhdr.data.evaluation`), once as it is and once with a synthetic hand on it (each
frame shifted by up to `--shake` pixels and turned by up to 0.4 degrees, the border cut off), through the camera model
with exposures 1 and 8, in 8 bits with noise. The truth is the same frame before the camera. Scored are the frames
`FRAMES`, of both polarities; PSNR_T without the outer 16 pixels; each method with the interpolator `dis-guided`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from lrhdr import ExposureSchedule, Reconstructor, __version__
from lrhdr.baselines import BASELINES
from lrhdr.camera import CameraConfig, expose
from lrhdr.data.evaluation import hdrvideo_clips
from lrhdr.metrics.psnr import psnr_mu

FRAMES = (1, 2)
BORDER = 16


def shaken(hdr: Tensor, shake: float, rng: np.random.Generator) -> Tensor:
    """(T, 3, H, W) as a hand-held camera sees it."""
    height, width = hdr.shape[-2:]
    margin = int(shake) + 4
    frames = []
    for frame in hdr.permute(0, 2, 3, 1).numpy():
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-0.4, 0.4), 1.0)
        matrix[:, 2] += rng.uniform(-shake, shake, 2)
        moved = cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        frames.append(torch.from_numpy(moved[margin:-margin, margin:-margin].clip(0.0, 1.0)))
    return torch.stack(frames).permute(0, 3, 1, 2).contiguous()


def score(truth: Tensor, method: str, stabilise: bool) -> float:
    """Mean PSNR_T over `FRAMES`, dB."""
    schedule = ExposureSchedule((1.0, 8.0))
    exposures = torch.tensor([schedule.exposure(t) for t in range(len(truth))])
    ldr = expose(truth, exposures, CameraConfig(), torch.Generator().manual_seed(5))
    if method == "lrhdr":
        reconstructor = Reconstructor.from_pretrained("compact-2exp", threads=1, stabilise_window=stabilise)
    else:
        reconstructor = Reconstructor(BASELINES[method], threads=1, stabilise_window=stabilise)
    skip = set(range(len(truth))) - set(FRAMES)
    inner = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    values = []
    for frame in reconstructor.reconstruct(ldr, schedule, skip=skip):
        got = torch.from_numpy(frame.radiance).permute(2, 0, 1)[None]
        values.append(float(psnr_mu(got[inner], truth[frame.index : frame.index + 1][inner])))
    return float(np.mean(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hdr-video", type=Path, required=True, help="folder of PQ and HLG video")
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--shake", type=float, default=8.0, help="pixels")
    parser.add_argument("--methods", nargs="+", default=["completion", "lrhdr"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows: list[dict[str, Any]] = []
    for number, clip in enumerate(hdrvideo_clips(options.hdr_video)[: options.clips]):
        still = clip.hdr[:4]
        hand = shaken(still, options.shake, np.random.default_rng(number))
        for what, truth in (("as it is", still), ("hand-held", hand)):
            for method in options.methods:
                off, on = (round(score(truth, method, stabilise), 3) for stabilise in (False, True))
                rows.append({"clip": clip.name, "camera": what, "method": method, "off": off, "on": on})
                print(rows[-1], flush=True)
        clip.release()
    if options.json:
        result = {
            "version": __version__,
            "shake": options.shake,
            "method": (__doc__ or "").split("Method: ")[1].strip(),
            "rows": rows,
        }
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
