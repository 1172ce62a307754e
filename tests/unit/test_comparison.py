"""Paired comparison: differences, the interval over clips, refusals."""

import copy
import json

import numpy as np
import pytest

from lrhdr.checks import InputError
from lrhdr.comparison import compare, text, to_plain
from lrhdr.protocols import PROTOCOLS
from lrhdr.scores import ClipRecord, Evaluation, FrameRecord

STOPS = (0.0, 3.0)


def made(values, method="net", metric="psnr_t", protocol="field", composite=False, flicker=None):
    """An evaluation whose clips `c0, c1, ..` have these values by frame."""
    clips = [f"c{i}" for i in range(len(values))]
    settings = {
        "protocol": PROTOCOLS[protocol].settings(),
        "camera": {"bit_depth": 8},
        "seed": 0,
        "clips": {f"set/{c}": c for c in clips},
        "data": {
            f"set/{c}, stops 0, 3": {"size": [4, 6], "frames": len(v), "truth_mean": 0.1, "ldr_mean": 0.5}
            for c, v in zip(clips, values, strict=True)
        },
    }
    frames = [
        FrameRecord("set", c, STOPS, i, "short", False, method, composite, {metric: value, "ghosts": 0.0}, 0.1)
        for c, row in zip(clips, values, strict=True)
        for i, value in enumerate(row)
    ]
    rows = [
        ClipRecord("set", c, STOPS, method, composite, {"flicker": f}, 0.0)
        for c, f in zip(clips, flicker or [], strict=False)
    ]
    return Evaluation(settings, frames, rows)


def test_differences_are_paired_and_over_frames():
    a = made([[30.0, 40.0], [20.0], [25.0, 25.0, 25.0]])
    b = made([[31.0, 42.0], [19.0], [26.0, 26.0, 26.0]])
    whole, *clips = compare(a, b)
    assert (whole.clips, whole.frames, whole.clip) == (3, 6, None)
    assert whole.difference == pytest.approx((1 + 2 - 1 + 1 + 1 + 1) / 6)
    assert whole.mean_b - whole.mean_a == pytest.approx(whole.difference)
    assert whole.better_b == pytest.approx(5 / 6)
    assert [(d.clip, d.frames, d.winner) for d in clips] == [
        ("c0", 2, "one clip"),
        ("c1", 1, "one clip"),
        ("c2", 3, "one clip"),
    ]
    assert clips[0].difference == pytest.approx(1.5)
    assert clips[0].low is None


def test_the_interval_resamples_clips_not_frames():
    rng = np.random.default_rng(0)
    effects = rng.normal(0.3, 1.0, 12)
    a = made([[30.0] * 50 for _ in effects])
    b = made([[30.0 + e] * 50 for e in effects])
    whole = compare(a, b)[0]
    # Frames of a clip are all alike here: 600 of them say no more than 12 clips do.
    spread = 1.96 * effects.std() / np.sqrt(12)
    assert whole.high - whole.low == pytest.approx(2 * spread, rel=0.1)
    assert whole.low < effects.mean() < whole.high
    assert compare(a, b)[0] == whole
    assert compare(a, b, seed=1)[0].low != whole.low


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        effects = rng.normal(0.5, 1.0, 20)
        whole = compare(made([[30.0]] * 20), made([[30.0 + e] for e in effects]), resamples=400)[0]
        hits += whole.low <= 0.5 <= whole.high
    assert 86 <= hits <= 100


def test_who_wins():
    steady = [[30.0], [31.0], [29.0], [30.5]]
    up = [[v + 0.5 + 0.01 * i for v in row] for i, row in enumerate(steady)]
    assert compare(made(steady), made(up))[0].winner == "B"
    assert compare(made(up), made(steady))[0].winner == "A"
    mixed = [[30.5], [30.5], [29.5], [30.0]]
    assert compare(made(steady), made(mixed))[0].winner == "undecided"
    # Less flicker is better, and is counted by clip.
    low, high = (made(steady, flicker=[f + 0.01 * i for i in range(4)]) for f in (0.1, 0.2))
    found = compare(high, low, metrics=["flicker"])[0]
    assert (found.winner, found.frames, found.difference) == ("B", 4, pytest.approx(-0.1))


