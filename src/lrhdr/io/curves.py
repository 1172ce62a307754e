"""Response curves in files: what `lrhdr calibrate` wrote (`.json`), and tables from elsewhere (`.mat`, `.npy`, `.csv`).

A table has n rows for evenly spaced codes from 0 to the largest, and one column, or three for R, G, B, of linear light
in any unit (the Basler curve of TOG13 has 65536 x 3). MATLAB files need SciPy: `pip install 'lrhdr[datasets]'`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrhdr.calibration import Calibration
from lrhdr.checks import InputError
from lrhdr.io.atomic import write_bytes
from lrhdr.response import NAMED_CURVES, ResponseCurve, curve_from_samples, named_curve

FORMAT = "lrhdr-response"
VERSION = 1
_SUFFIXES = (".json", ".mat", ".npy", ".csv", ".txt")


def load_curve(name_or_path: str) -> ResponseCurve:
    """A response curve by name or from a file.

    Args:
        name_or_path: one of `NAMED_CURVES`, or a file ending in .json, .mat, .npy, .csv or .txt.

    Returns:
        The curve.

    Raises:
        InputError: no such name or file, a file that cannot be read, or a table that is no response.
    """
    if name_or_path in NAMED_CURVES:
        return named_curve(name_or_path)
    path = Path(name_or_path)
    if path.suffix.lower() not in _SUFFIXES or not path.is_file():
        raise InputError(
            f"response curve: expected one of {', '.join(NAMED_CURVES)}, or a file ({', '.join(_SUFFIXES)}), found "
            f"{name_or_path!r}"
        )
    return curve_from_samples(str(path), _read(path))


def write_calibration(path: str | os.PathLike[str], calibration: Calibration) -> None:
    """Write a curve so that `load_curve` reads it.

    Args:
        path: the file; its folder must exist.
        calibration: what to write.

    Raises:
        OutputError: the file cannot be written.
    """
    record = {
        "format": FORMAT,
        "version": VERSION,
        "seconds": list(calibration.seconds),
        "samples": calibration.samples,
        "residual_stops": round(calibration.residual, 5),
        "covered_codes": [round(code, 5) for code in calibration.covered],
        **{
            name: [float(f"{value:.7g}") for value in calibration.curve[:, channel]]
            for channel, name in enumerate(("red", "green", "blue"))
        },
    }
    write_bytes(path, (json.dumps(record) + "\n").encode())


def _read(path: Path) -> NDArray[np.float64]:
    reader = {".json": _read_json, ".mat": _read_mat, ".npy": _read_npy}.get(path.suffix.lower(), _read_text)
    try:
        return np.asarray(reader(path), np.float64)
    except InputError:
        raise
    except Exception as error:  # whatever a foreign file makes a parser stumble over
        raise InputError(f"{path}: cannot be read as a response curve ({_first_line(error)})") from error


def _read_json(path: Path) -> Any:
    record = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise InputError(f"{path}: expected a file that lrhdr calibrate wrote, found other JSON")
    if record.get("version") != VERSION:
        raise InputError(f"{path}: found version {record.get('version')!r}, expected {VERSION}")
    return np.stack([record["red"], record["green"], record["blue"]], axis=1)


def _read_npy(path: Path) -> Any:
    return np.load(path, allow_pickle=False)


def _read_text(path: Path) -> Any:
    text = path.read_text(encoding="utf-8-sig").replace(",", " ").replace(";", " ")
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return np.array([[float(word) for word in row] for row in rows])


def _read_mat(path: Path) -> Any:
    try:
        from scipy.io import loadmat
    except ImportError:
        raise InputError(f"{path}: MATLAB files need SciPy: pip install 'lrhdr[datasets]'") from None
    try:
        found = loadmat(path)
    except NotImplementedError:  # version 7.3 is HDF5
        raise InputError(f"{path}: found MATLAB 7.3 format, expected an older one (save -v7)") from None
    tables = {k: v for k, v in found.items() if not k.startswith("__") and isinstance(v, np.ndarray) and v.size > 8}
    if len(tables) != 1:
        raise InputError(f"{path}: found {len(tables)} tables ({', '.join(tables) or 'none'}), expected one")
    table = next(iter(tables.values()))
    return table.T if table.ndim == 2 and table.shape[0] in (1, 3) and table.shape[1] > 3 else table


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
