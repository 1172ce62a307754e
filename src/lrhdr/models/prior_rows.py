"""The physical prior on strips of rows: `models/prior.py` and `agreement.py`, in place, for inference."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from lrhdr.agreement import BLUR_PX, FULL_WELL_E, GAIN_ERROR, READ_NOISE_E, SIGMAS
from lrhdr.models.prior import CLIPPED_FLOOR, GHOST_FLOOR, NEIGHBOUR_PENALTY, SCALE
from lrhdr.radiometry import CLIP_END, CLIP_START
from lrhdr.strips import blur_rows, clamp_in_place, exp_in_place, log_in_place

Array = NDArray[np.float32]

HALO = math.ceil(3.0 * BLUR_PX)
"""Rows above and below that the prior looks at."""


def prior_rows(ldr: Array, radiance: Array, exposures: list[float], originals: int) -> Array:
    """Logits of all frames but the calibrated ones, not yet measured against the largest.

    Args:
        ldr: (F, 3, rows, W), the window's frames, then those made at the reference's time; without halo.
        radiance: (F, 3, rows + 2 `HALO`, W), Γ of the same frames at their exposures, with halo.
        exposures: of the frames, relative.
        originals: number of frames in the window; the reference is in its middle.

    Returns:
        (F, rows, W).
    """
    count, centre = len(ldr), originals // 2
    own_exposure = exposures[centre]
    logits = np.empty((count, *ldr.shape[2:]), dtype=np.float32)
    blurred: dict[float, Array] = {}
    for i in range(count):
        if i == centre:
            logits[i] = 1.0
            continue
        ratio = own_exposure / exposures[i]
        limit = min(ratio, 1.0)
        if limit not in blurred:
            own = radiance[centre] * np.float32(own_exposure)
            clamp_in_place(own, None, limit)
            blurred[limit] = blur_rows(own, BLUR_PX)
        seen = radiance[i] * np.float32(own_exposure)
        clamp_in_place(seen, None, 1.0)
        logits[i] = _agreement(blur_rows(seen, BLUR_PX), blurred[limit], ratio)
    logits += np.float32(GHOST_FLOOR)
    for i, exposure in enumerate(exposures):
        trust = ldr[i].max(axis=0)
        np.subtract(np.float32(CLIP_END), trust, out=trust)
        trust *= np.float32(1.0 / (CLIP_END - CLIP_START))
        clamp_in_place(trust, 0.0, 1.0)
        smooth = trust * np.float32(-2.0)
        smooth += np.float32(3.0)
        smooth *= trust
        smooth *= trust
        smooth += np.float32(CLIPPED_FLOOR / exposure**3)
        logits[i] *= smooth
    log_in_place(logits)
    for i, exposure in enumerate(exposures):
        penalty = NEIGHBOUR_PENALTY if i < originals and i != centre else 0.0
        logits[i] += np.float32(math.log(exposure) - penalty)
    return logits


def finish_prior(logits: Array, originals: int, calibrated: bool) -> Array:
    """All candidates' logits from `prior_rows`, the largest 0 at each pixel: (K, rows, W)."""
    if calibrated:
        centre = originals // 2
        logits = np.concatenate((logits, logits[centre : centre + 1], logits[originals : originals + centre]))
    else:
        logits = logits.copy()
    logits -= logits.max(axis=0)
    logits *= np.float32(SCALE)
    return logits


def _agreement(seen: Array, own: Array, ratio: float) -> Array:
    """`agreement.agreement` from local means (3, rows, W); (rows, W)."""
    averaged = 4.0 * math.pi * BLUR_PX**2
    shot = SIGMAS**2 * (1.0 + ratio) / FULL_WELL_E / averaged
    read = SIGMAS**2 * (1.0 + ratio**2) * (READ_NOISE_E / FULL_WELL_E) ** 2 / averaged
    level: Array = torch.maximum(torch.from_numpy(seen), torch.from_numpy(own)).numpy()
    tolerance = level * np.float32((SIGMAS * GAIN_ERROR) ** 2)
    tolerance += np.float32(shot)
    tolerance *= level
    tolerance += np.float32(read)
    distance = np.subtract(seen, own, out=level)
    distance *= distance
    distance /= tolerance
    worst: Array = distance.max(axis=0)
    np.negative(worst, out=worst)
    exp_in_place(worst)
    return worst
