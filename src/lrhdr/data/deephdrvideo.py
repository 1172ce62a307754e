"""DeepHDRVideo: real footage of an alternating Basler camera (Chen et al., ICCV 2021), in four parts.

    dynamic_RGB_data_2exp_release/                one of these folders, or the folder that holds them
    dynamic_RGB_data_3exp_release/
    static_RGB_data_2exp_rand_motion_release/
    static_RGB_data_3exp_rand_motion_release/
      scene_all.txt                               one scene a line
      hdr_list.txt  hdr_expos.txt                 not read
      <scene>/
        img_00.tif ..                             16-bit, gamma-encoded LDR
        Exposures.txt                             stops of one period
        img_hdr_list.txt                          rows "img hdr", in time order
        img_list.txt                              the first column alone; read where there is no img_hdr_list.txt
        <scene>.hdr                               ground truth (RGBE)

In the dynamic parts every row names one and the same file: the ground truth of the **frame in the middle**, which was
taken while the scene stood still. In the static parts, a still scene that is moved over the picture, each row names a
file of its own. As published: 5 (2 exposures) or 7 frames of 1536x813 (dynamic); 1476x753 (static).
"""

from __future__ import annotations

import os
from pathlib import Path

from lrhdr.checks import InputError
from lrhdr.data.labelled import LabelledClip, LabelledDataset, check_files, read_lines, read_stops

PARTS = {
    f"{kind}_RGB_data_{n}exp_{'' if kind == 'dynamic' else 'rand_motion_'}release": (kind, n)
    for kind in ("dynamic", "static")
    for n in (2, 3)
}
"""Folder of a part to (kind, number of exposures)."""

_LIST = "scene_all.txt"


def is_deephdrvideo(root: Path) -> bool:
    """Whether a folder looks like this data set, or like one of its parts."""
    return (root / _LIST).is_file() or any((root / part / _LIST).is_file() for part in PARTS)


def load_deephdrvideo(root: Path | str | os.PathLike[str]) -> LabelledDataset:
    """Open the data set, or one part of it.

    Args:
        root: the folder of a part (under any name), or the folder that holds the parts under their own names.

    Returns:
        Clips of the groups "deephdrvideo-dynamic-2exp", "deephdrvideo-static-3exp", ...; in a part whose folder has
        another name, "deephdrvideo-NAME-2exp".

    Raises:
        InputError: no list of scenes, a file that a list names is missing, or files that cannot be read; the message
            names the file.
    """
    folder = Path(root)
    if not is_deephdrvideo(folder):
        raise InputError(f"{folder}: expected {_LIST} or folders such as {next(iter(PARTS))}, found neither")
    parts = [folder] if (folder / _LIST).is_file() else [folder / part for part in PARTS if (folder / part).is_dir()]
    clips = [_clip(part, scene) for part in parts for scene in read_lines(part / _LIST)]
    return LabelledDataset("DeepHDRVideo", folder, tuple(clips))


def _clip(part: Path, scene: str) -> LabelledClip:
    folder = part / scene
    kind, n_exposures = PARTS.get(part.resolve().name, (part.resolve().name, None))
    stops = read_stops(folder, n_exposures)
    listed = folder / "img_hdr_list.txt"
    if listed.is_file():
        rows = [line.split() for line in read_lines(listed)]
        bad = next((row for row in rows if len(row) != 2), None)
        if bad:
            raise InputError(f"{listed}: expected rows 'image hdr', found {' '.join(bad)!r}")
    else:
        rows = [[name, f"{scene}.hdr"] for name in read_lines(folder / "img_list.txt")]
    frames = tuple(folder / row[0] for row in rows)
    truths = _truths(folder, [row[1] for row in rows])
    return LabelledClip(
        dataset="deephdrvideo",
        group=f"deephdrvideo-{kind}-{len(stops)}exp",
        name=scene,
        frames=frames,
        stops=stops,
        truths=truths,
        size=check_files(frames, truths.values()),
        note=f"DeepHDRVideo, {part.resolve().name}/{scene}",
    )


def _truths(folder: Path, names: list[str]) -> dict[int, Path]:
    """Ground truth by frame; see the module's docstring."""
    centre = len(names) // 2
    if not (folder / names[centre]).is_file():
        raise InputError(f"{folder / names[centre]}: expected the ground truth of frame {centre}, found nothing")
    if len(set(names)) == 1:
        return {centre: folder / names[0]}
    missing = [i for i, name in enumerate(names) if not (folder / name).is_file()]
    # Either only the middle one was released, or all were; some of them is a broken download.
    if missing and len(missing) < len(names) - 1:
        raise InputError(
            f"{folder / names[missing[0]]}: expected the ground truth of frame {missing[0]}, found nothing"
        )
    return {i: folder / name for i, name in enumerate(names) if i not in missing}
