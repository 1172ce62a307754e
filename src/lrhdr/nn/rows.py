"""Convolutions that run down a frame strip by strip, each on the rows that are ready, with no row computed twice.

A `RowBuffer` holds some consecutive rows of a map, interleaved (rows, W, C), so that any run of rows is one block of
memory and, seen as (1, C, rows, W), a channels_last tensor that a convolution takes as it is. The row above the first
and the row below the last are zeros: a convolution without vertical padding over them equals the padded one over the
whole map. Stages ask their input which rows are there and make all rows that follow from them; a map that is needed
later as a whole is a buffer with room for all of its rows.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrhdr.nn.blocks import SLOPE


class RowBuffer:
    """Consecutive rows of a map (H, W, C), zeros above and below it.

    Args:
        height: H of the whole map.
        width: W.
        channels: C.
        room: rows that are held at once; None for all.
        dtype: of the values.
        memory: (n,), `dtype`, to lie in, n at least `RowBuffer.size(...)`; its own when not given. Who shares memory
            between buffers resets one before its use.
    """

    def __init__(
        self,
        height: int,
        width: int,
        channels: int,
        room: int | None = None,
        dtype: torch.dtype = torch.float32,
        memory: Tensor | None = None,
    ) -> None:
        self.height = height
        room = height if room is None else min(room, height)
        if memory is None:
            memory = torch.empty(self.size(room, width, channels), dtype=dtype)
        self.data = memory[: self.size(room, width, channels)].view(room + 2, width, channels)
        self.whole = room == height
        self.reset()

    @staticmethod
    def size(room: int, width: int, channels: int) -> int:
        """Number of values that a buffer for `room` rows holds."""
        return (room + 2) * width * channels

    def reset(self, begin: int = 0) -> None:
        """Start a new frame.

        Args:
            begin: the first row that will be written; no row before it can be asked for.
        """
        self.first = begin - 1  # index of the row at the start of the memory
        self.end = begin  # index after the last row that was written
        self.data[0].zero_()

    def lane(self, begin: int) -> RowBuffer:
        """The same memory of a whole map, to be written from row `begin` on beside others that write other rows."""
        assert self.whole, "row buffer: lanes need room for the whole map"
        other = copy.copy(self)
        other.end = begin
        return other

    def fill(self) -> None:
        """Count all rows of a whole map as written: who calls this writes them to `rows`, in any order."""
        assert self.whole, "row buffer: only a map with room for all rows can be written in any order"
        self.end = self.height
        self.data[-1].zero_()

    @property
    def done(self) -> bool:
        """Whether all rows were written (some may have been dropped since)."""
        return self.end == self.height

    def extend(self, count: int) -> Tensor:
        """Where the next `count` rows go, (count, W, C); they count as written from now on."""
        start = self.end - self.first
        assert start + count < len(self.data), "row buffer: more rows at once than there is room for"
        self.end += count
        if self.done:
            self.data[self.end - self.first].zero_()
        return self.data[start : start + count]

    def rows(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop`, (stop - start, W, C), a view; -1 and H are the zeros around the map."""
        return self.data[start - self.first : stop - self.first]

    def image(self, start: int, stop: int) -> Tensor:
        """The same rows as (1, C, stop - start, W) in channels_last."""
        return as_image(self.rows(start, stop))

    def drop(self, start: int) -> None:
        """Forget the rows before `start`."""
        start = min(start, self.end)
        if self.whole or start <= self.first:
            return
        kept = self.data[start - self.first : min(self.end + self.done, self.height + 1) - self.first]
        # Rows move up by at least as many rows as they are in the usual case; elsewhere a copy keeps them from tearing.
        self.data[: len(kept)] = kept if start - self.first >= len(kept) else kept.clone()
        self.first = start


def as_image(rows: Tensor) -> Tensor:
    """Interleaved (rows, W, C) as (1, C, rows, W), channels_last."""
    # The batch axis first: added last, its stride would make PyTorch take the layout for another one and copy.
    return rows.unsqueeze(0).permute(0, 3, 1, 2)


