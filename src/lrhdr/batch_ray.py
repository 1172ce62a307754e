"""A batch's tasks on a Ray cluster, or on a local one that Ray makes (extra `cluster`).

Every task asks for so many cores and, if wanted, GPUs; Ray finds a node for it. Ray's own retries are off, so that the
batch counts and records them. All nodes must see the same files under the same paths and have `lrhdr` installed.
"""

from __future__ import annotations

import importlib
import math
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from lrhdr.batch_tasks import Done, Failure, Task, perform
from lrhdr.batch_workers import Event, calm
from lrhdr.checks import InputError

_BOARD_SECONDS = 1.0
"""Seconds between two looks at how far tasks are."""

_CONNECT_SECONDS = 10.0
"""For the head of a cluster to accept a connection. Chosen by us: it is a machine of the same network."""


class RayEngine:
    """Tasks as Ray tasks.

    Args:
        address: of a cluster to join ("auto", "host:6379", "ray://host:10001"); None makes a local one, which ends with
            the batch.
        workers: cores of a local cluster.
        cpus: cores per task.
        gpus: GPUs per task; parts of one share it.

    Raises:
        InputError: Ray is not installed, the cluster cannot be joined, or it lacks what a task asks for.
    """

    def __init__(self, address: str | None, workers: int, *, cpus: float = 1.0, gpus: float = 0.0) -> None:
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError:
            raise InputError("engine ray: Ray is not installed: pip install 'lrhdr[cluster]'") from None
        if not (0.0 <= cpus < math.inf and 0.0 <= gpus < math.inf):
            raise InputError(f"engine ray: expected cores and GPUs of a task from 0, found {cpus:g} and {gpus:g}")
        if address is not None:
            check_reachable(address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        self._ray = ray
        quiet = {"logging_level": "error", "log_to_driver": False}
        try:
            if address is None:
                ray.init(num_cpus=workers, include_dashboard=False, **quiet)
            else:
                ray.init(address=address, **quiet)
        except Exception as error:  # Ray raises bare ones, for example where its processes start too slowly
            where = address or "a local cluster"
            raise InputError(f"address: cannot reach {where} ({' '.join(str(error).split())[:150]})") from None
        self._cpus, self._gpus = cpus, gpus
        if self._slots() < 1:
            found = ray.cluster_resources()
            ray.shutdown()
            raise InputError(
                f"engine ray: a task asks for {cpus:g} cores and {gpus:g} GPUs, but the cluster has "
                f"{found.get('CPU', 0):g} and {found.get('GPU', 0):g}"
            )
        self._board: Any = self._new_board()
        self._run = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0, scheduling_strategy="SPREAD")(_perform)
        self._under_way: dict[Any, Task] = {}
        self._looked = 0.0

    @property
    def free(self) -> int:
        """See `Engine`: as many as run at once, and as many again, so that no node waits for the next."""
        return max(0, 2 * self._slots() - len(self._under_way))

    def submit(self, task: Task) -> None:
        """See `Engine`."""
        self._under_way[self._run.remote(task, self._board)] = task

    def events(self, timeout: float) -> list[Event]:
        """See `Engine`."""
        ready, _ = self._ray.wait(list(self._under_way), timeout=timeout)
        found = []
        for reference in ready:
            task = self._under_way.pop(reference)
            try:
                worker, outcome = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                reason = f"its worker died ({type(error).__name__})"
                worker, outcome = "ray", Failure(reason, retry=True)
            found.append(Event(task.number, worker, outcome=outcome))
        if time.monotonic() - self._looked > _BOARD_SECONDS:
            self._looked = time.monotonic()
            try:
                news: dict[int, int] = self._ray.get(self._board.read.remote())
            except self._ray.exceptions.RayError:  # its node died, and what it said of progress with it
                news, self._board = {}, self._new_board()
            found += [Event(number, "ray", frames) for number, frames in news.items()]
        return found

    def close(self) -> None:
        """See `Engine`."""
        for reference in self._under_way:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()

    def _new_board(self) -> Any:
        return self._ray.remote(num_cpus=0)(_Board).remote()

    def _slots(self) -> int:
        found = self._ray.cluster_resources()
        by_cpu = found.get("CPU", 0.0) / self._cpus if self._cpus else float("inf")
        by_gpu = found.get("GPU", 0.0) / self._gpus if self._gpus else float("inf")
        least = min(by_cpu, by_gpu)
        return 1 if least == float("inf") else int(least)


def check_reachable(address: str) -> None:
    """Ask whether anybody listens there; Ray itself tries for many minutes before it says that nobody does.

    Args:
        address: "host:6379" or "ray://host:10001"; others ("auto") are Ray's to look up.

    Raises:
        InputError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"address: cannot reach {address} ({reason})") from None


class _Board:
    """Where tasks write how far they are; lives on one of the nodes."""

    def __init__(self) -> None:
        self._frames: dict[int, int] = {}

    def write(self, number: int, frames: int) -> None:
        self._frames[number] = frames

    def read(self) -> dict[int, int]:
        """What is new since the last call."""
        found, self._frames = self._frames, {}
        return found


def _perform(task: Task, board: Any) -> tuple[str, Done | Failure]:
    """Runs on a node."""
    import platform

    calm(0)  # Ray shows every task its own GPUs only
    write: Callable[[int, int], Any] = board.write.remote
    outcome = perform(task, lambda frames: write(task.number, frames) and None)
    return f"{platform.node()}, process {os.getpid()}", outcome
