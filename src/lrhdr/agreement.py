"""Whether a frame of another exposure, brought to the reference's time, shows what the reference shows.

The test that every hand-made merge needs (`lrhdr.baselines`) and that the guided interpolator aligns by. It compares
radiances at the reference's exposure, so that a clipped reference objects only to what is too dark, and asks whether
the difference of local means is more than noise and a small gain error explain.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lrhdr.filters import gaussian_blur
from lrhdr.radiometry import ldr_to_radiance

# Chosen by us, by measurement on clips made from training folders (76 windows, stills and video, 2 and 3 stops): the
# optimum is flat. The camera is unknown here; this one is noisier than most, because refusing what is right costs more
# than accepting what is slightly wrong.
BLUR_PX = 0.8
GAIN_ERROR = 0.02
SIGMAS = 2.0
FULL_WELL_E = 4000.0
READ_NOISE_E = 3.0


def agreement(frame: Tensor, exposure: Tensor, reference: Tensor, reference_exposure: Tensor) -> Tensor:
    """How far a frame can be believed, seen from the reference.

    `exp(-max_c d_c² / s²)`, with d the difference of local means in units of its expected deviation
    `sqrt(noise² + (gain error · level)²)` and s = `SIGMAS`. Noise is shot and read noise of both frames.

    Args:
        frame: (B, 3, H, W), gamma-encoded LDR in [0, 1].
        exposure: (B,) its relative exposure.
        reference: (B, 3, H, W), gamma-encoded LDR in [0, 1].
        reference_exposure: (B,).

    Returns:
        (B, 1, H, W) in [0, 1]: 1 where nothing speaks against the frame (also where the reference cannot tell).
    """
    ratio = (reference_exposure / exposure).view(-1, 1, 1, 1)
    own = ldr_to_radiance(reference, 1.0)
    seen = (ldr_to_radiance(frame, 1.0) * ratio).clamp_max(1.0)
    # A longer frame clips earlier than the reference: where it does, it cannot tell how bright the reference may be.
    own = torch.minimum(own, ratio.clamp_max(1.0))
    mean_seen, mean_own = gaussian_blur(seen, BLUR_PX), gaussian_blur(own, BLUR_PX)
    level = torch.maximum(mean_seen, mean_own)
    # Variance in units of the full well squared; the frame's electrons count 1 / ratio of the reference's.
    shot = level * (1.0 + ratio) / FULL_WELL_E
    read = (1.0 + ratio.square()) * (READ_NOISE_E / FULL_WELL_E) ** 2
    # A Gaussian mean averages about 4πσ² pixels.
    noise = (shot + read) / (4.0 * math.pi * BLUR_PX**2)
    tolerance = SIGMAS**2 * (noise + (GAIN_ERROR * level).square())
    distance = ((mean_seen - mean_own).square() / tolerance).amax(dim=1, keepdim=True)
    return torch.exp(-distance)
