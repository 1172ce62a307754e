"""Tell the C library to keep freed memory: a frame's arrays are then not mapped and filled with zeros anew each time.

glibc gives large blocks back to the system as soon as they are freed. The next frame asks for the same blocks, and the
system hands out zeroed pages one by one, which costs more than many of the operations on them. With memory kept, a
process stays at its peak size until it ends: right for a job that makes frame after frame, wrong for a library that
somebody imports. So nothing here is done on import; the command line calls it for its own jobs.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1  # bytes at the top of the heap above which memory would be given back


def keep_memory() -> bool:
    """Make glibc serve large blocks from its heap and keep what is freed, for the rest of the process.

    Returns:
        Whether it did; False on systems whose C library is not glibc, where nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL(None)
    except OSError:
        return False
    # Only glibc has the first name; another library's `mallopt` may mean something else.
    if not hasattr(library, "gnu_get_libc_version") or not hasattr(library, "mallopt"):
        return False
    mallopt = library.mallopt
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))


def give_back() -> bool:
    """Give freed memory that the C library still holds back to the system (glibc): before the next large job.

    Returns:
        Whether it was asked to; False on systems whose C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return False
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    trim(0)
    return True
