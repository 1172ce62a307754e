"""Rows of a window's frames, as the strips of the streaming executor need them: light, padded, with a halo.

The network wants sides that are multiples of 8, and filters want rows beyond the border. Both are made here for the
rows at hand, so that no frame is copied as a whole; frames may stay the integers that a file held.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrhdr.radiometry import WHITE
from lrhdr.strips import Array, radiance_rows, tone_rows


class FrameRows:
    """Frames of one size, read by rows.

    Args:
        frames: (3, h, w) each, gamma-encoded; floating point in [0, 1], or uint8 or uint16 (255 or 65535 = 1).
        multiple: the sides are extended to multiples of this on the right and below, mirrored where the frame is large
            enough, else by its border pixel: the rule of `tiling.pad_to_multiple`.
    """

    def __init__(self, frames: Sequence[Tensor], multiple: int) -> None:
        self.frames = list(frames)
        self.inner_height, self.inner_width = frames[0].shape[-2:]
        self.height = self.inner_height + -self.inner_height % multiple
        self.width = self.inner_width + -self.inner_width % multiple
        self.offset = 0

    def counted_from(self, row: int) -> FrameRows:
        """The same frames, with their rows numbered from `row` on."""
        other = copy.copy(self)
        other.offset = self.offset + row
        return other

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def light(
        self,
        start: int,
        stop: int,
        exposures: Sequence[float],
        *,
        ldr: Tensor | None = None,
        radiance: Tensor | None = None,
        tone: Tensor | None = None,
        halo: int = 0,
    ) -> None:
        """Make rows of the padded frames; rows outside them are the nearest inside.

        Args:
            start: first row, may be negative.
            stop: after the last row, may lie below the frame.
            exposures: relative, one per frame.
            ldr: (F, 3, stop - start, W), float32, receives the code values in [0, 1]; None where they are not wanted.
            radiance: (F, 3, stop - start + 2 `halo`, W), receives Γ of them, with more rows on both sides; or None.
            tone: (F, 3, stop - start, W), receives T of Γ; or None.
            halo: rows more of the radiance.
        """
        rows, inner = stop - start + 2 * halo, slice(halo, halo + stop - start)
        for i, (frame, exposure) in enumerate(zip(self.frames, exposures, strict=True)):
            codes = torch.empty(3, rows, self.width, dtype=torch.uint8 if frame.dtype == torch.uint8 else torch.float32)
            self._read(frame, self.offset + start - halo, self.offset + stop + halo, codes)
            wanted = (x[i] if x is not None else None for x in (ldr, radiance, tone))
            if frame.dtype == torch.uint8:
                self._look_up(codes.numpy(), inner, exposure, *wanted)
            else:
                self._compute(codes, inner, exposure, *wanted)

    @staticmethod
    def _look_up(
        codes: NDArray[np.uint8], inner: slice, exposure: float, ldr: Tensor | None, radiance: Tensor | None,
        tone: Tensor | None,
    ) -> None:  # fmt: skip
        """Light of 8-bit codes from tables of 256 entries."""
        to_radiance, to_tone = _tables(exposure)
        for plane, source in enumerate(codes):
            if ldr is not None:
                np.multiply(source[inner], np.float32(1.0 / 255.0), out=ldr[plane].numpy())
            if radiance is not None:
                cv2.LUT(source, to_radiance, radiance[plane].numpy())
            if tone is not None:
                cv2.LUT(source[inner], to_tone, tone[plane].numpy())

    @staticmethod
    def _compute(
        codes: Tensor, inner: slice, exposure: float, ldr: Tensor | None, radiance: Tensor | None, tone: Tensor | None
    ) -> None:
        """Light of code values by logarithms and exponentials."""
        if ldr is not None:
            ldr.copy_(codes[:, inner])
        light = codes if radiance is None else radiance
        radiance_rows(codes.numpy(), exposure, light.numpy())
        if tone is not None:
            for source, target in zip(light, tone, strict=True):  # by planes, which are contiguous
                tone_rows(source[inner].numpy(), target.numpy())

    def _read(self, frame: Tensor, start: int, stop: int, out: Tensor) -> None:
        """Copy rows of one padded frame to `out`, (3, stop - start, W): float32 in [0, 1], or uint8 codes."""
        height, width = self.inner_height, self.inner_width
        white = WHITE.get(frame.dtype) if out.is_floating_point() else None
        first, last = min(max(start, 0), height), min(max(stop, 0), height)
        inner = out[:, first - start : last - start, :width]
        if last > first:
            inner.copy_(frame[:, first:last])
        for row in (*range(start, min(first, stop)), *range(max(last, start), stop)):
            out[:, row - start, :width] = frame[:, self._source(row)]
        if white is not None:
            out[..., :width] *= 1.0 / white
        missing = self.width - width
        if missing and missing < width:
            out[..., width:] = out[..., width - 1 - missing : width - 1].flip(-1)
        elif missing:
            out[..., width:] = out[..., width - 1 : width]

    def _source(self, row: int) -> int:
        """The row of the frame that stands at a row of the padded frame or beyond it."""
        row = min(max(row, 0), self.height - 1)
        if row < self.inner_height:
            return row
        mirrored = 2 * (self.inner_height - 1) - row
        return mirrored if self.height - self.inner_height < self.inner_height else self.inner_height - 1


@lru_cache(maxsize=32)
def _tables(exposure: float) -> tuple[Array, Array]:
    """Γ of every 8-bit code at an exposure, and T of it, (256,) each."""
    radiance = np.empty((1, 256), dtype=np.float32)
    radiance_rows(np.arange(256, dtype=np.float32)[None] * np.float32(1.0 / 255.0), exposure, radiance)
    tone = np.empty_like(radiance)
    tone_rows(radiance, tone)
    return radiance[0], tone[0]
