from fractions import Fraction

import pytest

from lrhdr.checks import InputError
from lrhdr.run_options import clip_rate, parse_rate


def test_rates_as_typed() -> None:
    assert parse_rate("30000/1001") == Fraction(30000, 1001)
    assert parse_rate("23.976") == Fraction(23976, 1000)
    assert parse_rate("2.4e1") == 24
    assert parse_rate(None) is None


def test_rounded_ntsc_rates_are_meant_exactly() -> None:
    for text, n in (("23.976", 24), ("23.98", 24), ("29.97", 30), ("59.94", 60), ("119.88", 120)):
        assert clip_rate(text, None) == Fraction(1000 * n, 1001)
    for text in ("24", "25", "30", "60", "12.5"):
        assert clip_rate(text, None) == Fraction(text)
    assert clip_rate("23.976", Fraction(25)) == Fraction("23.976")


@pytest.mark.parametrize("text", ["1e-30030030030", "1E999999999", "0", "-24", "24/0", "fast"])
def test_what_is_no_rate_is_refused_at_once(text: str) -> None:
    with pytest.raises(InputError, match="fps"):
        parse_rate(text)
