import csv
import dataclasses
import io
import itertools
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import lightning_fabric
import pytest
import torch
from lightning_fabric.plugins import MixedPrecision
from safetensors.torch import load_file

from lrhdr import training, training_batches, training_run
from lrhdr.checkpoint import load_checkpoint, save_checkpoint
from lrhdr.checks import InputError, LrhdrError
from lrhdr.data.training_data import CacheData
from lrhdr.entmax import entmax
from lrhdr.interpolation_training import load_interpolation_config
from lrhdr.models.apswf import APSWFConfig
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.training import train
from lrhdr.training_batches import batch_item, draw_batch, steps_in_all
from lrhdr.training_config import TrainConfig, load_config
from lrhdr.training_log import TrainingLog
from lrhdr.training_run import learning_rate_factor
from lrhdr.weights import load_pretrained, load_record
from samples import TINY, train_config, write_cache


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return train_config(tmp_path, steps=6, validation=2, validate_every=3, checkpoint_minutes=60.0, ema=0.9)


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


def test_ctrl_c_stops_between_steps_and_resuming_changes_nothing(config: TrainConfig, tmp_path: Path, monkeypatch):
    whole = weights(train(config))
    halves = dataclasses.replace(config, output=str(tmp_path / "halves"))
    real = training_batches.draw_batch

    def interrupted(data, config, step, rank, world, part=0):
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return real(data, config, step, rank, world, part)

    monkeypatch.setattr(training_batches, "draw_batch", interrupted)
    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        train(halves, report=lines.append)
    assert lines[-1].startswith("stopped at step 4;")  # the step that was under way is finished
    assert load_checkpoint(Path(halves.output) / "last.pt")["step"] == 4
    monkeypatch.setattr(training_batches, "draw_batch", real)
    resumed = train(halves)
    assert same(weights(resumed), whole)
    rows = list(csv.DictReader((resumed.parent / "log.csv").open()))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_ctrl_c_at_the_terminal_reaches_workers_too_and_the_run_still_stops_whole(config: TrainConfig, tmp_path: Path):
    """A terminal sends Ctrl-C to every process of the run; the prepared batches must survive it."""
    values = {**dataclasses.asdict(config), "workers": 2, "steps": 100_000, "checkpoint_minutes": 60.0}
    script = tmp_path / "run.py"
    script.write_text(
        "from lrhdr.training import train\n"
        "from lrhdr.training_config import config_from_dict\n"
        f"train(config_from_dict({values!r}, 'x'), report=lambda line: print(line, flush=True))\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step 5 "):
            break
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert "run the same command again to go on" in out, err[-2000:]
    assert load_checkpoint(Path(config.output) / "last.pt")["step"] >= 5


KILLED = """
import os, random, signal, sys
from lrhdr import training_batches
from lrhdr.io import atomic
from lrhdr.training import train
from lrhdr.training_config import config_from_dict
values, mode, at = {values!r}, {mode!r}, {at}
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
if mode == "write":  # half a checkpoint is on the disk when the process dies
    count = [0]
    def sync(file):
        count[0] += "last.pt" in os.readlink(f"/proc/self/fd/{{file}}")
        if count[0] == at:
            os.ftruncate(file, os.fstat(file).st_size // 2); die()
    atomic.os.fsync = sync
else:
    draw = training_batches.draw_batch
    def drawn(data, config, step, rank, world, part=0):
        if step == at and rank == world - 1:
            die()
        return draw(data, config, step, rank, world, part)
    training_batches.draw_batch = drawn
train(config_from_dict(values, "x"))
"""


