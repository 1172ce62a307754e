"""Any folder with `Exposures.txt` and ground truth: your own test set.

    <folder>/                     one clip; or a folder of such folders, one a scene
      Exposures.txt               stops of one period, from the first frame on ("0 3")
      frame_000.png ..            PNG, TIFF or JPEG, 8 or 16 bit, in natural order
      truth/ or GT/               linear ground truth of some or all frames: EXR, HDR (RGBE) or PFM
        frame_000.exr ..
                                  or the ground truth beside the frames, under the frames' names

A truth file belongs to the frame of its own name, else to the frame whose number it ends in (`GT_frame_03.hdr` to
`frame_03.tif`). Scale: 1.0 is the saturation of the shortest exposure.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from lrhdr.checks import InputError
from lrhdr.data.labelled import LabelledClip, LabelledDataset, check_files, read_stops
from lrhdr.io.images import FRAME_SUFFIXES, LINEAR_SUFFIXES
from lrhdr.io.metadata import EXPOSURES_FILE, natural_key
from lrhdr.io.sources import ImageSequence, open_frames

TRUTH_FOLDERS = ("truth", "gt")
"""Names of the folder with ground truth, in any case."""


def _has_exposures(folder: Path) -> bool:
    return any(p.name.lower() == EXPOSURES_FILE.lower() for p in folder.iterdir())


def _scenes(folder: Path) -> list[Path]:
    return sorted(
        (p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".") and _has_exposures(p)),
        key=natural_key,
    )


def is_labelled_folder(root: Path) -> bool:
    """Whether a folder looks like a clip with exposures, or like a folder of them."""
    return root.is_dir() and (_has_exposures(root) or bool(_scenes(root)))


def load_labelled_folder(root: Path | str | os.PathLike[str]) -> LabelledDataset:
    """Open a clip, or a folder of clips.

    Args:
        root: see the module's docstring.

    Returns:
        Clips of the group "folder-2exp", "folder-3exp", ...; a clip without ground truth has none.

    Raises:
        InputError: no `Exposures.txt`, no frames, ground truth that belongs to no frame or is given twice, sizes that
            differ, or files that cannot be read; the message names the file.
    """
    folder = Path(root)
    if not is_labelled_folder(folder):
        raise InputError(f"{folder}: expected {EXPOSURES_FILE}, in it or in its folders, found none")
    scenes = [folder] if _has_exposures(folder) else _scenes(folder)
    return LabelledDataset("Folder", folder, tuple(_clip(scene) for scene in scenes))


def match_names(files: Sequence[Path], names: Sequence[str]) -> tuple[dict[int, Path], list[Path]]:
    """Find the frame that each file belongs to: by its name without suffix, else by the number at its end.

    Args:
        files: what is to be matched.
        names: the frames' names without suffix.

    Returns:
        Frame index to file, ascending; and the files that belong to no frame, in their order.

    Raises:
        InputError: two files that belong to one frame.
    """
    stems = {name: i for i, name in enumerate(names)}
    numbers = {n: i for i, name in enumerate(names) if (n := _number(name)) is not None}
    found: dict[int, Path] = {}
    strangers = []
    for path in files:
        index = stems.get(path.stem)
        if index is None and (number := _number(path.stem)) is not None:
            index = numbers.get(number)
        if index is None:
            strangers.append(path)
        elif index in found:
            raise InputError(f"{path}: found a second file for frame {names[index]} beside {found[index].name}")
        else:
            found[index] = path
    return dict(sorted(found.items())), strangers


def _number(name: str) -> int | None:
    match = re.search(r"(\d+)$", name)
    return int(match[1]) if match else None


def linear_files(folder: Path) -> list[Path]:
    """The EXR, HDR and PFM files of a folder in natural order."""
    files = (p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    return sorted((p for p in files if p.suffix.lower() in LINEAR_SUFFIXES), key=natural_key)


def _clip(folder: Path) -> LabelledClip:
    stops = read_stops(folder)
    beside = [p for p in folder.iterdir() if p.is_dir() and p.name.lower() in TRUTH_FOLDERS]
    if len(beside) > 1:
        raise InputError(f"{folder}: found {beside[0].name} and {beside[1].name}, expected one folder of ground truth")
    if beside:
        files = list(_sequence(folder).files)
        truth_files = linear_files(beside[0])
        if not truth_files:
            raise InputError(f"{beside[0]}: expected ground truth (EXR, HDR or PFM), found none")
    else:
        visible = (p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
        files = sorted(
            (p for p in visible if p.suffix.lower() in FRAME_SUFFIXES - LINEAR_SUFFIXES),
            key=natural_key,
        )
        truth_files = linear_files(folder)
        if not files:
            raise InputError(f"{folder}: expected frames (PNG, TIFF or JPEG), found none")
    truths, strangers = match_names(truth_files, [p.stem for p in files])
    if strangers:
        raise InputError(
            f"{strangers[0]}: belongs to no frame, expected a name such as {files[0].stem}{strangers[0].suffix}"
        )
    return LabelledClip(
        dataset="folder",
        group=f"folder-{len(stops)}exp",
        name=folder.resolve().name,
        frames=tuple(files),
        stops=stops,
        truths=truths,
        size=check_files(files, truths.values()),
        note=folder.resolve().name,
    )


def _sequence(folder: Path) -> ImageSequence:
    source = open_frames(folder)
    assert isinstance(source, ImageSequence), "a folder opens as a sequence of images"
    return source
