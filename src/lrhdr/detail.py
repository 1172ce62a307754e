"""Detail of generated clips: some are sharpened, as pixel-sharp lenses and cameras' own sharpening make them.

Stills seen through a virtual camera and downscaled video are smooth: of 256 training samples the finest band of the
T-domain image (up to sigma 0.7 px) had 0.64 times the amplitude of the next (0.7 to 1.6 px) at the median, and 0.96 at
the 95th percentile; real photographs of foliage and real HDR video have 0.9 to 1.1. A network that has only seen smooth
truths takes such texture for noise and removes it.
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
    """

    share: float = 0.5
    amount: tuple[float, float] = (0.3, 1.8)
    sigma: tuple[float, float] = (0.6, 1.2)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a share outside [0, 1], or an empty range.
        """
        ranges_fit = 0.0 <= self.amount[0] <= self.amount[1] and 0.0 < self.sigma[0] <= self.sigma[1]
        if not 0.0 <= self.share <= 1.0 or not ranges_fit:
            raise ValueError(f"detail: expected a share in [0, 1] and ranges in order, found {self}")


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


def random_detail(clip: Tensor, config: DetailConfig, generator: torch.Generator) -> tuple[Tensor, float]:
    """Sharpen a clip, or not.

    Args:
        clip: (T, 3, H, W), linear.
        config: how.
        generator: where the numbers come from.

    Returns:
        The clip, and the amount (0 where it was left alone).
    """
    draw = torch.rand(3, generator=generator).tolist()
    if draw[0] >= config.share:
        return clip, 0.0
    amount = config.amount[0] + draw[1] * (config.amount[1] - config.amount[0])
    sigma = config.sigma[0] + draw[2] * (config.sigma[1] - config.sigma[0])
    return raise_detail(clip, amount, sigma), amount
