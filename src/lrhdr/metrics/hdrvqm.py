"""HDR-VQM: quality of HDR video from the similarity of its subbands, pooled as eyes fixate.

A re-implementation of the measure of Narwaria, Perreira Da Silva and Le Callet (Signal Processing: Image Communication
35, 2015), as the authors' release 2 computes it. Stages:

1. Luminance on a display, clipped to what it can show, to perceptually uniform codes (Aydin et al., SPIE 6806, 2008).
2. Each frame is brought to 512x896 and split by log-Gabor filters, 5 scales and 4 orientations. Per subband the
   magnitudes of test and reference give a similarity; the similarities are added up.
3. The clip is cut into tubes of 64x64 pixels and 0.6 seconds, as long as the eye rests. Each gives the standard
   deviation of its values: where quality differs, something is wrong.
4. Of the tubes of one moment the mean of the lowest 30 %, of the moments the mean of the lowest 30 %.

The raw result is 0 for identical clips and rises with distortion. The last frame never counts, and frames that do not
fill a moment before it are left out, as in the release. Block size and times are for the authors' display (SIM2,
1920x1080 on 6100 cm2 from 1.78 m), which is stated here and not an argument: other values make another measure.

Checked against the authors' code run in GNU Octave on one sequence: the raw value agrees to 1e-11.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

import lrhdr.metrics.hdrvqm_data as data
from lrhdr.checks import InputError
from lrhdr.metrics.bicubic import bicubic_resize
from lrhdr.metrics.psnr import check_images

DISPLAY_BLACK, DISPLAY_PEAK = 0.03, 4500.0
"""Of the authors' display, cd/m2."""

# The release clips by the first weights, and takes the luminance of the clipped colour by the second.
_CLIPPING_WEIGHTS, _WEIGHTS = (0.2126, 0.7152, 0.0722), (0.213, 0.715, 0.072)
_GRID = (512, 896)
_SCALES, _ORIENTATIONS = 5, 4
_SHORTEST_WAVE, _WAVE_RATIO, _BANDWIDTH = 3.0, 3.0, 0.55
_ANGULAR_RATIO = 1.5  # angle between orientations over the deviation of the angular Gaussian
_SIMILARITY_CONSTANT = 0.2
_BLOCK = 64
_FIXATION_SECONDS = 0.6
_SHARE = 0.3


class VideoQuality(NamedTuple):
    """Result of `hdrvqm`.

    Attributes:
        raw: 0 for identical clips, rising with distortion.
        normalised: `4 / (1 + exp(raw)) - 1`: 1 for identical clips, falling towards -1.
    """

    raw: float
    normalised: float


def moment_frames(frames_per_second: float) -> int:
    """Frames of the moments that a clip is cut into, as long as the eye rests; a clip must be longer."""
    # Rounded first, or 0.6 times some whole rates would be a hair above a whole number.
    return math.ceil(round(frames_per_second * _FIXATION_SECONDS, 9))


def _luminance(light: Tensor) -> Tensor:
    """Luminance on the authors' display, (H, W) float64, of (1, H, W) or (3, H, W) in cd/m2."""
    light = light.double()
    if light.shape[0] == 1:
        return light[0].clamp(DISPLAY_BLACK, DISPLAY_PEAK)
    by, weights = (torch.tensor(w, dtype=torch.float64, device=light.device) for w in (_CLIPPING_WEIGHTS, _WEIGHTS))
    brightness = torch.einsum("chw,c->hw", light, by)
    shown = brightness.clamp(DISPLAY_BLACK, DISPLAY_PEAK)
    scaled = torch.einsum("chw,c->hw", light, weights) * (shown / brightness)
    # A black pixel has no colour to scale: the display shows its black.
    return torch.where(brightness > 0.0, scaled, shown)


def _codes(luminance: Tensor) -> Tensor:
    """Perceptually uniform codes, by interpolation between logarithms; beyond the table its end values."""
    knots = torch.tensor(data.LUMINANCE, dtype=torch.float64, device=luminance.device).log10()
    steps = torch.arange(len(knots), dtype=torch.float64, device=luminance.device)
    values = (data.FIRST_CODE + data.CODE_STEP * steps).log10()
    x = luminance.log10().clamp(knots[0], knots[-1])
    i = torch.searchsorted(knots, x.contiguous()).clamp(1, len(knots) - 1)
    share = (x - knots[i - 1]) / (knots[i] - knots[i - 1])
    codes: Tensor = 10.0 ** (values[i - 1] + share * (values[i] - values[i - 1]))
    return codes


