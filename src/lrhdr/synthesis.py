"""HDR clip to training or evaluation pair: an alternating-exposure LDR clip and its truth.

Steps: choose the radiance scale (1.0 = saturation of the shortest exposure), clip the truth to [0, 1], take each frame
with its exposure through `lrhdr.camera`. The scale anchoring follows the field (a high percentile is sent near 1, or a
low-key clip stays below it); the camera is ours.

`SynthesisConfig.field()` is the field's protocol, as in its public training code (HDRFlow's): exposures 1 and 4 or 8,
or 1, 4, 16 with a random phase; the scale set by the middle frame (`field_scale`); clip; Gaussian noise of
sigma 1e-3 on radiance for exposures 1 and 4; gamma 2.2; no rounding. Its random response curve is
`LinearisationConfig.field()`, its subset of frames, time reversal and flips are the loaders' (`lrhdr.data.sequences`),
its tone perturbation is `lrhdr.data.base.perturb_tones`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lrhdr.camera import CameraConfig, expose
from lrhdr.exposure import ExposureSchedule
from lrhdr.randomness import numpy_generator


@dataclass(frozen=True)
class SynthesisConfig:
    """How a clip is exposed.

    Attributes:
        low_key_share: share of clips whose maximum stays below saturation of the shortest exposure.
        percentile: range from which the anchored percentile is drawn.
        anchor: range of the radiance to which it is sent.
        low_key: range of the maximum of low-key clips.
        min_median: range of the smallest median radiance *in the longest exposure*, as an exposure meter would ensure;
            brighter scaling clips more of the truth. (0, 0) switches it off.
        exposure_error: standard deviation of the relative error of each longer exposure (cameras' nominal times and ISO
            ratios are a few percent off), clipped at three times; the shortest is exact and anchors the scale.
        exposure_error_share: share of clips with such errors.
        camera: a fixed camera, or None to draw one for each clip.
        read_noise_e: range of the read noise of drawn cameras, electrons.
        bayer_share: share of drawn cameras with a colour filter array.
        stops: "ours" (1 to 4 stops, mostly 2 and 3) or "field" (2 or 3 stops; three exposures 2 and 2).
        anchoring: "ours" (the fields above) or "field" (`field_scale`; the fields above on scale are not used).
    """

    low_key_share: float = 0.2
    percentile: tuple[float, float] = (98.0, 100.0)
    anchor: tuple[float, float] = (0.5, 1.0)
    low_key: tuple[float, float] = (0.1, 0.8)
    min_median: tuple[float, float] = (0.02, 0.12)
    exposure_error: float = 0.015
    exposure_error_share: float = 0.5
    camera: CameraConfig | None = None
    read_noise_e: tuple[float, float] = (1.0, 6.0)
    bayer_share: float = 0.0
    stops: Literal["ours", "field"] = "ours"
    anchoring: Literal["ours", "field"] = "ours"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a range that is empty or outside its bounds.
        """
        for name in ("percentile", "anchor", "low_key", "min_median"):
            low, high = getattr(self, name)
            if not 0.0 <= low <= high:
                raise ValueError(f"{name}: expected 0 <= low <= high, found {(low, high)}")
        if not 0.0 < self.read_noise_e[0] <= self.read_noise_e[1] or not 0.0 <= self.bayer_share <= 1.0:
            found = f"{self.read_noise_e} and {self.bayer_share}"
            raise ValueError(f"expected 0 < least <= most read noise and a bayer_share in [0, 1], found {found}")
        if self.percentile[1] > 100.0 or not 0.0 <= self.low_key_share <= 1.0 or self.exposure_error < 0.0:
            raise ValueError(f"expected percentiles <= 100, low_key_share in [0, 1], exposure_error >= 0: {self}")

    @classmethod
    def field(cls) -> SynthesisConfig:
        """The field's protocol (see the module's docstring)."""
        camera = CameraConfig(noise="field", bit_depth=0)
        return cls(exposure_error_share=0.0, camera=camera, stops="field", anchoring="field")


def sample_schedule(n_exposures: int, config: SynthesisConfig, generator: torch.Generator) -> ExposureSchedule:
    """Draw exposures, ascending in the period, with a random phase: every exposure is the reference equally often.

    Args:
        n_exposures: N_e >= 2.
        config: `stops` decides the distribution.
        generator: where the numbers come from.

    Returns:
        The schedule. More than two exposures step evenly, by at most 4 stops in total or 1 stop each.

    Raises:
        ValueError: fewer than two exposures.
    """
    if n_exposures < 2:
        raise ValueError(f"expected at least two exposures, found {n_exposures}")
    rng = numpy_generator(generator)
    if n_exposures == 2:
        odds = (0.0, 0.5, 0.5, 0.0) if config.stops == "field" else (0.1, 0.35, 0.45, 0.1)
        step = float(rng.choice((1.0, 2.0, 3.0, 4.0), p=odds))
        if config.stops == "ours" and rng.random() < 0.15:
            step = float(rng.uniform(1.0, 4.0))
    elif config.stops == "field":
        step = 2.0
    else:
        step = float(rng.choice([1.0, 1.5, 2.0], p=[0.25, 0.15, 0.6]))
        if rng.random() < 0.15:
            step = float(rng.uniform(1.0, 2.0))
    if n_exposures > 3:
        step = max(min(step, 4.0 / (n_exposures - 1)), 1.0)
    return ExposureSchedule.from_stops([step * i for i in range(n_exposures)], start=int(rng.integers(0, n_exposures)))


