"""Residual blocks with triplet attention on strips of rows, exact: the gates see the whole map.

First pass: both convolutions, strip by strip; the branch is stored, and what the three gates pool (maximum and mean
over channels, over height and over width) is gathered from each strip while it is in the cache. Then the gates, small
maps, are computed. Second pass: the gated branch is added, in place. Batch normalisation is folded into the gates'
7x7 convolutions, which run in OpenCV: PyTorch takes 44 ms for one at 360x640 on one core, and OpenCV 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lrhdr.lanes import in_lanes, lane_bounds
from lrhdr.nn.blocks import ResidualBlock
from lrhdr.nn.rows import RowBuffer, RowConv, leaky_rows, strips
from lrhdr.nn.triplet_attention import TripletAttention
from lrhdr.strips import deinterleave, exp_in_place

Array = NDArray[np.float32]


class _Gate:
    """A gate's 7x7 convolution with its batch normalisation, sigmoid, and the 1/3 of the gates' mean."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.kernels: Array = (conv.weight[0] * scale).detach().float().numpy()
        self.bias = float(norm.bias - norm.running_mean * scale)

    def __call__(self, largest: Array, mean: Array) -> Array:
        """A third of the gate, same shape as the two pooled maps."""
        z: Array = np.asarray(
            cv2.filter2D(largest, -1, self.kernels[0], borderType=cv2.BORDER_CONSTANT), dtype=np.float32
        )
        z += cv2.filter2D(mean, -1, self.kernels[1], borderType=cv2.BORDER_CONSTANT)
        z += np.float32(self.bias)
        np.negative(z, out=z)
        exp_in_place(z)
        z += np.float32(1.0)
        return np.asarray(np.float32(1.0 / 3.0) / z, dtype=np.float32)


class _Pools:
    """What the three gates see of a map (H, W, C), gathered strip by strip."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        self.height, self.width = height, width
        self.pixel = torch.empty(2, height, width)
        self.strips: dict[int, tuple[Tensor, Tensor]] = {}
        self.row = torch.empty(2, channels, height)

    def gather(self, rows: Tensor, start: int) -> None:
        """Take interleaved float32 rows from row `start` on; lanes may do so at the same time."""
        count, width, channels = rows.shape
        stop = start + count
        planar = torch.empty(channels, count, width)
        deinterleave(rows, planar)
        self.pixel[0, start:stop] = planar.amax(dim=0)
        self.pixel[1, start:stop] = planar.mean(dim=0)
        self.row[0, :, start:stop] = planar.amax(dim=2)
        self.row[1, :, start:stop] = planar.mean(dim=2)
        self.strips[start] = planar.amax(dim=1), planar.sum(dim=1) / self.height

    def column(self) -> Tensor:
        """Maximum and mean over the rows, (2, C, W): over strips from top to bottom, whoever made them."""
        parts = [self.strips[start] for start in sorted(self.strips)]
        largest, total = (x.clone() for x in parts[0])
        for other, more in parts[1:]:
            torch.maximum(largest, other, out=largest)
            total += more
        return torch.stack((largest, total))


class BlockRows:
    """A `ResidualBlock` on a whole map, in place.

    Args:
        block: the layer, in eval mode; its weights are copied.
        dtype: of the convolutions and the maps.
    """

    def __init__(self, block: ResidualBlock, dtype: torch.dtype) -> None:
        self.conv1, self.conv2 = RowConv(block.conv1, dtype), RowConv(block.conv2, dtype)
        attention = block.attention
        self.gates: tuple[_Gate, ...] = ()
        if isinstance(attention, TripletAttention):
            self.gates = tuple(
                _Gate(gate.conv, gate.norm) for gate in (attention.gate_hw, attention.gate_cw, attention.gate_ch)
            )

    def __call__(self, x: RowBuffer, inside: Sequence[RowBuffer], branch: RowBuffer, strip: int) -> None:
        """Run the block.

        Args:
            x: whole map, all rows written; receives the result.
            inside: one for each lane (`lrhdr.lanes`) that may be taken, with room for a strip and a few rows; same
                width and channels.
            branch: a whole map of the same size, to work in.
            strip: rows per strip.
        """
        height, width, channels = x.height, x.data.shape[1], x.data.shape[2]
        pools = _Pools(height, width, channels) if self.gates else None
        branch.fill()
        bounds = lane_bounds(height, len(inside), strip)
        in_lanes(
            [
                partial(self._branch, x, one, branch, strip, bound, pools)
                for one, bound in zip(inside, bounds, strict=False)
            ]
        )
        gates = None if pools is None else self._gates(pools)
        in_lanes([partial(self._add_rows, x, branch, strip, bound, gates) for bound in bounds])

    def _branch(
        self,
        x: RowBuffer,
        inside: RowBuffer,
        branch: RowBuffer,
        strip: int,
        bound: tuple[int, int],
        pools: _Pools | None,
    ) -> None:
        """Both convolutions of one lane's rows, into `branch`."""
        begin, end = bound
        inside.reset(max(begin - self.conv2.reach, 0))
        for start, stop in strips(end, strip, begin):
            reach = min(stop + self.conv2.reach, x.height)
            made = inside.end
            if reach > made:
                leaky_rows(self.conv1(x, made, reach), inside.extend(reach - made))
            rows = self.conv2(inside, start, stop)
            inside.drop(self.conv2.needs(stop))
            branch.rows(start, stop).copy_(rows)
            if pools is not None:
                pools.gather(rows.float(), start)

    def _add_rows(
        self,
        x: RowBuffer,
        branch: RowBuffer,
        strip: int,
        bound: tuple[int, int],
        gates: tuple[Tensor, Tensor, Tensor] | None,
    ) -> None:
        """Add one lane's rows of the gated branch."""
        for start, stop in strips(bound[1], strip, bound[0]):
            self._add(x.rows(start, stop), branch.rows(start, stop), gates, start)

    def _gates(self, pools: _Pools) -> tuple[Tensor, Tensor, Tensor]:
        """Gates that broadcast over (H, W, C): (H, W, 1), (W, C) and (H, 1, C)."""
        pixel, column, row = (
            torch.from_numpy(gate(*(pooled.numpy() for pooled in maps)))
            for gate, maps in zip(self.gates, (pools.pixel, pools.column(), pools.row), strict=True)
        )
        return pixel[..., None], column.t().contiguous(), row.t()[:, None].contiguous()

    @staticmethod
    def _add(x: Tensor, branch: Tensor, gates: tuple[Tensor, Tensor, Tensor] | None, start: int) -> None:
        """`x = leaky(x + branch * gate)` on rows from `start` on."""
        if gates is None:
            x += branch
            leaky_rows(x, x)
            return
        pixel, column, row = gates
        gate = column + row[start : start + len(x)]
        gate += pixel[start : start + len(x)]
        total = x if x.dtype == torch.float32 else x.float()
        total.addcmul_(branch.float(), gate)
        leaky_rows(total, x if x.dtype == torch.float32 else total)
        if total is not x:
            x.copy_(total)
