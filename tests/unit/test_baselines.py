"""Baselines: exact on still scenes, honest on moving ones, any number of exposures; the oracle's bound."""

import pytest
import torch

from lrhdr.agreement import agreement
from lrhdr.baselines import (
    BASELINES,
    DISPLAY_REFERRED,
    fuse_exposures,
    interpolated_exposures,
    model_free_candidates,
    oracle,
)
from lrhdr.camera import CameraConfig, expose
from lrhdr.checks import InputError
from lrhdr.exposure import ExposureSchedule
from lrhdr.interpolate import complete_window, get_interpolator
from lrhdr.metrics import psnr_mu

PERFECT = CameraConfig(noise="none", bit_depth=0)


def scene(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """A smooth HDR picture, (3, H, W): mostly dark, some of it clipped by long exposures, all within [0, 1]."""
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    for _ in range(2):
        noise = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)
    noise = (noise - noise.amin()) / (noise.amax() - noise.amin())
    return (0.003 + 0.9 * noise[0] ** 5).clamp(0, 1)


def still(stops, index=None, camera=PERFECT, size=(32, 40)):
    """A completed window of a scene that does not move, and its truth."""
    schedule = ExposureSchedule.from_stops(stops)
    n = schedule.n_exposures
    index = n if index is None else index
    truth = scene(*size)[None]
    exposures = torch.tensor([schedule.window_exposures(index)])
    window = expose(truth.expand(2 * n - 1, -1, -1, -1), exposures[0], camera, torch.Generator().manual_seed(0))[None]
    return window, complete_window(window, exposures, get_interpolator("average")), exposures, truth


RADIANCE = sorted(set(BASELINES) - DISPLAY_REFERRED)


@pytest.mark.parametrize("name", RADIANCE)
@pytest.mark.parametrize("stops", [(0, 3), (3, 0), (0, 2, 4)])
def test_noise_free_still_scene_is_reproduced(name, stops):
    window, interpolated, exposures, truth = still(stops)
    hdr = BASELINES[name](window, interpolated, exposures)
    assert hdr.shape == truth.shape
    if name == "reference":
        clip = 1 / exposures[0, exposures.shape[1] // 2]
        assert torch.allclose(hdr, truth.clamp_max(float(clip)), atol=1e-5)
    else:
        # flow resamples: a thousandth of a pixel on a slope
        assert torch.allclose(hdr, truth, atol=1e-5 if name != "flow" else 2e-3)


@pytest.mark.parametrize("name", sorted(BASELINES))
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (17, 5)])
def test_any_size_and_finite(name, size):
    window = torch.rand(2, 3, 3, *size, generator=torch.Generator().manual_seed(0))
    exposures = torch.tensor([[1.0, 8.0, 1.0], [8.0, 1.0, 8.0]])
    interpolated = complete_window(window, exposures, get_interpolator("dis-guided"))
    hdr = BASELINES[name](window, interpolated, exposures)
    assert torch.isfinite(hdr).all()
    assert 0.0 <= hdr.min() <= hdr.max() <= 1.0


@pytest.mark.parametrize("name", sorted(BASELINES))
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_black_and_all_clipped(name, value):
    window = torch.full((1, 3, 3, 20, 20), value)
    hdr = BASELINES[name](window, window[:, :1], torch.tensor([[8.0, 1.0, 8.0]]))
    assert torch.equal(hdr, torch.full_like(hdr, value))


def moving(reference_is_short: bool):
    """A pan by 3 pixels per frame with an ordinary camera's noise, and its truth."""
    wide = scene(64, 110, 3)
    frames = torch.stack([wide[..., 8 + 3 * t : 8 + 3 * t + 88] for t in (0, 1, 2)])
    exposures = torch.tensor([[8.0, 1.0, 8.0] if reference_is_short else [1.0, 8.0, 1.0]])
    window = expose(frames, exposures[0], CameraConfig(), torch.Generator().manual_seed(1))[None]
    interpolated = complete_window(window, exposures, get_interpolator("dis"))
    return window, interpolated, exposures, frames[1:2]


@pytest.mark.parametrize("short", [True, False])
def test_aligned_merges_beat_reference_and_naive_merge_on_a_pan(short):
    window, interpolated, exposures, truth = moving(short)
    score = {n: float(psnr_mu(f(window, interpolated, exposures), truth)) for n, f in BASELINES.items()}
    for name, gain in (("align", 2.5), ("flow", 3.0), ("completion", 3.0)):
        assert score[name] > max(score["reference"], score["merge"]) + gain, score


def test_one_projective_map_beats_flow_on_a_pan_under_a_long_reference():
    # Every pixel moves alike; flow has to find that patch by patch, across what the long exposure clips.
    window, interpolated, exposures, truth = moving(False)
    score = {n: float(psnr_mu(BASELINES[n](window, interpolated, exposures), truth)) for n in ("align", "flow")}
    assert score["align"] > score["flow"] + 0.5, score


