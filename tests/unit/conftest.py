"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """`with full_disk(4096):` no file can grow beyond that many bytes, as if the disk were full.

    The system says EFBIG ("file too large") instead of ENOSPC; both reach the code under test as an `OSError`.
    """

    resource = pytest.importorskip("resource", reason="limits on file size are a POSIX matter")

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
