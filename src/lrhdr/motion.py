"""How cameras and things move: smooth random paths with hand tremor, from standing still to fast.

A path is a sum of slow sinusoids per degree of freedom. Over a window of a few frames it looks like constant velocity
with a little acceleration; over a long clip it stays near where it began. Times are in frames; distances in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MotionConfig:
    """How fast things move. Speeds are log-normal: small motion is common, large motion is a heavy tail.

    Attributes:
        median_speed: pixels per frame.
        spread: standard deviation of ln(speed).
        max_speed: no faster than this, pixels per frame.
        still_share: share of things that do not move at all (a tripod), in [0, 1].
        tremor: median amplitude of a hand-held camera's shake, pixels.
    """

    median_speed: float = 3.0
    spread: float = 1.1
    max_speed: float = 40.0
    still_share: float = 0.12
    tremor: float = 0.35

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a value outside its range.
        """
        if min(self.median_speed, self.max_speed) <= 0 or self.spread < 0 or self.tremor < 0:
            raise ValueError(f"expected speeds > 0, spread and tremor >= 0, found {self}")
        if not 0.0 <= self.still_share <= 1.0:
            raise ValueError(f"expected still_share in [0, 1], found {self.still_share}")

    def sample_speed(self, rng: np.random.Generator) -> float:
        """Draw a speed in pixels per frame (0 for `still_share` of the draws)."""
        if rng.random() < self.still_share:
            return 0.0
        return float(min(self.median_speed * math.exp(self.spread * rng.standard_normal()), self.max_speed))


@dataclass(frozen=True)
class Pose:
    """Where something is relative to where it began: shift in pixels, rotation in radians, ln of the scale."""

    dx: float = 0.0
    dy: float = 0.0
    rotation: float = 0.0
    log_scale: float = 0.0


class Path:
    """A smooth path through `Pose`s; `path(origin)` is the identity.

    Args:
        rng: numbers come from here, all of them at construction.
        speed: typical pixels per frame.
        radius: half the size of what moves, in pixels: rotation and zoom are drawn so that its rim moves by a share of
            `speed`.
        tremor: amplitude of the shake, pixels.
        turn: share of the speed that may go into rotation and zoom.
        origin: the time at which the pose is the identity.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        speed: float,
        radius: float,
        *,
        tremor: float = 0.0,
        turn: float = 0.3,
        origin: float = 0.0,
    ) -> None:
        # Pans are more often horizontal than vertical, as in real footage (our choice).
        angle = rng.vonmises(0.0, 0.7) + math.pi * rng.integers(0, 2)
        rim = speed * turn / max(radius, 1.0)
        rates = np.array(
            [
                speed * math.cos(angle),
                speed * math.sin(angle),
                rim * rng.standard_normal() * 0.5,
                rim * rng.standard_normal() * 0.5,
            ]
        )
        # Two slow waves a degree of freedom. Amplitude * 2 pi / period is the peak speed of a wave.
        periods = np.exp(rng.uniform(math.log(16.0), math.log(90.0), (4, 2)))
        share = rng.dirichlet([2.0, 1.0], 4)
        self._omega = 2.0 * math.pi / periods
        # 1.25: the mean of |cos| over a random phase would otherwise lower the typical speed below `speed`.
        self._amplitude = 1.25 * rates[:, None] * share / self._omega
        # Phases near the fast part of the first wave, so that a short window does move at about `speed`.
        self._phase = np.concatenate([rng.uniform(-0.9, 0.9, (4, 1)), rng.uniform(-math.pi, math.pi, (4, 1))], 1)
        shake = np.array([tremor, tremor, 0.3 * tremor / max(radius, 1.0), 0.0])
        self._shake_omega = 2.0 * math.pi / rng.uniform(2.5, 9.0, (4, 3))
        self._shake_amplitude = shake[:, None] * rng.standard_normal((4, 3)) / math.sqrt(3.0)
        self._shake_phase = rng.uniform(-math.pi, math.pi, (4, 3))
        self._offset = np.zeros(4)
        self._origin = origin
        self._offset = self._raw(origin)

    def _raw(self, time: float) -> np.ndarray:
        t = time - self._origin
        slow = (self._amplitude * np.sin(self._omega * t + self._phase)).sum(1)
        fast = (self._shake_amplitude * np.sin(self._shake_omega * t + self._shake_phase)).sum(1)
        return np.asarray(slow + fast - self._offset)

    def __call__(self, time: float) -> Pose:
        """The pose at `time` (frames; fractions allowed)."""
        dx, dy, rotation, log_scale = (float(v) for v in self._raw(time))
        return Pose(dx, dy, rotation, log_scale)
