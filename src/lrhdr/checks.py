"""The package's exception types, and checks of tensors that come from outside.

A person's mistake raises a subclass of `LrhdrError` whose message says what was found and what was expected (and the
file, where there is one); the command line prints it as one line. Broken invariants of our own are `assert`s.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LARGEST_SIZE = 4096
"""Of a number in a network's configuration (channels, blocks, levels); chosen by us, far above any network in use."""


class LrhdrError(ValueError):
    """Base of every error that a user can cause."""


class InputError(LrhdrError):
    """Something that was given (file, folder, option, tensor) cannot be used."""


class OutputError(LrhdrError):
    """A result could not be written (disk full, folder not writable)."""


class WeightsError(LrhdrError):
    """A weights file is missing, damaged, or does not fit its configuration."""


def check_sizes(values: object, name: str = "configuration") -> None:
    """Refuse a network's configuration that asks for absurd sizes, before anything is built from it.

    Args:
        values: plain values, nested, as read from a file.
        name: what to call them in the message.

    Raises:
        ValueError: a number above `LARGEST_SIZE` in size, or not finite.
    """
    if isinstance(values, dict):
        for key, value in values.items():
            check_sizes(value, str(key))
    elif isinstance(values, list | tuple):
        for value in values:
            check_sizes(value, name)
    elif isinstance(values, int | float) and not abs(values) <= LARGEST_SIZE:
        raise ValueError(f"{name}: expected numbers up to {LARGEST_SIZE}, found {values}")


_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    dict: "a table",
    tuple: "a list",
}


def check_kinds(values: Mapping[str, object], defaults: Mapping[str, object], name: str) -> None:
    """Refuse settings from a file that are not of the kind of their defaults, in tables and lists too.

    Args:
        values: settings.
        defaults: plain values; settings without a default here are not looked at. Elements of a list are of the kind of
            the default's first.
        name: of the file, for the message.

    Raises:
        InputError: text for a number and the like, a number that is not finite, or a whole one of 32 bits or more.
    """
    for key, value in values.items():
        if key in defaults:
            _check_kind(value, defaults[key], name, key)


def _check_kind(value: object, default: object, name: str, key: str) -> None:
    kind = list if isinstance(default, tuple) else type(default)
    fits = isinstance(value, kind) or (kind is list and isinstance(value, tuple))
    if kind in (int, float):
        fits = isinstance(value, int | kind) and not isinstance(value, bool) and abs(value) < 2**31
    if not fits:
        word = _KINDS[tuple if kind is list else kind]
        raise InputError(f"{name}: {key}: expected {word}, found {value!r:.60}")
    if isinstance(value, Mapping) and isinstance(default, Mapping):
        for inner, part in value.items():
            if inner in default:
                _check_kind(part, default[inner], name, f"{key}.{inner}")
    elif isinstance(value, list | tuple) and isinstance(default, list | tuple) and default:
        for element in value:
            _check_kind(element, default[0], name, key)


def check_tensor(
    x: Tensor, name: str, *, ndim: int = 4, channels: int | None = 3, codes: Container[torch.dtype] = ()
) -> None:
    """Check the layout of a floating-point tensor whose channel axis is third from the end.

    Args:
        x: the tensor, (..., C, H, W).
        name: what to call it in the message.
        ndim: the number of axes it must have.
        channels: the size that axis -3 must have; None for any.
        codes: types that are taken beside floating point.

    Raises:
        InputError: wrong number of axes, wrong channel count, an empty axis, or not floating point.
    """
    shape = tuple(x.shape)
    if x.ndim != ndim:
        raise InputError(f"{name}: expected {ndim} axes, found shape {shape}")
    if channels is not None and shape[-3] != channels:
        raise InputError(f"{name}: expected {channels} channels on axis -3, found shape {shape}")
    if 0 in shape:
        raise InputError(f"{name}: empty axis in shape {shape}")
    if not x.is_floating_point() and x.dtype not in codes:
        raise InputError(f"{name}: expected floating point, found {x.dtype}")
