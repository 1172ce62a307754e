"""Seconds per frame of the deliveries, by part: reading EXR, conversion to 10-bit codes, encoding; medians of frames.

    python benchmarks/delivery.py --size 1920x1080 --frames 24 --threads 1 --json benchmarks/results/delivery.json

Method: a mosaic of a ground-truth frame of the bundled clip, moved by 4 px per frame, with a grain of 2 %. Reading and
conversion are timed alone in one thread; the command overlaps them with encoding. Encoding is the whole time from first
frame to closed file, divided by the frames (encoders look ahead and answer late). Each part is repeated and the parts
take turns; median, fastest and slowest are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from lrhdr import __version__
from lrhdr.demo import CLIP
from lrhdr.display_light import DisplayMap, hlg_signal, pq_signal
from lrhdr.io.encoder import Timing
from lrhdr.io.exr import write_exr
from lrhdr.io.hdr_writer import HdrCoding, HdrVideoWriter, LightLevels, signal_to_planes
from lrhdr.io.images import read_exr

CODINGS = {
    "hevc x265 fast crf 14": HdrCoding("hevc"),
    "hevc x265 ultrafast crf 14": HdrCoding("hevc", preset="ultrafast"),
    "av1 SVT-AV1 8 crf 16": HdrCoding("av1"),
    "av1 SVT-AV1 10 crf 16": HdrCoding("av1", preset="10"),
}


def frames(height: int, width: int, count: int) -> list[np.ndarray]:
    """(H, W, 3) radiance: a picture that moves 4 px per frame, with grain."""
    rng = np.random.default_rng(0)
    truth = read_exr(sorted((CLIP / "truth").glob("*.exr"))[0])
    copies = -(-height // truth.shape[0]), -(-(width + 4 * count) // truth.shape[1]), 1
    base = np.tile(truth, copies)[:height].clip(0, 1)
    grain = 1 + 0.02 * rng.standard_normal((count, height, width, 1)).astype(np.float32)
    return [base[:, 4 * i : 4 * i + width] * grain[i] for i in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    width, height = (int(x) for x in options.size.split("x"))
    cv2.setNumThreads(options.threads)
    view = DisplayMap("bt709", 203.0 * 8)
    runs: dict[str, list[float]] = {name: [] for name in ("read EXR", "to PQ codes", "to HLG codes", *CODINGS)}
    sizes: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.exr"
        images = frames(height, width, options.frames)
        write_exr(path, images[0])
        planes = [signal_to_planes(pq_signal(view.light(image))) for image in images]
        for _ in range(options.repeats):
            for name, part in (
                ("read EXR", lambda: read_exr(path)),
                ("to PQ codes", lambda: signal_to_planes(pq_signal(view.light(images[0])))),
                ("to HLG codes", lambda: signal_to_planes(hlg_signal(np.minimum(view.light(images[0]), 1000)))),
            ):
                start = time.perf_counter()
                part()
                runs[name].append(time.perf_counter() - start)
            for name, coding in CODINGS.items():
                coding = HdrCoding(coding.codec, coding.crf, coding.preset, options.threads)
                target = Path(folder) / "video.mp4"
                start = time.perf_counter()
                with HdrVideoWriter(
                    target, Timing(Fraction(24)), (height, width), "pq", coding, levels=LightLevels(1624, 200, 2000)
                ) as video:
                    for codes in planes:
                        video.write(codes)
                runs[name].append((time.perf_counter() - start) / options.frames)
                sizes[name] = 24 * 8e-6 * target.stat().st_size / options.frames
    result = {
        "version": __version__,
        "size": [width, height],
        "frames": options.frames,
        "threads": options.threads,
        "repeats": options.repeats,
        "seconds_per_frame": {
            k: {"median": statistics.median(v), "min": min(v), "max": max(v)} for k, v in runs.items()
        },
        "megabits_per_second_at_24": sizes,
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
    }
    for name, values in runs.items():
        rate = f"{sizes[name]:.1f} Mbit/s at 24 frames/s" if name in sizes else ""
        print(f"{name:28} {statistics.median(values):.3f} s  ({min(values):.3f} to {max(values):.3f})  {rate}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
