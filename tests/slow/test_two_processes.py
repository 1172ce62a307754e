"""Training on two gloo processes under torchrun is training on one with the doubled batch: the same loss curve."""

from __future__ import annotations

import csv
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lrhdr.data.training_data import CacheData
from lrhdr.training import train
from lrhdr.training_batches import draw_batch, slots_of
from lrhdr.training_config import TrainConfig
from samples import TINY, train_config

TOLERANCE = 2e-5
"""Of losses around 1: the two differ in the order of sums alone. Losses are logged with six digits."""

COLUMNS = ("loss", "recon", "accr", "vote")


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    # Triplet attention normalises over the samples that each process sees, so it is left out.
    model = {**TINY, "apswf": {"widths": [4, 4, 4, 4], "attention": False}}
    settings = {"output": str(tmp_path / "one"), "model": model, "steps": 8, "batch": 4, "log_every": 2}
    return train_config(tmp_path, 12, **settings, validation=2, validate_every=3, ema=0.9, tensorboard=False)


def curve(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one_with_the_doubled_batch(config: TrainConfig, tmp_path: Path) -> None:
    train(config)
    values = {**dataclasses.asdict(config), "output": str(tmp_path / "two")}
    script = tmp_path / "run.py"
    script.write_text(
        "from lrhdr.training import train\n"
        "from lrhdr.training_config import config_from_dict\n"
        f"train(config_from_dict({values!r}, 'x'))\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(script)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=env, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert [row["step"] for row in two] == [row["step"] for row in one] == ["2", "3", "4", "6", "8"]
    for a, b in zip(one, two, strict=True):
        for column in COLUMNS:
            assert float(b[column]) == pytest.approx(float(a[column]), abs=TOLERANCE), (a["step"], column)
    weights = [load_file(tmp_path / name / "compact-2exp.safetensors") for name in ("one", "two")]
    for key, value in weights[0].items():
        assert torch.allclose(weights[1][key], value, atol=TOLERANCE), key


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_a_batch_without_overlap(config: TrainConfig, world: int) -> None:
    data = CacheData(config.data, config.validation)
    whole = draw_batch(data, config, step=3, rank=0, world=1)
    for rank in range(world):
        part = draw_batch(data, config, step=3, rank=rank, world=world)
        slots = list(slots_of(config, rank, world))
        assert len(slots) == config.batch // world
        assert torch.equal(part.window, whole.window[slots])
        assert torch.equal(part.target, whole.target[slots])
    dealt = sorted(slot for rank in range(world) for slot in slots_of(config, rank, world))
    assert dealt == list(range(config.batch))
