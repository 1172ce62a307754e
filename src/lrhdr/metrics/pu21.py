"""PU21: light in cd/m2 to a perceptually uniform code on which ordinary metrics work (Mantiuk and Azimi, PCS 2021).

The variant "banding_glare", which the authors recommend. 100 cd/m2, the white of a standard display, gets code 256.4:
codes of standard images fill the range that metrics for 8-bit images expect; brighter light goes on to 595.4 at 10,000.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.colour import luminance
from lrhdr.metrics.psnr import check_images, psnr
from lrhdr.metrics.ssim import ssim

# Light that the encoding is defined for, cd/m2.
PU21_MIN, PU21_MAX = 0.005, 10_000.0
# p0 to p6 of the fit, as published with the paper.
_P = (0.353487901, 0.3734658629, 8.277049286e-05, 0.9062562627, 0.09150303166, 0.9099517204, 596.3148142)


def pu21_encode(light: Tensor) -> Tensor:
    """Light to code: `p6 (((p0 + p1 Y^p3) / (1 + p2 Y^p3))^p4 - p5)`, not below 0.

    Args:
        light: Y, any shape, cd/m2; outside 0.005 to 10,000 it is clamped. Colour channels are encoded one by one.

    Returns:
        Codes, 0 to 595.4; the type of the argument.
    """
    p0, p1, p2, p3, p4, p5, p6 = _P
    power = light.clamp(PU21_MIN, PU21_MAX) ** p3
    return (p6 * (((p0 + p1 * power) / (1.0 + p2 * power)) ** p4 - p5)).clamp_min(0.0)


def pu21_decode(code: Tensor) -> Tensor:
    """Undo `pu21_encode`.

    Args:
        code: any shape, 0 to 595.4; outside, it gives the nearest end of the range of light.

    Returns:
        Light, cd/m2, 0.005 to 10,000; the type of the argument.
    """
    p0, p1, p2, p3, p4, p5, p6 = _P
    highest = pu21_encode(torch.as_tensor(PU21_MAX, dtype=code.dtype, device=code.device))
    ratio = (torch.minimum(code.clamp_min(0.0), highest) / p6 + p5) ** (1.0 / p4)
    power = (ratio - p0).clamp_min(0.0) / (p1 - p2 * ratio)
    return (power ** (1.0 / p3)).clamp(PU21_MIN, PU21_MAX)


def _data_range(peak_luminance: float) -> float:
    if not PU21_MIN < peak_luminance <= PU21_MAX:
        raise InputError(f"pu21: expected a peak of {PU21_MIN} to {PU21_MAX} cd/m2, found {peak_luminance}")
    return float(pu21_encode(torch.tensor(peak_luminance, dtype=torch.float64)))


def psnr_pu21(pred: Tensor, target: Tensor, *, peak_luminance: float) -> Tensor:
    """PSNR of PU21 codes, over all channels.

    Args:
        pred: (B, C, H, W), linear light in cd/m2 (relative radiance times the light of its 1.0); values are clamped to
            0.005 to 10,000.
        target: same shape and unit.
        peak_luminance: cd/m2; its code is the peak of the formula. 100 gives 256.4 (the authors' own scores
            take 256, 0.01 dB less); a higher one adds a constant number of dB.

    Returns:
        (B,) float64, dB; inf for identical images.

    Raises:
        InputError: shapes that differ, or a peak outside the encoding's range.
    """
    check_images(pred, target)
    return psnr(pu21_encode(pred.double()), pu21_encode(target.double()), data_range=_data_range(peak_luminance))


def ssim_pu21(pred: Tensor, target: Tensor, *, peak_luminance: float) -> Tensor:
    """SSIM of the PU21 codes of luminance, with the Gaussian window of 11x11, σ = 1.5.

    As the authors score it, but for the border: their window also runs over a replicated border, ours stays inside.

    Args:
        pred: (B, 3, H, W) linear RGB with BT.709 primaries or (B, 1, H, W) luminance, cd/m2.
        target: same shape and unit.
        peak_luminance: cd/m2; its code is the L of the constants. 100 gives 256.4; the authors take 256.

    Returns:
        (B,) float64, at most 1.

    Raises:
        InputError: shapes that differ, neither 1 nor 3 channels, images smaller than the window, or a peak outside the
            encoding's range.
    """
    check_images(pred, target)
    if pred.shape[1] not in (1, 3):
        raise InputError(f"ssim_pu21: expected 1 or 3 channels, found shape {tuple(pred.shape)}")
    pred, target = pred.double(), target.double()
    if pred.shape[1] == 3:
        pred, target = luminance(pred), luminance(target)
    return ssim(pu21_encode(pred), pu21_encode(target), data_range=_data_range(peak_luminance), window="gaussian")
