"""Primaries: linear RGB to CIE XYZ, luminance, and conversion between colour spaces with the white D65.

All values are linear light. The channel axis is third from the end: (..., 3, H, W).
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

CHROMATICITIES: dict[str, Chromaticities] = {
    "bt709": Chromaticities(0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65),  # ITU-R BT.709-6, also sRGB
    "bt2020": Chromaticities(0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),  # ITU-R BT.2020-2, BT.2100-2
    "display-p3": Chromaticities(0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),  # SMPTE EG 432-1
    "bt601-525": Chromaticities(0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),  # ITU-R BT.601-7, SMPTE 170M
    "bt601-625": Chromaticities(0.640, 0.330, 0.290, 0.600, 0.150, 0.060, *_D65),  # ITU-R BT.601-7, EBU 3213
}
"""By the names of `VideoReader.primaries`."""


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


def rgb_to_xyz(rgb: Tensor, primaries: str = "bt709") -> Tensor:
    """Linear RGB to CIE 1931 XYZ, white D65 with Y = 1.

    Args:
        rgb: linear, (..., 3, H, W).
        primaries: a name in `CHROMATICITIES`.

    Returns:
        (..., 3, H, W).

    Raises:
        InputError: unknown primaries, or no axis of 3 channels.
    """
    return _apply(_to_xyz(primaries), rgb)


def xyz_to_rgb(xyz: Tensor, primaries: str = "bt709") -> Tensor:
    """The inverse of `rgb_to_xyz`; colours outside the primaries' triangle come out negative."""
    return _apply(np.linalg.inv(_to_xyz(primaries)), xyz)


def convert_primaries(rgb: Tensor, source: str, target: str) -> Tensor:
    """Express linear RGB in other primaries; the white is D65 in all of them, so nothing is adapted.

    Args:
        rgb: linear, (..., 3, H, W).
        source: primaries of `rgb`, a name in `CHROMATICITIES`.
        target: primaries of the result.

    Returns:
        (..., 3, H, W); negative where the colour lies outside the target's triangle (not clipped).

    Raises:
        InputError: unknown primaries, or no axis of 3 channels.
    """
    return _apply(np.linalg.solve(_to_xyz(target), _to_xyz(source)), rgb)


def bt2020_to_bt709(rgb: Tensor) -> Tensor:
    """Linear BT.2020 to linear BT.709 (ITU-R BT.2407); see `convert_primaries`."""
    return convert_primaries(rgb, "bt2020", "bt709")


def bt709_to_bt2020(rgb: Tensor) -> Tensor:
    """Linear BT.709 to linear BT.2020 (ITU-R BT.2087); see `convert_primaries`."""
    return convert_primaries(rgb, "bt709", "bt2020")
