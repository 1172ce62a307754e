"""Scores as Markdown tables for people.

One table per set, alternation and composite, with methods in rows: means over frames, the first two metrics also by the
exposure of the reference frame, since the two halves of a clip fail differently. Then the metrics by class of motion
and noise, where clips have one, and by clip: scenes of a set differ by more than methods do. Every table says under
which protocol its numbers were made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lrhdr.baselines import DISPLAY_REFERRED
from lrhdr.camera import CameraConfig
from lrhdr.data.recording import RecordingConfig
from lrhdr.judges import JUDGES, Judge
from lrhdr.metrics.meters import Meters
from lrhdr.protocols import Display, Protocol, get_protocol
from lrhdr.scores import POSITIONS, ClipRecord, Evaluation, FrameRecord, plain

_SPLIT = 2
"""How many metrics are shown by reference exposure; files have them all."""


def markdown(result: Evaluation) -> str:
    """All tables of an evaluation.

    Args:
        result: what was measured.
    """
    rows = result.means()
    lines: list[str] = []
    tables = dict.fromkeys((r["group"], tuple(r["stops"]), r["composite"]) for r in rows)
    for group, stops, composite in tables:
        mine = [r for r in rows if (r["group"], tuple(r["stops"]), r["composite"]) == (group, stops, composite)]
        title = f"### {group}, stops {_stops(stops)}, composite {_on(composite)}, {mine[0]['frames']} frames"
        listed = frame_list(r for r in result.frames if (r.group, r.stops, r.composite) == (group, stops, composite))
        lines += [title, "", f"{describe(result.settings, composite)} {listed}", "", *_table(mine), ""]
        absent = [j.label for j in JUDGES.values() if j.name in result.settings.get("metrics", ()) if not _has(mine, j)]
        if absent:
            lines += [f"Nothing to measure here (too few frames in a row, or unknown motion): {', '.join(absent)}.", ""]
        labelled = group in result.settings.get("datasets", {})
        lines += _by_clip(result, group, stops, composite, [r["method"] for r in mine], labelled)
    return "\n".join(lines)


def describe(settings: dict[str, Any], composite: bool) -> str:
    """One line: protocol, paste, and the display where a metric needs one."""
    protocol = Protocol(**settings["protocol"]) if "protocol" in settings else get_protocol("all-frames")
    paste = "the reference is pasted where it is well exposed" if composite else "the method's own output"
    text = f"{protocol.describe()}; {paste}"
    if "camera" in settings and (camera := CameraConfig(**settings["camera"])) != CameraConfig():
        text += f"; camera of made footage: {camera.describe()}"
    if settings.get("recording"):
        text += f"; made footage is recorded: {RecordingConfig(**settings['recording']).describe()}"
    metrics = settings.get("metrics", ())
    display = Display(**settings["display"]) if "display" in settings else Display()
    if any(name in JUDGES and JUDGES[name].light for name in metrics):
        text += f"; 1.0 is shown at {display.peak:g} cd/m2"
    if "cvvdp" in metrics:
        text += f"; ColorVideoVDP at {display.pixels_per_degree:g} px/degree, {display.frames_per_second:g} frames/s"
    if "hdrvdp2" in metrics:
        resolution = (
            f"{protocol.vdp_pixels_per_degree:g} px/degree"
            if protocol.vdp_pixels_per_degree is not None
            else "24 inch at 0.5 m"
            if protocol.vdp_input == "srgb-display"
            else f"{display.pixels_per_degree:g} px/degree"
        )
        text += f"; HDR-VDP-2 of {protocol.vdp_input}, {resolution}"
    return f"{text}."


def frame_list(records: Iterable[FrameRecord]) -> str:
    """Which frames were scored, as one sentence: "Frames 2-57 of every clip." or clip by clip."""
    indices: dict[str, set[int]] = {}
    for r in records:
        indices.setdefault(r.clip, set()).add(r.index)
    lists = {clip: _ranges(sorted(found)) for clip, found in indices.items()}
    if len(set(lists.values())) == 1:
        return f"Frames {next(iter(lists.values()))}{' of every clip' if len(lists) > 1 else ''}."
    by_list: dict[str, list[str]] = {}
    for clip, text in lists.items():
        by_list.setdefault(text, []).append(clip)
    return "Frames " + "; ".join(f"{text} of {', '.join(clips)}" for text, clips in by_list.items()) + "."


def _ranges(indices: Sequence[int]) -> str:
    """Ascending numbers in short: "0, 2-57"."""
    starts = [i for k, i in enumerate(indices) if k == 0 or indices[k - 1] != i - 1]
    ends = [i for k, i in enumerate(indices) if k == len(indices) - 1 or indices[k + 1] != i + 1]
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    judges = [j for j in JUDGES.values() if any(_key(j) in r for r in rows)]
    split = [j for j in judges if j.by_reference][:_SPLIT]
    columns: list[tuple[str, str, Judge]] = []
    for judge in judges:
        if judge in split:
            parts = [p for p in POSITIONS if any(f"{judge.name}_{p}" in r for r in rows)]
            columns += [(f"{judge.label} {p} ref.", f"{judge.name}_{p}", judge) for p in parts]
            columns.append((f"{judge.label} all", _key(judge), judge))
        else:
            columns.append((judge.label, _key(judge), judge))
    lines = [_row(["method", *(head for head, _, _ in columns), "s / frame"])]
    lines.append(_row(["---"] + ["---:"] * (len(columns) + 1)))
    for r in rows:
        cells = [number(r[key], judge) if key in r else "–" for _, key, judge in columns]
        mark = " *" if r["method"] in DISPLAY_REFERRED else ""
        lines.append(_row([r["method"] + mark, *cells, f"{r['seconds']:.2f}"]))
    if any(r["method"] in DISPLAY_REFERRED for r in rows):
        lines += [
            "",
            "\\* A picture for a screen, whose tones are not the light's: its scores say how far they are off.",
        ]
    return lines


def _has(rows: Sequence[dict[str, Any]], judge: Judge) -> bool:
    return any(_key(judge) in r for r in rows)


def _key(judge: Judge) -> str:
    return f"{judge.name}_all" if judge.by_reference else judge.name


def _by_clip(
    result: Evaluation, group: str, stops: tuple[float, ...], composite: bool, methods: list[str], every: bool
) -> list[str]:
    """Means by class and clip: of the first metric, or of every metric. Nothing for a single clip."""
    records: list[FrameRecord | ClipRecord] = [*result.frames, *result.clips]
    mine = [r for r in records if (r.group, r.stops, r.composite) == (group, stops, composite)]
    clips = list(dict.fromkeys(r.clip for r in mine))
    classes = result.settings.get("classes", {})
    names = {clip: {"clip": clip, **classes.get(f"{group}/{clip}", {})} for clip in clips}
    kinds = [*dict.fromkeys(kind for found in names.values() for kind in found if kind != "clip"), "clip"]
    judges = [j for j in JUDGES.values() if any(j.name in r.metrics for r in mine)]
    lines: list[str] = []
    for judge in (judges if every else judges[:1]) if len(clips) > 1 else []:
        for kind in kinds:
            meters = Meters()
            for r in mine:
                if judge.name in r.metrics and kind in names[r.clip]:
                    meters.add((names[r.clip][kind], r.method), r.metrics[judge.name])
            lines += [_row([f"{judge.label} by {kind}", *methods]), _row(["---"] + ["---:"] * len(methods))]
            for row in dict.fromkeys(found[kind] for found in names.values() if kind in found):
                keys = [(row, m) for m in methods]
                cells = [number(plain(meters.mean(key)), judge) if key in meters else "–" for key in keys]
                lines.append(_row([row, *cells]))
            lines.append("")
    return lines


def number(value: float | str, judge: Judge) -> str:
    """A score as tables show it."""
    return value if isinstance(value, str) else f"{judge.factor * value:.{judge.digits}f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _stops(stops: Sequence[float]) -> str:
    return ", ".join(f"{s:g}" for s in stops)


def _on(composite: bool) -> str:
    return "on" if composite else "off"
