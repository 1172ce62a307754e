"""What an evaluation measured: records of frames and clips, their means, as JSON and as tables.

Averaging: one number per frame, then the mean over the frames of a set (dB for PSNR).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lrhdr.io.atomic import write_bytes
from lrhdr.metrics.meters import Meters


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
        psnr_t: PSNR of T(H), dB.
        ssim_t: SSIM of T(H).
        ghosts: share of well-exposed pixels that are worse than the reference alone.
        seconds: time for this frame, without the shared interpolation.
    """

    group: str
    clip: str
    stops: tuple[float, ...]
    index: int
    reference: str
    boundary: bool
    method: str
    psnr_t: float
    ssim_t: float
    ghosts: float
    seconds: float


@dataclass(frozen=True)
class ClipRecord:
    """Scores of one clip by one method that need all its frames.

    Attributes:
        group: the set of the clip.
        clip: its name.
        stops: exposures of one period in stops.
        method: its name.
        flicker: mean absolute change of the T-domain error from frame to frame.
        interpolation_seconds: mean time per frame of the shared interpolation.
    """

    group: str
    clip: str
    stops: tuple[float, ...]
    method: str
    flicker: float
    interpolation_seconds: float


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured, and how.

    Attributes:
        settings: what must be equal for numbers to be comparable; versions, seed, camera, interpolator, notes of clips.
        frames: one record per clip, stops, frame and method.
        clips: one record per clip, stops and method.
    """

    settings: dict[str, Any]
    frames: list[FrameRecord] = field(default_factory=list)
    clips: list[ClipRecord] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; infinite PSNR as the string "inf"."""

        def plain(record: FrameRecord | ClipRecord) -> dict[str, Any]:
            return {k: "inf" if v == float("inf") else v for k, v in asdict(record).items()}

        return {
            "settings": self.settings,
            "means": self.means(),
            "frames": [plain(r) for r in self.frames],
            "clips": [plain(r) for r in self.clips],
        }

    def write_json(self, path: Path | str) -> None:
        """Write `to_dict` as JSON, complete or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        write_bytes(path, (json.dumps(self.to_dict(), indent=1) + "\n").encode())

    def means(self) -> list[dict[str, Any]]:
        """Means over frames, one row per set, stops and method, in the order in which they were measured."""
        meters = Meters()
        for r in self.frames:
            key = (r.group, r.stops, r.method)
            for part in (r.reference, "all", *(() if r.boundary else ("interior",))):
                meters.add((*key, part, "psnr_t"), r.psnr_t)
                meters.add((*key, part, "ssim_t"), r.ssim_t)
            meters.add((*key, "ghosts"), r.ghosts)
            meters.add((*key, "seconds"), r.seconds)
        for c in self.clips:
            meters.add((c.group, c.stops, c.method, "flicker"), c.flicker)
        rows = []
        for group, stops, method in dict.fromkeys((r.group, r.stops, r.method) for r in self.frames):
            row: dict[str, Any] = {"group": group, "stops": list(stops), "method": method}
            key = (group, stops, method)
            for part in ("short", "middle", "long", "all", "interior"):
                for metric in ("psnr_t", "ssim_t"):
                    if (*key, part, metric) in meters:
                        row[f"{metric}_{part}"] = _plain(meters.mean((*key, part, metric)))
            row["frames"] = meters.count((*key, "all", "psnr_t"))
            for name in ("ghosts", "flicker", "seconds"):
                if (*key, name) in meters:
                    row[name] = meters.mean((*key, name))
            rows.append(row)
        return rows

    def markdown(self) -> str:
        """Tables for people: per set and stops, methods in rows; then PSNR_T per clip."""
        lines: list[str] = []
        rows = self.means()
        for group, stops in dict.fromkeys((r["group"], tuple(r["stops"])) for r in rows):
            mine = [r for r in rows if r["group"] == group and tuple(r["stops"]) == stops]
            parts = [p for p in ("short", "middle", "long") if f"psnr_t_{p}" in mine[0]]
            names = [f"{p} ref." for p in parts]
            heads = ["method", *(f"PSNR_T {n}" for n in (*names, "all")), *(f"SSIM_T {n}" for n in (*names, "all"))]
            heads += ["flicker", "ghosts %", "s / frame"]
            lines += [f"### {group}, stops {_stops(stops)}, {mine[0]['frames']} frames", "", _row(heads)]
            lines.append(_row(["---"] + ["---:"] * (len(heads) - 1)))
            for r in mine:
                cells = [r["method"]]
                cells += [_number(r[f"psnr_t_{p}"], 2) for p in (*parts, "all")]
                cells += [_number(r[f"ssim_t_{p}"], 4) for p in (*parts, "all")]
                cells += [_number(r.get("flicker", "–"), 4), _number(100 * r["ghosts"], 2), _number(r["seconds"], 2)]
                lines.append(_row(cells))
            lines += ["", *self._per_clip(group, stops, [r["method"] for r in mine]), ""]
        return "\n".join(lines)

    def _per_clip(self, group: str, stops: tuple[float, ...], methods: list[str]) -> list[str]:
        meters = Meters()
        for r in self.frames:
            if (r.group, r.stops) == (group, stops):
                meters.add((r.clip, r.method), r.psnr_t)
        clips = list(dict.fromkeys(r.clip for r in self.frames if (r.group, r.stops) == (group, stops)))
        lines = [_row(["PSNR_T by clip", *methods]), _row(["---"] + ["---:"] * len(methods))]
        return lines + [_row([c, *(_number(meters.mean((c, m)), 2) for m in methods)]) for c in clips]


def _plain(value: float) -> float | str:
    return "inf" if value == float("inf") else value


def _number(value: float | str, digits: int) -> str:
    return value if isinstance(value, str) else f"{value:.{digits}f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _stops(stops: Sequence[float]) -> str:
    return ", ".join(f"{s:g}" for s in stops)
