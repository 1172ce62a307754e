"""`lrhdr batch` with real workers: its frames are those of `lrhdr reconstruct`, whatever happens to a worker."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from clips import Outcome

from lrhdr.batch import LEDGER, run_batch
from lrhdr.batch_manifest import BatchClip, read_clips
from lrhdr.batch_ray import check_reachable
from lrhdr.batch_tasks import PREPARE, SHARD, Task
from lrhdr.batch_workers import Event, LocalEngine
from lrhdr.checks import InputError
from lrhdr.cli import main
from lrhdr.io.images import write_png
from lrhdr.run_options import RunOptions

Run = Callable[..., Outcome]
CHEAP = ("--method", "completion", "--interpolator", "average", "--stops", "0,3", "--threads", "1")
CALM = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clips of noise that alternate, and one that is damaged."""
    rng = np.random.default_rng(0)
    for k, count in enumerate((5, 4)):
        (tmp_path / "clips" / f"c{k}").mkdir(parents=True)
        for i in range(count):
            codes = rng.integers(0, 256 if i % 2 else 90, (18, 32, 3), dtype=np.uint8)
            write_png(tmp_path / "clips" / f"c{k}" / f"frame_{i:03d}.png", codes)
    (tmp_path / "clips" / "bad").mkdir()
    (tmp_path / "clips" / "bad" / "0.png").write_bytes(b"no picture")
    return tmp_path / "clips"


