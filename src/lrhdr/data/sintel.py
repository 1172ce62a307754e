"""MPI-Sintel's training frames as they are on disk.

    <root>/training/{clean,final}/<scene>/frame_0001.png ..

A clip is a window of consecutive frames; both passes are used where both are there. Whole scenes are held out, from the
end of the alphabet, so that no held-out frame is trained on.
Data set: Butler et al., "A naturalistic open source movie for optical flow evaluation", ECCV 2012.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lrhdr.checks import InputError

_PASSES = ("clean", "final")


class Sintel:
    """The training frames of one folder; a `FrameClips`.

    Args:
        root: the folder that holds `training`.
        length: frames per window, 2 N_e - 1.
        held_out: windows for validation.

    Raises:
        InputError: no scenes, or too few frames.
    """

    name = "sintel"

    def __init__(self, root: Path | str, length: int, held_out: int = 0) -> None:
        self._length = length
        folder = Path(root) / "training"
        passes = [folder / name for name in _PASSES if (folder / name).is_dir()]
        scenes = sorted({scene.name for own in passes for scene in own.iterdir() if scene.is_dir()})
        if not scenes:
            raise InputError(f"{folder}: expected clean/<scene> or final/<scene>, found no scenes")
        windows = {scene: [w for own in passes for w in self._windows(own / scene)] for scene in scenes}
        self._fixed: list[list[Path]] = []
        while scenes and len(self._fixed) < held_out:
            self._fixed += windows[scenes.pop()]
        self._fixed = self._fixed[:held_out]
        self._train = [window for scene in scenes for window in windows[scene]]
        if not self._train or len(self._fixed) < held_out:
            raise InputError(f"{folder}: expected windows of {length} frames to train on beside {held_out} held out")

    @staticmethod
    def is_at(root: Path) -> bool:
        """Whether a folder looks like this data set."""
        return any((root / "training" / name).is_dir() for name in _PASSES)

    @property
    def held_out(self) -> int:
        """How many windows are kept for validation."""
        return len(self._fixed)

    def __len__(self) -> int:
        """How many windows may be trained on."""
        return len(self._train)

    @property
    def identity(self) -> str:
        """See `FrameClips`."""
        names = (str(path.resolve()) for window in self._train for path in window)
        return hashlib.sha256("\n".join(names).encode()).hexdigest()

    def frames(self, index: int, count: int, rng: np.random.Generator) -> Sequence[Path]:
        """The window, reversed half of the time."""
        assert count == self._length
        window = self._train[index]
        return window[::-1] if rng.random() < 0.5 else window

    def fixed_frames(self, number: int, count: int) -> Sequence[Path]:
        """A held-out window."""
        assert count == self._length
        return self._fixed[number]

    def _windows(self, scene: Path) -> list[list[Path]]:
        files = sorted(scene.glob("frame_*.png")) if scene.is_dir() else []
        return [files[i : i + self._length] for i in range(len(files) - self._length + 1)]
