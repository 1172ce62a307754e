"""Which samples a training step sees, and in which form. Nothing here depends on what was drawn before.

With `steps`, each slot of a batch draws a sample with replacement, from (seed, step, slot). With `epochs`, each pass is
a permutation from (seed, epoch), and a sample's form comes from (seed, epoch, index). So any process can make any
batch, in any order: that is what makes resuming exact, and preparing ahead harmless.
"""

from __future__ import annotations

import functools
import signal
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from lrhdr.checks import LrhdrError
from lrhdr.data.base import Sample, TrainingData, perturb_tones
from lrhdr.randomness import torch_generator
from lrhdr.training_config import TrainConfig

_AHEAD = 4
"""Batches that each worker prepares ahead."""


@dataclass(frozen=True)
class Item:
    """One slot of a batch.

    Attributes:
        index: which sample.
        generator: decides its form.
        key: a name for that form; "" if it never comes again.
    """

    index: int
    generator: torch.Generator
    key: str


def steps_in_all(config: TrainConfig, count: int) -> int:
    """Optimiser steps of a run.

    Args:
        config: the run.
        count: samples that may be trained on.
    """
    return config.epochs * steps_per_epoch(config, count) if config.epochs else config.steps


def steps_per_epoch(config: TrainConfig, count: int) -> int:
    """Steps of one pass; what does not fill a batch is left out of it. At least 1."""
    return max(1, count // config.batch)


@functools.lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> tuple[int, ...]:
    return tuple(torch.randperm(count, generator=torch_generator(seed, epoch)).tolist())


def batch_item(config: TrainConfig, count: int, step: int, slot: int) -> Item:
    """What one slot of one step holds.

    Args:
        config: seed, batch, and how samples are counted.
        count: samples that may be trained on.
        step: optimiser step, from 0.
        slot: place in the batch, below `config.batch`.

    Returns:
        The item.
    """
    if not config.epochs:
        generator = torch.Generator().manual_seed((config.seed * 1_000_003 + step) * 4096 + slot)
        return Item(int(torch.randint(count, (), generator=generator)), generator, "")
    epoch, within = divmod(step, steps_per_epoch(config, count))
    index = _order(config.seed, epoch, count)[(within * config.batch + slot) % count]
    variant = epoch % config.variants if config.variants else epoch
    key = f"{variant}/{index:07d}-{config.crop}" if config.variants else ""
    return Item(index, torch_generator(config.seed, variant, index), key)


def slots_of(config: TrainConfig, rank: int, world: int, part: int = 0) -> range:
    """The slots that one process works through in one part of a step."""
    return range(part * world + rank, config.batch, world * config.accumulate)


def draw_batch(data: TrainingData, config: TrainConfig, step: int, rank: int, world: int, part: int = 0) -> Sample:
    """The samples of one part of one step for one process.

    Args:
        data: what to draw from.
        config: the run.
        step: optimiser step.
        rank: this process.
        world: number of processes.
        part: below `config.accumulate`.

    Returns:
        A `Sample` whose tensors have a leading batch axis.
    """
    drawn = []
    for slot in slots_of(config, rank, world, part):
        item = batch_item(config, len(data), step, slot)
        sample = data.draw(item.index, config.crop, item.generator, item.key)
        drawn.append(perturb_tones(sample, config.tone_perturbation, item.generator))
    return Sample(*(torch.stack(parts) for parts in zip(*drawn, strict=True)))


class _Steps(Dataset["list[Sample] | Exception"]):
    """Item s is what one process needs for step s."""

    def __init__(self, data: TrainingData, config: TrainConfig, rank: int, world: int) -> None:
        self._draw = functools.partial(draw_batch, data, config, rank=rank, world=world)
        self._parts = config.accumulate

    def draw(self, step: int) -> list[Sample]:
        return [self._draw(step=step, part=part) for part in range(self._parts)]

    def __getitem__(self, step: int) -> list[Sample] | Exception:
        # An error is handed over as it is: PyTorch would raise one whose message is a traceback.
        try:
            return self.draw(step)
        except (LrhdrError, OSError) as error:
            return error


def batches(
    data: TrainingData, config: TrainConfig, first: int, rank: int, world: int, *, pin: bool = False
) -> Generator[list[Sample], None, None]:
    """The batches of steps `first` .. `config.steps - 1`, each as its parts; workers prepare them ahead.

    Args:
        data: what to draw from.
        config: the run; `steps` must be resolved.
        first: the first step.
        rank: this process.
        world: number of processes.
        pin: copy batches to memory that a GPU reads fast.

    Returns:
        A generator of lists of `config.accumulate` batches. Closing it ends the workers.

    Raises:
        InputError: a sample cannot be made; raised at its step, by the generator.
    """
    steps = _Steps(data, config, rank, world)
    if config.workers == 0:
        return (steps.draw(step) for step in range(first, config.steps))
    loader = DataLoader(
        steps,
        batch_size=None,
        sampler=range(first, config.steps),
        num_workers=config.workers,
        prefetch_factor=_AHEAD,
        pin_memory=pin,
        worker_init_fn=_calm_worker,
    )
    return _prepared(loader)


def _prepared(loader: DataLoader[list[Sample] | Exception]) -> Generator[list[Sample], None, None]:
    iterator: Any = iter(loader)
    try:
        for made in iterator:
            if isinstance(made, Exception):
                raise made
            yield made
    finally:
        # No public way. They are left a batch's time to end by themselves, since they do not answer to SIGTERM.
        iterator._shutdown_workers()
        for worker in iterator._workers:
            worker.kill()


def _calm_worker(_number: int) -> None:
    """One thread per worker, OpenCV's included.

    Ctrl-C and SIGTERM, which may reach every process of a run, are the training process's to answer: it needs the batch
    under way. A worker ends when it is told to, or when the training process is gone (PyTorch's worker loop looks).
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
