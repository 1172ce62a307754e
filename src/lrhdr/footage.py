"""Linear HDR clips out of ordinary 8-bit video: shot and duplicate detection, linearisation, highlight expansion.

Real motion (people, cloth, water, hand-held cameras) cannot be generated from stills; the radiance can be made
plausible: the camera's curve is undone and what is near white is expanded smoothly, so that bright areas exceed the
short exposure's range and vary consistently over time.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lrhdr.filters import gaussian_blur, smoothstep
from lrhdr.randomness import numpy_generator
from lrhdr.transfer import eotf_gamma22, eotf_srgb


def moving_frames(thumbnails: np.ndarray) -> list[int]:
    """Drop frames that only repeat the one before, in footage that otherwise moves (pulled-up or stuttering video).

    Args:
        thumbnails: (n, h, w) grey, 0 to 255.

    Returns:
        Indices to keep. Really static footage is kept: a repeat is a frame that differs by less than a tenth of what
        its neighbourhood does.
    """
    if len(thumbnails) < 3:
        return list(range(len(thumbnails)))
    change = np.abs(np.diff(thumbnails.astype(np.float32), axis=0)).mean((1, 2))
    keep = [0]
    for i in range(1, len(thumbnails)):
        nearby = np.median(change[max(0, i - 4) : i + 4])
        if not (nearby > 1.0 and change[i - 1] < 0.1 * nearby):
            keep.append(i)
    return keep


def split_shots(thumbnails: np.ndarray, shortest: int = 5) -> list[tuple[int, int]]:
    """Split footage at cuts and flashes.

    Args:
        thumbnails: (n, h, w) grey, 0 to 255, without repeats.
        shortest: shots with fewer frames are dropped.

    Returns:
        (first, one past last) of each shot. A cut is a change of more than 8 grey levels and more than 2.5 times the
        typical change within 5 frames (thresholds chosen by us on a film with many cuts).
    """
    n = len(thumbnails)
    if n < shortest:
        return []
    frames = thumbnails.astype(np.float32)
    change = np.abs(np.diff(frames, axis=0)).mean((1, 2))
    flash = np.abs(np.diff(frames.mean((1, 2))))
    starts = [0]
    for i, c in enumerate(change):
        others = np.concatenate([change[max(0, i - 5) : i], change[i + 1 : i + 6]])
        typical = float(np.median(others)) if len(others) else 0.0
        if (c > 8.0 and c > 2.5 * max(typical, 1.0)) or flash[i] > 12.0:
            starts.append(i + 1)
    starts.append(n)
    return [(a, b) for a, b in itertools.pairwise(starts) if b - a >= shortest]


def inverse_sigmoid_response(y: Tensor, n: float, sigma: float) -> Tensor:
    """Undo the sigmoid camera curve that the field draws for linearising video, `x = (σ y / (1 + σ - y))^(1/n)`.

    Args:
        y: encoded values in [0, 1].
        n: exponent, about 0.65.
        sigma: shape, about 0.6.

    Returns:
        Linear values in [0, 1], same shape; 0 and 1 stay.
    """
    y = y.clamp(0.0, 1.0)
    return ((sigma * y) / (1.0 + sigma - y)) ** (1.0 / n)


def highlight_rise(encoded: Tensor, knee: float) -> Tensor:
    """How far a pixel lies on the way from the knee to white.

    The grey level has a say, encoded: skin and saturated colours with one bright channel are not light sources.

    Args:
        encoded: (..., 3, H, W); values outside [0, 1] are clamped.
        knee: code value (mean of brightest channel and grey level) from which highlights are expanded, < 1.

    Returns:
        (..., 1, H, W) in [0, 1].
    """
    x = encoded.clamp(0.0, 1.0)
    level = 0.5 * (x.amax(dim=-3, keepdim=True) + x.mean(dim=-3, keepdim=True))
    return ((level - knee) / (1.0 - knee)).clamp(0.0, 1.0)


@dataclass(frozen=True)
class LinearisationConfig:
    """How ordinary video becomes HDR.

    Attributes:
        sigmoid_share: share of clips linearised with the field's random sigmoid; the others use sRGB or gamma 2.2.
        expansion_share: share of clips with expanded highlights.
        max_gain: largest expansion of white; drawn log-uniformly from 2.
    """

    sigmoid_share: float = 0.4
    expansion_share: float = 0.9
    max_gain: float = 16.0

    @classmethod
    def field(cls) -> LinearisationConfig:
        """The field's protocol: the random sigmoid always, and nothing brighter than white."""
        return cls(sigmoid_share=1.0, expansion_share=0.0)

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a share outside [0, 1] or a gain below 2.
        """
        if not (0 <= self.sigmoid_share <= 1 and 0 <= self.expansion_share <= 1 and self.max_gain >= 2.0):
            raise ValueError(f"expected shares in [0, 1] and max_gain >= 2, found {self}")


def linearise_video(frames: Tensor, config: LinearisationConfig, generator: torch.Generator) -> Tensor:
    """Turn encoded video frames into a plausible linear HDR clip. All frames get the same curve.

    Args:
        frames: (T, 3, H, W), encoded, [0, 1].
        config: what to draw.
        generator: where the numbers come from.

    Returns:
        (T, 3, H, W), linear, [0, max_gain].
    """
    rng = numpy_generator(generator)
    if rng.random() < config.sigmoid_share:
        # Distributions of the field's training code.
        n = float(np.clip(rng.normal(0.65, 0.1), 0.4, 0.9))
        sigma = float(np.clip(rng.normal(0.6, 0.1), 0.4, 0.8))
        linear = inverse_sigmoid_response(frames, n, sigma)
    elif rng.random() < 0.5:
        linear = eotf_gamma22(frames.clamp(0.0, 1.0))
    else:
        linear = eotf_srgb(frames.clamp(0.0, 1.0))
    if rng.random() >= config.expansion_share:
        return linear
    gain = math.exp(rng.uniform(math.log(2.0), math.log(config.max_gain)))
    knee = float(rng.uniform(0.45, 0.85))
    power = float(rng.uniform(1.0, 2.5))
    mask = smoothstep(highlight_rise(frames, knee))
    # Blurring makes large clipped areas brightest in the middle instead of flat, and hides block edges.
    soft = gaussian_blur(mask, float(rng.uniform(1.0, 6.0)))
    mask = mask * (0.35 + 0.65 * soft)
    return linear * (1.0 + (gain - 1.0) * mask**power)
