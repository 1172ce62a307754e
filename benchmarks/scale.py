"""What large jobs cost: bytes per frame and minute, time to read and write them, and the price of 10,000 hours.

    python benchmarks/scale.py --json benchmarks/results/scale.json [--clip hdr.mov ...]     measures
    python benchmarks/scale.py --model benchmarks/results/scale.json                         prints tables

Method: a mosaic of a ground-truth frame of the bundled clip, moved by 4 px per frame, clean and with a grain of 2 %
(`delivery.py` makes it), and any HDR clip that is named. EXR: bytes, and core-seconds to write and to read, of half
float frames by compression, medians. HDR10: bytes of the whole file per frame (`lrhdr encode`'s defaults). Opening:
core-seconds to open a folder of PNG frames, per frame in it; skipping: frames of H.264 that one core decodes per second
to get to a shard. Times are the processor's, because the machine had other work to do.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from delivery import frames as mosaic

from lrhdr import __version__
from lrhdr.colour import COLORSPACES
from lrhdr.io.encoder import Timing
from lrhdr.io.exr import write_exr
from lrhdr.io.hdr_writer import HdrCoding
from lrhdr.io.images import read_exr, write_png
from lrhdr.io.sources import open_frames
from lrhdr.io.video import VideoReader, VideoWriter
from lrhdr.transfer import linearise
from lrhdr.videos import FrameClip, write_hdr10

SIZES = {"4K": (2160, 3840), "1080p": (1080, 1920)}
RATE = 24
HOURS = 10_000
SPEED = Path(__file__).parent / "results" / "speed.json"


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time, all threads together: other work on the machine leaves it as it is."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def measure(images: list[np.ndarray], folder: Path) -> dict[str, Any]:
    """Bytes and seconds of one clip of (H, W, 3) radiance."""
    found: dict[str, Any] = {"size": list(images[0].shape[:2]), "frames": len(images)}
    for compression in ("none", "piz", "dwaa", "zip"):
        # One frame tells what a compression does; all frames are needed for the video.
        taken = images if compression == "zip" else images[:1]
        sizes, writing, reading = [], [], []
        for i, image in enumerate(taken):
            path = folder / f"f.{i:04d}.exr"
            writing.append(timed(lambda p=path, x=image, k=compression: write_exr(p, x, {}, k))[0])
            reading.append(timed(lambda p=path: read_exr(p))[0])
            sizes.append(path.stat().st_size)
        found[compression] = {
            "bytes": statistics.mean(sizes),
            "write_s": statistics.median(writing),
            "read_s": statistics.median(reading),
        }
    files = tuple(sorted(folder.glob("f.*.exr")))
    clip = FrameClip(files, COLORSPACES["lin_rec709"], 203.0 * 8, Timing(Fraction(RATE)))
    coding = HdrCoding("hevc", None, None, 1)
    seconds, video = timed(lambda: write_hdr10(folder / "v.mp4", clip, coding, None, lambda *_: None))
    found["hdr10"] = {"bytes": video.path.stat().st_size / len(images), "write_s": seconds / len(images)}
    video.path.unlink()
    for path in folder.glob("f.*.exr"):
        path.unlink()
    return found


def hdr_clip(path: str, count: int) -> list[np.ndarray]:
    """Radiance of the first frames of a PQ or HLG video, white at 1."""
    reader = VideoReader(path)
    made = []
    for image in reader:
        light = linearise(torch.from_numpy(image), reader.transfer).numpy()
        made.append((light / (203.0 if reader.transfer == "pq" else 0.26)).astype(np.float32))
        if len(made) == count:
            break
    return made


def opening(folder: Path) -> dict[str, float]:
    """Seconds per frame to open a folder of 1000 frames, and frames per second that are skipped in 1080p H.264."""
    small = np.zeros((16, 16, 3), np.uint8)
    pictures = folder / "pictures"
    pictures.mkdir()
    for i in range(1000):
        write_png(pictures / f"{i:05d}.png", small)
    seconds = statistics.median(timed(lambda: open_frames(pictures))[0] for _ in range(3))
    path = folder / "long.mp4"
    images = [(x**0.45 * 255).clip(0, 255).astype(np.uint8) for x in mosaic(1080, 1920, 12)]
    with VideoWriter(path, RATE, (1080, 1920)) as writer:
        for image in images:
            writer.write(image)
    source = open_frames(path)
    skipping = statistics.median(timed(lambda: next(source.frames(11)))[0] for _ in range(3))
    return {"open_s_per_frame": seconds / 1000, "skip_frames_per_s": 11 / skipping}


def model(results: Path) -> None:
    """Print the tables of docs/scale.md."""
    found, speed = json.loads(results.read_text()), json.loads(SPEED.read_text())
    wanted = {"size": [1280, 720], "exposures": 2, "cores": 1, "quality": "best", "precision": "auto"}
    (row,) = (r for r in speed["end_to_end"] if all(r[key] == value for key, value in wanted.items()))
    (width, height), each = row["size"], row["seconds"]
    print(f"one core, {width}x{height}: {each:.2f} s per frame ({1 / each:.3f} frames/s), {row['peak_gib']:.1f} GiB")
    print(f"a command of its own: {row['total'] - row['frames'] * each:.1f} s beside its frames")
    for name in [n for n in found["clips"] if n.startswith("1080p")]:
        if (other := name.replace("1080p", "4K")) not in found["clips"]:
            four = {k: {m: 4 * v for m, v in c.items()} for k, c in found["clips"][name].items() if isinstance(c, dict)}
            found["clips"][f"{other}, as 4 x 1080p"] = four
    print("\n| frames | none | zip | piz | dwaa | HDR10 |\n|---|---|---|---|---|---|")
    for name, clip in found["clips"].items():
        cells = [f"{clip[k]['bytes'] / 1e6:.1f} MB" for k in ("none", "zip", "piz", "dwaa")]
        print(f"| {name}, per frame | {' | '.join(cells)} | {clip['hdr10']['bytes'] / 1e6:.2f} MB |")
        minute = [f"{clip[k]['bytes'] * 60 * RATE / 1e9:.1f} GB" for k in ("none", "zip", "piz", "dwaa", "hdr10")]
        print(f"| {name}, per minute | {' | '.join(minute)} |")
        times = [f"{clip[k]['write_s']:.2f} / {clip[k]['read_s']:.2f} s" for k in ("none", "zip", "piz", "dwaa")]
        print(f"| {name}, write / read | {' | '.join(times)} | {clip['hdr10']['write_s']:.2f} s |")
    for name, (h, w) in SIZES.items():
        scaled, raw = each * h * w / (width * height), 3 * h * w
        print(f"{name}, by pixels: {scaled:.1f} s per frame ({1 / scaled:.2f} frames/s); raw input {raw / 1e6:.1f} MB")
    count = HOURS * 3600 * RATE
    hd = SIZES["1080p"][0] * SIZES["1080p"][1] / (width * height)
    hours = count * each * hd / 3600
    print(f"\n{HOURS} hours of 1080p: {count / 1e6:.0f} million frames, {each * hd:.2f} s each on one core (by pixels)")
    print(f"core-hours: {hours / 1e6:.2f} million; on 1000 cores {hours / 1000 / 24:.0f} days")
    for name in (n for n in found["clips"] if n.startswith("1080p")):
        clip = found["clips"][name]
        parts = [f"{k} {clip[k]['bytes'] * count / 1e15:.2f} PB" for k in ("none", "zip", "piz", "dwaa", "hdr10")]
        rate = clip["zip"]["bytes"] / (each * hd)
        print(
            f"{name}: {', '.join(parts)}; zip written at {rate / 1e6:.2f} MB/s per core, {rate / 1e6:.2f} GB/s per 1000"
        )
    about = found["opening"]
    print(f"opening: {1e3 * about['open_s_per_frame']:.3f} ms per frame")
    print(f"skipping: {about['skip_frames_per_s']:.0f} frames/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--clip", nargs="*", default=[], help="HDR video files")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--model", type=Path, metavar="JSON")
    options = parser.parse_args()
    if options.model:
        model(options.model)
        return
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    clips: dict[str, Any] = {}
    found: dict[str, Any] = {"version": __version__, "rate": RATE, "clips": clips, "cores": os.cpu_count()}
    makers: dict[str, Callable[[], list[np.ndarray]]] = {}
    for size, (height, width) in reversed(SIZES.items()):
        count = options.frames if size == "1080p" else max(2, options.frames // 2)
        makers[f"{size} grain"] = partial(mosaic, height, width, count)
        makers[f"{size} clean"] = partial(mosaic_clean, height, width, count)
    makers |= {Path(path).stem: partial(hdr_clip, path, max(2, options.frames // 2)) for path in options.clip}
    with tempfile.TemporaryDirectory() as name:
        found["opening"] = opening(Path(name))
        for title, make in makers.items():
            clips[title] = measure(make(), Path(name))
            if options.json:  # as far as it is
                options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    if options.json:
        model(options.json)


def mosaic_clean(height: int, width: int, count: int) -> list[np.ndarray]:
    """As `delivery.frames`, without grain."""
    from lrhdr.demo import CLIP

    truth = read_exr(sorted((CLIP / "truth").glob("*.exr"))[0])
    copies = -(-height // truth.shape[0]), -(-(width + 4 * count) // truth.shape[1]), 1
    base = np.tile(truth, copies)[:height].clip(0, 1)
    return [base[:, 4 * i : 4 * i + width] for i in range(count)]


if __name__ == "__main__":
    main()
