"""Real-HDRV, test part: real scenes taken frame by frame, each moment in both exposures (Shu et al., CVPR 2024).

    Test_Compack_8frames_50scenes/
      <scene>/
        Input_0/frame_00.tif ..       16-bit, gamma-encoded LDR, short exposure
        Input_1/frame_00.tif ..       the same moments, long exposure
        GT/GT_frame_00.hdr ..         ground truth (RGBE)

There is no exposure file: the ratio is 8 (3 stops), as measured on the pixels. Alternating footage is made by taking
every other frame from the other folder. Public code begins with the long exposure, and so does `load_realhdrv` unless
told otherwise. The frames left over are the clip's `companions`: what an interpolated frame should look like.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from lrhdr.checks import InputError
from lrhdr.data.labelled import LabelledClip, LabelledDataset, check_files
from lrhdr.io.metadata import natural_key

STOPS = 3.0
"""From the short to the long exposure."""

_FOLDER = "Test_Compack_8frames_50scenes"
_SHORT, _LONG, _TRUTH = "Input_0", "Input_1", "GT"

First = Literal["long", "short"]


def _scenes(folder: Path) -> list[Path]:
    return sorted((p for p in folder.iterdir() if (p / _SHORT).is_dir() or (p / _LONG).is_dir()), key=natural_key)


def is_realhdrv(root: Path) -> bool:
    """Whether a folder looks like this data set."""
    return (root / _FOLDER).is_dir() or (root.is_dir() and bool(_scenes(root)))


def load_realhdrv(root: Path | str | os.PathLike[str], first: First = "long") -> LabelledDataset:
    """Open the data set.

    Args:
        root: the folder of scenes, or the folder that holds `Test_Compack_8frames_50scenes`.
        first: exposure of the first frame, "long" or "short".

    Returns:
        Clips of the group "realhdrv-2exp".

    Raises:
        InputError: no scenes, frames that differ between the exposures, ground truth missing, or files that cannot be
            read; the message names the file.
    """
    folder = Path(root)
    folder = folder / _FOLDER if (folder / _FOLDER).is_dir() else folder
    if first not in ("long", "short"):
        raise InputError(f"Real-HDRV: expected first 'long' or 'short', found {first!r}")
    scenes = _scenes(folder) if folder.is_dir() else []
    if not scenes:
        raise InputError(f"{folder}: expected scenes with {_SHORT}, {_LONG} and {_TRUTH}, found none")
    return LabelledDataset("Real-HDRV", folder, tuple(_clip(scene, first) for scene in scenes))


def _frames(folder: Path) -> list[Path]:
    files = sorted(folder.glob("frame_*.tif"), key=natural_key) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder}: expected frame_00.tif and so on, found none")
    return files


def _clip(scene: Path, first: First) -> LabelledClip:
    short, long = _frames(scene / _SHORT), _frames(scene / _LONG)
    for own, other in ((short, long), (long, short)):
        extra = [p for p in own if p.name not in {q.name for q in other}]
        if extra:
            raise InputError(f"{other[0].parent / extra[0].name}: expected it as {extra[0]} is there, found nothing")
    pair = (long, short) if first == "long" else (short, long)
    frames = tuple(pair[i % 2][i] for i in range(len(short)))
    companions = tuple(pair[1 - i % 2][i] for i in range(len(short)))
    truths = {i: scene / _TRUTH / f"GT_{p.stem}.hdr" for i, p in enumerate(short)}
    size = check_files((*frames, *companions), truths.values())
    return LabelledClip(
        dataset="realhdrv",
        group="realhdrv-2exp",
        name=scene.name,
        frames=frames,
        stops=(STOPS, 0.0) if first == "long" else (0.0, STOPS),
        truths=truths,
        size=size,
        companions=companions,
        note=f"Real-HDRV, {scene.name}, the {first} exposure first",
    )
