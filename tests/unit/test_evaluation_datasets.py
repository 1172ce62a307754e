"""Evaluation on recorded data sets: frames of the protocol, division, paste, mixed exposures, going on after a stop."""

import dataclasses
import json

import numpy as np
import pytest
import torch

import trees
from lrhdr.baselines import BASELINES
from lrhdr.checks import InputError
from lrhdr.data.bench import bench_clips
from lrhdr.data.cinematic import load_cinematic
from lrhdr.data.deephdrvideo import load_deephdrvideo
from lrhdr.data.labelled_folder import load_labelled_folder
from lrhdr.data.realhdrv import load_realhdrv
from lrhdr.evaluation import evaluate
from lrhdr.evaluation_drawing import worst_frames
from lrhdr.evaluation_sources import Source, find_source, select
from lrhdr.judges import ClipJudges, choose_metrics
from lrhdr.metrics import psnr, psnr_mu
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.pipeline import Reconstructor
from lrhdr.protocols import Display, Protocol
from lrhdr.score_tables import frame_list, markdown
from lrhdr.scores import Evaluation
from lrhdr.scoring import _moved
from lrhdr.tonemap import mu_law_inverse

REFERENCE = {"reference": BASELINES["reference"]}
FAST = {"interpolator": "average", "metrics": ("psnr_t", "psnr_l", "flicker")}


def frames_of(result, method="reference"):
    return {(r.group, r.clip): [] for r in result.frames} | {
        key: [r.index for r in result.frames if (r.group, r.clip) == key and r.method == method]
        for key in {(r.group, r.clip) for r in result.frames}
    }


def test_the_fields_frames_of_every_data_set(tmp_path):
    trees.write_cinematic(tmp_path / "c", n_frames=7, scenes=("A",))
    trees.write_deephdrvideo(tmp_path / "d", static=True)
    trees.write_realhdrv(tmp_path / "r")
    for found, field, every in (
        (load_cinematic(tmp_path / "c"), {"cinematic-2exp": [2, 3, 4], "cinematic-3exp": [3]}, None),
        (load_deephdrvideo(tmp_path / "d"), {"deephdrvideo-d-2exp": [2]}, {"deephdrvideo-d-2exp": [0, 1, 2, 3, 4]}),
        (load_realhdrv(tmp_path / "r"), {"realhdrv-2exp": [1, 2]}, {"realhdrv-2exp": [0, 1, 2, 3]}),
    ):
        for protocol, expected in (("field", field), ("network-only", every or field)):
            result = evaluate(REFERENCE, found.clips, protocol=protocol, bounds=False, **FAST)
            assert {group: indices for (group, _), indices in frames_of(result).items()} == expected


def test_division_and_paste_are_the_protocols(tmp_path):
    trees.write_deephdrvideo(tmp_path / "d", static=False, scale=4.0)
    (clip, _) = load_deephdrvideo(tmp_path / "d").clips
    window = torch.stack([clip.ldr(i) for i in (1, 2, 3)])[None]
    exposures = torch.tensor([clip.schedule.window_exposures(2)])
    truth = clip.truth(2)[None]
    assert float(truth.max()) > 1.0
    pasted = Reconstructor(BASELINES["completion"], "average", composite=True)
    expected = pasted.fuse(window, pasted.complete(window, exposures), exposures).hdr
    methods = {"completion": BASELINES["completion"]}
    both = evaluate(methods, [clip], protocol="field", composite="both", **FAST)
    found = {(r.method, r.composite): r.metrics for r in both.frames}
    divided = truth / truth.max()
    assert found["completion", True]["psnr_t"] == pytest.approx(float(psnr_mu(expected, divided)), rel=1e-6)
    assert found["completion", False]["psnr_t"] != found["completion", True]["psnr_t"]
    assert both.settings["composite"] == "both"
    assert {m for m, _ in found} == {"completion", "oracle"}
    alone = evaluate(methods, [clip], protocol="field", **FAST)
    assert {r.composite for r in alone.frames} == {True}
    plain = evaluate(methods, [clip], **FAST)
    assert {r.composite for r in plain.frames} == {False}
    tool = Reconstructor(BASELINES["completion"], "average")
    network = tool.fuse(window, tool.complete(window, exposures), exposures).hdr
    (record,) = [r for r in plain.frames if r.method == "completion"]
    assert record.metrics["psnr_l"] == pytest.approx(float(psnr(network, truth, data_range=1.0)), rel=1e-6)
    # One frame has no neighbour to flicker against.
    assert "flicker" not in plain.clips[0].metrics
    text = markdown(plain)
    assert "–" not in text
    assert "Nothing to measure here (too few frames in a row, or unknown motion): flicker." in text


