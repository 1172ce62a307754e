"""Variables of a TensorFlow 2 SavedModel or checkpoint, read without TensorFlow.

    variables/variables.index                   a LevelDB table: key to where its bytes lie, and the header under ""
    variables/variables.data-00000-of-00001     the bytes

Keys of a SavedModel are numbers (`variables/7/.ATTRIBUTES/VARIABLE_VALUE`) that say nothing; the entry
`_CHECKPOINTABLE_OBJECT_GRAPH` maps each to its variable's name, and that is what is trusted. Formats: LevelDB's
`table_format.md`; TensorFlow's `tensor_bundle.proto` and `trackable_object_graph.proto`. Checksums are not verified.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.io.snappy import decompress, read_varint

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_BLOCK_TRAILER_BYTES = 5  # kind of compression, checksum
_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"

# tensorflow/core/framework/types.proto. bfloat16 has no NumPy type and does not occur in published weights.
_FLOAT_TYPES: dict[int, np.dtype[np.floating]] = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 19: np.dtype("<f2")}
_STRING = 7


class _Entry(NamedTuple):
    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    sliced: bool


def read_saved_model(folder: str | os.PathLike[str]) -> dict[str, NDArray[np.floating]]:
    """Read all floating-point variables.

    Args:
        folder: of the SavedModel (with `variables/` in it), or `variables/` itself.

    Returns:
        Variable name, as in the model's code and without ":0", to its values.

    Raises:
        InputError: files missing or damaged, no object graph, partitioned variables.
    """
    base = Path(folder)
    for place in (base / "variables", base):
        if (place / "variables.index").is_file():
            return _read_bundle(place / "variables.index")
    raise InputError(f"{base}: expected a TensorFlow SavedModel (variables/variables.index), found none")


def _read_bundle(index: Path) -> dict[str, NDArray[np.floating]]:
    try:
        table = dict(_read_table(index.read_bytes()))
        shards = _number(_fields(table.get(b"", b"")), 1, 1)
        entries = {key.decode(): _entry(value) for key, value in table.items() if key}
        files = [index.with_name(f"variables.data-{i:05d}-of-{shards:05d}") for i in range(shards)]
        if _GRAPH_KEY not in entries:
            raise InputError("found no object graph, expected a TensorFlow 2 SavedModel")
        data = {i: _data_file(file) for i, file in enumerate(files)}
        names = dict(_variable_names(_string(_bytes_of(entries[_GRAPH_KEY], data))))
        return {
            names[key]: _values(entry, data)
            for key, entry in entries.items()
            if key in names and entry.kind in _FLOAT_TYPES
        }
    except InputError as error:
        raise InputError(f"{index}: {error}") from None
    except (IndexError, KeyError, UnicodeDecodeError, struct.error, ValueError, OverflowError) as error:
        raise InputError(f"{index}: found damaged data ({error!r}), expected a TensorFlow SavedModel") from None


def _data_file(file: Path) -> memoryview:
    if not file.is_file():
        raise InputError(f"expected {file.name} beside it, found nothing")
    if not file.stat().st_size:
        return memoryview(b"")
    mapped: NDArray[np.uint8] = np.memmap(file, np.uint8, "r")
    return mapped.data


# LevelDB table


def _read_table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a LevelDB table, in order."""
    if len(data) < _FOOTER_BYTES or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise InputError("found no LevelDB table, expected the index of a TensorFlow SavedModel")
    at = len(data) - _FOOTER_BYTES
    for _ in range(2):  # the handle of the meta index, which is not needed
        _, at = read_varint(data, at)
    for _, handle in _read_block(data, at):
        yield from _read_block(handle, 0, data)


def _read_block(handle: bytes, at: int, data: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the block that a handle (offset and size) points to."""
    offset, at = read_varint(handle, at)
    size, _ = read_varint(handle, at)
    data = handle if data is None else data
    if offset + size + _BLOCK_TRAILER_BYTES > len(data):
        raise InputError("found an index that ends too early")
    block, compression = data[offset : offset + size], data[offset + size]
    if compression not in (0, 1):
        raise InputError(f"found compression {compression} in the index, expected none or Snappy")
    if compression == 1:
        block = decompress(block)
    (restarts,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 * (restarts + 1)
    at, key = 0, b""
    while at < end:
        shared, at = read_varint(block, at)
        fresh, at = read_varint(block, at)
        length, at = read_varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, block[at : at + length]
        at += length


# protocol buffers


def _fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """(number, value) of each field; numbers as int, everything else as bytes."""
    fields: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(message):
        tag, at = read_varint(message, at)
        value: int | bytes
        if tag & 7 == 0:
            value, at = read_varint(message, at)
        else:
            size = {1: 8, 5: 4}.get(tag & 7)
            if tag & 7 == 2:
                size, at = read_varint(message, at)
            if size is None or at + size > len(message):
                raise InputError("found a damaged protocol buffer")
            value, at = message[at : at + size], at + size
        fields.append((tag >> 3, value))
    return fields


def _number(fields: list[tuple[int, int | bytes]], number: int, default: int = 0) -> int:
    found = [value for n, value in fields if n == number and isinstance(value, int)]
    return found[-1] if found else default


def _messages(fields: list[tuple[int, int | bytes]], number: int) -> list[bytes]:
    return [value for n, value in fields if n == number and isinstance(value, bytes)]


def _entry(message: bytes) -> _Entry:
    """A BundleEntryProto: dtype = 1, shape = 2 (dim = 2, size = 1), shard_id = 3, offset = 4, size = 5, slices = 7."""
    fields = _fields(message)
    dims = [_fields(dim) for shape in _messages(fields, 2) for dim in _messages(_fields(shape), 2)]
    shape = tuple(_number(dim, 1) for dim in dims)
    place = (_number(fields, 3), _number(fields, 4), _number(fields, 5))
    return _Entry(_number(fields, 1), shape, *place, bool(_messages(fields, 7)))


def _variable_names(graph: bytes) -> Iterator[tuple[str, str]]:
    """(checkpoint key, variable name) of every saved attribute.

    TrackableObjectGraph: nodes = 1 { attributes = 2 { full_name = 2, checkpoint_key = 3 } }.
    """
    for node in _messages(_fields(graph), 1):
        for attribute in _messages(_fields(node), 2):
            fields = _fields(attribute)
            for name, key in zip(_messages(fields, 2), _messages(fields, 3), strict=False):
                yield key.decode(), name.decode()


# tensors


def _bytes_of(entry: _Entry, data: dict[int, memoryview]) -> memoryview:
    if entry.sliced:
        raise InputError("found a variable saved in slices, expected whole ones")
    part = data[entry.shard][entry.offset : entry.offset + entry.size]
    if len(part) != entry.size:
        raise InputError("found a data file that ends too early")
    return part


def _values(entry: _Entry, data: dict[int, memoryview]) -> NDArray[np.floating]:
    values = np.frombuffer(_bytes_of(entry, data), _FLOAT_TYPES[entry.kind])
    return values.reshape(entry.shape)


def _string(part: memoryview) -> bytes:
    """A scalar string tensor: its length, a checksum of the lengths, its bytes."""
    length, at = read_varint(part, 0)
    text = bytes(part[at + 4 : at + 4 + length])
    if len(text) != length:
        raise InputError("found an object graph that ends too early")
    return text
