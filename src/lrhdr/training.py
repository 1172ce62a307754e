"""The trainer: a plain loop over cached samples on Lightning Fabric.

`train(config)` runs on one process, or on several under `torchrun` (each process takes its share of every batch). What
each step sees depends on (seed, step, slot) alone, so a run that was stopped, or killed, and started again gives the
same weights as one that was not. A checkpoint carries the network, its moving average, the optimiser and the resolved
configuration; `log.csv` has one line per logged step.
"""

from __future__ import annotations

import csv
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lrhdr.checkpoint import load_checkpoint, save_checkpoint
from lrhdr.checks import InputError, LrhdrError
from lrhdr.data.base import Sample, crop_and_augment
from lrhdr.data.generated import CachedSamples
from lrhdr.io.atomic import write_bytes
from lrhdr.losses import lrhdr_loss, oracle_index
from lrhdr.models.lrhdr import LRHDR
from lrhdr.radiometry import ldr_to_radiance
from lrhdr.tonemap import mu_law
from lrhdr.training_config import TrainConfig
from lrhdr.weights import WeightsRecord, load_pretrained, save_weights

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def learning_rate_factor(step: int, config: TrainConfig, peak: float) -> float:
    """Linear warm-up, then a cosine to `lr_final`; as a factor of `peak`."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = (step - config.warmup) / max(1, config.steps - config.warmup)
    floor = min(1.0, config.lr_final / peak)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def draw_batch(samples: CachedSamples, count: int, config: TrainConfig, step: int, rank: int, world: int) -> Sample:
    """The samples of one step for one process; depends on (seed, step, slot) alone.

    Args:
        samples: the cache.
        count: how many of its first samples may be drawn.
        config: seed, batch, crop.
        step: optimiser step.
        rank: this process.
        world: number of processes.

    Returns:
        A `Sample` whose tensors have a leading batch axis.
    """
    drawn = []
    for slot in range(rank, config.batch, world):
        generator = torch.Generator().manual_seed((config.seed * 1_000_003 + step) * 4096 + slot)
        index = int(torch.randint(count, (), generator=generator))
        drawn.append(crop_and_augment(samples[index], config.crop, generator))
    return Sample(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of parameters and buffers, in place."""
    for ours, theirs in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if ours.is_floating_point():
            ours.lerp_(theirs.detach(), 1.0 - decay)
        else:
            ours.copy_(theirs)


@torch.no_grad()
def validate(model: LRHDR, samples: CachedSamples, indices: range, device: torch.device) -> dict[str, float]:
    """PSNR_T (dB, mean over samples) of the network, of the reference alone and of the oracle candidate."""
    model.eval()
    sums = {"psnr": 0.0, "reference": 0.0, "oracle": 0.0}
    for index in indices:
        sample = Sample(*(x[None].to(device) for x in samples[index]))
        output = model(sample.window, sample.interpolated, sample.exposures, aligned=sample.aligned)
        target = mu_law(sample.target)
        centre = sample.window.shape[1] // 2
        reference = mu_law(ldr_to_radiance(sample.window[:, centre], sample.exposures[:, centre]))
        choice, distance = oracle_index(output.candidates_mu, target)
        errors = {
            "psnr": (mu_law(output.hdr) - target).square().mean(),
            "reference": (reference - target).square().mean(),
            "oracle": distance.gather(1, choice[:, None]).mean() / 3.0,
        }
        for key, error in errors.items():
            sums[key] += -10.0 * math.log10(max(float(error), 1e-12))
    return {key: value / max(1, len(indices)) for key, value in sums.items()}


