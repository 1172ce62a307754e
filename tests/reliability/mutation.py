"""Strategies: bytes near a valid file, JSON-like values near a valid record."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

_NUMBERS = [
    0, 1, 2, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**40, 2**63 - 1,
    2**64 - 1,
]  # fmt: skip
"""Where lengths and sizes go wrong."""

_PLACES = st.one_of(st.integers(0, 63), st.integers(0, 511), st.integers(0, 1 << 16))
"""Heads of files more often than their bodies."""


def _number(value: int, width: int, big: bool) -> bytes:
    return (value & (256**width - 1)).to_bytes(width, "big" if big else "little")


_PATCHES = st.one_of(
    st.binary(min_size=1, max_size=1),
    st.binary(min_size=1, max_size=8),
    st.builds(_number, st.sampled_from(_NUMBERS), st.sampled_from([1, 2, 4, 8]), st.booleans()),
    st.builds(lambda x: struct.pack("<f", x), st.sampled_from([float("nan"), float("inf"), -1.0, 1e30, 1e-40])),
)

_EDITS = st.one_of(
    st.tuples(st.just("replace"), _PLACES, _PATCHES),
    st.tuples(st.just("replace"), _PLACES, _PATCHES),
    st.tuples(st.just("insert"), _PLACES, st.binary(min_size=1, max_size=16)),
    st.tuples(st.just("delete"), _PLACES, st.integers(1, 64)),
    st.tuples(st.just("truncate"), _PLACES, st.just(0)),
    st.tuples(st.just("repeat"), _PLACES, st.integers(1, 64)),
)


def _apply(seed: bytes, edits: Sequence[tuple[str, int, Any]]) -> bytes:
    data = bytearray(seed)
    for kind, place, what in edits:
        at = place % (len(data) + 1)
        if kind == "replace":
            data[at : at + len(what)] = what
        elif kind == "insert":
            data[at:at] = what
        elif kind == "delete":
            del data[at : at + what]
        elif kind == "truncate":
            del data[at:]
        else:
            data[at:at] = data[at : at + what] * 4
    return bytes(data)


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks carry the checksums of their contents, so that a damaged one is not refused for that alone."""
    out, at = bytearray(data[:8]), 8
    while at + 8 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(out + data[at:])


def mutated(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """A valid file with a few edits; once in a while it is left as it is, or is random bytes."""
    near = st.builds(_apply, st.sampled_from(list(seeds)), st.lists(_EDITS, max_size=4))
    if any(seed.startswith(b"\x89PNG") for seed in seeds):
        near = st.one_of(near, near.map(with_checksums), near.map(with_checksums))
    return st.one_of(near, near, near, near, st.binary(max_size=256))


_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2, 3, 10**9, 2**31, 2**63, 10**30, -(10**30)]),
    st.sampled_from([0.5, -1.0, 1e300, 1e-320, float("nan"), float("inf"), float("-inf")]),
    st.text(max_size=8),
    st.sampled_from(["", "nan", "0", "../../x", "/etc/passwd", "\x00", "a" * 5000]),
)

json_values = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=8,
)
"""Any JSON; numbers where sizes and exposures go wrong."""


def _paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [here]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += _paths(inner, (*here, key))
    return found


def _changed(value: Any, path: tuple[Any, ...], new: Any, remove: bool) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and remove:
        del copy[path[0]]
    else:
        copy[path[0]] = _changed(copy[path[0]], path[1:], new, remove)
    return copy


@st.composite
def near_json(draw: st.DrawFn, record: Any) -> Any:
    """A record with one to three entries replaced, removed or added."""
    for _ in range(draw(st.integers(0, 3))):
        path = draw(st.sampled_from(_paths(record)))
        if not path and draw(st.integers(0, 9)):
            path = draw(st.sampled_from(_paths(record)))
        record = _changed(record, path, draw(json_values), draw(st.integers(0, 3)) == 0)
        if isinstance(record, dict) and draw(st.integers(0, 7)) == 0:
            record = {**record, draw(st.text(min_size=1, max_size=8)): draw(json_values)}
    return record
