"""Neighbours aligned by flow, added to a sample cache: what align-then-fuse networks see (`lrhdr ablate` asks for it).

Optical flow is too slow for a training step, so it is done once. Beside each `shard-00000.safetensors` of a cache comes
`aligned-00000.safetensors`, with one tensor `aligned` (n, T - 1, 3, S, S) uint16, LDR * 65535. The shards are not
changed. Flow sees the stored squares only: within a vector's length of the border it has less to go by than in use.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import cv2
import torch
from safetensors.torch import save

from lrhdr.data.generated import CachedSamples, aligned_path, count_in, to_uint16
from lrhdr.interpolate.guided import align_window
from lrhdr.io.atomic import write_bytes


def _align_shard(folder: str, first: int, count: int, number: int) -> int:
    samples = CachedSamples(folder)
    frames = []
    for index in range(first, first + count):
        sample = samples[index]
        frames.append(to_uint16(align_window(sample.window[None], sample.exposures[None])[0]))
    stacked = torch.stack(frames).contiguous()
    write_bytes(aligned_path(Path(folder), number), save({"aligned": stacked}))
    return count


def _one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


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
    lengths = CachedSamples(cache).shard_lengths
    todo, first, done = [], 0, 0
    for number, length in lengths.items():
        if count_in(aligned_path(cache, number), "aligned") == length:
            done += length
        else:
            todo.append((str(cache), first, length, number))
        first += length
    total = sum(lengths.values())
    if progress:
        progress(done, total)
    if workers == 1:
        for job in todo:
            done += _align_shard(*job)
            if progress:
                progress(done, total)
        return cache
    if todo:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
            for future in as_completed([pool.submit(_align_shard, *job) for job in todo]):
                done += future.result()
                if progress:
                    progress(done, total)
    return cache
