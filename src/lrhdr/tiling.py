"""Padding that undoes itself, and overlapping tiles whose blend leaves no seam.

Both work on the last two axes (H, W), so that images, clips and candidate stacks go through the same code.

Tiles differ from the whole frame where a network pools over the whole frame (triplet attention gates rows and columns
from whole-frame statistics), so tiling is off unless asked for, and the difference is bounded by a test. Measured with
a compact network on real footage of 720x1280 pixels, tiles against the whole frame (worse of both polarities; the
overlap hardly matters): 256 px 46 dB PSNR_T, at most 0.054 in the T domain; 384 px 49 dB, 0.036; 512 px 55 dB, 0.026;
768 px 59 dB, 0.019. Peak memory at 1920x1080: 2.0 GiB whole, 0.8 GiB in tiles of 512 px.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.filters import smoothstep


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Extend the right and bottom so that H and W become multiples of `multiple`.

    Mirrors the content where the image is large enough (no new edges for a network to see) and repeats the border
    pixel where it is not (1x1 upwards).

    Args:
        x: (..., H, W).
        multiple: >= 1.

    Returns:
        (..., H', W'); `x` itself where nothing is missing. `[..., :H, :W]` undoes it exactly.
    """
    height, width = x.shape[-2:]
    below, right = -height % multiple, -width % multiple
    if not below and not right:
        return x
    flat = x.reshape(-1, 1, height, width)
    if right:
        flat = F.pad(flat, (0, right, 0, 0), mode="reflect" if right < width else "replicate")
    if below:
        flat = F.pad(flat, (0, 0, 0, below), mode="reflect" if below < height else "replicate")
    return flat.reshape(*x.shape[:-2], height + below, width + right)


@dataclass(frozen=True)
class TileGrid:
    """Where the tiles of a frame lie along one axis.

    Attributes:
        starts: first pixel of each tile.
        size: pixels per tile.
        length: pixels of the axis.
    """

    starts: tuple[int, ...]
    size: int
    length: int

    @classmethod
    def over(cls, length: int, tile: int, overlap: int, multiple: int) -> TileGrid:
        """Cover an axis with the fewest tiles of `tile` pixels that share at least `overlap` with their neighbour.

        The tiles are spread evenly and start on multiples of `multiple` (so that every tile sees the network's grid at
        the phase of the whole frame) as far as the last one, which ends at the border, allows.

        Args:
            length: pixels of the axis, a multiple of `multiple`.
            tile: pixels per tile, a multiple of `multiple`.
            overlap: pixels shared by neighbours, < `tile`.
            multiple: the network's grid.
        """
        if length <= tile:
            return cls((0,), length, length)
        count = -(-(length - overlap) // (tile - overlap))
        last = length - tile
        starts = tuple(round(i * last / (count - 1) / multiple) * multiple for i in range(count - 1))
        return cls((*starts, last), tile, length)

    def ramps(self, like: Tensor) -> list[Tensor]:
        """Blending weight of each tile, (size,) each: rises and falls smoothly over the overlaps, sums to 1."""
        raw = []
        for i, start in enumerate(self.starts):
            position = torch.arange(self.size, dtype=like.dtype, device=like.device) + 0.5
            weight = torch.ones_like(position)
            if i > 0:
                shared = self.starts[i - 1] + self.size - start
                weight = weight * smoothstep(position / shared)
            if i + 1 < len(self.starts):
                shared = start + self.size - self.starts[i + 1]
                weight = weight * smoothstep((self.size - position) / shared)
            raw.append(weight)
        total = torch.zeros(self.length, dtype=like.dtype, device=like.device)
        for start, weight in zip(self.starts, raw, strict=True):
            total[start : start + self.size] += weight
        return [w / total[s : s + self.size] for s, w in zip(self.starts, raw, strict=True)]


def run_tiled(
    run: Callable[..., tuple[Tensor | None, ...]], inputs: tuple[Tensor, ...], *, tile: int, overlap: int, multiple: int
) -> tuple[Tensor | None, ...]:
    """Run a function tile by tile and blend what it returns.

    Args:
        run: takes one tensor per input, each (..., h, w) of the same h and w; returns tensors (..., h, w), or None at
            the same places for every tile.
        inputs: (..., H, W) each, H and W multiples of `multiple`.
        tile: side of a tile in pixels, a multiple of `multiple`.
        overlap: pixels that neighbouring tiles share.
        multiple: the grid that tiles start on.

    Returns:
        What `run` would return for the whole frame, up to its use of context beyond the overlap. A convex combination
        of the tiles' values: it never leaves their range. None where `run` returns None.
    """
    height, width = inputs[0].shape[-2:]
    rows = TileGrid.over(height, tile, overlap, multiple)
    columns = TileGrid.over(width, tile, overlap, multiple)
    row_ramps, column_ramps = rows.ramps(inputs[0]), columns.ramps(inputs[0])
    outputs: list[Tensor | None] = []
    for top, row_ramp in zip(rows.starts, row_ramps, strict=True):
        for left, column_ramp in zip(columns.starts, column_ramps, strict=True):
            down, across = slice(top, top + rows.size), slice(left, left + columns.size)
            parts = run(*(x[..., down, across] for x in inputs))
            if not outputs:
                outputs = [None if p is None else p.new_zeros(*p.shape[:-2], height, width) for p in parts]
            weight = row_ramp[:, None] * column_ramp
            for output, part in zip(outputs, parts, strict=True):
                if output is not None and part is not None:
                    output[..., down, across] += part * weight
    return tuple(outputs)


def check_tiles(tile: int, overlap: int, multiple: int) -> None:
    """Check tile options before any work is done.

    Raises:
        InputError: the tile is not a multiple of the network's grid, or not larger than the overlap.
    """
    if tile <= 0 or tile % multiple:
        raise InputError(f"tile: expected a multiple of {multiple} above 0, found {tile}")
    if not 0 <= overlap < tile:
        raise InputError(f"tile: expected a tile larger than the overlap of {overlap} pixels, found {tile}")
