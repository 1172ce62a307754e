"""Temporal error along known motion: what belongs to a point of the scene should keep its radiance from frame to frame.

The idea is the warping error of Lai et al. ("Learning blind video temporal consistency", ECCV 2018), with two changes:
motion and visibility are known from the generator instead of estimated, and differences are taken in the T domain,
absolute instead of squared. Flow fields are forward in time: `flow[t]` at a pixel of frame t says where its content
lies in frame t + 1; `visible[t]` says where that place is inside frame t + 1 and shows the same surface.

`warped_error` looks at the result alone. The truth does not score 0 there: fetching between pixels blurs, and lights
may change. Report it beside the truth's own value, or use `warped_error_change`, which is 0 for the truth.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrhdr.checks import InputError, check_tensor
from lrhdr.metrics.psnr import check_images
from lrhdr.tonemap import MU, mu_law
from lrhdr.warp import backward_warp


def _check(clip: Tensor, flow: Tensor, visible: Tensor) -> None:
    frames, _, height, width = clip.shape
    if frames < 2:
        raise InputError(f"warped error: expected at least 2 frames, found {frames}")
    if tuple(flow.shape) != (frames - 1, 2, height, width) or tuple(visible.shape) != (frames - 1, 1, height, width):
        raise InputError(
            f"warped error: expected flow {(frames - 1, 2, height, width)} and visible {(frames - 1, 1, height, width)}"
            f" for a clip {tuple(clip.shape)}, found {tuple(flow.shape)} and {tuple(visible.shape)}"
        )


def _change_along(values: Tensor, flow: Tensor, visible: Tensor) -> Tensor:
    """Mean over visible pixels and channels of `|values_{t+1}(p + flow(p)) - values_t(p)|`; 0 where none is visible."""
    change = (backward_warp(values[1:], flow) - values[:-1]).abs().mean(dim=1, keepdim=True)
    counted = visible > 0.5
    total = torch.where(counted, change, torch.zeros_like(change)).sum()
    return total / counted.sum().clamp_min(1)


def warped_error(radiance: Tensor, flow: Tensor, visible: Tensor, mu: float = MU) -> Tensor:
    """Mean absolute change of T(H) along the motion.

    Args:
        radiance: (T, C, H, W), linear, 1.0 = saturation of the shortest exposure, consecutive frames, T >= 2.
        flow: (T - 1, 2, H, W), pixels, forward in time.
        visible: (T - 1, 1, H, W), above 0.5 where a pixel counts.
        mu: the μ of the tone map.

    Returns:
        Scalar, T-domain units; 0 where no pixel counts. With zero flow and every pixel visible it is `flicker`.

    Raises:
        InputError: fewer than two frames, or shapes that do not fit.
    """
    check_tensor(radiance, "clip", channels=None)
    _check(radiance, flow, visible)
    return _change_along(mu_law(radiance, mu), flow, visible)


def warped_error_change(
    pred_radiance: Tensor, target_radiance: Tensor, flow: Tensor, visible: Tensor, mu: float = MU
) -> Tensor:
    """Mean absolute change along the motion of the error `E = T(H) - T(H*)`.

    An error that travels with its object (a wrong colour, a loss of detail) does not flicker and does not count; noise
    and ghosts that come and go do. `flicker_error` is the same without following the motion.

    Args:
        pred_radiance: (T, C, H, W), linear, consecutive frames, T >= 2.
        target_radiance: same shape.
        flow: (T - 1, 2, H, W), pixels, forward in time.
        visible: (T - 1, 1, H, W), above 0.5 where a pixel counts.
        mu: the μ of the tone map.

    Returns:
        Scalar, T-domain units; 0 where no pixel counts.

    Raises:
        InputError: fewer than two frames, or shapes that do not fit.
    """
    check_images(pred_radiance, target_radiance)
    _check(pred_radiance, flow, visible)
    return _change_along(mu_law(pred_radiance, mu) - mu_law(target_radiance, mu), flow, visible)
