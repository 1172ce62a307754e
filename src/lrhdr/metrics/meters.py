"""Running means by key: what turns per-frame numbers into the numbers of a table."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator


class Meters:
    """Means of numbers that arrive one by one, by key; exact to float64, whatever the order.

    An infinite value (PSNR of a perfect frame) makes its mean infinite.
    """

    def __init__(self) -> None:
        self._values: dict[Hashable, list[float]] = {}

    def add(self, key: Hashable, value: float) -> None:
        """Count one number.

        Args:
            key: what it belongs to.
            value: the number; NaN is refused.

        Raises:
            ValueError: NaN, which would silently swallow a mean.
        """
        number = float(value)
        if math.isnan(number):
            raise ValueError(f"meter {key!r}: expected a number, found NaN")
        self._values.setdefault(key, []).append(number)

    def mean(self, key: Hashable) -> float:
        """Mean of a key's numbers.

        Raises:
            KeyError: nothing was counted under this key.
        """
        values = self._values[key]
        if any(math.isinf(v) for v in values):
            return sum(values) / len(values)
        return math.fsum(values) / len(values)

    def count(self, key: Hashable) -> int:
        """How many numbers a key has; 0 if unknown."""
        return len(self._values.get(key, ()))

    def __contains__(self, key: Hashable) -> bool:
        """Whether anything was counted under this key."""
        return key in self._values

    def __iter__(self) -> Iterator[Hashable]:
        """Keys in the order of their first number."""
        return iter(self._values)
