"""The physical prior on the vote (our choice; a switch of the configuration).

Exposure, clipping and agreement with the reference already say which candidate is likely good: it is what every
weighted HDR merge uses. Written as logits, `z = s log(exposure · not-clipped · agreement)`, it lets training start at
a completion merge instead of far below it, and leaves to the network what physics does not say.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrhdr.agreement import agreement
from lrhdr.radiometry import saturation_confidence

# Floors, chosen by us. Where every exposure clips, the shortest knows most (hence the power of e); a clipped reference
# still bounds the radiance from below, so it beats a frame that contradicts it.
CLIPPED_FLOOR = 1e-2
GHOST_FLOOR = 1e-6

# Entmax turns a margin of 4/3 into one-hot, so plain log weights decide too soon. Of 0.3 to 1, 0.3 made the untrained
# vote best, and as good as the merge with these weights.
SCALE = 0.3

NEIGHBOUR_PENALTY = 2.0


def prior_logits(
    originals: Tensor,
    original_exposures: Tensor,
    interpolated: Tensor,
    interpolated_exposures: Tensor,
    *,
    calibrated: bool,
    neighbour_penalty: float = NEIGHBOUR_PENALTY,
) -> Tensor:
    """Logits of the candidates from exposure, clipping and agreement with the reference.

    Args:
        originals: (B, T, 3, H, W) LDR window, the reference in the middle.
        original_exposures: (B, T).
        interpolated: (B, M, 3, H, W) LDR, frames made at the reference's time, the interpolated first.
        interpolated_exposures: (B, M).
        calibrated: append the logits of the N_e calibrated candidates (those of the frames they come from).
        neighbour_penalty: natural-log units taken from unaligned neighbours, which agree by chance.

    Returns:
        (B, K, H, W), the largest of them 0 at each pixel.
    """
    frames = torch.cat((originals, interpolated), dim=1)
    exposures = torch.cat((original_exposures, interpolated_exposures), dim=1)
    batch, count, centre = *frames.shape[:2], originals.shape[1] // 2
    reference, reference_exposure = originals[:, centre], original_exposures[:, centre]
    agreements = [
        torch.ones_like(reference[:, 0])
        if i == centre
        else agreement(frames[:, i], exposures[:, i], reference, reference_exposure)[:, 0]
        for i in range(count)
    ]
    e = exposures.view(batch, count, 1, 1)
    unclipped = saturation_confidence(frames).squeeze(2) + CLIPPED_FLOOR / e**3
    logits = torch.log(e * unclipped * (torch.stack(agreements, dim=1) + GHOST_FLOOR))
    penalty = logits.new_full((count,), neighbour_penalty)
    penalty[centre] = 0.0
    penalty[originals.shape[1] :] = 0.0
    logits = logits - penalty.view(1, -1, 1, 1)
    if calibrated:
        first = originals.shape[1]  # the N_e - 1 = `centre` interpolated frames follow the window
        sources = torch.cat((logits[:, centre : centre + 1], logits[:, first : first + centre]), dim=1)
        logits = torch.cat((logits, sources), dim=1)
    return SCALE * (logits - logits.amax(dim=1, keepdim=True))
