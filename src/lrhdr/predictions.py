"""Results of other methods, read from files: linear EXR, HDR or PFM, one per frame.

    DIR/<group>/<clip>/      as the tables name them; or DIR/<clip>/; or DIR itself where only one clip is scored
      frame_000000.exr ..    the names of the clip's frames, or names that end in the same numbers

Where footage is made in several alternations, their folders are called `<clip>-stops-0-3` and so on.
Values are on the scale of the ground truth, 1.0 = saturation of the shortest exposure; nothing is divided or fitted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.data.labelled_folder import linear_files, match_names
from lrhdr.io.images import read_hdr, read_info

_NAMED = 5
"""How many files a message names."""


def find_predictions(
    root: Path | str | os.PathLike[str],
    group: str,
    folders: Sequence[str],
    names: Sequence[str],
    scored: Sequence[int],
    size: tuple[int, int],
    alone: bool,
) -> dict[int, Path]:
    """The files of one clip's results.

    Args:
        root: the folder of all results.
        group: the set of the clip.
        folders: names that the clip's folder may have, the best first.
        names: names of all its frames, without suffix.
        scored: frames that must be there; results of other frames are passed over.
        size: (height, width) of the frames.
        alone: no other clip is scored, so that the files may lie in `root` itself.

    Returns:
        Frame index to file, for `scored`.

    Raises:
        InputError: no folder; files missing or left over (both are named in one line); another size; not an image.
    """
    base = Path(root)
    places = [place / folder for folder in folders for place in (base / group, base)]
    found = next((place for place in places if place.is_dir()), base if alone and base.is_dir() else None)
    if found is None:
        raise InputError(f"{base}: expected the results in {group}/{folders[0]} or {folders[0]}, found neither")
    matched, strangers = match_names(linear_files(found), names)
    missing = [names[i] for i in scored if i not in matched]
    problems = []
    if missing:
        problems.append(f"no result for {len(missing)} of {len(scored)} frames ({_listed(missing)})")
    if strangers:
        problems.append(f"{len(strangers)} files of no frame ({_listed([p.name for p in strangers])})")
    if problems:
        raise InputError(f"{found}: found {' and '.join(problems)}, expected one EXR, HDR or PFM per frame")
    for index in scored:
        info = read_info(matched[index])
        if info.size != size:
            raise InputError(
                f"{info.path}: found {info.width}x{info.height} pixels, expected {size[1]}x{size[0]} like the frames"
            )
    return {index: matched[index] for index in scored}


def read_prediction(path: Path) -> Tensor:
    """A result as a tensor.

    Args:
        path: EXR, HDR or PFM.

    Returns:
        (1, 3, H, W) float32, linear; negative values (out of gamut, ringing) are taken as 0, as the pipeline does.

    Raises:
        InputError: it cannot be read, or holds NaN or infinite values.
    """
    image = read_hdr(path)
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].clamp_min(0.0)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