def test_tables_by_scene_and_what_they_say(tmp_path):
    trees.write_cinematic(tmp_path / "c", n_frames=7)
    source = find_source(tmp_path / "c", None, None)
    result = evaluate(REFERENCE, source.clips, protocol="field", composite="both", bounds=False, **FAST)
    result.settings["datasets"] = source.datasets
    text = markdown(result)
    assert "### cinematic-2exp, stops 0, 3, composite off, 6 frames" in text
    assert "### cinematic-3exp, stops -1.5, 0.5, 2.5, composite on, 2 frames" in text
    assert "protocol `field`: the field's frames, truth divided by its maximum where the field does" in text
    assert "the reference is pasted where it is well exposed." in text
    assert "the method's own output." in text
    for metric in ("PSNR_T", "PSNR_L", "flicker"):
        # Two scenes differ by more than methods do: by scene, for both composites, two and three exposures.
        assert text.count(f"| {metric} by clip | reference |") == (2 if metric == "flicker" else 4)
    assert text.count("| CAROUSEL |") == text.count("| POKER |")


def test_which_frames_are_said(tmp_path):
    trees.write_realhdrv(tmp_path / "r")
    clips = load_realhdrv(tmp_path / "r").clips
    whole = evaluate(REFERENCE, clips, protocol="field", **FAST)
    assert ". Frames 1-2 of every clip.\n" in markdown(whole)
    part = evaluate(REFERENCE, clips[:1], only={("realhdrv-2exp", "scene_2", (3.0, 0.0), i) for i in (0, 2, 3)}, **FAST)
    assert frame_list(part.frames) == "Frames 0, 2-3."
    assert frame_list([*part.frames, *whole.frames[-1:]]) == "Frames 0, 2-3 of scene_2; 2 of scene_10."


def test_interpolated_frames_are_held_to_recorded_ones(tmp_path):
    trees.write_realhdrv(tmp_path / "r")
    (clip, _) = load_realhdrv(tmp_path / "r").clips
    result = evaluate(REFERENCE, [clip], protocol="field", **FAST)
    expected = [
        float(psnr(0.5 * (clip.ldr(i - 1) + clip.ldr(i + 1))[None], clip.companion(i)[None], data_range=1.0))
        for i in (1, 2)
    ]
    (data,) = result.settings["data"].values()
    assert data["interpolated_psnr"] == pytest.approx(sum(expected) / 2, abs=1e-4)


def test_networks_run_where_they_fit(tmp_path):
    trees.write_cinematic(tmp_path / "c", n_frames=7, scenes=("A",))
    clips = load_cinematic(tmp_path / "c").clips
    two, three = (LRHDR(LRHDRConfig.preset("compact", n)) for n in (2, 3))
    result = evaluate({"two": two, "three": three}, clips, bounds=False, **FAST)
    assert {(r.group, r.method) for r in result.frames} == {("cinematic-2exp", "two"), ("cinematic-3exp", "three")}
    mixed = evaluate({"two": two} | REFERENCE, clips, bounds=False, **FAST)
    assert {(r.group, r.method) for r in mixed.frames} == {
        ("cinematic-2exp", "two"),
        ("cinematic-2exp", "reference"),
        ("cinematic-3exp", "reference"),
    }
    with pytest.raises(InputError, match=r"two: made for 2 exposures, but there are clips with 3, .* --exposures"):
        evaluate({"two": two}, clips, **FAST)
    with pytest.raises(InputError, match="three: made for 3 exposures, but the schedule has 2"):
        evaluate({"two": two, "three": three}, clips[:1], **FAST)


