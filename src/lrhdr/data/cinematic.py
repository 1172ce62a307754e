"""Cinematic Video: scenes of the HdM-HDR-2014 films, re-exposed by the field as its synthetic test set.

    HDR_Synthetic_Test_Dataset/
      scenes_2expo.txt  scenes_3expo.txt      one scene folder a line
      Images/
        <scene>_2expo/  <scene>_3expo/
          img_list.txt                        one stem a line, in time order
          Exposures.txt                       stops of one period
          <stem>.tif                          16-bit, gamma-encoded LDR
          <stem>.hdr                          ground truth (RGBE), of all but the first and last frames
          <stem>.jpg  hdr_expos.txt           not read

As published: 60 frames of 1890x1050 a scene, exposures 1 and 8 or 1, 4 and 16, the short one first, ground truth for
frames N_e to 59 - N_e (counted from 0). Source: Froehlich et al., 2014; the layout is that of Chen et al., ICCV 2021.
"""

from __future__ import annotations

import os
from pathlib import Path

from lrhdr.checks import InputError
from lrhdr.data.labelled import LabelledClip, LabelledDataset, check_files, read_lines, read_stops

_LISTS = {2: "scenes_2expo.txt", 3: "scenes_3expo.txt"}


def is_cinematic(root: Path) -> bool:
    """Whether a folder looks like this data set."""
    return any((root / name).is_file() for name in _LISTS.values())


def load_cinematic(root: Path | str | os.PathLike[str]) -> LabelledDataset:
    """Open the data set.

    Args:
        root: the folder with the lists of scenes; a list that is not there is passed over.

    Returns:
        Clips of the groups "cinematic-2exp" and "cinematic-3exp".

    Raises:
        InputError: no list, a file that a list names is missing, ground truth missing between the ends, or files that
            cannot be read; the message names the file.
    """
    folder = Path(root)
    if not is_cinematic(folder):
        raise InputError(f"{folder}: expected {' or '.join(_LISTS.values())}, found neither")
    clips = [
        _clip(folder / "Images", scene, n_exposures)
        for n_exposures, name in _LISTS.items()
        if (folder / name).is_file()
        for scene in read_lines(folder / name)
    ]
    return LabelledDataset("Cinematic Video", folder, tuple(clips))


def _clip(images: Path, scene: str, n_exposures: int) -> LabelledClip:
    folder = images / scene
    if not folder.is_dir() and (images / f"{scene}_{n_exposures}expo").is_dir():
        folder = images / f"{scene}_{n_exposures}expo"
    stops = read_stops(folder, n_exposures)
    stems = read_lines(folder / "img_list.txt")
    frames = tuple(folder / f"{stem}.tif" for stem in stems)
    truths = {i: folder / f"{stem}.hdr" for i, stem in enumerate(stems) if (folder / f"{stem}.hdr").is_file()}
    for i in range(n_exposures, len(stems) - n_exposures):
        if i not in truths:
            raise InputError(f"{folder / stems[i]}.hdr: expected the ground truth of frame {i}, found nothing")
    return LabelledClip(
        dataset="cinematic",
        group=f"cinematic-{n_exposures}exp",
        name=folder.name.removesuffix(f"_{n_exposures}expo"),
        frames=frames,
        stops=stops,
        truths=truths,
        size=check_files(frames, truths.values()),
        note=f"Cinematic Video, {folder.name}",
    )
