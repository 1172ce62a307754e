"""Which exposure each frame has, and which frames the network sees for each output frame.

A schedule is one period of exposures that repeats over the video (two exposures: short, long, short, ...). Windows keep
the phase at the ends of a video: a missing neighbour is replaced by the nearest frame of the *same exposure*.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrhdr.checks import InputError

if TYPE_CHECKING:
    from torch import Tensor


LARGEST_RATIO = 2.0**40
"""Of the longest exposure to the shortest; chosen by us: above any camera's, and far inside float32."""


def interpolation_pairs(n_exposures: int) -> tuple[tuple[int, int, float], ...]:
    """The same-exposure pairs around the reference from which frames at its time are interpolated.

    Args:
        n_exposures: N_e >= 2.

    Returns:
        For k = 1 .. N_e - 1: (position of offset -k in the window, position of offset N_e - k, fraction k / N_e of the
        way from the first to the second). Windows have 2 N_e - 1 frames, the reference at position N_e - 1.
    """
    centre = n_exposures - 1
    return tuple((centre - k, centre + n_exposures - k, k / n_exposures) for k in range(1, n_exposures))


def interpolated_exposures(exposures: Tensor) -> Tensor:
    """Exposures of the interpolated frames: pair k of `interpolation_pairs` has that of the frame at offset -k.

    Args:
        exposures: (B, T) of the window.

    Returns:
        (B, N_e - 1).
    """
    return exposures[:, : exposures.shape[1] // 2].flip(1)


def parse_exposures_txt(text: str, name: str = "Exposures.txt") -> tuple[float, ...]:
    """Read the field's `Exposures.txt`: log2 stops of one period, separated by white space or commas.

    Args:
        text: the file's content.
        name: what to call it in the message.

    Returns:
        The stops in file order.

    Raises:
        InputError: not numbers, or fewer than two.
    """
    words = text.replace(",", " ").split()
    try:
        stops = tuple(float(word) for word in words)
    except ValueError:
        raise InputError(f"{name}: expected stops (numbers), one per exposure of the period, found {words!r}") from None
    if len(stops) < 2 or not all(math.isfinite(s) for s in stops):
        raise InputError(f"{name}: expected at least two finite stops, found {words!r}")
    return stops


@dataclass(frozen=True)
class ExposureSchedule:
    """One period of exposures, repeated over a video.

    Attributes:
        exposures: exposures of one period, in order, in any common linear unit (seconds; or relative); > 0.
        start: position in the period of the video's first frame.
    """

    exposures: tuple[float, ...]
    start: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: fewer than two exposures, one not finite or not > 0, all equal, a ratio above
                `LARGEST_RATIO`, or `start` outside the period.
        """
        object.__setattr__(self, "exposures", tuple(float(e) for e in self.exposures))
        if len(self.exposures) < 2:
            raise InputError(f"exposures: expected at least two for one period, found {list(self.exposures)}")
        if not all(math.isfinite(e) and e > 0.0 for e in self.exposures):
            raise InputError(f"exposures: expected finite numbers > 0, found {list(self.exposures)}")
        if max(self.exposures) / min(self.exposures) < 1.005:
            raise InputError(f"exposures: expected different exposures, found {list(self.exposures)}: nothing to merge")
        if max(self.exposures) / min(self.exposures) > LARGEST_RATIO:
            raise InputError(
                f"exposures: expected a ratio of at most 2^{math.log2(LARGEST_RATIO):.0f}, found {list(self.exposures)}"
            )
        if not 0 <= self.start < len(self.exposures):
            raise InputError(f"start: expected 0 to {len(self.exposures) - 1}, found {self.start}")

    @classmethod
    def from_seconds(cls, seconds: Sequence[float], start: int = 0) -> ExposureSchedule:
        """Make a schedule from exposure times in seconds."""
        return cls(tuple(seconds), start)

    @classmethod
    def from_stops(cls, stops: Sequence[float], start: int = 0) -> ExposureSchedule:
        """Make a schedule from exposure values in stops (EV; +1 = twice the light), as in `Exposures.txt`.

        Raises:
            InputError: a stop is not finite or its size exceeds 100.
        """
        if not all(math.isfinite(s) and abs(s) <= 100.0 for s in stops):
            raise InputError(f"stops: expected finite stops between -100 and 100, found {list(stops)}")
        return cls(tuple(2.0 ** (s - min(stops)) for s in stops), start)

    @property
    def n_exposures(self) -> int:
        """N_e, the length of the period in frames."""
        return len(self.exposures)

    @property
    def relative(self) -> tuple[float, ...]:
        """The period with the shortest exposure = 1."""
        shortest = min(self.exposures)
        return tuple(e / shortest for e in self.exposures)

    @property
    def ratio(self) -> float:
        """Longest over shortest exposure."""
        return max(self.exposures) / min(self.exposures)

    def phase(self, index: int) -> int:
        """Position in the period of frame `index` (0-based; negative indices go on before the first frame)."""
        return (self.start + index) % self.n_exposures

    def exposure(self, index: int) -> float:
        """Relative exposure of frame `index` (shortest of the period = 1)."""
        return self.relative[self.phase(index)]

    def check_length(self, n_frames: int, name: str = "input") -> None:
        """Refuse a video that does not hold one full period.

        Raises:
            InputError: fewer frames than exposures.
        """
        if n_frames < self.n_exposures:
            raise InputError(
                f"{name}: found {n_frames} frame{'s' if n_frames != 1 else ''}, expected at least {self.n_exposures} "
                f"(one per exposure)"
            )

    def window(self, index: int, n_frames: int) -> tuple[int, ...]:
        """Frames that the network sees for output frame `index`.

        Args:
            index: 0 <= index < n_frames.
            n_frames: length of the video, >= N_e.

        Returns:
            2 N_e - 1 indices in [0, n_frames), the reference in the middle. Offset d stands for `index + d`, moved by
            whole periods where that lies outside the video.

        Raises:
            InputError: the video is shorter than one period.
            IndexError: `index` outside the video.
        """
        self.check_length(n_frames)
        if not 0 <= index < n_frames:
            raise IndexError(f"frame {index} of a video with {n_frames} frames")
        n = self.n_exposures
        frames = []
        for offset in range(1 - n, n):
            frame = index + offset
            if frame < 0:
                frame += n * math.ceil(-frame / n)
            elif frame >= n_frames:
                frame -= n * math.ceil((frame - n_frames + 1) / n)
            frames.append(frame)
        return tuple(frames)

    def window_exposures(self, index: int) -> tuple[float, ...]:
        """Relative exposures of the window of frame `index` (the same at the ends of the video as inside)."""
        return tuple(self.exposure(index + offset) for offset in range(1 - self.n_exposures, self.n_exposures))
