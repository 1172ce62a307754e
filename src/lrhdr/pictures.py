"""Pictures of results: vote map, false-colour luminance, display views and the fixed tone map of a preview.

Everything here returns (H, W, 3) uint8 RGB, sRGB-encoded, and reads no files. Colours are fixed, so that two pictures
can be compared; they follow Okabe and Ito's palette for colour-blind readers. Votes often share a pixel between a frame
and its calibrated version, so these pairs mix to colours that no other pair gives: white and vermillion (reference) to
salmon, bluish green and yellow (interpolated) to lime; neighbours in time are blue and sky.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lrhdr.tonemap import display_tonemap

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

_REFERENCE: Colour = (242, 242, 242)
_BEFORE: tuple[Colour, Colour] = ((0, 114, 178), (0, 58, 100))
_AFTER: tuple[Colour, Colour] = ((86, 180, 233), (184, 226, 250))
_INTERPOLATED: tuple[Colour, Colour] = ((0, 158, 115), (140, 222, 194))
_CALIBRATED_REFERENCE: Colour = (213, 94, 0)
_CALIBRATED: tuple[Colour, Colour] = ((240, 228, 66), (252, 160, 36))

_LUMINANCE_709 = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
FALSE_COLOUR_STOPS = 12
"""Stops below 1.0 that the false-colour scale spans."""


@dataclass(frozen=True)
class Candidate:
    """One candidate of the vote, as a reader sees it.

    Attributes:
        name: for the legend.
        family: "input", "interpolated" or "calibrated"; a column of the legend.
        colour: sRGB, 0..255.
    """

    name: str
    family: str
    colour: Colour


def candidates(n_exposures: int, window_exposures: Sequence[float], n_candidates: int) -> tuple[Candidate, ...]:
    """Names and colours of the candidates, in the order of the weights.

    Args:
        n_exposures: N_e.
        window_exposures: relative exposures of the window's 2 N_e - 1 frames.
        n_candidates: 4 N_e - 2, or 3 N_e - 2 for a network without calibrated frames.

    Returns:
        One entry per candidate: the window's frames in time order, the interpolated frames, the calibrated frames.
    """
    n = n_exposures
    found: list[Candidate] = []
    for i in range(2 * n - 1):
        offset = i - (n - 1)
        if offset == 0:
            found.append(Candidate("reference", "input", _REFERENCE))
            continue
        side = _BEFORE if offset < 0 else _AFTER
        name = {-1: "previous", 1: "next"}.get(offset, f"t{offset:+d}") + f" ({stops_label(window_exposures[i])})"
        found.append(Candidate(name, "input", _shade(side, abs(offset) - 1, n - 1)))
    made = [f"interpolated ({stops_label(window_exposures[n - 1 - k])})" for k in range(1, n)]
    shades = range(n - 1)
    found += [Candidate(made[k], "interpolated", _shade(_INTERPOLATED, k, n - 1)) for k in shades]
    found.append(Candidate("reference", "calibrated", _CALIBRATED_REFERENCE))
    found += [Candidate(made[k], "calibrated", _shade(_CALIBRATED, k, n - 1)) for k in shades]
    return tuple(found[:n_candidates])


def vote_map(weights: NDArray[np.floating[Any]], entries: Sequence[Candidate]) -> Picture:
    """Colour each pixel by the candidates that it was made of.

    Colours are mixed in linear light in proportion to the weights: one candidate alone shows its pure colour.

    Args:
        weights: (K, H, W), >= 0, summing to 1 over K.
        entries: K candidates.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: the numbers of weights and candidates differ.
    """
    if len(entries) != weights.shape[0]:
        raise ValueError(f"vote map: expected {weights.shape[0]} candidates, found {len(entries)}")
    # A power of 2.2 stands for the sRGB curve: the mix need not be colorimetric.
    palette = (np.array([e.colour for e in entries], dtype=np.float32) / 255.0) ** 2.2
    mixed = np.einsum("khw,kc->hwc", weights.astype(np.float32), palette)
    return to_bytes(mixed.clip(0.0, 1.0) ** (1.0 / 2.2))


def false_colour(radiance: NDArray[np.floating[Any]]) -> Picture:
    """Luminance in stops below 1.0 as colour (viridis: dark blue is dark, yellow is bright).

    Args:
        radiance: (H, W, 3), linear Rec. 709.

    Returns:
        (H, W, 3) uint8; the scale runs from -`FALSE_COLOUR_STOPS` to 0 EV.
    """
    luminance = radiance.astype(np.float32) @ _LUMINANCE_709
    stops = np.log2(luminance.clip(2.0**-FALSE_COLOUR_STOPS, 1.0))
    return viridis(1.0 + stops / FALSE_COLOUR_STOPS)


def display(radiance: NDArray[np.floating[Any]], exposure_ev: float) -> Picture:
    """An SDR picture of linear radiance, by the package's fixed display curve.

    Args:
        radiance: (H, W, 3), linear Rec. 709.
        exposure_ev: gain before the curve, in stops.

    Returns:
        (H, W, 3) uint8.
    """
    return to_bytes(display_tonemap(torch.from_numpy(radiance.astype(np.float32)), exposure_ev).numpy())


def preview_exposure(radiances: Iterable[NDArray[np.floating[Any]]]) -> float:
    """One display exposure for a whole clip, so that a preview cannot flicker.

    Sends the clip's log-average luminance to 0.18, the key of Reinhard et al. (SIGGRAPH 2002, eq. 1-2), in half stops.

    Args:
        radiances: a few frames that stand for the clip, (H, W, 3) each, linear.

    Returns:
        Stops, between -4 and 12; 0 for a black clip.
    """
    total, count = 0.0, 0
    for radiance in radiances:
        luminance = radiance.astype(np.float32) @ _LUMINANCE_709
        # Below 2^-14 lies the noise of any camera; counting its exact depth would let black borders set the exposure.
        lit = luminance[(luminance > 2.0**-14) & np.isfinite(luminance)]
        total += float(np.log2(lit, dtype=np.float64).sum())
        count += lit.size
    if not count:
        return 0.0
    return min(12.0, max(-4.0, round(2.0 * (math.log2(0.18) - total / count)) / 2.0))


def display_exposures(radiance: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Display exposures (for highlights, for shadows) in half stops, at least 3 EV apart, fitted to one frame."""
    luminance = (radiance.astype(np.float32) @ _LUMINANCE_709).clip(2.0**-14)
    bright, dark = (float(v) for v in np.percentile(np.log2(luminance), (98.0, 25.0)))
    # The display curve maps 1.5 to about 80 % of the screen's code values and 0.08 to about 30 %.
    for_highlights = round(2.0 * (math.log2(1.5) - bright)) / 2.0
    for_shadows = round(2.0 * (math.log2(0.08) - dark)) / 2.0
    return for_highlights, max(for_shadows, for_highlights + 3.0)


def _shade(ends: tuple[Colour, Colour], position: int, count: int) -> Colour:
    """A colour between two ends of a family; the first end alone for a family of one."""
    t = position / (count - 1) if count > 1 else 0.0
    red, green, blue = (round(a + t * (b - a)) for a, b in zip(*ends, strict=True))
    return red, green, blue


def viridis(values: NDArray[np.floating[Any]]) -> Picture:
    """(H, W) in [0, 1] to RGB."""
    codes = (values * 255.0 + 0.5).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(codes, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def to_bytes(image: NDArray[np.floating[Any]]) -> Picture:
    """Round [0, 1] to 8 bits; values outside are clipped."""
    return (image * 255.0 + 0.5).clip(0, 255).astype(np.uint8)


def ev_label(stops: float) -> str:
    """A difference in stops in words: "+3 EV"."""
    return f"{stops:+g} EV" if stops else "0 EV"


def stops_label(relative: float) -> str:
    """A relative exposure in words, in stops above the shortest: 8 is "+3 EV"."""
    return ev_label(round(math.log2(relative), 2))
