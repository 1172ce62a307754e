"""`lrhdr.timecode`: ST 12-1 counts, drop-frame, wrapping round, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest

from lrhdr.checks import InputError
from lrhdr.timecode import Timecode, parse_timecode, timecode_base


@pytest.mark.parametrize(
    ("rate", "base"),
    [
        (Fraction(24), 24), (Fraction(24000, 1001), 24), (Fraction(30000, 1001), 30), (Fraction(60), 60),
        (Fraction(120), None), (Fraction(1, 2), None), (Fraction(25, 2), None), (Fraction(15), 15),
    ],
)  # fmt: skip
def test_base(rate: Fraction, base: int | None) -> None:
    assert timecode_base(rate) == base


def test_non_drop() -> None:
    assert str(Timecode(1001, 24)) == "00:00:41:17"
    assert str(Timecode(24 * 3600, 24)) == "01:00:00:00"
    assert parse_timecode("01:00:00:00", Fraction(24000, 1001)).frame == 86400
    assert str(Timecode(24 * 3600 * 24 - 1, 24) + 1) == "00:00:00:00"


def test_drop_frame_leaves_out_numbers() -> None:
    """ST 12-1: after 00:00:59;29 comes 00:01:00;02, after 00:09:59;29 comes 00:10:00;00."""
    assert str(Timecode(1799, 30, True)) == "00:00:59;29"
    assert str(Timecode(1800, 30, True)) == "00:01:00;02"
    assert str(Timecode(17981, 30, True)) == "00:09:59;29"
    assert str(Timecode(17982, 30, True)) == "00:10:00;00"
    assert str(Timecode(3600, 60, True)) == "00:01:00;04"
    # An hour of drop-frame is 107892 frames.
    assert parse_timecode("01:00:00;00", Fraction(30000, 1001)).frame == 107892
    assert str(Timecode(24 * 107892 - 1, 30, True)) == "23:59:59;29"
    assert str(Timecode(24 * 107892, 30, True)) == "00:00:00;00"


@pytest.mark.parametrize(("base", "drop"), [(24, False), (30, True), (60, True), (25, False)])
def test_reading_undoes_writing(base: int, drop: bool) -> None:
    rate = Fraction(base * 1000, 1001) if drop else Fraction(base)
    for frame in [*range(0, 40 * base * 60, 997), 1799, 1800, 17981, 17982]:
        code = Timecode(frame, base, drop)
        assert parse_timecode(str(code), rate) == code


@pytest.mark.parametrize(
    ("text", "rate", "expected"),
    [
        ("1:2:3", 24, "HH:MM:SS:FF"), ("00:00:00:24", 24, "at most 23:59:59:23"), ("24:00:00:00", 24, "at most"),
        ("00:01:00;00", 30, "leaves out"), ("00:00:00;00", 24, "drop-frame"), ("00:00:00:00", 120, "frame rate"),
    ],
)  # fmt: skip
def test_refusals(text: str, rate: int, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        parse_timecode(text, Fraction(rate))
