import pytest
import torch

from lrhdr.detail import DetailConfig, add_grain, raise_detail, random_detail
from lrhdr.filters import gaussian_blur


def clip(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.exp(gaussian_blur(torch.randn(3, 3, 24, 28, generator=generator), 0.8))


def fine(x):
    logs = torch.log(x)
    return float((logs - gaussian_blur(logs, 0.7)).std())


def test_no_amount_changes_nothing():
    torch.testing.assert_close(raise_detail(clip(), 0.0, 0.8), clip())


def test_amount_raises_fine_detail_and_keeps_the_mean():
    before, after = clip(), raise_detail(clip(), 1.0, 0.8)
    assert 1.4 < fine(after) / fine(before) < 2.0
    assert float(after.log().mean()) == pytest.approx(float(before.log().mean()), abs=0.01)


def test_scale_of_the_clip_does_not_matter():
    small, large = raise_detail(clip(), 0.9, 0.7), raise_detail(1e4 * clip(), 0.9, 0.7)
    torch.testing.assert_close(large, 1e4 * small, rtol=1e-5, atol=0.0)


def test_a_lamp_gets_no_ring_darker_than_half():
    lamp = torch.ones(1, 3, 17, 17)
    lamp[..., 8, 8] = 1e4
    assert float(raise_detail(lamp, 1.8, 1.2).min()) >= 0.49


def test_frames_are_treated_alike():
    still = clip()[:1].expand(3, -1, -1, -1)
    sharp = raise_detail(still, 1.0, 0.8)
    assert torch.equal(sharp[0], sharp[2])


def test_share_of_the_clips_and_the_seed():
    generator = torch.Generator().manual_seed(1)
    amounts = [random_detail(clip(), DetailConfig(share=0.5), generator)[1] for _ in range(60)]
    assert 15 < sum(a > 0 for a in amounts) < 45
    assert all(a == 0 or 0.3 <= a <= 1.8 for a in amounts)
    again = torch.Generator().manual_seed(1)
    assert random_detail(clip(), DetailConfig(share=0.5), again)[1] == amounts[0]


def test_grain_has_the_deviation_asked_for_and_differs_between_frames():
    flat = torch.full((2, 3, 96, 96), 0.25)
    for sigma in (0.0, 0.8):
        grained = add_grain(flat, 0.05, sigma, torch.Generator().manual_seed(2))
        assert float((grained / flat - 1.0).std()) == pytest.approx(0.05, rel=0.05)
        assert not torch.equal(grained[0], grained[1])
    dark = torch.full((1, 3, 64, 64), 1e-4)
    both = add_grain(torch.cat((dark, torch.ones_like(dark))), 0.08, 0.0, torch.Generator().manual_seed(3))
    assert float(both.min()) >= 0.0
    assert float(both[0].std()) < 0.02 * float(both[1].std())  # like the square root of the radiance


def test_share_of_grain_and_none_draws_nothing():
    generator = torch.Generator().manual_seed(4)
    amounts = [random_detail(clip(), DetailConfig(share=0.0, grain_share=0.5), generator)[2] for _ in range(60)]
    assert 15 < sum(a > 0 for a in amounts) < 45
    assert all(a == 0 or 0.015 <= a <= 0.08 for a in amounts)
    generator.manual_seed(5)
    random_detail(clip(), DetailConfig(grain_share=0.0), generator)
    expected = torch.Generator().manual_seed(5)
    torch.rand(3, generator=expected)
    assert torch.equal(generator.get_state(), expected.get_state())


@pytest.mark.parametrize(
    "wrong",
    [{"share": 1.5}, {"amount": (1.0, 0.5)}, {"sigma": (0.0, 1.0)}, {"grain_share": -0.1}, {"grain": (0.0, 1.0)}],
)
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValueError, match="detail"):
        DetailConfig(**wrong)
