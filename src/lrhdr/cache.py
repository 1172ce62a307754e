"""The user's cache: where weights of others lie that this package fetched or converted, once, at the user's wish.

`LRHDR_CACHE` names the folder; otherwise it is `lrhdr` in the system's folder for such things (`XDG_CACHE_HOME`,
`~/.cache`, on Windows `LOCALAPPDATA`). Nothing in it is needed by the package itself: it may be deleted at any time.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from lrhdr.checks import InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def cache_dir() -> Path:
    """The cache's folder, which may not exist yet."""
    own = os.environ.get("LRHDR_CACHE")
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "lrhdr"


def interpolator_file(name: str) -> Path:
    """Where the converted weights of an interpolator lie, or would.

    Args:
        name: letters, digits, `.`, `_` and `-`.

    Raises:
        InputError: another kind of name.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"interpolator: expected a name of letters, digits, '.', '_' and '-', found {name!r}")
    return cache_dir() / "interpolators" / f"{name}.safetensors"


def cached_interpolators() -> list[str]:
    """Names of the interpolators whose weights are in the cache."""
    return sorted(path.stem for path in (cache_dir() / "interpolators").glob("*.safetensors"))
