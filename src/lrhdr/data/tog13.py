"""TOG13: nine real clips without ground truth, with the response curve of their camera (Kalantari et al., TOG 2013).

    TOG13_Dynamic_Dataset/
      2Exp_scenes.txt  3Exp_scenes.txt        one scene folder a line
      BaslerCRF.mat                           response curve: variable BaslerCRF, 65536 x 3
      <Scene>-2Exp-3Stop/
        Exposures.txt                         stops of one period
        img_hdr_list.txt                      rows "img hdr", in time order; the second column is not used
        img_list.txt                          read where there is no img_hdr_list.txt
        <img>.tif                             16-bit codes of the camera
        Affine_Trans_Matrices/<stem>_match.txt    2 N_e - 2 rows of 6: this frame to its neighbours

**The LDR frames are not gamma-encoded**: `read_frame` linearises them with the response curve, divides by the curve's
maximum and encodes with gamma 1/2.2, as the field's code does. Without ground truth they cannot be scored; they can be
reconstructed and looked at.

`.mat` files are read by SciPy (`pip install 'lrhdr[datasets]'`).
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.data.labelled import LabelledClip, LabelledDataset, check_files, read_lines, read_stops
from lrhdr.io.images import LDR_GAMMA, read_image, read_info

_LISTS = {2: "2Exp_scenes.txt", 3: "3Exp_scenes.txt"}
_CURVE, _VARIABLE = "BaslerCRF.mat", "BaslerCRF"
_CODES = 65536


def is_tog13(root: Path) -> bool:
    """Whether a folder looks like this data set."""
    return any((root / name).is_file() for name in _LISTS.values())


def load_tog13(root: Path | str | os.PathLike[str]) -> LabelledDataset:
    """Open the data set.

    Args:
        root: the folder with the lists of scenes; a list that is not there is passed over.

    Returns:
        Clips of the groups "tog13-2exp" and "tog13-3exp", without ground truth.

    Raises:
        InputError: no list, a missing or damaged response curve, a file that a list names is missing, or SciPy is not
            installed.
    """
    folder = Path(root)
    if not is_tog13(folder):
        raise InputError(f"{folder}: expected {' or '.join(_LISTS.values())}, found neither")
    curve = read_response(folder / _CURVE)
    clips = [
        _clip(folder / scene, n_exposures, curve)
        for n_exposures, name in _LISTS.items()
        if (folder / name).is_file()
        for scene in read_lines(folder / name)
    ]
    return LabelledDataset("TOG13", folder, tuple(clips))


def read_response(path: Path) -> NDArray[np.float32]:
    """Read the response curve.

    Args:
        path: a MATLAB file with the variable `BaslerCRF`.

    Returns:
        (65536, 3) float32: linear light by 16-bit code and channel (R, G, B), the largest of all is 1.

    Raises:
        InputError: missing, not a MATLAB file, without that variable, of another shape, or SciPy is not installed.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise InputError(f"{path}: reading it needs SciPy, pip install 'lrhdr[datasets]'") from error
    if not path.is_file():
        raise InputError(f"{path}: expected the camera's response curve, found nothing")
    try:
        content = loadmat(path)
    except Exception as error:  # SciPy raises what it meets: ValueError, TypeError, NotImplementedError, struct.error
        raise InputError(
            f"{path}: expected a MATLAB file (version 4 to 7.2), found another or a damaged one"
        ) from error
    if _VARIABLE not in content:
        names = ", ".join(n for n in content if not n.startswith("__")) or "no variables"
        raise InputError(f"{path}: expected the variable {_VARIABLE}, found {names}")
    curve = np.asarray(content[_VARIABLE])
    numeric = curve.dtype.kind in "fiu" and curve.shape == (_CODES, 3)
    if not numeric or not np.isfinite(curve).all() or not curve.max() > 0:
        raise InputError(f"{path}: expected {_CODES} x 3 finite numbers, found {curve.dtype} {curve.shape}")
    relative: NDArray[np.float32] = (curve / curve.max()).astype(np.float32)
    return relative


def read_frame(path: Path, curve: NDArray[np.float32]) -> NDArray[np.float32]:
    """Read a frame: codes to linear light by the response curve, then gamma 1/2.2.

    Args:
        path: a 16-bit image.
        curve: of `read_response`.

    Returns:
        (H, W, 3) float32 in [0, 1], gamma-encoded.

    Raises:
        InputError: not a 16-bit image, or it cannot be read.
    """
    sample = read_info(path).sample
    if sample != "uint16":
        raise InputError(f"{path}: found {sample} samples, expected 16-bit codes")
    codes = np.rint(read_image(path) * (_CODES - 1)).astype(np.int64)
    linear = np.stack([curve[codes[..., c], c] for c in range(3)], axis=-1)
    encoded: NDArray[np.float32] = np.power(linear.clip(0.0, 1.0), np.float32(1.0 / LDR_GAMMA))
    return encoded


def read_affine(frame: Path, n_exposures: int) -> NDArray[np.float64]:
    """Read the transformations from a frame to its neighbours t - N_e + 1, .., t - 1, t + 1, .., t + N_e - 1.

    Args:
        frame: the frame's file.
        n_exposures: N_e.

    Returns:
        (2 N_e - 2, 2, 3), in pixels, as OpenCV's affine matrices, in time order.

    Raises:
        InputError: missing, or not that many rows of six numbers.
    """
    path = frame.parent / "Affine_Trans_Matrices" / f"{frame.stem}_match.txt"
    rows = [line.replace(",", " ").split() for line in read_lines(path)]
    try:
        values = np.array([[float(word) for word in row] for row in rows])
    except ValueError:
        values = np.empty(0)
    if values.shape != (2 * n_exposures - 2, 6):
        raise InputError(f"{path}: expected {2 * n_exposures - 2} rows of 6 numbers, found {len(rows)} rows")
    return values.reshape(-1, 2, 3)


def _clip(folder: Path, n_exposures: int, curve: NDArray[np.float32]) -> LabelledClip:
    stops = read_stops(folder, n_exposures)
    listed = folder / "img_hdr_list.txt"
    listed = listed if listed.is_file() else folder / "img_list.txt"
    frames = tuple(folder / line.split()[0] for line in read_lines(listed))
    return LabelledClip(
        dataset="tog13",
        group=f"tog13-{n_exposures}exp",
        name=folder.name,
        frames=frames,
        stops=stops,
        truths={},
        size=check_files(frames, ()),
        decode=partial(read_frame, curve=curve),
        note=f"TOG13, {folder.name}",
    )
