"""Neighbours aligned by flow, added to a sample cache: what align-then-fuse networks see (`lrhdr ablate` asks for it).

Optical flow is too slow for a training step, so it is done once. Beside each `shard-00000.safetensors` of a cache comes
`aligned-00000.safetensors`, with one tensor `aligned` (n, T - 1, 3, S, S) uint16, LDR * 65535. The shards are not
changed. Flow sees the stored squares only: within a vector's length of the border it has less to go by than in use.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save

from lrhdr.data.generated import CachedSamples, aligned_path, count_in
from lrhdr.data.shards import for_each_shard
from lrhdr.interpolate.guided import align_window
from lrhdr.io.atomic import write_bytes
from lrhdr.radiometry import to_codes


def _align_shard(folder: str, number: int, first: int, count: int) -> int:
    samples = CachedSamples(folder)
    frames = []
    for index in range(first, first + count):
        sample = samples[index]
        frames.append(to_codes(align_window(sample.window[None], sample.exposures[None])[0]))
    stacked = torch.stack(frames).contiguous()
    write_bytes(aligned_path(Path(folder), number), save({"aligned": stacked}))
    return count


def add_aligned(folder: Path | str, *, workers: int = 1, progress: Callable[[int, int], None] | None = None) -> Path:
    """Add aligned neighbours to every shard of a cache that lacks them; an interrupted run goes on where it was.

    Args:
        folder: a cache made by `build_cache`.
        workers: processes.
        progress: called with (samples done, samples in all).

    Returns:
        `folder`.

    Raises:
        InputError: no cache there.
        OutputError: a file cannot be written.
    """
    cache = Path(folder)

    def finished(number: int, length: int) -> bool:
        return count_in(aligned_path(cache, number), "aligned") == length

    lengths = CachedSamples(cache).shard_lengths
    for_each_shard(lengths, finished, partial(_align_shard, str(cache)), workers=workers, progress=progress)
    return cache
