"""EIC, the exposure-aware interleaved context encoder (`docs/method.md`, ACCR step 1).

`F^e = LF(X) + α(e) · HF(X)`, shared by all exposures, at half resolution:

- input X: (B, 6, H, W), the LDR frame and its radiance in the T domain, both in [0, 1]; H and W even.
- LF, large field: stride-2 convolutions to 1/2 and on to 1/4, back to 1/2.
- HF, high fidelity: pixel-unshuffle by 2, convolution, channels split in halves that are multiplied, convolution.
- gate `α(e) = sigmoid(w log(e + 1e-8) + b)`, w and b learnable scalars, e the relative exposure.
- output: (B, C, H / 2, W / 2).

What differs from the paper: the second half of X is T(Γ(L)) and not Γ(L) (our choice: in linear radiance the shadows,
where the losses are steepest, are indistinguishable from zero), and LF's way back from 1/4 is bilinear (open there).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrhdr.nn.blocks import conv3x3, leaky, upsample2


class EIC(nn.Module):
    """The encoder with both branches and the exposure gate.

    Args:
        channels: C of the output.
        context: width of the large-field branch at 1/4.
    """

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.lf1 = conv3x3(6, channels, stride=2)
        self.lf2 = conv3x3(channels, context, stride=2)
        self.lf3 = conv3x3(context, context)
        self.lf4 = nn.Conv2d(context, channels, 1)
        self.lf5 = conv3x3(channels, channels)
        self.hf1 = conv3x3(24, 2 * channels)
        self.hf2 = conv3x3(channels, channels)
        self.gate_weight = nn.Parameter(torch.tensor(0.1))
        self.gate_bias = nn.Parameter(torch.tensor(0.0))

    def gate(self, exposure: Tensor) -> Tensor:
        """α(e) for exposures (B,), shape (B, 1, 1, 1), in (0, 1)."""
        return torch.sigmoid(self.gate_weight * torch.log(exposure + 1e-8) + self.gate_bias).view(-1, 1, 1, 1)

    def forward(self, x: Tensor, exposure: Tensor) -> Tensor:
        """Encode frames.

        Args:
            x: (B, 6, H, W).
            exposure: (B,), relative.

        Returns:
            (B, C, H / 2, W / 2).
        """
        near = leaky(self.lf1(x))
        far = leaky(self.lf3(leaky(self.lf2(near))))
        low = self.lf5(near + upsample2(self.lf4(far)))
        first, second = self.hf1(F.pixel_unshuffle(x, 2)).chunk(2, dim=1)
        high = self.hf2(first * second)
        features: Tensor = low + self.gate(exposure) * high
        return features


class PlainEncoder(nn.Module):
    """What the ablation puts in EIC's place: two convolutions, blind to the exposure.

    Args:
        channels: C of the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(6, channels, stride=2)
        self.conv2 = conv3x3(channels, channels)

    def forward(self, x: Tensor, exposure: Tensor) -> Tensor:
        """Encode (B, 6, H, W) to (B, C, H / 2, W / 2); `exposure` is ignored."""
        features: Tensor = self.conv2(leaky(self.conv1(x)))
        return features