def test_perfect_frames():
    inf = float("inf")
    a, b = made([[inf, 30.0], [inf, 31.0]]), made([[inf, 31.0], [32.0, 32.0]])
    whole = compare(a, b)[0]
    assert (whole.frames, whole.left_out) == (3, 1)
    assert whole.difference == pytest.approx(2 / 3)
    assert "1 pairs with one perfect frame are left out." in text([whole], 0)
    json.dumps(to_plain(compare(made([[inf]]), made([[inf]])), 0), allow_nan=False)
    nothing = compare(made([[30.0], [30.0]]), made([[inf], [inf]]))
    assert "| all 0 | 0 | – | – | – | – | – | no pairs |" in text(nothing, 0)
    assert to_plain(nothing, 0)["differences"][0]["difference"] is None
    json.dumps(to_plain(nothing, 0), allow_nan=False)


def test_rows_that_correspond():
    a, b = made([[30.0], [31.0]], "old"), made([[31.0], [32.0]], "new")
    assert {(d.method_a, d.method_b) for d in compare(a, b)} == {("old", "new")}
    for e in (a, b):
        e.frames.extend(made([[20.0], [21.0]], "completion").frames)
        e.frames.extend(made([[40.0], [41.0]], "oracle").frames)
    assert {(d.method_a, d.method_b) for d in compare(a, b)} == {("old", "new")}
    b.frames.extend(made([[20.0], [21.0]], "newer").frames)
    assert {(d.method_a, d.method_b) for d in compare(a, b)} == {("completion", "completion")}
    assert compare(a, b, methods=("old", "newer"))[0].difference == pytest.approx(-10.0)
    with pytest.raises(InputError, match="found no method x, only old, completion, oracle"):
        compare(a, b, methods=("x", "new"))
    with pytest.raises(InputError, match="found no flicker of old"):
        compare(a, b, methods=("old", "new"), metrics=["flicker"])
    with pytest.raises(InputError, match="metric: expected some of"):
        compare(a, b, metrics=["x"])
    with pytest.raises(InputError, match=r"--methods A B\), found none"):
        compare(made([[1.0]], "x"), Evaluation(b.settings, [*made([[1.0]], "y").frames, *made([[1.0]], "z").frames]))


def test_what_does_not_compare_is_refused():
    a = made([[30.0, 31.0], [32.0, 33.0]])
    with pytest.raises(InputError, match=r"differ in their protocol: .*field.* and .*lrhdr-paper"):
        compare(a, made([[30.0, 31.0], [32.0, 33.0]], protocol="lrhdr-paper"))
    fewer = made([[30.0, 31.0], [32.0]])
    with pytest.raises(
        InputError, match=r"1 of 4 frames .* in the first: set/c1, stops 0, 3, composite off, frame 1 \(--common"
    ):
        compare(a, fewer)
    assert compare(a, fewer, common=True)[0].frames == 3
    with pytest.raises(InputError, match="found none"):
        compare(a, made([[30.0, 31.0], [32.0, 33.0]], composite=True))
    for change, message in (
        (lambda s: s["clips"].update({"set/c0": "other"}), "differ in clip set/c0: 'c0' and 'other'"),
        (lambda s: s["data"]["set/c0, stops 0, 3"].update(truth_mean=0.2), "differ in the data of set/c0"),
        (lambda s: s["data"]["set/c0, stops 0, 3"].update(size=[8, 6]), "differ in the data of set/c0"),
        (lambda s: s.update(seed=1), "differ in their seed: 0 and 1"),
        (lambda s: s.update(camera={"bit_depth": 10}), "differ in their camera"),
    ):
        other = Evaluation(copy.deepcopy(a.settings), a.frames)
        change(other.settings)
        with pytest.raises(InputError, match=message):
            compare(a, other)
    bright = made([[30.0]], metric="pu21_psnr")
    bright.settings["display"] = {"peak": 500.0, "black": 0.005, "pixels_per_degree": 30.0, "frames_per_second": 24.0}
    with pytest.raises(InputError, match="differ in their display"):
        compare(made([[30.0]], metric="pu21_psnr"), bright, metrics=["pu21_psnr"])


def test_text():
    a, b = made([[30.0], [31.0]], "old"), made([[31.0], [32.0]], "new")
    lines = text(compare(a, b), 7).splitlines()
    assert lines[0] == "### PSNR_T: new (B) minus old (A); higher is better"
    cells = ["set, stops 0, 3, composite off", "all 2", "2", "30.500", "31.500", "+1.000", "+1.000 to +1.000"]
    assert lines[4] == "| " + " | ".join([*cells, "100 %", "B"]) + " |"
    assert lines[5].endswith("| c0 | 1 | 30.000 | 31.000 | +1.000 | – | 100 % | one clip |")
    assert "samples of the clips (not of their frames" in lines[-1]
    assert "seed 7" in lines[-1]
