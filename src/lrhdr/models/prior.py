"""The physical prior on the vote (our choice; a switch of the configuration).

Exposure, clipping and agreement with the reference already say which candidate is likely good: it is what every
weighted HDR merge uses. Written as logits, `z = log(w + ε)` with `w = exposure · not-clipped · agreement`, it lets
training start at a completion merge instead of far below it, and leaves to the network what physics does not say.

Agreement compares a candidate, brought to the reference's exposure and clipped as the reference is, with the reference
itself, in gamma-encoded code values, blurred so that noise averages out: 1 where both say the same (also where both say
"clipped"), 0 for a ghost.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrhdr.filters import gaussian_blur
from lrhdr.radiometry import radiance_to_ldr, saturation_confidence

_EPSILON = 1e-4  # the floor of a weight: a clipped or ghosting candidate stands log(1e-4) = -9.2 below a perfect one
_TOLERANCE = 0.03  # code values; of 0.03, 0.05 and 0.08 the best on generated samples, before training
_BLUR = 1.0  # px


def prior_logits(
    originals: Tensor,
    original_exposures: Tensor,
    interpolated: Tensor,
    interpolated_exposures: Tensor,
    radiances: Tensor,
    *,
    calibrated: bool,
    neighbour_penalty: float = 1.0,
    interpolated_penalty: float = 0.3,
    calibrated_bonus: float = 0.1,
) -> Tensor:
    """Logits of the candidates from exposure, clipping and agreement with the reference.

    Args:
        originals: (B, T, 3, H, W) LDR window, the reference in the middle.
        original_exposures: (B, T).
        interpolated: (B, N_e - 1, 3, H, W) LDR.
        interpolated_exposures: (B, N_e - 1).
        radiances: (B, T + N_e - 1, 3, H, W), Γ of both, in that order.
        calibrated: append the logits of the N_e calibrated candidates (those of the frames they come from).
        neighbour_penalty: natural-log units taken from unaligned neighbours.
        interpolated_penalty: the same for interpolated frames (they are copies, at best).
        calibrated_bonus: added to calibrated frames (they are their source, denoised).

    Returns:
        (B, K, H, W), the largest of them 0 at each pixel.
    """
    frames = torch.cat((originals, interpolated), dim=1)
    exposures = torch.cat((original_exposures, interpolated_exposures), dim=1)
    centre = originals.shape[1] // 2
    reference = originals[:, centre]
    batch, count = frames.shape[:2]
    spread = (batch, count, 1, 1, 1)
    trust = saturation_confidence(frames) * exposures.view(*spread[:2], 1, 1, 1)
    at_reference = radiance_to_ldr(radiances, original_exposures[:, centre])
    difference = (at_reference - reference[:, None]).abs().mean(dim=2)
    difference = gaussian_blur(difference, _BLUR)
    agreement = torch.exp(-((difference / _TOLERANCE) ** 2))
    logits = torch.log(trust.squeeze(2) * agreement + _EPSILON * exposures.view(batch, count, 1, 1))
    penalty = logits.new_full((count,), neighbour_penalty)
    penalty[centre] = 0.0
    penalty[originals.shape[1] :] = interpolated_penalty
    logits = logits - penalty.view(1, -1, 1, 1)
    if calibrated:
        sources = torch.cat((logits[:, centre : centre + 1], logits[:, originals.shape[1] :]), dim=1)
        logits = torch.cat((logits, sources + calibrated_bonus), dim=1)
    return logits - logits.amax(dim=1, keepdim=True)
