"""The ledger of a batch: one JSON object per line, appended and flushed to disk, read back after a crash.

A process that is killed while it appends leaves a torn last line. It is cut off when the ledger is opened again: what
it would have said is done once more, which costs time and changes nothing. One process writes at a time; a lock of the
operating system, which ends with the process however it ends, keeps a second one out.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lrhdr.checks import InputError
from lrhdr.io.atomic import output_error

LOCK_SECONDS = 5.0
"""How long to wait for another process to let go of the ledger: one that was just killed takes a moment to vanish."""


class Ledger:
    """An append-only file of events; a context manager.

    Args:
        path: the file; made if missing, in a folder that exists.
        fresh: throw away what it holds.

    Attributes:
        path: as given.
        entries: what it held when it was opened, in order; lines that are no JSON objects are left out.

    Raises:
        InputError: another process has it open, or it is no text file.
        OutputError: it cannot be opened or repaired.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as error:
            raise output_error(path, error) from error
        try:
            self._lock()
            if fresh:
                os.ftruncate(self._file, 0)
            whole = self._read()
            self.entries = _parse(whole)
            end = whole.rfind(b"\n") + 1
            if end < len(whole):
                os.ftruncate(self._file, end)
        except OSError as error:
            os.close(self._file)
            raise output_error(path, error) from error
        except BaseException:
            os.close(self._file)
            raise

    def write(self, event: str, **values: Any) -> None:
        """Append an event; it is on the disk when this returns.

        Args:
            event: what happened.
            **values: plain values for JSON.

        Raises:
            OutputError: it cannot be written.
        """
        line = json.dumps({"event": event, "time": round(time.time(), 3), **values}) + "\n"
        try:
            data = line.encode()
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            raise output_error(self.path, error) from error

    def close(self) -> None:
        """Let others open it."""
        os.close(self._file)

    def __enter__(self) -> Self:
        """Return the ledger itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows: nothing keeps a second batch out
            return
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    return  # file systems without locks (some network ones) still hold the ledger
            if time.monotonic() > until:
                raise InputError(f"{self.path}: another batch is at work in this folder; expected it to end first")
            time.sleep(0.05)

    def _read(self) -> bytes:
        parts = []
        os.lseek(self._file, 0, os.SEEK_SET)
        while part := os.read(self._file, 1 << 20):
            parts.append(part)
        return b"".join(parts)


def read_ledger(path: Path) -> tuple[dict[str, Any], ...]:
    """The entries of a ledger, which another process may be writing; none where there is no file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return _parse(path.read_bytes())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _parse(data: bytes) -> tuple[dict[str, Any], ...]:
    entries = []
    for line in data.split(b"\n")[:-1]:  # the piece after the last end of line is torn, or empty
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and isinstance(entry.get("event"), str):
                entries.append(entry)
    return tuple(entries)