@pytest.mark.parametrize("mode", ["write", pytest.param("step", marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_to_the_same_weights(config: TrainConfig, tmp_path: Path, mode: str):
    config = dataclasses.replace(config, checkpoint_minutes=0.0, epochs=3, workers=0, steps=1)  # 2 steps per pass
    whole = weights(train(config))
    at = random.Random().randint(2, 5)
    killed = dataclasses.replace(config, output=str(tmp_path / "killed"))
    script = tmp_path / "run.py"
    script.write_text(KILLED.format(values=dataclasses.asdict(killed), mode=mode, at=at))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    found = load_checkpoint(Path(killed.output) / "last.pt")
    assert found["step"] == (at - 1 if mode == "write" else at)
    assert same(weights(train(killed)), whole), f"killed at {at}"
    assert not list(Path(killed.output).glob(".*.tmp"))


def test_ctrl_c_while_a_checkpoint_is_written_is_no_failed_write(tmp_path: Path, monkeypatch):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"step": 1})

    class Interrupted(io.FileIO):
        def write(self, data):
            if len(data) > 100:
                raise KeyboardInterrupt
            return super().write(data)

    monkeypatch.setattr(Path, "open", lambda path, mode: Interrupted(path, mode))
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {"step": 2, "model": torch.zeros(1000)})
    monkeypatch.undo()
    assert load_checkpoint(path)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_going_on_with_another_configuration_is_refused(config: TrainConfig):
    train(config)
    with pytest.raises(InputError, match="lr"):
        train(dataclasses.replace(config, lr=5e-4))
    train(dataclasses.replace(config, log_every=3))  # what does not shape the result may change


def test_going_on_with_more_or_fewer_samples_is_refused(config: TrainConfig, tmp_path: Path):
    more = write_cache(tmp_path / "more", count=4)
    joined = dataclasses.replace(config, extra_data=(str(more),))
    train(joined)
    checkpoint = Path(config.output) / "last.pt"
    with pytest.raises(InputError, match=r"were \[4, 4\] to train on and 2 held out, now there are \[4\] to train on"):
        train(config)
    (tmp_path / "data").rename(tmp_path / "moved")
    moved = dataclasses.replace(joined, data=str(tmp_path / "moved"))
    train(moved)  # paths may change
    grown = write_cache(tmp_path / "grown", count=5)
    with pytest.raises(InputError, match=r"were \[4, 4\] .* now there are \[4, 5\]"):
        train(dataclasses.replace(moved, extra_data=(str(grown),)))
    older = load_checkpoint(checkpoint)
    del older["samples"], older["precision"]
    save_checkpoint(checkpoint, older)
    train(dataclasses.replace(moved, extra_data=(str(grown),)))  # of a version that did not count them


def test_the_scale_of_the_loss_is_that_of_a_run_that_was_not_stopped(config: TrainConfig, tmp_path: Path, monkeypatch):
    """With "16-mixed", whose scale grows and shrinks with the gradients: as on a GPU, with the CPU's scaler."""

    def fabric(_config: TrainConfig) -> lightning_fabric.Fabric:
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, growth_interval=1000)
        return lightning_fabric.Fabric(
            accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", device="cpu", scaler=scaler)
        )

    monkeypatch.setattr(training, "_build_fabric", fabric)
    config = dataclasses.replace(config, precision="16-mixed", checkpoint_minutes=0.0, validate_every=0)
    whole = train(config)

    class Stop(Exception):
        pass

    def stop(_what: str, done: int, _total: int) -> None:
        if done == 5:
            raise Stop

    halves = dataclasses.replace(config, output=str(tmp_path / "halves"))
    with pytest.raises(Stop):
        train(halves, progress=stop)
    resumed = train(halves)
    scales = [load_checkpoint(path.with_name("last.pt"))["precision"]["scale"] for path in (whole, resumed)]
    assert scales[0] == scales[1] < 2.0**40
    assert same(weights(whole), weights(resumed))


