"""How much brighter one frame is than another, from the pixels: robust to motion, noise and clipping.

A frame is reduced to a sketch of linear light. Two sketches are compared block by block, each colour channel on its
own: the answer is the median of `log2(b / a)` over the blocks that both exposures can hold. A moving object changes
some blocks and a median survives it; a moving camera is undone first, by one global shift.

Which blocks may vote is decided by the *mean* of both frames' logarithms, never by one frame alone: picking blocks that
are "not clipped in b" or "not dark in a" keeps those that err in one direction, and makes every ratio too small.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS = 320
"""Cells of a sketch along the longer side of the frame. Chosen by us: cells of 4 x 4 pixels in 720p."""

BLOCK = 4
"""Cells along the side of a block. Chosen by us: 16 cells average the noise, and few blocks hold no edge."""

HIGHEST = float(np.log2(0.7))
"""log2 of the light up to which a block may vote: leaves room below clipping for noise and motion. Chosen by us."""

LOWEST = float(np.log2(0.004))
"""log2 of the light from which a block may vote: code 21 of 255 at gamma 2.2, above most noise. Chosen by us."""

LOWEST_AT_NEED = float(np.log2(0.0008))
"""The same for frames that have little else (night): code 10 of 255."""

_TINY = np.float32(2.0**-16)
_ENOUGH = 300
_AGREES = 0.15
_STILL = 0.85
_LUMA = np.array([0.25, 0.5, 0.25], np.float32)  # all that alignment needs; noise of red and blue counts less


_Blocks = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


class Sketch(NamedTuple):
    """A frame as cells of linear light; every array is float32.

    Attributes:
        mean: (h, w, 3), of the cell's pixels.
        brightest: (h, w, 3), of them: tells whether a pixel of the cell clips.
        darkest: (h, w, 3), of them.
        outline: (h, w), log2 of the grey mean, for alignment.
        blocks: log2 of the blocks' mean, brightest and darkest pixel, each flat.
    """

    mean: NDArray[np.float32]
    brightest: NDArray[np.float32]
    darkest: NDArray[np.float32]
    outline: NDArray[np.float32]
    blocks: _Blocks


class Comparison(NamedTuple):
    """How much brighter the second of two frames is.

    Attributes:
        stops: log2 of the ratio; nan where nothing can be compared.
        agreement: share of the voting blocks within 0.15 stops of it: near 1 for a still scene, small across a cut.
        votes: how many blocks voted (a block votes once per colour channel).
        change: median of `|difference - stops|` over them, in stops: how different the frames are otherwise.
    """

    stops: float
    agreement: float
    votes: int
    change: float


NOTHING = Comparison(float("nan"), 0.0, 0, float("nan"))
"""Two frames that have no well-exposed block in common."""


def sketch(linear: NDArray[np.float32]) -> Sketch:
    """Reduce a frame.

    Args:
        linear: (H, W, 3), linear light in [0, 1], 1 = saturation of this frame.

    Returns:
        Its cells; the same number for every frame of a clip.
    """
    step = max(1, -(-max(linear.shape[:2]) // CELLS))
    rows, columns = (max(1, side // step) for side in linear.shape[:2])
    whole = linear[: rows * step, : columns * step]
    if step == 1:
        mean = brightest = darkest = np.ascontiguousarray(whole)
    else:
        mean = np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
        brightest, darkest = _pool(whole, step, np.maximum), _pool(whole, step, np.minimum)
    outline = np.log2(np.maximum(mean @ _LUMA, _TINY))
    return Sketch(mean, brightest, darkest, outline, _blocks(mean, brightest, darkest))


def compare(first: Sketch, second: Sketch) -> Comparison:
    """Compare the light of two frames of one size.

    Args:
        first: one frame.
        second: another one.

    Returns:
        How much brighter the second one is, with the camera's motion undone where that makes the blocks agree better.
    """
    plain = _compare(first.blocks, second.blocks)
    if plain.agreement >= _STILL or not plain.votes or min(first.outline.shape) < 16:
        return plain
    down, right = _shift(first.outline, second.outline, plain.stops)
    if (down, right) == (0, 0):
        return plain
    height, width = first.outline.shape
    here = slice(max(0, -down), height - max(0, down)), slice(max(0, -right), width - max(0, right))
    there = slice(max(0, down), height - max(0, -down)), slice(max(0, right), width - max(0, -right))
    moved = _compare(_blocks(*(cells[here] for cells in first[:3])), _blocks(*(cells[there] for cells in second[:3])))
    return moved if moved.agreement > plain.agreement else plain


def tilt(first: Sketch, second: Sketch, stops: float) -> float:
    """How much the ratio of two frames differs between their bright and their dark places.

    0 for a still scene that was decoded with the right response curve (or a power of it, which no two frames tell).

    Args:
        first: one frame.
        second: another one, not moved.
        stops: log2 of their ratio.

    Returns:
        Median of `log2(b / a)` over the brighter half of the blocks that both hold, less that over the darker half;
        nan where there are too few.
    """
    means, brightest, darkest = zip(first.blocks, second.blocks, strict=True)
    high, low = 0.5 * (brightest[0] + brightest[1]), 0.5 * (darkest[0] + darkest[1])
    held = (high < HIGHEST - abs(stops) / 2) & (low > LOWEST_AT_NEED + abs(stops) / 2)
    if held.sum() < min(_ENOUGH, high.size // 8) or not held.any():
        return float("nan")
    difference, middle = (means[1] - means[0])[held], (0.5 * (means[0] + means[1]))[held]
    bright = middle > np.median(middle)
    if not bright.any():
        return float("nan")
    return float(np.median(difference[bright]) - np.median(difference[~bright]))


def _compare(first: _Blocks, second: _Blocks) -> Comparison:
    means, brightest, darkest = zip(first, second, strict=True)
    difference = means[1] - means[0]
    high, low = 0.5 * (brightest[0] + brightest[1]), 0.5 * (darkest[0] + darkest[1])
    votes = (np.maximum(*brightest) < HIGHEST) & (np.minimum(*darkest) > LOWEST_AT_NEED)
    stops = float(np.median(difference[votes])) if votes.any() else 0.0
    for _ in range(8):
        # The window of the blocks that vote depends on the ratio, and the ratio on the blocks that vote.
        votes = _voters(low, high, abs(stops))
        if not votes.any():
            return NOTHING
        updated = float(np.median(difference[votes]))
        done = abs(updated - stops) < 1e-3
        stops = updated
        if done:
            break
    apart = np.abs(difference[votes] - stops)
    return Comparison(stops, float((apart < _AGREES).mean()), int(votes.sum()), float(np.median(apart)))


def _blocks(mean: NDArray[np.float32], brightest: NDArray[np.float32], darkest: NDArray[np.float32]) -> _Blocks:
    """log2 of the mean, brightest and darkest of every block of cells, flat; small frames keep their cells."""
    side = BLOCK if min(mean.shape[:2]) >= 8 * BLOCK else 1
    average = _pool(mean, side, np.add) / np.float32(side * side)
    extremes = _pool(brightest, side, np.maximum), _pool(darkest, side, np.minimum)
    first, second, third = (np.log2(np.maximum(x, _TINY)).reshape(-1) for x in (average, *extremes))
    return first, second, third


def _pool(x: NDArray[np.float32], side: int, how: np.ufunc) -> NDArray[np.float32]:
    """Reduce squares of pixels, rows first (whole rows at a time are fast)."""
    rows, columns = (length // side for length in x.shape[:2])
    tall = how.reduce(x[: rows * side, : columns * side].reshape(rows, side, columns * side, 3), axis=1)
    pooled: NDArray[np.float32] = how.reduce(tall.reshape(rows, columns, side, 3), axis=2)
    return pooled


def _voters(low: NDArray[np.float32], high: NDArray[np.float32], stops: float) -> NDArray[np.bool_]:
    """Blocks that both exposures hold, `stops` apart; of these, the brightest, which have the least noise."""
    held = high < HIGHEST - stops / 2
    votes = held & (low > LOWEST + stops / 2)
    if votes.sum() < min(_ENOUGH, high.size // 8):
        votes = held & (low > LOWEST_AT_NEED + stops / 2)
    count = int(votes.sum())
    wanted = max(_ENOUGH, count // 3)
    if count > wanted:
        floor = np.partition(high[votes], count - wanted)[count - wanted]
        votes &= high >= floor
    result: NDArray[np.bool_] = votes
    return result


def _shift(first: NDArray[np.float32], second: NDArray[np.float32], stops: float) -> tuple[int, int]:
    """Whole cells by which the content moved, by phase correlation of what both exposures hold."""
    low, high = (LOWEST_AT_NEED + max(0.0, stops), HIGHEST + min(0.0, stops))
    if low >= high:
        return 0, 0
    a = np.clip(first + np.float32(stops), low, high)
    b = np.clip(second, low, high)
    window = cv2.createHanningWindow(a.shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(a - a.mean(), b - b.mean(), window)
    limits = (a.shape[0] // 3, a.shape[1] // 3)
    down, right = round(y), round(x)
    return (down, right) if abs(down) <= limits[0] and abs(right) <= limits[1] else (0, 0)
