"""Training checkpoints: everything that exact resume needs, written so that a kill cannot damage them."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from lrhdr.checks import InputError
from lrhdr.io.atomic import make_parent, write_bytes


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint under a temporary name, flush it to disk, then rename it over the old one.

    Takes as much memory as the file has bytes: PyTorch's archive writer turns whatever interrupts a write, Ctrl-C and a
    full disk too, into one error that does not say which it was, so that it must not write to the file itself.

    Args:
        path: final name.
        state: tensors and plain values only (it is read back with `weights_only=True`).

    Raises:
        OutputError: the file cannot be written; the old checkpoint is still there.
    """
    buffer = BytesIO()
    torch.save(state, buffer)
    make_parent(path)
    write_bytes(path, buffer.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; code in it is never executed.

    Raises:
        InputError: missing or damaged.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()  # PyTorch writes checksums, but does not look at them
            if damaged is not None:
                raise ValueError(f"{damaged} does not fit its checksum")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file makes the unpickler stumble over
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path}: not a readable checkpoint ({reason}); without it, the same command starts from the beginning"
        ) from None
    if not isinstance(state, dict) or "step" not in state:
        raise InputError(f"{path}: expected a checkpoint of `lrhdr train`, found something else")
    return state
