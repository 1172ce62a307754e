"""What holds a fuzzed reader to its promises: a result or an error of ours, in time and memory, nothing written.

Runs in a process of its own (`fuzz_worker`), so that a crash of a native library, a hang or too large an allocation
ends that process and not the test suite.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.mkdir": (0,), "os.remove": (0,), "os.rename": (0, 1), "os.rmdir": (0,), "os.truncate": (0,), "os.link": (1,),
    "os.symlink": (1,), "shutil.rmtree": (0,), "shutil.move": (0, 1), "os.chmod": (0,),
}  # fmt: skip


class WroteElsewhere(BaseException):
    """Something was written where nothing may be; no handler of the code under test catches it."""


class WriteGuard:
    """Refuses every file that Python opens for writing, makes or removes outside the folders that are allowed.

    An audit hook cannot be removed: one guard per process, switched on and off.
    """

    def __init__(self) -> None:
        self.allowed: tuple[str, ...] = ()
        self.armed = False
        sys.addaudithook(self._audit)

    @contextmanager
    def only(self, *folders: Path) -> Iterator[None]:
        """Allow writing to these folders and below, and to nothing else."""
        self.allowed = (*(os.path.realpath(f) for f in folders), "/dev/null", "/proc/self")
        self.armed = True
        try:
            yield
        finally:
            self.armed = False

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = bool(flags & _WRITING) if isinstance(flags, int) else bool(set(str(mode)) & set("wax+"))
            if writes and not isinstance(path, int):
                self._check(path)
        elif event in _CHANGES:
            for position in _CHANGES[event]:
                self._check(arguments[position])

    def _check(self, path: Any) -> None:
        if isinstance(path, int):
            return
        real = os.path.realpath(os.fsdecode(path))
        if "__pycache__" in real or any(real == a or real.startswith(a + os.sep) for a in self.allowed):
            return
        raise WroteElsewhere(real)


def limit_memory(gib: float) -> None:
    """Let every allocation fail that takes the process more than this above what it has mapped now."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + int(gib * 2**30), resource.RLIM_INFINITY))


def peak_mib() -> float:
    """The most memory that the process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


@contextmanager
def deadline(seconds: int) -> Iterator[None]:
    """End the process when the body takes longer: a hang in native code hears no exception."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
