"""ACCR, the cross-exposure representation: encode, map to one domain, decode to calibrated radiance.

Input: the reference frame and the interpolated frames at its time, each at its own exposure. Stages: EIC (shared), RM
(`F̃ = K ⊙ F + B`, pixel- and channel-wise, from features and the cross-exposure difference; no warping, no attention
across pixels), decoder (shared). Output: one radiance frame per exposure, (B, N_e, 3, H, W) in [0, 1].

What differs from the paper (open or chosen by us):
- cues are taken in the T domain by default (`cue_domain="mu"`; `"linear"` is the paper's): a difference of linear
  radiances vanishes in the shadows, where T is 587 times steeper than in the highlights;
- the signed cue reaches half resolution by pixel-unshuffle (keeps detail), its square by averaging;
- for N_e > 2 each path has its own cue against the reference; the reference has the mean of them;
- the decoder sees the frame's T(Γ(L)) beside the representation and predicts a residual on it (gates of blurs and of
  the cue, and a free part), starting at zero: an untrained ACCR passes the frames through;
- the cue's sign: for every path it is the other side less this one, so that one shared mapper can read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrhdr.filters import downsample2, gaussian_blur
from lrhdr.models.eic import EIC, PlainEncoder
from lrhdr.nn.blocks import ResidualBlock, conv3x3, leaky, zero_init, zero_linear
from lrhdr.radiometry import ldr_to_radiance
from lrhdr.tonemap import mu_law

BLURS = ((0.7, 2), (1.6, 4))
"""Of the decoder: standard deviation and taps on each side, pixels."""


@dataclass(frozen=True)
class ACCRConfig:
    """Sizes and switches of ACCR.

    Attributes:
        channels: features per pixel at half resolution.
        context: width of the encoder's large-field branch at 1/4.
        mapper_hidden: width inside RM.
        decoder_hidden: width inside the decoder.
        decoder_blocks: residual blocks in the decoder.
        encoder: "eic", or "plain" for the ablation.
        mapper: "rm", or "none" for the ablation.
        cue_domain: "mu" (T domain) or "linear" (the paper's).
    """

    channels: int = 16
    context: int = 32
    mapper_hidden: int = 16
    decoder_hidden: int = 24
    decoder_blocks: int = 1
    encoder: str = "eic"
    mapper: str = "rm"
    cue_domain: str = "mu"

    def __post_init__(self) -> None:
        """Check the switches.

        Raises:
            ValueError: an unknown name or a size below 1.
        """
        if self.encoder not in ("eic", "plain"):
            raise ValueError(f"encoder: expected 'eic' or 'plain', found {self.encoder!r}")
        if self.mapper not in ("rm", "none"):
            raise ValueError(f"mapper: expected 'rm' or 'none', found {self.mapper!r}")
        if self.cue_domain not in ("mu", "linear"):
            raise ValueError(f"cue_domain: expected 'mu' or 'linear', found {self.cue_domain!r}")
        if min(self.channels, self.context, self.mapper_hidden, self.decoder_hidden, self.decoder_blocks) < 1:
            raise ValueError(f"sizes: expected at least 1, found {self}")


class RepresentationMapper(nn.Module):
    """RM: predict K and B from features and cues, and apply them; starts as the identity (K = 1, B = 0).

    Args:
        channels: C of the features.
        hidden: width of the predictor.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels + 15, hidden)
        self.conv2 = zero_init(conv3x3(hidden, 2 * channels))

    def forward(self, features: Tensor, cue: Tensor) -> Tensor:
        """Map features to the unified representation.

        Args:
            features: (B, C, H / 2, W / 2).
            cue: (B, 3, H, W), signed difference against the other exposure.

        Returns:
            (B, C, H / 2, W / 2).
        """
        cues = torch.cat((F.pixel_unshuffle(cue, 2), downsample2(cue.square())), dim=1)
        scale, shift = self.conv2(leaky(self.conv1(torch.cat((features, cues), dim=1)))).chunk(2, dim=1)
        mapped: Tensor = (1.0 + scale) * features + shift
        return mapped


