"""Rows of a window's frames, as the strips of the streaming executor need them: float32, padded, with a halo.

The network wants sides that are multiples of 8, and filters want rows beyond the border. Both are made here for the
rows at hand, so that no frame is copied as a whole; frames may stay the integers that a file held.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lrhdr.radiometry import WHITE


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

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def read(self, start: int, stop: int, out: Tensor, which: Sequence[int] | None = None) -> None:
        """Copy rows of the padded frames; rows outside them are the nearest inside.

        Args:
            start: first row, may be negative.
            stop: after the last row, may lie below the frame.
            out: (M, 3, stop - start, W), float32.
            which: indices of the M frames; all when not given.
        """
        for frame, target in zip(self.frames if which is None else [self.frames[i] for i in which], out, strict=True):
            self._read(frame, start, stop, target)

    def _read(self, frame: Tensor, start: int, stop: int, out: Tensor) -> None:
        height, width = self.inner_height, self.inner_width
        white = WHITE.get(frame.dtype)
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
