"""Where a batch's tasks run: the protocol of engines, and the local one, worker processes on this machine.

Workers are spawned, compute in one thread each, and outlive their tasks. One that dies (killed, out of memory) fails
its task alone and is replaced; one whose task failed for a reason that may lie with it is replaced too. Workers end
when the process that started them does, however it ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Protocol

from lrhdr.batch_tasks import Done, Failure, Task, perform

START_METHOD = "spawn"
"""How workers begin. A forked copy of a process that has computed with threads may hang."""

GRACE_SECONDS = 20.0
"""How long a worker that is asked to end may take for the frame that it is writing."""


@dataclass(frozen=True)
class Event:
    """What an engine has to tell of a task.

    Attributes:
        number: of the task.
        worker: who worked on it.
        frames: frames of it that are done so far; None with an outcome.
        outcome: what it came to; None while it runs.
    """

    number: int
    worker: str
    frames: int | None = None
    outcome: Done | Failure | None = None


class Engine(Protocol):
    """Runs tasks somewhere."""

    @property
    def free(self) -> int:
        """How many more tasks it wants now."""

    def submit(self, task: Task) -> None:
        """Take a task; at most `free` at a time."""

    def events(self, timeout: float) -> list[Event]:
        """Wait for news, at most so many seconds."""

    def close(self) -> None:
        """End; tasks under way are stopped after the frame that they are writing."""


class LocalEngine:
    """Worker processes on this machine.

    Args:
        workers: how many; they are started when there is work for them.
    """

    def __init__(self, workers: int) -> None:
        self._limit = max(1, workers)
        self._context = multiprocessing.get_context(START_METHOD)
        self._workers: list[_Worker] = []
        self._started = 0
        self._early: deque[Event] = deque()

    @property
    def free(self) -> int:
        """See `Engine`."""
        return self._limit - sum(w.task is not None for w in self._workers)

    @property
    def processes(self) -> list[int]:
        """Ids of the worker processes."""
        return [worker.pid for worker in self._workers]

    def submit(self, task: Task) -> None:
        """See `Engine`."""
        idle = next((w for w in self._workers if w.task is None), None)
        if idle is None:
            idle = _Worker(self._context, self._started)
            self._started += 1
            self._workers.append(idle)
        if not idle.give(task):  # it died while it had nothing to do
            self._workers.remove(idle)
            idle.end()
            self._early.append(Event(task.number, idle.name, outcome=Failure("its worker died", retry=True)))

    def events(self, timeout: float) -> list[Event]:
        """See `Engine`."""
        if self._early:
            return [self._early.popleft()]
        busy = {w.connection: w for w in self._workers if w.task is not None}
        found = []
        for connection in wait(list(busy), timeout):
            worker = busy[connection]  # type: ignore[index]
            event = worker.receive()
            found.append(event)
            if isinstance(event.outcome, Failure) and event.outcome.retry:
                self._workers.remove(worker)
                worker.end()
        return found

    def close(self) -> None:
        """See `Engine`."""
        for worker in self._workers:
            worker.ask_to_end()
        for worker in self._workers:
            worker.end(GRACE_SECONDS)
        self._workers = []


class _Worker:
    """A worker process, from outside."""

    def __init__(self, context: BaseContext, index: int) -> None:
        self.name = f"worker {index + 1}"
        self.task: Task | None = None
        self.connection, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=_work, args=(theirs, index), name=self.name, daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Id of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def give(self, task: Task) -> bool:
        """Hand it a task; False if it is gone."""
        try:
            self.connection.send(task)
        except OSError:
            return False
        self.task = task
        return True

    def receive(self) -> Event:
        """Its next word, or that it died."""
        assert self.task is not None
        number = self.task.number
        try:
            frames, outcome = self.connection.recv()
        except (EOFError, OSError):
            self._process.join(GRACE_SECONDS)
            frames, outcome = None, Failure(f"its worker died ({self._how()})", retry=True)
        if outcome is not None:
            self.task = None
        return Event(number, self.name, frames, outcome)

    def ask_to_end(self) -> None:
        """Stop what it does, between two frames if it can."""
        with contextlib.suppress(OSError):
            if self.task is None:
                self.connection.send(None)
            else:
                self._process.terminate()

    def end(self, seconds: float = 0.0) -> None:
        """Make sure that it has ended."""
        self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()

    def _how(self) -> str:
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"exit status {code}"
        try:
            return f"signal {-code}, {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"


def _work(connection: Connection, index: int) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one decides
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    calm(index)

    def progress(frames: int) -> None:
        connection.send((frames, None))

    with contextlib.suppress(KeyboardInterrupt, EOFError, OSError):
        while (task := connection.recv()) is not None:
            connection.send((None, perform(task, progress)))
    os._exit(0)  # all files are closed; taking PyTorch down in order would take its time


def calm(index: int) -> None:
    """One thread for this process, and, of several GPUs, its own.

    Args:
        index: counts the processes of a machine.
    """
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if torch.cuda.is_available():  # a run with --device cuda takes the current one
        torch.cuda.set_device(index % torch.cuda.device_count())


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)  # as if killed: files under their final names are whole, and the next run clears the rest
