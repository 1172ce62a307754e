"""Snappy's block format, decoded (the format description is part of the public Snappy distribution).

A few lines instead of a dependency: TensorFlow writes its indices uncompressed since 2017, older or other writers may
not, and an index has some thousand bytes.
"""

from __future__ import annotations

from lrhdr.checks import InputError


def read_varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """A little-endian base-128 number.

    Returns:
        The number and the position after it.

    Raises:
        InputError: the data end within it, or it has more than 64 bits.
    """
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise InputError("found a number that does not end, expected a base-128 number")


def decompress(data: bytes) -> bytes:
    """Decode a block.

    Raises:
        InputError: damaged data.
    """
    length, at = read_varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:  # literal
            size = tag >> 2
            if size >= 60:
                extra = size - 59
                size = int.from_bytes(data[at : at + extra], "little")
                at += extra
            size += 1
            if at + size > len(data):
                raise InputError("found a Snappy block that ends too early")
            out += data[at : at + size]
            at += size
            continue
        if tag & 3 == 1:
            size, extra, high = 4 + (tag >> 2 & 7), 1, tag >> 5 << 8
        else:
            size, extra, high = 1 + (tag >> 2), 2 if tag & 3 == 2 else 4, 0
        offset = high | int.from_bytes(data[at : at + extra], "little")
        at += extra
        if at > len(data) or not 0 < offset <= len(out):
            raise InputError("found a Snappy block that refers to data before its start")
        for _ in range(size):  # a copy may overlap what it writes
            out.append(out[-offset])
    if len(out) != length:
        raise InputError(f"found a Snappy block of {len(out)} bytes, expected {length}")
    return bytes(out)
