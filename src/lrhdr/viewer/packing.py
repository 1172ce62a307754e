"""Pixels for the page: quantised with a stated error, predicted, deflated, and wrapped for a page opened from disk.

A *pack* is a header (JSON, preceded by its length as uint32, little-endian) followed by the bytes of its planes. Every
plane says how to get its values back:

- `log`: linear radiance, signed, `code = round(log(1 + μ|x|) / step)`, μ = 5000: even steps in the T domain. The error
  is at most `(e^(step/2) - 1) (|x| + 1/μ)`: a share of the value, and a small constant in the dark.
- `code`: gamma-encoded LDR, `code = round(255 x / step)`, read as `code step / 255`.
- `share`: votes, `code = round(levels x)`, at least 1 where x > 0, so that exact zeros stay exact.
- `half`: linear radiance as the bits of half floats, as in the EXR files; nothing is lost.

The first three are coded losslessly from there on: three channels become green and differences to it, a plane may be
a difference to another one, then the median predictor of LOCO-I (Weinberger, Seroussi and Sapiro, IEEE Transactions
on Image Processing 2000, eq. 1) and deflate. All integer arithmetic wraps at 16 bits, here and in `web/codec.js`.

A page opened from disk may not read files, but it may run scripts: `wrap` writes a pack as a script that holds one
string of 15 bits per character. It is UTF-16 with a byte order mark, which every browser obeys before anything else.
"""

from __future__ import annotations

import json
import math
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError

LOG_GAIN = 5000.0
"""μ of the tone map (`lrhdr.tonemap.MU`): even steps where the metrics look."""

HALF_MAX = 65504.0

_CHARACTER_BASE = 0x0100
"""First character of the 2^15 that stand for 15 bits: no control character, quote, backslash or surrogate is one."""

Codes = NDArray[np.int16]


@dataclass(frozen=True)
class Plane:
    """An image, quantised.

    Attributes:
        codes: (H, W, C) int16 (bits of half floats for "half").
        coding: "log", "code", "share" or "half".
        step: of "log" and "code"; 1 / levels of "share"; 0 of "half".
        reduce: side of the blocks of pixels of which the codes hold the mean.
    """

    codes: Codes
    coding: str
    step: float
    reduce: int = 1

    def values(self) -> NDArray[np.float32]:
        """What a reader of the codes gets, (H, W, C)."""
        if self.coding == "half":
            return self.codes.view(np.float16).astype(np.float32)
        codes = self.codes.astype(np.float64)
        if self.coding == "log":
            return (np.sign(codes) * np.expm1(np.abs(codes) * self.step) / LOG_GAIN).astype(np.float32)
        scale = self.step / 255.0 if self.coding == "code" else self.step
        return (codes * scale).astype(np.float32)


def log_plane(radiance: NDArray[np.floating[Any]], step: float, reduce: int = 1) -> Plane:
    """Quantise linear radiance in even steps of the T domain.

    Args:
        radiance: (H, W, C), finite; magnitudes above 65504 are clamped.
        step: in units of log(1 + μx).
        reduce: as in `Plane`; means are taken in linear light.
    """
    x = block_mean(radiance.astype(np.float64), reduce).clip(-HALF_MAX, HALF_MAX)
    codes = np.sign(x) * np.rint(np.log1p(LOG_GAIN * np.abs(x)) / step)
    return Plane(codes.astype(np.int16), "log", step, reduce)


def log_error(step: float) -> tuple[float, float]:
    """Bound of the error of a "log" plane: (share of the value, constant), the two to be added."""
    share = math.expm1(step / 2.0)
    return share, share / LOG_GAIN


def code_plane(ldr: NDArray[np.floating[Any]], step: int) -> Plane:
    """Quantise gamma-encoded LDR, (H, W, C) in [0, 1], to every `step`-th of 256 codes."""
    return Plane(np.rint(ldr.astype(np.float64) * (255.0 / step)).astype(np.int16), "code", float(step))


def share_plane(weights: NDArray[np.floating[Any]], levels: int, reduce: int = 1) -> Plane:
    """Quantise votes, (H, W, K) in [0, 1]; what is above 0 stays above 0."""
    x = block_mean(weights.astype(np.float64), reduce)
    codes = np.rint(x * levels)
    return Plane(np.where((x > 0.0) & (codes < 1.0), 1.0, codes).astype(np.int16), "share", 1.0 / levels, reduce)


def half_plane(radiance: NDArray[np.floating[Any]]) -> Plane:
    """Keep linear radiance, (H, W, C), as half floats."""
    half = np.ascontiguousarray(radiance.clip(-HALF_MAX, HALF_MAX), dtype=np.float16)
    return Plane(half.view(np.int16), "half", 0.0)


def block_mean(image: NDArray[np.floating[Any]], side: int) -> NDArray[Any]:
    """Means over blocks of `side` x `side` pixels; blocks at the right and bottom border may be smaller.

    Args:
        image: (H, W, C).
        side: 1 returns the image itself.

    Returns:
        (ceil(H / side), ceil(W / side), C).
    """
    if side == 1:
        return image
    height, width = image.shape[:2]
    rows, columns = np.arange(0, height, side), np.arange(0, width, side)
    sums = np.add.reduceat(np.add.reduceat(image, rows, axis=0), columns, axis=1)
    counts = np.diff(np.append(rows, height))[:, None] * np.diff(np.append(columns, width))[None, :]
    return np.asarray(sums / counts[..., None])


