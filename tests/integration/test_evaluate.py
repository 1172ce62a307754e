"""`lrhdr evaluate` and `lrhdr compare` on trees that the test writes."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import Outcome

import lrhdr.evaluation_runs as runs
import trees
from lrhdr.commands import evaluate as command
from lrhdr.data.recording import RECORDINGS
from lrhdr.io.exr import write_exr
from lrhdr.judges import DEFAULT_METRICS, JUDGES
from lrhdr.protocols import DEFAULT_PROTOCOL, PROTOCOLS, Display

Run = Callable[..., Outcome]
FAST = ("--interpolator", "average", "--threads", 1, "--worst", 0, "--no-plots")


def test_choices_are_those_of_the_registries() -> None:
    assert (DEFAULT_PROTOCOL, *PROTOCOLS) == command.PROTOCOLS
    assert tuple(RECORDINGS) == command.RECORDINGS
    assert tuple(JUDGES) == command.METRICS
    assert command.DEFAULT_METRICS == DEFAULT_METRICS
    assert (Display.peak, Display.pixels_per_degree) == (command.PEAK, command.PIXELS_PER_DEGREE)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    trees.write_deephdrvideo(tmp_path / "dynamic_RGB_data_2exp_release", static=False)
    return tmp_path / "dynamic_RGB_data_2exp_release"


def test_a_published_data_set(lrhdr: Run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "e"
    result = lrhdr(
        *("evaluate", data, "-o", out, "--method", "completion,reference", "--protocol", "field"),
        *("--composite", "both", "--metrics", "psnr_t,psnr_l", "hdrvdp2", "--peak", 500, *FAST),
    )
    assert result.status == 0, result.err
    assert result.err.startswith("DeepHDRVideo: 2 scenes, 2 exposures, 10 frames of 24x20, 2 with ground truth\n")
    assert "### deephdrvideo-dynamic-2exp, stops 0, 3, composite on, 2 frames" in result.out
    assert "HDR-VDP-2 of srgb-display, 24 inch at 0.5 m" in result.out
    assert "| PSNR_L by clip | completion | reference |" in result.out
    written = json.loads((out / "evaluation.json").read_text())
    settings = written["settings"]
    assert settings["protocol"]["name"] == "field"
    assert settings["display"] == {
        "peak": 500.0,
        "black": 0.005,
        "pixels_per_degree": 30.0,
        "frames_per_second": 24.0,
    }
    assert settings["datasets"] == {"deephdrvideo-dynamic-2exp": "DeepHDRVideo"}
    assert settings["machine"]["threads"] == 1
    assert {(r["method"], r["composite"]) for r in written["means"]} == {
        (m, c) for m in ("completion", "reference", "oracle") for c in (True, False)
    }
    assert {"psnr_t", "psnr_l", "hdrvdp2"} <= set(written["frames"][0])
    assert not (out / runs.UNFINISHED).exists()


def test_made_footage_goes_through_a_codec(lrhdr: Run, tmp_path: Path) -> None:
    common = (
        "evaluate",
        "bench",
        "--clips",
        "static-clean-*",
        "--exposures",
        2,
        "--frames",
        2,
        "--methods",
        "completion",
    )
    scores = {}
    for name in ("none", "jpeg"):
        result = lrhdr(*common, "--metrics", "psnr_t", "--recording", name, "-o", tmp_path / name, *FAST)
        assert result.status == 0, result.err
        assert ("made footage is recorded: JPEG of quality 90, 4:2:0" in result.out) == (name == "jpeg")
        written = json.loads((tmp_path / name / "evaluation.json").read_text())
        assert (written["settings"]["recording"] or {}).get("codec", "none") == name
        scores[name] = next(r["psnr_t_all"] for r in written["means"] if r["method"] == "completion")
    assert scores["jpeg"] < scores["none"] - 1.0
    assert lrhdr("compare", tmp_path / "none", tmp_path / "none").status == 0
    result = lrhdr("compare", tmp_path / "none", tmp_path / "jpeg")
    assert result.status != 0
    assert "differ in their recording" in result.err


def test_recorded_footage_is_scored_with_the_weights_for_it(lrhdr: Run, tmp_path: Path) -> None:
    result = lrhdr(
        *("evaluate", "bench", "--clips", "static-clean-*", "--exposures", 2, "--frames", 2, "--methods", "lrhdr"),
        *("--no-bounds", "--metrics", "psnr_t", "--recording", "h264", "-o", tmp_path / "e", *FAST),
    )
    assert result.status == 0, result.err
    written = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    assert {r["method"] for r in written["means"]} == {"compact-2exp-recorded"}


def test_weights_of_two_interpolators_need_one_to_be_named(
    lrhdr: Run, tiny_weights: Callable[..., Path], tmp_path: Path
) -> None:
    common = ("evaluate", "bench", "--clips", "static-clean-*", "--exposures", 2, "--frames", 2, "--methods", "lrhdr")
    both = (
        *common,
        "--no-bounds",
        "-o",
        tmp_path / "e",
        "--weights",
        tiny_weights(),
        "compact-2exp",
        "--metrics",
        "psnr_t",
    )
    result = lrhdr(*both, *FAST[2:])
    assert result.status == 2
    assert "trained random-2 with average, compact-2exp with compact" in result.err
    assert lrhdr(*both, *FAST).status == 0


def test_an_alternation_said_twice_is_scored_once_and_other_frames_are_passed_over(lrhdr: Run, tmp_path: Path) -> None:
    image = np.full((40, 64, 3), 0.2, np.float32) + np.linspace(0.0, 0.5, 64, dtype=np.float32)[None, :, None]
    (tmp_path / "hdr_val").mkdir()
    cv2.imwrite(str(tmp_path / "hdr_val" / "ramp.hdr"), image)
    common = ("evaluate", "--data", tmp_path, "-o", tmp_path / "e", "--metrics", "psnr_t", "--no-bounds", *FAST)
    result = lrhdr(*common, "--methods", "reference", "--stops", 3, "0,3")
    assert result.status == 0, result.err
    written = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    (mean,), count = written["means"], len(written["frames"])
    assert mean["frames"] == count == len({f["index"] for f in written["frames"]})
    (clip,) = {f["clip"] for f in written["frames"]}
    (tmp_path / "mine" / clip).mkdir(parents=True)
    for index in range(count):
        write_exr(tmp_path / "mine" / clip / f"frame_{index:06d}.exr", np.zeros((256, 384, 3), np.float32))
    cut = lrhdr(*common, "--predictions", tmp_path / "mine", "--stops", 3, "--frames", 3)
    assert cut.status == 0, cut.err


def test_recorded_clips_are_not_recorded_again(lrhdr: Run, data: Path, tmp_path: Path) -> None:
    result = lrhdr("evaluate", data, "-o", tmp_path / "e", "--method", "completion", "--recording", "h264", *FAST)
    assert result.status != 0
    assert "was recorded by a camera" in result.err


def test_a_camera_of_ones_own(lrhdr: Run, data: Path, tmp_path: Path) -> None:
    image = np.full((40, 64, 3), 0.2, np.float32) + np.linspace(0.0, 0.5, 64, dtype=np.float32)[None, :, None]
    stills = tmp_path / "stills"
    (stills / "hdr_val").mkdir(parents=True)
    cv2.imwrite(str(stills / "hdr_val" / "ramp.hdr"), image)
    common = ("--methods", "reference", "--no-bounds", "--metrics", "psnr_t", "--stops", 3, "--frames", 2, *FAST)
    scores = {}
    for words in ((), ("--camera", "read_noise_e=40", "demosaicing=bilinear")):
        result = lrhdr("evaluate", "--data", stills, "-o", tmp_path / "e", *common, *words)
        assert result.status == 0, result.err
        assert ("read noise 40 e, 8 bits, demosaicing bilinear" in result.out) == bool(words)
        (row,) = json.loads((tmp_path / "e" / "evaluation.json").read_text())["means"]
        scores[bool(words)] = row["psnr_t_all"]
    assert scores[True] < scores[False] - 1.0
    wrong = ("evaluate", "--data", stills, "-o", tmp_path / "w", *common, "--camera", "iso=800")
    assert "expected FIELD=VALUE" in lrhdr(*wrong).err
    for other in (data, "bench"):
        result = lrhdr("evaluate", other, "-o", tmp_path / "w", *common, "--camera", "read_noise_e=4")
        assert result.status == 2
        assert "a camera of its own" in result.err


def test_results_of_other_methods(lrhdr: Run, data: Path, tmp_path: Path) -> None:
    for scene in ("scene_000_ref_high", "scene_001_ref_low"):
        (tmp_path / "other" / scene).mkdir(parents=True)
        truth = cv2.imread(str(data / scene / f"{scene}.hdr"), -1)[..., ::-1]
        write_exr(tmp_path / "other" / scene / "img_02.exr", truth / truth.max())
    common = ("evaluate", data, "-o", tmp_path / "e", "--protocol", "network-only", *FAST)
    result = lrhdr(*common, "--predictions", f"truth={tmp_path / 'other'}", "--metrics", "psnr_t")
    assert result.status == 0, result.err
    (row,) = json.loads((tmp_path / "e" / "evaluation.json").read_text())["means"]
    assert row["method"] == "truth"
    assert row["psnr_t_all"] > 60.0  # half floats
    (tmp_path / "other" / "scene_000_ref_high" / "img_02.exr").unlink()
    broken = lrhdr(*common, "--predictions", tmp_path / "other")
    assert broken.status == 2
    assert "found no result for 1 of 1 frames (img_02), expected one EXR, HDR or PFM per frame" in broken.err


def test_compare(lrhdr: Run, data: Path, tmp_path: Path) -> None:
    common = ("evaluate", data, "--metrics", "psnr_t", "--no-bounds", *FAST)
    for name, method in (("a", "merge"), ("b", "completion")):
        assert lrhdr(*common, "-o", tmp_path / name, "--method", method).status == 0
    a, b = (tmp_path / name / "evaluation.json" for name in "ab")
    result = lrhdr("compare", a, b, "--methods", "merge", "completion")
    assert result.status == 0, result.err
    assert "### PSNR_T: completion (B) minus merge (A); higher is better" in result.out
    assert "| all 2 | 2 |" in result.out
    found = json.loads(lrhdr("compare", a, b, "--methods", "merge", "completion", "--json").out)
    assert found["bootstrap"]["resampled"] == "clips"
    assert [d["clip"] for d in found["differences"]] == [None, "scene_000_ref_high", "scene_001_ref_low"]
    for arguments, message in (
        ((a,), "expected a second file, or --methods"),
        ((a, b), "(--methods A B), found none"),
        ((a, tmp_path / "none.json"), "none.json: expected the JSON of lrhdr evaluate, found nothing"),
    ):
        refused = lrhdr("compare", *arguments)
        assert refused.status == 2
        assert message in refused.err
        assert refused.err.count("\n") == 1
    assert lrhdr(*common, "-o", tmp_path / "c", "--method", "merge", "--protocol", "field").status == 0
    assert "differ in their protocol" in lrhdr("compare", a, tmp_path / "c" / "evaluation.json").err


def test_a_stopped_evaluation_goes_on(lrhdr: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("evaluate", data, "-o", tmp_path / "e", "--method", "reference", "--metrics", "psnr_t", *FAST)
    whole = lrhdr(*arguments)
    first = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    real, calls = runs.write_bytes, []

    def stopping(path: Path, content: bytes) -> None:
        real(path, content)
        calls.append(path)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(runs, "write_bytes", stopping)
    stopped = lrhdr(*arguments)
    assert stopped.status == 130
    assert "the same command goes on from here" in stopped.err
    assert len(json.loads((tmp_path / "e" / runs.UNFINISHED).read_text())["evaluation"]["clips"]) == 2  # one clip
    calls.append(tmp_path)
    # Another request starts anew; the same one goes on.
    other = json.loads((tmp_path / "e" / runs.UNFINISHED).read_text())
    again = lrhdr(*arguments)
    assert again.status == whole.status == 0
    second = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    for key in ("group", "clip", "index", "method", "psnr_t"):
        assert [f[key] for f in second["frames"]] == [f[key] for f in first["frames"]]
    assert second["frames"][0]["seconds"] == other["evaluation"]["frames"][0]["seconds"]
    assert not (tmp_path / "e" / runs.UNFINISHED).exists()


def test_refusals(lrhdr: Run, data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    common = ("-o", tmp_path / "e", *FAST)
    for arguments, message in (
        ((), "expected a data set or --data with a folder of sets, found neither"),
        ((data, "--data", data), "found both"),
        ((tmp_path / "empty",), "found no data set that is known"),
        ((tmp_path / "none",), "expected the folder of a data set, found nothing"),
        ((data, "--method", "magic"), "methods: expected lrhdr, "),
        ((data, "--metrics", "lpips"), "metrics: expected some of psnr_t"),
        ((data, "--frames", "0"), "frames: expected 1 or more, found 0"),
        ((data, "--exposures", "3"), "expected clips with 3 exposures, found none"),
        ((data, "--peak", "-5"), "display: expected a peak"),
        ((data, "--predictions", tmp_path / "none"), "expected a folder of results, found nothing"),
        ((data, "--protocol", "mine"), "invalid choice: 'mine'"),
    ):
        refused = lrhdr("evaluate", *arguments, *common)
        assert refused.status == 2, arguments
        assert message in refused.err
        assert refused.err.count("\n") <= 2


def test_exposures_without_weights_are_named(
    lrhdr: Run, tiny_weights: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees.write_folder(tmp_path / "set" / "two")
    trees.write_folder(tmp_path / "set" / "three", stops=(0.0, 2.0, 4.0))
    common = ("evaluate", tmp_path / "set", "-o", tmp_path / "e", "--metrics", "psnr_t", *FAST)
    result = lrhdr(*common, "--weights", tiny_weights(), "--method", "lrhdr", "reference")
    assert result.status == 0, result.err
    assert "no weights for 3 exposures: networks are not scored on those clips" in result.err
    means = json.loads((tmp_path / "e" / "evaluation.json").read_text())["means"]
    assert [r["method"] for r in means if r["group"] == "folder-3exp"] == ["reference", "oracle"]
    alone = lrhdr(*common, "--weights", tiny_weights(), "--method", "lrhdr")
    assert alone.status == 2
    assert "made for 2 exposures, but there are clips with 3, expected a method for these too" in alone.err
    assert lrhdr(*common, "--weights", tiny_weights(), "--method", "lrhdr", "--exposures", 2).status == 0
    monkeypatch.setattr(runs, "bundled_names", lambda: [])
    assert "weights: found none bundled for 2 or 3 exposures" in lrhdr(*common).err


def test_clips_without_truth_are_said(lrhdr: Run, tmp_path: Path) -> None:
    pytest.importorskip("scipy", reason="reads .mat files")
    trees.write_tog13(tmp_path / "t")
    result = lrhdr("evaluate", tmp_path / "t", "-o", tmp_path / "e", *FAST)
    assert result.status == 2
    assert "TOG13: 2 scenes, 2 and 3 exposures, 8 frames of 24x20, no ground truth: nothing can be scored" in result.err


def test_pictures(lrhdr: Run, tiny_weights: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        trees.write_folder(tmp_path / "set" / name, moving=True)
    result = lrhdr(
        *("evaluate", tmp_path / "set", "-o", tmp_path / "e", "--method", "lrhdr", "merge", "--worst", 1),
        *("--weights", tiny_weights(), "--composite", "both", "--metrics", "psnr_t", "--threads", 1),
    )
    assert result.status == 0, result.err
    pictures = {p.name for p in (tmp_path / "e" / "pictures").iterdir()}
    assert pictures == {
        "psnr_t-folder-2exp-stops-0-3.png",
        "psnr_t-folder-2exp-stops-0-3-composite.png",
        "worst-folder-2exp-stops-0-3-random-2.png",
        "worst-folder-2exp-stops-0-3-random-2-composite.png",
    }
    assert str(tmp_path / "e" / "pictures") in result.out
    assert "worst frames: two (1 of 1): " in result.err or "worst frames: one (1 of 1): " in result.err
    assert "worst: expected 0 or more" in lrhdr("evaluate", tmp_path / "set", "--worst", -1).err