def scale_clip(hdr_clip: Tensor, ratio: float, config: SynthesisConfig, generator: torch.Generator) -> Tensor:
    """Bring a clip to the camera's scale; one factor for the whole clip.

    Args:
        hdr_clip: (T, 3, H, W), linear, >= 0, any scale.
        ratio: longest over shortest exposure.
        config: anchoring.
        generator: where the numbers come from.

    Returns:
        (T, 3, H, W), linear, 1.0 = saturation of the shortest exposure; not clipped yet.
    """
    rng = numpy_generator(generator)
    low_key = rng.random() < config.low_key_share
    percentile = float(rng.uniform(*config.percentile))
    anchor = float(rng.uniform(*config.anchor))
    maximum = float(rng.uniform(*config.low_key))
    darkest, brightest = (math.log(max(m, 1e-6)) for m in config.min_median)
    median_goal = math.exp(rng.uniform(darkest, brightest))
    # Every 5th value is enough for a percentile and ten times faster.
    values = np.sort(hdr_clip.flatten()[::5].numpy())
    top = float(values[-1])
    if top <= 0.0:
        return hdr_clip.clone()
    if low_key:
        scale = maximum / top
    else:
        position = min(int(percentile / 100.0 * (len(values) - 1)), len(values) - 1)
        scale = anchor / max(float(values[position]), 1e-3 * top)
    median = float(values[len(values) // 2])
    if config.min_median[1] > 0.0 and median > 0.0:
        # At most two stops more: a mostly black scene stays dark instead of showing the source's rounding.
        scale = min(max(scale, median_goal / (median * ratio)), 4.0 * scale)
    return hdr_clip * scale


def field_scale(reference: Tensor, exposure: float, generator: torch.Generator) -> float:
    """The field's scale: what the whole clip is multiplied by.

    A reference of the shortest exposure: its maximum becomes U(0.1, 0.8) of itself. Otherwise the percentile U(98, 100)
    of the reference, a value a, is sent to U(a, 1).

    Args:
        reference: (3, H, W), the middle frame, linear in [0, 1].
        exposure: its relative exposure.
        generator: where the numbers come from.

    Returns:
        The factor.
    """
    rng = numpy_generator(generator)
    if exposure == 1.0:
        return float(rng.uniform(0.1, 0.8))
    anchor = float(np.percentile(reference.numpy(), float(rng.uniform(98.0, 100.0))))
    return float(rng.uniform(min(anchor, 1.0), 1.0)) / (anchor + 1e-8)


def synthesize(
    hdr_clip: Tensor,
    schedule: ExposureSchedule,
    config: SynthesisConfig,
    generator: torch.Generator,
    *,
    metered: Tensor | None = None,
    order: Sequence[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Expose an HDR clip.

    Args:
        hdr_clip: (T, 3, H, W), linear, any scale, on the CPU.
        schedule: exposures; frame 0 of the clip has `schedule.exposure(0)`.
        config: how.
        generator: where the numbers come from.
        metered: (3, h, w), the part of the middle frame that sets the field's scale; the whole of it when not given.
        order: the frames that are taken, one after the other, each with noise of its own; 0 .. T - 1 when not given.

    Returns:
        The LDR clip, (T, 3, H, W) or as many frames as `order` has, gamma-encoded in [0, 1], and the truth,
        (T, 3, H, W), linear in [0, 1] with 1.0 = saturation of the shortest exposure.
    """
    if config.anchoring == "field":
        middle = len(hdr_clip) // 2
        reference = hdr_clip[middle] if metered is None else metered
        truth = (hdr_clip * field_scale(reference, schedule.exposure(middle), generator)).clamp(0.0, 1.0)
    else:
        truth = scale_clip(hdr_clip, schedule.ratio, config, generator)
    camera = config.camera or CameraConfig.sample(generator, config.read_noise_e, config.bayer_share)
    rng = numpy_generator(generator)
    actual = {e: e for e in schedule.relative}
    if rng.random() < config.exposure_error_share:
        for e in sorted(actual):
            if e > 1.0:
                error = config.exposure_error * float(np.clip(rng.standard_normal(), -3.0, 3.0))
                actual[e] = e * (1.0 + error)
    taken = list(range(len(truth)) if order is None else order)
    exposures = torch.tensor([actual[schedule.exposure(t)] for t in taken])
    ldr = expose(truth if order is None else truth[taken], exposures, camera, generator)
    return ldr, truth.clamp(0.0, 1.0)
