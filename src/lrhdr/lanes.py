"""Parts of one frame computed beside each other: a thread for each, not threads that meet after every operation.

One frame at a time on T threads is what large frames get (`workers.plan_workers`). PyTorch's own threads would wait for
each other after every layer of every strip, and OpenCV's and NumPy's work would be done by one of them. Lanes take rows
far apart, and meet only where a stage needs what all of them made.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from functools import partial

import torch

Job = Callable[[], object]


def lane_bounds(height: int, lanes: int, multiple: int) -> list[tuple[int, int]]:
    """Share the rows of a map out.

    Args:
        height: rows of the map.
        lanes: how many parts are wanted.
        multiple: rows at which a part may begin.

    Returns:
        (first row, row after the last) of each part, in order, none empty: fewer than wanted of a low map.
    """
    steps = -(-height // multiple)
    lanes = max(1, min(lanes, steps))
    cuts = [steps * i // lanes * multiple for i in range(lanes)] + [height]
    return list(itertools.pairwise(cuts))


def share_out(jobs: Sequence[Job]) -> None:
    """Run jobs, however many, in as many lanes as the caller has threads of PyTorch's; see `in_lanes`."""
    lanes = min(torch.get_num_threads(), len(jobs))

    def lane(index: int) -> None:
        for job in jobs[index::lanes]:
            job()

    in_lanes([partial(lane, i) for i in range(lanes)])


def in_lanes(jobs: Sequence[Job]) -> None:
    """Run jobs beside each other, the first in the caller's thread, each on one thread of PyTorch's.

    One job alone runs as if it were called: on as many threads as the caller has.

    Args:
        jobs: they must not write to the same memory. Run in inference mode if the caller is.

    Raises:
        BaseException: what a job raised, the first of them in order, after all have ended.
    """
    if len(jobs) == 1:
        jobs[0]()
        return
    inference = torch.is_inference_mode_enabled()
    failures: list[BaseException | None] = [None] * len(jobs)

    def run(index: int) -> None:
        try:
            torch.set_num_threads(1)  # each thread has a count of its own
            with torch.inference_mode(inference):
                jobs[index]()
        except BaseException as error:
            failures[index] = error

    threads = [threading.Thread(target=run, args=(i,), name=f"lrhdr-lane-{i}") for i in range(1, len(jobs))]
    count = torch.get_num_threads()
    started = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
        run(0)
    finally:
        for thread in started:
            thread.join()
        torch.set_num_threads(count)
    for failure in failures:
        if failure is not None:
            raise failure
