"""Find the pattern of exposures in a clip: its period, the exposure of each frame, their ratios, and where it breaks.

The input is how much brighter each frame is than the ones shortly before it (`brightness.compare`). A clip of period N
shows the same N differences again and again; ordinary video, whatever its cuts, fades and flashes, does not.

For each N the path of phases through the clip is found by dynamic programming: a step to the next phase is free, any
other step (a frame was dropped or repeated) costs `BREAK_COST`, and a difference that does not fit its step costs up to
`MISFIT_COST`. So one frame with a wrong exposure is cheaper as a misfit, and a shifted pattern is cheaper as a break.
The shortest period that explains nearly all steps is the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lrhdr.brightness import Comparison

PERIODS = (2, 3, 4)
"""Periods that are looked for."""

LAGS = (1, 2, 3, 4, 6)
"""Distances at which frames must be compared: neighbours, and one or two periods apart."""

LEAST_STOPS = 0.4
"""Smallest difference between the longest and the shortest exposure, in stops (a ratio of 1.3): below it lies the
flicker of lamps and of automatic exposure. Chosen by us."""

MISFIT_COST = 3.0
"""Cost of a step whose difference does not fit at all, in units of `TOLERANCE_STOPS`."""

BREAK_COST = 3.2
"""Cost of a break of the alternation: just above that of one misfit, below that of two."""

TOLERANCE_STOPS = 0.2
"""How far a step may be from the pattern, in stops: three times an exposure error of 5 %. Chosen by us."""

MISFIT = "fits"
"""In the reason where patterns were looked for in enough steps, and none is certain."""

FITS_FROM = 0.85
"""Share of the steps that must fit for an alternation to be certain. Chosen by us."""

PERHAPS_FROM = 0.6
"""Share from which "none" is not certain either. Chosen by us."""

OUTLIER_STOPS = 0.1
"""Least deviation of a frame from others of its exposure that is reported, in stops (7 %). Chosen by us."""

MOST_DRIFT_STOPS = 0.3
"""Fastest change of the scene's own light that is told from the alternation, in stops per frame. Chosen by us."""

_RELIABLE_AGREEMENT = 0.2
_RELIABLE_VOTES = 8


@dataclass(frozen=True)
class Break:
    """A place where the alternation does not go on.

    Attributes:
        index: the first frame after it (for a dropped frame: the index that it would have had).
        kind: "dropped", "repeated", or "dropped or repeated" where the pictures do not tell.
        count: how many frames are missing, if they are (for "repeated": 1).
    """

    index: int
    kind: str
    count: int


@dataclass(frozen=True)
class Outlier:
    """A frame whose exposure does not match that of its neighbours in the same phase.

    Attributes:
        index: the frame.
        stops: how much brighter it is than they are (negative: darker).
    """

    index: int
    stops: float


@dataclass(frozen=True)
class Alternation:
    """What was found.

    Attributes:
        period: frames of one period; 1 for ordinary video; 0 where it is not certain.
        reason: one sentence, why.
        exposures: relative exposures of one period, the first that of frame 0, the shortest 1; empty unless period > 1.
        uncertainty: standard error of log2 of each, in stops, relative to the shortest; empty unless period > 1.
        phases: position in the period of every frame; empty unless period > 1.
        breaks: where frames were dropped or repeated.
        outliers: frames of a wrong exposure.
        fit: share of the steps that fit.
    """

    period: int
    reason: str
    exposures: tuple[float, ...] = ()
    uncertainty: tuple[float, ...] = ()
    phases: tuple[int, ...] = ()
    breaks: tuple[Break, ...] = ()
    outliers: tuple[Outlier, ...] = ()
    fit: float = 0.0

    @property
    def alternates(self) -> bool:
        """Whether an alternation is certain."""
        return self.period > 1

    @property
    def ratio(self) -> float:
        """Longest over shortest exposure; 1 where nothing alternates."""
        return max(self.exposures, default=1.0)

    @property
    def ratio_uncertainty(self) -> float:
        """Two standard errors of `ratio`, in its own unit; 0 where nothing alternates."""
        if not self.exposures:
            return 0.0
        return float(self.ratio * (2.0 ** (2.0 * self.uncertainty[self.exposures.index(self.ratio)]) - 1.0))


