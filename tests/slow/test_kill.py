"""`kill -9` at any moment, then the same command again: it finishes, with the result of a run that nobody disturbed.

Moments are of three kinds, all seeded: before the k-th change of the file system, in the middle of writing a file, and
after some time (the whole process group). After each kill every file under a final name must be whole; after the
second run the folder must hold the same files as an undisturbed run, with the same contents, and nothing else.
Files that grow by lines (`log.csv`, TensorBoard's, `batch.jsonl`) may end in half a line after a kill; the next run
repairs them.
"""

from __future__ import annotations

import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from lrhdr.checkpoint import load_checkpoint
from lrhdr.io.exr import write_exr
from lrhdr.io.images import read_exr, read_ldr, write_png
from lrhdr.io.video import VideoReader
from lrhdr.training_config import TrainConfig
from lrhdr.viewer.packing import header, unwrap
from samples import TINY, write_cache

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the kills need fork")

FAST, SLOW = 2, 20
WORKER_CHANGES = 6
"""Changes of the file system that every worker of the batch comes to make: those of one task."""
COMMANDS = ("reconstruct", "batch", "synthesize", "train")


class Server:
    """The process that runs and kills (see `kill_server`)."""

    def __init__(self, log: Path) -> None:
        script = Path(__file__).with_name("kill_server.py")
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        self._log = log
        assert self._answer() == {"ready": True}

    def run(self, call: str, arguments: Any, inside: Path, kill: tuple[str, float] | None = None) -> dict[str, Any]:
        self._log.write_text("")
        Path(f"{self._log}.once").unlink(missing_ok=True)
        job = {"call": call, "arguments": arguments, "inside": str(inside), "kill": kill, "log": str(self._log)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return self._answer()

    @property
    def said(self) -> str:
        return self._log.read_text()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server") / "log.txt")
    yield made
    made.close()


def write_clip(folder: Path, count: int, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for i in range(count):
        write_png(folder / f"frame_{i:03d}.png", rng.integers(0, 256 if i % 2 else 90, (18, 32, 3), dtype=np.uint8))
    return folder


def reconstruct_job(root: Path, out: Path) -> tuple[str, Any]:
    clip = write_clip(root / "clip", 6)
    videos = ["--preview", out / "p.mp4", "--hdr10", out / "h.mp4", "--sheet", out / "s.png", "--report"]
    words = ["reconstruct", clip, "-o", out, "--stops", "0,3", "--method", "completion", "--interpolator", "average"]
    return "cli", [str(w) for w in (*words, "--threads", 1, *videos)]


def batch_job(root: Path, out: Path) -> tuple[str, Any]:
    for k in range(2):
        write_clip(root / "clips" / f"c{k}", 5 + k, k)
    words = ["batch", root / "clips", "-o", out, "--stops", "0,3", "--method", "completion", "--hlg", "v.mp4"]
    return "cli", [str(w) for w in (*words, "--interpolator", "average", "--shard-frames", 2, "--workers", 2)]


def synthesize_job(root: Path, out: Path) -> tuple[str, Any]:
    rng = np.random.default_rng(0)
    (root / "hdr").mkdir(parents=True)
    for name in ("a", "b"):
        coarse = np.kron(rng.uniform(0, 1, (9, 10, 3)), np.ones((8, 8, 1)))
        write_exr(root / "hdr" / f"{name}.exr", np.exp(4 * coarse).astype(np.float32), {})
    values = {"hdr_dir": root / "hdr", "video_dir": None, "out_dir": out}
    numbers = {"count": 5, "seed": 3, "shard_size": 1}
    return "cache", {k: str(v) if isinstance(v, Path) else v for k, v in values.items()} | numbers


def train_job(root: Path, out: Path) -> tuple[str, Any]:
    root.mkdir(parents=True)
    config = TrainConfig(data=str(write_cache(root / "data")), output=str(out), model=TINY)
    values = {"data": config.data, "output": config.output, "model": TINY, "steps": 4, "batch": 2, "crop": 16}
    values |= {"warmup": 2, "validation": 2, "validate_every": 2, "log_every": 1, "checkpoint_minutes": 0.0}
    path = root / "config.json"
    path.write_text(json.dumps(values))
    return "cli", ["train", str(path)]


JOBS: dict[str, Callable[[Path, Path], tuple[str, Any]]] = {
    "reconstruct": reconstruct_job,
    "batch": batch_job,
    "synthesize": synthesize_job,
    "train": train_job,
}


def contents(folder: Path) -> dict[str, Any]:
    """What every file of a finished run holds, by its name: all of it that is not a matter of time."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if name.startswith("tensorboard/") or name == "batch.jsonl":
            continue
        if path.suffix == ".safetensors":
            found[name] = {key: (x.shape, x.numpy().tobytes()) for key, x in load_file(path).items()}
        elif path.suffix == ".pt":
            state = load_checkpoint(path)
            found[name] = state["step"], {k: x.numpy().tobytes() for k, x in state["model"].items()}, state["best"]
        elif path.name == "log.csv":
            with path.open(newline="") as file:
                found[name] = [{k: v for k, v in row.items() if k != "minutes"} for row in csv.DictReader(file)]
        elif path.suffix == ".mp4":
            # its comment is a digest of the frames' files and their times of change
            found[name] = re.sub(rb"(lrhdr [0-9.]+) [0-9a-f]{32}", rb"\1", path.read_bytes())
        else:
            found[name] = path.read_bytes()
    return found


def assert_whole(folder: Path) -> None:
    """Every file under a final name can be read to its end."""
    for path in (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
        if path.suffix == ".exr":
            assert np.isfinite(read_exr(path)).all()
        elif path.suffix == ".png":
            read_ldr(path)
        elif path.suffix == ".mp4":
            assert VideoReader(path).count_frames() > 0
        elif path.suffix == ".safetensors":
            load_file(path)
        elif path.suffix == ".pt":
            load_checkpoint(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".js":
            header(unwrap(path))
        elif path.suffix == ".html":
            assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
        else:
            assert path.name in ("log.csv", "batch.jsonl") or "tfevents" in path.name, path


def moments(seed: str, count: int, plain: dict[str, Any], largest: int) -> Iterator[tuple[str, float]]:
    """Seeded: half at a change (batch: half of these in a worker), a quarter within a file, a quarter by the clock."""
    rng = random.Random(seed)
    for i in range(count):
        kind = ("event", "seconds", "worker" if seed == "batch" else "event", "write")[i % 4]
        if kind == "worker":
            yield kind, rng.randint(1, WORKER_CHANGES)
        elif kind == "event":
            yield kind, rng.randint(1, plain["events"])
        elif kind == "write":
            yield kind, rng.randint(1, largest - 1)
        else:
            yield kind, rng.uniform(0.05, 0.95) * plain["seconds"]


def killed_runs(server: Server, command: str, root: Path, count: int) -> int:
    out = root / "out"
    job = JOBS[command](root / "in", out)
    plain = server.run(*job, out)
    assert plain["status"] == 0, server.said
    wanted = contents(out)
    assert len(wanted) > 4
    largest = max(p.stat().st_size for p in out.rglob("*") if p.is_file())
    killed = 0
    for moment in moments(command, count, plain, largest):
        kind, amount = moment
        for _ in range(8):
            shutil.rmtree(out)
            first = server.run(*job, out, (kind, amount))
            if first["status"] < 0 or kind != "seconds":
                break
            amount *= 0.6  # it was faster this time
        if kind == "worker":  # the batch goes on without it
            assert first["status"] == 0, server.said
            assert "SIGKILL); tried again" in server.said
            killed += 1
        elif command == "batch" and kind == "write" and first["status"] > 0:  # workers write: all that began died
            assert first["status"] == 2, server.said
            assert "SIGXFSZ" in server.said
            killed += 1
        else:
            assert first["status"] < 0, (moment, server.said)
            killed += 1
        if out.is_dir():
            assert_whole(out)
        if kind != "worker":
            again = server.run(*job, out)
            assert again["status"] == 0, (moment, server.said)
        found = contents(out)
        assert found.keys() == wanted.keys(), moment
        different = [name for name in wanted if found[name] != wanted[name]]
        assert not different, (moment, different)
    return killed


@pytest.mark.parametrize("command", COMMANDS)
def test_two_kills(server: Server, tmp_path: Path, command: str) -> None:
    assert killed_runs(server, command, tmp_path, FAST) == FAST


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_twenty_kills(server: Server, tmp_path: Path, command: str) -> None:
    assert killed_runs(server, command, tmp_path, SLOW) == SLOW
