"""lrhdr-bench on disk, for methods that are not part of this package.

    DIR/
      bench.json                      version, seed, size, content hash, and what each clip is
      bench-2exp/<clip>/              and bench-3exp
        Exposures.txt                 stops of one period
        frame_000000.png ..           LDR frames; 8 bit, 16 bit where the camera has more than 8
        truth/frame_000000.exr ..     ground truth, half floats, 1.0 = saturation of the shortest exposure

Run your method on the frames, write one EXR or HDR per frame, and let `lrhdr evaluate bench --predictions DIR` score it
against the exact truth. Each `bench-Nexp` is also a data set for `lrhdr evaluate`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lrhdr._version import __version__
from lrhdr.checks import InputError
from lrhdr.data.bench import BENCH_FRAMES, BENCH_SEED, BENCH_SIZE, BENCH_VERSION, BenchClip, bench_clips, content_hash
from lrhdr.io.atomic import make_folder, output_error, write_bytes
from lrhdr.io.images import write_exr, write_png
from lrhdr.progress import Progress

DEFINITION = "bench.json"

# One frame per exposure, and room for a window of SSIM.
_LEAST_FRAMES, _LEAST_SIDE = 3, 16


def write_bench(
    output: Path | str,
    *,
    hdr_dir: Path | str | None = None,
    seed: int = BENCH_SEED,
    height: int = BENCH_SIZE[0],
    width: int = BENCH_SIZE[1],
    frames: int = BENCH_FRAMES,
    progress: Progress | None = None,
) -> Path:
    """Write the benchmark.

    Clips that are complete on disk are not made again: the same command goes on after a stop.

    Args:
        output: folder, made if missing.
        hdr_dir: HDR stills to make it from; None for the built-in pictures.
        seed: of everything.
        height: of the frames, pixels.
        width: of the frames, pixels.
        frames: per clip.
        progress: called after each clip.

    Returns:
        The file with the definition, which is written last.

    Raises:
        InputError: no stills in the folder, or frames that are too small or too few.
        OutputError: something cannot be written.
    """
    if min(height, width) < _LEAST_SIDE or frames < _LEAST_FRAMES:
        raise InputError(
            f"bench: expected at least {_LEAST_SIDE}x{_LEAST_SIDE} pixels and {_LEAST_FRAMES} frames, found "
            f"{width}x{height} and {frames}"
        )
    folder = Path(output)
    clips = bench_clips(hdr_dir, seed=seed, size=(height, width), n_frames=frames)
    asked = {
        "version": BENCH_VERSION,
        "seed": seed,
        "size": [height, width],
        "frames": frames,
        "stills": None if hdr_dir is None else Path(hdr_dir).name,
    }

    def written() -> Iterator[BenchClip]:
        for done, clip in enumerate(clips):
            if progress:
                progress("lrhdr-bench", done, len(clips))
            _write_clip(folder / clip.group / clip.name, clip, asked)
            yield clip
        if progress:
            progress("lrhdr-bench", len(clips), len(clips))

    definition = {
        **asked,
        "lrhdr": __version__,
        "hash": content_hash(written()),  # reads each clip once more, while it is there
        "clips": {f"{c.group}/{c.name}": _about(c) for c in clips},
    }
    path = folder / DEFINITION
    write_bytes(path, (json.dumps(definition, indent=1) + "\n").encode())
    return path


def _about(clip: BenchClip) -> dict[str, Any]:
    return {"stops": list(clip.stops), "motion": clip.motion, "noise": clip.noise, "camera": asdict(clip.camera)}


def _write_clip(folder: Path, clip: BenchClip, asked: dict[str, Any]) -> None:
    """Write a clip; `clip.json` in it says that it is complete, and of which benchmark."""
    complete = folder / "clip.json"
    about = json.dumps({**asked, **_about(clip)}, indent=1)
    try:
        if complete.is_file() and complete.read_text(encoding="utf-8") == about:
            return
        make_folder(folder / "truth")
        complete.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
    truth = clip.hdr
    ldr = clip.alternate(clip.schedule, clip.camera)
    deep = clip.camera.bit_depth > 8
    for i in range(len(truth)):
        codes = (ldr[i] * (65535.0 if deep else 255.0)).round().permute(1, 2, 0).numpy()
        frame = codes.astype(np.uint16) if deep else codes.astype(np.uint8)
        write_png(folder / f"frame_{i:06d}.png", frame)
        write_exr(folder / "truth" / f"frame_{i:06d}.exr", truth[i].permute(1, 2, 0).numpy())
    stops = "\n".join(f"{s:g}" for s in clip.stops) + "\n"
    write_bytes(folder / "Exposures.txt", stops.encode())
    write_bytes(complete, about.encode())
