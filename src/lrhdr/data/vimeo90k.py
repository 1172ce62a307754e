"""Vimeo-90K septuplets as they are on disk.

    <root>/
      sep_trainlist.txt        one "00001/0001" per line
      sep_testlist.txt         optional; validation takes its first lines
      sequences/00001/0001/    im1.png .. im7.png, 448x256

The field's choice of frames: a random subset of the seven in order (uneven steps), played backwards half of the time.
Data set: Xue et al., "Video Enhancement with Task-Oriented Flow", IJCV 2019.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lrhdr.checks import InputError

FRAMES = 7
_TRAIN, _TEST = "sep_trainlist.txt", "sep_testlist.txt"


class Vimeo90K:
    """The septuplets of one folder; a `FrameClips`.

    Args:
        root: the folder that holds `sep_trainlist.txt` and `sequences`.
        held_out: clips for validation: the first of `sep_testlist.txt`, or the last of the training list where there is
            no test list.

    Raises:
        InputError: no list, an empty one, or a list whose first clip is not there.
    """

    name = "vimeo90k"

    def __init__(self, root: Path | str, held_out: int = 0) -> None:
        self._root = Path(root)
        train = self._list(_TRAIN)
        test = self._list(_TEST) if (self._root / _TEST).is_file() else []
        if test:
            self._fixed = test[:held_out]
        else:
            self._fixed = train[len(train) - held_out :] if held_out else []
            train = train[: len(train) - held_out]
        if not train or len(self._fixed) < held_out:
            raise InputError(f"{self._root}: expected more than {held_out} clips, of which {held_out} are held out")
        self._train = train
        first = self._paths(train[0])[0]
        if not first.is_file():
            raise InputError(f"{first}: no such file, though {_TRAIN} lists its clip")

    @staticmethod
    def is_at(root: Path) -> bool:
        """Whether a folder looks like this data set."""
        return (root / _TRAIN).is_file()

    @property
    def held_out(self) -> int:
        """How many clips are kept for validation."""
        return len(self._fixed)

    def __len__(self) -> int:
        """How many clips may be trained on."""
        return len(self._train)

    @property
    def identity(self) -> str:
        """See `FrameClips`."""
        return hashlib.sha256("\n".join((str(self._root.resolve()), *self._train)).encode()).hexdigest()

    def frames(self, index: int, count: int, rng: np.random.Generator) -> Sequence[Path]:
        """A random subset in order, reversed half of the time.

        Raises:
            InputError: more frames than a clip has.
        """
        if count > FRAMES:
            raise InputError(f"{self.name}: clips have {FRAMES} frames, expected {count} for one window")
        chosen = np.sort(rng.permutation(FRAMES)[:count])
        if rng.random() < 0.5:
            chosen = chosen[::-1]
        paths = self._paths(self._train[index])
        return [paths[int(i)] for i in chosen]

    def fixed_frames(self, number: int, count: int) -> Sequence[Path]:
        """The middle frames of a held-out clip, one after the other."""
        if count > FRAMES:
            raise InputError(f"{self.name}: clips have {FRAMES} frames, expected {count} for one window")
        first = (FRAMES - count) // 2
        return self._paths(self._fixed[number])[first : first + count]

    def _list(self, name: str) -> list[str]:
        try:
            lines = (self._root / name).read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self._root / name}: expected a list of clips ({error})") from None
        bad = [line for line in lines if len(line.split("/")) != 2]
        if bad:
            raise InputError(f"{self._root / name}: expected lines like 00001/0001, found {bad[0]!r}")
        return lines

    def _paths(self, clip: str) -> list[Path]:
        return [self._root / "sequences" / clip / f"im{i}.png" for i in range(1, FRAMES + 1)]
