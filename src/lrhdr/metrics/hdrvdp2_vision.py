"""HDR-VDP-2's model of early vision: from light on a screen to the neural responses that the metric compares.

Stages (Mantiuk et al., ACM TOG 30(4), 2011): scatter in the eye's optics; absorption by L cones, M cones and
rods; their responses, in units of just noticeable differences; a steerable pyramid of their sum. All in float64: the
responses' differences are small against the responses.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

import lrhdr.metrics.hdrvdp2_data as data
from lrhdr.metrics.steerable import build_pyramid

_MIN_LIGHT, _MAX_LIGHT = 1e-5, 1e10  # cd/m2 on the retina
_TABLE_FROM, _TABLE_TO, _TABLE_SIZE = -5.0, 5.0, 2048  # response tables, log10 cd/m2
# The frequencies of the coarsest band are taken √2 lower than its sampling says: part of the metric's calibration.
_BASE_SAMPLING = 2.0**-0.5


class Percept(NamedTuple):
    """What one image looks like to the model.

    Attributes:
        bands: the steerable pyramid of the response, as of `build_pyramid`, in just noticeable differences.
        adaptation: (B, 1, H, W), adapting luminance, cd/m2.
        base_mean: (B, 1, 1, 1), mean of the coarsest band before it was filtered.
    """

    bands: list[Tensor]
    adaptation: Tensor
    base_mean: Tensor


def interpolate_table(x: Tensor, table: Tensor, first: float, last: float) -> Tensor:
    """Linear interpolation in an equally spaced table; outside, the end values.

    Args:
        x: any shape.
        table: (N,), N >= 2.
        first: abscissa of the table's first entry.
        last: of its last.

    Returns:
        The shape of x.
    """
    steps = table.numel() - 1
    position = ((x - first) * (steps / (last - first))).clamp(0.0, float(steps))
    index = position.floor().clamp_max(steps - 1.0)
    below = index.long()
    start = table[below]
    return start + (position - index) * (table[below + 1] - start)


def interpolate_knots(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Piecewise linear interpolation between rising knots; outside, the end values."""
    i = torch.searchsorted(knots, x.contiguous()).clamp(1, knots.numel() - 1)
    x = x.clamp(knots[0], knots[-1])
    share = (x - knots[i - 1]) / (knots[i] - knots[i - 1])
    return values[i - 1] + share * (values[i] - values[i - 1])


def _frequencies(size: tuple[int, int], pixels_per_degree: float, device: torch.device) -> Tensor:
    """Cycles per degree at each coefficient of a real FFT, (H, W / 2 + 1)."""
    y: Tensor = torch.fft.fftfreq(size[0], 1.0 / pixels_per_degree, dtype=torch.float64, device=device)
    x: Tensor = torch.fft.rfftfreq(size[1], 1.0 / pixels_per_degree, dtype=torch.float64, device=device)
    return torch.hypot(y[:, None], x)


def _filter_padded(image: Tensor, response: Tensor, surround: Tensor) -> Tensor:
    """Filter in the Fourier domain an image that is surrounded by a constant, on a grid of twice its sides.

    Args:
        image: (B, C, H, W).
        response: real, (..., 2 H, W + 1).
        surround: broadcasts to (B, C, 1, 1).
    """
    height, width = image.shape[-2:]
    size = (2 * height, 2 * width)
    # The surround is taken off first, so that the padding is zeros; it comes back with the filter's gain at rest.
    spectrum = torch.fft.rfft2(image - surround, s=size) * response
    filtered: Tensor = torch.fft.irfft2(spectrum, s=size)
    return filtered[..., :height, :width] + surround * response[..., :1, :1]


def optical_transfer(frequency: Tensor) -> Tensor:
    """Share of contrast that the eye's optics let through, at frequencies in cycles per degree."""
    terms = [a * torch.exp(-b * frequency) for a, b in zip(data.MTF_A, data.MTF_B, strict=True)]
    return torch.stack(terms).sum(0)


def neural_sensitivity(frequency: Tensor, luminance: Tensor) -> Tensor:
    """Neural contrast sensitivity: without optics and without the loss of sensitivity in the dark.

    Args:
        frequency: cycles per degree, >= 0; broadcasts with the luminance.
        luminance: adapting luminance, cd/m2, > 0.

    Returns:
        Sensitivity, >= 0, float64; 0 at frequency 0.
    """
    knots = torch.tensor(data.CSF_LUMINANCE, dtype=torch.float64, device=luminance.device).log10()
    table = torch.tensor(data.CSF_PARAMETERS, dtype=torch.float64, device=luminance.device)
    log_luminance = luminance.log10()
    p1, p2, p3, p4 = (interpolate_knots(log_luminance, knots, column) for column in table.unbind(1))
    rise = 1.0 - torch.exp(-((frequency / data.CSF_KNEE) ** 2))
    return p4 * (rise**p3 / (1.0 + (p1 * frequency) ** p2)).sqrt()