def find_alternation(comparisons: Mapping[int, Sequence[Comparison]]) -> Alternation:
    """Find the pattern of exposures.

    Args:
        comparisons: for each lag of `LAGS`, frame `i + lag` against frame `i` for all i; (frames - lag) entries, none
            where the clip is shorter than that.

    Returns:
        What was found.
    """
    steps = comparisons[1]
    n_frames = len(steps) + 1
    reliable = np.array([c.agreement >= _RELIABLE_AGREEMENT and c.votes >= _RELIABLE_VOTES for c in steps], np.bool_)
    stops = np.array([c.stops for c in steps], np.float64)
    stops[~reliable] = np.nan
    count = int(reliable.sum())
    if count < 2 * PERIODS[0] - 1:
        why = "too few frames" if len(steps) < 2 * PERIODS[0] - 1 else "too few frames that can be compared"
        return Alternation(0, f"{why}: {count} of {len(steps)} steps between frames")
    swing = float(np.nanpercentile(np.abs(stops), 75))
    best = Alternation(0, "")
    for period in PERIODS:
        drift = _drift(comparisons[period], period, len(stops))
        found = _fit(stops - drift, period)
        if found is None:
            continue
        if found.fit >= FITS_FROM:
            reason = f"{found.fit:.0%} of {count} steps between frames fit"
            outliers = _outliers(comparisons, found.phases, period, drift)
            found = _with_breaks_at_ends(replace(found, reason=reason, outliers=outliers), stops - drift)
            return replace(found, breaks=tuple(_kind_of(b, comparisons, period) for b in found.breaks))
        if found.fit > best.fit:
            best = found
    calm = float((np.abs(stops[reliable]) < TOLERANCE_STOPS).mean())
    if calm < PERHAPS_FROM and count < 2 * PERIODS[1] - 1:
        return Alternation(0, f"too few frames: {count} of {len(steps)} steps between frames")
    if calm >= FITS_FROM or (best.fit < PERHAPS_FROM and calm >= PERHAPS_FROM):
        return Alternation(1, f"{calm:.0%} of {count} steps between frames keep the exposure", fit=calm)
    if best.fit < PERHAPS_FROM:
        none = (
            f"no period of {PERIODS[0]} to {PERIODS[-1]} frames with {LEAST_STOPS:g} EV or more between its exposures"
        )
        # Fades and lamps change every step by less than an alternation would; what changes by more is a pattern.
        return Alternation(
            int(swing < LEAST_STOPS), f"{none} {MISFIT} {count} steps between {n_frames} frames", fit=best.fit
        )
    many = f"a period of {best.period} {MISFIT} only {best.fit:.0%} of {count} steps between {n_frames} frames"
    return Alternation(0, f"{many} (half of the steps change by {swing:.1f} stops)", fit=best.fit)


def _fit(stops: NDArray[np.float64], period: int) -> Alternation | None:
    """The best path of phases for one period; None where the clip is too short or no such pattern stands out."""
    if int(np.isfinite(stops).sum()) < 2 * period - 1:
        return None
    # A guess from few steps is wilder, but finds its way between breaks in a short clip.
    guesses = [_first_guess(stops, period, periods) for periods in (5, 2)]
    found = [_refined(stops, levels) for levels in guesses if levels is not None]
    return max((f for f in found if f is not None), key=lambda f: f.fit, default=None)


