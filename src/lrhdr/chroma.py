"""Whether pictures were taken out of a video: its codec is gone from the files, its colour resolution is not.

Nearly all video stores colour once for 2 x 2 pixels (4:2:0). Brought back to R'G'B' by repetition, as FFmpeg does by
default, or by interpolation, the difference of colour within 2 x 2 pixels is far smaller than that of luma; in a
sensor's frames, demosaiced ones too, noise gives both about the same. The measure: of each aligned group of 2 x 2
pixels the difference of its diagonals (the diagonal detail of Haar's wavelet), in Cb and Cr against Y' of BT.601, less
what rounding the codes explains.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]], dtype=np.float32)
_DARK, _BRIGHT = 0.04, 0.9  # code values between which a block tells something
_GROUPS = 4  # 2 x 2 groups along the side of a block
_ENOUGH = 8  # blocks
_SHARES = (0.5, 0.75)  # of the blocks; a strong codec leaves the flatter half without any detail
_COARSE = 0.1  # of 64 clips each: sensors' 0.11 to 1.4, taken out of H.264, HEVC or ProRes by FFmpeg 0
_LEAST = 1e-3 / 255.0**2  # luma as flat as that tells nothing


def colour_detail(frame: NDArray[np.float32]) -> float:
    """Fine detail of colour over that of luma.

    Args:
        frame: (H, W, 3), gamma-encoded R'G'B' in [0, 1].

    Returns:
        0 for colour stored at half resolution, about 0.3 to 1.5 for a sensor's frames; NaN where the frame does not
        tell (too small, too dark or bright, without any detail, or grey).
    """
    side = 2 * _GROUPS
    rows, columns = (length // side * side for length in frame.shape[:2])
    x = frame[:rows, :columns]
    inside = ((x > _DARK) & (x < _BRIGHT)).all(axis=2)
    usable = inside.reshape(rows // side, side, columns // side, side).all(axis=(1, 3))
    grey = np.array_equal(x[..., 0], x[..., 1]) and np.array_equal(x[..., 1], x[..., 2])
    if int(usable.sum()) < _ENOUGH or grey:
        return math.nan
    diagonal = (x[::2, ::2] + x[1::2, 1::2] - x[1::2, ::2] - x[::2, 1::2]) @ _YCBCR.T
    power = np.square(diagonal).reshape(rows // side, _GROUPS, columns // side, _GROUPS, 3).mean(axis=(1, 3))
    for share in _SHARES:
        luma, *colour = np.maximum(np.quantile(power[usable], share, axis=0) - _rounding(x), 0.0)
        if luma > _LEAST:
            return math.sqrt(sum(colour) / luma)
    return math.nan


def _rounding(frame: NDArray[np.float32]) -> Any:
    """What rounding to 8 bits adds to the power of the difference, in Y', Cb, Cr: (3,); 0 for finer codes."""
    codes = frame * 255.0
    step = 1.0 / 255.0 if np.abs(codes - np.round(codes)).max() < 1e-3 else 0.0
    return np.square(_YCBCR * np.float32(step)).sum(axis=1) * np.float32(4.0 / 12.0)


def has_coarse_colour(frames: Iterable[NDArray[np.float32]]) -> bool:
    """Whether most frames that tell have colour at half resolution; see `colour_detail`."""
    told = [detail for frame in frames if not math.isnan(detail := colour_detail(frame))]
    return bool(told) and float(np.median(told)) < _COARSE
