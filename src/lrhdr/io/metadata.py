"""What a clip says of its exposures: `Exposures.txt`, EXIF tags, and what a person types.

Exposures are given as one period, in file order: seconds (`1/1000,1/125`) or stops (EV, log2; `0,3`; +1 = twice the
light). `ExposureSchedule` turns either into relative exposures.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from lrhdr.checks import InputError
from lrhdr.exposure import parse_exposures_txt
from lrhdr.io.images import ImageInfo

EXPOSURES_FILE = "Exposures.txt"
"""The field's name for the stops of one period (any case is accepted)."""

MAX_PERIOD = 8
"""Longest period that is looked for in tags; chosen by us: schedules of real cameras have two to five exposures."""

TAG_TOLERANCE_STOPS = 0.1
"""How far equal exposures may differ in their tags; chosen by us: below the third of a stop in which cameras step."""


def parse_exposure_list(text: str) -> tuple[float, ...]:
    """Read exposure times as a person types them.

    Args:
        text: seconds of one period, separated by commas or blanks, each a number or a fraction: `1/1000,1/125`.

    Returns:
        The exposure times in seconds, in order.

    Raises:
        InputError: not numbers, fewer than two, not finite, not above 0, or all equal.
    """
    seconds = parse_numbers(text, "exposures", "exposure times in seconds such as 1/1000,1/125")
    for value in seconds:
        if value <= 0:
            raise InputError(f"exposures: found {value:g} in {text!r}, expected times above 0 seconds")
    return _different(seconds, "exposures", text)


def parse_stops(text: str) -> tuple[float, ...]:
    """Read exposure values as a person types them.

    Args:
        text: stops (EV) of one period, separated by commas or blanks: `0,3`.

    Returns:
        The stops, in order.

    Raises:
        InputError: not numbers, fewer than two, not finite, or all equal.
    """
    return _different(parse_numbers(text, "stops", "stops such as 0,3"), "stops", text)


def parse_numbers(text: str, name: str, expected: str) -> tuple[float, ...]:
    """Read numbers as a person types them.

    Args:
        text: numbers or fractions, separated by commas or blanks.
        name: what to call them in a message.
        expected: what they should be, for the message.

    Returns:
        The numbers, in order.

    Raises:
        InputError: not numbers, not finite, or fewer than two.
    """
    words = text.replace(",", " ").split()
    values = []
    for word in words:
        try:
            value = float(Fraction(word)) if "/" in word else float(word)
        except (ValueError, ZeroDivisionError, OverflowError):
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"{name}: found {word!r}, expected {expected}")
        values.append(value)
    if len(values) < 2:
        raise InputError(f"{name}: found {text!r}, expected at least two {expected}")
    return tuple(values)


def read_exposures_file(folder: Path) -> tuple[float, ...] | None:
    """Read the `Exposures.txt` of a folder.

    Args:
        folder: where to look.

    Returns:
        Stops of one period in file order; None where there is no such file.

    Raises:
        InputError: it cannot be read, holds no numbers, fewer than two, or only equal ones.
    """
    found = sorted(p for p in folder.iterdir() if p.name.lower() == EXPOSURES_FILE.lower() and p.is_file())
    if not found:
        return None
    try:
        text = found[0].read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{found[0]}: expected a text file with stops, found one that cannot be read ({error})"
        ) from error
    return _different(parse_exposures_txt(text, str(found[0])), str(found[0]), text.strip())


def stops_from_tags(infos: Sequence[ImageInfo]) -> tuple[float, ...] | None:
    """Find the repeating period in the exposure tags of a clip's frames.

    The exposure is time x ISO / f-number^2; ISO and f-number count only where every frame has them.

    Args:
        infos: the frames' headers, in order.

    Returns:
        Stops of the shortest period that every frame fits (to `TAG_TOLERANCE_STOPS`), in frame order, the darkest 0;
        None where a frame has no exposure time, nothing alternates, or no period up to `MAX_PERIOD` fits twice.
    """
    stops = frame_stops(infos)
    if stops is None:
        return None
    for period in range(1, min(MAX_PERIOD, len(stops) // 2) + 1):
        if all(abs(s - stops[k % period]) <= TAG_TOLERANCE_STOPS for k, s in enumerate(stops)):
            return tuple(round(s - min(stops[:period]), 3) for s in stops[:period]) if period > 1 else None
    return None


def frame_stops(infos: Sequence[ImageInfo]) -> tuple[float, ...] | None:
    """The exposure of each frame by its tags: log2 of time x ISO / f-number^2.

    Args:
        infos: the frames' headers. ISO and f-number count only where every frame has them.

    Returns:
        Stops, one per frame; None where a frame has no exposure time.
    """
    seconds = _tags(infos, lambda info: info.exposure_seconds)
    if seconds is None:
        return None
    iso = _tags(infos, lambda info: info.iso) or [1.0] * len(infos)
    f_numbers = _tags(infos, lambda info: info.f_number) or [1.0] * len(infos)
    return tuple(math.log2(t * i / f**2) for t, i, f in zip(seconds, iso, f_numbers, strict=True))


def natural_key(path: Path) -> tuple[tuple[int, int | str], ...]:
    """Sort key of a file name that counts: `frame2` before `frame10`."""
    parts = re.findall(r"\d+|\D+", path.name.lower())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)


def _tags(infos: Sequence[ImageInfo], tag: Callable[[ImageInfo], float | None]) -> list[float] | None:
    values = [value for value in map(tag, infos) if value is not None]
    return values if infos and len(values) == len(infos) else None


def _different(values: tuple[float, ...], name: str, text: str) -> tuple[float, ...]:
    if max(values) == min(values):
        raise InputError(f"{name}: found equal values in {text!r}, expected at least two different ones")
    return values