class Decoder(nn.Module):
    """From the unified representation to a residual in the T domain, at full resolution by pixel-shuffle.

    The residual is a sum of gated proposals and a free part: two blurs of the frame less the frame (they take noise
    off), the cue (it fills in what the other exposure knows), each times a predicted gate per pixel. A free residual
    alone learnt neither here: its layers fell silent within a hundred steps, since at first it can only do harm.
    """

    PROPOSALS = len(BLURS) + 1

    def __init__(self, channels: int, hidden: int, blocks: int, *, noise: bool = False) -> None:
        super().__init__()
        self.noise = zero_linear(hidden) if noise else None
        self.first = conv3x3(channels + 12, hidden)
        self.body = nn.Sequential(*(ResidualBlock(hidden, attention=False) for _ in range(blocks)))
        self.last = zero_init(conv3x3(hidden, 12 + 4 * self.PROPOSALS))

    def forward(self, features: Tensor, tone: Tensor, cue: Tensor, noise: Tensor | None = None) -> Tensor:
        """Decode.

        Args:
            features: (B, C, H / 2, W / 2).
            tone: (B, 3, H, W), the frame in the T domain.
            cue: (B, 3, H, W), the other exposure less this one, in the T domain.
            noise: (B, 1), `noise_code`; needed when built with `noise`.

        Returns:
            The residual to add to `tone`, (B, 3, H, W).
        """
        x = torch.cat((features, F.pixel_unshuffle(tone, 2)), dim=1)
        x = self.first(x)
        if self.noise is not None:
            assert noise is not None
            x = x + self.noise(noise)[:, :, None, None]
        decoded: Tensor = self.last(self.body(leaky(x)))
        free, gates = decoded[:, :12], decoded[:, 12:]
        proposals = (*(gaussian_blur(tone, sigma, radius) - tone for sigma, radius in BLURS), cue)
        residual = F.pixel_shuffle(free, 2)
        gates = F.pixel_shuffle(gates, 2)
        for i, proposal in enumerate(proposals):
            residual = residual + gates[:, i : i + 1] * proposal
        return residual


class _ClampStraight(torch.autograd.Function):
    """Clamp to [0, 1] whose gradient passes unless it would push further outside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(0.0, 1.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        outward = ((x < 0.0) & (grad > 0.0)) | ((x > 1.0) & (grad < 0.0))
        return torch.where(outward, torch.zeros_like(grad), grad)


def _against_the_others(frames: Tensor) -> Tensor:
    """The cue of each path: (B, N_e, 3, H, W) to (B N_e, 3, H, W), what the other side has less what this one has.

    The interpolated paths look at the reference; the reference looks at the mean of the interpolated.
    """
    own = frames - frames[:, :1]
    return torch.cat((own[:, 1:].mean(dim=1, keepdim=True), -own[:, 1:]), dim=1).flatten(0, 1)


class ACCR(nn.Module):
    """Reference and interpolated LDR frames to calibrated radiance.

    Args:
        config: sizes and switches.
        noise: tell the decoder how noisy the frames are.
    """

    def __init__(self, config: ACCRConfig, *, noise: bool = False) -> None:
        super().__init__()
        self.config = config
        self.encoder: nn.Module = (
            EIC(config.channels, config.context) if config.encoder == "eic" else PlainEncoder(config.channels)
        )
        self.mapper = RepresentationMapper(config.channels, config.mapper_hidden) if config.mapper == "rm" else None
        self.decoder = Decoder(config.channels, config.decoder_hidden, config.decoder_blocks, noise=noise)

    def forward(self, frames: Tensor, exposures: Tensor, noise: Tensor | None = None) -> Tensor:
        """Calibrate frames.

        Args:
            frames: (B, N_e, 3, H, W), gamma-encoded in [0, 1]: the reference, then the interpolated; H, W even.
            exposures: (B, N_e), relative.
            noise: (B, 1), `noise_code`; needed when built with `noise`.

        Returns:
            (B, N_e, 3, H, W), the calibrated frames **in the T domain**, in [0, 1] (`mu_law_inverse` gives radiance).
        """
        batch, paths = frames.shape[:2]
        radiance = ldr_to_radiance(frames, exposures)
        tone = mu_law(radiance)
        flat_tone = tone.flatten(0, 1)
        x = torch.cat((frames.flatten(0, 1), flat_tone), dim=1)
        features = self.encoder(x.contiguous(memory_format=torch.channels_last), exposures.flatten())
        tone_cue = _against_the_others(tone)
        if self.mapper is not None:
            cue = tone_cue if self.config.cue_domain == "mu" else _against_the_others(radiance)
            features = self.mapper(features, cue)
        each = None if noise is None else noise.repeat_interleave(paths, dim=0)
        decoded = self.decoder(features, flat_tone, tone_cue, each).float()
        calibrated: Tensor = _ClampStraight.apply(flat_tone + decoded)  # type: ignore[no-untyped-call]
        return calibrated.view(batch, paths, *frames.shape[2:])
