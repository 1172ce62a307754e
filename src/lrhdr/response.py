"""A camera's response: which linear light each code value stands for, as a table; and the clip's black and white codes.

Codes are what a file stores, in [0, 1]. Light is linear in [0, 1], 1 = saturation of the frame. Frames go through the
table once and are encoded again with gamma 2.2, the package's LDR encoding (`docs/method.md`), before anything else.

The black and the saturation code are properties of the clip, estimated once. How they apply depends on the curve:

- a display-like curve (gamma, sRGB, BT.709, linear) spans the recorded range, whatever that is: codes are stretched,
  `f((v - black) / (saturation - black))`;
- in a camera's log curve and in a measured table each code has its own meaning: light is stretched,
  `(f(v) - f(black)) / (f(saturation) - f(black))`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.log_curves import LOG_CURVES, decode_log
from lrhdr.radiometry import GAMMA
from lrhdr.transfer import linearise

CODES = 65536
"""Entries of a table: one per 16-bit code, so that 8- to 16-bit files are looked up exactly."""

NAMED_CURVES = ("gamma2.2", "srgb", "bt709", "linear", *LOG_CURVES)
"""Curves that have a name; the first is what a clip is taken to have when nothing is said."""

_TRANSFERS = {"gamma2.2": "gamma22", "srgb": "srgb", "bt709": "bt709", "linear": "linear"}


@dataclass(frozen=True, eq=False)
class ResponseCurve:
    """Code value to linear light.

    Attributes:
        name: of a named curve, or of the file that it came from.
        table: (65536, 3) float32, light of code k / 65535 in R, G, B; never falls, 0 or more, 1 at the last code.
        absolute: whether each code has its own meaning (see the module's docstring).
    """

    name: str
    table: NDArray[np.float32]
    absolute: bool

    def __post_init__(self) -> None:
        """Check the table.

        Raises:
            InputError: wrong shape, not finite, negative, falling, or nothing but one value.
        """
        t = self.table
        if t.shape != (CODES, 3):
            raise InputError(f"{self.name}: expected a response of {CODES} x 3 values, found shape {t.shape}")
        if not np.isfinite(t).all() or t.min() < 0:
            raise InputError(f"{self.name}: found NaN, infinite or negative light in the response")
        if (np.diff(t, axis=0) < 0).any():
            raise InputError(f"{self.name}: found a response that falls, expected one that never does")
        if not np.allclose(t[-1], 1.0, atol=1e-5):
            raise InputError(f"{self.name}: found {t[-1].max():g} at the last code, expected 1")

    @property
    def is_identity(self) -> bool:
        """Whether the curve is the package's own encoding, so that frames need not be touched."""
        return self.name == NAMED_CURVES[0]

    def with_levels(self, black: float = 0.0, saturation: float = 1.0) -> ResponseCurve:
        """The curve of a clip whose black and white are recorded at other codes than 0 and 1.

        Args:
            black: code of no light, in [0, 0.5).
            saturation: code from which the sensor or the file is full, in (0.5, 1].

        Returns:
            A curve that is 0 up to `black` and 1 from `saturation` on; this one where they are 0 and 1.

        Raises:
            InputError: levels outside these ranges.
        """
        if not (0.0 <= black < 0.5 < saturation <= 1.0):
            raise InputError(f"levels: expected 0 <= black < 0.5 < saturation <= 1, found {black:g} and {saturation:g}")
        if black == 0.0 and saturation == 1.0:
            return self
        codes = np.linspace(0.0, 1.0, CODES)
        if self.absolute:
            low, high = (np.array([_at(self.table[:, c], level) for c in range(3)]) for level in (black, saturation))
            table = (self.table - low) / (high - low)
        else:
            stretched = (codes - black) / (saturation - black)
            table = np.stack([_at(self.table[:, c], stretched) for c in range(3)], axis=1)
        name = f"{self.name} from {black:.4g} to {saturation:.4g}"
        return ResponseCurve(name, table.clip(0.0, 1.0).astype(np.float32), self.absolute)

    def linear(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Look up the light of a frame.

        Args:
            image: (H, W, 3) codes in [0, 1]; values outside are clamped.

        Returns:
            (H, W, 3) float32, linear light in [0, 1].
        """
        return _look_up(self.table, image)

    def to_ldr(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring a frame to the package's LDR encoding.

        Args:
            image: (H, W, 3) codes in [0, 1].

        Returns:
            (H, W, 3) float32 in [0, 1], gamma-encoded (2.2); the input itself for the package's own curve.
        """
        if self.is_identity:
            return image
        return _look_up(self.table ** np.float32(1.0 / GAMMA), image)


def named_curve(name: str) -> ResponseCurve:
    """A curve by its name.

    Args:
        name: one of `NAMED_CURVES`.

    Returns:
        The curve; log curves are scaled to 1 at the largest code and are 0 below their black.

    Raises:
        InputError: another name.
    """
    if name not in NAMED_CURVES:
        raise InputError(f"response curve: expected one of {', '.join(NAMED_CURVES)}, found {name!r}")
    codes = torch.linspace(0.0, 1.0, CODES, dtype=torch.float64)
    light = decode_log(codes, name) if name in LOG_CURVES else linearise(codes, _TRANSFERS[name])
    scaled = (light.clamp_min(0.0) / light[-1]).float().numpy()
    return ResponseCurve(name, np.repeat(scaled[:, None], 3, axis=1), name in LOG_CURVES)


def curve_from_samples(name: str, samples: NDArray[np.floating[Any]]) -> ResponseCurve:
    """A curve from a measured table.

    Args:
        name: of the file or camera.
        samples: (n,) or (n, 3) light of n evenly spaced codes, the first 0, the last the largest; n >= 2. Scaled so
            that the largest code is 1; small falls, which noise leaves in measured tables, are levelled.

    Returns:
        The curve, interpolated linearly.

    Raises:
        InputError: another shape, not finite, negative, or falling by more than a hundredth of the range.
    """
    table = np.asarray(samples, np.float64)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] not in (1, 3):
        raise InputError(f"{name}: expected a table of n or n x 3 values, found shape {np.shape(samples)}")
    if not np.isfinite(table).all() or table.min() < 0 or (table[-1] <= 0).any():
        raise InputError(f"{name}: expected finite light of at least 0 that ends above 0")
    raised = np.maximum.accumulate(table, axis=0)
    if (raised - table).max() > 0.01 * table.max():
        raise InputError(f"{name}: found a response that falls, expected light that grows with the code")
    raised = np.repeat(raised / raised[-1], 3 // raised.shape[1], axis=1)
    codes = np.linspace(0.0, 1.0, CODES)
    full = np.stack([_at(raised[:, c], codes) for c in range(3)], axis=1)
    return ResponseCurve(name, full.astype(np.float32), True)


def _at(table: NDArray[np.floating[Any]], code: Any) -> Any:
    return np.interp(code, np.linspace(0.0, 1.0, len(table)), table)


def _look_up(table: NDArray[np.float32], image: NDArray[np.float32]) -> NDArray[np.float32]:
    index = (image.clip(0.0, 1.0) * np.float32(CODES - 1) + np.float32(0.5)).astype(np.uint16)
    result = np.empty(image.shape, np.float32)
    for channel in range(3):
        result[..., channel] = table[:, channel][index[..., channel]]
    return result