def test_batches_depend_on_seed_step_and_slot_alone(config: TrainConfig):
    data = CacheData(config.data, 2)
    config = dataclasses.replace(config, batch=4)
    whole = draw_batch(data, config, 5, 0, 1)
    shares = [draw_batch(data, config, 5, rank, 2) for rank in range(2)]
    for rank, share in enumerate(shares):
        assert torch.equal(share.target, whole.target[rank::2])
        assert torch.equal(share.window, whole.window[rank::2])
    parts = [draw_batch(data, dataclasses.replace(config, accumulate=2), 5, 0, 1, part) for part in range(2)]
    assert torch.equal(parts[1].target, whole.target[1::2])
    assert not torch.equal(draw_batch(data, config, 6, 0, 1).target, whole.target)
    other = dataclasses.replace(config, seed=1)
    assert not torch.equal(draw_batch(data, other, 5, 0, 1).target, whole.target)


def test_epochs_take_every_sample_once_and_variants_come_back(config: TrainConfig):
    config = dataclasses.replace(config, epochs=4, variants=2)
    assert steps_in_all(config, 7) == 12  # 3 batches of 2, one sample left out of each pass
    passes = [
        [batch_item(config, 6, step, slot) for step in range(3 * epoch, 3 * epoch + 3) for slot in range(2)]
        for epoch in range(4)
    ]
    for items in passes:
        assert sorted(item.index for item in items) == list(range(6))
    assert [i.index for i in passes[0]] != [i.index for i in passes[1]]

    def form(items, index):
        item = next(i for i in items if i.index == index)
        return item.key, torch.rand(1, generator=item.generator).item()

    assert form(passes[0], 3) == form(passes[2], 3) != form(passes[1], 3)
    free = dataclasses.replace(config, variants=0)
    fresh = [batch_item(free, 6, 3 * epoch + k // 2, k % 2) for epoch in range(4) for k in range(6)]
    assert all(item.key == "" for item in fresh)
    assert len({torch.rand(1, generator=item.generator).item() for item in fresh}) == 24


def test_workers_change_nothing(config: TrainConfig, tmp_path: Path):
    alone = weights(train(config))
    assert same(weights(train(dataclasses.replace(config, workers=2, output=str(tmp_path / "w")))), alone)


def test_accumulated_parts_give_the_step_of_the_whole_batch(config: TrainConfig, tmp_path: Path):
    model = {**TINY, "apswf": {"widths": [4, 4, 4, 4], "attention": False}}  # batch statistics are the parts' own
    config = dataclasses.replace(config, model=model, batch=4, steps=3)
    one = weights(train(config))
    two = weights(train(dataclasses.replace(config, accumulate=2, output=str(tmp_path / "two"))))
    for key, value in one.items():
        assert torch.allclose(two[key], value, atol=2e-5), key
    with pytest.raises(InputError, match="cannot be dealt evenly"):
        train(dataclasses.replace(config, batch=3, accumulate=2, output=str(tmp_path / "three")))


def test_best_and_last_are_kept(config: TrainConfig, monkeypatch):
    scores = iter([30.0, 20.0])
    monkeypatch.setattr(training_run, "validate", lambda *_: {"psnr": next(scores), "reference": 1.0, "oracle": 2.0})
    path = train(config)
    best = load_record(path.with_name("compact-2exp-best.safetensors"))
    assert (best.training["steps_done"], best.scores["validation"]["psnr"]) == (3, 30.0)
    assert (load_record(path).training["steps_done"], load_record(path).scores["validation"]["psnr"]) == (6, 20.0)
    assert load_checkpoint(path.with_name("last.pt"))["best"] == {"psnr": 30.0, "step": 3.0}


def test_tensorboard_has_the_numbers_of_the_log(config: TrainConfig):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    path = train(config)
    events = accumulator.EventAccumulator(str(path.parent / "tensorboard"))
    events.Reload()
    rows = list(csv.DictReader((path.parent / "log.csv").open()))
    losses = {event.step: event.value for event in events.Scalars("train/loss")}
    assert losses == pytest.approx({int(row["step"]): float(row["loss"]) for row in rows}, rel=1e-5)
    assert {event.step for event in events.Scalars("validation/psnr")} == {3, 6}


def test_a_log_that_a_crash_cut_off_is_repaired(config: TrainConfig):
    path = train(dataclasses.replace(config, steps=6))
    log = path.parent / "log.csv"
    whole = log.read_text()
    log.write_text(whole + "7,0.1")
    with TrainingLog(path.parent, 6, tensorboard=False):
        pass
    assert log.read_text().split() == whole.split()


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
    with pytest.raises(LrhdrError, match=r"nan at step 0 \(seed 0, slots \[0, 1\], samples \[\d, \d\]\)$"):
        train(bad)


def test_the_checkpoint_before_a_bad_step_is_kept(config: TrainConfig, monkeypatch):
    real = training_run.lrhdr_loss
    calls = []

    def sometimes(output, target, loss, alpha):
        calls.append(0)
        losses = real(output, target, loss, alpha)
        return losses._replace(total=losses.total * (float("nan") if len(calls) == 4 else 1.0))

    monkeypatch.setattr(training_run, "lrhdr_loss", sometimes)
    config = dataclasses.replace(config, checkpoint_minutes=0.0)
    with pytest.raises(LrhdrError, match=r"the loss is nan at step 3 .*last.pt is kept as it was"):
        train(config)
    state = load_checkpoint(Path(config.output) / "last.pt")
    assert state["step"] == 3
    assert all(torch.isfinite(value).all() for value in state["model"].values() if value.is_floating_point())


def test_a_gradient_that_is_not_finite_stops_too(config: TrainConfig, monkeypatch):
    real = training_run.lrhdr_loss

    class Poison(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * float("inf")

    def poisoned(*arguments):
        losses = real(*arguments)
        return losses._replace(total=Poison.apply(losses.total))

    monkeypatch.setattr(training_run, "lrhdr_loss", poisoned)
    with pytest.raises(LrhdrError, match=r"the gradient's norm is (nan|inf) at step 0"):
        train(config)


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
        *(
            (f'data = "d"\noutput = "o"\n{name} = {value}', f"{name} = .* is out of range")
            for name, value in (
                ("log_every", 0),
                ("threads", -1),
                ("weight_decay", -1.0),
                ("clip_gradient", -1.0),
                ("seed", -1),
                ("precision", '"bf16-true"'),
            )
        ),
        ('data = "d"\noutput = "o"\n[loss]\nvote_weighting = "x"', "vote_weighting"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=match):
            load_config(path)
    with pytest.raises(InputError, match="no such configuration"):
        load_config(tmp_path / "none.toml")


def test_a_crop_larger_than_the_samples_is_refused_by_name(config: TrainConfig):
    with pytest.raises(InputError, match=r"data: found samples of 24x24 pixels, expected at least 32x32 for the crop"):
        train(dataclasses.replace(config, crop=32))


def test_what_was_saved_is_loaded_once_the_network_is_on_its_device(config: TrainConfig, monkeypatch):
    train(dataclasses.replace(config, steps=2))
    happened: list[str] = []
    setup, restore = lightning_fabric.Fabric.setup, training_run.TrainingRun._restore

    def noted_setup(self, *parts: object) -> object:
        happened.append("setup")
        return setup(self, *parts)

    def noted_restore(self) -> tuple[int, float]:
        happened.append("restore")
        return restore(self)

    monkeypatch.setattr(lightning_fabric.Fabric, "setup", noted_setup)
    monkeypatch.setattr(training_run.TrainingRun, "_restore", noted_restore)
    train(dataclasses.replace(config, steps=2))
    assert happened == ["setup", "restore"]


def test_processes_that_would_go_on_from_different_steps_are_refused(config: TrainConfig):
    run = training_run.TrainingRun.__new__(training_run.TrainingRun)
    run.world, run.step, run.checkpoint = 2, 5, Path("run/last.pt")
    for found, fine in (([5, 5], True), ([5, 0], False)):
        run.fabric = SimpleNamespace(device="cpu", all_gather=lambda _x, found=found: torch.tensor(found))
        if fine:
            run._agree()
            continue
        with pytest.raises(InputError, match=r"last\.pt: processes found it at steps \[5, 0\], expected one step"):
            run._agree()


def test_every_committed_configuration_is_valid():
    paths = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))
    of_interpolators = [path for path in paths if path.name.startswith("interpolator-")]
    assert of_interpolators
    assert len(paths) - len(of_interpolators) > 20
    for path in paths:
        if path in of_interpolators:
            load_interpolation_config(path)
        else:
            load_config(path).model_config()


def test_too_little_data(config: TrainConfig):
    with pytest.raises(InputError, match="found 6 samples, expected more than 6 to hold out"):
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


@pytest.mark.slow
def test_two_processes_killed_and_resumed_give_the_weights_of_one(config: TrainConfig, tmp_path: Path):
    model = {**TINY, "apswf": {"widths": [4, 4, 4, 4], "attention": False}}
    config = dataclasses.replace(config, model=model, checkpoint_minutes=0.0, epochs=3, steps=1)
    one = weights(train(config))
    values = {**dataclasses.asdict(config), "output": str(tmp_path / "two")}
    killed, again = tmp_path / "killed.py", tmp_path / "again.py"
    killed.write_text(KILLED.format(values=values, mode="step", at=3))
    again.write_text(KILLED.format(values=values, mode="step", at=10**6))
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    for script, fine in ((killed, False), (again, True)):
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(script)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env, check=False)
        assert (done.returncode == 0) == fine, done.stderr[-2000:]
        if not fine:
            assert 1 <= load_checkpoint(tmp_path / "two" / "last.pt")["step"] <= 3
    two = weights(tmp_path / "two" / "compact-2exp.safetensors")
    for key, value in one.items():
        assert torch.allclose(two[key], value, atol=2e-5), key


