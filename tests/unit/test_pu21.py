"""PU21 codes, and PSNR and SSIM of them."""

import math

import pytest
import torch

from lrhdr.checks import InputError
from lrhdr.colour import luminance
from lrhdr.metrics import psnr_pu21, pu21_decode, pu21_encode, ssim, ssim_pu21


def test_known_codes() -> None:
    """The authors: 0 at the lower end, about 256 for the white of a standard display, about 595 at the upper end."""
    codes = pu21_encode(torch.tensor([0.005, 100.0, 10_000.0], dtype=torch.float64)).tolist()
    assert codes == pytest.approx([0.0, 256.0, 595.39], abs=0.5)


def test_steps_follow_the_eye() -> None:
    """A step of one code is a large contrast in the dark and, as in Weber's law, a small steady one in daylight."""
    codes = torch.arange(1.0, 595.0, dtype=torch.float64)
    light = pu21_decode(codes)
    contrast = (light[1:] - light[:-1]) / light[:-1]
    dark, day = light[:-1] < 1.0, light[:-1] > 100.0
    assert bool((contrast[dark].diff() < 0.0).all())
    assert contrast[dark].min() > 0.02
    assert contrast[day].min() > 0.01
    assert contrast[day].max() < 0.02


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_trip(dtype: torch.dtype) -> None:
    light = torch.logspace(math.log10(0.005), 4, 200, dtype=dtype)
    code = pu21_encode(light)
    assert code.dtype is dtype
    assert bool((code[1:] > code[:-1]).all())
    tolerance = 1e-9 if dtype is torch.float64 else 2e-2
    torch.testing.assert_close(pu21_decode(code), light, rtol=tolerance, atol=0.0)


def test_outside_is_clamped() -> None:
    light = torch.tensor([0.0, 0.001, 2e4], dtype=torch.float64)
    torch.testing.assert_close(pu21_encode(light), pu21_encode(light.clamp(0.005, 1e4)))
    torch.testing.assert_close(
        pu21_decode(torch.tensor([-5.0, 700.0, 1e6], dtype=torch.float64)),
        torch.tensor([0.005, 1e4, 1e4], dtype=torch.float64),
    )
    assert pu21_decode(torch.tensor(300.0)).isfinite()


def test_psnr_of_a_known_difference() -> None:
    target = torch.full((2, 3, 4, 5), 200.0, dtype=torch.float64)
    pred = pu21_decode(target + 10.0)
    peak = float(pu21_encode(torch.tensor(100.0, dtype=torch.float64)))
    expected = 20.0 * math.log10(peak / 10.0)
    assert psnr_pu21(pred, pu21_decode(target), peak_luminance=100.0).tolist() == pytest.approx([expected] * 2)
    # The authors' constant of 256 is 0.013 dB lower.
    assert expected == pytest.approx(20.0 * math.log10(25.6), abs=0.02)


def test_identical_images() -> None:
    image = torch.rand(2, 3, 16, 16) * 1000.0
    assert psnr_pu21(image, image, peak_luminance=1000.0).tolist() == [math.inf] * 2
    assert ssim_pu21(image, image, peak_luminance=1000.0).tolist() == pytest.approx([1.0] * 2)


def test_scores_fall_with_noise() -> None:
    target = 100.0 * torch.rand(1, 3, 24, 24, dtype=torch.float64)
    noise = torch.randn(1, 3, 24, 24, dtype=torch.float64)
    scores = [
        (
            psnr_pu21((target + s * noise).clamp_min(0.0), target, peak_luminance=100.0).item(),
            ssim_pu21((target + s * noise).clamp_min(0.0), target, peak_luminance=100.0).item(),
        )
        for s in (0.5, 2.0, 8.0)
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[0][1] > scores[1][1] > scores[2][1]


def test_ssim_is_of_luminance() -> None:
    pred, target = 500.0 * torch.rand(1, 3, 20, 20).double(), 500.0 * torch.rand(1, 3, 20, 20).double()
    grey = ssim_pu21(luminance(pred), luminance(target), peak_luminance=100.0)
    torch.testing.assert_close(ssim_pu21(pred, target, peak_luminance=100.0), grey)
    codes = (pu21_encode(luminance(x)) for x in (pred, target))
    span = float(pu21_encode(torch.tensor(100.0, dtype=torch.float64)))
    torch.testing.assert_close(grey, ssim(*codes, data_range=span, window="gaussian"))


def test_refuses() -> None:
    image = torch.rand(1, 3, 16, 16)
    for peak in (0.0, -1.0, 20_000.0):
        with pytest.raises(InputError, match="peak"):
            psnr_pu21(image, image, peak_luminance=peak)
    with pytest.raises(InputError, match="shapes differ"):
        psnr_pu21(image, image[..., 1:], peak_luminance=100.0)
    with pytest.raises(InputError, match="channels"):
        ssim_pu21(image[:, :2], image[:, :2], peak_luminance=100.0)
    with pytest.raises(InputError, match="window"):
        ssim_pu21(image[..., :8], image[..., :8], peak_luminance=100.0)
