"""The trainer: a plain loop on Lightning Fabric, over sample caches or folders of frames.

`train(config)` runs on one process, or on several under `torchrun` (each process takes its share of every batch). What
each step sees depends on (seed, step, slot) alone (`lrhdr.training_batches`), so a run that was stopped, or killed, and
started again gives the same weights as one that was not. The run's folder:

- `last.pt`: network, moving average, optimiser, scale of the loss, scores, numbers of samples and the resolved
  configuration; replaced whole or not at all.
- `<name>.safetensors`, `<name>-best.safetensors`: the moving average, last and best in validation.
- `config.json`, `log.csv`, `tensorboard/`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lrhdr.checks import LrhdrError
from lrhdr.losses import Losses
from lrhdr.training_batches import batches
from lrhdr.training_config import TrainConfig
from lrhdr.training_log import TrainingLog
from lrhdr.training_run import TrainingRun

if TYPE_CHECKING:
    from lightning_fabric import Fabric


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


def _leave_processes() -> None:
    """End the process group; a process that ends with gloo's threads at work aborts now and then."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class _Interrupts:
    """Ctrl-C and SIGTERM end a run between two steps, where its state is whole; a second Ctrl-C ends it at once.

    A second SIGTERM does not: a scheduler sends it to every process, and torchrun hands it on to those that have it.
    """

    def __init__(self) -> None:
        self.seen = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: object) -> None:
        if self.seen and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.seen = True


def train(
    config: TrainConfig,
    *,
    progress: Callable[[str, int, int], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> Path:
    """Train, or go on from the checkpoint in the output folder.

    Args:
        config: the run. Resuming with another configuration (other than paths, workers, steps between logs and
            threads), or with more or fewer samples, is refused.
        progress: called with (what, steps done, steps in all) after every step (rank 0).
        report: called with one line of text for every event worth telling (rank 0).

    Returns:
        The saved weights, `<output>/<name>.safetensors` (the moving average).

    Raises:
        InputError: data or checkpoint missing, damaged or not matching.
        LrhdrError: loss or gradient stopped being finite (the message names step, seed, slots and samples; the last
            checkpoint stays), or the extra is not installed.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once the state is saved.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    fabric = _build_fabric(config)
    fabric.launch()
    if fabric.world_size > 1:
        atexit.register(_leave_processes)
    first = fabric.global_rank == 0
    say = report if report is not None and first else (lambda _line: None)
    tell = progress if progress is not None and first else (lambda _what, _done, _total: None)
    run = TrainingRun(config, fabric, say)
    config = run.config
    with contextlib.ExitStack() as stack:
        log = None
        if first:
            run.prepare_folder()
            log = stack.enter_context(TrainingLog(run.output, run.step, tensorboard=config.tensorboard))
            if config.tensorboard and not log.tensorboard:
                say("no TensorBoard log: the package is not installed (it is part of 'lrhdr[train]'); see log.csv")
        interrupts = stack.enter_context(_Interrupts())
        pin = fabric.device.type == "cuda"
        saved = time.monotonic()
        tell(config.name, run.step, config.steps)
        prepared = batches(run.data, config, run.step, run.rank, run.world, pin=pin)
        for parts in stack.enter_context(contextlib.closing(prepared)):
            losses = run.advance(parts)
            tell(config.name, run.step, config.steps)
            last = run.step == config.steps
            row: dict[str, Any] = {}
            logged = run.step % config.log_every == 0 or last
            validated = run.data.held_out and config.validate_every and (run.step % config.validate_every == 0 or last)
            if logged or validated:
                losses = run.over_processes(losses)
            if logged:
                row = _row(run, losses)
                say(f"step {run.step}  loss {row['loss']:.4f}  recon {row['recon']:.4f}  lr {row['lr']:.2g}")
            if validated:
                if first:
                    scores = run.validate()
                    row = {**(row or _row(run, losses)), **{f"val_{key}": value for key, value in scores.items()}}
                    say("validation PSNR_T " + "  ".join(f"{key} {value:.2f} dB" for key, value in scores.items()))
                fabric.barrier()
            if row and log is not None:
                log.write(row)
            if not last and run.in_any_process(interrupts.seen):
                run.save()
                fabric.barrier()  # torchrun ends all processes as soon as one has ended
                say(f"stopped at step {run.step}; run the same command again to go on")
                raise KeyboardInterrupt
            if time.monotonic() - saved > config.checkpoint_minutes * 60.0:
                run.save()
                saved = time.monotonic()
    run.save()
    fabric.barrier()  # see above
    return run.target


def _row(run: TrainingRun, losses: Losses) -> dict[str, Any]:
    total, recon, accr, vote = (float(x) for x in losses)
    lr = float(run.optimiser.param_groups[0]["lr"])
    return {
        "step": run.step, "minutes": run.minutes, "lr": lr, "loss": total, "recon": recon, "accr": accr, "vote": vote
    }  # fmt: skip
