"""A soak: an hour of video's worth of frames through one `lrhdr reconstruct`, its memory sampled all the while.

    python benchmarks/soak.py --frames 86400 --json benchmarks/results/soak.json --plot docs/images/soak.png

Makes a clip of moving blurred noise at two alternating exposures (H.264, 24 frames per second), runs the installed
command on it in a process of its own, and samples that process: resident memory, open files, threads, frames written.
Needs `/proc` (Linux). Growth is the slope of a straight line through the samples after the first tenth of the frames;
the interpreter, PyTorch and its caches fill up before. With `--minutes` the run is stopped by Ctrl-C when they are
over, and the result says how many frames were run.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lrhdr import __version__

Sample = tuple[float, int, float, int, int]
"""(seconds since the start, frames written, MiB resident, open files, threads)."""


def write_clip(path: Path, count: int, width: int, height: int) -> None:
    """A clip whose frames alternate between exposures 1 and 8."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.random((4 * height, 4 * width, 3)), (0, 0), 5.0)
    scene = 0.7 * ((noise - noise.min()) / (noise.max() - noise.min())) ** 2
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "12", "preset": "ultrafast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        for i in range(count):
            x = int((0.5 + 0.5 * np.sin(i / 50.0)) * 2 * width)
            y = int((0.5 + 0.5 * np.cos(i / 70.0)) * 2 * height)
            light = scene[y : y + height, x : x + width] * (8.0 if i % 2 else 1.0)
            codes = np.rint(255.0 * light.clip(0.0, 1.0) ** (1 / 2.2)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(codes), format="rgb24")))
        container.mux(stream.encode())


def sample(process: int, start: float, frames: int) -> Sample | None:
    """What the system says of a process; None when it is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        files = len(list(Path(f"/proc/{process}/fd").iterdir()))
    except OSError:
        return None
    found = {key: re.search(rf"^{key}:\s+(\d+)", status, re.M) for key in ("VmRSS", "Threads")}
    if found["VmRSS"] is None or found["Threads"] is None:
        return None
    return time.monotonic() - start, frames, int(found["VmRSS"][1]) / 1024.0, files, int(found["Threads"][1])


def watch(
    command: list[str], written: Path, seconds: float, limit: float | None, csv: Path | None
) -> tuple[list[Sample], int]:
    """Run a command and sample it until it ends, or is stopped at the limit.

    Args:
        command: to run.
        written: pattern of the files that it writes, with the frame's number as "%06d".
        seconds: between samples.
        limit: seconds after which it gets Ctrl-C; None for never.
        csv: file to which every sample is added at once; None for none.
    """
    samples: list[Sample] = []
    frames, start, stopped = 0, time.monotonic(), False
    if csv is not None:
        csv.write_text("seconds,frames,resident_mib,open_files,threads\n")
    # A background job of a shell has Ctrl-C switched off, and hands that down.
    obey = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stderr=log, preexec_fn=obey) as process:
        while process.poll() is None:
            while Path(str(written) % frames).exists():
                frames += 1
            found = sample(process.pid, start, frames)
            if found is not None:
                samples.append(found)
                if csv is not None:
                    with csv.open("a") as file:
                        file.write(",".join(f"{x:.1f}" if isinstance(x, float) else str(x) for x in found) + "\n")
            if limit is not None and not stopped and time.monotonic() - start > limit:
                process.send_signal(signal.SIGINT)
                stopped = True
            time.sleep(seconds)
        if process.returncode not in (0, 130):
            log.seek(0)
            raise SystemExit(log.read().decode(errors="replace")[-2000:])
    return samples, process.returncode


def evaluate(samples: list[Sample]) -> dict[str, float | int]:
    """Growth of memory after the first tenth of the frames."""
    last = samples[-1][1]
    settled = [s for s in samples if last // 10 <= s[1] and s[1] > 0]
    frames = np.array([s[1] for s in settled], float)
    memory = np.array([s[2] for s in settled])
    slope = float(np.polyfit(frames, memory, 1)[0]) if np.ptp(frames) > 0 else float("nan")
    return {
        "frames": last,
        "minutes": round(samples[-1][0] / 60.0, 1),
        "samples": len(samples),
        "settled_from_frame": int(frames[0]),
        "resident_mib_first": round(float(memory[0]), 1),
        "resident_mib_last": round(float(memory[-1]), 1),
        "resident_mib_most": round(float(memory.max()), 1),
        "kib_per_1000_frames": round(slope * 1024.0 * 1000.0, 1),
        "open_files_most": max(s[3] for s in settled),
        "threads_most": max(s[4] for s in settled),
    }


def plot(samples: list[Sample], path: Path, title: str) -> None:
    """Resident memory over frames written, as a PNG."""
    width, height, left, top, right, bottom = 960, 420, 80, 40, 930, 360
    image = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    font, small = ImageFont.load_default(18), ImageFont.load_default(14)
    most_frames = max(1, samples[-1][1])
    most = 100.0 * np.ceil(max(s[2] for s in samples) * 1.1 / 100.0)

    def place(frames: float, memory: float) -> tuple[float, float]:
        return left + frames / most_frames * (right - left), bottom - memory / most * (bottom - top)

    for memory in np.linspace(0.0, most, 5):
        y = place(0, memory)[1]
        draw.line((left, y, right, y), fill=(222, 222, 222))
        draw.text((left - 10, y), f"{memory:.0f}", font=small, fill=(40, 40, 40), anchor="rm")
    for frames in np.linspace(0, most_frames, 7):
        x = place(frames, 0)[0]
        draw.text((x, bottom + 10), f"{frames:,.0f}", font=small, fill=(40, 40, 40), anchor="mt")
    draw.line([place(s[1], s[2]) for s in samples], fill=(40, 80, 200), width=2)
    draw.text((left, 12), title, font=font, fill=(40, 40, 40))
    draw.text(((left + right) / 2, height - 8), "frames written", font=small, fill=(40, 40, 40), anchor="mb")
    draw.text((10, top - 12), "MiB", font=small, fill=(40, 40, 40))
    image.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=86_400, help="24 frames per second for an hour")
    parser.add_argument("--size", default="48x32")
    parser.add_argument("--seconds", type=float, default=5.0, help="between samples")
    parser.add_argument("--minutes", type=float, help="stop by Ctrl-C after these")
    parser.add_argument("--options", default="--threads 1", help="of `lrhdr reconstruct`")
    parser.add_argument("--folder", type=Path, help="where clip and frames go (default: a temporary folder)")
    parser.add_argument("--csv", type=Path, help="all samples, as they come")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    width, height = (int(x) for x in options.size.split("x"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        clip, output = folder / "soak.mp4", folder / "frames"
        write_clip(clip, options.frames, width, height)
        command = [sys.executable, "-m", "lrhdr", "reconstruct", str(clip), "-o", str(output)]
        command += options.options.split()
        limit = None if options.minutes is None else 60.0 * options.minutes
        samples, status = watch(command, output / "soak.%06d.exr", options.seconds, limit, options.csv)
        written = len(list(output.glob("*.exr")))
    result = {
        "version": __version__,
        "command": f"lrhdr reconstruct soak.mp4 -o frames {options.options}",
        "size": [width, height],
        "frames_of_the_clip": options.frames,
        "frames_written": written,
        "status": status,
        **evaluate(samples),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "samples_every_s": options.seconds,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    if options.plot:
        plot(samples, options.plot, f"lrhdr reconstruct, {written:,} frames of {width}x{height}: resident memory")


if __name__ == "__main__":
    main()
