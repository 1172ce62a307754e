"""What the interpolation networks share: padding to a grid, fetching along flow, and copies with raised shadows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lrhdr.radiometry import GAMMA


def pad_to_multiple(image: Tensor, multiple: int) -> tuple[Tensor, tuple[slice, slice]]:
    """Repeat the borders until both sides are multiples; the picture stays in the middle.

    Args:
        image: (B, C, H, W).
        multiple: of both sides, pixels.

    Returns:
        The padded image (the same object where nothing is missing), and the rows and columns of the picture in it.
    """
    height, width = image.shape[-2:]
    missing_y, missing_x = -height % multiple, -width % multiple
    top, left = missing_y // 2, missing_x // 2
    inside = slice(top, top + height), slice(left, left + width)
    if missing_y == missing_x == 0:
        return image, inside
    # Repeated, not black: a black frame would be an edge that both pictures share, and pull motion to zero there.
    return F.pad(image, (left, missing_x - left, top, missing_y - top), mode="replicate"), inside


def fetch(image: Tensor, flow: Tensor, *, cubic: bool = False) -> Tensor:
    """Backward warp by `grid_sample`: `image` at `p + flow(p)`, border pixels repeated.

    The rule of `lrhdr.warp.backward_warp`, which returns exactly the image for zero flow and takes three to five times
    as long on a CPU; here places are exact to about 1e-4 px (tested).

    Args:
        image: (B, C, H, W).
        flow: (B, 2, H, W), pixels, channel 0 = x.
        cubic: cubic interpolation (a = -0.75, as OpenCV's) in place of bilinear.

    Returns:
        (B, C, H, W).
    """
    height, width = image.shape[-2:]
    x = torch.linspace(-1.0, 1.0, width, dtype=flow.dtype, device=flow.device)
    y = torch.linspace(-1.0, 1.0, height, dtype=flow.dtype, device=flow.device)
    # With align_corners=True the centres of the corner pixels are -1 and 1; a side of one pixel has only one place.
    grid_x = x + flow[:, 0] * (2.0 / max(width - 1, 1))
    grid_y = y[:, None] + flow[:, 1] * (2.0 / max(height - 1, 1))
    grid = torch.stack((grid_x, grid_y), dim=-1)
    mode = "bicubic" if cubic else "bilinear"
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=True)


def raise_shadows(image: Tensor, gain: float) -> Tensor:
    """A copy to estimate motion on: shadows raised as by a gain in linear light, white kept.

    `k y / (1 + (k - 1) y)` per channel with k = gain^(1/γ): the curve of `flow.py`, which clips nothing.

    Args:
        image: (B, C, H, W), gamma-encoded in [0, 1].
        gain: in linear light; at most 1 changes nothing.

    Returns:
        (B, C, H, W) in [0, 1].
    """
    if gain <= 1.0:
        return image
    k = float(gain ** (1.0 / GAMMA))
    return k * image / (1.0 + (k - 1.0) * image)