def _rod_sensitivity(luminance: Tensor) -> Tensor:
    distance = (luminance / data.ROD_PEAK).log10()
    (low_exponent, low_width), (high_exponent, high_width) = data.ROD_BELOW, data.ROD_ABOVE
    below = torch.exp(-(distance.abs() ** low_exponent) / low_width)
    above = torch.exp(-(distance.abs() ** high_exponent) / high_width)
    return data.ROD_GAIN * torch.where(distance > 0.0, above, below)


@lru_cache(maxsize=4)
def response_tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """Response of a cone and of the rods against log10 of what they absorb, from 1e-5 to 1e5.

    The response is the integral of sensitivity over log luminance: a step of 1 is just noticeable.

    Args:
        device: where the tables are needed.

    Returns:
        Two tables (2048,) float64.
    """
    log_luminance = torch.linspace(_TABLE_FROM, _TABLE_TO, _TABLE_SIZE, dtype=torch.float64)
    luminance = 10.0**log_luminance
    gain, drop, slope, low = data.JOINT_SENSITIVITY
    joint = gain * ((drop / luminance) ** slope + 1.0) ** -low
    rods = _rod_sensitivity(luminance)
    # L and M cones share what the rods leave; each gets half of the light.
    both = (joint - rods).clamp_min(1e-3)
    cones = 0.5 * interpolate_knots((2.0 * luminance).clamp_max(luminance[-1]), luminance, both)
    step = torch.log(torch.tensor(10.0, dtype=torch.float64)) * data.SENSITIVITY
    cone_table, rod_table = (
        torch.cat((torch.zeros(1, dtype=torch.float64), torch.cumulative_trapezoid(s * step, log_luminance)))
        for s in (cones, rods)
    )
    return cone_table.to(device), rod_table.to(device)


def see(light: Tensor, surround: Tensor, pixels_per_degree: float, base_mean: Tensor | None = None) -> Percept:
    """Run the model of vision on one batch of images.

    Args:
        light: (B, 1, H, W) luminance or (B, 3, H, W) linear RGB with BT.709 primaries, cd/m2, float64.
        surround: (B, 1 or 3, 1, 1), the light around the image, same unit.
        pixels_per_degree: angular resolution.
        base_mean: the `base_mean` of the reference, when this is an image to be compared with it.

    Returns:
        The percept.
    """
    height, width = light.shape[-2:]
    device = light.device
    transfer = optical_transfer(_frequencies((2 * height, 2 * width), pixels_per_degree, device))
    retina = _filter_padded(light, transfer, surround).clamp(_MIN_LIGHT, _MAX_LIGHT)

    spectra = data.LMR_OF_LUMINANCE if light.shape[1] == 1 else data.LMR_OF_RGB
    mixing = torch.tensor(spectra, dtype=torch.float64, device=device)
    absorbed = torch.einsum("bchw,cr->brhw", retina, mixing)
    adaptation = absorbed[:, 0:1] + absorbed[:, 1:2]

    cone_table, rod_table = response_tables(device)
    log_absorbed = absorbed.log10()
    cones = interpolate_table(log_absorbed[:, :2], cone_table, _TABLE_FROM, _TABLE_TO).sum(1, keepdim=True)
    rods = interpolate_table(log_absorbed[:, 2:], rod_table, _TABLE_FROM, _TABLE_TO)
    response = cones + rods
    bands = build_pyramid(response - response.mean(dim=(-2, -1), keepdim=True))

    # The coarsest band is filtered by contrast sensitivity at the image's mean luminance; the others get theirs pixel
    # by pixel when they are compared.
    base = bands[-1]
    if base_mean is None:
        base_mean = base.mean(dim=(-2, -1), keepdim=True)
    base_sampling = pixels_per_degree * 2.0 ** -(len(bands) - 2) * _BASE_SAMPLING
    frequency = _frequencies((2 * base.shape[-2], 2 * base.shape[-1]), base_sampling, device)
    sensitivity = neural_sensitivity(frequency, adaptation.mean(dim=(-2, -1), keepdim=True))
    bands[-1] = _filter_padded(base, sensitivity, base_mean)
    return Percept(bands, adaptation, base_mean)
