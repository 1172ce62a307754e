"""Which data set a folder is, by the lists and folders in it; and how to open it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from lrhdr.checks import InputError
from lrhdr.data.cinematic import is_cinematic, load_cinematic
from lrhdr.data.deephdrvideo import is_deephdrvideo, load_deephdrvideo
from lrhdr.data.labelled import LabelledDataset
from lrhdr.data.labelled_folder import is_labelled_folder, load_labelled_folder
from lrhdr.data.realhdrv import is_realhdrv, load_realhdrv
from lrhdr.data.tog13 import is_tog13, load_tog13

LOADERS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], LabelledDataset]]] = {
    "cinematic": (is_cinematic, load_cinematic),
    "deephdrvideo": (is_deephdrvideo, load_deephdrvideo),
    "tog13": (is_tog13, load_tog13),
    "realhdrv": (is_realhdrv, load_realhdrv),
    # Last: the folders of other data sets hold Exposures.txt too.
    "folder": (is_labelled_folder, load_labelled_folder),
}
"""Kind of data set to (does a folder look like it, open it)."""


def open_labelled(root: Path | str | os.PathLike[str]) -> LabelledDataset:
    """Open a data set of any kind.

    Args:
        root: its folder.

    Raises:
        InputError: nothing there, no kind that is known, or a broken tree; the message says what was expected.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: expected the folder of a data set, found {'a file' if folder.exists() else 'nothing'}"
        )
    for fits, load in LOADERS.values():
        if fits(folder):
            return load(folder)
    raise InputError(
        f"{folder}: found no data set that is known, expected Cinematic Video, DeepHDRVideo, TOG13, Real-HDRV, or a "
        "folder with Exposures.txt and ground truth"
    )
