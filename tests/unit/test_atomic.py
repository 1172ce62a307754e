"""`lrhdr.io.atomic`: a file is complete or absent, and the reason is one line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from lrhdr.checks import OutputError
from lrhdr.io import atomic
from lrhdr.io.atomic import (
    clear_stale,
    make_folder,
    make_parent,
    output_error,
    replacing,
    temporary_name,
    write_bytes,
)
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


def test_folders_are_made_or_the_reason_is_said(tmp_path: Path) -> None:
    for _ in range(2):  # one that is there is fine
        make_folder(tmp_path / "a" / "b")
        make_parent(str(tmp_path / "c" / "d" / "name.exr"))
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["a", "a/b", "c", "c/d"]
    (tmp_path / "file").write_text("")
    for make, name, reason in (
        (make_folder, "file", "a file is in the place of a folder"),
        (make_folder, "file/x", "its folder is not a folder"),
        (make_parent, "file/x.exr", "a file is in the place of a folder"),
        (make_parent, "file/x/y.exr", "its folder is not a folder"),
    ):
        with pytest.raises(OutputError) as caught:
            make(tmp_path / name)
        assert str(caught.value) == f"cannot write {tmp_path / name}: {reason}"


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


def test_what_a_killed_process_left_behind_goes_and_what_others_write_stays(tmp_path: Path) -> None:
    target = tmp_path / "clip.000001.exr"
    code = (
        "import sys; from pathlib import Path; from lrhdr.io.atomic import *; print(temporary_name(Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=True)
    dead = Path(done.stdout.strip())
    ours = temporary_name(target)
    machine, pid, token = ours.name.removesuffix(".tmp").rsplit(".", 1)[1].split("-")
    other_machine = tmp_path / f".{target.name}.{'0' * 6 if machine != '0' * 6 else '1' * 6}-{pid}-{token}.tmp"
    running = tmp_path / f".{target.name}.{machine}-{os.getppid()}-{token}.tmp"
    restarted = tmp_path / f".{target.name}.{machine}-{pid}-{'0000' if token != '0000' else '1111'}.tmp"
    strangers = [tmp_path / ".hidden.tmp", tmp_path / "a.tmp", tmp_path / ".swap"]
    for path in (dead, ours, other_machine, running, restarted, *strangers, target):
        path.write_bytes(b"x")
    clear_stale(tmp_path, ("another.exr",))
    assert dead.exists()
    clear_stale(tmp_path)
    assert not dead.exists()
    assert not restarted.exists()  # a container that is started again counts its processes from 1 again
    assert all(path.exists() for path in (ours, other_machine, running, *strangers, target))
    old = 1.5 * atomic.STALE_SECONDS
    for path in (other_machine, running):
        os.utime(path, (path.stat().st_mtime - old,) * 2)
    clear_stale(tmp_path)
    assert not other_machine.exists()
    assert not running.exists()
    clear_stale(tmp_path / "no such folder")


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs /proc")
def test_a_killed_process_that_nobody_has_waited_for_has_ended(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    machine, _, token = temporary_name(tmp_path / "a").name.removesuffix(".tmp").rsplit(".", 1)[1].split("-")
    left = tmp_path / f".a.{machine}-{child.pid}-{token}.tmp"
    left.write_bytes(b"x")
    clear_stale(tmp_path)
    assert left.exists()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
    try:
        clear_stale(tmp_path)
        assert not left.exists()
    finally:
        child.wait()
