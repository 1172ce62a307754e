"""Parameters of a TorchScript archive, read without executing it.

An archive is a ZIP file: `NAME/code/` is the program, which is left alone, `NAME/data.pkl` a pickle of the module tree,
`NAME/data/N` the bytes of its tensors. The pickle is opened by an unpickler that knows four names and turns every class
of the program into a plain holder of attributes: no code of the archive runs.
"""

from __future__ import annotations

import os
import pickle
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from lrhdr.checks import InputError

_STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "DoubleStorage": torch.float64,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


def is_torchscript(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a ZIP archive with a program in it."""
    try:
        if not zipfile.is_zipfile(path):  # raises for an archive said to lie on several disks
            return False
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def read_torchscript(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read all tensors of the module tree.

    Args:
        path: the archive.

    Returns:
        Dotted name, as in `Module.state_dict`, to tensor.

    Raises:
        InputError: missing, damaged, or a pickle that asks for anything but modules and tensors.
    """
    file = Path(path)
    try:
        with zipfile.ZipFile(file) as archive:
            (pickled,) = [n for n in archive.namelist() if PurePosixPath(n).name == "data.pkl" and n.count("/") == 1]
            with archive.open(pickled) as stream:
                tree = _Unpickler(stream, archive, pickled.removesuffix("data.pkl")).load()
        return dict(_tensors(tree, ""))
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, EOFError, AttributeError, TypeError, RuntimeError,
            IndexError, OverflowError, MemoryError, zlib.error, pickle.UnpicklingError) as error:  # fmt: skip
        raise InputError(f"{file}: expected a TorchScript archive, found one that cannot be read ({error})") from None


class _Module:
    """Any class of the program: an object whose pickled state becomes its attributes."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: Any, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(stream)
        self._archive, self._root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Module
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if module == "torch.jit._pickle" and name.startswith("build_") and name.endswith("list"):
            return list
        raise InputError(f"found {module}.{name} in the archive, expected modules and tensors only")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, dtype, key, _, _ = pid
        if kind != "storage":
            raise InputError(f"found {kind!r} in the archive, expected stored tensors only")
        data = self._archive.read(f"{self._root}data/{key}")
        return torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)


def _rebuild(storage: Tensor, offset: int, size: Any, stride: Any, *_: object) -> Tensor:
    """A tensor as a view of its storage; `as_strided` checks that it lies inside."""
    return torch.as_strided(storage, tuple(size), tuple(stride), offset)


def _tensors(node: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in vars(node).items() if isinstance(node, _Module) else ():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, _Module):
            yield from _tensors(value, f"{prefix}{name}.")
