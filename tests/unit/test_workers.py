"""The ordered pool, and how the cores are shared out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrhdr.checks import InputError
from lrhdr.workers import BYTES_PER_PIXEL, WorkerPlan, free_cores, free_memory, in_order, plan_workers


def numbers(count: int, taken: list[int] | None = None, broken: int | None = None) -> Iterator[tuple[int]]:
    for i in range(count):
        if i == broken:
            raise InputError(f"job {i}")
        if taken is not None:
            taken.append(i)
        yield (i,)


def test_results_come_in_the_order_of_the_jobs() -> None:
    def slow_first(i: int) -> int:
        time.sleep(0.03 if i == 0 else 0.0)
        return i * i

    assert list(in_order(slow_first, numbers(9), 3)) == [i * i for i in range(9)]
    assert list(in_order(slow_first, numbers(0), 2)) == []


def test_works_in_as_many_threads_as_asked_for_and_starts_each() -> None:
    started, seen, gate = [], set(), threading.Barrier(2, timeout=10)

    def work(_i: int) -> None:
        gate.wait()  # two jobs must be under way at once, or this fails
        seen.add(threading.get_ident())

    list(in_order(work, numbers(4), 2, start=lambda: started.append(threading.get_ident())))
    assert seen == set(started)
    assert len(seen) == 2


def test_takes_no_more_jobs_than_it_can_use() -> None:
    taken: list[int] = []
    results = in_order(lambda i: i, numbers(20, taken), 2)
    for i in range(5):
        assert next(results) == i
        assert len(taken) <= i + 3
    results.close()  # type: ignore[attr-defined]
    assert len(taken) <= 8


def test_what_came_before_an_error_is_given_first() -> None:
    results = in_order(lambda i: i, numbers(9, broken=4), 2)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(InputError, match="job 4"):
        next(results)

    def fails(i: int) -> int:
        if i == 2:
            raise InputError("frame 2")
        return i

    results = in_order(fails, numbers(9), 3)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(InputError, match="frame 2"):
        next(results)


def test_a_caller_who_stops_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    done = []
    results = in_order(lambda i: done.append(i), numbers(1000), 2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert len(done) < 10


def test_ctrl_c_while_waiting_ends_the_pool() -> None:
    def interrupted() -> Iterator[tuple[int]]:
        yield (0,)
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        list(in_order(lambda i: i, interrupted(), 2))
    assert threading.active_count() == before


def test_plans() -> None:
    hd, uhd, plenty = 1280 * 720, 3840 * 2160, 2**40
    assert plan_workers(hd, cores=2, memory=plenty) == WorkerPlan(2, 1)
    assert plan_workers(uhd, cores=2, memory=plenty) == WorkerPlan(1, 2)
    assert plan_workers(hd, cores=2, memory=3 * hd * BYTES_PER_PIXEL) == WorkerPlan(1, 2)
    assert plan_workers(hd, threads=1, cores=8, memory=plenty) == WorkerPlan(1, 1)
    assert plan_workers(hd, workers=3, cores=2, memory=plenty) == WorkerPlan(3, 1)
    assert plan_workers(hd, workers=2, threads=8, cores=2, memory=plenty) == WorkerPlan(2, 4)
    assert plan_workers(10**12, cores=1, memory=plenty) == WorkerPlan(1, 1)
    with pytest.raises(InputError, match="threads: expected 1 or more, up to 1024, found 0"):
        plan_workers(hd, threads=0)
    with pytest.raises(InputError, match="at once: expected 1 or more, up to 1024, found -1"):
        plan_workers(hd, workers=-1)


def test_a_control_group_limits_the_cores(tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    free = free_cores(tmp_path / "none")
    assert free >= 1
    for text, expected in (("max 100000\n", free), ("100000 100000\n", 1), ("50000 100000\n", 1), ("nonsense", free)):
        limit.write_text(text)
        assert free_cores(limit) == expected


def test_free_memory(tmp_path: Path) -> None:
    table = tmp_path / "meminfo"
    table.write_text("MemTotal:       24000000 kB\nMemAvailable:   1000 kB\n")
    assert free_memory(table) == 1_024_000
    assert free_memory(tmp_path / "none") is None