@pytest.mark.parametrize("name", ["align", "flow", "completion"])
def test_ghosts_are_refused(name):
    # The neighbours show something that is not there at the reference's time.
    window, interpolated, exposures, truth = still((0, 2), index=2)
    assert exposures[0, 1] == 1.0
    ghost = torch.full((3, 12, 12), 0.2) ** (1 / 2.2)  # radiance 0.05; the truth has 0.16 to 0.5 there
    window[:, 0, :, 8:20, 8:20] = window[:, 2, :, 8:20, 8:20] = interpolated[:, 0, :, 8:20, 8:20] = ghost
    inside = (..., slice(9, 19), slice(9, 19))
    hdr = BASELINES[name](window, interpolated, exposures)
    assert torch.allclose(hdr[inside], truth[inside], atol=2e-3)
    assert not torch.allclose(BASELINES["merge"](window, interpolated, exposures)[inside], truth[inside], atol=2e-2)


def test_a_clipped_reference_bounds_from_below():
    window = torch.ones(1, 3, 3, 8, 8)
    exposures = torch.tensor([[1.0, 4.0, 1.0]])
    window[:, 0] = window[:, 2] = 0.3  # claims 0.07, but the reference says at least 0.25
    hdr = BASELINES["completion"](window, window[:, :1], exposures)
    assert torch.allclose(hdr, torch.full_like(hdr, 0.25))


def test_agreement_at_equality_contradiction_and_clipping():
    one, four = torch.ones(1), torch.full((1,), 4.0)
    radiance = torch.full((1, 3, 9, 9), 0.1)
    short, long = radiance ** (1 / 2.2), (4 * radiance) ** (1 / 2.2)
    assert torch.allclose(agreement(long, four, short, one), torch.ones(1, 1, 9, 9), atol=1e-4)
    assert agreement(0.5 * long, four, short, one).max() < 1e-3
    # A clipped reference does not object to what is brighter than it can see, but to what is darker.
    clipped = torch.ones_like(short)
    assert agreement((3 * radiance) ** (1 / 2.2), one, clipped, four).min() > 0.99
    assert agreement(short * 0.5, one, clipped, four).max() < 1e-3
    # Nor can a clipped long frame contradict a short reference that is brighter still.
    assert agreement(clipped, four, (0.7 * torch.ones_like(short)) ** (1 / 2.2), one).min() > 0.99


def test_interpolated_exposures_order():
    assert interpolated_exposures(torch.tensor([[16.0, 1.0, 4.0, 16.0, 1.0]])).tolist() == [[1.0, 16.0]]


def test_oracle_takes_the_best_candidate_and_bounds_them_all():
    window, interpolated, exposures, truth = moving(True)
    candidates = model_free_candidates(window, interpolated, exposures)
    assert candidates.shape == (1, 4, 3, 64, 88)
    best = oracle(candidates, truth)
    for k in range(4):
        assert psnr_mu(best, truth) >= psnr_mu(candidates[:, k], truth)
    with_truth = torch.cat((candidates, truth[:, None]), dim=1)
    assert torch.equal(oracle(with_truth, truth), truth)
    with pytest.raises(InputError, match="do not fit"):
        oracle(candidates, truth[..., :-1])


def test_mertens_keeps_the_order_of_tones_and_the_level():
    window, interpolated, exposures, truth = still((0, 3))
    picture = BASELINES["mertens"](window, interpolated, exposures)
    assert "mertens" in DISPLAY_REFERRED
    # Not the radiance, but the same scene: ranks of a fused picture follow the truth's.
    ranks = torch.stack([x.mean(dim=1).flatten().argsort().argsort().double() for x in (picture, truth)])
    assert float(torch.corrcoef(ranks)[0, 1]) > 0.95
    assert float(picture.mean() / truth.mean()) == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("short", [True, False])
def test_mertens_follows_a_pan(short):
    window, interpolated, exposures, truth = moving(short)
    own = BASELINES["mertens"](window, interpolated, exposures)
    still_window = expose(truth.expand(3, -1, -1, -1), exposures[0], PERFECT, torch.Generator().manual_seed(1))[None]
    wanted = BASELINES["mertens"](still_window, interpolated, exposures)
    assert float(psnr_mu(own, wanted)) > 28.0


def test_fusing_one_picture_with_itself_returns_it():
    picture = torch.rand(3, 32, 40, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    assert torch.allclose(fuse_exposures(torch.stack((picture, picture))), picture, atol=2e-3)


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_refuses_windows_that_do_not_fit(name):
    with pytest.raises(InputError, match="odd number"):
        BASELINES[name](torch.rand(1, 4, 3, 8, 8), torch.rand(1, 1, 3, 8, 8), torch.ones(1, 4))
