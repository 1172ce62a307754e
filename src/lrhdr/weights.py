"""Pretrained weights: records, bundled files, strict loading.

A weights file is safetensors; its metadata holds one JSON record (`WeightsRecord`): name, network configuration, what
it was trained on and what it scored. Nothing is unpickled, ever. Bundled files lie in `lrhdr/weights/`.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from lrhdr._version import __version__
from lrhdr.checks import OutputError, WeightsError
from lrhdr.io.atomic import make_parent, write_bytes
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.nn.skeleton import skeleton

BUNDLED = Path(__file__).parent / "weights"

RECORDED = "-recorded"
"""End of the names of weights for footage from lossy codecs."""


@dataclass(frozen=True)
class WeightsRecord:
    """What is known of a weights file.

    Attributes:
        name: as in `--weights`, for example "compact-2exp".
        config: `LRHDRConfig.to_dict()`.
        version: package version that wrote the file.
        interpolator: the frozen interpolator that the network was trained with.
        training: data, steps, hours, seed.
        scores: measured results, with the command.
        licence: SPDX identifier.
        sha256: of the file; filled in on loading.
    """

    name: str
    config: dict[str, Any]
    version: str = __version__
    interpolator: str = "dis"
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    licence: str = "Apache-2.0"
    sha256: str = ""


def bundled_names() -> list[str]:
    """Names of the weights that come with the package."""
    return sorted(p.stem for p in BUNDLED.glob("*.safetensors"))


def default_weights(n_exposures: int, *, recorded: bool = False) -> str:
    """Name of the bundled weights for a clip; there may be none of that name.

    Args:
        n_exposures: N_e.
        recorded: whether its frames went through a lossy codec, on which other weights were trained.
    """
    name = f"compact-{n_exposures}exp"
    return f"{name}{RECORDED}" if recorded and f"{name}{RECORDED}" in bundled_names() else name


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """Path of bundled weights by name, or of a file.

    Raises:
        WeightsError: neither a bundled name nor an existing file, or a file that is not safetensors.
    """
    text = os.fspath(name_or_path)
    bundled = BUNDLED / f"{text}.safetensors"
    if bundled.is_file():
        return bundled
    path = Path(text)
    if not path.is_file():
        raise WeightsError(f"weights {text!r}: expected one of {bundled_names()} or a .safetensors file, found neither")
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"{path}: expected a .safetensors file (pickled checkpoints are not opened); to convert one: "
            "torch.load(FILE, weights_only=True), then lrhdr.weights.save_weights (docs/reliability.md)"
        )
    return path


def load_record(name_or_path: str | os.PathLike[str]) -> WeightsRecord:
    """Read the record of a weights file without its tensors.

    Raises:
        WeightsError: missing, damaged, or without a record.
    """
    path = resolve(name_or_path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        values = json.loads(metadata["lrhdr"])
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return WeightsRecord(**{**values, "sha256": digest})
    except KeyError:
        raise WeightsError(f"{path}: no lrhdr record in the file's metadata, expected weights saved by lrhdr") from None
    except (OSError, SafetensorError, json.JSONDecodeError, TypeError) as error:
        raise WeightsError(f"{path}: not a readable weights file ({error})") from None


def load_pretrained(name_or_path: str | os.PathLike[str] = "compact-2exp") -> tuple[LRHDR, WeightsRecord]:
    """Build the network of a weights file and load it strictly.

    Args:
        name_or_path: a bundled name or a .safetensors file.

    Returns:
        The network in eval mode on the CPU, and its record.

    Raises:
        WeightsError: missing or damaged file, tensors that do not fit the configuration, values that are not finite.
    """
    path = resolve(name_or_path)
    record = load_record(path)
    with safe_open(path, framework="pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    try:
        config = LRHDRConfig.from_dict(record.config)
        with skeleton():
            # Names and shapes only: a record that does not fit its file must not decide how much memory is taken.
            wanted = LRHDR(config).state_dict()
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise WeightsError(f"{path}: {' '.join(str(error).split())}") from None
    except RuntimeError as error:
        raise WeightsError(
            f"{path}: tensors do not fit the record's configuration: {' '.join(str(error).split())}"
        ) from None
    names = wanted.keys() | state.keys()
    odd = sorted(n for n in names if n not in wanted or n not in state or wanted[n].shape != state[n].shape)
    if odd:
        raise WeightsError(f"{path}: tensors do not fit the record's configuration: {', '.join(odd[:3])}")
    model = LRHDR(config)
    model.load_state_dict(state, strict=True)
    bad = [key for key, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if bad:
        raise WeightsError(f"{path}: values that are not finite in {bad[:3]}")
    return model.eval(), record


def save_weights(path: str | os.PathLike[str], model: LRHDR, record: WeightsRecord) -> None:
    """Write weights and record, to a temporary name first.

    Raises:
        OutputError: the file cannot be written.
    """
    target = Path(path)
    values = asdict(record)
    values.pop("sha256")
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    make_parent(target)
    try:
        # Not `save_file`: it leaves files that only their owner may read.
        write_bytes(target, save(state, metadata={"lrhdr": json.dumps(values)}))
    except SafetensorError as error:
        raise OutputError(f"cannot write {target}: {error}") from None
