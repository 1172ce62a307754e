"""Triplet attention (Misra et al., "Rotate to Attend", WACV 2021).

Three gates look at the tensor along its three axis pairs: (H, W), (C, W) and (C, H). Each is a Z-pool (maximum and mean
over the third axis), a 7x7 convolution, batch normalisation and a sigmoid; the tensor is multiplied by their mean.
Input and output: (B, C, H, W).

What differs from the paper: nothing in value. The tensor is not permuted and gated three times; the three gates are
broadcast and averaged first, so that it is read once for the product.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class _Gate(nn.Module):
    """7x7 convolution over a Z-pooled map, normalised, squashed to (0, 1)."""

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x: Tensor, dim: int) -> Tensor:
        pooled = torch.stack((x.amax(dim=dim), x.mean(dim=dim)), dim=1)
        gate: Tensor = torch.sigmoid(self.norm(self.conv(pooled)))
        return gate


class TripletAttention(nn.Module):
    """Gate a feature map by attention over (H, W), (C, W) and (C, H).

    The (C, W) and (C, H) gates pool over the whole height and width, so the result of a tile differs from the same
    pixels of the whole frame (see `docs/method.md` on tiling).

    Args:
        kernel_size: odd size of the gate's convolution; 7 in the paper.
    """

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        self.gate_hw = _Gate(kernel_size)
        self.gate_cw = _Gate(kernel_size)
        self.gate_ch = _Gate(kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the gated tensor, (B, C, H, W)."""
        hw: Tensor = self.gate_hw(x, 1)  # (B, 1, H, W)
        cw = self.gate_cw(x, 2).transpose(1, 2)  # (B, 1, C, W) -> (B, C, 1, W)
        ch = self.gate_ch(x, 3).transpose(1, 2).transpose(2, 3)  # (B, 1, C, H) -> (B, C, H, 1)
        gate: Tensor = (hw + cw + ch) * (1.0 / 3.0)
        return x * gate