def log_gabor_filters(size: tuple[int, int], device: torch.device) -> Tensor:
    """Frequency responses of the filters (Field 1987), zero frequency first.

    Args:
        size: (H, W), even.
        device: where to put them.

    Returns:
        (scales * orientations, H, W) float64, scale by scale. Each sees one half of the frequency plane, so that the
        filtered image is complex and its magnitude is the local amplitude.
    """
    y, x = (2.0 * torch.fft.fftfreq(n, dtype=torch.float64, device=device) for n in size)
    radius = torch.hypot(y[:, None], x[None])
    radius[0, 0] = 1.0
    angle = torch.atan2(y[:, None], x[None].expand(size[0], -1))
    deviation = math.pi / _ORIENTATIONS / _ANGULAR_RATIO
    spreads = []
    for k in range(_ORIENTATIONS):
        turned = angle - k * math.pi / _ORIENTATIONS
        distance = torch.atan2(turned.sin(), turned.cos())
        spreads.append(torch.exp(-(distance**2) / (2.0 * deviation**2)))
    filters = []
    for s in range(_SCALES):
        centre = 2.0 / (_SHORTEST_WAVE * _WAVE_RATIO**s)
        radial = torch.exp(-((radius / centre).log() ** 2) / (2.0 * math.log(_BANDWIDTH) ** 2))
        radial[0, 0] = 0.0
        filters += [radial * spread for spread in spreads]
    return torch.stack(filters)


def _similarity(test: Tensor, reference: Tensor, filters: Tensor) -> Tensor:
    """Sum over subbands of the similarity of magnitudes, (H, W) each."""
    spectra = [torch.fft.fft2(image) for image in (test, reference)]
    total = torch.zeros_like(test)
    for response in filters:
        a, b = (torch.fft.ifft2(spectrum * response).abs() for spectrum in spectra)
        total += (2.0 * a * b + _SIMILARITY_CONSTANT) / (a * a + b * b + _SIMILARITY_CONSTANT)
    return total


def _lowest(values: Tensor) -> Tensor:
    """Mean of the lowest share along the first axis."""
    count = 1 + math.floor((values.shape[0] - 1) * _SHARE + 0.5)
    return values.sort(dim=0).values[:count].mean(dim=0)


def _tubes(similarity: Tensor) -> Tensor:
    """Standard deviation of each tube of one moment, (T, H, W) to (tubes,)."""
    frames, height, width = similarity.shape
    tubes = similarity.view(frames, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    return tubes.permute(1, 3, 0, 2, 4).flatten(2).flatten(0, 1).std(dim=1, correction=1)


@torch.no_grad()
def hdrvqm(test: Tensor, reference: Tensor, *, frames_per_second: float) -> VideoQuality:
    """Compare a clip with its reference.

    Args:
        test: (T, 1 or 3, H, W), luminance or linear RGB with BT.709 primaries, cd/m2, >= 0; clipped to the authors'
            display, 0.03 to 4500 cd/m2.
        reference: same shape.
        frames_per_second: of the clip, > 0. T must exceed 0.6 seconds of it.

    Returns:
        The raw and the normalised value.

    Raises:
        InputError: shapes or channels that do not fit, values that are not light, or a clip that is too short.
    """
    check_images(test, reference)
    if test.shape[1] not in (1, 3):
        raise InputError(f"hdrvqm: expected 1 or 3 channels, found shape {tuple(test.shape)}")
    for name, clip in (("test", test), ("reference", reference)):
        if not bool(((clip >= 0.0) & clip.isfinite()).all()):
            raise InputError(f"hdrvqm: expected finite values of at least 0 in the {name} clip")
    if not frames_per_second > 0.0:
        raise InputError(f"hdrvqm: expected frames per second above 0, found {frames_per_second}")
    moment = moment_frames(frames_per_second)
    starts = range(0, len(test) - moment, moment)
    if not starts:
        raise InputError(
            f"hdrvqm: expected more than {moment} frames ({_FIXATION_SECONDS:g} s at {frames_per_second:g} per second),"
            f" found {len(test)}"
        )
    filters = log_gabor_filters(_GRID, test.device)
    pooled = []
    for start in starts:
        similarities = []
        for t in range(start, start + moment):
            shown, original = (bicubic_resize(_codes(_luminance(clip[t])), _GRID) for clip in (test, reference))
            similarities.append(_similarity(shown, original, filters))
        pooled.append(_lowest(_tubes(torch.stack(similarities))))
    raw = float(_lowest(torch.stack(pooled)))
    return VideoQuality(raw, 4.0 / (1.0 + math.exp(raw)) - 1.0)