def _refined(stops: NDArray[np.float64], levels: NDArray[np.float64]) -> Alternation | None:
    """Improve path and levels in turn, and judge the result."""
    period = len(levels)
    path = _path(stops, levels)
    for _ in range(3):
        estimate = _levels(stops, path, period)
        if estimate is None:
            return None
        levels = estimate[0]
        updated = _path(stops, levels)
        if np.array_equal(updated, path):
            break
        path = updated
    estimate = _levels(stops, path, period)
    if estimate is None:
        return None
    levels, errors = estimate
    steps = np.diff(path) % period
    regular = steps == 1
    expected = levels[path[1:]] - levels[path[:-1]]
    known = np.isfinite(stops)
    fits = known & regular & (np.abs(stops - expected) < _tolerance(levels))
    breaks = tuple(Break(int(i) + 1, "", int((steps[i] - 1) % period)) for i in np.flatnonzero(~regular))
    # A break explains its own step; more than one break in ten periods explains nothing.
    explained = fits | (known & ~regular & (np.abs(stops - expected) < _tolerance(levels)))
    allowed = max(1, len(stops) // (10 * period))
    share = float((fits if len(breaks) > allowed else explained).sum() / known.sum())
    shorter = [part for part in PERIODS if part < period and period % part == 0]
    if any(max(np.ptp(levels[k::part]) for k in range(part)) < _tolerance(levels) for part in shorter):
        return None  # a shorter pattern, twice
    if np.ptp(levels) < LEAST_STOPS or fits.sum() < 2 * period - 1 - (1 if breaks else 0):
        return None
    shift = int(path[0])
    order = np.roll(np.arange(period), -shift)
    shortest = int(np.argmin(levels))
    exposures = tuple(float(2.0 ** (levels[p] - levels[shortest])) for p in order)
    spread = tuple(float(np.hypot(errors[p], errors[shortest])) if p != shortest else 0.0 for p in order)
    phases = tuple(int(p) for p in (path - shift) % period)
    return Alternation(period, "", exposures, spread, phases, breaks, (), share)


def _tolerance(levels: NDArray[np.float64]) -> float:
    """How far a step may be from the pattern: less than half of its smallest step for weak patterns."""
    steps = np.abs(levels - np.roll(levels, 1))
    return float(max(min(TOLERANCE_STOPS, 0.45 * steps.max()), 0.12 * np.ptp(levels), 0.02))


def _first_guess(stops: NDArray[np.float64], period: int, periods: int) -> NDArray[np.float64] | None:
    """Levels from so many periods that repeat best: between breaks, cuts and flashes there are some."""
    length = min(len(stops), periods * period)
    best: tuple[float, NDArray[np.float64]] | None = None
    for start in range(0, len(stops) - length + 1, max(1, (len(stops) - length) // 60)):
        part = stops[start : start + length]
        rows = [part[k::period] for k in range(period)]
        if any(not np.isfinite(row).any() for row in rows):
            continue
        centres = np.array([np.nanmedian(row) for row in rows])
        misfit = np.nanmean(np.minimum(np.abs(part - centres[np.arange(length) % period]), 1.0))
        if best is None or misfit < best[0]:
            best = float(misfit), centres - centres.mean()
    if best is None:
        return None
    return np.concatenate([[0.0], np.cumsum(best[1])[:-1]])


def _path(stops: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.intp]:
    """The cheapest path of phases (Viterbi)."""
    period = len(levels)
    jump = (np.arange(period)[None] - np.arange(period)[:, None]) % period  # [from, to]
    moves = np.where(jump == 1, 0.0, BREAK_COST)
    expected = levels[None] - levels[:, None]
    unit = _tolerance(levels)
    cost = np.zeros(period)
    back = np.zeros((len(stops), period), np.intp)
    for i, found in enumerate(stops):
        # Across a cut nothing is known: a break costs less there, since edits rarely keep the phase.
        step = moves + np.minimum(np.abs(found - expected) / unit, MISFIT_COST) if np.isfinite(found) else moves / 3
        total = cost[:, None] + step
        back[i] = total.argmin(axis=0)
        cost = total.min(axis=0)
    path = np.empty(len(stops) + 1, np.intp)
    path[-1] = int(cost.argmin())
    for i in range(len(stops) - 1, -1, -1):
        path[i] = back[i, path[i + 1]]
    return path


def _levels(
    stops: NDArray[np.float64], path: NDArray[np.intp], period: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Exposure of each phase in stops (mean 0) and its standard error, from all whole periods.

    Each run of `period` regular steps sums to the drift of the light over a period, which is taken off; outliers beyond
    three standard deviations (by the median absolute deviation) are left out of the mean.
    """
    regular = np.isfinite(stops) & (np.diff(path) % period == 1)
    rows: list[NDArray[np.float64]] = []
    for i in range(len(stops) - period + 1):
        if regular[i : i + period].all():
            steps = stops[i : i + period] - stops[i : i + period].mean()
            row = np.empty(period)
            row[path[i : i + period]] = np.concatenate([[0.0], np.cumsum(steps)[:-1]])
            rows.append(row - row.mean())
    if not rows:
        return None
    table = np.stack(rows)
    centre = np.median(table, axis=0)
    deviation = 1.4826 * np.median(np.abs(table - centre), axis=0)
    kept = np.abs(table - centre) <= np.maximum(3.0 * deviation, 0.02)
    levels = np.array([table[kept[:, k], k].mean() for k in range(period)])
    # Overlapping periods share frames, so there are only as many independent ones as fit side by side.
    independent = max(1.0, len(rows) / period)
    return levels - levels.mean(), deviation / np.sqrt(independent)


def _kind_of(found: Break, comparisons: Mapping[int, Sequence[Comparison]], period: int) -> Break:
    """Tell a repeated frame (the same picture again) from a dropped one."""
    if found.count != period - 1:  # a repeat, or a whole period less one frame missing, keeps the phase
        return Break(found.index, "dropped", found.count)
    # How much frames of one exposure usually differ: by noise and motion, even a period apart.
    usual = [c.change for c in comparisons[period] if np.isfinite(c.change)]
    typical = float(np.median(usual)) if usual else 0.0
    here = comparisons[1][found.index - 1].change
    if typical < 2e-3 or not np.isfinite(here):
        return Break(found.index, "dropped or repeated", found.count)
    if here < 0.2 * typical:
        return Break(found.index, "repeated", 1)
    return Break(found.index, "dropped", found.count)


def _outliers(
    comparisons: Mapping[int, Sequence[Comparison]], phases: Sequence[int], period: int, drift: NDArray[np.float64]
) -> tuple[Outlier, ...]:
    """Frames that are brighter or darker than all others of their phase within two periods."""
    n = len(phases)
    deviations, least = np.zeros(n), np.zeros(n)
    for i in range(n):
        found = []
        for lag in (period, 2 * period):
            for first, sign in ((i - lag, 1.0), (i, -1.0)):
                if first >= 0 and first + lag < n and phases[first] == phases[first + lag] and lag in comparisons:
                    pair = comparisons[lag][first]
                    if pair.agreement >= 2 * _RELIABLE_AGREEMENT:
                        found.append(sign * (pair.stops - lag * drift[min(i, n - 2)]))
        if len(found) >= 2:
            deviations[i] = float(np.median(found))
            same = np.sign(found) == np.sign(deviations[i])
            least[i] = float(np.abs(found).min()) if same.all() else 0.0
    threshold = max(OUTLIER_STOPS, 5.0 * 1.4826 * float(np.median(np.abs(deviations))))
    wrong = (np.abs(deviations) > threshold) & (least > threshold / 2)
    return tuple(Outlier(int(i), float(deviations[i])) for i in np.flatnonzero(wrong))


def _with_breaks_at_ends(found: Alternation, stops: NDArray[np.float64]) -> Alternation:
    """Find breaks within a period of an end of the clip.

    There a break has too few steps to be cheaper than a misfit: one frame before a dropped one looks like a frame of a
    wrong exposure. What tells is that its exposure, and that of all frames on its side, is that of another phase.

    Args:
        found: without them.
        stops: steps between frames without the scene's own drift, NaN where they are not known.
    """
    period, n = found.period, len(found.phases)
    levels = np.log2(found.exposures)
    phases, breaks, apart = np.array(found.phases), list(found.breaks), set[int]()
    exposures, uncertainty = found.exposures, found.uncertainty

    def fits(path: NDArray[np.intp], steps: range, within: float = 1.0) -> bool:
        expected = levels[path[1:]] - levels[path[:-1]]
        return all(abs(stops[i] - expected[i]) < within * _tolerance(levels) for i in steps)

    for last in (False, True):
        for count, shift in product(range(1, period), range(1, period)):
            index = n - count if last else count
            steps = range(index - 1, n - 1) if last else range(index)
            moved = phases.copy()
            side = slice(index, None) if last else slice(None, index)
            moved[side] = (moved[side] + (shift if last else -shift)) % period
            near = any(abs(b.index - index) < period for b in breaks)
            # One step or two are all that tells: they must fit well.
            if near or fits(phases, steps) or not fits(moved, steps, 0.5):
                continue
            breaks.append(Break(index, "", shift))
            apart |= set(range(n)[side])
            # Phases count from frame 0: a break moves those of all frames behind it.
            phases = moved if last else (moved + shift) % period
            if not last:
                order = [(q - shift) % period for q in range(period)]
                exposures, uncertainty = tuple(exposures[q] for q in order), tuple(uncertainty[q] for q in order)
                levels = levels[order]
            break
    return replace(
        found,
        exposures=exposures,
        uncertainty=uncertainty,
        phases=tuple(int(p) for p in phases),
        breaks=tuple(sorted(breaks, key=lambda b: b.index)),
        outliers=tuple(o for o in found.outliers if o.index not in apart),
    )


def _drift(pairs: Sequence[Comparison], period: int, n_steps: int) -> NDArray[np.float64]:
    """Change of the scene's light around each step, stops per frame (automatic exposure, clouds, fades).

    It is the median over frames one period apart, which have one exposure where the period is the right one; limited
    to `MOST_DRIFT_STOPS`, so that a wrong period cannot explain itself by it.
    """
    slopes = np.array([p.stops / period if p.agreement >= _RELIABLE_AGREEMENT else np.nan for p in pairs])
    found = np.zeros(n_steps)
    for i in range(n_steps):
        near = slopes[max(0, i - 3 * period) : i + 2 * period + 1]
        if np.isfinite(near).any():
            found[i] = float(np.nanmedian(near))
    return found.clip(-MOST_DRIFT_STOPS, MOST_DRIFT_STOPS)
