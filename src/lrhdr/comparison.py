"""Compare two evaluations frame by frame: by how much is one method better, and could it be chance?

The same frames, scored under the same protocol, are subtracted pair by pair, which takes out how hard each frame is.
The interval comes from a bootstrap over **clips**: neighbouring frames are so alike that resampling them would promise
a certainty that is not there. What is resampled is each clip with all its frames; the mean is over frames, as in the
tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lrhdr.baselines import BASELINES
from lrhdr.camera import CameraConfig
from lrhdr.checks import InputError
from lrhdr.judges import JUDGES, Judge
from lrhdr.protocols import Display, get_protocol
from lrhdr.scores import Evaluation

RESAMPLES = 10_000
"""Bootstrap samples; chosen by us: the ends of the interval then move by about 2 % of its width from seed to seed."""

CONFIDENCE = 0.95

_Key = tuple[str, tuple[float, ...], bool, str, int | None]
"""Group, stops, composite, clip and frame (None for metrics of clips)."""

_DATA_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Difference:
    """One line of a comparison.

    Attributes:
        metric: its name.
        method_a: row of the first file.
        method_b: row of the second file.
        group: the set.
        stops: exposures of one period in stops.
        composite: the reference was pasted.
        clip: name of the clip; None for the whole set.
        clips: how many clips.
        frames: how many pairs (of frames, or of clips for metrics of clips).
        mean_a: mean of the first.
        mean_b: mean of the second.
        difference: mean of second minus first.
        low: lower end of the interval; None for fewer than two clips.
        high: upper end.
        better_b: share of the pairs in which the second is better; ties count half.
        winner: "A" or "B" where the interval leaves 0 out, "undecided" where not, "one clip" without an interval,
            "no pairs" where all are left out (the numbers are NaN).
        left_out: pairs of which one value is infinite and the other is not; they are in no mean.
    """

    metric: str
    method_a: str
    method_b: str
    group: str
    stops: tuple[float, ...]
    composite: bool
    clip: str | None
    clips: int
    frames: int
    mean_a: float
    mean_b: float
    difference: float
    low: float | None
    high: float | None
    better_b: float
    winner: str
    left_out: int = 0


def compare(
    a: Evaluation,
    b: Evaluation,
    *,
    metrics: Sequence[str] = ("psnr_t",),
    methods: tuple[str, str] | None = None,
    common: bool = False,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Difference]:
    """Paired differences, second minus first.

    Args:
        a: first evaluation.
        b: second evaluation.
        metrics: names of metrics that both have.
        methods: one row of each; None for the rows that are not baselines or bounds where each has one, else for all
            rows that both have.
        common: compare the frames that both have, instead of refusing when one has others.
        seed: of the bootstrap.
        resamples: bootstrap samples.

    Returns:
        By metric, pair of methods, set, alternation and composite: the whole set, then its clips.

    Raises:
        InputError: protocols, displays, data or frames that differ, unknown methods or metrics, nothing to compare.
    """
    check_comparable(a, b, metrics)
    found: list[Difference] = []
    for metric in metrics:
        if metric not in JUDGES:
            raise InputError(f"metric: expected some of {', '.join(JUDGES)}, found {metric!r}")
        for one, other in [methods] if methods else _pairs(a, b):
            first, second = _values(a, one, metric), _values(b, other, metric)
            keys = _shared(first, second, one, other, metric, common)
            for group, stops, composite in dict.fromkeys(k[:3] for k in keys):
                mine = [k for k in keys if k[:3] == (group, stops, composite)]
                parts: list[str | None] = [None, *dict.fromkeys(k[3] for k in mine)]
                for clip in parts:
                    chosen = [k for k in mine if clip in (None, k[3])]
                    numbers = _difference(first, second, chosen, JUDGES[metric], seed, resamples)
                    found.append(Difference(metric, one, other, group, stops, composite, clip, **numbers))
    return found


def check_comparable(a: Evaluation, b: Evaluation, metrics: Sequence[str]) -> None:
    """Refuse evaluations whose numbers do not compare.

    Raises:
        InputError: another protocol, display (for metrics of light), camera or seed, or clips of one name that are not
            the same.
    """
    one, other = a.settings, b.settings
    protocol = get_protocol("all-frames").settings()
    pairs: list[tuple[str, Any, Any]] = [
        ("protocol", _named(one.get("protocol", protocol)), _named(other.get("protocol", protocol)))
    ]
    if any(m in JUDGES and JUDGES[m].light for m in metrics):
        pairs.append(("display", one.get("display", asdict(Display())), other.get("display", asdict(Display()))))
    pairs += [(name, one.get(name), other.get(name)) for name in ("seed", "recording")]
    pairs.append(("camera", _camera(one.get("camera")), _camera(other.get("camera"))))
    for what, first, second in pairs:
        if first != second:
            raise InputError(f"the evaluations differ in their {what}: {_short(first)} and {_short(second)}")
    for name, note in one.get("clips", {}).items():
        if other.get("clips", {}).get(name, note) != note:
            raise InputError(f"the evaluations differ in clip {name}: {note!r} and {other['clips'][name]!r}")
    for name, first in one.get("data", {}).items():
        second = other.get("data", {}).get(name, first)
        same = first["size"] == second["size"]
        if first["frames"] == second["frames"]:
            means = [(first[k], second[k]) for k in ("truth_mean", "ldr_mean")]
            same = same and all(math.isclose(x, y, rel_tol=_DATA_TOLERANCE, abs_tol=1e-9) for x, y in means)
        if not same:
            raise InputError(f"the evaluations differ in the data of {name}: {_short(first)} and {_short(second)}")


def _camera(settings: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A camera's settings, with the values of today's defaults where an older evaluation has none."""
    return None if settings is None else asdict(CameraConfig()) | dict(settings)


