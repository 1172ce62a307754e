"""What the integration tests share: the outcome of a command, and the scene of their clips."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Outcome(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


def expose(radiance: np.ndarray, exposure: float) -> np.ndarray:
    """Noise-free 8-bit frame of linear radiance (1.0 = saturation of the shortest exposure)."""
    return np.rint(255.0 * (radiance * exposure).clip(0.0, 1.0) ** (1 / 2.2)).astype(np.uint8)


def scene(height: int, width: int) -> np.ndarray:
    """A smooth still scene, (H, W, 3) linear, with dark and bright parts."""
    y, x = np.mgrid[:height, :width]
    # Bright parts stay below 0.9 of the short frame's code values, where merges begin to distrust them.
    base = 0.7 * 2.0 ** (-8.0 * (0.5 + 0.5 * np.sin(x / 5.0) * np.cos(y / 4.0)))
    return np.stack([base, 0.8 * base, 0.6 * base], axis=-1)
