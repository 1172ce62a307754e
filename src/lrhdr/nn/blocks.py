"""Convolution blocks shared by the networks; all keep the spatial size unless they say otherwise."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from lrhdr.nn.triplet_attention import TripletAttention

SLOPE = 0.1


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution with zero padding of 1; with stride 2 an even size is halved.

    He initialisation for the slope of `leaky`: PyTorch's default shrinks the signal threefold per layer, and the
    calibration then learnt nothing in the first thousand steps.
    """
    conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
    nn.init.kaiming_normal_(conv.weight, a=SLOPE)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


def zero_init(conv: nn.Conv2d) -> nn.Conv2d:
    """Set weights and bias to zero, so that a residual branch or a head starts as nothing."""
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def zero_linear(outputs: int) -> nn.Linear:
    """A linear layer of one input that starts as nothing."""
    layer = nn.Linear(1, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.1: plain ones fell silent for good in narrow layers at high learning rates."""
    return F.leaky_relu(x, SLOPE)


class ResidualBlock(nn.Module):
    """`relu(x + attention(conv(relu(conv(x)))))`; the slope below 0 is 0.1.

    Args:
        channels: width, in and out.
        attention: gate the branch by triplet attention.
    """

    def __init__(self, channels: int, *, attention: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)
        self.attention: nn.Module = TripletAttention() if attention else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels, H, W)."""
        branch: Tensor = self.attention(self.conv2(leaky(self.conv1(x))))
        return leaky(x + branch)


def upsample2(x: Tensor) -> Tensor:
    """Double height and width bilinearly (pixel centres kept: align_corners=False)."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
