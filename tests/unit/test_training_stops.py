"""A run that is told to stop, or that cannot go on: workers and several processes included."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import lightning_fabric
import pytest
import torch

from lrhdr import training_run
from lrhdr.checkpoint import load_checkpoint
from lrhdr.checks import InputError
from lrhdr.data.training_data import CacheData
from lrhdr.training import train
from lrhdr.training_config import TrainConfig
from samples import TINY, train_config


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return train_config(tmp_path, steps=1000, validation=0, checkpoint_minutes=60.0, tensorboard=False)


def test_sigterm_that_reaches_workers_too_ends_the_run_with_its_state_saved(config: TrainConfig) -> None:
    """As `kill -TERM -- -PGID`, and as schedulers send it to every process; torchrun sends it a second time."""
    lines: list[str] = []

    def terminate(_what: str, done: int, _total: int) -> None:
        if done == 3:
            workers = multiprocessing.active_children()
            assert len(workers) == 2
            for number in (*(worker.pid for worker in workers), os.getpid(), os.getpid()):
                os.kill(number or 0, signal.SIGTERM)
            time.sleep(0.2)

    with pytest.raises(KeyboardInterrupt):
        train(dataclasses.replace(config, workers=2), progress=terminate, report=lines.append)
    assert lines[-1] == "stopped at step 3; run the same command again to go on"
    assert load_checkpoint(Path(config.output) / "last.pt")["step"] == 3
    assert not multiprocessing.active_children()


def test_a_second_ctrl_c_ends_a_run_at_once(config: TrainConfig) -> None:
    def interrupt(_what: str, done: int, _total: int) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(config, progress=interrupt)
    assert not (Path(config.output) / "last.pt").exists()


def test_what_a_worker_cannot_read_is_one_line(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(self: CacheData, *_: object) -> None:
        raise InputError(f"{self.path}: damaged")

    monkeypatch.setattr(CacheData, "draw", damaged)
    for workers in (0, 1):
        with pytest.raises(InputError) as caught:
            train(dataclasses.replace(config, workers=workers))
        assert str(caught.value) == f"{config.data}: damaged"
    assert not multiprocessing.active_children()


def test_a_disk_that_is_full_for_a_worker_is_still_said_by_the_system(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "cache")

    monkeypatch.setattr(CacheData, "draw", full)
    with pytest.raises(OSError, match="No space left") as caught:
        train(dataclasses.replace(config, workers=1))
    assert (caught.value.errno, caught.value.filename) == (28, "cache")


def test_all_processes_stop_when_one_is_told_to(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    run = training_run.TrainingRun.__new__(training_run.TrainingRun)
    run.world, asked = 2, []

    def all_reduce(flag: torch.Tensor, reduce_op: str) -> torch.Tensor:
        asked.append((float(flag), reduce_op))
        return torch.tensor(1.0)

    run.fabric = SimpleNamespace(device="cpu", all_reduce=all_reduce)  # type: ignore[assignment]
    assert run.in_any_process(False)
    assert asked == [(0.0, "max")]
    # and a run stops for it, though its own process was told nothing
    monkeypatch.setattr(training_run.TrainingRun, "in_any_process", lambda run, _flag: run.step == 4)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    assert load_checkpoint(Path(config.output) / "last.pt")["step"] == 4


def test_no_process_ends_before_the_state_is_saved(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torchrun ends all others, the one that saves too, when one aborts at its end."""
    happened: list[str] = []
    save = training_run.TrainingRun.save

    def noted(run: training_run.TrainingRun) -> None:
        save(run)
        happened.append("saved")

    monkeypatch.setattr(training_run.TrainingRun, "save", noted)
    monkeypatch.setattr(lightning_fabric.Fabric, "barrier", lambda _fabric: happened.append("waited"))
    train(dataclasses.replace(config, steps=1))
    assert happened == ["saved", "waited"]


SCRIPT = """
import os, signal
from lrhdr import training_batches
from lrhdr.training import train
from lrhdr.training_config import config_from_dict
draw = training_batches.draw_batch
def drawn(data, config, step, rank, world, part=0):
    if step == 3 and rank == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    return draw(data, config, step, rank, world, part)
training_batches.draw_batch = drawn
train(config_from_dict({values!r}, "x"), report=print)
"""


@pytest.mark.slow
def test_sigterm_to_one_of_two_processes_stops_both_with_the_state_saved(config: TrainConfig, tmp_path: Path) -> None:
    model = {**TINY, "apswf": {"widths": [4, 4, 4, 4], "attention": False}}
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(values=dataclasses.asdict(dataclasses.replace(config, model=model))))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(script)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, check=False)
    assert "stopped at step 4; run the same command again to go on" in done.stdout, done.stderr[-2000:]
    assert load_checkpoint(Path(config.output) / "last.pt")["step"] == 4


@pytest.mark.slow
def test_workers_end_when_the_training_process_is_killed(config: TrainConfig, tmp_path: Path) -> None:
    values = dataclasses.asdict(dataclasses.replace(config, workers=2, steps=10**6))
    script = tmp_path / "run.py"
    script.write_text(
        "import multiprocessing\n"
        "from lrhdr.training import train\n"
        "from lrhdr.training_config import config_from_dict\n"
        "def tell(what, done, total):\n"
        "    if done == 3:\n"
        "        print(*(p.pid for p in multiprocessing.active_children()), flush=True)\n"
        f"train(config_from_dict({values!r}, 'x'), progress=tell)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [int(word) for word in process.stdout.readline().split()]
        process.kill()
    assert len(workers) == 2
    end = time.monotonic() + 60.0
    while any(Path(f"/proc/{number}").exists() for number in workers) and time.monotonic() < end:
        time.sleep(0.5)
    assert not any(Path(f"/proc/{number}").exists() for number in workers)
