"""Work on a sample cache shard by shard: skip what is done, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed

import cv2
import torch

from lrhdr.processes import process_pool

Job = Callable[[int, int, int], int]
"""(shard number, index of its first sample, samples in it) to samples done; a picklable callable."""


def _one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def for_each_shard(
    lengths: dict[int, int],
    finished: Callable[[int, int], bool],
    job: Job,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Do a job for every shard that lacks its result; an interrupted run goes on where it was.

    Args:
        lengths: shard number to samples in it, in order.
        finished: (shard number, samples in it) to whether the result is there.
        job: does one shard and stores its result.
        workers: processes; one works in this process.
        progress: called with (samples done, samples in all), first with what was there.
    """
    todo: list[tuple[int, int, int]] = []
    first = done = 0
    for number, length in lengths.items():
        if finished(number, length):
            done += length
        else:
            todo.append((number, first, length))
        first += length
    total = first

    def advance(by: int) -> None:
        nonlocal done
        done += by
        if progress:
            progress(done, total)

    advance(0)
    for count in _run(todo, job, workers):
        advance(count)


def _run(todo: Sequence[tuple[int, int, int]], job: Job, workers: int) -> Iterator[int]:
    if workers == 1 or not todo:
        for shard in todo:
            yield job(*shard)
        return
    with process_pool(workers, _one_thread) as pool:
        for future in as_completed([pool.submit(job, *shard) for shard in todo]):
            yield future.result()
