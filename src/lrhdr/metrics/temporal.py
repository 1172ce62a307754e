"""Change from frame to frame, in the T domain: what a viewer sees as flicker.

Alternating exposures make errors that alternate (noise of the short reference, clipping of the long one), and they are
more visible in motion than in any single frame. `flicker` and `still_flicker` look at the result, `flicker_error` at
its error; `lrhdr.metrics.warped` follows the motion where it is known.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lrhdr.checks import InputError, check_tensor
from lrhdr.metrics.psnr import check_images
from lrhdr.tonemap import MU, mu_law

# T-domain units: a hundredth of an 8-bit step. A truth that repeats a frame repeats it exactly; the margin is for
# truths that were stored as half floats or re-rendered.
_STILL = 4e-5


class StillFlicker(NamedTuple):
    """Result of `still_flicker`.

    Attributes:
        value: mean `|T(H_{t+1}) - T(H_t)|` over the pixels that stand still, T-domain units; 0 where there are none.
        share: share of all pixels of all pairs of frames that stand still, 0 to 1.
    """

    value: Tensor
    share: Tensor


def flicker(radiance: Tensor, mu: float = MU) -> Tensor:
    """Mean absolute difference of consecutive frames, `mean |T(H_{t+1}) - T(H_t)|`; for static scenes.

    Args:
        radiance: (T, C, H, W), linear, consecutive frames, T >= 2.
        mu: the μ of the tone map.

    Returns:
        Scalar, T-domain units; 0 for a still picture. Real motion counts too: compare against the truth's own value,
        or use `flicker_error`.

    Raises:
        InputError: fewer than two frames.
    """
    check_tensor(radiance, "clip", channels=None)
    if len(radiance) < 2:
        raise InputError(f"flicker: expected at least 2 frames, found {len(radiance)}")
    tone = mu_law(radiance, mu)
    return (tone[1:] - tone[:-1]).abs().mean()


def flicker_error(pred_radiance: Tensor, target_radiance: Tensor, mu: float = MU) -> Tensor:
    """Mean absolute change of the error, `mean |E_{t+1} - E_t|` with `E = T(H) - T(H*)`; for any scene.

    Args:
        pred_radiance: (T, C, H, W), linear, consecutive frames, T >= 2.
        target_radiance: same shape.
        mu: the μ of the tone map.

    Returns:
        Scalar, T-domain units; 0 where the error stands still, however large it is.

    Raises:
        InputError: shapes that differ, or fewer than two frames.
    """
    check_images(pred_radiance, target_radiance)
    if len(pred_radiance) < 2:
        raise InputError(f"flicker_error: expected at least 2 frames, found {len(pred_radiance)}")
    error = mu_law(pred_radiance, mu) - mu_law(target_radiance, mu)
    return (error[1:] - error[:-1]).abs().mean()


def still_flicker(
    pred_radiance: Tensor, target_radiance: Tensor, mu: float = MU, *, tolerance: float = _STILL
) -> StillFlicker:
    """Flicker of the result where the scene stands still: the truth has the same value in both frames of a pair.

    There every change of the result is a fault, whatever its error is. On a static scene all pixels count and the value
    is `flicker` of the result.

    Args:
        pred_radiance: (T, C, H, W), linear, consecutive frames, T >= 2.
        target_radiance: same shape.
        mu: the μ of the tone map.
        tolerance: largest change of a channel of T(H*) that counts as standing still.

    Returns:
        The value, and the share of pixels that it stands for.

    Raises:
        InputError: shapes that differ, or fewer than two frames.
    """
    check_images(pred_radiance, target_radiance)
    if len(pred_radiance) < 2:
        raise InputError(f"still_flicker: expected at least 2 frames, found {len(pred_radiance)}")
    truth, tone = mu_law(target_radiance, mu), mu_law(pred_radiance, mu)
    still = ((truth[1:] - truth[:-1]).abs() <= tolerance).all(dim=1)
    change = (tone[1:] - tone[:-1]).abs().mean(dim=1)
    count = still.sum()
    total = torch.where(still, change, torch.zeros_like(change)).sum()
    return StillFlicker(total / count.clamp_min(1), count / still.numel())
