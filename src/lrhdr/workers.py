"""Several frames at once: an ordered pool of threads, and how many of them a machine bears.

Two threads inside one frame wait for each other after every layer, and on a busy machine for much longer; two frames on
one thread each do not. PyTorch, OpenCV, NumPy and the codecs release the interpreter lock while they work, so threads
are enough: no process has to load the weights again or send frames around.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lrhdr.checks import InputError

Result = TypeVar("Result")

BYTES_PER_PIXEL = 480
"""Memory that one more frame in the works takes, per pixel; measured at 1280x720 with the bundled networks: 420 with
two exposures, 480 with three (`docs/speed.md`, one core against two)."""

MOST = 1024
"""Workers or threads that can be asked for; chosen by us."""

MEMORY_PER_CORE = 1.25e9
"""Bytes that a run may take per core before it computes fewer frames at once, with more threads each. Chosen by us: two
cores then stay within 2.5 GB at 3840x2160."""


@dataclass(frozen=True)
class WorkerPlan:
    """How the cores are shared out.

    Attributes:
        workers: frames computed at once, >= 1.
        threads: compute threads of each, >= 1.
    """

    workers: int
    threads: int

    def __post_init__(self) -> None:
        """Check the counts.

        Raises:
            InputError: one is below 1.
        """
        for name in ("workers", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, found {getattr(self, name)}")


def free_cores(control: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores that this process may use: its affinity, and the share of its control group where that is limited.

    Args:
        control: the group's limit (Linux): microseconds per period, or "max", and the period.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    try:
        quota, period = control.read_text(encoding="ascii").split()
        share = int(quota) // int(period)
    except (OSError, ValueError):
        return count
    return max(1, min(count, share))


def free_memory(table: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that can be had without swapping; None where the system does not say.

    Args:
        table: Linux's table of memory.
    """
    try:
        lines = table.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    values = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(values[0]) * 1024 if values else None


def plan_workers(
    pixels: int,
    *,
    workers: int | None = None,
    threads: int | None = None,
    cores: int | None = None,
    memory: int | None = None,
) -> WorkerPlan:
    """Share the cores out among frames.

    One thread per frame as long as the frames fit into `MEMORY_PER_CORE` of each core and half of the free memory;
    larger frames come fewer at a time, with more threads each.

    Args:
        pixels: of a frame.
        workers: frames at once; None chooses.
        threads: compute threads in all; None for one per free core.
        cores: free cores; None asks the machine.
        memory: free memory, bytes; None asks the machine.

    Returns:
        The plan. Workers that were asked for are kept, and each has one thread at least.

    Raises:
        InputError: a count below 1 or above `MOST`.
    """
    for name, value in (("at once", workers), ("threads", threads)):
        if value is not None and not 1 <= value <= MOST:
            raise InputError(f"{name}: expected 1 or more, up to {MOST}, found {value}")
    cores = free_cores() if cores is None else cores
    total = threads or max(cores, workers or 1)
    if workers is None:
        budget = MEMORY_PER_CORE * max(cores, 1)
        memory = free_memory() if memory is None else memory
        if memory is not None:
            budget = min(budget, memory / 2)
        workers = max(1, min(total, int(budget / (pixels * BYTES_PER_PIXEL))))
    return WorkerPlan(workers, max(1, total // workers))


def in_order(
    function: Callable[..., Result],
    jobs: Iterable[tuple[Any, ...]],
    workers: int,
    start: Callable[[], object] | None = None,
) -> Iterator[Result]:
    """Call a function with each job's arguments in threads, and give the results in the jobs' order.

    Jobs are taken in the caller's thread, one more than there are workers, so that memory is bounded and the next job
    is ready when a worker ends. When a job cannot be made or fails, the results before it are given first. When the
    caller stops (an error of its own, Ctrl-C, or no interest in more), jobs that wait are dropped and those that run
    are waited for.

    Args:
        function: called in the workers.
        jobs: arguments of each call.
        workers: threads, >= 1.
        start: called once in each thread before its first job.

    Yields:
        What the calls return.

    Raises:
        Exception: the first that making or running a job raised.
    """
    source = iter(jobs)
    waiting: deque[Future[Result]] = deque()
    failure: Exception | None = None
    ended = False
    pool = ThreadPoolExecutor(workers, thread_name_prefix="lrhdr-frame", initializer=start)
    try:
        while True:
            while not ended and len(waiting) <= workers:
                try:
                    job = next(source)
                except StopIteration:
                    ended = True
                except Exception as error:
                    # Raised at its turn: what was begun before it is good.
                    failure, ended = error, True
                else:
                    waiting.append(pool.submit(function, *job))
            if not waiting:
                break
            yield waiting.popleft().result()
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
