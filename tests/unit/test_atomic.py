"""`lrhdr.io.atomic`: a file is complete or absent, and the reason is one line."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from lrhdr.checks import OutputError
from lrhdr.io.atomic import output_error, replacing, write_bytes
from lrhdr.io.exr import write_exr
from lrhdr.io.images import write_png


@pytest.mark.parametrize("kind", ["exr", "png"])
def test_disk_full_leaves_nothing_and_keeps_the_old_file(
    tmp_path: Path, kind: str, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    noise = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)

    def write(name: str) -> None:
        if kind == "exr":
            write_exr(tmp_path / name, noise)
        else:
            write_png(tmp_path / name, (noise * 65535).astype(np.uint16))

    write("old")
    before = (tmp_path / "old").read_bytes()
    with full_disk(4096):
        for name in ("old", "new"):
            with pytest.raises(OutputError, match=name) as caught:
                write(name)
            assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_bytes() == before


def test_unwritable_places(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="folder"):
        write_bytes(tmp_path / "missing" / "a.exr", b"x")
    with pytest.raises(OutputError, match="folder"):
        write_bytes(tmp_path / "file" / "a.exr", b"x")
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="taken"):
        write_bytes(tmp_path / "taken", b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken"]


def test_reasons_are_said_in_words(tmp_path: Path) -> None:
    assert "disk is full" in str(output_error(tmp_path, OSError(errno.ENOSPC, "No space left on device")))
    assert "read-only" in str(output_error(tmp_path, OSError(errno.EROFS, "x")))
    assert "odd" in str(output_error(tmp_path, OSError(9999, "odd")))


def test_other_errors_pass_and_leave_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []
