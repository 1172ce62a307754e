"""What a user would do without the network, as well as it can be done; and the best that any vote could reach.

Every baseline is `f(window, interpolated, exposures) -> hdr`:

- `reference`: the linearised reference frame alone, `Γ(L_t)`.
- `merge`: the weighted merge of the raw window without alignment, as for a tripod; ghosts on anything that moves.
- `align`: neighbours aligned to the reference by one projective map each (`lrhdr.global_alignment`), as photographers'
  tools do for hand-held brackets, checked against the reference, then merged.
- `mertens`: exposure fusion (Mertens, Kautz, Van Reeth, Pacific Graphics 2007; OpenCV's) of the globally aligned
  window. A picture to look at, not light: see `DISPLAY_REFERRED`.
- `flow`: neighbours aligned to the reference by optical flow on exposure-matched copies, checked forward and backward
  and against the reference, then merged; the reference alone where that fails (the recipe of Kang et al., SIGGRAPH
  2003).
- `completion`: the reference merged with the frames that an interpolator made at its time, checked against it.

`oracle` is not a method: it looks at the truth, and bounds what choosing among candidates can give.

window is (B, T, 3, H, W) gamma-encoded LDR in [0, 1] with T = 2 N_e - 1 and the reference in the middle; interpolated
(B, N_e - 1, 3, H, W) in the order of `interpolation_pairs`; exposures (B, T) relative; hdr (B, 3, H, W) linear with
1.0 = saturation of the shortest exposure.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from lrhdr.agreement import BLUR_PX, FULL_WELL_E, READ_NOISE_E, agreement
from lrhdr.checks import InputError, check_tensor
from lrhdr.exposure import interpolated_exposures
from lrhdr.filters import gaussian_blur
from lrhdr.global_alignment import align_globally
from lrhdr.interpolate.flow import one_cv2_thread
from lrhdr.interpolate.guided import align_to_reference
from lrhdr.losses import oracle_index
from lrhdr.radiometry import GAMMA, ldr_to_radiance, merge_weighted, saturation_confidence, well_exposedness
from lrhdr.tonemap import mu_law

Baseline = Callable[[Tensor, Tensor, Tensor], Tensor]
Aligner = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

# Typical error of a frame that was warped or interpolated, pixels. Chosen by us: 0.2 gained 0.4 dB on real video and
# cost 0.3 dB on generated clips of the training folders, against 0.
_MISALIGNMENT_PX = 0.15


def _parts(window: Tensor, exposures: Tensor) -> tuple[Tensor, Tensor]:
    """The reference frame (B, 3, H, W) and its exposure (B,), after a check of the layout."""
    check_tensor(window, "window", ndim=5)
    if window.shape[1] % 2 == 0 or tuple(exposures.shape) != tuple(window.shape[:2]):
        raise InputError(
            f"window: expected an odd number of frames and one exposure each, found {tuple(window.shape)} "
            f"and {tuple(exposures.shape)}"
        )
    centre = window.shape[1] // 2
    return window[:, centre], exposures[:, centre]


def model_free_candidates(window: Tensor, interpolated: Tensor, exposures: Tensor) -> Tensor:
    """The candidates that exist without a network: Γ of the window's frames, then of the interpolated ones.

    Returns:
        (B, T + N_e - 1, 3, H, W), linear.
    """
    frames = torch.cat((window, interpolated), dim=1)
    return ldr_to_radiance(frames, torch.cat((exposures, interpolated_exposures(exposures)), dim=1))


def reference(window: Tensor, interpolated: Tensor, exposures: Tensor) -> Tensor:
    """The linearised reference frame alone; see the module's docstring for shapes."""
    frame, exposure = _parts(window, exposures)
    return ldr_to_radiance(frame, exposure)


def merge(window: Tensor, interpolated: Tensor, exposures: Tensor) -> Tensor:
    """Weighted merge of the window where it stands; clipped pixels of all frames fall back to the shortest one."""
    _parts(window, exposures)
    radiances = ldr_to_radiance(window, exposures)
    shortest = exposures.argmin(dim=1)
    fallback = radiances[torch.arange(len(window), device=window.device), shortest]
    return merge_weighted(radiances, well_exposedness(window, exposures), fallback)


def _slope_squared(radiance: Tensor) -> Tensor:
    """Squared gradient of (B, 3, H, W), mean over channels, per pixel; central differences, 0 at the borders."""
    total = torch.zeros_like(radiance[:, :1])
    if radiance.shape[-1] > 2:
        step = (radiance[..., 2:] - radiance[..., :-2]) / 2.0
        total[..., 1:-1] += step.square().mean(dim=1, keepdim=True)
    if radiance.shape[-2] > 2:
        step = (radiance[..., 2:, :] - radiance[..., :-2, :]) / 2.0
        total[..., 1:-1, :] += step.square().mean(dim=1, keepdim=True)
    return total


def _merge_with_reference(
    frames: Tensor, frame_exposures: Tensor, trust: Tensor, reference_frame: Tensor, reference_exposure: Tensor
) -> Tensor:
    """Merge the reference with frames that are meant to show the same.

    Two passes: the weighted merge of `merge` with trusts on top gives the level; then the weights become trust over
    variance, with shot and read noise at that level and, for frames that were brought here, what a small misalignment
    does at its slope.

    Args:
        frames: (B, M, 3, H, W), LDR.
        frame_exposures: (B, M).
        trust: (B, M, 1, H, W) in [0, 1].
        reference_frame: (B, 3, H, W), LDR.
        reference_exposure: (B,).

    Returns:
        (B, 3, H, W), linear.
    """
    every = torch.cat((reference_frame[:, None], frames), dim=1)
    exposures = torch.cat((reference_exposure[:, None], frame_exposures), dim=1)
    radiances = ldr_to_radiance(every, exposures)
    believed = torch.cat((torch.ones_like(trust[:, :1]), trust), dim=1)
    # Where everything is clipped or refused, the frame that clips last knows most.
    last = exposures.argmin(dim=1)
    fallback = radiances[torch.arange(len(every), device=every.device), last]
    first_pass = merge_weighted(radiances, well_exposedness(every, exposures) * believed, fallback)
    smooth = gaussian_blur(first_pass, BLUR_PX)
    electrons = exposures.view(*exposures.shape, 1, 1, 1) * FULL_WELL_E
    level = smooth.mean(dim=1, keepdim=True)[:, None]
    variance = level / electrons + (READ_NOISE_E / electrons) ** 2
    misaligned = _MISALIGNMENT_PX**2 * _slope_squared(smooth)[:, None]
    variance = torch.cat((variance[:, :1], variance[:, 1:] + misaligned), dim=1)
    merged = merge_weighted(radiances, saturation_confidence(every) * believed / variance, fallback)
    # A clipped reference still bounds the radiance from below.
    return torch.where(reference_frame >= 1.0, torch.maximum(merged, radiances[:, 0]), merged)


def completion(window: Tensor, interpolated: Tensor, exposures: Tensor) -> Tensor:
    """Weighted merge of the reference and the interpolated frames: not clipped, agreement with the reference, noise."""
    frame, exposure = _parts(window, exposures)
    between = interpolated_exposures(exposures)
    trust = torch.stack(
        [agreement(interpolated[:, k], between[:, k], frame, exposure) for k in range(interpolated.shape[1])], dim=1
    )
    # Chosen by us on clips of the training folders: agreement below 0.05 is a refusal, above 0.4 a full vote.
    trust = ((trust - 0.05) / 0.35).clamp(0.0, 1.0)
    return _merge_with_reference(interpolated, between, trust, frame, exposure)


