"""HDR-VDP-2.2.1: do people see a difference between two images, and how good is one as a copy of the other?

A re-implementation of the model of Mantiuk, Kim, Rempel, Heidrich (ACM TOG 30(4), 2011) with the quality calibration
of Narwaria et al. (JEI 24(1), 2015), as the authors' release 2.2.1 computes it. Inputs are light in cd/m2 (or pixels
for a standard display); outputs are Q (quality, 100 for identical images, falling without bound) and a contrast map,
whose value 1 is the threshold of detection.

Checked against the authors' code run in GNU Octave on six image pairs: Q and C_max agree to all digits given. With
MATLAB's habit of normalising the weights of `imresize`, Q would move by 1e-8 where sizes are odd.

The metric is not about colour: colour only tells how much light cones and rods get. Everything runs in float64, on any
device that has it, in time proportional to the number of pixels.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

import lrhdr.metrics.hdrvdp2_data as data
from lrhdr.checks import InputError
from lrhdr.metrics.bicubic import bicubic_resize
from lrhdr.metrics.hdrvdp2_vision import interpolate_knots, interpolate_table, neural_sensitivity, see
from lrhdr.metrics.psnr import check_images
from lrhdr.metrics.steerable import SMALLEST_SIDE, collapse_pyramid
from lrhdr.transfer import eotf_srgb

Encoding = Literal["luminance", "rgb-bt.709", "srgb-display"]

# Light of the surround, cd/m2: near darkness, the default of release 2.2.
DARK_SURROUND = 1e-5
# The display of "srgb-display": peak minus black, and black, cd/m2.
_DISPLAY_RANGE, _DISPLAY_BLACK = 99.0, 1.0
# Where test and reference differ by less than this share, pixels do not count for quality.
_SAME = 1e-3
_LOG_FLOOR = 1e-12
# The table of contrast sensitivity against adapting luminance, log10 cd/m2.
_ADAPT_FROM, _ADAPT_TO, _ADAPT_SIZE = -5.0, 5.0, 256


class VisibleDifference(NamedTuple):
    """Result of `hdrvdp2`.

    Attributes:
        q: (B,) float64, quality: 100 for identical images, lower for worse ones, without a floor.
        c_max: (B,) float64, the largest contrast of the map.
        contrast: (B, H, W) float64, difference in units of the threshold: at 1, half of the observers see it.
    """

    q: Tensor
    c_max: Tensor
    contrast: Tensor

    def probability(self) -> Tensor:
        """Probability of detection per pixel, (B, H, W) in [0, 1]."""
        return -torch.expm1(math.log(0.5) * self.contrast)


def angular_resolution(diagonal_inches: float, resolution: tuple[int, int], distance: float) -> float:
    """Angular resolution of a flat display seen from its front.

    Args:
        diagonal_inches: of the display.
        resolution: (height, width) in pixels; pixels are square.
        distance: from the eye in metres.

    Returns:
        Pixels per degree of visual angle: height over the angle that it covers.

    Raises:
        InputError: a value that is not positive.
    """
    height, width = resolution
    if not (diagonal_inches > 0.0 and height > 0 and width > 0 and distance > 0.0):
        raise InputError(f"expected a display of positive size, found {diagonal_inches} in, {resolution}, {distance} m")
    height_metres = diagonal_inches * 0.0254 * height / math.hypot(height, width)
    return height / math.degrees(2.0 * math.atan(0.5 * height_metres / distance))


def _signed_power(x: Tensor, exponent: float) -> Tensor:
    return x.sign() * x.abs() ** exponent


def _light(image: Tensor, encoding: Encoding) -> Tensor:
    """The light of an image, cd/m2, float64."""
    image = image.double()
    return _DISPLAY_RANGE * eotf_srgb(image) + _DISPLAY_BLACK if encoding == "srgb-display" else image


def _quality_weight(frequency: float) -> float:
    knots = torch.tensor(data.QUALITY_FREQUENCY, dtype=torch.float64)
    weights = torch.tensor(data.QUALITY_WEIGHT, dtype=torch.float64)
    return float(interpolate_knots(torch.tensor(frequency, dtype=torch.float64), knots, weights))


def _mutual_masking(test: Tensor, reference: Tensor) -> Tensor:
    """Activity that both images share, averaged over 3x3 pixels with zeros outside; per orientation."""
    return F.avg_pool2d(torch.minimum(test.abs(), reference.abs()), 3, stride=1, padding=1)


def _neighbour(masks: list[Tensor], index: int, like: Tensor) -> Tensor:
    """Activity of another band, brought to the size and orientations of `like`."""
    resized = bicubic_resize(masks[index], (like.shape[-2], like.shape[-1])).clamp_min(0.0)
    # The high-pass residual has one orientation for all; a band without orientations looks at the first only, as in the
    # authors' release (so an image turned by 90 degrees does not score exactly the same).
    return resized if like.shape[1] > 1 else resized[:, :1]


def _check(
    test: Tensor, reference: Tensor, encoding: Encoding, pixels_per_degree: float, surround: float | None
) -> None:
    check_images(test, reference)
    channels = 1 if encoding == "luminance" else 3
    if encoding not in ("luminance", "rgb-bt.709", "srgb-display"):
        raise InputError(f"hdrvdp2: expected encoding luminance, rgb-bt.709 or srgb-display, found {encoding!r}")
    if test.shape[1] != channels:
        raise InputError(f"hdrvdp2: expected {channels} channels for {encoding}, found shape {tuple(test.shape)}")
    if min(test.shape[-2:]) < SMALLEST_SIDE:
        raise InputError(f"hdrvdp2: expected at least {SMALLEST_SIDE} pixels a side, found shape {tuple(test.shape)}")
    for name, image in (("test", test), ("reference", reference)):
        if not bool(((image >= 0.0) & image.isfinite()).all()):
            raise InputError(f"hdrvdp2: expected finite values of at least 0 in the {name} image")
    if not pixels_per_degree > 0.0:
        raise InputError(f"hdrvdp2: expected pixels per degree above 0, found {pixels_per_degree}")
    if surround is not None and not surround > 0.0:
        raise InputError(f"hdrvdp2: expected a surround above 0 cd/m2, found {surround}")


@torch.no_grad()
def hdrvdp2(
    test: Tensor,
    reference: Tensor,
    *,
    encoding: Encoding,
    pixels_per_degree: float,
    surround: float | None = DARK_SURROUND,
) -> VisibleDifference:
    """Compare images by HDR-VDP-2.2.1.

    Args:
        test: (B, C, H, W), both sides at least 17 pixels. By `encoding`:
            "luminance": C = 1, cd/m2;
            "rgb-bt.709": C = 3, linear, BT.709 primaries, cd/m2;
            "srgb-display": C = 3, sRGB-encoded in [0, 1], shown on a display of 1 to 100 cd/m2.
        reference: same shape and encoding.
        encoding: what the numbers are.
        pixels_per_degree: angular resolution; about 30 for a computer display, see `angular_resolution`.
        surround: light outside the image in every channel, cd/m2, > 0; None takes the geometric mean of each channel of
            the reference.

    Returns:
        Q, C_max and the map.

    Raises:
        InputError: shapes or channels that do not fit, images too small, values that are not finite or below 0, or a
            resolution or surround that is not positive.
    """
    _check(test, reference, encoding, pixels_per_degree, surround)
    test, reference = _light(test, encoding), _light(reference, encoding)
    if surround is None:
        around = reference.log().mean(dim=(-2, -1), keepdim=True).exp().clamp_min(DARK_SURROUND)
    else:
        around = torch.full_like(reference[..., :1, :1], surround)
    seen = see(reference, around, pixels_per_degree)
    shown = see(test, around, pixels_per_degree, seen.base_mean)
    adaptation = 0.5 * (seen.adaptation + shown.adaptation)
    differs = ((test - reference).abs() / reference > _SAME).any(dim=1, keepdim=True).double()

    quality, contrast = _compare(shown.bands, seen.bands, adaptation, differs, pixels_per_degree)
    contrast_map = collapse_pyramid(contrast).abs()[:, 0]
    # Spatial pooling: what is spread out is seen more easily.
    peak = contrast_map.amax(dim=(-2, -1), keepdim=True)
    contrast_map = contrast_map * (contrast_map.sum(dim=(-2, -1), keepdim=True) / (peak + _LOG_FLOOR))
    return VisibleDifference(100.0 - quality, contrast_map.amax(dim=(-2, -1)), contrast_map)


def _compare(
    test: list[Tensor], reference: list[Tensor], adaptation: Tensor, differs: Tensor, pixels_per_degree: float
) -> tuple[Tensor, list[Tensor]]:
    """Masked differences band by band, and their pooling to one number.

    Args:
        test: pyramid of the test image's response.
        reference: of the reference's.
        adaptation: (B, 1, H, W), cd/m2.
        differs: (B, 1, H, W), 1 where the images differ.
        pixels_per_degree: angular resolution.

    Returns:
        The loss of quality (B,), and the pyramid of differences in units of the threshold.
    """
    p, q = data.EXCITATION, data.INHIBITION
    slope = data.PSYCHOMETRIC_SLOPE / p
    device = adaptation.device
    log_adaptation = adaptation.clamp(10.0**_ADAPT_FROM, 10.0**_ADAPT_TO).log10()
    table_luminance = 10.0 ** torch.linspace(_ADAPT_FROM, _ADAPT_TO, _ADAPT_SIZE, dtype=torch.float64, device=device)
    masks = [_mutual_masking(t, r) for t, r in zip(test, reference, strict=True)]
    last = len(test) - 1
    quality = torch.zeros(adaptation.shape[0], dtype=torch.float64, device=device)
    contrast: list[Tensor] = []
    for b, (t, r) in enumerate(zip(test, reference, strict=True)):
        size = (t.shape[-2], t.shape[-1])
        frequency = pixels_per_degree * 2.0 ** -(b + 1)
        norm = 2.0**b  # 1 / n_f of the paper
        if b == last:
            sensitivity = torch.ones_like(t)  # filtered already
        else:
            table = neural_sensitivity(torch.tensor(frequency, dtype=torch.float64, device=device), table_luminance)
            sensitivity = interpolate_table(bicubic_resize(log_adaptation, size), table, _ADAPT_FROM, _ADAPT_TO)

        own = masks[b]
        others = (own.sum(1, keepdim=True) - own).clamp_min(0.0)
        neighbours = torch.zeros_like(own)
        if b > 0:
            neighbours = neighbours + _neighbour(masks, b - 1, own) / (norm / 2.0)
        if b < last - 1:
            neighbours = neighbours + _neighbour(masks, b + 1, own) / (norm * 2.0)
        masking = norm * (
            data.MASK_SELF * (own * sensitivity / norm) ** q
            + data.MASK_ORIENTATION * (others * sensitivity / norm) ** q
            + data.MASK_BAND * (neighbours * sensitivity) ** q
        )
        excitation = _signed_power((t - r) / norm, p) * norm
        difference = excitation / (sensitivity ** (-2.0 * p) + masking.square()).sqrt()
        contrast.append(_signed_power(difference / norm, slope) * norm)

        counted = (difference * bicubic_resize(differs, size)).square().sum(dim=(-2, -1)).sqrt() / (size[0] * size[1])
        loss = (counted + _LOG_FLOOR).log() - math.log(_LOG_FLOOR)
        quality = quality + _quality_weight(frequency) * loss.sum(1)
    return quality, contrast