class _Log:
    """Appends rows to `log.csv`; on resume, rows after the checkpoint's step are dropped first."""

    COLUMNS = ("step", "minutes", "lr", "loss", "recon", "accr", "vote", "val_psnr", "val_reference", "val_oracle")

    def __init__(self, path: Path, step: int) -> None:
        rows: list[dict[str, str]] = []
        if step and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, self.COLUMNS, restval="", extrasaction="ignore")
        self._writer.writeheader()
        self._writer.writerows(rows)
        self._file.flush()

    def write(self, row: dict[str, Any]) -> None:
        self._writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _build_fabric(config: TrainConfig) -> Fabric:
    try:
        from lightning_fabric import Fabric
    except ImportError:
        raise LrhdrError("training needs the extra 'train': pip install 'lrhdr[train]'") from None
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    nodes = int(os.environ.get("WORLD_SIZE", "1")) // processes
    strategy = "ddp" if processes * nodes > 1 else "auto"
    return Fabric(
        accelerator="auto",
        devices=processes,
        num_nodes=nodes,
        strategy=strategy,
        precision=config.precision,  # type: ignore[arg-type]
    )


def _optimiser(model: LRHDR, config: TrainConfig) -> tuple[torch.optim.AdamW, list[float]]:
    groups = [{"params": list(model.apswf.parameters()), "lr": config.lr}]
    peaks = [config.lr]
    if model.accr is not None:
        groups.append({"params": list(model.accr.parameters()), "lr": config.lr_accr})
        peaks.append(config.lr_accr)
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay), peaks


def _record(
    config: TrainConfig, manifest: dict[str, Any], step: int, minutes: float, scores: dict[str, float]
) -> WeightsRecord:
    training = {**asdict(config), "data": Path(config.data).name, "output": Path(config.output).name}
    training["init_from"] = Path(config.init_from).name
    training.update(steps_done=step, minutes=round(minutes, 1))
    return WeightsRecord(
        name=config.name,
        config=config.model_config().to_dict(),
        interpolator=manifest.get("config", {}).get("interpolator", "dis"),
        training=training,
        scores={"validation": scores},
    )


