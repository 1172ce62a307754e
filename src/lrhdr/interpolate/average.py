"""The control: a weighted average of the two frames, without motion.

Right on a static scene (where it also halves the noise variance), a double image wherever something moves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lrhdr.interpolate.base import check_pair


class AverageInterpolator:
    """`(1 - fraction) first + fraction second`, in gamma-encoded LDR."""

    name = "average"

    def __call__(self, first: Tensor, second: Tensor, fraction: float, *, gain: float = 1.0) -> Tensor:
        """Average the frames; see `Interpolator` for the arguments (`gain` is not needed)."""
        check_pair(first, second, fraction, gain)
        return torch.lerp(first, second, fraction)
