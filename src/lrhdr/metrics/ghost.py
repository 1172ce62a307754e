"""Ghosts: places where a result is worse than the reference frame alone, although the reference is well exposed there.

Nothing forces a method to touch a well-exposed pixel; where it does and loses, it has pasted something that was
somewhere else at another time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrhdr.metrics.psnr import check_images
from lrhdr.radiometry import ldr_to_radiance
from lrhdr.tonemap import mu_law

WELL_EXPOSED = (0.2, 0.85)
"""Code values; chosen by us: what HDR merges give full weight to."""

MARGIN = 0.03
"""T-domain units, on the mean over channels; chosen by us: about five 8-bit steps of T, above what noise does to a
well-exposed pixel of the cameras that we model."""


def ghost_share(pred_radiance: Tensor, target_radiance: Tensor, reference: Tensor, exposure: Tensor) -> Tensor:
    """Share of the well-exposed pixels where `|T(H) - T(H*)|` exceeds the reference's own error by `MARGIN`.

    A pixel is well exposed where all its channels' code values lie in `WELL_EXPOSED`.

    Args:
        pred_radiance: (B, 3, H, W), linear, 1.0 = saturation of the shortest exposure.
        target_radiance: same shape.
        reference: (B, 3, H, W), gamma-encoded LDR reference frame in [0, 1].
        exposure: (B,) its relative exposure.

    Returns:
        (B,) in [0, 1]; 0 where no pixel is well exposed.

    Raises:
        InputError: shapes that differ.
    """
    check_images(pred_radiance, target_radiance)
    check_images(reference, target_radiance)
    truth = mu_law(target_radiance)
    error = (mu_law(pred_radiance) - truth).abs().mean(dim=1)
    own = (mu_law(ldr_to_radiance(reference, exposure)) - truth).abs().mean(dim=1)
    low, high = WELL_EXPOSED
    counted = (reference.amin(dim=1) >= low) & (reference.amax(dim=1) <= high)
    worse = counted & (error > own + MARGIN)
    total = counted.flatten(1).sum(dim=1)
    return worse.flatten(1).sum(dim=1) / torch.where(total > 0, total, torch.ones_like(total))
