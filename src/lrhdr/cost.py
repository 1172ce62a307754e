"""What a network costs: parameters, and multiply-adds per frame; and what is known of weights, in words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from lrhdr.checks import InputError
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.weights import bundled_names, load_record

PRESETS = (("compact", 2), ("compact", 3), ("paper", 2), ("paper", 3))


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

    Raises:
        InputError: a side that is not positive.
    """
    if min(height, width) < 1:
        raise InputError(f"frame size: expected sides of at least 1 pixel, found {width}x{height}")
    model = LRHDR(config).eval()
    step = model.MULTIPLE
    h, w = -(-height // step) * step, -(-width // step) * step
    small, large = 4 * step, 6 * step
    if max(h, w) <= large:
        macs = _count(model, config.n_exposures, h, w)
        return Cost(sum(p.numel() for p in model.parameters()), macs, height, width)
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
            aligned=torch.zeros(1, frames - 1, 3, height, width) if model.config.aligned else None,
        )
    return int(counter.get_total_flops()) // 2


def describe(weights: Sequence[str] = (), height: int = 720, width: int = 1280) -> str:
    """The presets' costs and the records of weights, as text for a terminal.

    Args:
        weights: bundled names or files; all bundled weights when empty.
        height: of the frame that costs are counted for, pixels.
        width: of that frame, pixels.

    Returns:
        Several lines.

    Raises:
        InputError: a side that is not positive.
        WeightsError: weights that cannot be read.
    """
    records = [load_record(name) for name in weights or bundled_names()]
    heading = "weights" if weights else "preset, weights"
    lines = [f"{heading:<16}{'exposures':>10}{'parameters':>13}{f'GMAC per {width}x{height} frame':>30}"]
    for preset, n in () if weights else PRESETS:
        lines.append(_row(preset, measure_cost(LRHDRConfig.preset(preset, n), height, width), n))
    for record in records:
        config = LRHDRConfig.from_dict(record.config)
        lines.append(_row(record.name, measure_cost(config, height, width), config.n_exposures))
    lines.append("(the network alone; the interpolator comes on top)")
    for record in records:
        lines += ["", f"weights {record.name} ({record.licence}, sha256 {record.sha256})"]
        lines.append(f"  made by lrhdr {record.version}, with interpolator {record.interpolator}")
        lines += _fields("training", record.training) + _fields("scores", record.scores)
    if not records:
        lines += ["", "no bundled weights in this installation"]
    return "\n".join(lines)


def _row(name: str, cost: Cost, n_exposures: int) -> str:
    return f"{name:<16}{n_exposures:>10}{cost.parameters:>13,}{cost.macs / 1e9:>30.1f}"


def _fields(title: str, values: dict[str, Any]) -> list[str]:
    if not values:
        return [f"  {title}: not recorded"]
    return [f"  {title}:", *(f"    {key}: {json.dumps(value)}" for key, value in values.items())]