def test_mixed_precision_leaves_radiometry_entmax_and_losses_in_float32(config: TrainConfig, tmp_path: Path):
    torch.manual_seed(0)
    model = LRHDR(config.model_config()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    window, between = torch.rand(1, 3, 3, 16, 16), torch.rand(1, 1, 3, 16, 16)
    exposures = torch.tensor([[1.0, 8.0, 1.0]])
    exact = model(window, between, exposures)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(window, between, exposures)
    assert not torch.equal(mixed.logits, exact.logits)  # the convolutions did run in bfloat16
    assert all(x.dtype == torch.float32 for x in mixed)
    assert torch.equal(mixed.candidates[:, :4], exact.candidates[:, :4])
    assert torch.allclose(mixed.weights.sum(dim=1), torch.ones(1, 16, 16), atol=1e-6)
    assert torch.equal(mixed.weights, entmax(mixed.logits, model.config.alpha))
    assert torch.allclose((mixed.weights[:, :, None] * mixed.candidates).sum(dim=1), mixed.hdr, atol=1e-7)
    # and a whole run: its losses are those of its outputs in float32
    seen = []
    real = training_run.lrhdr_loss

    def spy(output, target, loss, alpha):
        losses = real(output, target, loss, alpha)
        seen.append([x.dtype for x in (*output, target, *losses)])
        return losses

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_run, "lrhdr_loss", spy)
        train(dataclasses.replace(config, precision="bf16-mixed", steps=2, output=str(tmp_path / "amp")))
    assert seen
    assert all(dtype == torch.float32 for row in seen for dtype in row)


