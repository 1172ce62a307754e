"""Worker processes that end when their parent stops: a Ctrl-C or an error leaves none at work, and none has a say.

Results are files under final names only when whole (`lrhdr.io.atomic`), so a worker may be ended at any moment.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any


def _start(initializer: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # A terminal sends Ctrl-C to every process; the parent alone answers it, with one line.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    initializer(*arguments)


@contextmanager
def process_pool(
    workers: int, initializer: Callable[..., None], arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """A pool of fresh processes.

    Args:
        workers: how many.
        initializer: called once in each, with `arguments`.
        arguments: picklable.

    Yields:
        The pool. When the body raises, waiting jobs are dropped and the workers are ended at once.

    Raises:
        BrokenProcessPool: a worker died (killed, or out of memory); raised by its futures.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(initializer, arguments))
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        # No public way before Python 3.14 (`terminate_workers`).
        processes = list((getattr(pool, "_processes", None) or {}).values())
        for process in processes:
            process.terminate()
        pool.shutdown(cancel_futures=True)
        raise
