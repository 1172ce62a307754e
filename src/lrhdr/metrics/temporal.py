"""Change from frame to frame, in the T domain: what a viewer sees as flicker.

Alternating exposures make errors that alternate (noise of the short reference, clipping of the long one), and they are
more visible in motion than in any single frame.
"""

from __future__ import annotations

from torch import Tensor

from lrhdr.checks import InputError, check_tensor
from lrhdr.metrics.psnr import check_images
from lrhdr.tonemap import MU, mu_law


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
