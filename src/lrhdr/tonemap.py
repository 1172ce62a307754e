"""Tone maps: the μ-law of the losses and metrics, and a fixed display map for previews.

The μ-law is `T(H) = log(1 + μH) / log(1 + μ)`, μ = 5000 (Kalantari and Ramamoorthi, SIGGRAPH 2017), on radiance in
[0, 1] where 1 is the saturation of the shortest exposure.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lrhdr.transfer import oetf_srgb

MU = 5000.0
"""The μ that the whole field uses; changing it changes every PSNR_T."""


def mu_law(radiance: Tensor, mu: float = MU) -> Tensor:
    """Compress linear radiance to the T domain.

    Args:
        radiance: linear, any shape; values below 0 are taken as 0. 1 maps to 1; values above 1 map above 1.
        mu: compression strength, dimensionless.

    Returns:
        T(radiance), same shape. The slope at 0 is μ / log(1 + μ), about 587: losses are steep in the dark.
    """
    return torch.log1p(mu * radiance.clamp_min(0.0)) / math.log1p(mu)


def mu_law_inverse(tone_mapped: Tensor, mu: float = MU) -> Tensor:
    """Undo `mu_law`.

    Args:
        tone_mapped: T-domain values, any shape; values below 0 are taken as 0.
        mu: the same μ.

    Returns:
        Linear radiance, same shape.
    """
    return torch.expm1(tone_mapped.clamp_min(0.0) * math.log1p(mu)) / mu


def display_tonemap(radiance: Tensor, exposure_ev: float = 0.0) -> Tensor:
    """Map radiance to a picture for an SDR screen, by a fixed curve (nothing is measured from the frame: no flicker).

    The curve is Reinhard's extended operator (SIGGRAPH 2002, eq. 4) with white at 8, per channel, then the sRGB
    encoding (IEC 61966-2-1).

    Args:
        radiance: linear, Rec. 709 primaries, any shape.
        exposure_ev: gain before the curve, in stops.

    Returns:
        sRGB-encoded values in [0, 1], same shape.
    """
    white = 8.0
    x = radiance.clamp_min(0.0) * 2.0**exposure_ev
    y = (x * (1.0 + x / white**2) / (1.0 + x)).clamp(0.0, 1.0)
    return oetf_srgb(y)
