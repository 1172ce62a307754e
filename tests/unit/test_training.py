import csv
import dataclasses
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from samples import TINY, write_cache

from lrhdr import training
from lrhdr.checkpoint import load_checkpoint, save_checkpoint
from lrhdr.checks import InputError, LrhdrError
from lrhdr.data.generated import CachedSamples
from lrhdr.training import draw_batch, learning_rate_factor, train
from lrhdr.training_config import TrainConfig, load_config
from lrhdr.weights import load_record


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        data=str(write_cache(tmp_path / "data")),
        output=str(tmp_path / "run"),
        model=TINY,
        steps=6,
        batch=2,
        crop=16,
        warmup=2,
        validation=2,
        validate_every=3,
        log_every=1,
        checkpoint_minutes=60.0,
        ema=0.9,
    )


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_run_writes_weights_log_and_checkpoint(config: TrainConfig):
    lines: list[str] = []
    steps: list[tuple[str, int, int]] = []
    path = train(config, progress=lambda *state: steps.append(state), report=lines.append)
    assert path == Path(config.output) / "compact-2exp.safetensors"
    rows = list(csv.DictReader((path.parent / "log.csv").open()))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[2]["val_psnr"]
    assert rows[5]["val_oracle"]
    assert not rows[0]["val_psnr"]
    assert float(rows[5]["val_oracle"]) > float(rows[5]["val_reference"])
    assert steps == [("compact-2exp", step, 6) for step in range(7)]
    assert sum("validation PSNR_T" in line for line in lines) == 2
    assert load_checkpoint(path.parent / "last.pt")["step"] == 6
    assert json.loads((path.parent / "config.json").read_text())["steps"] == 6
    scores = load_record(path).scores
    assert scores["validation"]["psnr"] > 0
    train(config)  # a finished run, started again, changes nothing
    assert load_record(path).scores == scores


def test_resuming_gives_the_same_weights_as_not_stopping(config: TrainConfig, tmp_path: Path, monkeypatch):
    whole = weights(train(config))
    halves = dataclasses.replace(config, output=str(tmp_path / "halves"))
    real = training.draw_batch

    def interrupted(samples, count, config, step, rank, world):
        if step == 3:
            raise KeyboardInterrupt
        return real(samples, count, config, step, rank, world)

    monkeypatch.setattr(training, "draw_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(halves)
    monkeypatch.setattr(training, "draw_batch", real)
    resumed = train(halves)
    assert same(weights(resumed), whole)
    rows = list(csv.DictReader((resumed.parent / "log.csv").open()))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]


def test_going_on_with_another_configuration_is_refused(config: TrainConfig):
    train(config)
    with pytest.raises(InputError, match="lr"):
        train(dataclasses.replace(config, lr=5e-4))
    train(dataclasses.replace(config, log_every=3))  # what does not shape the result may change


def test_batches_depend_on_seed_step_and_slot_alone(config: TrainConfig):
    samples = CachedSamples(config.data)
    whole = draw_batch(samples, 4, config, 5, 0, 1)
    shares = [draw_batch(samples, 4, config, 5, rank, 2) for rank in range(2)]
    for rank, share in enumerate(shares):
        assert torch.equal(share.target, whole.target[rank::2])
        assert torch.equal(share.window, whole.window[rank::2])
    assert not torch.equal(draw_batch(samples, 4, config, 6, 0, 1).target, whole.target)
    other = dataclasses.replace(config, seed=1)
    assert not torch.equal(draw_batch(samples, 4, other, 5, 0, 1).target, whole.target)


def test_starting_from_weights(config: TrainConfig, tmp_path: Path):
    first = train(config)
    tuned = dataclasses.replace(config, output=str(tmp_path / "tuned"), init_from=str(first), steps=1, lr=1e-9)
    tuned = dataclasses.replace(tuned, lr_accr=1e-9, lr_final=1e-9, ema=0.0)
    result = weights(train(tuned))
    for key, value in weights(first).items():
        if "running" not in key and "tracked" not in key:
            assert torch.allclose(result[key], value, atol=1e-6), key
    other = dataclasses.replace(tuned, output=str(tmp_path / "x"), model={**TINY, "alpha": 1.5})
    with pytest.raises(InputError, match="differs"):
        train(other)


def test_a_loss_that_is_not_finite_stops_with_its_step(config: TrainConfig, tmp_path: Path):
    bad = dataclasses.replace(config, data=str(write_cache(tmp_path / "bad", bad=True)), validation=0)
    with pytest.raises(LrhdrError, match=r"nan at step 0 \(seed 0\)"):
        train(bad)


def test_learning_rate_warms_up_and_ends_where_it_should():
    config = TrainConfig(data="", output="", steps=100, warmup=10, lr=1e-3, lr_final=1e-6)
    factors = [learning_rate_factor(step, config, 1e-3) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == factors[10] == 1.0
    assert factors[100] == pytest.approx(1e-3)
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))


def test_configuration_file(tmp_path: Path):
    path = tmp_path / "run.toml"
    path.write_text(
        'data = "d"\noutput = "o"\nsteps = 5\n[loss]\nvote = 0.2\n[model]\nfusion = "softmax"\naccr = "none"\n'
    )
    config = load_config(path, {"seed": 4})
    assert (config.steps, config.loss.vote, config.seed) == (5, 0.2, 4)
    assert config.model_config().fusion == "softmax"
    assert config.model_config().accr is None
    for text, match in (
        ("data = ", "TOML"),
        ('data = "d"\noutput = "o"\nspeed = 3', "unknown keys"),
        ('data = "d"', "output"),
        ('data = "d"\noutput = "o"\ncrop = 13', "crop"),
        ('data = "d"\noutput = "o"\n[loss]\nvote_weighting = "x"', "vote_weighting"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=match):
            load_config(path)
    with pytest.raises(InputError, match="no such configuration"):
        load_config(tmp_path / "none.toml")


def test_every_committed_configuration_is_valid():
    for path in sorted((Path(__file__).parents[2] / "configs").glob("*.toml")):
        load_config(path).model_config()


def test_too_little_data(config: TrainConfig):
    with pytest.raises(InputError, match="found 6 samples, expected more than 6"):
        train(dataclasses.replace(config, validation=6))


def test_damaged_checkpoints_are_refused(tmp_path: Path):
    path = tmp_path / "last.pt"
    with pytest.raises(InputError, match="no such checkpoint"):
        load_checkpoint(path)
    save_checkpoint(path, {"step": 1, "x": torch.zeros(100)})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.pt"]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="not a readable checkpoint"):
        load_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="expected a checkpoint"):
        load_checkpoint(path)


def test_two_processes_give_the_weights_of_one(config: TrainConfig, tmp_path: Path):
    # triplet attention normalises over the batch each process sees, so the networks are compared without it
    model = {**TINY, "apswf": {"widths": [4, 4, 4, 4], "attention": False}}
    one = weights(train(dataclasses.replace(config, model=model, steps=3)))
    script = tmp_path / "run.py"
    values = {**dataclasses.asdict(config), "model": model, "steps": 3, "output": str(tmp_path / "two")}
    script.write_text(
        "from lrhdr.training import train\n"
        "from lrhdr.training_config import config_from_dict\n"
        f"train(config_from_dict({values!r}, 'x'))\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(script)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    two = weights(tmp_path / "two" / "compact-2exp.safetensors")
    for key, value in one.items():
        assert torch.allclose(two[key], value, atol=2e-5), key
