"""Files that are complete or absent: write beside the target, then rename.

A file is first written under a hidden temporary name in the folder of its target (so that the rename stays on one file
system and is atomic) and takes its final name only when every byte is on its way to the disk.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lrhdr.checks import OutputError

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


def temporary_name(path: Path) -> Path:
    """The hidden name beside `path` under which this process writes it."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


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
        temporary.replace(target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise output_error(target, error) from error
        raise


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
