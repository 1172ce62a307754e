"""What of a clip a report holds: which frames, at what size, with which precision, within a fixed number of bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_FRAMES = 24
"""Frames in a report. A longer clip is sampled, in runs of two periods, so that motion and alternation still show."""

MAX_PIXELS = 24 * 640 * 360
"""Pixels of all frames together. Larger frames are reduced by a whole factor."""

BUDGET = 24_000_000
"""Bytes of pixel data: a report with its page stays under 25 MB."""


@dataclass(frozen=True)
class Selection:
    """The frames of a report.

    Attributes:
        frames: their indices in the clip, in order.
        total: frames of the clip.
        reduce: side of the blocks of pixels that become one.
    """

    frames: tuple[int, ...]
    total: int
    reduce: int

    @property
    def sampled(self) -> bool:
        """Whether frames were left out."""
        return len(self.frames) < self.total


def select(
    indices: Sequence[int],
    size: tuple[int, int],
    period: int,
    max_frames: int = MAX_FRAMES,
    max_pixels: int = MAX_PIXELS,
) -> Selection:
    """Choose the frames and their size.

    Args:
        indices: frames of the clip, in order, at least one.
        size: (height, width) of a frame.
        period: exposures of the schedule; frames are taken in runs of two periods.
        max_frames: at most so many frames, or one run if that is more.
        max_pixels: at most so many pixels in all.
    """
    count, run = len(indices), 2 * period
    if count <= max_frames:
        chosen = tuple(indices)
    else:
        runs = max(1, max_frames // run)
        last = count - run
        starts = [round(i * last / (runs - 1)) if runs > 1 else last // 2 for i in range(runs)]
        chosen = tuple(indices[k] for k in sorted({s + j for s in starts for j in range(run) if s + j < count}))
    reduce = 1
    while len(chosen) * -(-size[0] // reduce) * -(-size[1] // reduce) > max_pixels:
        reduce += 1
    return Selection(chosen, count, reduce)


@dataclass(frozen=True)
class Precision:
    """How exactly a frame is stored; see `packing` for the units.

    Attributes:
        result: step of the result's radiance.
        levels: of the votes.
        candidate: step of the candidates' radiance, a multiple of `result`.
        reduce: side of the blocks of pixels of which votes and candidates are means.
    """

    result: float
    levels: int
    candidate: float
    reduce: int


FRAME_PRECISIONS = (
    Precision(1 / 512, 255, 1 / 64, 1),
    Precision(1 / 256, 63, 1 / 32, 1),
    Precision(1 / 128, 63, 1 / 32, 2),
    Precision(1 / 128, 31, 1 / 16, 2),
    Precision(1 / 64, 31, 1 / 16, 2),
    Precision(1 / 32, 15, 1 / 16, 4),
)
"""From fine to coarse: 0.1 % to 1.6 % of the radiance."""

INPUT_STEPS = (1, 3, 4, 6)
"""Steps of the input frames' 8-bit codes, from exact to within 3 codes."""

INPUT_SHARE = 0.26
"""Share of the bytes that the input frames get: what they need next to the rest, on noisy footage."""


class Allowance:
    """Shares a number of bytes among parts, and finds the finest precision at which each fits its share.

    Args:
        total: bytes for all parts.
        count: number of parts.
        choices: number of precisions, from fine to coarse.
    """

    def __init__(self, total: float, count: int, choices: int) -> None:
        self.left, self.count, self.choices = total, count, choices
        self.last, self.roomy = 0, False

    def spend(self, size: int) -> None:
        """Account for a part that exists already."""
        self.left -= size
        self.count -= 1

    def fit(self, encode: Callable[[int], bytes]) -> bytes:
        """The next part at the finest precision that fits; at the coarsest if none does.

        Neighbouring frames are alike, so the search begins where the last one ended, or one finer if there was room.

        Args:
            encode: number of a precision to the part's bytes.
        """
        share = self.left / max(1, self.count)
        data = b""
        for choice in range(max(0, self.last - self.roomy), self.choices):
            data, self.last = encode(choice), choice
            if len(data) <= share:
                break
        self.roomy = len(data) < 0.85 * share
        self.spend(len(data))
        return data
