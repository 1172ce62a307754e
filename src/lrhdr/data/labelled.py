"""Recorded clips with ground truth: what every loader of a published data set returns.

A `LabelledClip` is a list of LDR files in time order, the stops of one period, and ground truth for some of the frames.
A `LabelledDataset` is a list of such clips and one line on what was found. Headers are read when a data set is opened,
so that wrong sizes and missing files are reported before work starts; pixels are read frame by frame when asked for.

**Values are untouched.** Ground truth comes back as the file holds it. Dividing it, leaving frames out or pasting the
reference over a result is the business of a named protocol (`lrhdr.protocols`), never of a loader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.exposure import ExposureSchedule
from lrhdr.io.images import read_hdr, read_info, read_ldr
from lrhdr.io.metadata import EXPOSURES_FILE, read_exposures_file

Decode = Callable[[Path], NDArray[np.float32]]
"""A file to (H, W, 3) gamma-encoded LDR in [0, 1]."""


@dataclass(frozen=True, eq=False)
class LabelledClip:
    """One recorded clip.

    Attributes:
        dataset: kind of data set: "cinematic", "deephdrvideo", "tog13", "realhdrv" or "folder".
        group: the part of the data set that tables keep apart, for example "cinematic-2exp".
        name: the scene; unique within its group.
        frames: LDR files in time order.
        stops: exposures of one period in stops, from the first frame on, as the file says them.
        truths: frame index to file with its ground truth, ascending; empty where there is none.
        size: (height, width) of every file.
        decode: how a frame's file is read.
        companions: files of the same moments in the *other* exposure, where a data set has them (two exposures only);
            what an interpolated frame should look like. Empty elsewhere.
        note: where it comes from, for the record.
    """

    dataset: str
    group: str
    name: str
    frames: tuple[Path, ...]
    stops: tuple[float, ...]
    truths: Mapping[int, Path]
    size: tuple[int, int]
    decode: Decode = read_ldr
    companions: tuple[Path, ...] = ()
    note: str = ""
    schedule: ExposureSchedule = field(init=False)

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            InputError: fewer frames than exposures, equal exposures, truth of a frame that does not exist, or
                companions for some frames only.
        """
        object.__setattr__(self, "schedule", ExposureSchedule.from_stops(self.stops))
        self.schedule.check_length(len(self.frames), f"{self.group}/{self.name}")
        object.__setattr__(self, "truths", dict(sorted(self.truths.items())))
        beyond = [i for i in self.truths if not 0 <= i < len(self.frames)]
        if beyond:
            raise InputError(f"{self.truths[beyond[0]]}: found ground truth of frame {beyond[0]}, which is not there")
        if self.companions and (len(self.companions) != len(self.frames) or self.schedule.n_exposures != 2):
            raise InputError(f"{self.group}/{self.name}: expected one companion per frame of two exposures")

    def __len__(self) -> int:
        """Frames in the clip."""
        return len(self.frames)

    @property
    def labelled(self) -> tuple[int, ...]:
        """Indices of the frames with ground truth, ascending."""
        return tuple(self.truths)

    def ldr(self, index: int) -> Tensor:
        """Read a frame.

        Args:
            index: its position.

        Returns:
            (3, H, W) float32 in [0, 1], gamma-encoded.

        Raises:
            InputError: the file cannot be read, or its size changed since the data set was opened.
        """
        return self._tensor(self.frames[index], self.decode)

    def truth(self, index: int) -> Tensor:
        """Read the ground truth of a frame.

        Args:
            index: one of `labelled`.

        Returns:
            (3, H, W) float32, linear, on the file's own scale.

        Raises:
            InputError: the file cannot be read, or its size changed.
            KeyError: the frame has no ground truth.
        """
        return self._tensor(self.truths[index], read_hdr)

    def companion(self, index: int) -> Tensor:
        """Read the frame of the other exposure at the same moment; as `ldr`.

        Raises:
            InputError: the data set has none, or the file cannot be read.
        """
        if not self.companions:
            raise InputError(f"{self.group}/{self.name}: has no second exposure of the same moment")
        return self._tensor(self.companions[index], self.decode)

    def _tensor(self, path: Path, decode: Decode) -> Tensor:
        image = decode(path)
        if image.shape[:2] != self.size:
            raise InputError(f"{path}: found {_pixels(image.shape[:2])} pixels, expected {_pixels(self.size)}")
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


