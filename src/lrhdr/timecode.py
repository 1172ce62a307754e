"""SMPTE time code (ST 12-1): the number of a frame as hours, minutes, seconds and frames.

Time code counts frames, not seconds: at 24000/1001 frames per second its base is 24, and an hour of it lasts 3.6 s
longer than an hour. Drop-frame time code (bases 30 and 60 of 30000/1001 and 60000/1001) leaves out 2 (4) *numbers* in
every minute but the tenth, which keeps it near the clock. Above 30 frames per second files count pairs of frames, and
the field flag tells the two apart (ST 12-1, clause 12); `Timecode` itself counts single frames.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from lrhdr.checks import InputError

MAX_BASE = 60
"""Highest frame rate that files can number."""


@dataclass(frozen=True)
class Timecode:
    """A frame's number in a day.

    Attributes:
        frame: frames since 00:00:00:00, without gaps.
        base: frames per second of the count.
        drop: whether it is written as drop-frame.
    """

    frame: int
    base: int
    drop: bool = False

    def __post_init__(self) -> None:
        """Check the values, and wrap round at midnight.

        Raises:
            InputError: a base that is not 1 to 60, or drop-frame with a base other than 30 and 60.
        """
        if not 1 <= self.base <= MAX_BASE:
            raise InputError(f"timecode: expected a rate of 1 to {MAX_BASE} frames per second, found {self.base}")
        if self.drop and self.base not in (30, 60):
            raise InputError(f"timecode: drop-frame (;) goes with 29.97 and 59.94 frames per second, found {self.base}")
        per_day = 24 * 3600 * self.base - (24 * 54 * self._dropped if self.drop else 0)
        object.__setattr__(self, "frame", self.frame % per_day)

    @property
    def _dropped(self) -> int:
        return self.base // 15

    def __add__(self, frames: int) -> Timecode:
        """The time code so many frames later."""
        return Timecode(self.frame + frames, self.base, self.drop)

    @property
    def fields(self) -> tuple[int, int, int, int]:
        """Hours, minutes, seconds, frames as they are written."""
        number = self.frame
        if self.drop:
            per_minute, per_ten = 60 * self.base - self._dropped, 600 * self.base - 9 * self._dropped
            tens, rest = divmod(number, per_ten)
            # The first of ten minutes keeps its numbers.
            minutes = 0 if rest < 60 * self.base else 1 + (rest - 60 * self.base) // per_minute
            number += self._dropped * (9 * tens + minutes)
        seconds, frames = divmod(number, self.base)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return hours, minutes, seconds, frames

    def __str__(self) -> str:
        """HH:MM:SS:FF, or HH:MM:SS;FF for drop-frame."""
        hours, minutes, seconds, frames = self.fields
        return f"{hours:02d}:{minutes:02d}:{seconds:02d}{';' if self.drop else ':'}{frames:02d}"


def timecode_base(rate: Fraction) -> int | None:
    """Frames per second that time code counts at a rate: the next whole number; None above `MAX_BASE` or below 1."""
    base = round(rate) if rate >= 1 else 0
    return base if 1 <= base <= MAX_BASE and abs(rate - base) <= Fraction(base, 500) else None


def parse_timecode(text: str, rate: Fraction) -> Timecode:
    """Read a time code as a person types it.

    Args:
        text: HH:MM:SS:FF, or with ';' before the frames for drop-frame.
        rate: the clip's frames per second.

    Returns:
        The time code.

    Raises:
        InputError: not of that form, numbers out of range or left out by drop-frame, or a rate without time code.
    """
    match = re.fullmatch(r"(\d{1,2}):(\d{2}):(\d{2})([:;.])(\d{2,3})", text.strip())
    base = timecode_base(rate)
    if base is None:
        raise InputError(
            f"timecode: expected a whole frame rate up to {MAX_BASE} (or its 1000/1001), found {float(rate):g}"
        )
    if not match:
        raise InputError(f"timecode: expected HH:MM:SS:FF, found {text!r}")
    hours, minutes, seconds, frames = (int(match[i]) for i in (1, 2, 3, 5))
    drop = match[4] != ":"
    if hours > 23 or minutes > 59 or seconds > 59 or frames >= base:
        raise InputError(f"timecode: expected at most 23:59:59:{base - 1:02d}, found {text!r}")
    zero = Timecode(0, base, drop)  # checks the base
    number = ((hours * 60 + minutes) * 60 + seconds) * base + frames
    if drop:
        total_minutes = 60 * hours + minutes
        number -= base // 15 * (total_minutes - total_minutes // 10)
    code = zero + number
    if code.fields != (hours, minutes, seconds, frames):
        raise InputError(f"timecode: found {text!r}, a number that drop-frame leaves out")
    return code
