"""Metrics: golden values from scikit-image, identities, domains, refusals.

The golden numbers come from scikit-image 0.26.0, in its own environment:

    y, x = np.mgrid[0:24, 0:32]
    ref = np.stack([.5 + .4 * np.sin(x / 5 + c) * np.cos(y / 7 - c) for c in range(3)], -1)
    test = np.clip(ref + .05 * np.sin(x * 1.7 + y * .9)[..., None] + .02 * np.arange(3), 0, 1)
    peak_signal_noise_ratio(ref, test, data_range=1.0)
    structural_similarity(ref, test, data_range=1.0, channel_axis=-1)
    structural_similarity(ref, test, data_range=ref.max() - ref.min(), channel_axis=-1)
    structural_similarity(ref, test, data_range=1.0, channel_axis=-1, gaussian_weights=True, sigma=1.5,
                          use_sample_covariance=False)
"""

import math

import numpy as np
import pytest
import torch

from lrhdr.checks import InputError
from lrhdr.metrics import Meters, flicker, flicker_error, ghost_share, psnr, psnr_mu, ssim, ssim_mu
from lrhdr.tonemap import mu_law, mu_law_inverse

GOLDEN_PSNR = 27.162082443645406
GOLDEN_SSIM = 0.9176091444999189
GOLDEN_SSIM_OWN_RANGE = 0.9153774831216742
GOLDEN_SSIM_GAUSSIAN = 0.8786314596217926


@pytest.fixture(scope="module")
def pair():
    y, x = np.mgrid[0:24, 0:32]
    ref = np.stack([0.5 + 0.4 * np.sin(x / 5 + c) * np.cos(y / 7 - c) for c in range(3)])
    test = np.clip(ref + 0.05 * np.sin(x * 1.7 + y * 0.9) + 0.02 * np.arange(3)[:, None, None], 0, 1)
    return torch.from_numpy(test)[None], torch.from_numpy(ref)[None]


def test_psnr_golden(pair):
    assert float(psnr(*pair, data_range=1.0)) == pytest.approx(GOLDEN_PSNR, abs=1e-9)


def test_psnr_data_range_is_the_peak(pair):
    assert float(psnr(*pair, data_range=255.0)) == pytest.approx(GOLDEN_PSNR + 20 * math.log10(255), abs=1e-9)


def test_identical_images_score_infinity_and_one(pair):
    _, ref = pair
    assert float(psnr(ref, ref, 1.0)) == math.inf
    assert float(psnr_mu(ref, ref)) == math.inf
    assert float(ssim(ref, ref, 1.0)) == pytest.approx(1.0, abs=1e-12)
    assert float(ssim_mu(ref, ref)) == pytest.approx(1.0, abs=1e-12)


def test_psnr_is_per_item_and_over_channels_jointly():
    target = torch.zeros(2, 3, 4, 4)
    pred = target.clone()
    pred[0, 0] = 0.3  # MSE 0.03
    pred[1] = 0.1
    assert psnr(pred, target, 1.0).tolist() == pytest.approx([-10 * math.log10(0.03), 20.0], abs=1e-5)


def test_psnr_mu_is_psnr_of_the_tone_mapped():
    target = mu_law_inverse(torch.full((1, 3, 8, 8), 0.5))
    pred = mu_law_inverse(torch.full((1, 3, 8, 8), 0.6))
    assert float(psnr_mu(pred, target)) == pytest.approx(20.0, abs=1e-3)
    assert torch.equal(psnr_mu(target - 1.0, target), psnr_mu(torch.zeros_like(target), target))


def test_ssim_golden(pair):
    assert float(ssim(*pair, data_range=1.0)) == pytest.approx(GOLDEN_SSIM, abs=1e-9)


def test_ssim_golden_gaussian(pair):
    # Its Gaussian taps are computed in double precision, ours are stored as float32.
    assert float(ssim(*pair, data_range=1.0, window="gaussian")) == pytest.approx(GOLDEN_SSIM_GAUSSIAN, abs=1e-7)


def test_ssim_mu_uses_the_true_frames_own_range(pair):
    test, ref = (mu_law_inverse(x) for x in pair)
    assert float(ssim_mu(test, ref)) == pytest.approx(GOLDEN_SSIM_OWN_RANGE, abs=1e-6)


