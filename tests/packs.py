"""What a browser does with a pack: the twin of `web/codec.js`, for small images."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrhdr.viewer.packing import Codes, Plane, _base_codes, _wrap16, header


def unpack(data: bytes) -> dict[str, Plane]:
    """The planes of a pack."""
    found = header(data)
    position = 4 + struct.unpack_from("<I", data)[0]
    planes: dict[str, Plane] = {}
    for entry in found["planes"]:
        chunk = data[position : position + entry["bytes"]]
        position += entry["bytes"]
        height, width, channels = entry["shape"]
        if entry["coding"] == "half":
            codes = np.frombuffer(chunk, np.int16).reshape(height, width, channels)
        else:
            raw = np.frombuffer(zlib.decompress(chunk), np.uint8).astype(np.uint16)
            size = height * width * channels
            residual: NDArray[Any] = raw[:size] | (raw[size:] << 8 if entry["high"] else np.uint16(0))
            codes = _restore(residual.reshape(channels, height, width))
        plane = Plane(codes, entry["coding"], entry["step"], entry["reduce"])
        if entry["base"] is not None:
            plane = Plane(
                _wrap16(codes + _base_codes(planes[entry["base"]], plane)), plane.coding, plane.step, plane.reduce
            )
        planes[entry["name"]] = plane
    return planes


def _restore(zigzag: NDArray[Any]) -> Codes:
    """Undo `_residual`: (C, H, W) to (H, W, C)."""
    wide = zigzag.astype(np.int64)
    residual = np.where(wide & 1, -(wide >> 1) - 1, wide >> 1)
    x = np.zeros_like(residual)
    channels, height, width = x.shape
    for row in range(height):
        for column in range(width):
            # All channels at once; a plain twin of the page's decoder, for small images.
            left = x[:, row, column - 1] if column else x[:, row - 1, column] if row else np.zeros(channels, np.int64)
            above = x[:, row - 1, column] if row else left
            corner = x[:, row - 1, column - 1] if row and column else (left if column else above)
            low, high = np.minimum(left, above), np.maximum(left, above)
            predicted = np.where(corner >= high, low, np.where(corner <= low, high, left + above - corner))
            x[:, row, column] = _wrap16(predicted + residual[:, row, column])
    if channels == 3:
        x = np.stack((x[0] + x[1], x[0], x[0] + x[2]))
    return np.ascontiguousarray(_wrap16(x).transpose(1, 2, 0))
