"""One training sample, and the augmentation that keeps its parts consistent."""

from __future__ import annotations

from typing import NamedTuple, Protocol

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
        shown: (3, H, W), the reference as the voting network is shown it in training (`perturb_tones`); without frames
            where it is shown as it is.
    """

    window: Tensor
    interpolated: Tensor
    exposures: Tensor
    target: Tensor
    aligned: Tensor = NO_FRAMES
    shown: Tensor = NO_FRAMES


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
        sample.shown,
    )


def perturb_tones(sample: Sample, spread: float, generator: torch.Generator) -> Sample:
    """Show the network the reference under an unknown camera curve: a random gamma per channel, exp(U(-g, g)).

    The field's way to keep networks from relying on exact radiometry across exposures. The window, and with it every
    candidate, stays as it is.

    Args:
        sample: the sample.
        spread: g; 0 changes nothing and draws nothing.
        generator: where the numbers come from.

    Returns:
        The sample with `shown`.
    """
    if spread == 0.0:
        return sample
    gamma = torch.exp(spread * (2.0 * torch.rand(3, 1, 1, generator=generator) - 1.0))
    reference = sample.window[sample.window.shape[0] // 2]
    return sample._replace(shown=reference.clamp(0.0, 1.0) ** gamma)


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
        change(sample.shown),
    )
    return reverse_time(result) if draw[6] < 0.5 else result


class TrainingData(Protocol):
    """What a training run draws from. Items depend on their arguments only, so any process can make any of them."""

    @property
    def interpolator(self) -> str:
        """Name of the frozen interpolator that its samples were, or are, completed with."""
        ...

    @property
    def held_out(self) -> int:
        """How many samples are kept for validation."""
        ...

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many samples may be trained on, folder by folder."""
        ...

    def __len__(self) -> int:
        """How many samples may be trained on."""
        ...

    def draw(self, index: int, crop: int, generator: torch.Generator, key: str = "") -> Sample:
        """Make training sample `index` in one of its random forms.

        Args:
            index: below `len`.
            crop: side of the square crop, px.
            generator: decides everything that is random.
            key: name under which slow parts may be kept; equal keys stand for generators in equal states.

        Returns:
            The sample, (crop, crop) pixels.
        """
        ...

    def fixed(self, number: int) -> Sample:
        """Held-out sample `number` < `held_out`, always the same."""
        ...
