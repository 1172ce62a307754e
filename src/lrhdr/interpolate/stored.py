"""Interpolators whose weights lie in the user's cache: find the file, check it, build the network.

A file is safetensors; its metadata holds one JSON record: which architecture, its configuration, where it came from.
`lrhdr.interpolator_weights` writes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lrhdr.cache import interpolator_file
from lrhdr.checks import WeightsError, check_sizes
from lrhdr.interpolate.base import Interpolator
from lrhdr.interpolate.compact import CompactInterpolator
from lrhdr.interpolate.compact_net import CompactConfig, CompactNet
from lrhdr.interpolate.film import Film, FilmInterpolator
from lrhdr.interpolate.film_config import FilmConfig
from lrhdr.interpolate.rife import Rife, RifeConfig, RifeInterpolator
from lrhdr.nn.skeleton import skeleton

METADATA_KEY = "lrhdr-interpolator"

_NETWORKS: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "compact": lambda config: CompactNet(CompactConfig.from_dict(config)),
    "film": lambda config: Film(FilmConfig.from_dict(config)),
    "rife": lambda config: Rife(RifeConfig.from_dict(config)),
}
ARCHITECTURES = tuple(_NETWORKS)


@dataclass(frozen=True)
class StoredRecord:
    """What is known of a converted file.

    Attributes:
        architecture: one of `ARCHITECTURES`.
        config: the configuration of the network, as its `to_dict` gives it.
        source: name of the file or package that it was made from.
        source_sha256: of that file (of a folder: of its data files in order).
        licence: SPDX identifier, or "unknown" for a file that a user brought.
        version: package version that converted it.
    """

    architecture: str
    config: dict[str, Any]
    source: str
    source_sha256: str
    licence: str
    version: str

    def to_json(self) -> str:
        """As it stands in the file's metadata."""
        return json.dumps(asdict(self))


def build_network(architecture: str, config: dict[str, Any]) -> nn.Module:
    """A network without weights: parameters on the meta device, with names and shapes only.

    Raises:
        ValueError: unknown architecture or a configuration that does not fit it.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"expected an architecture of {', '.join(ARCHITECTURES)}, found {architecture!r}")
    check_sizes(config)
    try:
        with skeleton():
            return _NETWORKS[architecture](config)
    except (TypeError, AttributeError, RuntimeError, OverflowError) as error:  # sizes that are no sizes
        raise ValueError(f"no {architecture} network has this configuration ({' '.join(str(error).split())})") from None


def compare_shapes(expected: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]) -> str:
    """What a file lacks, has too much, or has in another shape.

    Args:
        expected: name to shape, of the network.
        found: name to shape, of the file.

    Returns:
        One line naming every tensor that is missing or of another shape, and the first ones of those that are
        unexpected; empty where all fit.
    """
    if expected and not expected.keys() & found.keys():
        return f"none of its {len(expected)} tensors is there, found {_listed(list(found), 3) or 'nothing'}"
    missing = [name for name in expected if name not in found]
    unexpected = [name for name in found if name not in expected]
    other = [
        f"{name} {tuple(found[name])} instead of {tuple(expected[name])}"
        for name in expected
        if name in found and tuple(found[name]) != tuple(expected[name])
    ]
    parts = (("missing", missing, 1000), ("of another shape", other, 1000), ("unexpected", unexpected, 20))
    return "; ".join(f"{len(names)} {kind}: {_listed(names, most)}" for kind, names, most in parts if names)


def _listed(names: list[str], most: int) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def load_into(network: nn.Module, tensors: dict[str, Tensor], what: str) -> None:
    """Give a network from `build_network` its weights, as float32, after checking every name, shape and value.

    Raises:
        WeightsError: missing, unexpected or differently shaped tensors, all named; values that are not finite.
    """
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    problems = compare_shapes(shapes, {name: tuple(value.shape) for name, value in tensors.items()})
    if problems:
        raise WeightsError(f"{what}: tensors do not fit the network: {problems}")
    bad = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if bad:
        raise WeightsError(f"{what}: values that are not finite in {', '.join(bad)}")
    network.load_state_dict({name: value.float().contiguous() for name, value in tensors.items()}, assign=True)


def read_stored(path: Path) -> tuple[StoredRecord, dict[str, Tensor]]:
    """Read a converted file.

    Raises:
        WeightsError: damaged, or not written by `lrhdr weights`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            record = StoredRecord(**json.loads(metadata[METADATA_KEY]))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
    except KeyError:
        raise WeightsError(
            f"{path}: no record in the file's metadata, expected a file made by 'lrhdr weights'"
        ) from None
    except (OSError, SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path}: not a readable weights file ({error}); remove it and make it again") from None
    return record, tensors


BUNDLED = Path(__file__).parents[1] / "weights" / "interpolators"


def load_bundled(name: str) -> Interpolator:
    """Build an interpolator whose weights come with the package.

    Raises:
        WeightsError: the package lacks the file, or it is damaged.
    """
    return build_interpolator(BUNDLED / f"{name}.safetensors", name)


def build_interpolator(path: Path, name: str) -> Interpolator:
    """Build an interpolator from a file of the layout that `read_stored` reads.

    Raises:
        WeightsError: missing or damaged.
    """
    record, tensors = read_stored(path)
    try:
        network = build_network(record.architecture, record.config)
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from None
    load_into(network, tensors, str(path))
    if isinstance(network, Film):
        return FilmInterpolator(network, name)
    if isinstance(network, CompactNet):
        return CompactInterpolator(network, name)
    assert isinstance(network, Rife), "the architectures are those three"
    return RifeInterpolator(network, "tempered" if name == "rife-tempered" else "published", name)


def load_stored(name: str, *, as_name: str | None = None, hint: str = "") -> Interpolator:
    """Build an interpolator from the cache.

    Args:
        name: of the file in the cache, without suffix.
        as_name: the interpolator's name; `name` when not given. "rife-tempered" blends as that says.
        hint: the command that would bring the file, for the message when it is missing.

    Raises:
        WeightsError: not in the cache, or damaged.
    """
    path = interpolator_file(name)
    if not path.is_file():
        how = f"; {hint}" if hint else ""
        raise WeightsError(f"interpolator {as_name or name}: expected its weights at {path}, found nothing{how}")
    return build_interpolator(path, as_name or name)
