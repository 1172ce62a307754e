"""`lrhdr.ledger`: what was written stays, a torn line goes, one writer at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lrhdr import ledger
from lrhdr.checks import InputError, OutputError
from lrhdr.ledger import Ledger, read_ledger


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "batch.jsonl"
    with Ledger(path) as opened:
        assert opened.entries == ()
        opened.write("shard", first=0, stop=4, clip="a ü")
        opened.write("end")
    with Ledger(path) as again:
        assert [entry["event"] for entry in again.entries] == ["shard", "end"]
        assert (again.entries[0]["first"], again.entries[0]["clip"]) == (0, "a ü")
    assert read_ledger(path) == again.entries
    assert read_ledger(tmp_path / "none") == ()
    with Ledger(path, fresh=True) as fresh:
        assert fresh.entries == ()
    assert path.read_bytes() == b""


def test_a_torn_last_line_is_cut_off_wherever_it_was_torn(tmp_path: Path) -> None:
    path = tmp_path / "batch.jsonl"
    with Ledger(path) as opened:
        opened.write("start")
        opened.write("shard", first=0)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole), 7):
        path.write_bytes(whole[:length])
        with Ledger(path) as torn:
            assert [entry["event"] for entry in torn.entries] == ["start"]
            torn.write("shard", first=1)
        assert [entry.get("first") for entry in read_ledger(path)] == [None, 1]


def test_lines_that_are_no_events_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "batch.jsonl"
    path.write_bytes(b'{"event": "a"}\n\n[1]\nnot json\n\xff\xfe\n{"x": 1}\n{"event": "b"}\n')
    assert [entry["event"] for entry in read_ledger(path)] == ["a", "b"]


def test_a_second_writer_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fcntl", reason="file locks are a POSIX matter")
    path = tmp_path / "batch.jsonl"
    code = (
        "import sys; from pathlib import Path; from lrhdr.ledger import Ledger\n"
        "Ledger(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "open\n"
    monkeypatch.setattr(ledger, "LOCK_SECONDS", 0.0)
    with pytest.raises(InputError, match="another batch is at work"):
        Ledger(path)
    other.kill()  # however it ends, its lock ends with it
    other.wait()
    monkeypatch.setattr(ledger, "LOCK_SECONDS", 5.0)
    Ledger(path).close()
    for pipe in (other.stdin, other.stdout):
        if pipe is not None:
            pipe.close()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder"):
        Ledger(tmp_path / "missing" / "batch.jsonl")
