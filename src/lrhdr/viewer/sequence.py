"""A folder of linear frames as the viewer serves it: which files there are, their layers, and pixels on demand.

Frames are `*.exr` (or `.hdr`, `.pfm`) of one folder; layers are those that `--aov` wrote, `aov/NAME_aov.NUMBER.exr`
beside them; the run's record, `NAME.lrhdr.json`, tells the exposures. Nothing that lies outside the folder is read:
links that lead out of it are passed over.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from lrhdr.aov import candidate_names
from lrhdr.checks import InputError
from lrhdr.clip_setup import Part, parts_of
from lrhdr.exposure import ExposureSchedule
from lrhdr.io.images import LINEAR_SUFFIXES, read_exr_header
from lrhdr.io.metadata import natural_key
from lrhdr.sidecar import read_sidecar
from lrhdr.viewer.manifest import SCALES, common, describe_candidates, setting_rows, versions
from lrhdr.viewer.packing import half_plane, pack

Channels = dict[str, NDArray[np.floating[Any]]]

RECENT_BYTES = 256 * 2**20
"""Of layers that are kept; those of the last frame are in any case. Chosen by us: five frames of 1280x720, two
exposures."""


@dataclass(frozen=True)
class SequenceFrame:
    """One frame of a folder.

    Attributes:
        index: its number in the page: that of the input frame, where the run's record tells, else of the file.
        path: the file.
        layers: the file of its layers, if there is one.
    """

    index: int
    path: Path
    layers: Path | None


class _Recent:
    """Channels of the files that were asked for last: a page asks for the planes of a frame one by one.

    Args:
        limit: bytes that are kept; the last file is whatever its size, for reading it took as much.
    """

    def __init__(self, limit: int = RECENT_BYTES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: dict[Path, tuple[tuple[int, int], Channels]] = {}

    def get(self, path: Path, state: tuple[int, int], read: Callable[[Path], Channels]) -> Channels:
        """The channels of a file, read unless they are kept from the same state of it; one thread reads at a time."""
        with self._lock:
            known, channels = self._kept.pop(path, (None, {}))
            if known != state:
                channels = read(path)
            self._kept[path] = state, channels
            while len(self._kept) > 1 and sum(_bytes(c) for _, c in self._kept.values()) > self._limit:
                del self._kept[next(iter(self._kept))]
            return channels


def _bytes(channels: Channels) -> int:
    return sum(plane.nbytes for plane in channels.values())


class Sequence:
    """The frames of a folder.

    Args:
        path: a folder, one file, or a folder with the frames in its folder `frames` (as the demo leaves them).

    Raises:
        InputError: nothing to show.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise InputError(f"{path}: expected a folder of EXR frames, found nothing")
        single = path if path.is_file() else None
        self.root = (path.parent if single else path).resolve()
        files = [path.resolve().parent / path.name] if single else self._files(self.root)
        if not files and (self.root / "frames").is_dir() and self.inside(self.root / "frames"):
            self.root = self.root / "frames"
            files = self._files(self.root)
        files = [p for p in files if self.inside(p)]
        if not files or files[0].suffix.lower() not in LINEAR_SUFFIXES:
            raise InputError(f"{path}: expected linear frames ({', '.join(sorted(LINEAR_SUFFIXES))}), found none")
        self.record = self._record()
        self.schedule = self._schedule()
        layers = {_number(p): p for p in self._files(self.root / "aov") if self.inside(p)}
        start = _whole(self.record.get("start_number")) if self.schedule else 0
        numbers = [_number(p) for p in files]
        if None in numbers or len(set(numbers)) < len(files):
            numbers, start = list(range(len(files))), 0
        self.frames = tuple(
            SequenceFrame((n or 0) - start, p, layers.get(n)) for n, p in zip(numbers, files, strict=True)
        )
        self._by_index = {frame.index: frame for frame in self.frames}
        self.parts = self._parts()
        self._recent = _Recent()

    def inside(self, path: Path) -> bool:
        """Whether a file really lies in the folder, links followed."""
        try:
            return path.resolve(strict=True).is_relative_to(self.root)
        except OSError:
            return False

    def path(self, index: int) -> Path:
        """The file of a frame.

        Raises:
            KeyError: no such frame.
        """
        return self._by_index[index].path

    def planes(self, index: int, name: str) -> bytes:
        """The pack of one plane of a frame.

        Args:
            index: of the frame.
            name: "result", "votes", "confidence" or "candidateN".

        Raises:
            KeyError: no such frame or plane.
            InputError: the file cannot be read.
        """
        frame = self._by_index[index]
        if name == "result":
            return pack({name: half_plane(self._rgb(frame.path))})
        if frame.layers is None:
            raise KeyError(name)
        channels = self._recent.get(frame.layers, self._state(frame.layers), self._read_half)
        names = _voters(channels)
        if name == "votes" and names:
            return pack({name: half_plane(np.stack([channels[f"votes.{n}"] for n in names], axis=-1))})
        if name == "confidence" and "confidence.Y" in channels:
            return pack({name: half_plane(channels["confidence.Y"][..., None])})
        match = re.fullmatch(r"candidate(\d+)", name)
        order = names or _candidates(channels)
        if match and int(match[1]) < len(order):
            title = f"candidate_{order[int(match[1])]}"
            if f"{title}.R" in channels:
                return pack({name: half_plane(np.stack([channels[f"{title}.{c}"] for c in "RGB"], axis=-1))})
        raise KeyError(name)

    def manifest(self) -> dict[str, Any]:
        """What the page is told; see `web/source.js`."""
        first = self._rgb(self.frames[0].path)
        height, width = first.shape[:2]
        sets: list[list[dict[str, Any]]] = []
        layered = next((f.layers for f in self.frames if f.layers is not None), None)
        extra, titles = self._layer_planes(layered)
        frames = []
        for frame in self.frames:
            about: dict[str, Any] = {"index": frame.index, "file": frame.path.name, "planes": ["result"]}
            exposures: tuple[float, ...] = ()
            part = next((p for p in self.parts if p.start <= frame.index < p.stop), None)
            if part is not None:
                about["exposure"] = part.schedule.exposure(frame.index - part.start)
                exposures = part.schedule.window_exposures(frame.index - part.start)
            if frame.layers is not None:
                about["planes"] += extra
                entries = self._entries(titles, exposures)
                if entries not in sets:
                    sets.append(entries)
                about["set"] = sets.index(entries)
                if part is not None:
                    window = part.schedule.window(frame.index - part.start, part.stop - part.start)
                    about["window"] = [part.start + i for i in window]
                    about["exposures"] = list(exposures)
            frames.append(about)
        method = str(self.record.get("weights") or self.record.get("method") or "")
        count = len(frames)
        head = f"{count} frame{'s' if count != 1 else ''} of {width} x {height}"
        attributes = read_exr_header(self.frames[0].path) if self.frames[0].path.suffix.lower() == ".exr" else {}
        scale = str(attributes.get("lrhdr:scale", self.record.get("scale", "")))
        space = self.record.get("colorspace", "lin_rec709")
        settings = setting_rows(self.record)
        settings += [
            [k, str(v)] for k, v in attributes.items() if k.startswith("lrhdr:") or k in ("software", "expTime")
        ]
        return {
            **common(self.root.name, ", ".join(x for x in (head, method) if x), "view", (height, width), [first]),
            "served": True,
            "scale": SCALES.get(scale, ""),
            "gain": _positive(attributes.get("lrhdr:saturation")),
            "rate": _rate(self.record.get("fps")),
            "total": count,
            "sampled": False,
            "reduce": 1,
            "notice": None if space == "lin_rec709" else f"The files are in {space}; they are shown as if in Rec. 709.",
            "frames": frames,
            "candidateSets": sets,
            "precision": {"exact": True},
            "settings": settings,
            "versions": versions(),
        }

    def _entries(self, titles: tuple[str, ...], exposures: tuple[float, ...]) -> list[dict[str, Any]]:
        if exposures:
            return describe_candidates(exposures, len(titles))
        n = max(2, (len(titles) + 2) // 4)
        entries = describe_candidates((1.0,) * (2 * n - 1), len(titles))
        return [entry | {"name": title.replace("_", " ")} for entry, title in zip(entries, titles, strict=True)]

    def _layer_planes(self, path: Path | None) -> tuple[list[str], tuple[str, ...]]:
        """Names of the planes that a file of layers gives, and of its candidates."""
        if path is None:
            return [], ()
        channels = set(self._open(path)[1])
        names = _voters(channels) or _candidates(channels)
        planes = ["votes"] if f"votes.{names[0] if names else ''}" in channels else []
        planes += [f"candidate{k}" for k, n in enumerate(names) if f"candidate_{n}.R" in channels]
        planes += ["confidence"] if "confidence.Y" in channels else []
        return planes, names

    def _files(self, folder: Path) -> list[Path]:
        if not folder.is_dir():
            return []
        visible = (p for p in folder.iterdir() if p.suffix.lower() in LINEAR_SUFFIXES and not p.name.startswith("."))
        found = sorted(visible, key=natural_key)
        # One kind: an EXR sequence beside a few Radiance files is still an EXR sequence.
        exr = [p for p in found if p.suffix.lower() == ".exr"]
        return exr or found

    def _record_path(self) -> Path | None:
        found = [p for p in self.root.glob("*.lrhdr.json") if self.inside(p)]
        return found[0] if len(found) == 1 else None

    def _record(self) -> dict[str, Any]:
        path = self._record_path()
        if path is None:
            return {}
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def _schedule(self) -> ExposureSchedule | None:
        try:
            return ExposureSchedule(tuple(float(e) for e in self.record["exposures"]), int(self.record.get("start", 0)))
        except (KeyError, TypeError, ValueError, InputError):
            return None

    def _parts(self) -> tuple[Part, ...]:
        """The clip between the breaks of its alternation; none where the exposures are not known."""
        path = self._record_path()
        if self.schedule is None or path is None:
            return ()
        total = max(_whole(self.record.get("n_frames")), max(self._by_index) + 1)
        try:
            facts = read_sidecar(path)
        except InputError:  # a record without them, of an older version
            return (Part(0, total, self.schedule),)
        parts = parts_of(self.schedule, facts)
        return (*parts[:-1], replace(parts[-1], stop=max(parts[-1].stop, total)))

    def _state(self, path: Path) -> tuple[int, int]:
        """Time (ns) and size (bytes) of a file, which change where it is written again.

        Raises:
            InputError: it is gone, or lies outside the folder.
        """
        try:
            status = path.stat()
        except OSError:
            raise InputError(f"{path.name}: is not there any more") from None
        if not self.inside(path):
            raise InputError(f"{path}: expected a file in {self.root}, found one outside")
        return status.st_mtime_ns, status.st_size

    def _open(self, path: Path) -> tuple[Any, list[str]]:
        self._state(path)
        image = oiio.ImageInput.open(str(path))
        if image is None:
            raise InputError(f"{path.name}: cannot be read ({' '.join(oiio.geterror().split())[:160]})")
        return image, list(image.spec().channelnames)

    def _read(self, path: Path, kind: Any = oiio.FLOAT) -> Channels:
        """All channels of a file; values that are not finite stay, because a viewer shows what is there."""
        image, names = self._open(path)
        try:
            pixels = image.read_image(0, 0, 0, len(names), kind)
            message = image.geterror()
        finally:
            image.close()
        if pixels is None or message:
            raise InputError(f"{path.name}: damaged or truncated ({' '.join(message.split())[:160]})")
        return {name: pixels[..., i] for i, name in enumerate(names)}

    def _read_half(self, path: Path) -> Channels:
        """As `_read`, in half floats, as layers are written and served."""
        return self._read(path, oiio.HALF)

    def _rgb(self, path: Path) -> NDArray[np.float32]:
        channels = self._read(path)
        if all(c in channels for c in "RGB"):
            return np.stack([channels[c] for c in "RGB"], axis=-1)
        if len(channels) == 1 or "Y" in channels:
            grey = channels.get("Y", next(iter(channels.values())))
            return np.stack([grey] * 3, axis=-1)
        raise InputError(f"{path.name}: expected channels R, G, B or Y, found {', '.join(channels)[:120]}")


def _voters(channels: Any) -> tuple[str, ...]:
    """Names of the candidates in the order of the vote; a file holds its channels in alphabetical order."""
    return _ordered({name.removeprefix("votes.") for name in channels if name.startswith("votes.")})


def _candidates(channels: Any) -> tuple[str, ...]:
    names = {m[1] for name in channels if (m := re.fullmatch(r"candidate_(.+)\.[RGB]", name))}
    return _ordered(names)


def _ordered(names: set[str]) -> tuple[str, ...]:
    for n in range(2, 9):
        for count in (4 * n - 2, 3 * n - 2):
            known = candidate_names(n, count)
            if set(known) == names:
                return known
    return tuple(sorted(names))


def _number(path: Path) -> int | None:
    match = re.search(r"(\d+)$", path.stem)
    # A page counts in floating point: numbers of more digits than these count as none.
    return int(match[1]) if match and len(match[1]) <= 15 else None


def _whole(value: Any) -> int:
    """A whole number of a record; 0 where it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _positive(value: Any) -> float:
    """A number of a file's header; 1.0 where it is none, or not above 0."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 1.0
    return number if 0.0 < number < math.inf else 1.0


def _rate(text: Any) -> float:
    try:
        top, _, bottom = str(text).partition("/")
        rate = float(top) / float(bottom or 1)
    except (ValueError, ZeroDivisionError):
        return 24.0
    return rate if 0.0 < rate < 1000.0 else 24.0
