"""APSWF, adaptive pixel-wise sparse weighted fusion: a U-Net votes for one of K candidates at each pixel.

Stages: a convolution at full resolution; three levels (1/2, 1/4, 1/8) of residual blocks with triplet attention, and
back up with skips; a head of K logits at each of 1/8, 1/4, 1/2 and 1x, the coarser upsampled and added top-down.
Input (B, C_in, H, W), H and W multiples of 8; output logits (B, K, H, W). The heads start at zero, so the first votes
are the prior's alone (or uniform without it).

What differs from the paper: widths are ours (open there); skips are added, not concatenated, to save memory traffic;
attention is placed at 1/2 and coarser by default (`attention_full` adds it at full resolution).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from lrhdr.nn.blocks import ResidualBlock, conv3x3, leaky, upsample2, zero_init, zero_linear


@dataclass(frozen=True)
class APSWFConfig:
    """Sizes of the voting network.

    Attributes:
        widths: channels at 1x, 1/2, 1/4 and 1/8.
        blocks: residual blocks per level at 1/2, 1/4, 1/8 (each on the way down and, but for 1/8, on the way up).
        attention: triplet attention in the blocks.
        attention_full: a residual block with attention at full resolution too (costly).
    """

    widths: tuple[int, int, int, int] = (8, 24, 48, 80)
    blocks: tuple[int, int, int] = (1, 1, 1)
    attention: bool = True
    attention_full: bool = False

    def __post_init__(self) -> None:
        """Check the sizes (lists from a file become tuples).

        Raises:
            ValueError: not four widths or three block counts, or one below 1.
        """
        object.__setattr__(self, "widths", tuple(self.widths))
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if len(self.widths) != 4 or len(self.blocks) != 3 or min(*self.widths, *self.blocks) < 1:
            raise ValueError(f"apswf: expected 4 widths and 3 block counts >= 1, found {self.widths}, {self.blocks}")


class APSWF(nn.Module):
    """The voting network.

    Args:
        inputs: C_in.
        candidates: K.
        config: sizes.
        noise: take the noise level as a second input.
    """

    def __init__(self, inputs: int, candidates: int, config: APSWFConfig, *, noise: bool = False) -> None:
        super().__init__()
        w0, w1, w2, w3 = config.widths
        b1, b2, b3 = config.blocks

        def level(width: int, count: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(width, attention=config.attention) for _ in range(count)))

        # A plane of constant value through a convolution is a bias: cheaper to add as one.
        self.noise = zero_linear(w0 + w1) if noise else None
        self.stem = conv3x3(inputs, w0)
        self.full: nn.Module = ResidualBlock(w0, attention=True) if config.attention_full else nn.Identity()
        self.down1, self.enc1 = conv3x3(w0, w1, stride=2), level(w1, b1)
        self.down2, self.enc2 = conv3x3(w1, w2, stride=2), level(w2, b2)
        self.down3, self.enc3 = conv3x3(w2, w3, stride=2), level(w3, b3)
        self.up2, self.dec2 = nn.Conv2d(w3, w2, 1), level(w2, b2)
        self.up1, self.dec1 = nn.Conv2d(w2, w1, 1), level(w1, b1)
        self.up0, self.dec0 = nn.Conv2d(w1, w0, 1), conv3x3(w0, w0)
        self.head3 = zero_init(nn.Conv2d(w3, candidates, 1))
        self.head2 = zero_init(nn.Conv2d(w2, candidates, 1))
        self.head1 = zero_init(nn.Conv2d(w1, candidates, 1))
        self.head0 = zero_init(conv3x3(w0, candidates))

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Vote.

        Args:
            x: (B, C_in, H, W).
            noise: (B, 1), `noise_code`; needed when built with `noise`.

        Returns:
            The learned part of the logits, (B, K, H, W).
        """
        x0, x1_bias = self.stem(x), None
        if self.noise is not None:
            assert noise is not None
            biases = self.noise(noise)[:, :, None, None]
            x0, x1_bias = x0 + biases[:, : x0.shape[1]], biases[:, x0.shape[1] :]
        x0 = self.full(leaky(x0))
        x1 = self.down1(x0)
        x1 = self.enc1(leaky(x1 if x1_bias is None else x1 + x1_bias))
        x2 = self.enc2(leaky(self.down2(x1)))
        x3 = self.enc3(leaky(self.down3(x2)))
        y2 = self.dec2(x2 + upsample2(self.up2(x3)))
        y1 = self.dec1(x1 + upsample2(self.up1(y2)))
        y0 = leaky(self.dec0(x0 + upsample2(self.up0(y1))))
        logits: Tensor = upsample2(self.head3(x3)) + self.head2(y2)
        logits = upsample2(logits) + self.head1(y1)
        logits = upsample2(logits) + self.head0(y0)
        return logits
