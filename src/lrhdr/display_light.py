"""From scene-linear pictures to the light of an HDR display, and to PQ and HLG signals.

A picture's values mean nothing in cd/m² until somebody says which of them is *reference white*: the level of a white
sheet of paper, and of subtitles, which BT.2408 puts at 203 cd/m². `white_luminance` below is what the value 1.0 gets.
Everything here is a fixed curve of the pixel: nothing is measured from a frame, so nothing can flicker.

Arrays are (H, W, 3). Light is in cd/m², BT.2020 primaries, 0 to 10000. Signals are R'G'B' in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.colour import conversion_matrix
from lrhdr.transfer import HLG_LUMA, PQ_PEAK, eotf_pq, oetf_hlg, oetf_pq

REFERENCE_WHITE = 203.0
"""cd/m² (ITU-R BT.2408, table 1)."""

HLG_PEAK = 1000.0
"""The display that HLG is made for here, cd/m² (the nominal one of BT.2100); its system gamma is 1.2."""
_HLG_GAMMA = 1.2

Image = NDArray[np.float32]


@dataclass(frozen=True)
class DisplayMap:
    """How values of a picture become light.

    Attributes:
        primaries: of the picture, a name in `colour.CHROMATICITIES`.
        white_luminance: cd/m² of the value (1, 1, 1).
        peak: cd/m² that nothing exceeds: highlights bend smoothly towards it. None for no bend (10000 is the end of
            the scale all the same).
        source_peak: cd/m² of the brightest light in the picture, which the bend sends to `peak`.
    """

    primaries: str
    white_luminance: float
    peak: float | None = None
    source_peak: float = PQ_PEAK

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: a luminance that is not in (0, 10000], or unknown primaries.
        """
        conversion_matrix(self.primaries, "bt2020")
        if not self.white_luminance > 0:
            raise InputError(f"white luminance: expected cd/m² above 0, found {self.white_luminance:g}")
        if self.peak is not None and not 50 <= self.peak <= PQ_PEAK:
            raise InputError(f"peak luminance: expected 50 to {PQ_PEAK:g} cd/m², found {self.peak:g}")
        if not self.source_peak > 0:
            raise InputError(f"source peak: expected cd/m² above 0, found {self.source_peak:g}")

    def light(self, image: NDArray[np.floating[Any]]) -> Image:
        """Light of the display for a picture.

        Args:
            image: (H, W, 3), linear, in the map's primaries. Colours outside BT.2020 are clipped to its edge.

        Returns:
            (H, W, 3) float32, cd/m², BT.2020.
        """
        matrix = conversion_matrix(self.primaries, "bt2020") * self.white_luminance
        light: Image = np.asarray(cv2.transform(np.asarray(image, np.float32), matrix.astype(np.float32)), np.float32)
        np.clip(light, 0.0, PQ_PEAK, out=light)
        if self.peak is not None and self.peak < self.source_peak:
            gain = _lookup(_bend_table(self.peak, self.source_peak), light.max(axis=2))
            light *= gain[..., None]
            np.minimum(light, np.float32(self.peak), out=light)  # the table's rounding must not lead above the peak
        return light


def pq_signal(light: Image) -> Image:
    """Light to the PQ signal.

    Args:
        light: (H, W, 3), cd/m².

    Returns:
        (H, W, 3) float32 in [0, 1], exact to 0.1 codes of 10 bits (light is rounded to half floats on the way).
    """
    return _lookup(_pq_table(), light)


def hlg_signal(light: Image) -> Image:
    """Light of a display of `HLG_PEAK` to the HLG signal that makes it (BT.2100-2, table 5).

    Args:
        light: (H, W, 3), cd/m², BT.2020, at most `HLG_PEAK`.

    Returns:
        (H, W, 3) float32 in [0, 1], exact to 0.2 codes of 10 bits; clipped, because a bright saturated colour may need
        more light than HLG has for it.
    """
    display = light / np.float32(HLG_PEAK)
    brightness = cv2.transform(display, np.array([HLG_LUMA], np.float32))
    scene = display * _lookup(_ootf_gain_table(), np.asarray(brightness, np.float32))[..., None]
    return np.clip(_lookup(_hlg_table(), scene), 0.0, 1.0)


def bend(luminance: NDArray[np.float64], peak: float, source_peak: float) -> NDArray[np.float64]:
    """The highlight roll-off of ITU-R BT.2390 (section 5.4.1, the EETF), black level 0.

    In PQ signals relative to that of the source's peak: the identity up to the knee `1.5 m - 0.5` (m: the target peak's
    relative signal), then a Hermite spline that leaves with slope 1 and arrives at m with slope 0.

    Args:
        luminance: cd/m², any shape; above `source_peak` it is taken as that.
        peak: cd/m² of the target, below `source_peak`.
        source_peak: cd/m² that becomes `peak`.

    Returns:
        cd/m², same shape.
    """

    def signal(value: NDArray[np.float64] | float) -> NDArray[np.float64]:
        result: NDArray[np.float64] = oetf_pq(torch.as_tensor(value, dtype=torch.float64)).numpy()
        return result

    top = signal(source_peak)
    e1 = np.minimum(signal(luminance) / top, 1.0)
    m = float(signal(peak) / top)
    # Far below its source a target has its knee under 0; the curve then bends all the way from black.
    knee = max(1.5 * m - 0.5, 0.0)
    t = np.clip((e1 - knee) / (1.0 - knee), 0.0, 1.0)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * m
    bent = torch.from_numpy(np.where(e1 < knee, e1, spline) * top)
    result: NDArray[np.float64] = eotf_pq(bent).numpy()
    return result


def _lookup(table: Image, values: Image) -> Image:
    """A function of one variable from its table over all half floats: exact maths at the price of one load."""
    # Half floats hold 11 bits; the signals made of them err by less than 0.1 codes of 10 bits.
    result: Image = table[values.astype(np.float16).view(np.uint16)]
    return result


def _tabulate(function: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Image:
    """Values of a function at all half floats, by their bits; negative ones and NaN as 0, infinity as the largest."""
    halves = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float64)
    arguments = np.nan_to_num(halves, nan=0.0, posinf=65504.0, neginf=0.0).clip(min=0.0)
    return function(arguments).astype(np.float32)


@lru_cache
def _pq_table() -> Image:
    return _tabulate(lambda light: oetf_pq(torch.from_numpy(light)).numpy())


@lru_cache
def _hlg_table() -> Image:
    return _tabulate(lambda scene: oetf_hlg(torch.from_numpy(scene)).numpy())


@lru_cache
def _ootf_gain_table() -> Image:
    """`Y^((1-γ)/γ)` for Y in [0, 1]; 0 at black, where it multiplies 0."""
    exponent = (1 - _HLG_GAMMA) / _HLG_GAMMA
    return _tabulate(lambda y: np.where(y > 0, np.maximum(y, 1e-12) ** exponent, 0.0))


@lru_cache
def _bend_table(peak: float, source_peak: float) -> Image:
    """Gain of the bend by the largest of a pixel's three values."""
    return _tabulate(lambda x: np.where(x > 1e-6, bend(x, peak, source_peak) / np.maximum(x, 1e-6), 1.0))
