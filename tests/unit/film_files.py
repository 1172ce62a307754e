"""Writes the layouts in which FILM's weights exist, with the names and shapes of the published files, for the tests."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lrhdr.interpolate.film import Film
from lrhdr.interpolate.film_config import FilmConfig
from lrhdr.interpolate.film_names import tensorflow_names

CONFIG = FilmConfig(filters=2, flow_filters=(2, 2, 4, 4))


def state(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: value.shape for name, value in Film(CONFIG).state_dict().items()}
    # Values that half floats hold exactly.
    return {name: torch.randint(-64, 64, shape, generator=generator) / 64.0 for name, shape in shapes.items()}


class _Holder(nn.Module):
    """A module without a computation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def as_modules(tensors: dict[str, torch.Tensor]) -> nn.Module:
    """Nested modules whose state dict has these names."""
    root = _Holder()
    for name, value in tensors.items():
        *path, last = name.split(".")
        node: nn.Module = root
        for part in path:
            if part not in dict(node.named_children()):
                node.add_module(part, _Holder())
            node = node.get_submodule(part)
        node.register_parameter(last, nn.Parameter(value))
    return root


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def table(entries: dict[bytes, bytes], *, snappy: bool = False, keys_per_block: int = 20) -> bytes:
    """A LevelDB table with shared key prefixes and several blocks."""
    out = bytearray()

    def block(items: list[tuple[bytes, bytes]]) -> bytes:
        nonlocal out
        body, previous = bytearray(), b""
        for key, value in items:
            shared = 0
            while shared < min(len(key), len(previous)) and key[shared] == previous[shared]:
                shared += 1
            body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
            previous = key
        body += struct.pack("<II", 0, 1)
        stored = literal_snappy(bytes(body)) if snappy else bytes(body)
        handle = varint(len(out)) + varint(len(stored))
        out += stored + bytes([int(snappy)]) + b"\0\0\0\0"
        return handle

    items = sorted(entries.items())
    parts = [items[i : i + keys_per_block] for i in range(0, len(items), keys_per_block)]
    index = [(part[-1][0], block(part)) for part in parts]
    meta = block([])
    footer = meta + block(index)
    return bytes(out) + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def literal_snappy(data: bytes) -> bytes:
    """Snappy data made of literals of up to 100 bytes."""
    chunks = [data[i : i + 100] for i in range(0, len(data), 100)]
    return varint(len(data)) + b"".join(bytes([60 << 2, len(chunk) - 1]) + chunk for chunk in chunks)


def write_saved_model(
    folder: Path, tensors: dict[str, torch.Tensor], *, snappy: bool = False, prefix: str = "", half: bool = False
) -> Path:
    """A SavedModel's variables: keys are shuffled numbers, the object graph says which variable each is."""
    names = tensorflow_names(CONFIG)
    data, entries, graph = bytearray(), {}, b""
    entries[b""] = field(1, 1) + field(3, field(1, 1))
    order = np.random.default_rng(0).permutation(len(names))
    for number, (name, ours) in zip(order, names.items(), strict=True):
        if ours not in tensors:
            continue
        value = tensors[ours].numpy()
        value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
        raw = np.ascontiguousarray(value, dtype="<f2" if half else "<f4").tobytes()
        key = f"variables/{number}/.ATTRIBUTES/VARIABLE_VALUE"
        shape = b"".join(field(2, field(1, size)) for size in value.shape)
        place = field(4, len(data)) + field(5, len(raw)) if data else field(5, len(raw))
        entries[key.encode()] = field(1, 19 if half else 1) + field(2, shape) + place
        attribute = field(1, b"VARIABLE_VALUE") + field(2, (prefix + name).encode()) + field(3, key.encode())
        graph += field(1, field(1, field(1, int(number)) + field(2, b"child")) + field(2, attribute))
        data += raw
    text = varint(len(graph)) + b"\1\2\3\4" + graph
    entries[b"_CHECKPOINTABLE_OBJECT_GRAPH"] = field(1, 7) + field(2, b"") + field(4, len(data)) + field(5, len(text))
    data += text
    place = folder / "variables"
    place.mkdir(parents=True)
    (place / "variables.index").write_bytes(table(entries, snappy=snappy))
    (place / "variables.data-00000-of-00001").write_bytes(bytes(data))
    return folder
