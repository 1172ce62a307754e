"""One training sample, and the augmentation that keeps its parts consistent."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

NO_FRAMES = torch.empty(0, 3, 0, 0)
"""Stands for frames that a sample does not have."""


class Sample(NamedTuple):
    """What the network sees for one output frame, and the answer. T = 2 N_e - 1, reference in the middle.

    Attributes:
        window: (T, 3, H, W), gamma-encoded LDR in [0, 1].
        interpolated: (N_e - 1, 3, H, W), LDR at the reference's time in the order of `interpolation_pairs`.
        exposures: (T,), relative, the shortest of the schedule = 1.
        target: (3, H, W), linear radiance in [0, 1], 1.0 = saturation of the shortest exposure.
        aligned: (T - 1, 3, H, W), the neighbours aligned to the reference by flow, LDR, in time order
            (`lrhdr.interpolate.guided.align_window`); without frames where nobody asked for them.
    """

    window: Tensor
    interpolated: Tensor
    exposures: Tensor
    target: Tensor
    aligned: Tensor = NO_FRAMES


def reverse_time(sample: Sample) -> Sample:
    """Play a sample backwards.

    The pair at offsets (-k, N_e - k) becomes the pair at (k - N_e, k), which is number N_e - k, and its frame at the
    reference's time stays what it is: so the interpolated frames are reversed too.
    """
    return Sample(
        sample.window.flip(0),
        sample.interpolated.flip(0),
        sample.exposures.flip(0),
        sample.target,
        sample.aligned.flip(0),
    )


def crop_and_augment(sample: Sample, size: int, generator: torch.Generator) -> Sample:
    """Random crop, flips, transposition, permutation of the colour channels, time reversal; the same for every part.

    Args:
        sample: at least `size` pixels on both axes.
        size: side of the crop, pixels.
        generator: where the numbers come from; eight draws whatever they are.

    Returns:
        A contiguous sample of (size, size) pixels.

    Raises:
        ValueError: the sample is smaller than the crop.
    """
    height, width = sample.target.shape[-2:]
    if height < size or width < size:
        raise ValueError(f"expected at least {size}x{size} pixels for the crop, found {height}x{width}")
    draw = torch.rand(7, generator=generator).tolist()
    order = torch.randperm(3, generator=generator)
    top = min(int(draw[0] * (height - size + 1)), height - size)
    left = min(int(draw[1] * (width - size + 1)), width - size)

    def change(x: Tensor) -> Tensor:
        x = x[..., top : top + size, left : left + size]
        if draw[2] < 0.5:
            x = x.flip(-1)
        if draw[3] < 0.5:
            x = x.flip(-2)
        if draw[4] < 0.5:
            x = x.transpose(-1, -2)
        if draw[5] < 0.5:
            x = x.index_select(-3, order)
        return x.contiguous()

    result = Sample(
        change(sample.window),
        change(sample.interpolated),
        sample.exposures,
        change(sample.target),
        change(sample.aligned),
    )
    return reverse_time(result) if draw[6] < 0.5 else result
