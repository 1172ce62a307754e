"""APSWF on strips of rows: `models/apswf.py` for inference, exact, with no full-resolution map but the stem's.

Down: strips of the input go through the stem to the map at 1/2. In the middle, maps at 1/2, 1/4 and 1/8 are whole, as
triplet attention looks at all of them, and every block works in place. Up: strips of the last level are upsampled,
joined with the stem's rows and become logits, a strip at a time.

Logits and what is added to them stay float32 in every precision.

A frame may be shared out among lanes (`lrhdr.lanes`): parts of the whole maps are written beside each other, and what
exists in strips only, each lane has for itself, with the few rows beyond its part that its convolutions look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from lrhdr.lanes import in_lanes, lane_bounds
from lrhdr.models.apswf import APSWF
from lrhdr.nn.attention_rows import BlockRows
from lrhdr.nn.rows import (
    RowBuffer,
    RowConv,
    advance,
    leaky_rows,
    strips,
    upsample_rows,
    upsampled_ready,
)
from lrhdr.strips import deinterleave, interleave


def supports(apswf: APSWF) -> bool:
    """Whether this file knows the configuration."""
    return isinstance(apswf.full, nn.Identity)


class _Level:
    """One resolution: its map, the memory of its blocks, and the blocks down and up."""

    def __init__(
        self,
        height: int,
        width: int,
        strip: int,
        dtype: torch.dtype,
        down: nn.Module,
        up: nn.Module | None,
        lanes: int,
        memory: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> None:
        self.strip, self.lanes = strip, lanes
        self.down = [BlockRows(block, dtype) for block in down.children()]  # type: ignore[arg-type]
        self.up = [] if up is None else [BlockRows(block, dtype) for block in up.children()]  # type: ignore[arg-type]
        channels = self.down[0].conv1.weight.shape[0]
        self.map = RowBuffer(height, width, channels, dtype=dtype, memory=memory[0])
        self.branch = RowBuffer(height, width, channels, dtype=dtype, memory=memory[1])
        self.inside = [RowBuffer(height, width, channels, strip + 4, dtype) for _ in self.bounds()]

    def bounds(self) -> list[tuple[int, int]]:
        """The lanes' rows."""
        return lane_bounds(self.map.height, self.lanes, self.strip)

    def each_strip(self, work: Callable[[int, int], object]) -> None:
        """Call `work` with the first row and the row after the last of every strip, in lanes."""

        def lane(begin: int, end: int) -> None:
            for start, stop in strips(end, self.strip, begin):
                work(start, stop)

        in_lanes([partial(lane, *bound) for bound in self.bounds()])

    def run(self, blocks: list[BlockRows]) -> None:
        for block in blocks:
            block(self.map, self.inside, self.branch, self.strip)


