"""OpenEXR out, and its headers in, through the official bindings; `images.read_hdr` reads the pixels.

Scene-linear RGB, or named layers, as half floats in one scanline part, with chromaticities and further attributes. The
file is built in memory and then written by Python, because the bindings report no error when the disk fills up while
they write (seen with 3.5: writing to a full device "succeeds"). Pixels are not read with these bindings either: of a
truncated file they print a warning and go on without pixels.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.io.atomic import write_bytes
from lrhdr.timecode import Timecode

Compression: TypeAlias = Literal["zip", "piz", "dwaa", "none"]
Attribute: TypeAlias = str | int | float | Fraction | Timecode | tuple[float, ...] | list[float]

HALF_MAX = 65504.0
"""The largest finite half float (IEEE 754 binary16)."""

_ROWS = 64  # converted at once: in the cache

_COMPRESSIONS: dict[str, Any] = {
    "zip": OpenEXR.ZIP_COMPRESSION,
    "piz": OpenEXR.PIZ_COMPRESSION,
    "dwaa": OpenEXR.DWAA_COMPRESSION,
    "none": OpenEXR.NO_COMPRESSION,
}


def encode_exr(
    image: NDArray[np.floating[Any]],
    attributes: Mapping[str, Attribute] | None = None,
    compression: Compression = "zip",
) -> bytes:
    """The bytes of an OpenEXR file with half-float RGB.

    Args:
        image: linear radiance, (H, W, 3), finite. Magnitudes above 65504 are clamped to it (half's largest number).
        attributes: header entries. A str, int, float, `Fraction` (stored as a rational), `Timecode` or a sequence of
            floats; `chromaticities` takes the eight numbers rx, ry, gx, gy, bx, by, wx, wy.
        compression: "zip" and "piz" and "none" are lossless; "dwaa" is lossy (about 0.7 % mean error).

    Returns:
        The whole file.

    Raises:
        InputError: wrong shape, NaN or infinity in the image, an unknown compression, or an attribute of another type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"EXR: expected an image of shape (H, W, 3), found {image.shape}")
    return _encode({"RGB": _half(image, "the image")}, attributes, compression)


def encode_exr_layers(
    layers: Mapping[str, NDArray[np.floating[Any]]],
    attributes: Mapping[str, Attribute] | None = None,
    compression: Compression = "zip",
) -> bytes:
    """The bytes of an OpenEXR file of named layers, half floats, in one part (which every reader takes).

    Args:
        layers: name to array, all of one size. (H, W, 3) under "name" gives the channels name.R, name.G, name.B;
            (H, W) under "name.channel" gives that channel.
        attributes: as in `encode_exr`.
        compression: a lossless one; "dwaa" is refused, because its error is made for pictures and not for masks.

    Returns:
        The whole file.

    Raises:
        InputError: no layer, shapes that differ, NaN or infinity, a lossy compression, or a bad attribute.
    """
    if compression == "dwaa":
        raise InputError("EXR layers: expected a lossless compression for masks (zip, piz, none), found 'dwaa'")
    sizes = {array.shape[:2] for array in layers.values()}
    if len(sizes) != 1 or any(a.ndim not in (2, 3) or a.shape[2:] not in ((), (3,)) for a in layers.values()):
        raise InputError(f"EXR layers: expected (H, W) or (H, W, 3) of one size, found {sorted(sizes)}")
    channels = {name: _half(array, name) for name, array in layers.items()}
    return _encode(channels, attributes, compression)


def _half(image: NDArray[np.floating[Any]], name: str) -> NDArray[np.float16]:
    half = np.empty(image.shape, dtype=np.float16)
    for start in range(0, len(image), _ROWS):  # copies of a whole frame of 3840x2160 would be 100 MB each
        rows = image[start : start + _ROWS]
        if not np.isfinite(rows).all():
            raise InputError(f"EXR: {name} holds NaN or infinite values, expected finite ones")
        half[start : start + _ROWS] = np.clip(rows, -HALF_MAX, HALF_MAX)
    return half


def _encode(
    channels: Mapping[str, NDArray[np.float16]], attributes: Mapping[str, Attribute] | None, compression: Compression
) -> bytes:
    if compression not in _COMPRESSIONS:
        raise InputError(f"EXR compression: expected one of {', '.join(get_args(Compression))}, found {compression!r}")
    header: dict[str, Any] = {"compression": _COMPRESSIONS[compression], "type": OpenEXR.scanlineimage}
    for key, value in (attributes or {}).items():
        header[key] = _attribute(key, value)
    stream = io.BytesIO()
    OpenEXR.File(header, dict(channels)).write(stream)
    return stream.getvalue()


def write_exr(
    path: str | os.PathLike[str],
    image: NDArray[np.floating[Any]],
    attributes: Mapping[str, Attribute] | None = None,
    compression: Compression = "zip",
) -> None:
    """Write linear radiance as an OpenEXR file, atomically; see `encode_exr` for the arguments.

    Encoding releases the interpreter lock, so a thread can write while the next frame is computed.

    Args:
        path: the file; its folder must exist.
        image: linear radiance, (H, W, 3), finite.
        attributes: header entries.
        compression: "zip", "piz", "dwaa" or "none".

    Raises:
        InputError: see `encode_exr`.
        OutputError: the file cannot be written; nothing is left behind.
    """
    write_bytes(path, encode_exr(image, attributes, compression))


def read_exr_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The header of an OpenEXR file: attribute name to value; rationals come back as `Fraction`.

    Args:
        path: the file.

    Returns:
        The attributes of its first part.

    Raises:
        InputError: missing, or not an OpenEXR file.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file}: expected an OpenEXR file, found {'a folder' if file.is_dir() else 'nothing'}")
    try:
        return dict(OpenEXR.File(str(file), header_only=True).header())
    except Exception as error:  # the bindings raise RuntimeError, ValueError or their own type
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{file}: expected an OpenEXR file, found a damaged or unsupported one ({reason})") from error


def _attribute(key: str, value: Any) -> Any:
    if isinstance(value, Timecode):
        return _timecode(value)
    if isinstance(value, tuple | list):
        if key == "chromaticities" and len(value) != 8:
            raise InputError(f"EXR attribute chromaticities: expected 8 numbers, found {len(value)}")
        numbers = [float(v) for v in value]
        return tuple(numbers) if key == "chromaticities" else numbers
    if isinstance(value, bool) or not isinstance(value, str | int | float | Fraction):
        raise InputError(f"EXR attribute {key}: expected text, a number or numbers, found {type(value).__name__}")
    return value


def _timecode(value: Timecode) -> Any:
    """OpenEXR's TimeCode. Above 30 frames per second it counts pairs, the field flag tells which of the two."""
    code = OpenEXR.TimeCode()
    code.hours, code.minutes, code.seconds, frames = value.fields
    pairs = value.base > 30
    code.frame = frames // 2 if pairs else frames
    code.fieldPhase = bool(pairs and frames % 2)
    code.dropFrame = value.drop
    return code
