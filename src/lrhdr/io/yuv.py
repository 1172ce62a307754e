"""Y'CbCr planes to R'G'B' and back, exactly: quantisation ranges, colour matrices and the position of chroma samples.

All values here are nonlinear (primed): no transfer function is applied. R'G'B' is in [0, 1], Y' in [0, 1], Cb and Cr in
[-1/2, 1/2]. Sources: ITU-T H.273 (code points, equations for the ranges), ITU-R BT.601, BT.709, BT.2020 (coefficients),
BT.2100 and ITU-T H.265 annex E (chroma positions).

Where chroma samples lie, for planes with half the width and / or height ("siting"):

    left      between two rows, on every second column      H.264, HEVC, AV1, VP9, MPEG-2 by default
    topleft   on every second row and column                BT.2020 / BT.2100 material
    centre    between two rows and between two columns      JPEG, MPEG-1

They are interpolated linearly to the luma positions; beyond the border the outermost sample continues.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError

Siting: TypeAlias = Literal["left", "topleft", "centre"]
Matrix: TypeAlias = Literal["bt709", "fcc", "bt601", "smpte240m", "bt2020"]
Codes: TypeAlias = NDArray[np.unsignedinteger[Any]]

COEFFICIENTS: dict[Matrix, tuple[float, float]] = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt601": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020": (0.2627, 0.0593),
}
"""(K_R, K_B) of Y' = K_R R' + (1 - K_R - K_B) G' + K_B B' (H.273, table 4)."""

_MATRIX_CODES: dict[int, Matrix] = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
_UNSPECIFIED = 2
_BT2020_PRIMARIES = 9
_HD_HEIGHT = 720  # below it untagged video is standard definition, that is BT.601 (the players' convention)


def matrix_of(code: int, *, height: int, primaries: int = _UNSPECIFIED) -> Matrix:
    """The colour matrix that a video's tags stand for.

    Args:
        code: MatrixCoefficients of H.273; 2 is "unspecified".
        height: rows as coded; decides between BT.601 (below 720) and BT.709 where nothing is specified.
        primaries: ColourPrimaries of H.273; BT.2020 primaries decide an unspecified matrix first.

    Returns:
        The matrix's name.

    Raises:
        InputError: a matrix that is not one of luma coefficients (YCgCo, constant luminance, ICtCp, ...).
    """
    if code in _MATRIX_CODES:
        return _MATRIX_CODES[code]
    if code != _UNSPECIFIED:
        raise InputError(f"colour matrix: found H.273 code {code}, expected one of {sorted(_MATRIX_CODES)} or none")
    if primaries == _BT2020_PRIMARIES:
        return "bt2020"
    return "bt601" if height < _HD_HEIGHT else "bt709"


def dequantise(codes: Codes, *, bits: int, full_range: bool, chroma: bool) -> NDArray[np.float32]:
    """Integer codes to the signal they stand for (H.273, equations 20 to 37 solved for the signal).

    Args:
        codes: one plane.
        bits: significant bits of a code.
        full_range: all codes in use, instead of 16..235 (luma) and 16..240 (chroma) of 8 bits.
        chroma: whether the plane is Cb or Cr.

    Returns:
        float32. Luma: 0 black, 1 white. Chroma: -1/2 to 1/2. Not clipped: limited range has head- and footroom.
    """
    offset, span = _range(bits, full_range=full_range, chroma=chroma)
    return (codes.astype(np.float32) - np.float32(offset)) * np.float32(1 / span)


def quantise(signal: NDArray[np.floating[Any]], *, bits: int, full_range: bool, chroma: bool) -> Codes:
    """The inverse of `dequantise`: the nearest code, clipped to the codes that exist.

    Args:
        signal: one plane, luma in [0, 1] or chroma in [-1/2, 1/2].
        bits: significant bits of a code.
        full_range: all codes in use.
        chroma: whether the plane is Cb or Cr.

    Returns:
        uint8 for 8 bits, uint16 for more.
    """
    offset, span = _range(bits, full_range=full_range, chroma=chroma)
    codes: Codes = np.clip(np.rint(signal * span + offset), 0, 2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16)
    return codes


def yuv_to_rgb(
    y: NDArray[np.float32], cb: NDArray[np.float32], cr: NDArray[np.float32], matrix: Matrix, *, clip: bool = True
) -> NDArray[np.float32]:
    """Y'CbCr signals of one resolution to R'G'B'.

    Args:
        y: (H, W), 0 to 1.
        cb: (H, W), -1/2 to 1/2.
        cr: (H, W), -1/2 to 1/2.
        matrix: whose luma coefficients.
        clip: cut off what lies outside [0, 1] (limited range has codes for it).

    Returns:
        (H, W, 3) float32.
    """
    kr, kb = COEFFICIENTS[matrix]
    kg = 1 - kr - kb
    rgb = np.empty((*y.shape, 3), dtype=np.float32)
    rgb[..., 0] = y + np.float32(2 * (1 - kr)) * cr
    rgb[..., 1] = y - np.float32(2 * kb * (1 - kb) / kg) * cb - np.float32(2 * kr * (1 - kr) / kg) * cr
    rgb[..., 2] = y + np.float32(2 * (1 - kb)) * cb
    return np.clip(rgb, 0, 1, out=rgb) if clip else rgb


def rgb_to_yuv(
    rgb: NDArray[np.float32], matrix: Matrix
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """R'G'B' to Y'CbCr signals of the same resolution.

    Args:
        rgb: (H, W, 3), 0 to 1.
        matrix: whose luma coefficients.

    Returns:
        Y' (0 to 1), Cb and Cr (-1/2 to 1/2), each (H, W) float32.
    """
    kr, kb = (np.float32(k) for k in COEFFICIENTS[matrix])
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    y = kr * red + (1 - kr - kb) * green + kb * blue
    return y, (blue - y) / (2 * (1 - kb)), (red - y) / (2 * (1 - kr))


def upsample_chroma(plane: NDArray[np.float32], size: tuple[int, int], siting: Siting) -> NDArray[np.float32]:
    """Interpolate a chroma plane linearly at the luma positions.

    Args:
        plane: (ceil(H / f), ceil(W / g)) with whole factors f and g of 1, 2 or 4.
        size: (H, W) of the luma plane.
        siting: where the chroma samples lie.

    Returns:
        (H, W) float32.
    """
    plane = _resample(plane, size[0], 0, co_sited=siting == "topleft")
    return _resample(plane, size[1], 1, co_sited=siting != "centre")


def downsample_chroma_left(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Halve a chroma plane for 4:2:0 with siting "left".

    Across: (1, 2, 1) / 4 centred on every second column. Down: the mean of two rows. Both keep a constant exactly.

    Args:
        plane: (H, W), H and W even.

    Returns:
        (H / 2, W / 2) float32.
    """
    rows = (plane[0::2] + plane[1::2]) / np.float32(2)
    before = np.concatenate([rows[:, :1], rows[:, 1:-1:2]], axis=1)
    halved: NDArray[np.float32] = (before + 2 * rows[:, 0::2] + rows[:, 1::2]) / np.float32(4)
    return halved


