"""Files that are complete or absent: write beside the target, then rename.

A file is first written under a hidden temporary name in the folder of its target (so that the rename stays on one file
system and is atomic) and takes its final name only when every byte is on its way to the disk.

A process that is killed leaves its temporary file behind. Names of temporary files say who wrote them, so that the next
run can take them away (`clear_stale`) without touching what other running processes write in the same folder.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lrhdr.checks import OutputError

STALE_SECONDS = 3600.0
"""After so long without a write, a temporary file whose writer cannot be asked (another machine) counts as left behind.

Chosen by us: the slowest writer is a video encoder, which writes every few seconds."""

_TEMPORARY = re.compile(r"\.(?P<target>.+)\.(?P<machine>[0-9a-f]{6})-(?P<pid>\d+)-(?P<token>[0-9a-f]{4})\.tmp")

_EXITING = 0x4  # PF_EXITING of the kernel

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than this system allows",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "its folder does not exist",
    errno.ENOTDIR: "its folder is not a folder",
    errno.EISDIR: "there is a folder of that name",
    errno.EEXIST: "a file is in the place of a folder",
}


def output_error(path: Path, error: OSError) -> OutputError:
    """The one-line error for a failed write.

    Args:
        path: the file that was to be written (its final name).
        error: what the system said.

    Returns:
        The exception to raise.
    """
    reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
    return OutputError(f"cannot write {path}: {reason}")


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder and those above it, unless they are there.

    Raises:
        OutputError: it cannot be made.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error


def make_parent(path: str | os.PathLike[str]) -> None:
    """Make the folder of a file.

    Raises:
        OutputError: it cannot be made; the message names the file.
    """
    file = Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(file, error) from error


def temporary_name(path: Path) -> Path:
    """The hidden name beside `path` under which this process writes it; no other process anywhere takes the same."""
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{_token()}.tmp")


def clear_stale(folder: Path, names: Collection[str] | None = None) -> None:
    """Remove temporary files that killed processes left in a folder; those of running processes stay.

    Args:
        folder: where to look; nothing happens where it does not exist.
        names: final names whose temporary files are looked at; None for all.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match and (names is None or match["target"] in names) and _is_stale(entry, match):
                with suppress(OSError):
                    Path(entry.path).unlink()


def _is_stale(entry: os.DirEntry[str], match: re.Match[str]) -> bool:
    try:
        if time.time() - entry.stat().st_mtime > STALE_SECONDS:
            return True
    except OSError:  # its writer has just finished it
        return False
    if match["machine"] != _machine():
        return False
    pid = int(match["pid"])
    if pid == os.getpid():
        return match["token"] != _token()  # a container that is started again gives the same number again
    return not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # os.kill(pid, 0) would end the process there; age alone decides
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it exists, and is not ours
        return True
    return not _has_ended(pid)


def _has_ended(pid: int) -> bool:
    """Whether a process that still has a number only waits for its parent to notice its end, or is about to (Linux)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0] in "ZX" or bool(int(fields[6]) & _EXITING)
    except (OSError, IndexError, ValueError):
        return False


@functools.cache
def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


@functools.cache
def _token() -> str:
    return secrets.token_hex(2)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; rename it to `path` on success, remove it on any failure.

    Args:
        path: the final name; an existing file is replaced.

    Yields:
        The temporary path, in the same folder.

    Raises:
        OutputError: the body or the rename raised an `OSError`. Other exceptions pass unchanged.
    """
    target = Path(path)
    temporary = temporary_name(target)
    try:
        yield temporary
        flush(temporary)
        temporary.replace(target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise output_error(target, error) from error
        raise


def flush(file: Path) -> None:
    """Bring a file to the disk: a power cut after the rename must not leave a name without its contents.

    Raises:
        OSError: the disk is full or the like.
    """
    if file.is_file():
        with file.open("r+b") as open_file:
            os.fsync(open_file.fileno())


def write_bytes(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Write a whole file atomically.

    Args:
        path: the final name; its folder must exist.
        data: the contents.

    Raises:
        OutputError: the file cannot be written; nothing is left behind.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(data)
