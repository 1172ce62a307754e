"""Primaries: linear RGB to CIE XYZ, luminance, and conversion between colour spaces.

All values are linear light. The channel axis is third from the end: (..., 3, H, W); `conversion_matrix` serves other
layouts. Between spaces of different whites (D65, and about D60 of ACES) colours are adapted by the Bradford
method (as in CIE 160 and in the OpenColorIO configurations for ACES), so that white stays white.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrhdr.checks import InputError


class Chromaticities(NamedTuple):
    """CIE 1931 xy of the primaries and the white, in the order of OpenEXR's header attribute."""

    red_x: float
    red_y: float
    green_x: float
    green_y: float
    blue_x: float
    blue_y: float
    white_x: float
    white_y: float


_D65 = (0.3127, 0.3290)
_ACES_WHITE = (0.32168, 0.33767)  # SMPTE ST 2065-1; about D60

CHROMATICITIES: dict[str, Chromaticities] = {
    "bt709": Chromaticities(0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65),  # ITU-R BT.709-6, also sRGB
    "bt2020": Chromaticities(0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),  # ITU-R BT.2020-2, BT.2100-2
    "display-p3": Chromaticities(0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),  # SMPTE EG 432-1
    "bt601-525": Chromaticities(0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),  # ITU-R BT.601-7, SMPTE 170M
    "bt601-625": Chromaticities(0.640, 0.330, 0.290, 0.600, 0.150, 0.060, *_D65),  # ITU-R BT.601-7, EBU 3213
    "dci-p3": Chromaticities(0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),  # SMPTE RP 431-2
    # Cameras, by the makers' white papers:
    "s-gamut3": Chromaticities(0.730, 0.280, 0.140, 0.855, 0.100, -0.050, *_D65),
    "s-gamut3.cine": Chromaticities(0.766, 0.275, 0.225, 0.800, 0.089, -0.087, *_D65),
    "v-gamut": Chromaticities(0.730, 0.280, 0.165, 0.840, 0.100, -0.030, *_D65),
    "cinema-gamut": Chromaticities(0.740, 0.270, 0.170, 1.140, 0.080, -0.100, *_D65),
    "arri-wide-gamut3": Chromaticities(0.6840, 0.3130, 0.2210, 0.8480, 0.0861, -0.1020, *_D65),
    "aces-ap0": Chromaticities(0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.0770, *_ACES_WHITE),  # SMPTE ST 2065-1
    "aces-ap1": Chromaticities(0.713, 0.293, 0.165, 0.830, 0.128, 0.044, *_ACES_WHITE),  # Academy S-2014-004 (ACEScg)
}
"""By the names of `VideoReader.primaries`; those of cameras that film in log; the two of ACES."""

COLORSPACES: dict[str, str] = {
    "lin_rec709": "bt709",
    "lin_rec2020": "bt2020",
    "acescg": "aces-ap1",
    "ap0": "aces-ap0",
}
"""Scene-linear spaces of deliveries, by the names that users type, and their primaries."""

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""XYZ to the sharpened cone responses of Bradford (Lam 1985; ICC.1, annex E)."""


@lru_cache
def _to_xyz(primaries: str) -> NDArray[np.float64]:
    """The 3x3 matrix from RGB to XYZ (SMPTE RP 177): columns scaled so that RGB = 1 is the white of Y = 1."""
    if primaries not in CHROMATICITIES:
        raise InputError(f"primaries: expected one of {', '.join(CHROMATICITIES)}, found {primaries!r}")
    points = np.array(CHROMATICITIES[primaries]).reshape(4, 2)
    xyz = np.concatenate([points, 1 - points.sum(axis=1, keepdims=True)], axis=1) / points[:, 1:]  # each with Y = 1
    columns, white = xyz[:3].T, xyz[3]
    matrix: NDArray[np.float64] = columns * np.linalg.solve(columns, white)
    return matrix


def _apply(matrix: NDArray[np.floating[Any]], colour: Tensor) -> Tensor:
    if colour.ndim < 3 or colour.shape[-3] != 3:
        raise InputError(f"colour: expected 3 channels on axis -3, found shape {tuple(colour.shape)}")
    weights = torch.tensor(matrix, dtype=colour.dtype, device=colour.device)
    return torch.einsum("ij,...jhw->...ihw", weights, colour)


def luminance(rgb: Tensor, primaries: str = "bt709") -> Tensor:
    """Relative luminance Y; for BT.709 `0.2126 R + 0.7152 G + 0.0722 B`.

    Args:
        rgb: linear, (..., 3, H, W), any unit.
        primaries: a name in `CHROMATICITIES`.

    Returns:
        (..., 1, H, W), the same unit; 1 for RGB = (1, 1, 1).

    Raises:
        InputError: unknown primaries, or no axis of 3 channels.
    """
    return _apply(_to_xyz(primaries)[1:2], rgb)


def convert_primaries(rgb: Tensor, source: str, target: str) -> Tensor:
    """Express linear RGB in other primaries; RGB = (1, 1, 1) stays (1, 1, 1) (see `conversion_matrix`).

    Args:
        rgb: linear, (..., 3, H, W).
        source: primaries of `rgb`, a name in `CHROMATICITIES`.
        target: primaries of the result.

    Returns:
        (..., 3, H, W); negative where the colour lies outside the target's triangle (not clipped).

    Raises:
        InputError: unknown primaries, or no axis of 3 channels.
    """
    return _apply(conversion_matrix(source, target), rgb)


def to_rec709(rgb: NDArray[np.float32], primaries: str) -> NDArray[np.float32]:
    """Linear light as Rec. 709; colours outside it become negative.

    Args:
        rgb: (..., 3).
        primaries: of it, a name in `CHROMATICITIES`.

    Raises:
        InputError: unknown primaries.
    """
    if primaries == "bt709":
        return rgb
    return np.asarray(rgb @ conversion_matrix(primaries, "bt709").T.astype(np.float32), dtype=np.float32)


@lru_cache
def conversion_matrix(source: str, target: str) -> NDArray[np.float64]:
    """The 3x3 matrix M with `rgb_target = M @ rgb_source`, for linear light.

    `to_XYZ(target)^-1 A to_XYZ(source)`, A the Bradford adaptation from the white of `source` to that of `target` (the
    unit matrix where they are the same).

    Args:
        source: a name in `CHROMATICITIES`.
        target: another.

    Returns:
        (3, 3); its rows sum to 1.

    Raises:
        InputError: unknown primaries.
    """
    to_source, to_target = _to_xyz(source), _to_xyz(target)
    white_source, white_target = to_source.sum(axis=1), to_target.sum(axis=1)
    adapted: NDArray[Any] = to_source
    if CHROMATICITIES[source][6:] != CHROMATICITIES[target][6:]:
        gains = (_BRADFORD @ white_target) / (_BRADFORD @ white_source)
        adapted = np.linalg.solve(_BRADFORD, gains[:, None] * (_BRADFORD @ to_source))
    matrix: NDArray[np.float64] = np.linalg.solve(to_target, adapted)
    return matrix
