"""Files of interpolators' weights as others publish them, read into named tensors. No code of a file is run.

FILM exists as safetensors, as a TorchScript archive, as a PyTorch state dict and as a TensorFlow 2 SavedModel; which
one a file is, is told by its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from lrhdr.checks import InputError, WeightsError
from lrhdr.interpolate.film_names import from_safetensors_name, from_tensorflow_name, tensorflow_config_names
from lrhdr.io.tensor_bundle import read_saved_model
from lrhdr.io.torchscript import is_torchscript, read_torchscript

Tensors = dict[str, Tensor]


def read_film_file(path: Path) -> Tensors:
    """Read FILM's weights from any of the four layouts.

    Args:
        path: a file, or the folder of a SavedModel.

    Returns:
        Name as in `Film.state_dict` (what is not FILM's keeps its own) to tensor, floating point only.

    Raises:
        InputError: nothing there.
        WeightsError: in none of the layouts, or damaged.
    """
    return {name: value for name, value in _read_film(path).items() if value.is_floating_point()}


def read_named_tensors(path: Path) -> Tensors:
    """Read a safetensors file or a PyTorch state dict.

    Args:
        path: the file.

    Returns:
        Name to tensor, floating point only; a leading "module." is dropped.

    Raises:
        InputError: nothing there.
        WeightsError: neither, or damaged.
    """
    check_file(path)
    tensors = _read_safetensors(path) if _is_safetensors(path) else _read_state_dict(path)
    return {name: value for name, value in tensors.items() if value.is_floating_point()}


def _read_film(path: Path) -> Tensors:
    if path.is_dir():
        return _from_tensorflow(path)
    check_file(path)
    if _is_safetensors(path):
        return {from_safetensors_name(key): value for key, value in _read_safetensors(path).items()}
    try:
        if is_torchscript(path):
            return read_torchscript(path)
    except InputError as error:
        raise WeightsError(str(error)) from None
    return _read_state_dict(path)


def _from_tensorflow(folder: Path) -> Tensors:
    try:
        found = {from_tensorflow_name(key): value for key, value in read_saved_model(folder).items()}
        names = tensorflow_config_names(found)
    except InputError as error:
        raise WeightsError(str(error)) from None
    except ValueError as error:
        raise WeightsError(f"{folder}: no FILM network has these variables ({error})") from None
    # What is not FILM's keeps its name and is listed as unexpected.
    return {names.get(key, key): _from_hwio(value) for key, value in found.items()}


def _from_hwio(value: Any) -> Tensor:
    ordered = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
    return torch.from_numpy(np.array(ordered, order="C"))


def check_file(path: Path) -> None:
    """Check that a file is there.

    Raises:
        InputError: it is not.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a file of weights, found {'a folder' if path.is_dir() else 'nothing'}")


def _is_safetensors(path: Path) -> bool:
    # The format begins with the length of a JSON header, and then the header.
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _read_safetensors(path: Path) -> Tensors:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error})") from None


def _read_state_dict(path: Path) -> Tensors:
    """A pickled state dict, opened by the unpickler that knows tensors only."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a foreign file makes the unpickler stumble over
        kind = type(error).__name__
        raise WeightsError(f"{path}: expected a PyTorch state dict, found a file that is none ({kind})") from None
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise WeightsError(f"{path}: expected a PyTorch state dict, found {type(loaded).__name__} of other things")
    return {str(key).removeprefix("module."): value for key, value in loaded.items()}


def digest_of(path: Path) -> str:
    """sha256 of a file; of a folder, of the files of its variables in order."""
    digest = hashlib.sha256()
    files: Iterable[Path] = sorted(path.rglob("variables.*")) if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
