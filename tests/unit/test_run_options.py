from fractions import Fraction

import pytest

from lrhdr.checks import InputError
from lrhdr.run_options import parse_rate


def test_rates_as_typed() -> None:
    assert parse_rate("30000/1001") == Fraction(30000, 1001)
    assert parse_rate("23.976") == Fraction(23976, 1000)
    assert parse_rate("2.4e1") == 24
    assert parse_rate(None) is None


@pytest.mark.parametrize("text", ["1e-30030030030", "1E999999999", "0", "-24", "24/0", "fast"])
def test_what_is_no_rate_is_refused_at_once(text: str) -> None:
    with pytest.raises(InputError, match="fps"):
        parse_rate(text)
