"""Look at all frames of a clip once: does it alternate, with which exposures, from which black to which white.

Frames are read thinned out and reduced at once, so a pass costs little more than decoding and holds a few frames in
memory, however long the clip.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrhdr.alternation import LAGS, LEAST_STOPS, Alternation, find_alternation
from lrhdr.brightness import NOTHING, Comparison, Sketch, compare, sketch, tilt
from lrhdr.checks import InputError
from lrhdr.io.sources import FrameSource
from lrhdr.levels import Exposed, Levels, estimate_levels
from lrhdr.progress import Progress
from lrhdr.response import ResponseCurve

THIN_ROWS = 360
"""Frames are thinned out to no fewer than so many rows (columns, if fewer). Chosen by us: two pixels to a cell."""

PAIRS = 8
"""Pairs of neighbouring frames, spread over the clip, that black, saturation and the curve are told from."""

TILT_STOPS = 0.15
"""From how different a ratio in bright and dark places a response curve is doubted, in stops. Chosen by us."""

_QUIET_SECONDS = 2.0


@dataclass(frozen=True)
class Analysis:
    """What the pixels of a clip say.

    Attributes:
        alternation: period, exposures, breaks, outliers.
        levels: black and saturation codes.
        tilt: how much the exposure ratio differs between bright and dark places, in stops; nan where unknown.
    """

    alternation: Alternation
    levels: Levels
    tilt: float

    @property
    def doubts_curve(self) -> bool:
        """Whether the ratio differs so much that the response curve is probably another one."""
        return abs(self.tilt) > TILT_STOPS


def analyse(
    source: FrameSource, curve: ResponseCurve, progress: Progress | None = None, *, to_damage: bool = False
) -> Analysis:
    """Analyse a clip.

    Args:
        source: the clip; all of it is read, twice where its black or saturation level is not the usual one.
        curve: what its codes mean, without levels.
        progress: called after each frame once it takes longer than two seconds.
        to_damage: end at a frame that cannot be read, for who reads the frames again and reports it then.

    Returns:
        What was found.

    Raises:
        InputError: a frame cannot be read.
    """
    report = _patient(progress)
    alternation, pairs = _one_pass(source, curve, report, to_damage)
    levels = estimate_levels(pairs, curve) if alternation.alternates else Levels()
    if source.is_linear:
        levels = Levels(0.0, levels.saturation)
    if levels != Levels():
        alternation, pairs = _one_pass(source, curve.with_levels(*levels), report, to_damage)
    tilts = [t for pair in pairs if np.isfinite(t := tilt(pair.short, pair.long, float(np.log2(pair.ratio))))]
    return Analysis(alternation, levels, float(np.median(tilts)) if tilts else float("nan"))


def _one_pass(
    source: FrameSource, curve: ResponseCurve, report: Progress, to_damage: bool
) -> tuple[Alternation, list[Exposed]]:
    step = max(1, min(source.size) // THIN_ROWS)
    held: deque[Sketch] = deque(maxlen=max(LAGS))
    comparisons: dict[int, list[Comparison]] = {lag: [] for lag in LAGS}
    pairs = _Spread(PAIRS)
    frames = source.thin_frames(step)
    for index, frame in enumerate(_readable(frames) if to_damage else frames):
        new = sketch(curve.linear(frame))
        if held:
            comparisons[1].append(compare(held[-1], new))
            pairs.offer(held[-1], new, comparisons[1][-1])
        # Where nothing changes, as in ordinary video, frames further apart need no look.
        calm = all(abs(c.stops) < LEAST_STOPS / 2 for c in comparisons[1][-max(LAGS) :])
        for lag in LAGS[1:]:
            if index >= lag:
                comparisons[lag].append(NOTHING if calm else compare(held[-lag], new))
        held.append(new)
        report("inspect", index + 1, source.n_frames)
    return find_alternation(comparisons), pairs.kept


def _readable(frames: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    with suppress(InputError):
        yield from frames


class _Spread:
    """A few pairs of frames of different exposure, evenly spread over a clip of unknown length."""

    def __init__(self, most: int) -> None:
        self.kept: list[Exposed] = []
        self._most, self._stride, self._seen = most, 1, 0

    def offer(self, first: Sketch, second: Sketch, found: Comparison) -> None:
        if not abs(found.stops) > LEAST_STOPS or found.agreement < 0.4:
            return
        if self._seen % self._stride == 0:
            short, long = (first, second) if found.stops > 0 else (second, first)
            self.kept.append(Exposed(short, long, float(2.0 ** abs(found.stops))))
            if len(self.kept) > self._most:
                self.kept = self.kept[::2]
                self._stride *= 2
        self._seen += 1


def _patient(progress: Progress | None) -> Progress:
    """Say nothing of work that is done at once."""
    started = time.perf_counter()

    def report(what: str, done: int, total: int) -> None:
        if progress is not None and time.perf_counter() - started > _QUIET_SECONDS:
            progress(what, done, total)

    return report