def downsample_chroma_topleft(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Halve a chroma plane for 4:2:0 with siting "topleft": (1, 2, 1) / 4 centred on every second row and column.

    Args:
        plane: (H, W), H and W even.

    Returns:
        (H / 2, W / 2) float32.
    """
    before = np.concatenate([plane[:1], plane[1:-1:2]])
    rows = (before + 2 * plane[0::2] + plane[1::2]) / np.float32(4)
    left = np.concatenate([rows[:, :1], rows[:, 1:-1:2]], axis=1)
    halved: NDArray[np.float32] = (left + 2 * rows[:, 0::2] + rows[:, 1::2]) / np.float32(4)
    return halved


def _range(bits: int, *, full_range: bool, chroma: bool) -> tuple[float, float]:
    """Offset and span: code = offset + span * signal."""
    if full_range:
        return (2.0 ** (bits - 1) if chroma else 0.0), 2.0**bits - 1
    scale = 2.0 ** (bits - 8)
    return (128 * scale, 224 * scale) if chroma else (16 * scale, 219 * scale)


def _resample(plane: NDArray[np.float32], length: int, axis: int, *, co_sited: bool) -> NDArray[np.float32]:
    samples = plane.shape[axis]
    if samples == length:
        return plane
    factor = next(f for f in (2, 4) if -(-length // f) == samples)
    offset = 0.0 if co_sited else (factor - 1) / 2
    position = np.clip((np.arange(length) - offset) / factor, 0, samples - 1)
    first = np.floor(position).astype(np.intp)
    weight = (position - first).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
    below = np.take(plane, first, axis=axis)
    above: NDArray[np.float32] = np.take(plane, np.minimum(first + 1, samples - 1), axis=axis)
    above -= below
    above *= weight
    above += below
    return above