def as_rows(image: Tensor) -> Tensor:
    """(1, C, rows, W), channels_last, as interleaved (rows, W, C)."""
    return image[0].permute(1, 2, 0)


class RowConv:
    """A convolution with square kernel and padding k // 2, run on rows.

    Args:
        conv: the layer; its weights are copied.
        dtype: to compute in.
        weight: taken instead of the layer's.
        bias: taken instead of the layer's.
        multiple: zero outputs are added until their number is a multiple of this; 8 is one vector.
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        dtype: torch.dtype,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        multiple: int = 1,
    ) -> None:
        weight = conv.weight if weight is None else weight
        bias = conv.bias if bias is None else bias
        assert bias is not None
        missing = -len(bias) % multiple
        if missing:
            weight = torch.cat((weight, weight.new_zeros(missing, *weight.shape[1:])))
            bias = torch.cat((bias, bias.new_zeros(missing)))
        self.weight = weight.detach().to(dtype, copy=True).contiguous(memory_format=torch.channels_last)
        self.bias = bias.detach().to(dtype, copy=True)
        self.stride = int(conv.stride[0])
        self.reach = int(conv.kernel_size[0]) // 2

    def ready(self, source: RowBuffer) -> int:
        """Number of output rows that follow from the rows of `source` so far."""
        if source.done:
            return -(-source.height // self.stride)
        return max((source.end - 1 - self.reach) // self.stride + 1, 0)

    def needs(self, row: int) -> int:
        """The first input row that output row `row` and those after it need."""
        return row * self.stride - self.reach

    def __call__(self, source: RowBuffer, start: int, stop: int, bias: Tensor | None = None) -> Tensor:
        """Output rows `start` to `stop`, a new (stop - start, W', C')."""
        image = source.image(self.needs(start), (stop - 1) * self.stride + self.reach + 1)
        bias = self.bias if bias is None else bias
        return as_rows(F.conv2d(image, self.weight, bias, self.stride, (0, self.reach)))


def leaky_rows(x: Tensor, out: Tensor) -> None:
    """Leaky ReLU of the blocks into `out`, which may be `x`."""
    torch._C._nn.leaky_relu(x, SLOPE, out=out)


def advance(
    conv: RowConv, source: RowBuffer, sink: RowBuffer, *, leaky: bool = True, bias: Tensor | None = None
) -> None:
    """Make every row of `sink` that follows from `source`: convolution, and leaky ReLU if wanted."""
    start, stop = sink.end, conv.ready(source)
    if stop <= start:
        return
    rows = conv(source, start, stop, bias)
    out = sink.extend(stop - start)
    if leaky:
        leaky_rows(rows, out)
    else:
        out.copy_(rows)


def pointwise(conv: RowConv, rows: Tensor) -> Tensor:
    """A 1x1 convolution of interleaved rows that lie in no buffer."""
    return as_rows(F.conv2d(as_image(rows), conv.weight, conv.bias))


def strips(height: int, rows: int, begin: int = 0) -> Iterator[tuple[int, int]]:
    """(start, stop) of consecutive strips of at most `rows` rows, from row `begin` to `height`."""
    for start in range(begin, height, rows):
        yield start, min(start + rows, height)


def upsampled_ready(source: RowBuffer) -> int:
    """Number of rows of the doubled map that follow from the rows of `source` so far."""
    return 2 * source.height if source.done else max(2 * (source.end - 1), 0)


def upsample_rows(source: RowBuffer, start: int, stop: int) -> Tensor:
    """Rows of the map doubled bilinearly (`blocks.upsample2`), (stop - start, 2 W, C); `start` and `stop` are even."""
    low, high = start // 2 - 1, stop // 2 + 1
    cut = max(low, 0)
    image = source.image(cut, min(high, source.height))
    doubled = F.interpolate(image, scale_factor=2.0, mode="bilinear", align_corners=False)
    return as_rows(doubled)[start - 2 * cut : stop - 2 * cut]
