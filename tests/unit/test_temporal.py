"""Flicker of the result where the scene stands still, and error along known motion: exact on made-up clips."""

import pytest
import torch

from lrhdr.checks import InputError
from lrhdr.metrics import flicker, still_flicker, warped_error, warped_error_change
from lrhdr.tonemap import mu_law, mu_law_inverse


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 0.8


def pan(frames: int = 4, step: int = 3, height: int = 12, width: int = 20):
    """A texture that moves to the left by `step` whole pixels per frame, its flow, and what stays inside."""
    wide = noise(3, height, width + step * frames)
    clip = torch.stack([wide[..., step * t : step * t + width] for t in range(frames)])
    flow = torch.zeros(frames - 1, 2, height, width)
    flow[:, 0] = -float(step)
    visible = torch.zeros(frames - 1, 1, height, width)
    visible[..., step:] = 1.0
    return clip, flow, visible


def test_still_flicker_is_flicker_on_a_static_scene():
    truth = noise(1, 3, 8, 8).expand(4, -1, -1, -1)
    tone = mu_law(truth) + 0.1 * torch.tensor([0.0, 1.0, 0.0, 1.0]).view(4, 1, 1, 1)
    result = mu_law_inverse(tone)
    found = still_flicker(result, truth)
    assert float(found.value) == pytest.approx(0.1, abs=1e-5)
    assert float(found.value) == pytest.approx(float(flicker(result)), rel=1e-6)
    assert float(found.share) == 1.0


def test_still_flicker_leaves_out_what_moves():
    truth = noise(1, 3, 8, 8).expand(3, -1, -1, -1).clone()
    truth[1, :, :, :2] = 0.9  # a quarter of each pair moves
    result = truth.clone()
    assert float(still_flicker(result, truth).value) == 0.0
    assert float(still_flicker(result, truth).share) == 0.75
    result[1, :, :, :2] = 0.1  # an error there is not flicker of a still
    assert float(still_flicker(result, truth).value) == 0.0
    result[1, :, :, 4:] = mu_law_inverse(mu_law(truth[1, :, :, 4:]) + 0.03)
    assert float(still_flicker(result, truth).value) == pytest.approx(0.03 * 4 / 6, rel=1e-3)


def test_still_flicker_without_still_pixels_is_zero_of_nothing():
    truth = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.2)])
    found = still_flicker(truth, truth)
    assert (float(found.value), float(found.share)) == (0.0, 0.0)


def test_warped_error_follows_the_motion():
    clip, flow, visible = pan()
    assert float(warped_error(clip, flow, visible)) == pytest.approx(0.0, abs=1e-6)
    assert float(warped_error(clip, torch.zeros_like(flow), torch.ones_like(visible))) == pytest.approx(
        float(flicker(clip)), rel=1e-6
    )
    assert float(flicker(clip)) > 0.05
    # Every second frame brighter by 0.1 in T: that much at every step.
    tone = mu_law(clip) * 0.8 + 0.1 * torch.tensor([0.0, 1.0, 0.0, 1.0]).view(4, 1, 1, 1)
    assert float(warped_error(mu_law_inverse(tone), flow, visible)) == pytest.approx(0.1, abs=1e-5)


def test_invisible_pixels_do_not_count():
    clip, flow, visible = pan()
    spoilt = clip.clone()
    spoilt[..., :3] = 0.0
    # The left edge of frame t is not visible in frame t + 1, and nothing of frame t moves into the right edge.
    left = visible.clone()
    left[..., :6] = 0.0
    assert float(warped_error(spoilt, flow, left)) == pytest.approx(0.0, abs=1e-6)
    assert float(warped_error(spoilt, flow, visible)) > 0.01
    assert float(warped_error(spoilt, flow, torch.zeros_like(visible))) == 0.0


def test_error_that_travels_with_its_object_does_not_count():
    clip, flow, visible = pan()
    assert float(warped_error_change(clip, clip, flow, visible)) == 0.0
    painted, _, _ = pan()
    painted = mu_law_inverse(0.5 * mu_law(painted))  # an error that depends on the scene's point only
    assert float(warped_error_change(painted, clip, flow, visible)) == pytest.approx(0.0, abs=1e-6)
    fixed = clip.clone()
    fixed[:, :, :, 8] = mu_law_inverse(mu_law(clip[:, :, :, 8]) + 0.1)  # dirt on the lens: one column of 17 + one left
    assert float(warped_error_change(fixed, clip, flow, visible)) == pytest.approx(0.1 * 2 / 17, rel=1e-3)


def test_refusals():
    clip, flow, visible = pan()
    with pytest.raises(InputError, match="at least 2 frames"):
        warped_error(clip[:1], flow[:0], visible[:0])
    with pytest.raises(InputError, match="expected flow"):
        warped_error(clip, flow[:, :, 1:], visible)
    with pytest.raises(InputError, match="visible"):
        warped_error_change(clip, clip, flow, visible[:1])
    with pytest.raises(InputError, match="shapes differ"):
        still_flicker(clip, clip[..., 1:])
    with pytest.raises(InputError, match="2 frames"):
        still_flicker(clip[:1], clip[:1])
