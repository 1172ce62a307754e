"""What a network costs: parameters, and multiply-adds per frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from lrhdr.models.lrhdr import LRHDR, LRHDRConfig


@dataclass(frozen=True)
class Cost:
    """Cost of one network.

    Attributes:
        parameters: number of learnable values.
        macs: multiply-adds of all convolutions and matrix products for one frame.
        height: of that frame, pixels.
        width: of that frame, pixels.
    """

    parameters: int
    macs: int
    height: int
    width: int


def measure_cost(config: LRHDRConfig, height: int = 720, width: int = 1280) -> Cost:
    """Count the parameters and multiply-adds of a network of this configuration, without the interpolator.

    The operations of four small forward passes are counted and extrapolated. Every operation's count is a product of a
    constant, of height or 1 and of width or 1, so `a h w + b h + c w + d` through four sizes is exact for every
    multiple of the network's grid.

    Args:
        config: the network.
        height: of the frame, pixels; rounded up to the network's grid.
        width: of the frame, pixels; rounded up to the network's grid.

    Returns:
        The cost of one frame.
    """
    model = LRHDR(config).eval()
    step = model.MULTIPLE
    h, w = -(-height // step) * step, -(-width // step) * step
    small, large = 4 * step, 6 * step
    count = {(y, x): _count(model, config.n_exposures, y, x) for y in (small, large) for x in (small, large)}
    run = large - small

    def along_width(y: int) -> int:
        # Integer arithmetic: both slopes are whole numbers per `run` pixels times whole constants.
        return count[y, small] * run + (count[y, large] - count[y, small]) * (w - small)

    macs = (along_width(small) * run + (along_width(large) - along_width(small)) * (h - small)) // (run * run)
    return Cost(sum(p.numel() for p in model.parameters()), macs, height, width)


def _count(model: LRHDR, n_exposures: int, height: int, width: int) -> int:
    frames = 2 * n_exposures - 1
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(
            torch.zeros(1, frames, 3, height, width),
            torch.zeros(1, n_exposures - 1, 3, height, width),
            torch.ones(1, frames),
        )
    return int(counter.get_total_flops()) // 2
