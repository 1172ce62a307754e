"""What an evaluation measured: records of frames and clips, their means, as JSON and back.

Averaging: one number per frame, then the mean over the frames of a set (dB for PSNR). `lrhdr.score_tables` makes the
tables.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lrhdr.checks import InputError
from lrhdr.io.atomic import write_bytes
from lrhdr.judges import JUDGES
from lrhdr.metrics.meters import Meters

POSITIONS = ("short", "middle", "long")
"""The exposure of a frame among those of its schedule."""

_FRAME_KEYS = ("group", "clip", "stops", "index", "reference", "boundary", "method", "composite", "seconds")
_CLIP_KEYS = ("group", "clip", "stops", "method", "composite", "interpolation_seconds")


@dataclass(frozen=True)
class FrameRecord:
    """Scores of one frame by one method.

    Attributes:
        group: the set of the clip.
        clip: its name.
        stops: exposures of one period in stops.
        index: position in the clip.
        reference: "short", "long" or, with more than two exposures, "middle": the exposure of the frame itself.
        boundary: a neighbour of the window lies outside the clip and was replaced.
        method: its name.
        composite: the reference was pasted over the result where it is well exposed.
        metrics: metric name to number.
        seconds: time for this frame, without the shared interpolation.
    """

    group: str
    clip: str
    stops: tuple[float, ...]
    index: int
    reference: str
    boundary: bool
    method: str
    composite: bool
    metrics: Mapping[str, float]
    seconds: float

    @property
    def frame(self) -> tuple[str, str, tuple[float, ...], int, bool]:
        """What tells frames apart, whatever the method."""
        return self.group, self.clip, self.stops, self.index, self.composite


@dataclass(frozen=True)
class ClipRecord:
    """Scores of one clip by one method that need more than one of its frames.

    Attributes:
        group: the set of the clip.
        clip: its name.
        stops: exposures of one period in stops.
        method: its name.
        composite: the reference was pasted over the result where it is well exposed.
        metrics: metric name to number; a metric is missing where the clip gives nothing to measure it on.
        interpolation_seconds: mean time per frame of the shared interpolation.
    """

    group: str
    clip: str
    stops: tuple[float, ...]
    method: str
    composite: bool
    metrics: Mapping[str, float]
    interpolation_seconds: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured, and how.

    Attributes:
        settings: what must be equal for numbers to be comparable; protocol, display, versions, seed, camera,
            interpolator, notes of clips.
        frames: one record per clip, stops, frame, method and composite.
        clips: one record per clip, stops, method and composite.
    """

    settings: dict[str, Any]
    frames: list[FrameRecord] = field(default_factory=list)
    clips: list[ClipRecord] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """What was measured as plain values, for JSON; infinite PSNR as the string "inf".

        Metrics stand beside the other values. `means` follow from the rest and are not among them.
        """
        return {
            "settings": self.settings,
            "frames": [_flat(r, _FRAME_KEYS) for r in self.frames],
            "clips": [_flat(r, _CLIP_KEYS) for r in self.clips],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], name: str = "evaluation") -> Evaluation:
        """Undo `to_dict`; also reads files that were written before records had `composite`.

        Args:
            data: what the JSON file holds.
            name: what to call it in messages.

        Raises:
            InputError: not an evaluation.
        """
        try:
            pasted = bool(data["settings"].get("composite", False))
            frames = [FrameRecord(**_record(r, _FRAME_KEYS, pasted)) for r in data["frames"]]
            clips = [ClipRecord(**_record(r, _CLIP_KEYS, pasted)) for r in data["clips"]]
            settings = dict(data["settings"])
            tables = ("protocol", "clips", "data", "versions", "machine", "display", "camera")
            wrong = [key for key in tables if not isinstance(settings.get(key, {}), dict)]
            if wrong:
                raise ValueError(f"{wrong[0]} is no table")
            return cls(settings, frames, clips)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{name}: expected the JSON of lrhdr evaluate, found something else ({error})") from error

    def write_json(self, path: Path | str) -> None:
        """Write everything, and its means, as JSON, whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        values = {"settings": self.settings, "means": self.means(), **self.to_dict()}
        write_bytes(path, (json.dumps(values, indent=1) + "\n").encode())

    @classmethod
    def read_json(cls, path: Path | str) -> Evaluation:
        """Read what `write_json` wrote: the file, or the folder that `lrhdr evaluate` made.

        Raises:
            InputError: missing, not JSON, or not an evaluation.
        """
        file = Path(path) / "evaluation.json" if Path(path).is_dir() else Path(path)
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(
                f"{file}: expected the JSON of lrhdr evaluate, found nothing ({error.strerror})"
            ) from error
        except ValueError as error:
            raise InputError(f"{file}: expected the JSON of lrhdr evaluate, found a damaged file ({error})") from error
        if not isinstance(data, dict):
            raise InputError(f"{file}: expected the JSON of lrhdr evaluate, found something else")
        return cls.from_dict(data, str(file))

    def means(self) -> list[dict[str, Any]]:
        """Means over frames, one row per set, stops, composite and method, in the order in which they were measured."""
        meters = Meters()
        for r in self.frames:
            key = (r.group, r.stops, r.composite, r.method)
            for name, value in r.metrics.items():
                parts = (r.reference, "all", *(() if r.boundary else ("interior",)))
                for part in parts if _by_reference(name) else ("all",):
                    meters.add((*key, name, part), value)
            meters.add((*key, "seconds", "all"), r.seconds)
        for c in self.clips:
            for name, value in c.metrics.items():
                meters.add((c.group, c.stops, c.composite, c.method, name, "all"), value)
        rows = []
        for key in dict.fromkeys((r.group, r.stops, r.composite, r.method) for r in self.frames):
            group, stops, composite, method = key
            row: dict[str, Any] = {"group": group, "stops": list(stops), "composite": composite, "method": method}
            for name in (*JUDGES, "seconds"):
                for part in (*POSITIONS, "all", "interior"):
                    if (*key, name, part) in meters:
                        label = f"{name}_{part}" if _by_reference(name) else name
                        row[label] = plain(meters.mean((*key, name, part)))
            row["frames"] = meters.count((*key, "seconds", "all"))
            rows.append(row)
        return rows


def _by_reference(name: str) -> bool:
    return name in JUDGES and JUDGES[name].by_reference


def plain(value: float) -> float | str:
    """A number as JSON can hold it: infinity as a string."""
    return "inf" if value == math.inf else value


def _flat(record: FrameRecord | ClipRecord, keys: tuple[str, ...]) -> dict[str, Any]:
    values = {k: getattr(record, k) for k in keys}
    return values | {name: plain(value) for name, value in record.metrics.items()}


def _record(values: Mapping[str, Any], keys: tuple[str, ...], pasted: bool) -> dict[str, Any]:
    found = {"composite": pasted, **{k: v for k, v in values.items() if k in keys}}
    found["stops"] = tuple(float(s) for s in values["stops"])
    number = (int, float)
    kinds: dict[str, Any] = {
        "index": int, "seconds": number, "boundary": bool, "composite": bool, "interpolation_seconds": number
    }  # fmt: skip
    for key, value in found.items():
        if key != "stops" and not isinstance(value, kinds.get(key, str)):
            raise ValueError(f"{key} is {value!r}")
    found["metrics"] = {k: float(v) for k, v in values.items() if k not in keys}
    return found
