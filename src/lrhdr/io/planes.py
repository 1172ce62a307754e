"""A decoded video frame's planes: its exact code values, and their conversion to R'G'B' with `yuv`."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.io.yuv import Codes, Matrix, Siting, dequantise, upsample_chroma, yuv_to_rgb

_LIMITED_RANGE = 1  # AVCOL_RANGE_MPEG
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_PLANAR = re.compile(r"(?P<kind>yuvj?|yuva|gray|gbrp|gbrap)(?P<chroma>4[0-4]{2})?p?(?P<bits>9|1[0-6])?(?:le)?")
_PACKED = {  # order of R, G, B in a pixel, channels in a pixel, bits
    "rgb24": ((0, 1, 2), 3, 8),
    "bgr24": ((2, 1, 0), 3, 8),
    "rgba": ((0, 1, 2), 4, 8),
    "rgb0": ((0, 1, 2), 4, 8),
    "bgra": ((2, 1, 0), 4, 8),
    "bgr0": ((2, 1, 0), 4, 8),
    "argb": ((1, 2, 3), 4, 8),
    "0rgb": ((1, 2, 3), 4, 8),
    "rgb48le": ((0, 1, 2), 3, 16),
}


class Planes(NamedTuple):
    """A frame's code values as decoded (before rotation), for who needs them exactly.

    Attributes:
        planes: Y', Cb, Cr (chroma at its own resolution), or R', G', B', or grey alone; uint8 or uint16.
        kind: "yuv", "rgb" or "grey".
        bits: significant bits.
        full_range: whether all codes are in use.
    """

    planes: tuple[Codes, ...]
    kind: str
    bits: int
    full_range: bool


def planes_of(frame: Any) -> Planes:
    """The code values of a decoded PyAV frame; no conversion.

    Args:
        frame: an `av.VideoFrame` of a planar YUV, planar or packed RGB, or grey format.

    Returns:
        Its planes; they are copies.

    Raises:
        InputError: another pixel format.
    """
    name = frame.format.name
    if name in _PACKED:
        order, channels, bits = _PACKED[name]
        plane = frame.planes[0]
        dtype = _dtype(bits)
        rows = np.frombuffer(plane, dtype).reshape(frame.height, -1)[:, : frame.width * channels]
        pixels = rows.reshape(frame.height, frame.width, channels)
        return Planes(tuple(pixels[..., c].copy() for c in order), "rgb", bits, True)
    match = _PLANAR.fullmatch(name)
    if match is None:
        raise InputError(f"pixel format: found {name}, expected planar YUV, RGB or grey of 8 to 16 bits")
    bits = int(match["bits"] or 8)
    dtype = _dtype(bits)
    arrays: list[Codes] = []
    for plane in frame.planes[: 1 if match["kind"] == "gray" else 3]:
        rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
        arrays.append(rows[: plane.height, : plane.width].copy())
    if match["kind"].startswith("gb"):
        return Planes((arrays[2], arrays[0], arrays[1]), "rgb", bits, True)
    full = frame.color_range == _FULL_RANGE or match["kind"] == "yuvj"
    if match["kind"] == "gray":
        return Planes((arrays[0],), "grey", bits, frame.color_range != _LIMITED_RANGE)
    return Planes(tuple(arrays), "yuv", bits, full)


def planes_to_rgb(
    planes: Planes, matrix: Matrix | None, siting: Siting, *, data_levels: bool = False
) -> NDArray[np.float32]:
    """Code values to nonlinear R'G'B'.

    Args:
        planes: the frame.
        matrix: the colour matrix; needed for "yuv" only.
        siting: where its chroma samples lie.
        data_levels: give code / largest code also for limited range (where it is 0.063 for black and 0.92 for white of
            10 bits): camera log curves are defined on it, and use the codes above nominal white.

    Returns:
        (H, W, 3) float32 in [0, 1].
    """
    bits, full = planes.bits, planes.full_range
    signals = [dequantise(p, bits=bits, full_range=full, chroma=False) for p in planes.planes[:1]]
    if planes.kind == "yuv":
        assert matrix is not None, "YUV needs a matrix"
        size = (signals[0].shape[0], signals[0].shape[1])
        cb, cr = (
            upsample_chroma(dequantise(p, bits=bits, full_range=full, chroma=True), size, siting)
            for p in planes.planes[1:]
        )
        rgb = yuv_to_rgb(signals[0], cb, cr, matrix, clip=not data_levels)
        if not data_levels:
            return rgb
        if not full:
            scale = 2.0 ** (bits - 8)
            rgb = (np.float32(16 * scale) + np.float32(219 * scale) * rgb) / np.float32(2**bits - 1)
        return np.clip(rgb, 0, 1)
    if planes.kind == "rgb":
        signals += [dequantise(p, bits=bits, full_range=full, chroma=False) for p in planes.planes[1:]]
    else:
        signals *= 3
    return np.clip(np.stack(signals, axis=-1), 0, 1)


def thin_planes(planes: Planes, step: int) -> Planes:
    """Keep every `step`-th pixel: a small picture for statistics, not for looking at.

    Args:
        planes: the frame.
        step: 1 or more.

    Returns:
        Planes of one size: chroma is taken from the nearest sample, up to one pixel off.
    """
    height, width = planes.planes[0].shape
    rows, columns = np.arange(0, height, step), np.arange(0, width, step)
    thinned = []
    for plane in planes.planes:
        down, across = (-(-height // plane.shape[0]), -(-width // plane.shape[1]))
        thinned.append(plane[np.ix_(rows // down, columns // across)])
    return planes._replace(planes=tuple(thinned))


def _dtype(bits: int) -> np.dtype[np.unsignedinteger[Any]]:
    return np.dtype(np.uint8) if bits == 8 else np.dtype("<u2")
