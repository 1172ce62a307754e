"""Detail of generated clips: some are sharpened, as cameras' own sharpening does; some get grain, in the truth too.

Stills seen through a virtual camera and downscaled video are smooth: of 256 training samples the finest band of the
T-domain image (up to sigma 0.7 px) had 0.64 times the amplitude of the next (0.7 to 1.6 px) at the median, and 0.96 at
the 95th percentile; real photographs of foliage and real HDR video have 0.9 to 1.1. A network that has only seen smooth
truths takes such texture for noise and removes it. Grain is what night scenes and phone footage have: detail that the
camera model did not add and that the network is to keep, told apart from camera noise by the noise level alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lrhdr.filters import gaussian_blur

_FLOOR = 1e-4  # of the clip's mean: below, the logarithm of a radiance is noise
_LIMIT = 0.7  # largest change of ln(radiance): no dark rings round lamps


@dataclass(frozen=True)
class DetailConfig:
    """How clips are sharpened.

    Attributes:
        share: share of clips that are.
        amount: range of the gain on detail; 1 doubles it.
        sigma: range of the blur that detail is the difference to, px.
        grain_share: share of clips that get grain; with 0 nothing is drawn for it.
        grain: range of its amplitude, relative to the radiance at the clip's mean; drawn log-uniform.
        grain_sigma: range of its blur, px; below 0.3 it is white.
    """

    share: float = 0.5
    amount: tuple[float, float] = (0.3, 1.8)
    sigma: tuple[float, float] = (0.6, 1.2)
    grain_share: float = 0.15
    grain: tuple[float, float] = (0.015, 0.08)
    grain_sigma: tuple[float, float] = (0.0, 0.8)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a share outside [0, 1], or an empty range.
        """
        ranges_fit = 0.0 <= self.amount[0] <= self.amount[1] and 0.0 < self.sigma[0] <= self.sigma[1]
        ranges_fit = (
            ranges_fit and 0.0 < self.grain[0] <= self.grain[1] and 0.0 <= self.grain_sigma[0] <= self.grain_sigma[1]
        )
        if not (0.0 <= self.share <= 1.0 and 0.0 <= self.grain_share <= 1.0 and ranges_fit):
            raise ValueError(f"detail: expected shares in [0, 1] and ranges in order, found {self}")


def raise_detail(clip: Tensor, amount: float, sigma: float) -> Tensor:
    """Unsharp masking of log radiance, `ln H + a (ln H - G_sigma * ln H)`, the change limited to a factor of 2.

    Args:
        clip: (T, 3, H, W), linear, >= 0, any scale. Every frame alike, so that detail moves with the scene.
        amount: a >= 0; 0 changes nothing.
        sigma: of the Gaussian, px.

    Returns:
        Same shape and scale, >= 0.
    """
    logs = torch.log(clip + _FLOOR * clip.mean().clamp_min(1e-12))
    change = amount * (logs - gaussian_blur(logs, sigma))
    return clip * torch.exp(change.clamp(-_LIMIT, _LIMIT))


def add_grain(clip: Tensor, amount: float, sigma: float, generator: torch.Generator) -> Tensor:
    """Grain like photon noise of another camera, `H + a sqrt(H mean(H)) n`, n normal of deviation 1, new in each frame.

    Args:
        clip: (T, 3, H, W), linear, >= 0, any scale.
        amount: a, the deviation relative to the radiance at the clip's mean.
        sigma: of n's blur, px; white below 0.3.
        generator: where n comes from.

    Returns:
        Same shape and scale, >= 0.
    """
    grain = torch.randn(clip.shape, generator=generator)
    if sigma >= 0.3:
        grain = gaussian_blur(grain, sigma)
        grain /= grain.std().clamp_min(1e-6)
    return (clip + amount * (clip * clip.mean()).sqrt() * grain).clamp_min(0.0)


def random_detail(clip: Tensor, config: DetailConfig, generator: torch.Generator) -> tuple[Tensor, float, float]:
    """Sharpen a clip, or not, and give it grain, or not.

    Args:
        clip: (T, 3, H, W), linear.
        config: how.
        generator: where the numbers come from.

    Returns:
        The clip, and the amounts of both (0 where it was left alone).
    """
    sharpened = grain = 0.0
    draw = torch.rand(3, generator=generator).tolist()
    if draw[0] < config.share:
        sharpened = config.amount[0] + draw[1] * (config.amount[1] - config.amount[0])
        clip = raise_detail(clip, sharpened, config.sigma[0] + draw[2] * (config.sigma[1] - config.sigma[0]))
    if config.grain_share:
        draw = torch.rand(3, generator=generator).tolist()
        if draw[0] < config.grain_share:
            grain = config.grain[0] * (config.grain[1] / config.grain[0]) ** draw[1]
            sigma = config.grain_sigma[0] + draw[2] * (config.grain_sigma[1] - config.grain_sigma[0])
            clip = add_grain(clip, grain, sigma, generator)
    return clip, sharpened, grain
