"""SDR previews: H.264 in MP4, with the conversion to 4:2:0 done here and not by FFmpeg."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.io.encoder import Encoder, Sound, StreamSettings, Timing
from lrhdr.io.yuv import Codes, downsample_chroma_left, quantise, rgb_to_yuv

BT709 = (1, 1, 1)
"""H.273 codes of primaries, transfer and matrix."""


class VideoWriter(Encoder):
    """Write an SDR preview: H.264 (libx264), 4:2:0, 8 bits, limited range, tagged BT.709; complete or absent.

    The file has a temporary name until `close`. Used as a context manager it closes on success and aborts on an
    exception. Odd sizes are continued by one row or column of the same pixels, because 4:2:0 needs even ones.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: Fraction | float,
        size: tuple[int, int],
        *,
        crf: float = 18,
        preset: str = "medium",
        times: tuple[Fraction, ...] | None = None,
        sound: Sound | None = None,
        comment: str | None = None,
    ) -> None:
        """Start a file.

        Args:
            path: the final name (MP4); its folder must exist.
            fps: frames per second.
            size: (height, width) of every frame.
            crf: libx264's constant rate factor, 0 lossless to 51; 18 is visually lossless by its authors' word.
            preset: libx264's preset, "ultrafast" to "veryslow".
            times: presentation times in seconds, one per frame; None for a constant rate.
            sound: audio to pass through.
            comment: kept in the file's metadata.

        Raises:
            InputError: a frame rate or size that is not positive, or audio that cannot be read.
            OutputError: the file cannot be created.
        """
        rate = Fraction(fps).limit_denominator(60000)
        if rate <= 0 or min(size) < 1:
            raise InputError(f"video: expected a positive rate and size, found {fps} frames/s and {size}")
        self.size = size
        height, width = even_size(size)
        options = {"crf": f"{crf:g}", "preset": preset}
        if -(-width // 16) % 8:
            # x264's macroblock tree reads past its rows where these are no multiple of 8 macroblocks: two runs of one
            # clip then give different files (measured with build 165: 17 different files in 25 runs at 192x136).
            options["x264-params"] = "no-mbtree=1"
        settings = StreamSettings("libx264", "yuv420p", options, BT709)
        super().__init__(path, Timing(rate, times), (height, width), settings, sound=sound, comment=comment)

    def write(self, image: NDArray[np.uint8] | NDArray[np.floating[Any]]) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) R'G'B', uint8 or float in [0, 1] (clipped), BT.709 primaries, display-encoded.

        Raises:
            InputError: another size or sample type.
            OutputError: the disk is full or the like; the file is then gone.
        """
        if image.shape != (*self.size, 3) or not (image.dtype == np.uint8 or np.issubdtype(image.dtype, np.floating)):
            expected = f"uint8 or float {(*self.size, 3)}"
            raise InputError(f"{self.path}: expected frames of {expected}, found {image.dtype} {image.shape}")
        rgb = image.astype(np.float32)
        self.put(planes_of_rgb(rgb / np.float32(255) if image.dtype == np.uint8 else rgb))


def planes_of_rgb(rgb: NDArray[np.float32]) -> list[Codes]:
    """Codes of an (H, W, 3) R'G'B' image (clipped to [0, 1]): 4:2:0, 8 bits, BT.709, limited range; sides made even."""
    y, cb, cr = rgb_to_yuv(pad_to_even(np.clip(rgb, 0, 1)), "bt709")
    chroma = [quantise(downsample_chroma_left(c), bits=8, full_range=False, chroma=True) for c in (cb, cr)]
    return [quantise(y, bits=8, full_range=False, chroma=False), *chroma]


def even_size(size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) that 4:2:0 takes: odd sides are one longer."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def pad_to_even(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Continue an (H, W, C) image of odd size by one row or column of the same pixels."""
    padding = ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0))
    return np.pad(image, padding, mode="edge") if padding != ((0, 0), (0, 0), (0, 0)) else image