def _named(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """A protocol without its paste, which every record says for itself, and which both may have."""
    return {k: v for k, v in protocol.items() if k != "composite"}


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {v}" for k, v in value.items()) + "}"
    return repr(value)


def _pairs(a: Evaluation, b: Evaluation) -> list[tuple[str, str]]:
    names = [list(dict.fromkeys(r.method for r in e.frames if not r.method.startswith("oracle"))) for e in (a, b)]
    own = [[n for n in some if n not in BASELINES] for some in names]
    if len(own[0]) == len(own[1]) == 1:
        return [(own[0][0], own[1][0])]
    both = [n for n in names[0] if n in names[1]]
    if not both:
        choices = f"one of {', '.join(names[0])} and one of {', '.join(names[1])}"
        raise InputError(f"methods: expected {choices} (--methods A B), found none")
    return [(n, n) for n in both]


def _values(evaluation: Evaluation, method: str, metric: str) -> dict[_Key, float]:
    values: dict[_Key, float] = {}
    for r in evaluation.frames:
        if r.method == method and metric in r.metrics:
            values[r.group, r.stops, r.composite, r.clip, r.index] = r.metrics[metric]
    for c in evaluation.clips:
        if c.method == method and metric in c.metrics:
            values[c.group, c.stops, c.composite, c.clip, None] = c.metrics[metric]
    if not values:
        methods = dict.fromkeys(r.method for r in evaluation.frames)
        known = method in methods
        found = f"no {metric} of {method}" if known else f"no method {method}, only {', '.join(methods)}"
        raise InputError(f"evaluation: expected {metric} of {method}, found {found}")
    return values


def _shared(
    first: Mapping[_Key, float], second: Mapping[_Key, float], one: str, other: str, metric: str, common: bool
) -> list[_Key]:
    keys = [k for k in first if k in second]
    alone = [(k, "first") for k in first if k not in second] + [(k, "second") for k in second if k not in first]
    if not keys:
        raise InputError(f"{metric} of {one} and {other}: expected frames that both evaluations have, found none")
    if alone and not common:
        (group, stops, composite, clip, index), side = alone[0]
        frame = "" if index is None else f", frame {index}"
        raise InputError(
            f"{metric} of {one} and {other}: {len(alone)} of {len(keys) + len(alone)} frames are in one evaluation "
            f"only, the first in the {side}: {group}/{clip}, stops {', '.join(f'{s:g}' for s in stops)}, composite "
            f"{'on' if composite else 'off'}{frame} (--common compares the others)"
        )
    return keys


