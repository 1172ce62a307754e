"""One frame between two image files: read a pair, interpolate, write. The main job's first step, alone.

Files with integer samples are gamma-encoded and are interpolated as they are. Files with float samples are linear: the
pair is divided by its largest value where that exceeds 1, encoded with gamma 1/2.2, interpolated, and brought back.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.interpolate import get_interpolator
from lrhdr.io.atomic import write_bytes
from lrhdr.io.images import read_hdr, read_info, read_ldr, write_exr, write_png
from lrhdr.pipeline import set_threads, usable_device
from lrhdr.radiometry import GAMMA

Array = NDArray[np.float32]

OUTPUT_SUFFIXES = (".png", ".tif", ".tiff", ".exr")


@dataclass(frozen=True)
class PairResult:
    """What was done.

    Attributes:
        path: the file written.
        size: (height, width) in pixels.
        interpolator: its name.
        fraction: time of the frame between the two.
    """

    path: Path
    size: tuple[int, int]
    interpolator: str
    fraction: float


def interpolate_files(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    fraction: float = 0.5,
    interpolator: str = "dis",
    gain: float = 1.0,
    threads: int | None = None,
    device: str = "cpu",
) -> PairResult:
    """Make the frame between two frames of one exposure.

    Args:
        first: PNG, TIFF, JPEG, EXR or HDR file.
        second: the later frame, of the same kind and size.
        output: `.png` or `.tif` (gamma-encoded; 8 bits if both frames have 8, else 16) or `.exr` (linear, half float).
        fraction: its time, 0 = `first`, 1 = `second`.
        interpolator: its name.
        gain: linear-light gain under which motion is estimated, for dark frames.
        threads: compute threads; None leaves them.
        device: where to compute.

    Returns:
        What was done.

    Raises:
        InputError: files that cannot be read or do not fit together, an unknown interpolator or suffix, values out of
            range.
        WeightsError: the interpolator's weights are not in the cache.
        OutputError: the result cannot be written.
    """
    target = Path(output)
    if target.suffix.lower() not in OUTPUT_SUFFIXES:
        raise InputError(f"{target}: expected a name ending in {', '.join(OUTPUT_SUFFIXES)}, found {target.suffix!r}")
    if target.resolve() in {Path(first).resolve(), Path(second).resolve()}:
        raise InputError(f"{target}: is an input; expected another place")
    infos = [read_info(path) for path in (first, second)]
    if infos[0].size != infos[1].size:
        found, expected = (f"{width}x{height}" for height, width in (infos[1].size, infos[0].size))
        raise InputError(f"{infos[1].path}: found {found} pixels, expected {expected} as in {infos[0].path}")
    if infos[0].is_linear != infos[1].is_linear:
        raise InputError(f"{infos[1].path}: found {infos[1].sample} samples, expected the kind of {infos[0].path}")
    place = usable_device(device)
    if threads is not None:
        set_threads(threads)
    made_by = get_interpolator(interpolator)
    frames, scale = _encoded_linear(first, second) if infos[0].is_linear else ([read_ldr(first), read_ldr(second)], 1.0)
    tensors = [torch.from_numpy(frame).permute(2, 0, 1)[None].to(place) for frame in frames]
    made = made_by(tensors[0], tensors[1], fraction, gain=gain)[0].permute(1, 2, 0).cpu().numpy()
    eight = all(info.sample == "uint8" for info in infos)
    _write(target, np.ascontiguousarray(made, dtype=np.float32), scale, np.uint8 if eight else np.uint16)
    return PairResult(target, infos[0].size, made_by.name, fraction)


def _encoded_linear(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> tuple[list[Array], float]:
    """Gamma-encoded frames in [0, 1] of two linear files, and the linear value that 1.0 stands for."""
    images = [np.maximum(read_hdr(path), np.float32(0.0)) for path in (first, second)]
    scale = max(1.0, *(float(image.max()) for image in images))
    return [np.power(image / np.float32(scale), np.float32(1.0 / GAMMA)) for image in images], scale


def _write(path: Path, encoded: Array, scale: float, sample: type[np.uint8] | type[np.uint16]) -> None:
    """Write a gamma-encoded frame as its name says."""
    suffix = path.suffix.lower()
    linear = np.power(encoded, np.float32(GAMMA)) * np.float32(scale)
    if suffix == ".exr":
        write_exr(path, linear)
        return
    if scale > 1.0:
        encoded = np.power(np.minimum(linear, np.float32(1.0)), np.float32(1.0 / GAMMA))
    top = np.float32(np.iinfo(sample).max)
    codes = np.rint(encoded * top).astype(sample)
    if suffix == ".png":
        write_png(path, codes)
        return
    # In memory first: a full disk is then an error here and not a message of the library.
    done, data = cv2.imencode(".tif", codes[..., ::-1])
    assert done, "the TIFF encoder takes RGB of 8 and 16 bits"
    write_bytes(path, data.tobytes())