def test_nothing_to_score(tmp_path):
    trees.write_folder(tmp_path / "short", n_frames=2)
    clips = load_labelled_folder(tmp_path / "short").clips
    with pytest.raises(InputError, match="protocol field leaves none of 2 frames"):
        evaluate(REFERENCE, clips, protocol="field", **FAST)
    for path in (tmp_path / "short" / "truth").iterdir():
        path.unlink()
    (tmp_path / "short" / "truth").rmdir()
    with pytest.raises(InputError, match="has no ground truth"):
        evaluate(REFERENCE, load_labelled_folder(tmp_path / "short").clips, **FAST)
    with pytest.raises(InputError, match="no ground truth: nothing can be scored"):
        select(find_source(tmp_path / "short", None, None), [(0.0, 3.0)], None, None)


def test_frames_limits_what_is_scored_not_what_is_seen(tmp_path):
    trees.write_folder(tmp_path / "clip", n_frames=5, moving=True)
    clips = load_labelled_folder(tmp_path / "clip").clips
    whole, part = (evaluate({"merge": BASELINES["merge"]}, clips, frames=n, **FAST) for n in (None, 2))
    assert part.frames == [r for r in _without_time(whole, part) if r.index < 2]


def _without_time(whole, part):
    """The records of `whole`, with the times of `part` where there are any."""
    times = {(r.method, r.index): r.seconds for r in part.frames}
    return [type(r)(**{**vars(r), "seconds": times.get((r.method, r.index), r.seconds)}) for r in whole.frames]


def test_an_unfinished_evaluation_goes_on(tmp_path):
    for name in ("a", "b", "c"):
        trees.write_folder(tmp_path / name, n_frames=3)
    clips = load_labelled_folder(tmp_path).clips
    saved = []
    whole = evaluate(REFERENCE, clips, after_take=lambda r: saved.append(json.dumps(r.to_dict())), **FAST)
    assert len(saved) == 3
    assert set(json.loads(saved[0])) == {"settings", "frames", "clips"}  # no means: not after every clip
    (tmp_path / "a" / "frame_000.tif").unlink()  # not looked at again
    rest = evaluate(REFERENCE, clips, done=Evaluation.from_dict(json.loads(saved[0])), **FAST)
    assert [(r.clip, r.index, r.metrics) for r in rest.frames] == [(r.clip, r.index, r.metrics) for r in whole.frames]
    assert rest.settings["data"] == whole.settings["data"]
    assert [c.metrics for c in rest.clips] == [c.metrics for c in whole.clips]


def test_only_some_frames(tmp_path):
    trees.write_folder(tmp_path / "a", n_frames=4)
    kept = []
    wanted = {("folder-2exp", "a", (0.0, 3.0), 2)}
    clips = load_labelled_folder(tmp_path).clips
    torch.manual_seed(0)
    network = LRHDR(LRHDRConfig())
    evaluate({"net": network} | REFERENCE, clips, only=wanted, keep=lambda *x: kept.append(x), **FAST)
    assert [(record.method, record.index) for record, _ in kept] == [
        ("net", 2),
        ("reference", 2),
        ("oracle", 2),
        ("oracle+net", 2),
    ]
    net, plain = kept[0][1], kept[1][1]
    assert net.candidates.shape == (6, 3, 20, 24)
    assert net.weights.shape == (6, 20, 24)
    assert torch.allclose((net.weights[:, None] * net.candidates).sum(0), net.hdr, atol=1e-5)
    assert net.choice.shape == (20, 24)
    assert plain.candidates.shape == (4, 3, 20, 24)
    assert plain.weights is None
    oracle = kept[2][1]
    picked = oracle.candidates.gather(0, oracle.choice[None, None].expand(1, 3, -1, -1))[0]
    assert torch.equal(picked, oracle.hdr)


def test_the_worst_frames_are_those_of_the_worst_clips(tmp_path):
    trees.write_folder(tmp_path / "a", n_frames=4)
    result = evaluate(REFERENCE, load_labelled_folder(tmp_path).clips, bounds=False, **FAST)
    first = result.frames[0]
    scores = {("a", 0): 30.0, ("a", 1): 20.0, ("b", 0): 25.0, ("b", 1): 40.0, ("c", 0): 10.0, ("c", 1): 50.0}
    result.frames[:] = [
        dataclasses.replace(first, clip=clip, index=index, metrics={"psnr_t": value}, method=method)
        for method, sign in (("x", 1.0), ("y", -1.0))
        for (clip, index), value in ((key, sign * v) for key, v in scores.items())
    ]
    stops = first.stops
    assert worst_frames(result, 2, ["x"]) == {("folder-2exp", "c", stops, 0), ("folder-2exp", "a", stops, 1)}
    assert worst_frames(result, 1, ["x", "y"]) == {("folder-2exp", "c", stops, 0), ("folder-2exp", "c", stops, 1)}
    assert worst_frames(result, 2, ["z"]) == set()


