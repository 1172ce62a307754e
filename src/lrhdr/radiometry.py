"""LDR to radiance and back, how far a code value can be trusted, and the classical weighted merge.

LDR is gamma-encoded RGB in [0, 1]; exposure is relative, the shortest of the schedule = 1; radiance is linear with
1.0 = saturation of the shortest exposure. `Γ(L) = L^γ / e` with γ = 2.2 (`docs/method.md`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lrhdr.filters import smoothstep

GAMMA = 2.2
"""The encoding exponent that the field assumes for LDR input."""

CLIP_START, CLIP_END = 0.90, 0.98
"""Code values of a pixel's brightest channel: where the trust in it begins to fall, and from where it is clipped."""

WHITE = {torch.uint8: 255.0, torch.uint16: 65535.0}
"""Code value of white, of tensors that hold a file's integers."""


def codes_to_float(frame: Tensor) -> Tensor:
    """A frame of uint8 or uint16 divided by the largest code; others as they are."""
    return frame.float() / WHITE[frame.dtype] if frame.dtype in WHITE else frame


def store_codes(values: Tensor, out: Tensor) -> None:
    """Write values of [0, 1] to `out`, of the same shape: rounded to its codes if it is uint8 or uint16; in place."""
    white = WHITE.get(out.dtype)
    if white is None:
        out.copy_(values)
    else:
        # By NumPy: PyTorch rounds uint16 on few of its paths.
        np.copyto(out.numpy(), np.rint(values.numpy() * np.float32(white)), casting="unsafe")


def to_codes(values: Tensor, dtype: torch.dtype = torch.uint16) -> Tensor:
    """Values as codes of a file (uint8 or uint16), rounded; those outside [0, 1] are clamped."""
    codes = torch.empty(values.shape, dtype=dtype)
    store_codes(values.clamp(0.0, 1.0), codes)
    return codes


def _as_factor(exposure: Tensor | float, like: Tensor) -> Tensor:
    """Shape exposures (leading axes of `like`) so that they broadcast over (..., C, H, W)."""
    e = torch.as_tensor(exposure, dtype=like.dtype, device=like.device)
    return e.reshape(e.shape + (1,) * (like.ndim - e.ndim)) if e.ndim else e


def ldr_to_radiance(ldr: Tensor, exposure: Tensor | float, gamma: float = GAMMA) -> Tensor:
    """Γ: gamma-encoded LDR to linear radiance, `L^γ / e`.

    Args:
        ldr: (..., C, H, W), [0, 1]; values outside are clamped.
        exposure: relative exposure > 0: a number, or a tensor whose axes are the leading axes of `ldr` ((B,) for an
            image, (B, T) for a clip).
        gamma: encoding exponent.

    Returns:
        Radiance, same shape, in [0, 1 / e]. Computed in at least float32 (also under autocast).
    """
    x = ldr.float() if ldr.dtype in (torch.float16, torch.bfloat16) else ldr
    return x.clamp(0.0, 1.0) ** gamma / _as_factor(exposure, x)


def radiance_to_ldr(radiance: Tensor, exposure: Tensor | float, gamma: float = GAMMA) -> Tensor:
    """Γ inverse with a sensor's clipping, `clip(H e, 0, 1)^(1/γ)`; no noise (see `lrhdr.camera` for that).

    Args:
        radiance: linear, (..., C, H, W).
        exposure: as in `ldr_to_radiance`.
        gamma: encoding exponent.

    Returns:
        LDR in [0, 1], same shape. The gradient at black is finite (values are held above 1e-8 before the power).
    """
    x = radiance.float() if radiance.dtype in (torch.float16, torch.bfloat16) else radiance
    linear = (x * _as_factor(exposure, x)).clamp(0.0, 1.0)
    return torch.where(linear > 1e-8, linear.clamp_min(1e-8) ** (1.0 / gamma), linear * 0.0)


def saturation_confidence(ldr: Tensor, start: float = CLIP_START, end: float = CLIP_END) -> Tensor:
    """How surely a pixel is not clipped, from its brightest channel.

    A smoothstep that falls from 1 at `start` to 0 at `end`. The brightest channel decides for all three: a pixel with
    one clipped channel has the wrong hue.

    Args:
        ldr: (..., 3, H, W), gamma-encoded in [0, 1].
        start: code value at which trust begins to fall.
        end: code value from which there is none.

    Returns:
        (..., 1, H, W) in [0, 1].
    """
    return smoothstep((end - ldr.amax(dim=-3, keepdim=True)) / (end - start))


def well_exposedness(ldr: Tensor, exposure: Tensor | float) -> Tensor:
    """Weight of a frame in a merge: light gathered, times the trust that it is not clipped.

    For shot-noise-limited pixels the inverse variance of `Γ(L)` is proportional to the exposure (Hasinoff et al.,
    CVPR 2010), so the longest unclipped exposure dominates, as it should.

    Args:
        ldr: (..., 3, H, W), gamma-encoded in [0, 1].
        exposure: relative exposure, as in `ldr_to_radiance`.

    Returns:
        (..., 1, H, W), >= 0.
    """
    return saturation_confidence(ldr) * _as_factor(exposure, ldr)


def merge_weighted(radiances: Tensor, weights: Tensor, fallback: Tensor) -> Tensor:
    """Weighted mean over frames, `Σ w_i H_i / Σ w_i` (Debevec and Malik, SIGGRAPH 1997, eq. 6, in linear radiance).

    Args:
        radiances: (B, T, 3, H, W), linear.
        weights: (B, T, 1, H, W), >= 0.
        fallback: (B, 3, H, W), taken where all weights are 0 (every exposure clipped).

    Returns:
        (B, 3, H, W).
    """
    total = weights.sum(dim=1)
    empty = total <= 0.0
    merged = (radiances * weights).sum(dim=1) / torch.where(empty, torch.ones_like(total), total)
    return torch.where(empty, fallback, merged)
