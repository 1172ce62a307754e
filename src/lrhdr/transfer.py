"""Transfer functions: nonlinear signal (R'G'B', as stored) to linear light and back.

`eotf_*` decodes, `oetf_*` encodes. Signals are in [0, 1]. Linear light is relative ([0, 1], 1 = nominal peak) except
for PQ, which is absolute: cd/m² up to 10000. Everything works element by element on tensors of any shape, except
`eotf_hlg`, whose system gamma couples the channels. Negative input is taken as 0; above the nominal range the curves
are continued, where they are defined. Results have the input's type; PQ and HLG are computed in float64, because their
exponents cost float32 up to three digits. Gradients are finite everywhere, and 0 below the range.

Sources: IEC 61966-2-1 (sRGB), ITU-R BT.709-6 and BT.2020-2, SMPTE ST 2084:2014 (PQ), ITU-R BT.2100-2 (HLG).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lrhdr.checks import InputError

BT709_ALPHA = 1.09929682680944
"""BT.2020-2, table 4: the exact value that BT.709 prints as 1.099; makes the two pieces meet."""
BT709_BETA = 0.018053968510807
"""The same for 0.018."""

PQ_PEAK = 10000.0
"""Luminance of PQ signal 1.0, cd/m²."""
PQ_M1 = 2610 / 16384
PQ_M2 = 2523 / 4096 * 128
PQ_C1 = 3424 / 4096
PQ_C2 = 2413 / 4096 * 32
PQ_C3 = 2392 / 4096 * 32

HLG_A = 0.17883277
HLG_B = 1 - 4 * HLG_A
HLG_C = 0.5 - HLG_A * math.log(4 * HLG_A)
HLG_LUMA = (0.2627, 0.6780, 0.0593)
"""BT.2100-2, table 5: luminance of BT.2020 primaries in the HLG system gamma."""

_TINY = 1e-12  # below it a fractional power is taken as 0: its slope would overflow


def eotf_gamma22(signal: Tensor) -> Tensor:
    """`L = V^2.2`, the pure power of the package's LDR frames.

    Args:
        signal: V in [0, 1].

    Returns:
        Linear light in [0, 1].
    """
    return _power(signal, 2.2)


def eotf_srgb(signal: Tensor) -> Tensor:
    """The sRGB curve to linear light (IEC 61966-2-1): `V / 12.92` up to 0.04045, then `((V + 0.055) / 1.055)^2.4`.

    Args:
        signal: V in [0, 1].

    Returns:
        Linear light in [0, 1].
    """
    v = signal.clamp_min(0.0)
    return torch.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def oetf_srgb(linear: Tensor) -> Tensor:
    """Linear light to the sRGB curve: `12.92 L` up to 0.0031308, then `1.055 L^(1/2.4) - 0.055`."""
    x = linear.clamp_min(0.0)
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def eotf_bt709(signal: Tensor) -> Tensor:
    """The inverse of the BT.709 / BT.2020 camera curve: scene light from a camera's signal.

    (Not the display curve, which is BT.1886.) With α and β of BT.2020-2, table 4: `V / 4.5` below `4.5 β`, else
    `((V + α - 1) / α)^(1 / 0.45)`.

    Args:
        signal: V in [0, 1].

    Returns:
        Scene-linear light in [0, 1].
    """
    v = signal.clamp_min(0.0)
    return torch.where(v < 4.5 * BT709_BETA, v / 4.5, ((v + (BT709_ALPHA - 1)) / BT709_ALPHA) ** (1 / 0.45))


def eotf_pq(signal: Tensor) -> Tensor:
    """PQ signal to luminance: `10000 (max(V^(1/m2) - c1, 0) / (c2 - c3 V^(1/m2)))^(1/m1)` (ST 2084, eq. 4.1).

    Args:
        signal: V in [0, 1]; values above 1 are taken as 1, the end of the scale.

    Returns:
        cd/m², 0 to 10000.
    """
    root = _power(signal.double().clamp_max(1.0), 1 / PQ_M2)
    ratio = (root - PQ_C1).clamp_min(0.0) / (PQ_C2 - PQ_C3 * root)
    return (PQ_PEAK * ratio ** (1 / PQ_M1)).to(signal.dtype)


def oetf_pq(luminance: Tensor) -> Tensor:
    """Luminance to PQ signal: `((c1 + c2 Y^m1) / (1 + c3 Y^m1))^m2`, `Y = L / 10000` (ST 2084, eq. 5.1).

    Args:
        luminance: cd/m²; values above 10000 are taken as 10000.

    Returns:
        V in [0, 1].
    """
    y = _power((luminance.double() / PQ_PEAK).clamp_max(1.0), PQ_M1)
    return (((PQ_C1 + PQ_C2 * y) / (1 + PQ_C3 * y)) ** PQ_M2).to(luminance.dtype)


def oetf_hlg(linear: Tensor) -> Tensor:
    """Scene light to HLG signal: `sqrt(3 E)` up to 1/12, then `a ln(12 E - b) + c` (BT.2100-2, table 5).

    Args:
        linear: scene-linear E in [0, 1].

    Returns:
        Signal in [0, 1].
    """
    e = linear.double().clamp_min(0.0)
    log = HLG_A * torch.log((12 * e - HLG_B).clamp_min(1 - HLG_B)) + HLG_C
    return torch.where(e <= 1 / 12, _power(3 * e, 0.5), log).to(linear.dtype)


def oetf_hlg_inverse(signal: Tensor) -> Tensor:
    """HLG signal to scene light: `V^2 / 3` up to 1/2, then `(exp((V - c) / a) + b) / 12`.

    Args:
        signal: V in [0, 1].

    Returns:
        Scene-linear E in [0, 1].
    """
    v = signal.double().clamp_min(0.0)
    return torch.where(v <= 0.5, v**2 / 3, (torch.exp((v - HLG_C) / HLG_A) + HLG_B) / 12).to(signal.dtype)


def eotf_hlg(signal: Tensor, peak: float = 1000.0, black: float = 0.0) -> Tensor:
    """HLG signal to the light of a display of given peak: inverse OETF, then the system gamma (BT.2100-2, table 5).

    `F = L_W Y_S^(γ-1) E` with `Y_S` the luminance of E and `γ = 1.2 + 0.42 log10(L_W / 1000)`.

    Args:
        signal: R'G'B' with BT.2020 primaries in [0, 1], (..., 3, H, W).
        peak: L_W, luminance of the display's white, cd/m²; γ holds for 400 to 2000.
        black: L_B, luminance of its black, cd/m².

    Returns:
        cd/m² per channel, same shape.

    Raises:
        InputError: the channel axis is not 3 long, or peak and black are not 0 <= black < peak.
    """
    if signal.ndim < 3 or signal.shape[-3] != 3:
        raise InputError(f"HLG signal: expected 3 channels on axis -3, found shape {tuple(signal.shape)}")
    if not 0 <= black < peak:
        raise InputError(f"HLG display: expected 0 <= black < peak, found black {black:g} and peak {peak:g}")
    gamma = 1.2 + 0.42 * math.log10(peak / 1000)
    beta = math.sqrt(3 * (black / peak) ** (1 / gamma))
    scene = oetf_hlg_inverse((1 - beta) * signal.double() + beta)
    weights = torch.tensor(HLG_LUMA, dtype=scene.dtype, device=scene.device).reshape(3, 1, 1)
    brightness = (weights * scene).sum(dim=-3, keepdim=True)
    return (peak * _power(brightness, gamma - 1) * scene).to(signal.dtype)


def oetf_hlg_display(light: Tensor, peak: float = 1000.0) -> Tensor:
    """The light of a display to the HLG signal that makes it; the inverse of `eotf_hlg` with black 0.

    `E = (Y_D / L_W)^((1-γ)/γ) F / L_W`, then the OETF (BT.2100-2, table 5 and note 5i), `Y_D` the luminance of F.

    Args:
        light: cd/m² per channel, BT.2020 primaries, (..., 3, H, W); negative values are taken as 0.
        peak: L_W, luminance of the display's white, cd/m².

    Returns:
        R'G'B', same shape; above 1 where the light is above `peak` (not clipped).

    Raises:
        InputError: the channel axis is not 3 long, or the peak is not above 0.
    """
    if light.ndim < 3 or light.shape[-3] != 3:
        raise InputError(f"HLG light: expected 3 channels on axis -3, found shape {tuple(light.shape)}")
    if not peak > 0:
        raise InputError(f"HLG display: expected a peak above 0, found {peak:g}")
    gamma = 1.2 + 0.42 * math.log10(peak / 1000)
    display = light.double().clamp_min(0.0) / peak
    weights = torch.tensor(HLG_LUMA, dtype=display.dtype, device=display.device).reshape(3, 1, 1)
    brightness = (weights * display).sum(dim=-3, keepdim=True)
    # Y^((1-γ)/γ) grows without bound towards black, where F vanishes faster; black itself is set to 0.
    gain = torch.where(brightness > _TINY, brightness.clamp_min(_TINY) ** ((1 - gamma) / gamma), 0.0)
    return oetf_hlg(gain * display).to(light.dtype)


_DECODERS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda signal: signal.clamp_min(0.0),
    "gamma22": eotf_gamma22,
    "gamma28": lambda signal: _power(signal, 2.8),
    "srgb": eotf_srgb,
    "bt709": eotf_bt709,
    "unspecified": eotf_bt709,
    "pq": eotf_pq,
    "hlg": oetf_hlg_inverse,
}


def linearise(signal: Tensor, transfer: str) -> Tensor:
    """Decode a signal by the name of its transfer function, as `VideoReader.transfer` gives it.

    Args:
        signal: R'G'B' in [0, 1].
        transfer: "linear", "gamma22", "gamma28", "srgb", "bt709", "pq", "hlg" or "unspecified" (taken as bt709).

    Returns:
        Linear light: cd/m² for "pq", scene-linear [0, 1] for "hlg" and "bt709", relative [0, 1] for the others.

    Raises:
        InputError: another name.
    """
    if transfer not in _DECODERS:
        raise InputError(f"transfer function: expected one of {', '.join(_DECODERS)}, found {transfer!r}")
    return _DECODERS[transfer](signal)


def _power(x: Tensor, exponent: float) -> Tensor:
    """`max(x, 0)^exponent` with a finite gradient: 0 (value and slope) below `_TINY`."""
    return torch.where(x > _TINY, x.clamp_min(_TINY) ** exponent, 0.0)
