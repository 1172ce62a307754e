"""Peak signal-to-noise ratio: `10 log10(R² / MSE)` with the MSE over all channels and pixels of an image jointly.

That is the averaging order of the HDR-video field: one number per frame, then the mean of the numbers (dB) over frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrhdr.checks import InputError, check_tensor
from lrhdr.tonemap import MU, mu_law


def check_images(pred: Tensor, target: Tensor) -> None:
    """Check two image batches that a metric compares.

    Raises:
        InputError: not (B, C, H, W), or of different shapes.
    """
    check_tensor(pred, "prediction", channels=None)
    check_tensor(target, "target", channels=None)
    if pred.shape != target.shape:
        raise InputError(f"metric: shapes differ, prediction {tuple(pred.shape)} and target {tuple(target.shape)}")


def psnr(pred: Tensor, target: Tensor, data_range: float) -> Tensor:
    """PSNR in the domain of the arguments, no border left out.

    Args:
        pred: (B, C, H, W), any encoding.
        target: same shape and encoding.
        data_range: the R of the formula, > 0 (1.0 for images in [0, 1]).

    Returns:
        (B,) float64, dB; inf for identical images.

    Raises:
        InputError: shapes that differ, or a data range that is not positive.
    """
    check_images(pred, target)
    if not data_range > 0.0:
        raise InputError(f"psnr: expected a data range above 0, found {data_range}")
    mse = (pred.double() - target.double()).square().flatten(1).mean(dim=1)
    # No epsilon: log10(0) is -inf, and identical images score inf.
    return 10.0 * (2.0 * torch.log10(torch.tensor(data_range, dtype=torch.float64)) - torch.log10(mse))


def psnr_mu(pred_radiance: Tensor, target_radiance: Tensor, mu: float = MU) -> Tensor:
    """PSNR_T: PSNR of `T(H)`, data range 1.

    Args:
        pred_radiance: (B, C, H, W), linear, 1.0 = saturation of the shortest exposure. Values below 0 are taken as 0;
            values above 1 are not clipped.
        target_radiance: same shape.
        mu: the μ of the tone map.

    Returns:
        (B,) float64, dB.
    """
    return psnr(mu_law(pred_radiance.double(), mu), mu_law(target_radiance.double(), mu), data_range=1.0)
