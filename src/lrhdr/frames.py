"""One frame at the borders of the pipeline: what comes in becomes a tensor, and the field's paste of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.radiometry import WHITE, codes_to_float, ldr_to_radiance

Frame = NDArray[Any] | Tensor
"""(H, W, 3) numpy or (3, H, W) torch."""

FLOAT_SLACK = 0.05
"""How far a float LDR frame may leave [0, 1] (resampling overshoot) before it is refused as not being LDR."""


def frame_to_tensor(frame: Frame, index: int, *, keep_codes: bool = False) -> Tensor:
    """Bring one LDR frame to (3, H, W) float32 in [0, 1].

    Args:
        frame: (H, W, 3) numpy or (3, H, W) torch; uint8 or uint16 (divided by their maximum), or float in [0, 1].
        index: its position, for messages.
        keep_codes: leave uint8 and uint16 as they are: a quarter and half of the memory.

    Raises:
        InputError: wrong shape or type, empty, NaN or infinite, or float values outside [0, 1] by more than
            `FLOAT_SLACK` (linear or display-referred material; smaller overshoots are clamped).
    """
    if isinstance(frame, Tensor):
        layout, axis = "(3, H, W)", 0
    elif isinstance(frame, np.ndarray):
        layout, axis = "(H, W, 3)", -1
    else:
        raise InputError(f"frame {index}: expected a numpy array or a torch tensor, found {type(frame).__name__}")
    shape = tuple(frame.shape)
    if len(shape) != 3 or shape[axis] != 3 or 0 in shape:
        raise InputError(f"frame {index}: expected shape {layout}, found {shape}")
    if isinstance(frame, Tensor):
        x = frame
    else:
        native = frame.astype(frame.dtype.newbyteorder("="), copy=False)  # PyTorch takes no other order of bytes
        try:
            x = torch.from_numpy(np.ascontiguousarray(native.transpose(2, 0, 1)))
        except TypeError:
            raise InputError(f"frame {index}: expected uint8, uint16 or float values, found {frame.dtype}") from None
    if x.dtype in WHITE:
        # A copy, never the caller's own memory, which may hold another frame by the time this one is looked at.
        return x.clone() if keep_codes else codes_to_float(x)
    if not x.is_floating_point():
        raise InputError(f"frame {index}: expected uint8, uint16 or float values, found {x.dtype}")
    x = x.float()
    bad = int((~torch.isfinite(x)).sum())
    if bad:
        raise InputError(f"frame {index}: found {bad} NaN or infinite value{'s' if bad > 1 else ''}, expected [0, 1]")
    low, high = float(x.min()), float(x.max())
    if low < -FLOAT_SLACK or high > 1.0 + FLOAT_SLACK:
        raise InputError(f"frame {index}: found values from {low:g} to {high:g}, expected gamma-encoded LDR in [0, 1]")
    return x.clamp(0.0, 1.0)


def composite_with_reference(hdr: Tensor, reference: Tensor, exposures: Tensor) -> Tensor:
    """The field's paste: keep the method's result only where the reference frame is badly exposed.

    With Y = .299 R + .587 G + .114 B of the gamma-encoded reference, the method keeps Y < .2 (shortest exposure),
    Y > .8 (longest) or both (in between); elsewhere the linearised reference is the result. This is what the test
    scripts of HDRFlow and its successors score; it is not the method's own output.

    Args:
        hdr: (B, 3, H, W), linear.
        reference: (B, 3, H, W), gamma-encoded LDR in [0, 1].
        exposures: (B, T), relative, the reference in the middle.

    Returns:
        (B, 3, H, W), linear.
    """
    own = exposures[:, exposures.shape[1] // 2]
    luma = (reference * reference.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    shortest = (own <= exposures.amin(dim=1)).view(-1, 1, 1, 1)
    longest = (own >= exposures.amax(dim=1)).view(-1, 1, 1, 1)
    keep = ((luma < 0.2) & ~longest) | ((luma > 0.8) & ~shortest)
    return torch.where(keep, hdr, ldr_to_radiance(reference, own))
