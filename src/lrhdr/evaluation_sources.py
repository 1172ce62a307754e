"""What `lrhdr evaluate` scores on: from a name, a folder of sets, or a data set's folder to clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from lrhdr.checks import InputError
from lrhdr.data.bench import BENCH_VERSION, bench_clips
from lrhdr.data.evaluation import EvaluationClip, generated_clips, hdrvideo_clips, video_clips
from lrhdr.data.labelled import LabelledClip
from lrhdr.data.recognise import open_labelled
from lrhdr.takes import Clip, schedules

SETS: dict[str, tuple[str, Callable[[Path], list[EvaluationClip]]]] = {
    "generated": ("hdr_val", generated_clips),
    "hdrvideo": ("hdrvideo_val", hdrvideo_clips),
    "video": ("video_val", video_clips),
}
"""Name of a set to its folder and the function that makes its clips."""

BENCH = "bench"
"""The set that needs no data: lrhdr-bench."""


@dataclass(frozen=True, eq=False)
class Source:
    """Clips, and what is to be said of them.

    Attributes:
        clips: at least one.
        summary: one line on what was found.
        datasets: group to title, of the groups that are recorded data sets; their tables are also given by scene.
    """

    clips: tuple[Clip, ...]
    summary: str
    datasets: dict[str, str] = field(default_factory=dict)


def find_source(dataset: Path | str | None, data: Path | str | None, sets: Sequence[str] | None) -> Source:
    """Open what is to be scored.

    Args:
        dataset: the folder of a data set of any kind that is known, or of sets; or "bench".
        data: a folder of sets; the same as `dataset`, for sets only.
        sets: names of sets; None for all that the folder holds.

    Raises:
        InputError: nothing given, both given, nothing there that is known, or a broken data set.
    """
    if data is None and (dataset == BENCH or (dataset is None and sets is not None and list(sets) == [BENCH])):
        if sets is not None and list(sets) != [BENCH]:
            raise InputError(
                f"evaluate: {BENCH} has no sets, expected --data with a folder of sets for {', '.join(sets)}"
            )
        clips = bench_clips()
        return Source(tuple(clips), f"lrhdr-bench {BENCH_VERSION}: {len(clips)} clips, 2 and 3 exposures")
    given = data if dataset is None else dataset
    if given is None or (dataset is not None and data is not None):
        count = "neither" if given is None else "both"
        raise InputError(f"evaluate: expected a data set or --data with a folder of sets, found {count}")
    folder = Path(given)
    is_sets = any((folder / name).is_dir() for name, _ in SETS.values())
    if data is None and sets is not None and BENCH in sets:
        raise InputError(f"evaluate: expected {BENCH} without {given}, or --data {given}, found both")
    if data is not None or is_sets or sets is not None:
        made = find_clips(folder, sets)
        counts = ", ".join(f"{sum(c.group == g for c in made)} {g}" for g in dict.fromkeys(c.group for c in made))
        return Source(tuple(made), f"Sets: {len(made)} clips ({counts})")
    found = open_labelled(folder)
    return Source(found.clips, found.summary(), {clip.group: found.title for clip in found.clips})


def find_clips(data: Path, sets: Sequence[str] | None = None) -> list[EvaluationClip]:
    """The clips of the sets in a data folder.

    Args:
        data: folder that holds the sets' folders.
        sets: names of sets; None for all that the folder holds.

    Raises:
        InputError: unknown sets, or a folder that is missing or has nothing usable in it.
    """
    names = [name for name, (folder, _) in SETS.items() if (data / folder).is_dir()] if sets is None else list(sets)
    if not names:
        folders = ", ".join(folder for folder, _ in SETS.values())
        raise InputError(f"{data}: expected at least one of the folders {folders}, found none")
    clips: list[EvaluationClip] = []
    for name in names:
        if name == BENCH:
            clips += bench_clips()
            continue
        if name not in SETS:
            raise InputError(f"sets: expected {', '.join((*SETS, BENCH))}, found {name!r}")
        folder, make = SETS[name]
        if not (data / folder).is_dir():
            raise InputError(f"{data / folder}: expected a folder, found nothing")
        clips += make(data / folder)
    return clips


def select(
    source: Source,
    alternations: Sequence[tuple[float, ...]],
    patterns: Sequence[str] | None,
    exposures: int | None,
) -> tuple[list[Clip], list[tuple[float, ...]], list[Clip]]:
    """Some of the clips and alternations.

    Args:
        source: all clips.
        alternations: of made footage.
        patterns: names of clips, with * and ?; None for all.
        exposures: only clips and alternations with this many exposures; None for all.

    Returns:
        Clips with ground truth; the alternations left; clips that have no ground truth.

    Raises:
        InputError: nothing is left, or no clip has ground truth.
    """
    kept = [s for s in alternations if exposures in (None, len(s))]
    clips: list[Clip] = []
    for clip in source.clips:
        named = patterns is None or any(fnmatchcase(clip.name, p) for p in patterns)
        if named and any(exposures in (None, len(s)) for s in schedules(clip, kept)):
            clips.append(clip)
    if not clips:
        asked = [f"named {' or '.join(patterns)}"] if patterns else []
        asked += [f"with {exposures} exposures"] if exposures else []
        raise InputError(f"{source.summary}: expected clips {' '.join(asked)}, found none")
    labelled = [c for c in clips if not isinstance(c, LabelledClip) or c.truths]
    if not labelled:
        raise InputError(f"{source.summary}: nothing can be scored")
    return labelled, kept or list(alternations), [c for c in clips if c not in labelled]
