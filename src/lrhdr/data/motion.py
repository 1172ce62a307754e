"""Motion, added to a sample cache: what the compact interpolator is trained with.

DIS is frozen and too slow for a training step, so it is done once. Beside each `shard-00000.safetensors` of a cache
comes `motion-00000.safetensors`, with two tensors, float16: `motion` (n, N_e - 1, 8, S/2, S/2), as `CompactNet.forward`
takes it, and `guided` (n, N_e - 1, 4, S, S), full-resolution flow from the reference, as `blend` takes it. (Files
without it are of older versions: they are remade.)
DIS sees the stored squares only: near the border it has less to go by than in use.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.data.base import Sample
from lrhdr.data.generated import CachedSamples, count_in
from lrhdr.data.shards import for_each_shard
from lrhdr.exposure import interpolation_pairs
from lrhdr.interpolate.compact import pair_motion
from lrhdr.interpolate.flow import to_arrays
from lrhdr.io.atomic import write_bytes

_KEYS = "motion", "guided"


class PairSample(NamedTuple):
    """One pair to be interpolated, or a batch of them (a leading axis on everything).

    Attributes:
        first: (3, S, S), gamma-encoded LDR.
        second: (3, S, S).
        reference: (3, S, S), another exposure, at the wanted time.
        motion: (8, S/2, S/2).
        guided: (4, S, S), flow from the reference to the first and to the second frame, pixels, x first.
        fraction: (), time of the reference.
        gain: (), window's longest exposure over the pair's.
        ratio: (), reference's exposure over the pair's.
        exposure: (), the pair's, relative.
        target: (3, S, S), true radiance at the wanted time.
    """

    first: Tensor
    second: Tensor
    reference: Tensor
    motion: Tensor
    guided: Tensor
    fraction: Tensor
    gain: Tensor
    ratio: Tensor
    exposure: Tensor
    target: Tensor


def motion_path(folder: Path, number: int) -> Path:
    """Where the motion of shard `number` lies."""
    return folder / f"motion-{number:05d}.safetensors"


def _sample_motion(sample: Sample) -> tuple[Tensor, Tensor]:
    frames = to_arrays(sample.window)
    centre = len(frames) // 2
    found: tuple[list[Tensor], list[Tensor]] = [], []
    for first, second, fraction in interpolation_pairs(centre + 1):
        gain = float(sample.exposures.max() / sample.exposures[first])
        ratio = float(sample.exposures[centre] / sample.exposures[first])
        made = pair_motion(frames[first], frames[second], frames[centre], fraction, gain, ratio)
        for kept, array in zip(found, made, strict=True):
            kept.append(torch.from_numpy(array))
    motion, guided = (torch.stack(kept).half() for kept in found)
    return motion, guided


def _motion_shard(folder: str, number: int, first: int, count: int) -> int:
    samples = CachedSamples(folder)
    made = [_sample_motion(samples[index]) for index in range(first, first + count)]
    tensors = {key: torch.stack(parts) for key, parts in zip(_KEYS, zip(*made, strict=True), strict=True)}
    write_bytes(motion_path(Path(folder), number), save(tensors))
    return count


def _has_motion(file: Path, count: int) -> bool:
    """Whether a file holds the motion of so many samples."""
    return all(count_in(file, key) == count for key in _KEYS)


def add_motion(folder: Path | str, *, workers: int = 1, progress: Callable[[int, int], None] | None = None) -> Path:
    """Add motion to every shard of a cache that lacks it; an interrupted run goes on where it was.

    Args:
        folder: a cache made by `build_cache`, its samples a multiple of 4 px wide.
        workers: processes.
        progress: called with (samples done, samples in all).

    Returns:
        `folder`.

    Raises:
        InputError: no cache there.
        OutputError: a file cannot be written.
    """
    cache = Path(folder)

    def finished(number: int, length: int) -> bool:
        return _has_motion(motion_path(cache, number), length)

    lengths = CachedSamples(cache).shard_lengths
    for_each_shard(lengths, finished, partial(_motion_shard, str(cache)), workers=workers, progress=progress)
    return cache


class CachedPairs:
    """The pairs of a cache that has motion: N_e - 1 per sample.

    Args:
        path: the cache's folder.

    Raises:
        InputError: no cache there, or no motion in it.
    """

    def __init__(self, path: Path | str) -> None:
        folder = Path(path)
        self.samples = CachedSamples(folder)
        self._motion: list[tuple[Path, int]] = []
        for number, length in self.samples.shard_lengths.items():
            file = motion_path(folder, number)
            if not _has_motion(file, length):
                raise InputError(f"{file}: expected the motion of {length} samples (`add_motion` makes it)")
            self._motion += [(file, i) for i in range(length)]
        self._open: dict[Path, Any] = {}
        self.pairs = interpolation_pairs(self.samples[0].window.shape[0] // 2 + 1)

    def __len__(self) -> int:
        """How many samples (each has `len(pairs)` pairs)."""
        return len(self.samples)

    def pair(self, index: int, which: int) -> PairSample:
        """Pair `which` of sample `index`, float32."""
        sample = self.samples[index]
        first, second, fraction = self.pairs[which]
        centre = sample.window.shape[0] // 2
        file, i = self._motion[index]
        if file not in self._open:
            self._open[file] = safe_open(str(file), framework="pt")
        motion, guided = (self._open[file].get_slice(key)[i, which].float() for key in _KEYS)
        exposure = sample.exposures[first]
        return PairSample(
            sample.window[first],
            sample.window[second],
            sample.window[centre],
            motion,
            guided,
            torch.tensor(fraction),
            sample.exposures.max() / exposure,
            sample.exposures[centre] / exposure,
            exposure,
            sample.target,
        )
