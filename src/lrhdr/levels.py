"""A clip's black and saturation codes, from pairs of frames with different exposures.

Both are told from the scene's own tones by what the other exposure says. A plateau of the long exposure is saturation
only where the short one predicts much more light there; a raised floor is black only where the long exposure does not
lift it. Where the evidence is thin the answer is 0 and 1, which changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrhdr.brightness import Sketch
from lrhdr.response import CODES, ResponseCurve

MOST_BLACK = 0.15
"""Highest black code that is looked for."""

LEAST_SATURATION = 0.5
"""Lowest saturation code that is looked for."""

_STEP = 1.0 / 1023
_NEAR = 0.03  # above the darkest pixel: room for noise
_ENOUGH = 60


class Levels(NamedTuple):
    """Codes in [0, 1].

    Attributes:
        black: of no light.
        saturation: of the full sensor.
    """

    black: float = 0.0
    saturation: float = 1.0


class Exposed(NamedTuple):
    """Two frames of one scene.

    Attributes:
        short: the darker one, sketched with the curve alone (black 0, saturation 1).
        long: the brighter one.
        ratio: of their exposures, above 1.
    """

    short: Sketch
    long: Sketch
    ratio: float


def estimate_levels(pairs: Sequence[Exposed], curve: ResponseCurve) -> Levels:
    """Estimate both levels.

    Args:
        pairs: frames next to each other, a few from all over the clip.
        curve: what their light was looked up with.

    Returns:
        The levels; black is 0 for curves whose codes have their own meaning, which know their black.
    """
    if not pairs:
        return Levels()
    return Levels(0.0 if curve.absolute else _black(pairs, curve), _saturation(pairs, curve))


def _saturation(pairs: Sequence[Exposed], curve: ResponseCurve) -> float:
    plateau = [
        pair.long.mean[pair.ratio * pair.short.mean > 1.6 * pair.long.mean] for pair in pairs if pair.ratio > 1.6
    ]
    values = np.concatenate(plateau) if plateau else np.empty(0, np.float32)
    values = values[values > _light(curve, LEAST_SATURATION)]
    if len(values) < _ENOUGH:
        return 1.0
    level = float(np.median(values))
    if float(np.median(np.abs(values - level))) > 0.04 * level:  # moving objects, not a plateau
        return 1.0
    code = _code(curve, np.array([np.percentile(values[values > 0.9 * level], 10)]))[0]
    # Up to 2 % below the end of the range the camera's own noise and the codec round saturation off.
    return 1.0 if code > 0.98 else float(round(code / _STEP) * _STEP)


def _black(pairs: Sequence[Exposed], curve: ResponseCurve) -> float:
    darkest = np.concatenate([_code(curve, x.darkest.ravel()) for pair in pairs for x in pair[:2]])
    floor = float(np.percentile(darkest, 0.02))
    if not 4 * _STEP <= floor <= MOST_BLACK:  # pixels at code 0 leave no room below
        return 0.0
    short = np.concatenate([_code(curve, pair.short.mean.ravel()) for pair in pairs if pair.ratio > 1.6])
    long = np.concatenate([_code(curve, pair.long.mean.ravel()) for pair in pairs if pair.ratio > 1.6])
    dark = short < floor + _NEAR
    unlit = dark & (np.abs(long - short) < 4 * _STEP)
    # A place that a longer exposure does not lift has no light; where most dark places are lifted, it is just dim.
    if unlit.sum() < _ENOUGH or unlit.sum() < 0.5 * dark.sum():
        return 0.0
    return float(round(np.median(short[unlit]) / _STEP) * _STEP)


def _code(curve: ResponseCurve, light: NDArray[np.float32]) -> NDArray[np.float64]:
    """Codes of light, by the green channel's table."""
    codes: NDArray[np.float64] = np.searchsorted(curve.table[:, 1], light.astype(np.float64)) / (CODES - 1)
    return codes.clip(0.0, 1.0)


def _light(curve: ResponseCurve, code: NDArray[np.float64] | float) -> NDArray[np.float64]:
    index = (np.clip(code, 0.0, 1.0) * (CODES - 1) + 0.5).astype(np.int64)
    light: NDArray[np.float64] = curve.table[:, 1][index].astype(np.float64)
    return light
