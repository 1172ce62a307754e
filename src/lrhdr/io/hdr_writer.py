"""HDR10 and HLG video: 10-bit HEVC or AV1 with BT.2020 primaries, tagged as players, televisions and graders expect.

4:2:0, limited range, chroma sited "topleft" (BT.2020, BT.2100). HDR10 carries the mastering display's colour volume
(SMPTE ST 2086) and the light levels of the content (CTA-861.3) in every key frame; both must be known before the first.
HLG carries neither: it is relative to the display.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.io.encoder import Encoder, Sound, StreamSettings, Timing
from lrhdr.io.video_writer import even_size, pad_to_even
from lrhdr.io.yuv import downsample_chroma_topleft, quantise, rgb_to_yuv

ENCODERS = {"hevc": "libx265", "av1": "libsvtav1"}
"""FFmpeg's encoder by codec."""

SMALLEST = 16
"""Pixels of the smallest side that both encoders take."""

TRANSFERS = {"pq": 16, "hlg": 18}
"""H.273, table 3."""

_BT2020_PRIMARIES = _BT2020_MATRIX = 9  # H.273, tables 2 and 4 (non-constant luminance)

# Display P3 with white D65, by name in every mastering suite; the pictures of this package lie inside.
_MASTERING_XY = {"G": (0.265, 0.690), "B": (0.150, 0.060), "R": (0.680, 0.320), "WP": (0.3127, 0.3290)}
MASTERING_BLACK = 0.0001
"""Black of the mastering display, cd/m²; what graders' reference displays declare."""
MASTERING_PEAKS = (1000, 2000, 4000, 10000)
"""Peaks of the mastering displays in use, cd/m²."""


@dataclass(frozen=True)
class LightLevels:
    """What a display must know of a whole clip (CTA-861.3, annex P), cd/m².

    Attributes:
        max_cll: the largest of R, G, B of any pixel of any frame.
        max_fall: the largest frame average of the pixels' largest of R, G, B.
        mastering_peak: peak of the mastering display.
    """

    max_cll: float
    max_fall: float
    mastering_peak: float

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: not 0 <= max_fall <= max_cll, or no peak.
        """
        if not (0 <= self.max_fall <= self.max_cll and self.mastering_peak > 0):
            raise InputError(f"light levels: expected 0 <= MaxFALL <= MaxCLL and a peak above 0, found {self}")

    @property
    def codes(self) -> tuple[int, int]:
        """MaxCLL and MaxFALL as they are stored: whole cd/m², at least 1 (0 means unknown)."""
        return max(1, min(65535, round(self.max_cll))), max(1, min(65535, round(self.max_fall)))


def mastering_peak_for(max_cll: float) -> int:
    """The smallest of `MASTERING_PEAKS` that shows a clip of this MaxCLL whole."""
    return next((p for p in MASTERING_PEAKS if p >= max_cll), MASTERING_PEAKS[-1])


@dataclass(frozen=True)
class HdrCoding:
    """How an HDR video is encoded.

    Attributes:
        codec: "hevc" (10 bits, Main 10) or "av1" (10 bits, Main).
        crf: constant rate factor of x265 (0 to 51) or SVT-AV1 (1 to 63); lower is better and larger. None for a
            visually lossless one.
        preset: the encoder's speed: x265's name ("fast"), SVT-AV1's number ("8"). None for a default.
        threads: of the encoder; None for its own choice.
    """

    codec: str = "hevc"
    crf: float | None = None
    preset: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: an unknown codec or preset, or a crf out of range.
        """
        if self.codec not in ENCODERS:
            raise InputError(f"codec: expected one of {', '.join(ENCODERS)}, found {self.codec!r}")
        lowest, highest = (0, 51) if self.codec == "hevc" else (1, 63)
        if self.crf is not None and not lowest <= self.crf <= highest:
            raise InputError(f"encoder crf: expected {lowest} to {highest} for {self.codec}, found {self.crf:g}")
        known = _X265_PRESETS if self.codec == "hevc" else tuple(str(n) for n in range(14))
        if self.preset is not None and self.preset not in known:
            raise InputError(f"encoder preset: expected one of {', '.join(known)}, found {self.preset!r}")

    def settings(self, transfer: str, levels: LightLevels | None, width: int) -> StreamSettings:
        """The stream that FFmpeg's encoder makes.

        Args:
            transfer: "pq" or "hlg".
            levels: for HDR10's metadata; None for none.
            width: columns of the frames.

        Returns:
            Settings for `Encoder`.
        """
        colour = (_BT2020_PRIMARIES, TRANSFERS[transfer], _BT2020_MATRIX)
        params = self._x265(transfer, levels) if self.codec == "hevc" else self._svt(transfer, levels)
        if self.codec == "hevc" and width < 64:
            params["no-cutree"] = "1"  # with it, x265 4.2 writes outside its buffers at widths such as 34 and 48
        joined = ":".join(f"{key}={value}" for key, value in params.items())
        # The libraries write what they do straight to the terminal, if they are let.
        if self.codec == "hevc":
            options = {"crf": f"{14 if self.crf is None else self.crf:g}", "preset": self.preset or "fast"}
            return StreamSettings(
                "libx265", "yuv420p10le", {**options, "x265-params": f"log-level=error:{joined}"}, colour, "hvc1"
            )
        os.environ.setdefault("SVT_LOG", "1")
        options = {"crf": f"{16 if self.crf is None else self.crf:g}", "preset": self.preset or "8"}
        return StreamSettings("libsvtav1", "yuv420p10le", {**options, "svtav1-params": joined}, colour)

    def _x265(self, transfer: str, levels: LightLevels | None) -> dict[str, str]:
        params = {
            "repeat-headers": "1",
            "colorprim": "bt2020",
            "transfer": {"pq": "smpte2084", "hlg": "arib-std-b67"}[transfer],
            "colormatrix": "bt2020nc",
            "range": "limited",
            "chromaloc": "2",
        }
        if transfer == "pq":
            params |= {"hdr10": "1", "hdr10-opt": "1"}
        if levels is not None:
            # ST 2086 counts chromaticities in 0.00002 and luminance in 0.0001 cd/m².
            corners = "".join(f"{k}({round(x * 50000)},{round(y * 50000)})" for k, (x, y) in _MASTERING_XY.items())
            light = f"L({round(levels.mastering_peak * 10000)},{round(MASTERING_BLACK * 10000)})"
            params |= {"master-display": corners + light, "max-cll": "{},{}".format(*levels.codes)}
        if self.threads is not None:
            params["pools"] = str(self.threads)
            params["frame-threads"] = "1" if self.threads == 1 else "0"
        return params

    def _svt(self, transfer: str, levels: LightLevels | None) -> dict[str, str]:
        params = {
            "color-primaries": str(_BT2020_PRIMARIES),
            "transfer-characteristics": str(TRANSFERS[transfer]),
            "matrix-coefficients": str(_BT2020_MATRIX),
            "color-range": "0",
            "chroma-sample-position": "topleft",
        }
        if levels is not None:
            corners = "".join(f"{k}({x:g},{y:g})" for k, (x, y) in _MASTERING_XY.items())
            light = f"L({levels.mastering_peak:g},{MASTERING_BLACK:g})"
            params |= {"mastering-display": corners + light, "content-light": "{},{}".format(*levels.codes)}
        if self.threads is not None:
            params["lp"] = str(self.threads)
        return params