class _Linear:
    """1x1 convolutions of one map, side by side, as a matrix product in float32; widths padded with zeros."""

    def __init__(self, *convs: nn.Conv2d) -> None:
        weight = torch.cat([conv.weight.detach()[:, :, 0, 0] for conv in convs])
        bias = torch.cat([conv.bias.detach() for conv in convs if conv.bias is not None])
        self.channels = -(-len(bias) // 8) * 8  # upsampling is three times faster on multiples of 8
        self.weight = torch.zeros(weight.shape[1], self.channels)
        self.weight[:, : len(bias)] = weight.t()
        self.bias = torch.zeros(self.channels)
        self.bias[: len(bias)] = bias

    def __call__(self, rows: Tensor, out: Tensor) -> None:
        """Of (rows, W, C) into (rows, W, `channels`), float32."""
        torch.addmm(self.bias, rows.float().flatten(0, 1), self.weight, out=out.view(-1, self.channels))


class _Lane:
    """What one lane holds of the full resolution, in strips."""

    def __init__(self, apswf: ApswfRows, bound: tuple[int, int], inputs: int) -> None:
        self.begin, self.end = bound
        height, width, strip, w0 = apswf.height, apswf.width, apswf.strip, apswf.width0
        self.input = RowBuffer(height, width, inputs, strip + 4, apswf.dtype)
        self.made = RowBuffer(height >> 1, width >> 1, apswf.out1.channels, strip // 2 + 4)
        self.joined = RowBuffer(height, width, w0, strip + 8, apswf.dtype)
        self.last = RowBuffer(height, width, w0, strip + 8, apswf.dtype)
        self.coarse = RowBuffer(height, width, apswf.candidates, strip + 12)


class ApswfRows:
    """Vote on one frame, strip by strip.

    Args:
        apswf: the network, for which `supports` holds.
        height: a multiple of 8.
        width: a multiple of 8.
        strip: rows per strip at full resolution, a multiple of 4.
        dtype: of the convolutions and the maps between them.
        once: for one frame only: maps are given up when they have been used.
        lanes: parts of the frame that are computed beside each other, at most.
    """

    def __init__(
        self,
        apswf: APSWF,
        height: int,
        width: int,
        strip: int,
        dtype: torch.dtype,
        once: bool = False,
        lanes: int = 1,
    ) -> None:
        self.once = once
        self.height, self.width, self.strip, self.dtype = height, width, strip, dtype
        self.noise = apswf.noise
        self.stem, self.down1, self.down2, self.down3, self.dec0 = (
            RowConv(x, dtype) for x in (apswf.stem, apswf.down1, apswf.down2, apswf.down3, apswf.dec0)
        )
        self.head0 = RowConv(apswf.head0, dtype, multiple=8)
        self.base_biases = apswf.stem.bias, apswf.down1.bias
        w0 = apswf.stem.weight.shape[0]
        self.width0 = w0
        self.candidates = apswf.head0.weight.shape[0]
        self.full = RowBuffer(height, width, w0, dtype=dtype)
        w1, w2 = apswf.down1.weight.shape[0], apswf.down2.weight.shape[0]
        self.width1, self.width2 = w1, w2
        # The branch at 1/2 and the maps at 1/4 are never needed at once: they share memory.
        branch = RowBuffer.size(height >> 1, width >> 1, w1)
        quarter = RowBuffer.size(height >> 2, width >> 2, w2)
        shared = torch.empty(max(branch, 2 * quarter), dtype=dtype)
        memories = (None, shared), (shared, shared[quarter:]), (None, None)
        downs, ups = (apswf.enc1, apswf.enc2, apswf.enc3), (apswf.dec1, apswf.dec2, None)
        self.levels = [
            _Level(height >> i, width >> i, max(strip // 2, 4), dtype, down, up, lanes, memory)
            for i, (down, up, memory) in enumerate(zip(downs, ups, memories, strict=True), 1)
        ]
        self.out3 = _Linear(apswf.up2, apswf.head3)
        self.out2 = _Linear(apswf.up1, apswf.head2)
        self.out1 = _Linear(apswf.up0, apswf.head1)
        self.made3 = RowBuffer(height >> 3, width >> 3, self.out3.channels)
        self.made2 = RowBuffer(height >> 2, width >> 2, self.out2.channels)
        inputs = apswf.stem.weight.shape[1]
        self.lanes = [_Lane(self, bound, inputs) for bound in lane_bounds(height, lanes, strip)]

    def down(self, features: Callable[[int, int], Tensor], code: Tensor | None) -> None:
        """Run everything above the last level.

        Args:
            features: gives input rows from and to, (C_in, rows, W), planar, float32.
            code: (1, 1), `noise_code`; None for a network without it.
        """
        stem_bias, down_bias = (None if b is None else b.detach() for b in self.base_biases)
        assert stem_bias is not None
        assert down_bias is not None
        if self.noise is not None:
            assert code is not None
            extra = self.noise(code)[0].detach()
            stem_bias, down_bias = stem_bias + extra[: self.width0], down_bias + extra[self.width0 :]
        stem_bias, down_bias = stem_bias.to(self.dtype), down_bias.to(self.dtype)
        assert len(self.levels) == 3, "a second frame"
        half, quarter, eighth = self.levels
        for buffer in (self.full, half.map):
            buffer.reset()
        in_lanes([partial(self._enter, lane, features, stem_bias, down_bias) for lane in self.lanes])
        for whole in (self.full, half.map):
            whole.fill()
        for lane in self.lanes[1:]:
            # The first row of each lane looks at the last one of the lane above.
            row = lane.begin // 2
            leaky_rows(self.down1(self.full, row, row + 1, down_bias), half.map.rows(row, row + 1))
        half.run(half.down)
        for conv, above, below in ((self.down2, half, quarter), (self.down3, quarter, eighth)):
            below.map.reset()
            below.map.fill()
            below.each_strip(partial(self._lower, conv, above.map, below.map))
            below.run(below.down)
        for lower, upper, linear, made, coarser in (
            (eighth, quarter, self.out3, self.made3, None),
            (quarter, half, self.out2, self.made2, self.made3),
        ):
            made.reset()
            made.fill()
            lower.each_strip(partial(self._send, linear, lower.map, made, coarser))
            upper.each_strip(partial(self._receive, made, upper.map))
            upper.run(upper.up)
        if self.once:
            del self.levels[1:], half.branch, half.inside

    def _enter(self, lane: _Lane, features: Callable[[int, int], Tensor], stem_bias: Tensor, down_bias: Tensor) -> None:
        """One lane's rows of the stem's map, and of the map at 1/2 all but the first that looks at the lane above."""
        inner = bool(lane.begin)
        lane.input.reset(lane.begin - inner)
        full = self.full.lane(lane.begin)
        half = self.levels[0].map.lane(lane.begin // 2 + inner)
        for start, stop in strips(lane.end, self.strip, lane.begin):
            # The stem looks one row beyond the lane on either side.
            first = start - inner if start == lane.begin else start
            last = stop + 1 if stop == lane.end < self.height else stop
            interleave(features(first, last).to(self.dtype), lane.input.extend(last - first))
            advance(self.stem, lane.input, full, bias=stem_bias)
            lane.input.drop(self.stem.needs(full.end))
            advance(self.down1, full, half, bias=down_bias)

    @staticmethod
    def _lower(conv: RowConv, above: RowBuffer, below: RowBuffer, start: int, stop: int) -> None:
        """Rows of the next coarser map."""
        leaky_rows(conv(above, start, stop), below.rows(start, stop))

    def _send(
        self, linear: _Linear, source: RowBuffer, made: RowBuffer, coarser: RowBuffer | None, start: int, stop: int
    ) -> None:
        """Rows of what a level sends up, and its logits with those of the coarser level added."""
        out = made.rows(start, stop)
        linear(source.rows(start, stop), out)
        if coarser is not None:
            k = self.candidates
            own, other = self._split(made), self._split(coarser)
            out[..., own : own + k] += upsample_rows(coarser, start, stop)[..., other : other + k]

    @staticmethod
    def _receive(made: RowBuffer, upper: RowBuffer, start: int, stop: int) -> None:
        """Add to a level's rows what the coarser one sent."""
        rows = upper.rows(start, stop)
        rows += upsample_rows(made, start, stop)[..., : rows.shape[2]]

    def _split(self, made: RowBuffer) -> int:
        """Channel at which the logits begin in what a level sends up: the width of the level above it."""
        if made is self.made3:
            return self.width2
        return self.width1 if made is self.made2 else self.width0

    def up(self) -> list[Iterator[tuple[int, int, Tensor]]]:
        """Run the last level after `down`.

        Returns:
            For each lane, an iterator over first row, row after the last, and the learned part of the logits, (K, rows,
            W), planar, float32. They may be drawn from at the same time.
        """
        return [self._leave(lane) for lane in self.lanes]

    def _leave(self, lane: _Lane) -> Iterator[tuple[int, int, Tensor]]:
        """`up` for one lane's rows."""
        w0, k = self.width0, self.candidates
        source = self.levels[0].map
        # The convolutions look two rows beyond the lane; upsampling wants an even one, and a row more at 1/2.
        begin = max(lane.begin - 2, 0)
        lane.made.reset(max(begin // 2 - 1, 0))
        lane.joined.reset(begin)
        lane.coarse.reset(begin)
        lane.last.reset(begin + bool(begin))
        given = lane.begin
        for start, stop in strips(source.height, max(self.strip // 2, 4), lane.made.end):
            lane.made.extend(stop - start)
            self._send(self.out1, source, lane.made, self.made2, start, stop)
            first, end = lane.joined.end, upsampled_ready(lane.made)
            if end > first:
                doubled = upsample_rows(lane.made, first, end)
                torch.add(self.full.rows(first, end), doubled[..., :w0], out=lane.joined.extend(end - first))
                lane.coarse.extend(end - first).copy_(doubled[..., w0 : w0 + k])
                lane.made.drop(end // 2 - 1)
            advance(self.dec0, lane.joined, lane.last)
            lane.joined.drop(self.dec0.needs(lane.last.end))
            ready = min(self.head0.ready(lane.last), lane.end)
            if ready > given:
                rows = self.head0(lane.last, given, ready)[..., :k].float()
                rows += lane.coarse.rows(given, ready)
                lane.last.drop(self.head0.needs(ready))
                lane.coarse.drop(ready)
                planar = torch.empty(k, ready - given, self.width)
                deinterleave(rows, planar)
                yield given, ready, planar
                given = ready
            if given == lane.end:
                return
