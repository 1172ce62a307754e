"""Find out what a folder of training data is, and open it: a sample cache, Vimeo-90K septuplets or MPI-Sintel."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from pathlib import Path

import torch

from lrhdr.checks import InputError
from lrhdr.data.base import Sample, TrainingData, crop_and_augment
from lrhdr.data.cache_files import MANIFEST, is_cache
from lrhdr.data.generated import CachedSamples
from lrhdr.data.sequences import SequenceConfig, SequenceData
from lrhdr.data.sintel import Sintel
from lrhdr.data.vimeo90k import Vimeo90K
from lrhdr.models.lrhdr import LRHDR


class CacheData:
    """`TrainingData` from a sample cache; the last samples are held out.

    Args:
        path: the cache's folder.
        held_out: how many samples are for validation.
        aligned: read the aligned neighbours too.

    Raises:
        InputError: no cache there, or not more samples than are held out.
    """

    def __init__(self, path: Path | str, held_out: int, *, aligned: bool = False) -> None:
        self.path = Path(path)
        self.samples = CachedSamples(path, aligned=aligned)
        self.held_out = held_out
        if len(self.samples) <= held_out:
            raise InputError(f"{path}: found {len(self.samples)} samples, expected more than {held_out} to hold out")

    @property
    def n_exposures(self) -> int:
        """N_e of the samples."""
        return len(self.samples[0].exposures) // 2 + 1

    @property
    def interpolator(self) -> str:
        """Name of the interpolator that the samples were made with."""
        return str(self.samples.manifest.get("config", {}).get("interpolator", "dis"))

    @property
    def sizes(self) -> tuple[int, ...]:
        """See `TrainingData`."""
        return (len(self),)

    def __len__(self) -> int:
        """How many samples may be trained on."""
        return len(self.samples) - self.held_out

    def draw(self, index: int, crop: int, generator: torch.Generator, key: str = "") -> Sample:
        """See `TrainingData`.

        Raises:
            InputError: the samples are smaller than the crop.
        """
        sample = self.samples[index]
        height, width = sample.target.shape[-2:]
        if min(height, width) < crop:
            raise InputError(
                f"{self.path}: found samples of {width}x{height} pixels, expected at least {crop}x{crop} for the crop"
            )
        return crop_and_augment(sample, crop, generator)

    def fixed(self, number: int) -> Sample:
        """See `TrainingData`: whole samples, or what of their middle a network takes."""
        return _fitting(self.samples[len(self) + number])


def _fitting(sample: Sample) -> Sample:
    """The largest part in the middle whose sides are multiples of `LRHDR.MULTIPLE`."""
    spare = [side % LRHDR.MULTIPLE for side in sample.target.shape[-2:]]
    if not any(spare):
        return sample
    height, width = (side - more for side, more in zip(sample.target.shape[-2:], spare, strict=True))
    top, left = (more // 2 for more in spare)
    inside = (..., slice(top, top + height), slice(left, left + width))
    return Sample(*(x[inside].contiguous() if x.ndim > 1 else x for x in sample))


class JoinedData:
    """Several data sets one after the other; validation is the first one's.

    Args:
        parts: at least one, all with the same interpolator.

    Raises:
        InputError: interpolators differ.
    """

    def __init__(self, parts: Sequence[TrainingData]) -> None:
        self._parts = list(parts)
        self._ends = list(itertools.accumulate(len(part) for part in parts))
        names = sorted({part.interpolator for part in parts})
        if len(names) > 1:
            raise InputError(f"training data: expected one interpolator for all folders, found {', '.join(names)}")

    @property
    def interpolator(self) -> str:
        """Name of the interpolator of all."""
        return self._parts[0].interpolator

    @property
    def held_out(self) -> int:
        """How many samples are for validation."""
        return self._parts[0].held_out

    @property
    def sizes(self) -> tuple[int, ...]:
        """See `TrainingData`."""
        return tuple(size for part in self._parts for size in part.sizes)

    def __len__(self) -> int:
        """How many samples may be trained on."""
        return self._ends[-1]

    def draw(self, index: int, crop: int, generator: torch.Generator, key: str = "") -> Sample:
        """See `TrainingData`."""
        number = bisect.bisect_right(self._ends, index)
        before = self._ends[number - 1] if number else 0
        return self._parts[number].draw(index - before, crop, generator, key)

    def fixed(self, number: int) -> Sample:
        """See `TrainingData`."""
        return self._parts[0].fixed(number)


def open_training_data(folders: Sequence[str], held_out: int, config: SequenceConfig) -> TrainingData:
    """Open one or more folders.

    Args:
        folders: sample caches, or folders of Vimeo-90K or MPI-Sintel. One that is named twice is drawn from twice as
            often.
        held_out: samples for validation, all from the first folder.
        config: what is made of folders of frames. A cache must have its `n_exposures`; `aligned` matters there too.

    Returns:
        The data.

    Raises:
        InputError: a folder is missing, is none of these, holds too little, or its samples do not fit the others'.
    """
    parts: list[TrainingData] = []
    first = Path(folders[0]).resolve()  # its held-out samples are not trained on under another spelling of its name
    for name in folders:
        root = Path(name)
        held = held_out if root.resolve() == first else 0
        if is_cache(root):
            parts.append(_open_cache(root, held, config))
        elif Vimeo90K.is_at(root):
            parts.append(SequenceData(Vimeo90K(root, held), config))
        elif Sintel.is_at(root):
            parts.append(SequenceData(Sintel(root, 2 * config.n_exposures - 1, held), config))
        else:
            raise InputError(
                f"{root}: expected a sample cache ({MANIFEST}), Vimeo-90K (sep_trainlist.txt and sequences/) or "
                f"MPI-Sintel (training/clean or training/final), found none of them"
            )
    caches = [part for part in parts if isinstance(part, CacheData)]
    if not config.interpolate and 0 < len(caches) < len(parts):
        raise InputError(
            f"{caches[0].path}: its samples have their interpolated frames; beside folders of frames, which have none "
            "with interpolate = 'device', expected interpolate = 'loader'"
        )
    return parts[0] if len(parts) == 1 else JoinedData(parts)


def _open_cache(root: Path, held_out: int, config: SequenceConfig) -> CacheData:
    data = CacheData(root, held_out, aligned=config.aligned)
    if data.n_exposures != config.n_exposures:
        raise InputError(
            f"{root}: found samples of {data.n_exposures} exposures, expected {config.n_exposures} "
            "(n_exposures of the configuration)"
        )
    return data