def test_bench_clips_have_their_own_exposures_camera_and_motion():
    clips = [c for c in bench_clips(size=(24, 36), n_frames=3) if c.name.startswith("slow-clean")]
    result = evaluate(
        REFERENCE, clips, stops=[(0.0, 1.0)], interpolator="average", metrics=("psnr_t", "warped_error"), bounds=False
    )
    assert {r.stops for r in result.frames} == {(0.0, 3.0), (0.0, 2.0, 4.0)}
    assert all(0.0 < c.metrics["warped_error"] < 0.5 for c in result.clips)


@pytest.mark.parametrize("crop", [0, 8])
def test_an_error_that_moves_with_its_object_is_no_warped_error(crop):
    torch.manual_seed(0)
    scene, error = torch.rand(1, 3, 48, 112) * 0.5, torch.rand(1, 3, 48, 112) * 0.1
    flow, visible = torch.zeros(2, 48, 72), torch.zeros(1, 48, 72)
    flow[0], visible[..., :-6] = 6.0, 1.0
    protocol, judges = Protocol("mine", crop=crop), ClipJudges(choose_metrics(["warped_error"]), Display())
    for index in range(3):
        part = (..., slice(20 - 6 * index, 92 - 6 * index))
        truth, hdr = mu_law_inverse(scene[part]), mu_law_inverse(scene[part] + error[part])
        motion = None if index == 0 else _moved((flow, visible), protocol, torch.device("cpu"))
        judges.add(index, protocol.cropped(hdr), protocol.cropped(truth), motion)
    assert judges.result()["warped_error"] < 1e-6


def test_sources(tmp_path):
    trees.write_cinematic(tmp_path / "c", n_frames=7)
    source = find_source(tmp_path / "c", None, None)
    assert source.summary.startswith("Cinematic Video: 4 scenes")
    assert source.datasets == {"cinematic-2exp": "Cinematic Video", "cinematic-3exp": "Cinematic Video"}
    clips, _, _ = select(source, [(0.0, 3.0)], ["P*"], 3)
    assert [(c.group, c.name) for c in clips] == [("cinematic-3exp", "POKER")]
    with pytest.raises(InputError, match="expected clips named X with 2 exposures, found none"):
        select(source, [(0.0, 3.0)], ["X"], 2)
    assert find_source("bench", None, None).summary.startswith("lrhdr-bench")
    assert isinstance(find_source(None, None, ["bench"]), Source)
    with pytest.raises(InputError, match="bench has no sets"):
        find_source("bench", None, ["video"])
    for arguments in ((None, None, None), ("a", "b", None)):
        with pytest.raises(InputError, match="expected a data set or --data"):
            find_source(*arguments)


def test_old_files_are_read(tmp_path):
    old = {
        "settings": {"composite": False, "stops": [[0.0, 3.0]]},
        "means": [],
        "frames": [
            {
                "group": "g", "clip": "c", "stops": [0.0, 3.0], "index": 0, "reference": "short", "boundary": True,
                "method": "m", "psnr_t": "inf", "ssim_t": 1.0, "ghosts": 0.0, "seconds": 0.1,
            }
        ],
        "clips": [
            {"group": "g", "clip": "c", "stops": [0.0, 3.0], "method": "m", "flicker": 0.1, "interpolation_seconds": 0}
        ],
    }  # fmt: skip
    (tmp_path / "old.json").write_text(json.dumps(old))
    read = Evaluation.read_json(tmp_path / "old.json")
    assert read.frames[0].metrics == {"psnr_t": np.inf, "ssim_t": 1.0, "ghosts": 0.0}
    assert read.frames[0].composite is False
    assert read.means()[0]["psnr_t_short"] == "inf"
    assert "| inf |" in markdown(read)
    for text, message in (("{", "damaged"), ("[]", "something else"), ('{"settings": {}}', "something else")):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(InputError, match=message):
            Evaluation.read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match="found nothing"):
        Evaluation.read_json(tmp_path / "none.json")