def _difference(
    first: Mapping[_Key, float],
    second: Mapping[_Key, float],
    keys: Sequence[_Key],
    judge: Judge,
    seed: int,
    resamples: int,
) -> dict[str, Any]:
    """The numbers of one line."""
    kept = [k for k in keys if math.isinf(first[k]) == math.isinf(second[k])]
    pairs = [(k[3], first[k], second[k]) for k in kept]
    # Two perfect frames are equal: their infinities are not subtracted.
    deltas = np.array([0.0 if math.isinf(x) else y - x for _, x, y in pairs])
    finite = [(x, y) for _, x, y in pairs if not math.isinf(x)]
    clips = list(dict.fromkeys(name for name, _, _ in pairs))
    low, high = _interval(deltas, [name for name, _, _ in pairs], clips, seed, resamples)
    good = deltas if judge.higher_is_better else -deltas
    winner = "one clip" if low is None else "undecided"
    if not kept:
        winner = "no pairs"
    if low is not None and high is not None and (low > 0.0 or high < 0.0):
        winner = "B" if (low > 0.0) == judge.higher_is_better else "A"
    return {
        "clips": len(clips),
        "frames": len(kept),
        # Without a number where all pairs are left out; infinite where all are perfect.
        "mean_a": _mean([x for x, _ in finite]) if kept else math.nan,
        "mean_b": _mean([y for _, y in finite]) if kept else math.nan,
        "difference": _mean(deltas.tolist()) if kept else math.nan,
        "low": low,
        "high": high,
        "better_b": _mean(((good > 0.0) + 0.5 * (good == 0.0)).tolist()) if kept else math.nan,
        "winner": winner,
        "left_out": len(keys) - len(kept),
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.inf


def _interval(
    deltas: np.ndarray[Any, np.dtype[np.float64]], names: Sequence[str], clips: Sequence[str], seed: int, resamples: int
) -> tuple[float | None, float | None]:
    """Percentile bootstrap of the mean over frames, resampling clips."""
    if len(clips) < 2:
        return None, None
    number = {name: i for i, name in enumerate(clips)}
    of = np.array([number[name] for name in names])
    sums, counts = np.bincount(of, deltas, len(clips)), np.bincount(of, minlength=len(clips))
    drawn = np.random.default_rng(seed).integers(0, len(clips), (resamples, len(clips)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(means, (tail, 100.0 - tail))
    return float(low), float(high)


def to_plain(differences: Sequence[Difference], seed: int, resamples: int = RESAMPLES) -> dict[str, Any]:
    """A comparison as plain values, for JSON."""
    method = {"resampled": "clips", "resamples": resamples, "confidence": CONFIDENCE, "seed": seed}
    return {"bootstrap": method, "differences": [_finite(asdict(d)) for d in differences]}


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, float) and math.isnan(value):
            return None
        return "inf" if isinstance(value, float) and math.isinf(value) else value

    return {k: plain(v) for k, v in values.items()}


def text(differences: Sequence[Difference], seed: int, resamples: int = RESAMPLES) -> str:
    """A comparison as tables for people."""
    lines: list[str] = []
    for metric, one, other in dict.fromkeys((d.metric, d.method_a, d.method_b) for d in differences):
        judge = JUDGES[metric]
        better = "higher" if judge.higher_is_better else "lower"
        lines += [f"### {judge.label}: {other} (B) minus {one} (A); {better} is better", ""]
        lines += ["| set | clip | pairs | A | B | B - A | 95 % interval | B better in | winner |"]
        lines += ["| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"]
        rows = [d for d in differences if (d.metric, d.method_a, d.method_b) == (metric, one, other)]
        lines += [_line(d, judge) for d in rows]
        left_out = sum(d.left_out for d in rows if d.clip is None)
        if left_out:
            lines.append(f"{left_out} pairs with one perfect frame are left out.")
        lines.append("")
    lines.append(
        f"Interval: bootstrap of the mean over frames, {resamples} samples of the clips (not of their frames, which "
        f"are alike), seed {seed}."
    )
    return "\n".join(lines)


def _line(d: Difference, judge: Judge) -> str:
    digits = judge.digits + 1

    def shown(value: float, sign: str = "") -> str:
        if math.isnan(value):
            return "–"
        return f"{judge.factor * value:{sign}.{digits}f}"

    where = f"{d.group}, stops {', '.join(f'{s:g}' for s in d.stops)}, composite {'on' if d.composite else 'off'}"
    name = d.clip or f"all {d.clips}"
    interval = "–" if d.low is None or d.high is None else f"{shown(d.low, '+')} to {shown(d.high, '+')}"
    cells = [where, name, str(d.frames), shown(d.mean_a), shown(d.mean_b), shown(d.difference, "+"), interval]
    share = "–" if math.isnan(d.better_b) else f"{100 * d.better_b:.0f} %"
    return "| " + " | ".join([*cells, share, d.winner]) + " |"
