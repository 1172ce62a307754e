"""Backward warping by dense flow.

Flow is (B, 2, H, W) in pixels, channel 0 = x (to the right), channel 1 = y (down); `flow_a_to_b` at a pixel of `a` says
where its content lies in `b`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pixel_grid(height: int, width: int, *, like: Tensor) -> Tensor:
    """Pixel coordinates, (1, 2, H, W): channel 0 = x, channel 1 = y, with the dtype and device of `like`."""
    y = torch.arange(height, dtype=like.dtype, device=like.device)
    x = torch.arange(width, dtype=like.dtype, device=like.device)
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((grid_x, grid_y))[None]


def backward_warp(image: Tensor, flow: Tensor) -> Tensor:
    """Fetch `image` at `p + flow(p)`, bilinearly; outside the image the border pixel is used.

    Zero flow returns the image exactly: coordinates are computed in pixels and normalised for `align_corners=True`,
    and the exact case is tested.

    Args:
        image: (B, C, H, W).
        flow: (B, 2, H, W), pixels.

    Returns:
        (B, C, H, W).
    """
    height, width = image.shape[-2:]
    target = pixel_grid(height, width, like=image) + flow.to(image.dtype)
    # Written out instead of grid_sample: its round trip through [-1, 1] moves samples by up to 1e-4 px, so that a zero
    # flow would blur. Gathering four neighbours with exact integer parts does not.
    x = target[:, 0].clamp(0.0, width - 1.0)
    y = target[:, 1].clamp(0.0, height - 1.0)
    x0 = x.floor()
    y0 = y.floor()
    wx = (x - x0)[:, None]
    wy = (y - y0)[:, None]
    ix0, iy0 = x0.long(), y0.long()
    ix1, iy1 = (ix0 + 1).clamp_max(width - 1), (iy0 + 1).clamp_max(height - 1)
    flat = image.flatten(2)

    def fetch(iy: Tensor, ix: Tensor) -> Tensor:
        index = (iy * width + ix).flatten(1)[:, None].expand(-1, image.shape[1], -1)
        return flat.gather(2, index).view_as(image)

    top = torch.lerp(fetch(iy0, ix0), fetch(iy0, ix1), wx)
    bottom = torch.lerp(fetch(iy1, ix0), fetch(iy1, ix1), wx)
    return torch.lerp(top, bottom, wy)
