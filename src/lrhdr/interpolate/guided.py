"""Completion that looks at the reference: the missing exposure aligned to it where that works, interpolated elsewhere.

The method interpolates a missing frame from its two neighbours alone (`flow.py`, FILM). But the frame that is wanted
shows the same moment as the reference, which is at hand, only differently exposed. So, per pair:

1. DIS flow from the reference to each of the two frames and back, on copies matched in exposure: half the motion, and
   a true picture of the moment, occlusions included.
2. Each frame is warped to the reference and trusted as far as the flow survives the round trip and the result agrees
   with the reference (`lrhdr.agreement`).
3. Trusted frames are averaged. Where none is (noise, clipping in both, occlusion), the interpolated frame fills in.

Our choice, not the paper's. On 76 windows made from training folders (2 and 3 stops) it raised the completion merge by
1.7 dB PSNR_T and the best possible vote among the candidates by 1.4 dB over `dis`, for about four times its cost.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrhdr.agreement import agreement
from lrhdr.interpolate.flow import (
    MIN_SIDE,
    Array,
    DISInterpolator,
    dis,
    luminance,
    one_cv2_thread,
    pixel_grid,
    to_arrays,
    to_tensor,
    warp,
)
from lrhdr.radiometry import GAMMA

# Chosen by us on the same windows: 1.5 px of round-trip error plus 5 % of the motion is where a vector stops being
# believed (0.7 px measured 0.1 dB worse); the interpolated frame keeps a small vote everywhere.
_FLOW_ERROR_PX = 1.5
_FLOW_ERROR_RELATIVE = 0.05
_FLOOR_VOTE = 0.02
_ROWS = 64  # of a copy made at once: in the cache


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
    if min(frame.shape[-2:]) < MIN_SIDE:
        return frame, agreement(frame, exposure, reference, reference_exposure)
    warped, consistent = [], []
    with one_cv2_thread():
        ratios = (reference_exposure / exposure).tolist()
        for item, own, ratio in zip(to_arrays(frame), to_arrays(reference), ratios, strict=True):
            # The shorter of the two is gained, and clips where the longer does: both copies show the same.
            copy = clipped_luminance8(item, max(ratio, 1.0))
            own_copy = clipped_luminance8(own, max(1.0 / ratio, 1.0))
            flow = dis(own_copy, copy)
            grid = pixel_grid(*own_copy.shape)
            error = np.square(flow + warp(dis(copy, own_copy), flow, 1.0, grid)).sum(axis=-1)
            motion = np.sqrt(np.square(flow).sum(axis=-1))
            consistent.append(np.exp(-error / np.square(_FLOW_ERROR_PX + _FLOW_ERROR_RELATIVE * motion)))
            warped.append(warp(item, flow, 1.0, grid))
    aligned = to_tensor(np.stack(warped), frame)
    survives = torch.from_numpy(np.stack(consistent))[:, None].to(frame)
    return aligned, survives * agreement(aligned, exposure, reference, reference_exposure)


@torch.no_grad()
def align_window(window: Tensor, exposures: Tensor) -> Tensor:
    """Align the neighbours of a window to its reference: the candidates of align-then-fuse methods.

    Args:
        window: (B, T, 3, H, W), gamma-encoded LDR in [0, 1], the reference in the middle.
        exposures: (B, T), relative.

    Returns:
        (B, T - 1, 3, H, W), the warped neighbours in time order, each with its own exposure.
    """
    centre = window.shape[1] // 2
    reference, own = window[:, centre], exposures[:, centre]
    neighbours = [i for i in range(window.shape[1]) if i != centre]
    return torch.stack(
        [align_to_reference(window[:, i], exposures[:, i], reference, own)[0] for i in neighbours], dim=1
    )


def clipped_luminance8(frame: Array, gain: float) -> NDArray[np.uint8]:
    """8-bit luminance of a gamma-encoded (H, W, 3) frame after a gain in linear light, channels clipped at 1."""
    # clip(L^γ g)^(1/γ) = clip(L g^(1/γ)): the gain needs no power per pixel.
    factor = np.float32(gain ** (1.0 / GAMMA))
    copy = np.empty(frame.shape[:2], dtype=np.uint8)
    for start in range(0, len(frame), _ROWS):
        rows = frame[start : start + _ROWS]
        luma = luminance(rows if gain == 1.0 else np.minimum(rows * factor, np.float32(1.0)))
        luma *= np.float32(255.0)
        copy[start : start + _ROWS] = np.rint(luma, out=luma)
    return copy


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
