"""Metrics by name: each is the function that it says, on the domain that it says."""

import sys
from pathlib import Path

import pytest
import torch

from lrhdr.baselines import BASELINES
from lrhdr.checks import InputError
from lrhdr.judges import DEFAULT_METRICS, JUDGES, ClipJudges, JudgedFrame, check_available, choose_metrics, judge_frame
from lrhdr.metrics import (
    flicker_error,
    hdrvdp2,
    psnr,
    psnr_mu,
    psnr_pu21,
    ssim,
    ssim_mu,
    ssim_pu21,
    still_flicker,
)
from lrhdr.metrics.hdrvqm import VideoQuality
from lrhdr.metrics.warped import warped_error_change
from lrhdr.protocols import PROTOCOLS, Display


@pytest.fixture
def frame():
    torch.manual_seed(1)
    truth = torch.rand(1, 3, 24, 32) ** 3
    hdr = (truth + 0.02 * torch.randn_like(truth)).clamp_min(0.0)
    ldr = (truth * 2.0).clamp(0.0, 1.0) ** (1 / 2.2)
    return JudgedFrame(hdr, truth, ldr, torch.tensor([2.0]), PROTOCOLS["all-frames"], Display(peak=500.0))


def test_every_judge_is_its_function(frame):
    found = judge_frame(choose_metrics([name for name in JUDGES if name not in ("hdrvdp2", "cvvdp", "hdrvqm")]), frame)
    hdr, truth = frame.hdr, frame.truth
    span = float(truth.max() - truth.min())
    light, true_light = frame.display.light(hdr), frame.display.light(truth)
    expected = {
        "psnr_t": psnr_mu(hdr, truth),
        "psnr_l": psnr(hdr, truth, data_range=1.0),
        "ssim_t": ssim_mu(hdr, truth),
        "ssim_l": ssim(hdr, truth, span),
        "ssim_l_gaussian": ssim(hdr, truth, span, "gaussian"),
        "pu21_psnr": psnr_pu21(light, true_light, peak_luminance=100.0),
        "pu21_ssim": ssim_pu21(light, true_light, peak_luminance=100.0),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), rel=1e-6), name
    assert found["ssim_t_gaussian"] != found["ssim_t"]
    assert 0.0 <= found["ghosts"] <= 1.0
    assert not {"flicker", "still_flicker", "warped_error"} & set(found)


def test_hdrvdp2_is_asked_as_the_protocol_says(frame):
    judges = choose_metrics(["hdrvdp2"])
    light, true_light = frame.display.light(frame.hdr), frame.display.light(frame.truth)
    expected = hdrvdp2(light, true_light, encoding="rgb-bt.709", pixels_per_degree=30.0).q
    assert judge_frame(judges, frame)["hdrvdp2"] == pytest.approx(float(expected))
    paper = JudgedFrame(
        frame.hdr, frame.truth, frame.reference, frame.exposure, PROTOCOLS["lrhdr-paper"], frame.display
    )
    shown = hdrvdp2(frame.hdr.clamp(0, 1), frame.truth, encoding="srgb-display", pixels_per_degree=30.0).q
    assert judge_frame(judges, paper)["hdrvdp2"] == pytest.approx(float(shown))


def test_pairs_are_the_whole_clip():
    torch.manual_seed(2)
    truth = torch.rand(4, 3, 12, 16)
    truth[1:, :, :6] = truth[:1, :, :6]
    hdr = truth + 0.05 * torch.randn_like(truth)
    flow, visible = 2.0 * torch.rand(3, 2, 12, 16) - 1.0, (torch.rand(3, 1, 12, 16) > 0.3).float()
    judges = ClipJudges(choose_metrics(["flicker", "still_flicker", "warped_error"]), Display())
    for i in range(4):
        motion = (flow[i - 1 : i], visible[i - 1 : i]) if i else None
        judges.add(i, hdr[i : i + 1], truth[i : i + 1], motion)
    found = judges.result()
    assert found["flicker"] == pytest.approx(float(flicker_error(hdr, truth)), rel=1e-5)
    assert found["still_flicker"] == pytest.approx(float(still_flicker(hdr, truth).value), rel=1e-5)
    assert found["warped_error"] == pytest.approx(float(warped_error_change(hdr, truth, flow, visible)), rel=1e-5)


def test_pairs_do_not_span_gaps():
    frames = torch.rand(3, 3, 8, 8)
    judges = ClipJudges(choose_metrics(["flicker", "warped_error"]), Display())
    for i, frame in zip((0, 2, 5), frames, strict=True):
        judges.add(i, frame[None], torch.zeros(1, 3, 8, 8))
    assert judges.result() == {}


def test_judges_of_clips_get_whole_runs(monkeypatch):
    seen = []

    def watched(test, reference, **display):
        seen.append((len(test), float(test.max()), display))
        return 8.0 if len(test) > 1 else 5.0

    monkeypatch.setattr("lrhdr.judges.colorvideovdp", watched)
    judges = ClipJudges(choose_metrics(["cvvdp"]), Display(peak=500.0, frames_per_second=60.0))
    for i in (0, 1, 2, 5):
        judges.add(i, torch.ones(1, 3, 8, 8), torch.ones(1, 3, 8, 8))
    assert judges.result() == {"cvvdp": pytest.approx((3 * 8.0 + 5.0) / 4)}
    display = {"frames_per_second": 60.0, "peak": 500.0, "black": 0.005, "pixels_per_degree": 30.0}
    assert seen == [(3, 500.0, display), (1, 500.0, display)]


def test_hdrvqm_needs_more_than_a_moment(monkeypatch):
    def watched(test, reference, *, frames_per_second):
        assert (frames_per_second, len(test), float(test.max()), float(reference.max())) == (3.0, 3, 500.0, 250.0)
        return VideoQuality(raw=0.5, normalised=0.8)

    monkeypatch.setattr("lrhdr.judges.hdrvqm", watched)
    slow = Display(peak=500.0, frames_per_second=3.0)  # a moment is two frames
    for count, expected in ((2, {}), (3, {"hdrvqm": 0.8})):
        judges = ClipJudges(choose_metrics(["hdrvqm"]), slow)
        for i in range(count):
            judges.add(i, torch.ones(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.5))
        assert judges.result() == pytest.approx(expected)


def test_a_missing_package_is_found_before_the_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycvvdp", None)
    with pytest.raises(InputError, match="ColorVideoVDP needs the package cvvdp"):
        check_available(choose_metrics(["psnr_t", "cvvdp"]))
    check_available(choose_metrics(DEFAULT_METRICS))


def test_names():
    assert [j.name for j in choose_metrics(["flicker", "psnr_t", "psnr_t"])] == ["psnr_t", "flicker"]
    assert set(DEFAULT_METRICS) < set(JUDGES)
    with pytest.raises(InputError, match=r"expected some of psnr_t, .*, found lpips"):
        choose_metrics(["psnr_t", "lpips"])
    with pytest.raises(InputError, match="found none"):
        choose_metrics([])


def test_the_page_names_every_metric_and_protocol():
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert [name for name in (*JUDGES, *PROTOCOLS) if f"`{name}`" not in page] == []
    assert [name for name in BASELINES if f"| `{name}` |" not in page] == []
