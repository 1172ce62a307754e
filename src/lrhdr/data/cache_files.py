"""The files of a sample cache: their names, and its manifest (`lrhdr.data.generated` says what is in them)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lrhdr.checks import InputError

MANIFEST = "manifest.json"

FORMAT = 1
"""Of the files, as the manifest has it."""


def is_cache(folder: Path | str) -> bool:
    """Whether a folder is a sample cache: one that has a manifest."""
    return (Path(folder) / MANIFEST).is_file()


def shard_path(folder: Path, number: int) -> Path:
    """The file of shard `number`."""
    return folder / f"shard-{number:05d}.safetensors"


def shard_files(folder: Path) -> dict[int, Path]:
    """The shards that are there, by number, in order."""
    found = {}
    for path in sorted(folder.glob("shard-*.safetensors")):
        number = path.stem.removeprefix("shard-")
        if number.isdecimal() and path == shard_path(folder, int(number)):
            found[int(number)] = path
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a cache's manifest.

    Returns:
        What `build_cache` wrote; only "format" is sure to be there.

    Raises:
        InputError: missing, damaged, or of another format.
    """
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{folder}: expected a sample cache with {MANIFEST} ({error})") from None
    version = found.get("format") if isinstance(found, dict) else found
    if version != FORMAT:
        raise InputError(f"{folder}: expected cache format {FORMAT}, found {version!r:.60}")
    for key, kind, word in (("config", dict, "a table"), ("count", int, "a whole number")):
        if not isinstance(found.get(key, kind()), kind):
            raise InputError(f"{folder / MANIFEST}: {key}: expected {word}, found {found[key]!r:.60}")
    manifest: dict[str, Any] = found
    return manifest