_X265_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip


class HdrVideoWriter(Encoder):
    """Write HDR10 or HLG video; complete or absent. Odd sizes are continued by one row or column of the same pixels."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        timing: Timing,
        size: tuple[int, int],
        transfer: str,
        coding: HdrCoding,
        *,
        levels: LightLevels | None = None,
        sound: Sound | None = None,
        comment: str | None = None,
    ) -> None:
        """Start a file.

        Args:
            path: the final name; its folder must exist. Its suffix chooses the container.
            timing: when frames are shown.
            size: (height, width) of every frame.
            transfer: "pq" or "hlg"; what `write`'s signals are.
            coding: how it is encoded.
            levels: the clip's light levels; for HDR10 they belong in the file.
            sound: audio to pass through.
            comment: kept in the file's metadata.

        Raises:
            InputError: an unknown transfer or a size that is not positive.
            OutputError: the file cannot be created.
        """
        if transfer not in TRANSFERS:
            raise InputError(f"transfer: expected one of {', '.join(TRANSFERS)}, found {transfer!r}")
        check_size(size)
        self.size = size
        even = even_size(size)
        settings = coding.settings(transfer, levels, even[1])
        super().__init__(path, timing, even, settings, sound=sound, comment=comment)

    def write(self, planes: tuple[NDArray[np.uint16], ...]) -> None:
        """Append a frame.

        Args:
            planes: what `signal_to_planes` made.

        Raises:
            OutputError: the disk is full or the like; the file is then gone.
        """
        self.put(planes)


def check_size(size: tuple[int, int]) -> None:
    """Refuse frames that the encoders do not take.

    Raises:
        InputError: a side below `SMALLEST` pixels.
    """
    if min(size) < SMALLEST:
        raise InputError(
            f"HDR video: expected frames of at least {SMALLEST}x{SMALLEST} pixels, found {size[1]}x{size[0]}"
        )


def signal_to_planes(signal: NDArray[np.float32]) -> tuple[NDArray[np.uint16], ...]:
    """R'G'B' to 10-bit codes of BT.2020 Y'CbCr 4:2:0, limited range, chroma sited "topleft".

    Args:
        signal: (H, W, 3) in [0, 1]; odd sides are continued by one row or column.

    Returns:
        Y' (H, W), Cb and Cr (H / 2, W / 2), uint16.
    """
    y, cb, cr = rgb_to_yuv(pad_to_even(signal), "bt2020")
    codes: list[Any] = [quantise(y, bits=10, full_range=False, chroma=False)]
    codes += [quantise(downsample_chroma_topleft(c), bits=10, full_range=False, chroma=True) for c in (cb, cr)]
    return tuple(codes)
