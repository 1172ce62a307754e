"""Hold a hand-held window still: its frames brought to the reference by one global motion each.

An option for hand-held clips, off by default: where the camera stands or moves smoothly, optical flow needs no help,
and each warp softens a frame a little. The motion is estimated against the reference with the exposures matched
(`global_alignment`). What a frame does not see after it was moved is filled with the reference, taken at that frame's
exposure, which is what the frame would show if nothing had changed.
"""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from lrhdr.global_alignment import estimate_motion
from lrhdr.interpolate.flow import Array, one_cv2_thread, to_arrays, to_tensor
from lrhdr.radiometry import ldr_to_radiance, radiance_to_ldr


def stabilise_window(window: Tensor, exposures: Tensor) -> Tensor:
    """Align the frames of windows to their references.

    Args:
        window: (B, T, 3, H, W), gamma-encoded LDR in [0, 1], the reference in the middle.
        exposures: (B, T), relative.

    Returns:
        (B, T, 3, H, W), the reference unchanged; a frame for which no motion is found is unchanged too.
    """
    held = window.clone()
    middle = window.shape[1] // 2
    with one_cv2_thread():
        for t in (t for t in range(window.shape[1]) if t != middle):
            ratios = (exposures[:, middle] / exposures[:, t]).tolist()
            # The reference as this frame's exposure would have recorded it, for the border.
            seen = radiance_to_ldr(ldr_to_radiance(window[:, middle], exposures[:, middle]), exposures[:, t])
            items = zip(to_arrays(window[:, t]), to_arrays(window[:, middle]), to_arrays(seen), ratios, strict=True)
            held[:, t] = to_tensor(np.stack([_moved(*item) for item in items]), window)
    return held


def _moved(frame: Array, reference: Array, border: Array, ratio: float) -> Array:
    motion = estimate_motion(frame, reference, ratio)
    if np.array_equal(motion, np.eye(3)):
        return frame
    height, width = frame.shape[:2]
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    warped = cv2.warpPerspective(frame, motion, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
    ones = np.ones((height, width), np.float32)
    inside = cv2.warpPerspective(ones, motion, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    result: Array = np.where((inside > 0.99)[..., None], warped.clip(0.0, 1.0), border).astype(np.float32)
    return result
