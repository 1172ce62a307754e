"""What a batch works on: a manifest with a row per clip, a folder of clips, or one clip.

A row has `input` (folder of frames, pattern or video file; relative to the manifest) and may have `name` (of the
sub-folder and the files) and any option of `lrhdr reconstruct` under its long name, with `_` or `-`:

    clips.csv     a header, then a row per clip; an empty cell is the default
    clips.json    a list of objects, or {"defaults": {...}, "clips": [...]}
    clips.jsonl   an object per line
    clips.toml    [[clip]] tables, and [defaults]

Videos, sheet and report are named relative to the clip's own output folder; `{name}` in them stands for its name.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from lrhdr.checks import InputError
from lrhdr.delivery import ClipFiles
from lrhdr.io.metadata import natural_key
from lrhdr.io.sources import VIDEO_SUFFIXES, open_frames
from lrhdr.run_options import RunOptions, file_stem
from lrhdr.shards import WHOLE_CLIP

MANIFESTS = (".csv", ".json", ".jsonl", ".toml")
_PATTERN = re.compile(r"%\d*d|[#@]+")
_EXPOSURES = {"exposures", "stops"}
_OPTIONS = {field.name for field in fields(RunOptions)} - {"name", "overwrite"}
_SWITCH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
FILES = ("crf", "sidecar", "weights", "look")
"""Options that may name a file."""


@dataclass(frozen=True)
class BatchClip:
    """A clip and how it is to be reconstructed.

    Attributes:
        name: of its sub-folder and files.
        input: what `open_frames` takes; absolute.
        output: folder of its frames; absolute.
        options: of the whole clip.
    """

    name: str
    input: str
    output: str
    options: RunOptions

    @property
    def files(self) -> ClipFiles:
        """Names of its files."""
        return ClipFiles(Path(self.output), self.name, self.options.start_number, padding=self.options.padding)


def read_clips(source: str, output: str, defaults: RunOptions) -> tuple[BatchClip, ...]:
    """The clips of a batch.

    Args:
        source: manifest, folder of clips, or one clip.
        output: folder under which every clip gets its own.
        defaults: options of clips that do not say otherwise.

    Returns:
        At least one clip; names differ. Inputs are not opened yet.

    Raises:
        InputError: nothing there, a manifest that makes no sense (the message says where), or two clips of one name.
    """
    path = Path(source)
    if defaults.name:
        raise InputError(f"name: expected the key 'name' in a manifest, one per clip; found --name {defaults.name}")
    if path.is_file() and path.suffix.lower() in MANIFESTS:
        rows = _read_rows(path)
        clips = [_clip(row, where, path.parent, output, defaults) for where, row in rows]
        if not clips:
            raise InputError(f"{path}: found no clip, expected at least one")
    else:
        clips = [
            _clip({"input": str(p)}, str(p), Path(), output, defaults) for p in (_folder(path, output) or [path])
        ]  # anything that is no folder of clips is one clip, or a mistake that opening it will name
    _check_distinct(clips)
    return tuple(clips)


def _folder(folder: Path, output: str) -> list[Path]:
    """Clips in a folder; none if it is not a folder, or is a clip itself. Results, at `output` too, are none."""
    if not folder.is_dir():
        return []
    visible = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=natural_key)
    results = Path(output).resolve()
    clips = [
        p
        for p in visible
        if (p.is_dir() and not _is_result(p) and p.resolve() != results) or p.suffix.lower() in VIDEO_SUFFIXES
    ]
    if clips and any(p.is_file() for p in visible):
        try:
            open_frames(folder)
        except InputError:
            return clips
        return []  # a clip whose folder also has, say, a folder of proxies
    return clips


def _is_result(folder: Path) -> bool:
    """Whether a folder is what an earlier batch made of the clip beside it."""
    return (folder / f"{folder.name}.lrhdr.json").is_file() and any(folder.glob("*.exr"))


def _read_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Rows with the place that messages name."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    readers: dict[str, Callable[[str], list[tuple[int, Any]]]] = {
        ".csv": _csv, ".json": _json, ".jsonl": _json_lines, ".toml": _toml,
    }  # fmt: skip
    try:
        found = readers[path.suffix.lower()](text)
    except (ValueError, csv.Error, RecursionError) as error:
        raise InputError(f"{path}: not a readable manifest ({error})") from error
    for number, row in found:
        if not isinstance(row, dict):
            raise InputError(f"{path}: clip {number}: expected keys and values, found {row!r:.60}")
    return [(f"{path}: clip {number}", row) for number, row in found]


def _csv(text: str) -> list[tuple[int, Any]]:
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True, strict=True)
    columns = [name.strip().replace("-", "_") for name in reader.fieldnames or ()]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise ValueError(f"expected every column once, found {', '.join(twice)} twice")
    rows = []
    for number, row in enumerate(reader, 1):
        if None in row or None in row.values():
            raise ValueError(f"clip {number}: expected {len(reader.fieldnames or ())} columns")
        rows.append((number, {key.strip(): value.strip() for key, value in row.items() if value.strip()}))
    return rows


def _json(text: str) -> list[tuple[int, Any]]:
    found = json.loads(text)
    return _with_defaults(found, "clips") if isinstance(found, dict) else _numbered(found)


def _json_lines(text: str) -> list[tuple[int, Any]]:
    return _numbered([json.loads(line) for line in text.splitlines() if line.strip()])


def _toml(text: str) -> list[tuple[int, Any]]:
    return _with_defaults(tomllib.loads(text), "clip")


def _with_defaults(found: dict[str, Any], key: str) -> list[tuple[int, Any]]:
    unknown = sorted(found.keys() - {key, "defaults"})
    defaults = found.get("defaults", {})
    if unknown or not isinstance(defaults, dict):
        raise ValueError(f"expected {key!r} and 'defaults', found {', '.join(unknown) or 'other defaults'}")
    return [(n, _over(defaults, row) if isinstance(row, dict) else row) for n, row in _numbered(found.get(key, []))]


def _over(defaults: Mapping[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """A row with the defaults of what it does not say; `exposures` or `stops` in it replaces either."""
    said = row.keys() | (_EXPOSURES if row.keys() & _EXPOSURES else set())
    return {**{key: value for key, value in defaults.items() if key not in said}, **row}


def _numbered(rows: Any) -> list[tuple[int, Any]]:
    if not isinstance(rows, list):
        raise ValueError(f"expected a list of clips, found {type(rows).__name__}")
    return list(enumerate(rows, 1))


def _clip(row: Mapping[str, Any], where: str, base: Path, output: str, defaults: RunOptions) -> BatchClip:
    values = {key.strip().replace("-", "_"): value for key, value in row.items()}
    source = values.pop("input", None)
    if not isinstance(source, str) or not source:
        raise InputError(f"{where}: expected 'input', a clip; found {source!r}")
    unknown = sorted(values.keys() - _OPTIONS - {"name"})
    if unknown:
        raise InputError(f"{where}: unknown {', '.join(unknown)}; expected options of lrhdr reconstruct")
    place = Path(_absolute(base / source))
    stem = place.name if place.is_dir() else _PATTERN.sub("", place.stem).rstrip("._- ") or place.parent.name
    name = file_stem(str(values.pop("name", None) or stem))
    typed = {key: _typed(key, value, where) for key, value in values.items()}
    if typed.keys() & _EXPOSURES:  # one of them in a row replaces either among the defaults
        typed = {"exposures": None, "stops": None, **typed}
    try:
        options = replace(defaults, **typed, name=name, overwrite=False)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    folder = Path(_absolute(Path(output) / name))
    changes: dict[str, Any] = {key: _file(typed, key, options, base, name) for key in FILES}
    for key in WHOLE_CLIP:
        value = getattr(options, key)
        if value:
            changes[key] = _absolute(folder / value.replace("{name}", name))
        elif value == "" and key == "report":
            changes[key] = _absolute(folder / "report")
    return BatchClip(name, str(place), str(folder), replace(options, **changes))


def _file(typed: Mapping[str, Any], key: str, options: RunOptions, base: Path, name: str) -> str | None:
    """A name, or an absolute path: workers may run elsewhere."""
    value: str | None = getattr(options, key)
    if not value:
        return value
    if key == "sidecar":
        value = value.replace("{name}", name)
    path = (base if key in typed else Path()) / value
    return _absolute(path) if path.exists() or key == "sidecar" else value


def _typed(key: str, value: Any, where: str) -> Any:
    """A value as the option wants it, from a typed format or from the text of a cell."""
    hint = typing.get_type_hints(RunOptions)[key]
    kinds = [k for k in typing.get_args(hint) if k is not types.NoneType] or [hint]
    kind = kinds[0]
    try:
        if kind is bool:
            return value if isinstance(value, bool) else _SWITCH[value.lower()]
        if kind is str:
            if isinstance(value, list):  # stops = [0, 3]
                return ",".join(str(v) for v in value)
            if key == "report" and str(value).lower() in _SWITCH:
                return "" if _SWITCH[str(value).lower()] else None
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                return str(value)
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            if kind is int and isinstance(value, float) and not value.is_integer():
                raise ValueError
            return kind(value)
    except (KeyError, ValueError, AttributeError):
        pass
    raise InputError(f"{where}: {key}: expected {kind.__name__}, found {value!r}")


def _check_distinct(clips: list[BatchClip]) -> None:
    """Refuse two results of one name (file systems that do not tell case apart exist)."""
    taken: dict[str, str] = {}
    for clip in clips:
        for place in (clip.output, *(getattr(clip.options, key) for key in (*WHOLE_CLIP, "sidecar"))):
            if not place:
                continue
            if place.casefold() in taken:
                raise InputError(
                    f"{place}: asked for by {taken[place.casefold()]} and {clip.input}; expected different names "
                    "(key 'name' in a manifest, or {name} in a path)"
                )
            taken[place.casefold()] = clip.input


def _absolute(path: Path) -> str:
    # Path.resolve() would follow links, whose own names are the clips' names.
    return os.path.abspath(path)  # noqa: PTH100
