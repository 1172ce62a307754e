"""Camera raw frames (DNG and makers' formats) as linear light, through LibRaw (`pip install 'lrhdr[raw]'`).

The same development for every frame of a clip: LibRaw's defaults stretch each frame by its own brightest pixel and
white balance, which flickers and destroys the exposure ratio. Here nothing depends on the frame's content: no automatic
brightness, no scaling by the maximum (`adjust_maximum_thr = 0`), gamma 1, and one white balance for the clip, that of
its first frame. Black and saturation are the levels in each file's header, which a camera does not change between
frames. Colours are Rec. 709 primaries by the camera's matrix.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.io.images import ImageInfo

RAW_SUFFIXES = frozenset({".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".orf"})


WhiteBalance = tuple[float, float, float, float]
"""Multipliers of R, G, B and second green, the smallest 1."""


def raw_info(path: str | os.PathLike[str]) -> ImageInfo:
    """Read a raw file's header.

    Args:
        path: the file.

    Returns:
        Its size after rotation, sample type "raw", and its exposure tags.

    Raises:
        InputError: the extra `raw` is not installed, or the file is missing or no raw image.
    """
    file = Path(path)
    with _opened(file) as raw:
        sizes, other = raw.sizes, raw.other
        turned = sizes.flip in (5, 6)
        height, width = (sizes.width, sizes.height) if turned else (sizes.height, sizes.width)
        seconds, iso, f_number = (
            float(value) if value and 0 < value < math.inf else None
            for value in (other.shutter_speed, other.iso_speed, other.aperture)
        )
    return ImageInfo(file, height, width, 3, "raw", 1, seconds, iso, f_number)


def white_balance_of(path: str | os.PathLike[str]) -> WhiteBalance:
    """The white balance that a clip's first frame asks for.

    Args:
        path: the first frame.

    Returns:
        That "as shot", else for daylight, else none.

    Raises:
        InputError: see `raw_info`.
    """
    with _opened(Path(path)) as raw:
        found = [list(map(float, balance))[:3] for balance in (raw.camera_whitebalance, raw.daylight_whitebalance)]
    red, green, blue = next((balance for balance in found if min(balance) > 0), [1.0, 1.0, 1.0])
    least = min(red, green, blue)
    return red / least, green / least, blue / least, green / least


def read_raw(path: str | os.PathLike[str], white_balance: WhiteBalance) -> NDArray[np.float32]:
    """Develop a raw frame.

    Args:
        path: the file.
        white_balance: that of its clip.

    Returns:
        (H, W, 3) float32, linear Rec. 709 in [0, 1], 1 = saturation, upright.

    Raises:
        InputError: see `raw_info`; or truncated data.
    """
    file = Path(path)
    with _opened(file) as raw:
        import rawpy

        codes = raw.postprocess(
            gamma=(1, 1),
            no_auto_bright=True,
            adjust_maximum_thr=0.0,
            user_wb=list(white_balance),
            highlight_mode=rawpy.HighlightMode.Clip,
            output_color=rawpy.ColorSpace.sRGB,  # its primaries; the curve is linear
            output_bps=16,
        )
    return np.asarray(codes, np.float32) / np.float32(65535)


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """An open raw file; LibRaw's errors, which come from wherever it first reads, become an `InputError`."""
    if not file.is_file():
        raise InputError(f"{file}: expected a raw image, found {'a folder' if file.is_dir() else 'nothing'}")
    try:
        import rawpy
    except ImportError:
        raise InputError(f"{file}: raw images need rawpy: pip install 'lrhdr[raw]'") from None
    try:
        raw = rawpy.imread(str(file))
    except (rawpy.LibRawError, OSError) as error:
        raise InputError(f"{file}: found no readable raw image, expected a valid {file.suffix} file") from error
    with raw:
        try:
            yield raw
        except (rawpy.LibRawError, rawpy.NotSupportedError, OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{file}: found damaged or truncated raw data, expected a complete image") from error