@dataclass(frozen=True, eq=False)
class LabelledDataset:
    """Clips that were found together.

    Attributes:
        title: what people call the data set.
        root: its folder.
        clips: at least one, in the order of its list.
    """

    title: str
    root: Path
    clips: tuple[LabelledClip, ...]

    def __post_init__(self) -> None:
        """Check the clips.

        Raises:
            InputError: none, or two of one name.
        """
        if not self.clips:
            raise InputError(f"{self.root}: expected scenes of {self.title}, found none")
        names = [(c.group, c.name) for c in self.clips]
        twice = next((n for k, n in enumerate(names) if n in names[:k]), None)
        if twice:
            raise InputError(f"{self.root}: found scene {twice[1]} twice, expected different names")

    def summary(self) -> str:
        """One line: scenes, frames, sizes, exposures, how many frames have ground truth."""
        frames = sum(len(c) for c in self.clips)
        labelled = sum(len(c.truths) for c in self.clips)
        sizes = sorted({_pixels(c.size) for c in self.clips})
        counts = sorted({c.schedule.n_exposures for c in self.clips})
        shown = ", ".join(sizes[:3]) + (", ..." if len(sizes) > 3 else "")
        truth = f"{labelled} with ground truth" if labelled else "no ground truth"
        scenes = f"{len(self.clips)} scene{'s' if len(self.clips) != 1 else ''}"
        return (
            f"{self.title}: {scenes}, {' and '.join(map(str, counts))} exposures, {frames} frames of {shown}, {truth}"
        )


def read_lines(path: Path) -> list[str]:
    """The lines of a list file that are not empty.

    Raises:
        InputError: missing, not text, or empty.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        found = "nothing" if not path.exists() else "a file that cannot be read"
        raise InputError(f"{path}: expected a list, one entry per line, found {found}") from error
    kept = [line for line in lines if line]
    if not kept:
        raise InputError(f"{path}: expected a list, one entry per line, found an empty file")
    return kept


def read_stops(folder: Path, n_exposures: int | None = None) -> tuple[float, ...]:
    """The stops of a scene's `Exposures.txt`.

    Args:
        folder: the scene.
        n_exposures: how many there must be; None for any number.

    Raises:
        InputError: missing, not numbers, or another number of exposures.
    """
    stops = read_exposures_file(folder) if folder.is_dir() else None
    if stops is None:
        raise InputError(f"{folder / EXPOSURES_FILE}: expected the stops of one period, found nothing")
    if n_exposures is not None and len(stops) != n_exposures:
        raise InputError(f"{folder / EXPOSURES_FILE}: expected {n_exposures} stops, found {len(stops)}")
    return stops


def check_files(frames: Sequence[Path], truths: Iterable[Path]) -> tuple[int, int]:
    """Read the headers of a clip's files.

    Args:
        frames: LDR files, at least one.
        truths: files with ground truth.

    Returns:
        (height, width), the same for all.

    Raises:
        InputError: a file is missing or cannot be read, sizes differ, or ground truth is not linear.
    """
    infos = [read_info(path) for path in frames]
    true_infos = [read_info(path) for path in dict.fromkeys(truths)]
    for info in (*infos, *true_infos):
        if info.size != infos[0].size:
            raise InputError(
                f"{info.path}: found {_pixels(info.size)} pixels, expected {_pixels(infos[0].size)} "
                f"as in {infos[0].path.name}"
            )
    for info in true_infos:
        if not info.is_linear:
            raise InputError(f"{info.path}: found {info.sample} samples, expected float ground truth (HDR or EXR)")
    return infos[0].size


def _pixels(size: Sequence[int]) -> str:
    return f"{size[1]}x{size[0]}"
