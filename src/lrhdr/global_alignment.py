"""One motion for the whole frame: what photographers' tools do before they merge a hand-held bracket.

A frame of another exposure is brought to the reference by one projective map:

1. Both become luminance copies that show the same: the shorter one is gained and clips where the longer does, so that
   clipped areas match too.
2. A shift, the better of median threshold bitmaps (Ward, JGT 2003; OpenCV's `AlignMTB`, which knows no exposures) and
   phase correlation, on a coarse copy. No shift is kept where neither is better.
3. From coarse to fine, the enhanced correlation coefficient (Evangelidis and Psarakis, PAMI 2008; OpenCV) refines it to
   an affine, then a projective map. A step that fails or does not bring the copies closer is not taken.

Parallax and moving things stay where they are; `lrhdr.agreement` finds them afterwards.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrhdr.agreement import agreement
from lrhdr.interpolate.flow import LUMA, Array, one_cv2_thread, to_arrays, to_tensor
from lrhdr.radiometry import GAMMA

_SMALLEST = 32  # below this many pixels a side there is nothing to estimate from
_FINEST, _COARSEST = 768, 96  # longer sides of the finest and the coarsest copy, pixels
_ITERATIONS, _PRECISION = 40, 1e-4
_LEAST_CONTRAST = 2e-3  # standard deviation of a copy, code values: less is one flat tone
_LEAST_OVERLAP = 0.4  # share of the frame; larger motion is not believed
_GAIN_TO_ACCEPT = 0.95  # a map must bring the mean difference down to this share to replace no motion
_BLUR_PX = 1.0


def _copies(frame: Array, reference: Array, ratio: float) -> tuple[Array, Array]:
    """Luminance of a frame and of the reference, both clipping where the longer one does.

    Args:
        frame: (H, W, 3), gamma-encoded.
        reference: same shape.
        ratio: exposure of the reference over that of the frame.
    """
    gains = max(ratio, 1.0) ** (1.0 / GAMMA), max(1.0 / ratio, 1.0) ** (1.0 / GAMMA)
    one, other = (np.minimum(f * np.float32(g), 1.0) @ LUMA for f, g in zip((frame, reference), gains, strict=True))
    return np.asarray(one, dtype=np.float32), np.asarray(other, dtype=np.float32)


def _warp(image: NDArray[Any], motion: NDArray[np.float64], method: int) -> NDArray[Any]:
    """Fetch an image at `motion` applied to each pixel; 0 outside."""
    height, width = image.shape[:2]
    return np.asarray(cv2.warpPerspective(image, motion, (width, height), flags=method | cv2.WARP_INVERSE_MAP))


class _Level:
    """One size of the pair, and how well a motion explains it."""

    def __init__(self, frame: Array, reference: Array) -> None:
        # A fetch between pixels blurs noise, which alone would make fractional shifts look better than none.
        self.frame, self.reference = (np.asarray(cv2.GaussianBlur(c, (0, 0), _BLUR_PX)) for c in (frame, reference))

    def difference(self, motion: NDArray[np.float64]) -> float:
        """Mean absolute difference of the copies where they overlap; infinite where too little does."""
        inside = _warp(np.ones_like(self.frame), motion, cv2.INTER_LINEAR) > 0.99
        if inside.mean() < _LEAST_OVERLAP:
            return math.inf
        return float(np.abs(_warp(self.frame, motion, cv2.INTER_LINEAR) - self.reference)[inside].mean())

    def refine(self, motion: NDArray[np.float64], kind: int) -> NDArray[np.float64] | None:
        """One run of the enhanced correlation coefficient from a motion on; None where it does not converge."""
        projective = kind == cv2.MOTION_HOMOGRAPHY
        start = (motion / motion[2, 2]).astype(np.float32)[: 3 if projective else 2]
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ITERATIONS, _PRECISION)
        everywhere = np.full(self.frame.shape, 255, dtype=np.uint8)
        try:
            _, found = cv2.findTransformECC(self.reference, self.frame, start, kind, criteria, everywhere, 5)
        except cv2.error:
            return None  # too little overlap, or no convergence
        full = np.eye(3)
        full[: found.shape[0]] = found
        return full if np.isfinite(full).all() else None


def _scaled(motion: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """A motion for pictures `factor` times as large; pixel centres lie at whole coordinates."""
    offset = 0.5 * factor - 0.5
    up = np.array([[factor, 0.0, offset], [0.0, factor, offset], [0.0, 0.0, 1.0]])
    return np.asarray(up @ motion @ np.linalg.inv(up))


def _shift(x: float, y: float) -> NDArray[np.float64]:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _best_shift(level: _Level) -> NDArray[np.float64]:
    """No shift, or the better of two estimates that need no start."""
    codes = [np.rint(copy * 255.0).clip(0, 255).astype(np.uint8) for copy in (level.reference, level.frame)]
    bits = max(1, math.ceil(math.log2(max(2.0, min(codes[0].shape) / 8.0))))
    x, y = cv2.createAlignMTB(max_bits=bits).calculateShift(*codes)
    window = cv2.createHanningWindow(codes[0].shape[::-1], cv2.CV_32F)
    # Copies: OpenCV 5 leaves its arguments multiplied by the window.
    (px, py), _ = cv2.phaseCorrelate(level.reference.copy(), level.frame.copy(), window)
    best = np.eye(3)
    for candidate in (_shift(-x, -y), _shift(px, py)):
        if level.difference(candidate) < _GAIN_TO_ACCEPT * level.difference(best):
            best = candidate
    return best


def estimate_motion(frame: Array, reference: Array, ratio: float) -> NDArray[np.float64]:
    """The projective map from pixels of the reference to pixels of a frame of another exposure.

    Args:
        frame: (H, W, 3), gamma-encoded LDR in [0, 1], float32.
        reference: same shape.
        ratio: exposure of the reference over that of the frame.

    Returns:
        (3, 3), acting on (x, y, 1) with pixel centres at whole numbers; the identity where nothing better is found.
    """
    height, width = reference.shape[:2]
    identity = np.eye(3)
    if min(height, width) < _SMALLEST:
        return identity
    copy, own = _copies(frame, reference, ratio)
    if min(float(copy.std()), float(own.std())) < _LEAST_CONTRAST:
        return identity
    sizes = [min(1.0, _FINEST / max(height, width))]
    while sizes[-1] * max(height, width) > 2.0 * _COARSEST and sizes[-1] * min(height, width) > 2.0 * _SMALLEST:
        sizes.append(sizes[-1] / 2.0)
    levels = []
    for scale in sizes:
        goal = (round(width * scale), round(height * scale))
        small = [c if scale == 1.0 else cv2.resize(c, goal, interpolation=cv2.INTER_AREA) for c in (copy, own)]
        levels.append(_Level(*(np.asarray(c, dtype=np.float32) for c in small)))
    coarse, fine = levels[-1], levels[0]
    motion = _best_shift(coarse)
    for number, level in reversed(list(enumerate(levels))):
        # A projective map of the smallest copy would follow its noise.
        coarsest_of_many = level is coarse and level is not fine
        for kind in (cv2.MOTION_AFFINE,) if coarsest_of_many else (cv2.MOTION_AFFINE, cv2.MOTION_HOMOGRAPHY):
            found = level.refine(motion, kind)
            if found is not None and level.difference(found) < level.difference(motion):
                motion = found
        if number:
            motion = _scaled(motion, sizes[number - 1] / sizes[number])
    if not fine.difference(motion) < _GAIN_TO_ACCEPT * fine.difference(identity):
        return identity
    return _scaled(motion, 1.0 / sizes[0])


def align_globally(
    frame: Tensor, exposure: Tensor, reference: Tensor, reference_exposure: Tensor
) -> tuple[Tensor, Tensor]:
    """Bring a frame of another exposure to the reference by one projective map.

    Args:
        frame: (B, 3, H, W), gamma-encoded LDR in [0, 1].
        exposure: (B,) its relative exposure.
        reference: (B, 3, H, W), gamma-encoded LDR in [0, 1].
        reference_exposure: (B,).

    Returns:
        The warped frame (B, 3, H, W), and how far to trust it, (B, 1, H, W) in [0, 1]: 0 outside the frame, elsewhere
        `lrhdr.agreement` with the reference.
    """
    warped, inside = [], []
    with one_cv2_thread():
        ratios = (reference_exposure / exposure).tolist()
        for item, own, ratio in zip(to_arrays(frame), to_arrays(reference), ratios, strict=True):
            motion = estimate_motion(item, own, ratio)
            if np.array_equal(motion, np.eye(3)):
                warped.append(item)
                inside.append(np.ones(item.shape[:2], dtype=np.float32))
                continue
            warped.append(_warp(item, motion, cv2.INTER_CUBIC).clip(0.0, 1.0))
            ones = np.ones(item.shape[:2], dtype=np.float32)
            inside.append((_warp(ones, motion, cv2.INTER_LINEAR) > 0.99).astype(np.float32))
    aligned = to_tensor(np.stack(warped), frame)
    seen = torch.from_numpy(np.stack(inside))[:, None].to(frame)
    return aligned, seen * agreement(aligned, exposure, reference, reference_exposure)