def train(
    config: TrainConfig,
    *,
    progress: Callable[[str, int, int], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> Path:
    """Train, or go on from the checkpoint in the output folder.

    Args:
        config: the run. Resuming with another configuration (other than paths, steps between logs and threads) is
            refused.
        progress: called with (what, steps done, steps in all) after every step (rank 0).
        report: called with one line of text for every event worth telling (rank 0).

    Returns:
        The saved weights, `<output>/<name>.safetensors` (the moving average).

    Raises:
        InputError: data or checkpoint missing, damaged or not matching.
        LrhdrError: the loss stopped being finite (the message names step and seed), or the extra is not installed.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    fabric = _build_fabric(config)
    fabric.launch()
    say = report if report is not None and fabric.global_rank == 0 else (lambda _line: None)
    tell = progress if progress is not None and fabric.global_rank == 0 else (lambda _what, _done, _total: None)
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    samples = CachedSamples(Path(config.data), aligned=config.model_config().aligned)
    count = len(samples) - config.validation
    if count < 1:
        raise InputError(
            f"{config.data}: found {len(samples)} samples, expected more than {config.validation} to hold out"
        )
    held_out = range(count, len(samples))

    torch.manual_seed(config.seed)
    bare = load_pretrained(config.init_from)[0] if config.init_from else LRHDR(config.model_config())
    if bare.config != config.model_config():
        raise InputError(f"{config.init_from}: its network differs from this run's configuration")
    bare.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = LRHDR(bare.config).to(fabric.device)
    average.load_state_dict(bare.state_dict())
    optimiser, peaks = _optimiser(bare, config)
    step, minutes = 0, 0.0
    scores: dict[str, float] = {}  # of the last validation; a resumed run must not forget them
    checkpoint = output / "last.pt"
    if checkpoint.is_file():
        state = load_checkpoint(checkpoint)
        _check_resume(state["config"], asdict(config), checkpoint)
        bare.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, minutes, scores = int(state["step"]), float(state["minutes"]), dict(state.get("scores", {}))
        say(f"resuming at step {step} of {config.steps}")
    model, wrapped = fabric.setup(bare, optimiser)
    log = _Log(output / "log.csv", step) if fabric.global_rank == 0 else None
    if fabric.global_rank == 0:
        write_bytes(output / "config.json", json.dumps(asdict(config), indent=1).encode())
    target = output / f"{config.name}.safetensors"
    began = saved = time.monotonic()
    start = began - minutes * 60.0  # as if the earlier processes of this run had been this one
    tell(config.name, step, config.steps)

    def save() -> None:
        if fabric.global_rank != 0:
            return
        spent = (time.monotonic() - start) / 60.0
        state = {
            "step": step,
            "minutes": spent,
            "config": json.loads(json.dumps(asdict(config))),
            "model": bare.state_dict(),
            "average": average.state_dict(),
            "optimiser": optimiser.state_dict(),
            "scores": scores,
        }
        save_checkpoint(checkpoint, state)
        save_weights(target, average, _record(config, samples.manifest, step, spent, scores))

    try:
        while step < config.steps:
            model.train()
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * learning_rate_factor(step, config, peak)
            batch = draw_batch(samples, count, config, step, fabric.global_rank, fabric.world_size)
            batch = Sample(*(x.to(fabric.device) for x in batch))
            output = model(batch.window, batch.interpolated, batch.exposures, aligned=batch.aligned)
            losses = lrhdr_loss(output, batch.target, config.loss, bare.config.vote_alpha)
            if not torch.isfinite(losses.total):
                raise LrhdrError(
                    f"training: the loss is {float(losses.total.detach())} at step {step} (seed {config.seed})"
                )
            wrapped.zero_grad(set_to_none=True)
            fabric.backward(losses.total)
            if config.clip_gradient:
                fabric.clip_gradients(model, wrapped, max_norm=config.clip_gradient, error_if_nonfinite=False)
            wrapped.step()
            step += 1
            tell(config.name, step, config.steps)
            # a young average would remember the random start: its memory grows with the step
            update_average(average, bare, min(config.ema, step / (step + 10.0)))
            row: dict[str, Any] = {}
            if step % config.log_every == 0 or step == config.steps:
                row = _row(step, start, optimiser, losses)
                say(f"step {step}  loss {row['loss']:.4f}  recon {row['recon']:.4f}  lr {row['lr']:.2g}")
            due = config.validate_every and (step % config.validate_every == 0 or step == config.steps)
            if config.validation and due:
                if fabric.global_rank == 0:
                    scores = validate(average, samples, held_out, fabric.device)
                    row = {**(row or _row(step, start, optimiser, losses))}
                    row.update({f"val_{key}": value for key, value in scores.items()})
                    say("validation PSNR_T " + "  ".join(f"{key} {value:.2f} dB" for key, value in scores.items()))
                fabric.barrier()
            if row and log is not None:
                log.write(row)
            if time.monotonic() - saved > config.checkpoint_minutes * 60.0:
                save()
                saved = time.monotonic()
    except KeyboardInterrupt:
        save()
        say(f"stopped at step {step}; run the same command again to go on")
        raise
    finally:
        if log is not None:
            log.close()
    save()
    return target


def _row(step: int, start: float, optimiser: torch.optim.Optimizer, losses: tuple[Tensor, ...]) -> dict[str, Any]:
    total, recon, accr, vote = (float(x.detach()) for x in losses)
    spent = (time.monotonic() - start) / 60.0
    lr = float(optimiser.param_groups[0]["lr"])
    return {"step": step, "minutes": spent, "lr": lr, "loss": total, "recon": recon, "accr": accr, "vote": vote}


_MAY_CHANGE = {"data", "output", "threads", "log_every", "validate_every", "checkpoint_minutes", "init_from"}


def _check_resume(saved: dict[str, Any], wanted: dict[str, Any], path: Path) -> None:
    """Refuse to go on with another configuration.

    Raises:
        InputError: a field that shapes the result differs.
    """
    plain = json.loads(json.dumps(wanted))
    differing = [key for key in plain if key not in _MAY_CHANGE and saved.get(key) != plain[key]]
    if differing:
        raise InputError(f"{path}: made with other values of {differing}; use another output folder or restore them")