def pack(planes: Mapping[str, Plane], about: Mapping[str, Any] | None = None, base: str | None = None) -> bytes:
    """Planes and what there is to say about them, in one piece.

    Args:
        planes: name to plane.
        about: anything that JSON can hold.
        base: name of a "log" plane from which the other "log" planes are coded as differences; it comes first, and
            their steps are multiples of its own.

    Returns:
        The pack.
    """
    entries, chunks = [], []
    for name, plane in planes.items():
        refer = base if base is not None and name != base and plane.coding == "log" else None
        entry: dict[str, Any] = {
            "name": name,
            "shape": list(plane.codes.shape),
            "coding": plane.coding,
            "step": plane.step,
            "reduce": plane.reduce,
            "base": refer,
        }
        if plane.coding == "half":
            data, entry["bytes"], entry["high"] = plane.codes.tobytes(), plane.codes.nbytes, False
        else:
            codes = plane.codes if refer is None else _wrap16(plane.codes - _base_codes(planes[refer], plane))
            low, high = _residual(codes)
            entry["high"] = bool(high.any())
            data = zlib.compress((low.tobytes() + high.tobytes()) if entry["high"] else low.tobytes(), 6)
            entry["bytes"] = len(data)
        entries.append(entry)
        chunks.append(data)
    header = json.dumps({"about": dict(about or {}), "planes": entries}, separators=(",", ":")).encode()
    return b"".join((struct.pack("<I", len(header)), header, *chunks))


def header(data: bytes) -> dict[str, Any]:
    """The header of a pack: "about", and "planes" in order.

    Raises:
        InputError: not a pack.
    """
    try:
        (length,) = struct.unpack_from("<I", data)
        found: dict[str, Any] = json.loads(data[4 : 4 + length])
        found["planes"][0]["bytes"], found["about"]
        return found
    except (struct.error, ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError("report data: expected a pack of planes, found something else") from error


def wrap(name: str, data: bytes) -> bytes:
    """A pack as a script that hands it to the page.

    Args:
        name: under which the page asked for it.
        data: the pack.
    """
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    groups = np.pad(bits, (0, -len(bits) % 15)).reshape(-1, 15)
    values = np.packbits(np.pad(groups, ((0, 0), (1, 0))), axis=1).view(">u2")[:, 0].astype(np.uint32) + _CHARACTER_BASE
    head, tail = f'LRHDR.deliver("{name}",{len(data)},"', '");\n'
    return b"\xff\xfe" + head.encode("utf-16-le") + values.astype("<u2").tobytes() + tail.encode("utf-16-le")


def unwrap(path: Path) -> bytes:
    """The pack in a script that `wrap` made.

    Raises:
        InputError: it cannot be read, or is something else.
    """
    try:
        words = np.frombuffer(path.read_bytes(), "<u2")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected data of a report, found none ({error})") from error
    match = re.match(r'\ufeffLRHDR\.deliver\("[^"]*",(\d+),"', words[:200].tobytes().decode("utf-16-le", "replace"))
    if not match:
        raise InputError(f"{path}: expected data of a report, found something else")
    size = int(match[1])
    values = words[match.end() : match.end() + -(-size * 8 // 15)].astype(np.int32) - _CHARACTER_BASE
    bits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 1:]
    return np.packbits(bits.reshape(-1)).tobytes()[:size]


def _wrap16(codes: NDArray[Any]) -> Codes:
    return codes.astype(np.int64).astype(np.uint16).view(np.int16)


def _base_codes(base: Plane, plane: Plane) -> NDArray[np.int64]:
    """Codes of `base` at the step and block size of `plane`: floor of the mean over each block."""
    side = plane.reduce // base.reduce
    ratio = round(plane.step / base.step)
    height, width = base.codes.shape[:2]
    codes = base.codes.astype(np.int64)
    # Blocks at the border repeat the last row and column, so that all have the same count.
    codes = np.pad(codes, ((0, -height % side), (0, -width % side), (0, 0)), mode="edge")
    blocks = codes.reshape(codes.shape[0] // side, side, codes.shape[1] // side, side, -1).sum(axis=(1, 3))
    return np.asarray(blocks // (side * side * ratio))


def _residual(codes: Codes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Low and high bytes, (C, H, W) each, of what the predictor leaves."""
    x = codes.astype(np.int64).transpose(2, 0, 1)
    if len(x) == 3:
        x = np.stack((x[1], x[0] - x[1], x[2] - x[1]))
    x = _wrap16(x).astype(np.int64)
    left, above, corner = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    left[:, :, 1:] = x[:, :, :-1]
    above[:, 1:] = x[:, :-1]
    corner[:, 1:, 1:] = x[:, :-1, :-1]
    # First row: left; first column: above.
    above[:, 0], corner[:, 0] = left[:, 0], left[:, 0]
    left[:, 1:, 0], corner[:, 1:, 0] = above[:, 1:, 0], above[:, 1:, 0]
    low, high = np.minimum(left, above), np.maximum(left, above)
    predicted = np.where(corner >= high, low, np.where(corner <= low, high, left + above - corner))
    residual = _wrap16(x - predicted).astype(np.int64)
    zigzag = np.where(residual >= 0, 2 * residual, -2 * residual - 1).astype(np.uint16)
    return (zigzag & 255).astype(np.uint8), (zigzag >> 8).astype(np.uint8)
