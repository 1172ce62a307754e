"""Completion that looks at the reference: the missing exposure aligned to it where that works, interpolated elsewhere.

The method interpolates a missing frame from its two neighbours alone (`flow.py`, FILM). But the frame that is wanted
shows the same moment as the reference, which is at hand, only differently exposed. So, per pair:

1. DIS flow from the reference to each of the two frames and back, on copies matched in exposure: half the motion, and
   a true picture of the moment, occlusions included.
2. Each frame is warped to the reference and trusted as far as the flow survives the round trip and the result agrees
   with the reference (`lrhdr.agreement`).
3. Trusted frames are averaged. Where none is (noise, clipping in both, occlusion), the interpolated frame fills in.

Our choice, not the paper's. On 76 windows made from training folders (2 and 3 stops) it raised the completion merge by
1.7 dB PSNR_T and the best possible vote among the candidates by 1.4 dB over `dis`, for about three times its cost.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrhdr.agreement import agreement
from lrhdr.interpolate.flow import DISInterpolator, dis_flow
from lrhdr.radiometry import ldr_to_radiance, radiance_to_ldr
from lrhdr.warp import backward_warp, forward_backward_error

# Chosen by us on the same windows: as in the interpolation, 1.5 px of round-trip error plus 5 % of the motion; and the
# interpolated frame keeps a small vote everywhere.
_FLOW_ERROR_PX = 1.5
_FLOW_ERROR_RELATIVE = 0.05
_FLOOR_VOTE = 0.02


def align_to_reference(
    frame: Tensor, exposure: Tensor, reference: Tensor, reference_exposure: Tensor
) -> tuple[Tensor, Tensor]:
    """Warp a frame of another exposure to the reference by DIS flow on exposure-matched copies.

    Args:
        frame: (B, 3, H, W), gamma-encoded LDR in [0, 1].
        exposure: (B,) its relative exposure.
        reference: (B, 3, H, W), gamma-encoded LDR in [0, 1].
        reference_exposure: (B,).

    Returns:
        The warped frame (B, 3, H, W), and how far to trust it, (B, 1, H, W) in [0, 1].
    """
    longer = torch.maximum(exposure, reference_exposure)
    # The shorter of the two is gained, and clips where the longer does: both copies show the same.
    matched = radiance_to_ldr(ldr_to_radiance(frame, exposure), longer)
    matched_reference = radiance_to_ldr(ldr_to_radiance(reference, reference_exposure), longer)
    flow_ref_to_frame = dis_flow(matched_reference, matched)
    flow_frame_to_ref = dis_flow(matched, matched_reference)
    error = forward_backward_error(flow_ref_to_frame, flow_frame_to_ref)
    tolerance = _FLOW_ERROR_PX + _FLOW_ERROR_RELATIVE * flow_ref_to_frame.norm(dim=1, keepdim=True)
    warped = backward_warp(frame, flow_ref_to_frame)
    consistent = torch.exp(-((error / tolerance) ** 2))
    return warped, consistent * agreement(warped, exposure, reference, reference_exposure)


class GuidedDISInterpolator(DISInterpolator):
    """`DISInterpolator` that aligns to the reference frame where it can; see the module's docstring.

    Without a reference (a plain call) it is the `DISInterpolator`.
    """

    name = "dis-guided"

    def complete(
        self, first: Tensor, second: Tensor, fraction: float, *, gain: float, reference: Tensor, ratio: float
    ) -> Tensor:
        """Make the frame of this pair's exposure at the time of the reference.

        Args:
            first: (B, 3, H, W), gamma-encoded LDR in [0, 1].
            second: the later frame, same shape and exposure.
            fraction: time of the reference, 0 = `first`, 1 = `second`.
            gain: see `Interpolator`.
            reference: (B, 3, H, W), the frame at that time, of another exposure.
            ratio: exposure of the reference over that of the pair.

        Returns:
            (B, 3, H, W), gamma-encoded LDR with the exposure of the pair.
        """
        between = self(first, second, fraction, gain=gain)
        if torch.equal(first, second):
            # At the ends of a video both neighbours are one frame: nothing to interpolate, but still to align.
            pair = [first]
        else:
            pair = [first, second]
        one = torch.ones(len(first), dtype=first.dtype, device=first.device)
        aligned = [align_to_reference(frame, one, reference, ratio * one) for frame in pair]
        best = torch.stack([trust for _, trust in aligned]).amax(dim=0)
        vote = _FLOOR_VOTE + (1.0 - best) * agreement(between, one, reference, ratio * one)
        total, blend = vote, vote * between
        for frame, trust in aligned:
            total = total + trust
            blend = blend + trust * frame
        return blend / total