def frames(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.exr"))}


def plain_frames(folder: Path, root: Path) -> dict[str, bytes]:
    """What `lrhdr reconstruct` makes of the clips that can be read."""
    for name in ("c0", "c1"):
        assert main(["reconstruct", str(folder / name), "-o", str(root / name), *CHEAP]) == 0
    return frames(root)


def test_a_batch_is_what_its_clips_are_alone(lrhdr: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("batch", folder, "-o", out, *CHEAP, "--shard-frames", 2, "--workers", 1, "--preview", "{name}.mp4")
    result = lrhdr(*command)
    assert result.status == 2  # one clip is damaged; the others are done
    assert "Traceback" not in result.err
    assert result.err.splitlines()[-1] == "lrhdr: error: 1 of 3 clips failed: bad"
    assert "2 of 3 clips, 9 frames" in result.out
    assert frames(out) == plain_frames(folder, tmp_path / "plain")
    assert (out / "c0" / "c0.mp4").stat().st_size > 0
    assert not list(out.rglob(".*"))
    events = [json.loads(line)["event"] for line in (out / LEDGER).read_text().splitlines()]
    assert events == ["start", "failed", *["prepared"] * 2, *["shard"] * 3, "joined", *["shard"] * 2, "joined", "end"]
    # the same command again has only the damaged clip to speak of
    again = lrhdr(*command)
    assert again.status == 2
    assert "computed 0 frames now" in again.out


def test_a_dry_run_prints_commands_that_make_the_whole(lrhdr: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("batch", folder / "c0", "-o", out, *CHEAP, "--shard-frames", 2, "--hdr10", "v.mp4")
    result = lrhdr(*command, "--dry-run")
    assert result.status == 0
    assert "3 shards, 5 frames, 1 clips" in result.err
    assert not out.exists()
    lines = result.out.splitlines()
    assert len(lines) == 3
    for line in reversed(lines):  # as tasks of a cluster's array job, in any order
        words = shlex.split(line)
        assert words[:2] == ["lrhdr", "reconstruct"]
        assert lrhdr(*words[1:]).status == 0
    plain = plain_frames(folder, tmp_path / "plain")
    assert frames(out) == {name: data for name, data in plain.items() if name.startswith("c0")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--workers", "0"), "workers: expected 1 or more"),
        (("--retries", "-1"), "retries: expected 0 or more"),
        (("--shard-frames", "0"), "shard frames: expected 1 or more"),
        (("--address", "auto"), "address: expected --engine ray"),
    ],
)
def test_options_that_make_no_sense(
    lrhdr: Run, folder: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    result = lrhdr("batch", folder, "-o", tmp_path / "out", *CHEAP, *options)
    assert result.status == 2
    assert message in result.err.splitlines()[-1]


def test_without_ray_one_line_names_the_extra(
    lrhdr: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = lrhdr("batch", folder, "-o", tmp_path / "out", *CHEAP, "--engine", "ray")
    assert result.status == 2
    assert "pip install 'lrhdr[cluster]'" in result.err.splitlines()[-1]


def test_a_killed_worker_costs_its_task_and_is_replaced(folder: Path, tmp_path: Path) -> None:
    (clip,) = read_clips(str(folder / "c0"), str(tmp_path / "out"), options())
    engine = LocalEngine(1)
    try:
        engine.submit(Task(1, PREPARE, clip))
        assert engine.free == 0
        os.kill(engine.processes[0], signal.SIGKILL)
        (event,) = until_news(engine)
        assert event.outcome is not None
        assert "signal 9, SIGKILL" in getattr(event.outcome, "reason", "")
        assert engine.free == 1
        engine.submit(Task(2, SHARD, clip, range(2)))
        news = until_news(engine)
        while news[-1].outcome is None:
            news += until_news(engine)
        assert getattr(news[-1].outcome, "written", None) == 2
        assert [event.frames for event in news[:-1]] == [0, 1, 2]
    finally:
        engine.close()
    assert len(frames(tmp_path / "out")) == 2


def options() -> RunOptions:
    return RunOptions(method="completion", interpolator="average", stops="0,3", threads=1)


def until_news(engine: LocalEngine) -> list[Event]:
    for _ in range(120):
        if news := engine.events(1.0):
            return news
    raise AssertionError("no news for two minutes")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999", "no.such.host.invalid:1"])
def test_a_cluster_that_nobody_answers_for_is_said_at_once(address: str) -> None:
    with pytest.raises(InputError, match=f"cannot reach {re.escape(address)}"):
        check_reachable(address)


def test_a_cluster_that_answers_is_left_to_ray() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_reachable(f"127.0.0.1:{server.getsockname()[1]}")
    check_reachable("auto")


@pytest.mark.slow
def test_ctrl_c_and_then_the_same_command(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "lrhdr", "batch", str(folder), "-o", str(out), *CHEAP, "--shard-frames", "1"]
    # A background job of a shell has Ctrl-C switched off, and hands that down.
    obey = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=CALM, start_new_session=True, preexec_fn=obey
    )
    deadline = time.monotonic() + 300
    while not frames(out) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("lrhdr: stopped")
    assert not list(out.rglob(".*"))
    assert subprocess.run(command, env=CALM, capture_output=True, timeout=600).returncode == 2  # the damaged clip
    assert frames(out) == plain_frames(folder, tmp_path / "plain")


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "lrhdr", "batch", str(folder), "-o", str(out), *CHEAP, "--shard-frames", "1"]
    process = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.DEVNULL, env=CALM)
    deadline = time.monotonic() + 300
    while not frames(out) and time.monotonic() < deadline:
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.is_file():
        process.kill()
        pytest.skip("the children of a process are known on Linux alone")
    workers = [int(pid) for pid in children.read_text().split()]
    process.kill()
    process.wait()
    while any(Path(f"/proc/{pid}/cmdline").is_file() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in workers):
        assert time.monotonic() < deadline, "a worker lives on"
        time.sleep(0.05)
    assert len(workers) >= 2
    assert subprocess.run(command, env=CALM, capture_output=True, timeout=600).returncode == 2
    assert frames(out) == plain_frames(folder, tmp_path / "plain")
    assert not list(out.rglob(".*"))


@pytest.mark.slow
def test_ray_makes_the_same_frames_and_a_killed_task_is_tried_again(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra 'cluster'")
    from lrhdr.batch_ray import RayEngine

    class Murderous(RayEngine):
        """Stops the first shard by force, and kills what keeps the progress, as a node that goes away does."""

        murdered = 0

        def submit(self, task: Task) -> None:
            super().submit(task)
            if task.kind == SHARD and not self.murdered:
                self.murdered += 1
                self._ray.kill(self._board)
                self._ray.cancel(next(r for r, t in self._under_way.items() if t is task), force=True)

    made: list[Murderous] = []

    def engine() -> Murderous:
        made.append(Murderous(None, 2))
        return made[0]

    said: list[str] = []
    clips: tuple[BatchClip, ...] = read_clips(str(folder), str(tmp_path / "out"), options())
    result = run_batch(clips, str(tmp_path / "out"), engine, shard_frames=2, notify=said.append)
    assert list(result.failed) == ["bad"]
    assert made[0].murdered == 1
    assert sum("tried again" in line for line in said) == 1, said
    assert frames(tmp_path / "out") == plain_frames(folder, tmp_path / "plain")


@pytest.mark.slow
def test_ray_says_what_it_cannot_do(lrhdr: Run, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra 'cluster'")
    command = ("batch", folder, "-o", tmp_path / "out", *CHEAP, "--engine", "ray", "--workers", "1")
    lacking = lrhdr(*command, "--task-gpus", "1")
    assert lacking.status == 2
    assert "asks for 1 cores and 1 GPUs" in lacking.err.splitlines()[-1]
    nowhere = lrhdr(*command, "--address", "127.0.0.1:1")
    assert nowhere.status == 2
    assert "cannot reach 127.0.0.1:1" in nowhere.err.splitlines()[-1]