def test_ssim_data_range_per_item(pair):
    test, ref = pair
    both = ssim(torch.cat((test, test)), torch.cat((ref, ref)), torch.tensor([1.0, 0.5]))
    assert float(both[0]) == pytest.approx(float(ssim(test, ref, 1.0)), abs=1e-12)
    assert float(both[1]) == pytest.approx(float(ssim(test, ref, 0.5)), abs=1e-12)


def test_ssim_of_a_constant_true_frame_is_finite():
    flat = torch.full((1, 3, 9, 9), 0.25)
    assert float(ssim_mu(flat, flat)) == pytest.approx(1.0)
    assert math.isfinite(float(ssim_mu(flat * 2, flat)))


def test_ssim_refusals():
    x = torch.rand(1, 3, 6, 20)
    with pytest.raises(InputError, match="7x7"):
        ssim(x, x, 1.0)
    y = torch.rand(1, 3, 12, 12)
    with pytest.raises(InputError, match="data range"):
        ssim(y, y, 0.0)
    with pytest.raises(InputError, match="window"):
        ssim(y, y, 1.0, window="square")


def test_metrics_refuse_different_shapes():
    a, b = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 9)
    for metric in (psnr_mu, ssim_mu, flicker_error):
        with pytest.raises(InputError, match="shapes differ"):
            metric(a, b)
    with pytest.raises(InputError, match="data range"):
        psnr(a, a, 0.0)


def test_flicker_of_a_still_is_zero_and_of_alternation_is_its_step():
    still = torch.rand(1, 3, 8, 8).expand(4, 3, 8, 8)
    assert float(flicker(still)) == 0.0
    levels = mu_law_inverse(torch.tensor([0.4, 0.5, 0.4, 0.5]))
    assert float(flicker(levels.view(4, 1, 1, 1).expand(4, 3, 8, 8))) == pytest.approx(0.1, abs=1e-5)
    with pytest.raises(InputError, match="2 frames"):
        flicker(still[:1])


def test_flicker_error_ignores_motion_and_constant_error():
    truth = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.8
    assert float(flicker_error(truth, truth)) == 0.0
    constant = mu_law_inverse(mu_law(truth) + 0.05)
    assert float(flicker_error(constant, truth)) == pytest.approx(0.0, abs=1e-5)
    step = 0.05 * torch.tensor([0.0, 1.0, 0.0, 1.0]).view(4, 1, 1, 1)
    alternating = mu_law_inverse(mu_law(truth) + step)
    assert float(flicker_error(alternating, truth)) == pytest.approx(0.05, abs=1e-5)
    with pytest.raises(InputError, match="2 frames"):
        flicker_error(truth[:1], truth[:1])


def test_ghost_share_counts_what_is_worse_than_a_well_exposed_reference():
    truth = torch.full((1, 3, 10, 10), 0.2)
    reference = truth ** (1 / 2.2)
    pred = truth.clone()
    pred[..., :2, :5] = 0.05  # 10 ghost pixels
    exposure = torch.ones(1)
    assert float(ghost_share(pred, truth, reference, exposure)) == pytest.approx(0.1)
    assert float(ghost_share(truth, truth, reference, exposure)) == 0.0
    # Where the reference is clipped or black nothing is asked of the method.
    assert float(ghost_share(pred, truth, torch.ones_like(reference), exposure)) == 0.0
    half = reference.clone()
    half[..., :5, :] = 0.0
    assert float(ghost_share(pred, truth, half, exposure)) == 0.0


def test_meters():
    meters = Meters()
    for value in (1.0, 2.0, 6.0):
        meters.add(("psnr", "short"), value)
    meters.add("other", math.inf)
    assert meters.mean(("psnr", "short")) == 3.0
    assert meters.count(("psnr", "short")) == 3
    assert meters.mean("other") == math.inf
    assert list(meters) == [("psnr", "short"), "other"]
    assert "other" in meters
    assert meters.count("missing") == 0
    with pytest.raises(KeyError):
        meters.mean("missing")
    with pytest.raises(ValueError, match="NaN"):
        meters.add("other", math.nan)