def test_the_reference_is_shown_under_another_tone_but_stays_a_candidate(config: TrainConfig, tmp_path: Path):
    model = LRHDR(config.model_config()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    data = CacheData(config.data, 2)
    plain = draw_batch(data, config, 0, 0, 1)
    toned = draw_batch(data, dataclasses.replace(config, tone_perturbation=0.7), 0, 0, 1)
    assert torch.equal(plain.window, toned.window)
    assert plain.shown.numel() == 0
    gamma = torch.log(toned.shown[0]) / torch.log(toned.window[0, 1])
    spread = gamma[torch.isfinite(gamma)]
    assert 0.49 < float(spread.min()) <= float(spread.max()) < 2.02
    for channel in gamma:
        assert torch.allclose(channel.nanmedian(), channel[torch.isfinite(channel)].mean(), atol=1e-2)
    parts = (plain.window, plain.interpolated, plain.exposures)
    with torch.no_grad():
        before, after = model(*parts), model(*parts, shown=toned.shown)
        same_again = model(*parts, shown=plain.window[:, 1])
    assert torch.equal(before.candidates, after.candidates)
    assert not torch.equal(before.logits, after.logits)
    assert torch.equal(before.logits, same_again.logits)
    train(dataclasses.replace(config, tone_perturbation=0.7, steps=2, output=str(tmp_path / "toned")))


def test_a_wider_network_starts_as_the_narrower_one(config: TrainConfig, tmp_path: Path):
    model = TINY | {"noise": True}
    narrow = train(dataclasses.replace(config, model=model))
    accr = {**TINY["accr"], "mapper_hidden": 9, "decoder_hidden": 10}
    apswf = {**TINY["apswf"], "widths": [11, *TINY["apswf"]["widths"][1:]]}
    wider = dataclasses.replace(
        config, model=model | {"accr": accr, "apswf": apswf}, init_from=str(narrow), output=str(tmp_path / "wider")
    )
    window, between = torch.rand(2, 3, 3, 16, 16), torch.rand(2, 1, 3, 16, 16)
    exposures = torch.tensor([[1.0, 4.0, 1.0], [8.0, 1.0, 8.0]])
    start = training_run.start_from(str(narrow), wider.model_config()).eval()
    with torch.no_grad():
        small, large = (m(window, between, exposures) for m in (load_pretrained(narrow)[0], start))
    torch.testing.assert_close(large.hdr, small.hdr)
    torch.testing.assert_close(large.logits, small.logits)
    trained = load_pretrained(train(wider))[0]
    for name in ("apswf.stem.weight", "accr.mapper.conv1.weight", "accr.decoder.first.weight"):
        assert trained.state_dict()[name].shape[0] in (9, 10, 11), name
    assert trained.apswf.down1.weight[:, -1].abs().max() > 0.0, "what looks at a new channel has learnt"
    for other in (model | {"apswf": {**apswf, "widths": [3, *apswf["widths"][1:]]}}, model | {"alpha": 1.5}, TINY):
        with pytest.raises(InputError, match="its network differs"):
            training_run.start_from(str(narrow), dataclasses.replace(config, model=other).model_config())


def test_attention_over_features_does_not_widen():
    full = LRHDRConfig(apswf=APSWFConfig(attention_full=True))
    wider = dataclasses.replace(full, apswf=APSWFConfig(widths=(16, 24, 48, 80), attention_full=True))
    assert not training_run._grows_into(full, wider)
    assert training_run._grows_into(full, full)


def test_a_network_that_did_not_hear_noise_may_learn_to(config: TrainConfig, tmp_path: Path):
    first = train(config)
    hearing = training_run.start_from(
        str(first), dataclasses.replace(config, model=TINY | {"noise": True}).model_config()
    )
    deaf = load_pretrained(first)[0]
    window, between = torch.rand(1, 3, 3, 16, 16), torch.rand(1, 1, 3, 16, 16)
    exposures = torch.tensor([[1.0, 4.0, 1.0]])
    with torch.no_grad():
        same = hearing.eval()(window, between, exposures).hdr, deaf(window, between, exposures).hdr
    torch.testing.assert_close(*same)
    with pytest.raises(InputError, match="its network differs"):
        training_run.start_from(str(first), dataclasses.replace(config, model=TINY | {"prior": False}).model_config())
