"""A clip seen through a response curve: its codes become light, and light the package's gamma 2.2."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from lrhdr.io.sources import FrameSource
from lrhdr.response import ResponseCurve


class RecodedSource(FrameSource):
    """Another source's frames, in the package's encoding.

    Args:
        whole: the clip.
        curve: what its codes mean.
    """

    def __init__(self, whole: FrameSource, curve: ResponseCurve) -> None:
        self._whole, self._curve = whole, curve
        self.be_like(whole)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.float32]]:
        """See `FrameSource.frames`."""
        return (self._curve.to_ldr(frame) for frame in self._whole.frames(start, stop))

    def coded_frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.float32]]:
        """See `FrameSource.coded_frames`."""
        return self._whole.coded_frames(start, stop)

    def thin_frames(self, step: int) -> Iterator[NDArray[np.float32]]:
        """See `FrameSource.thin_frames`."""
        return (self._curve.to_ldr(frame) for frame in self._whole.thin_frames(step))

    def times(self) -> tuple[Fraction, ...] | None:
        """See `FrameSource.times`."""
        return self._whole.times()
