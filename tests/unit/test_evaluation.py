"""Evaluation: sets and their scale, records, means and tables, the pipeline underneath, refusals."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from lrhdr.backends import BackendChoice
from lrhdr.baselines import BASELINES
from lrhdr.camera import CameraConfig
from lrhdr.checks import InputError
from lrhdr.data.evaluation import (
    MEDIAN_RANGE,
    EvaluationClip,
    expand_highlights,
    generated_clips,
    hdrvideo_clips,
    scale_to_saturation,
    video_clips,
)
from lrhdr.evaluation import evaluate
from lrhdr.evaluation_drawing import draw_worst
from lrhdr.exposure import ExposureSchedule
from lrhdr.interpolate import get_interpolator
from lrhdr.io.exr import write_exr
from lrhdr.io.video import VideoWriter
from lrhdr.metrics import psnr_mu
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.nn.precision import bf16_is_fast
from lrhdr.pipeline import Reconstructor
from lrhdr.score_tables import markdown


def clip(n_frames=4, size=(24, 32), name="ramp", seed=1):
    """A bright bar that moves over a dark slope."""

    def make():
        x = torch.linspace(0.01, 0.5, size[1]).expand(3, *size)
        frames = []
        for t in range(n_frames):
            frame = x.clone()
            frame[:, :, 4 + 2 * t : 8 + 2 * t] = 0.8
            frames.append(frame)
        return torch.stack(frames)

    return EvaluationClip(name, "made", make, seed, "a bar")


@pytest.fixture(scope="module")
def scored():
    steps = []
    methods = {"reference": BASELINES["reference"], "completion": BASELINES["completion"]}
    result = evaluate(
        methods, [clip()], stops=(2, 3), interpolator="average", progress=lambda *a: steps.append(a), seed=5
    )
    return result, steps


def test_every_frame_of_every_alternation_and_method_is_scored(scored):
    result, steps = scored
    assert len(result.frames) == 4 * 2 * 3
    first = [r for r in result.frames if r.stops == (0.0, 2.0) and r.method == "reference"]
    assert [r.index for r in first] == [0, 1, 2, 3]
    assert [r.reference for r in first] == ["short", "long", "short", "long"]
    assert [r.boundary for r in first] == [True, False, False, True]
    assert {r.method for r in result.frames} == {"reference", "completion", "oracle"}
    assert len(result.clips) == 2 * 3
    assert steps[-1] == ("ramp (1 of 1)", 8, 8)
    assert len(steps) == 8


def test_the_oracle_bounds_what_is_among_its_candidates(scored):
    result, _ = scored
    by = {(r.stops, r.index, r.method): r.metrics["psnr_t"] for r in result.frames}
    for stops, index, method in by:
        if method == "reference":
            assert by[stops, index, "oracle"] >= by[stops, index, method]


def test_means_are_over_frames(scored):
    result, _ = scored
    row = next(r for r in result.means() if r["method"] == "reference" and r["stops"] == [0.0, 3.0])
    mine = [r for r in result.frames if r.method == "reference" and r.stops == (0.0, 3.0)]
    assert row["frames"] == 4
    assert row["psnr_t_all"] == pytest.approx(sum(r.metrics["psnr_t"] for r in mine) / 4)
    assert row["psnr_t_short"] == pytest.approx(sum(r.metrics["psnr_t"] for r in mine[::2]) / 2)
    assert row["psnr_t_interior"] == pytest.approx(sum(r.metrics["psnr_t"] for r in mine[1:3]) / 2)
    assert row["ghosts"] == 0.0


def test_table_and_json(scored, tmp_path):
    result, _ = scored
    text = markdown(result)
    assert "### made, stops 0, 3, composite off, 4 frames" in text
    header = next(line for line in text.splitlines() if line.startswith("| method"))
    assert "PSNR_T short ref." in header
    assert "SSIM_T all" in header
    assert all(line.count("|") == header.count("|") for line in text.splitlines() if line.startswith("| refer"))
    path = tmp_path / "scores.json"
    result.write_json(path)
    read = json.loads(path.read_text())
    assert list(read) == ["settings", "means", "frames", "clips"]
    assert read["means"] == result.means()
    assert read["settings"]["seed"] == 5
    assert read["settings"]["interpolator"] == "average"
    assert read["settings"]["camera"]["bit_depth"] == 8
    assert read["settings"]["clips"] == {"made/ramp": "a bar"}
    assert set(read["settings"]["versions"]) >= {"lrhdr", "torch", "opencv"}
    assert len(read["frames"]) == 24


def test_perfect_results_are_written_as_valid_json(tmp_path):
    black = EvaluationClip("black", "made", lambda: torch.zeros(2, 3, 16, 16), 0)
    camera = CameraConfig(noise="none")
    result = evaluate({"reference": BASELINES["reference"]}, [black], stops=(2,), camera=camera, interpolator="average")
    assert result.frames[0].metrics["psnr_t"] == math.inf
    result.write_json(tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text(), parse_constant=pytest.fail)["means"][0]["psnr_t_all"] == "inf"
    assert "| inf |" in markdown(result)


def test_scores_are_deterministic_and_depend_on_the_seed(scored):
    methods = {"completion": BASELINES["completion"]}
    again, other = (evaluate(methods, [clip()], stops=(3,), interpolator="average", seed=s) for s in (5, 6))
    before = [r.metrics["psnr_t"] for r in scored[0].frames if r.method == "completion" and r.stops == (0.0, 3.0)]
    assert [r.metrics["psnr_t"] for r in again.frames if r.method == "completion"] == before
    assert [r.metrics["psnr_t"] for r in other.frames if r.method == "completion"] != before


def test_numbers_are_those_of_the_pipeline():
    kept = {}

    def keep(record, parts):
        assert parts.window.shape == (3, 3, 24, 32)
        kept[record.method, record.index] = (record.metrics["psnr_t"], parts.hdr, parts.truth)

    evaluate({"completion": BASELINES["completion"]}, [clip()], stops=(3,), interpolator="dis-guided", keep=keep)
    schedule = ExposureSchedule.from_stops((0, 3))
    ldr = clip().alternate(schedule, CameraConfig())
    for frame in Reconstructor(BASELINES["completion"], "dis-guided").reconstruct(ldr, schedule):
        score, hdr, truth = kept["completion", frame.index]
        radiance = torch.from_numpy(frame.radiance).permute(2, 0, 1)
        assert torch.equal(hdr, radiance)
        assert score == pytest.approx(float(psnr_mu(radiance[None], truth[None])))


def test_quality_is_that_of_the_pipeline():
    kept = {}

    def keep(record, parts):
        kept[record.index] = parts.hdr

    moving = clip(size=(64, 96))
    common = {"stops": (3,), "interpolator": "compact", "bounds": False, "keep": keep}
    result = evaluate({"completion": BASELINES["completion"]}, [moving], quality="fast", **common)
    assert result.settings["quality"] == "fast"
    assert result.settings["precision"] == ("bf16" if bf16_is_fast() else "fp32")
    exact = evaluate({"completion": BASELINES["completion"]}, [moving], precision="fp32", **common | {"keep": None})
    assert exact.settings["precision"] == "fp32"
    network = {"n": LRHDR(LRHDRConfig.preset("compact"))}
    half = evaluate(network, [moving], precision="bf16", **common | {"keep": None, "interpolator": "average"})
    assert half.settings["precision"] == "bf16"
    schedule = ExposureSchedule.from_stops((0, 3))
    ldr = clip(size=(64, 96)).alternate(schedule, CameraConfig())
    for quality, same in (("fast", True), ("best", False)):
        tool = Reconstructor(BASELINES["completion"], "compact", backend=BackendChoice(quality=quality))
        frames = [torch.from_numpy(f.radiance).permute(2, 0, 1) for f in tool.reconstruct(ldr, schedule)]
        assert all(torch.allclose(frame, kept[i], atol=1e-6) for i, frame in enumerate(frames)) == same


def test_sheets_of_a_network_leave_out_the_alternations_that_only_baselines_fit(tmp_path):
    chosen = {"two": LRHDR(LRHDRConfig.preset("compact")), "reference": BASELINES["reference"]}
    measure = {"stops": [(0, 3), (0, 2, 4)], "interpolator": "average", "predictions": {}, "bounds": False}
    result = evaluate(chosen, [clip(n_frames=5)], **measure, metrics=("psnr_t",))
    assert {(r.method, len(r.stops)) for r in result.frames} == {("two", 2), ("reference", 2), ("reference", 3)}
    draw_worst(result, 1, chosen, [clip(n_frames=5)], measure | {"metrics": ("psnr_t",)}, tmp_path, None)
    assert [path.suffix for path in tmp_path.iterdir()] == [".png"]


def test_a_networks_candidates_get_their_own_oracle():
    torch.manual_seed(0)
    network = LRHDR(LRHDRConfig())
    odd = clip(2, (18, 23))
    result = evaluate(
        {"lrhdr": network, "reference": BASELINES["reference"]}, [odd], stops=(2,), interpolator="average"
    )
    by = {(r.method, r.index): r.metrics["psnr_t"] for r in result.frames}
    assert {m for m, _ in by} == {"lrhdr", "reference", "oracle", "oracle+lrhdr"}
    for index in (0, 1):
        # The same frames, made in strips for the network: equal to rounding.
        assert by["oracle+lrhdr", index] >= by["oracle", index] - 1e-5


def test_three_exposures():
    result = evaluate(
        {"flow": BASELINES["flow"]}, [clip(6)], stops=[(0, 2, 4)], interpolator=get_interpolator("average")
    )
    mine = [r for r in result.frames if r.method == "flow"]
    assert [r.reference for r in mine] == ["short", "middle", "long"] * 2
    assert "PSNR_T middle ref." in markdown(result)


def test_first_frames_only():
    result = evaluate({"reference": BASELINES["reference"]}, [clip(5)], stops=(2,), interpolator="average", frames=2)
    assert [r.index for r in result.frames if r.method == "reference"] == [0, 1]


def test_refusals():
    reference = {"reference": BASELINES["reference"]}
    with pytest.raises(InputError, match="at least one"):
        evaluate({}, [clip()])
    with pytest.raises(InputError, match="at least one"):
        evaluate(reference, [])
    with pytest.raises(InputError, match="bound"):
        evaluate({"oracle": BASELINES["reference"]}, [clip()])
    with pytest.raises(InputError, match="at least two exposures"):
        evaluate(reference, [clip()], stops=[(1,)])
    with pytest.raises(InputError):
        evaluate(reference, [clip(1)], stops=(2,))
    with pytest.raises(InputError, match="2 exposures"):
        evaluate({"lrhdr": LRHDR(LRHDRConfig())}, [clip(6)], stops=[(0, 2, 4)])


def test_clips_are_made_once_and_released():
    made = []

    def make():
        made.append(1)
        return torch.rand(2, 3, 16, 16)

    lazy = EvaluationClip("x", "made", make, 0)
    assert not made
    assert lazy.hdr is lazy.hdr
    assert made == [1]
    lazy.release()
    assert lazy.hdr.shape == (2, 3, 16, 16)
    assert made == [1, 1]


def test_noise_differs_from_clip_to_clip_and_alternation():
    a, b = clip(seed=1), clip(seed=2)
    two, three = (ExposureSchedule.from_stops((0, s)) for s in (2, 3))
    camera = CameraConfig()
    assert torch.equal(a.alternate(two, camera), a.alternate(two, camera))
    assert not torch.equal(a.alternate(two, camera), b.alternate(two, camera))
    assert not torch.equal(a.alternate(two, camera)[::2], a.alternate(three, camera)[::2])
    assert not torch.equal(a.alternate(two, camera), a.alternate(two, camera, seed=1))


def test_scale_percentile_and_median():
    ramp = torch.linspace(0, 50, 1000) ** 4
    scaled = scale_to_saturation(ramp.expand(2, 3, 1, 1000))
    assert float((scaled >= 1).float().mean()) == pytest.approx(0.005, abs=0.002)
    flat = scale_to_saturation(torch.full((1, 3, 8, 8), 7.0))
    assert torch.allclose(flat, torch.full_like(flat, MEDIAN_RANGE[1]))
    lamp = torch.full((1, 3, 20, 20), 1.0)
    lamp[..., :2] = 1e5
    assert float(scale_to_saturation(lamp)[..., 5:].mean()) == pytest.approx(MEDIAN_RANGE[0])
    assert torch.equal(scale_to_saturation(torch.zeros(1, 3, 4, 4)), torch.zeros(1, 3, 4, 4))


def test_expanded_highlights_rise_and_leave_the_rest():
    grey = torch.linspace(0, 1, 101).view(101, 1, 1, 1).expand(101, 3, 1, 1)
    linear = expand_highlights(grey)[:, 0, 0, 0]
    assert torch.all(linear[1:] > linear[:-1])
    assert torch.allclose(linear[:70], grey[:70, 0, 0, 0] ** 2.2)
    assert float(linear[-1]) == pytest.approx(8.0)


@pytest.fixture
def stills(tmp_path):
    folder = tmp_path / "hdr"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        picture = np.kron(rng.uniform(0.01, 3.0, (12, 18, 3)) ** 3, np.ones((16, 16, 1))).astype(np.float32)
        write_exr(folder / f"{name}.exr", picture, {})
    return folder


def test_generated_set(stills):
    clips = generated_clips(stills, n_frames=3, size=(32, 48))
    assert [c.name for c in clips] == ["a-calm", "b-medium"]
    assert len({c.seed for c in clips}) == 2
    hdr = clips[1].hdr
    assert hdr.shape == (3, 3, 32, 48)
    assert 0.0 <= float(hdr.min()) < float(hdr.max()) <= 1.0
    assert torch.equal(hdr, generated_clips(stills, n_frames=3, size=(32, 48))[1].hdr)
    assert not torch.equal(hdr[0], hdr[2])


def write_video(path, n_frames):
    with VideoWriter(path, Fraction(24), (48, 64)) as writer:
        for t in range(n_frames):
            frame = np.full((48, 64, 3), 40, np.uint8)
            frame[10:30, 4 + t : 24 + t] = 220
            writer.write(frame)


def test_video_set(tmp_path):
    write_video(tmp_path / "short.mp4", 10)
    write_video(tmp_path / "longer.mp4", 50)
    clips = video_clips(tmp_path)
    assert [c.name for c in clips] == ["longer-011", "longer-025", "short-000"]
    assert len({c.seed for c in clips}) == 3
    assert clips[0].hdr.shape == (12, 3, 24, 32)
    assert clips[2].hdr.shape == (5, 3, 24, 32)
    assert float(clips[0].hdr.max()) <= 1.0


def test_hdr_video_set_wants_hdr(tmp_path):
    write_video(tmp_path / "sdr.mp4", 4)
    with pytest.raises(InputError, match="PQ or HLG"):
        hdrvideo_clips(tmp_path)


@pytest.mark.parametrize("clips", [generated_clips, hdrvideo_clips, video_clips])
def test_empty_folders_are_refused(clips, tmp_path):
    with pytest.raises(InputError, match="found none"):
        clips(tmp_path)
    with pytest.raises(InputError, match="found none"):
        clips(tmp_path / "missing")