def _aligned(window: Tensor, exposures: Tensor, aligner: Aligner) -> tuple[Tensor, Tensor, Tensor]:
    """The neighbours brought to the reference: frames (B, M, 3, H, W), exposures (B, M), trusts (B, M, 1, H, W)."""
    frame, exposure = _parts(window, exposures)
    others = [i for i in range(window.shape[1]) if i != window.shape[1] // 2]
    frames, trusts = zip(*(aligner(window[:, i], exposures[:, i], frame, exposure) for i in others), strict=True)
    return torch.stack(frames, dim=1), exposures[:, others], torch.stack(trusts, dim=1)


def flow(window: Tensor, interpolated: Tensor, exposures: Tensor) -> Tensor:
    """Merge of the reference and its neighbours, each aligned by optical flow on exposure-matched copies."""
    return _merge_with_reference(*_aligned(window, exposures, align_to_reference), *_parts(window, exposures))


def align(window: Tensor, interpolated: Tensor, exposures: Tensor) -> Tensor:
    """Merge of the reference and its neighbours, each aligned by one projective map."""
    return _merge_with_reference(*_aligned(window, exposures, align_globally), *_parts(window, exposures))


def mertens(window: Tensor, interpolated: Tensor, exposures: Tensor) -> Tensor:
    """Exposure fusion of the globally aligned window, linearised, with one factor per frame.

    Each exposure gives one picture: the reference itself, and the aligned neighbours of every other exposure, averaged;
    where they are not trusted, the reference re-exposed stands in. What OpenCV fuses is taken as a gamma-encoded
    picture; its linear version is scaled by the least-squares factor to the merge of `align`, where that is below 1.
    """
    frame, exposure = _parts(window, exposures)
    frames, frame_exposures, trusts = _aligned(window, exposures, align_globally)
    target = _merge_with_reference(frames, frame_exposures, trusts, frame, exposure)
    results = []
    for b in range(len(window)):
        stack = [frame[b]]
        for e in dict.fromkeys(frame_exposures[b].tolist()):
            same = frame_exposures[b] == e
            total = trusts[b, same].sum(dim=0)
            average = (frames[b, same] * trusts[b, same]).sum(dim=0) / total.clamp_min(1e-6)
            re_exposed = (frame[b] * (e / float(exposure[b])) ** (1.0 / GAMMA)).clamp_max(1.0)
            stack.append(torch.lerp(re_exposed, average, total.clamp_max(1.0)))
        fused = ldr_to_radiance(fuse_exposures(torch.stack(stack)), 1.0)
        lit = target[b] < 1.0
        factor = (fused * target[b])[lit].sum() / fused.square()[lit].sum().clamp_min(1e-12) if lit.any() else 1.0
        results.append((fused * factor).clamp(0.0, 1.0))
    return torch.stack(results)


def fuse_exposures(stack: Tensor) -> Tensor:
    """OpenCV's exposure fusion with its default weights (contrast, saturation and well-exposedness, all 1).

    Args:
        stack: (M, 3, H, W), gamma-encoded pictures of one scene, in [0, 1].

    Returns:
        (3, H, W), a gamma-encoded picture in [0, 1]: display-referred, its values are no radiance.
    """
    # OpenCV expects codes of 0 to 255, of any type; blending may leave the range a little.
    pictures = [np.ascontiguousarray(p.permute(1, 2, 0).float().cpu().numpy()) * np.float32(255.0) for p in stack]
    with one_cv2_thread():
        fused = cv2.createMergeMertens().process(pictures)
    picture = torch.from_numpy(np.nan_to_num(np.asarray(fused, dtype=np.float32)).clip(0.0, 1.0))
    return picture.permute(2, 0, 1).to(stack)


BASELINES: dict[str, Baseline] = {
    "reference": reference,
    "mertens": mertens,
    "merge": merge,
    "align": align,
    "flow": flow,
    "completion": completion,
}
"""Name to function, from the simplest to the best."""

DISPLAY_REFERRED = frozenset({"mertens"})
"""Baselines whose result is a picture for a screen. Its tones were chosen to look well, so scores against radiance say
how far those tones are from the light, not how good the picture is: mark them in tables."""


def oracle(candidates: Tensor, target: Tensor) -> Tensor:
    """The best candidate at each pixel, by the squared T-domain distance over the channels.

    Args:
        candidates: (B, K, 3, H, W), linear.
        target: (B, 3, H, W), the true radiance.

    Returns:
        (B, 3, H, W), linear: what a perfect one-hot vote would give (a mixture can be better still).

    Raises:
        InputError: shapes that do not fit.
    """
    check_tensor(candidates, "candidates", ndim=5)
    check_tensor(target, "target")
    if candidates.shape[0] != target.shape[0] or candidates.shape[2:] != target.shape[1:]:
        raise InputError(f"oracle: candidates {tuple(candidates.shape)} do not fit target {tuple(target.shape)}")
    index, _ = oracle_index(mu_law(candidates), mu_law(target))
    return candidates.gather(1, index[:, None, None].expand(-1, 1, *target.shape[1:])).squeeze(1)
