"""What a run must know of its clip before it starts: the decoded frames, the exposures, and where the clip breaks.

Exposures come from, in this order: what was typed (`--exposures`, `--stops`); a sidecar that was named; the clip's own
tags (`Exposures.txt`, EXIF); the pixels. Whatever is taken is compared with the pixels, which are looked at once per
clip and remembered in the run's record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from lrhdr.alternation import MISFIT, Alternation
from lrhdr.analysis import Analysis, analyse
from lrhdr.checks import InputError
from lrhdr.delivery import ClipFiles
from lrhdr.exposure import ExposureSchedule
from lrhdr.inspection import (
    Inspection,
    contradiction,
    describe_break,
    describe_exposures,
    facts_of,
    inspect,
    open_with_curve,
    with_times,
)
from lrhdr.io.atomic import make_parent
from lrhdr.io.images import FRAME_SUFFIXES
from lrhdr.io.raw import RAW_SUFFIXES
from lrhdr.io.recoded import RecodedSource
from lrhdr.io.sources import FrameSource, input_files
from lrhdr.progress import Notify, Progress
from lrhdr.response import NAMED_CURVES, ResponseCurve
from lrhdr.run_options import RunOptions, file_stem, find_schedule, parse_range
from lrhdr.sidecar import NOT_INSPECTED, ClipFacts, clip_facts, read_sidecar, write_sidecar

FIRST_FRAME = "first_frame_sha256"
"""Where a run's record keeps the digest of the first frame."""


@dataclass(frozen=True)
class Part:
    """Frames between two breaks of the alternation.

    Attributes:
        start: index of the first.
        stop: index after the last.
        schedule: their exposures, from the first of them.
    """

    start: int
    stop: int
    schedule: ExposureSchedule


@dataclass(frozen=True)
class ClipSetup:
    """What a run needs.

    Attributes:
        source: the frames, in the package's LDR encoding.
        schedule: the exposures from frame 0.
        parts: the clip between its breaks; one part for a clip without.
        facts: what was estimated, for the record.
    """

    source: FrameSource
    schedule: ExposureSchedule
    parts: tuple[Part, ...]
    facts: ClipFacts


def prepare_clip(
    path: str,
    options: RunOptions,
    output: str | None = None,
    progress: Progress | None = None,
    notify: Notify | None = None,
    *,
    trim: bool = True,
) -> ClipSetup:
    """Open a clip and find out what a run must know.

    Args:
        path: what `open_frames` takes.
        options: see `RunOptions`.
        output: folder of the run; facts in the record of an earlier run in it are used again if they are of this clip.
        progress: called while frames are read.
        notify: called with each line that a person should read: what was found, and what contradicts it.
        trim: leave out parts at the clip's ends that are shorter than a period, with a warning.

    Returns:
        Source, schedule, parts and facts.

    Raises:
        InputError: the clip, its curve, sidecar or exposures cannot be used; or no exposures are known.
        OutputError: the sidecar cannot be written.
    """
    say = notify or (lambda _line: None)
    named = read_sidecar(options.sidecar) if options.sidecar and Path(options.sidecar).is_file() else None
    crf = options.crf or (named.curve if named else None)
    source, curve = open_with_curve(path, None if crf == NAMED_CURVES[0] else crf)
    if named is not None:
        _check_same_clip(named, source, str(options.sidecar))
    # Typed exposures are checked before a long look at the pixels, so that a slip of the pen costs no time.
    typed = find_schedule(source, path, options) if options.exposures or options.stops else None
    if typed is None and not (named and named.exposures) and source.exposures_problem is not None:
        raise InputError(source.exposures_problem)
    facts = named if named is not None and named.curve == curve.name else _remembered(output, source, curve, options)
    fresh = facts is None
    if facts is None:
        facts = _look(source, curve, progress, say) if options.inspect else _unseen(source, curve)
    if options.sidecar and named is None and facts.reason != NOT_INSPECTED:
        _write(Path(options.sidecar), facts)
    schedule, origin = _choose(path, source, options, typed, named, facts)
    if origin == "pixels" and fresh:
        say(f"exposures, from the pixels: {describe_exposures(_alternation(facts))}")
    elif origin != "pixels" and facts.certain:
        problem = contradiction(schedule, _alternation(facts))
        if problem is not None:
            say(f"warning: {path}: exposures {problem}")
    elif origin != "pixels" and fresh and MISFIT in facts.reason:  # not where the pixels cannot tell
        say(f"warning: {path}: the pixels do not confirm the exposures: {facts.reason}")
    if (facts.black, facts.saturation) != (0.0, 1.0) and fresh:
        say(f"black at {facts.black:.3g} and saturation at {facts.saturation:.3g} of the code range, from the pixels")
    way_out = "take the clip as if it had no breaks with --no-inspect and --stops"
    if options.sidecar:
        way_out = f"take the breaks out of {options.sidecar}"
    parts = _parts(path, schedule, facts, parse_range(options.frames, source.n_frames), say, way_out, trim)
    return ClipSetup(_leveled(source, curve, facts), schedule, parts, facts)


def check_places(source: str, targets: Mapping[str, str | None], folders: Mapping[str, str] | None = None) -> None:
    """Refuse to write over a clip, among its frames, or twice to one place; nothing is opened.

    Args:
        source: the clip, as `open_frames` takes it.
        targets: option to file or folder that it names; None and "" name none.
        folders: option to folder that gets frames.

    Raises:
        InputError: a target is the clip, one of its files (links followed), a picture in its folder, or another target.
    """
    files, taken = set(input_files(source)), {Path(source).resolve(): "input"}
    frames = Path(source).resolve() if Path(source).is_dir() else None
    among = set() if Path(source).is_file() else {file.parent for file in files}
    for what, target in {**(folders or {}), **targets}.items():
        if not target:
            continue
        place = Path(target).resolve()
        if place in taken:
            raise InputError(f"{what}: {target} is the {taken[place]}; expected another place")
        if place in files or (folders is not None and what in folders and place in among):
            kind = "a file of the input" if place in files else "the folder of the input's frames"
            raise InputError(f"{what}: {target} is {kind}; expected another place")
        if place.parent == frames and place.suffix.lower() in FRAME_SUFFIXES | RAW_SUFFIXES:
            raise InputError(f"{what}: {target} would be a frame of the input; expected another place")
        taken[place] = what


def inspect_clip(
    path: str, *, crf: str | None = None, sidecar: str | None = None, progress: Progress | None = None
) -> Inspection:
    """Inspect a clip, and write what was found to a sidecar.

    Args:
        path: what `open_frames` takes.
        crf: as in `inspect`.
        sidecar: the file; None for none.
        progress: called while frames are read.

    Returns:
        What the clip is.

    Raises:
        InputError: it cannot be read.
        OutputError: the sidecar cannot be written.
    """
    check_places(path, {"sidecar": sidecar})
    found = inspect(path, crf=crf, progress=progress)
    if sidecar:
        facts, analysis = found.facts, found.analysis
        levels = analysis.levels
        written = clip_facts(
            facts.n_frames, facts.size, found.curve, analysis.alternation, levels.black, levels.saturation
        )
        _write(Path(sidecar), written)
    return found


def _look(source: FrameSource, curve: ResponseCurve, progress: Progress | None, say: Notify) -> ClipFacts:
    analysis: Analysis = with_times(analyse(source, curve, progress, to_damage=True), facts_of(source))
    found = analysis.alternation
    if analysis.doubts_curve:
        say(
            f"warning: the exposure ratio differs by {abs(analysis.tilt):.2f} EV between bright and dark places; "
            f"{curve.name} is probably not the camera's response (--crf)"
        )
    for outlier in found.outliers[:5]:
        say(f"warning: frame {outlier.index} is {outlier.stops:+.2f} EV off the others of its phase")
    return clip_facts(
        source.n_frames, source.size, curve.name, found, analysis.levels.black, analysis.levels.saturation
    )


def _unseen(source: FrameSource, curve: ResponseCurve) -> ClipFacts:
    return ClipFacts(source.n_frames, source.size, curve.name)


def _remembered(output: str | None, source: FrameSource, curve: ResponseCurve, options: RunOptions) -> ClipFacts | None:
    """Facts of an earlier run into the same folder, if they are of this clip and curve."""
    if output is None or options.overwrite:
        return None
    record = ClipFiles(Path(output), file_stem(options.name or source.name), 0).record
    if not record.is_file():
        return None
    try:
        found = read_sidecar(record)
    except InputError:  # the run itself says what is wrong with its record
        return None
    if options.inspect and found.reason == NOT_INSPECTED:
        return None  # that run did not look
    if (found.n_frames, found.size, found.curve) != (source.n_frames, source.size, curve.name):
        return None
    digest = _first_frame_in(record)
    return found if digest in (None, first_frame_digest(_leveled(source, curve, found))) else None


def first_frame_digest(source: FrameSource) -> str:
    """sha256 of a clip's first frame: what tells one input from another without reading all of it.

    Raises:
        InputError: the frame cannot be read.
    """
    first = next(iter(source))
    return hashlib.sha256(np.ascontiguousarray(first).tobytes()).hexdigest()


def _first_frame_in(record: Path) -> str | None:
    """The digest that a run's record holds; None in records of older versions."""
    found = json.loads(record.read_text(encoding="utf-8"))
    digest = found.get(FIRST_FRAME)
    return digest if isinstance(digest, str) else None


def _leveled(source: FrameSource, curve: ResponseCurve, facts: ClipFacts) -> FrameSource:
    """A clip with its black and saturation where the package has them."""
    leveled = curve.with_levels(facts.black, facts.saturation)
    return source if leveled.is_identity else RecodedSource(source, leveled)


def _check_same_clip(facts: ClipFacts, source: FrameSource, path: str) -> None:
    if (facts.n_frames, facts.size) != (source.n_frames, source.size):
        found, expected = (
            f"{n} frames of {width}x{height}"
            for n, (height, width) in ((facts.n_frames, facts.size), (source.n_frames, source.size))
        )
        raise InputError(f"{path}: is the sidecar of another clip ({found}), expected {expected}")


def _choose(
    path: str,
    source: FrameSource,
    options: RunOptions,
    typed: ExposureSchedule | None,
    named: ClipFacts | None,
    facts: ClipFacts,
) -> tuple[ExposureSchedule, str]:
    """The schedule, and where it comes from."""
    if typed is not None:
        return typed, "typed"
    if named is not None and named.exposures:
        _check_start(options)
        return ExposureSchedule(named.exposures), "sidecar"
    if source.exposures_stops is not None:
        return find_schedule(source, path, options), "tags"
    if facts.exposures:
        _check_start(options)
        return ExposureSchedule(facts.exposures), "pixels"
    why = "the frames do not alternate" if facts.certain else "the pixels do not tell for certain"
    if facts.reason == NOT_INSPECTED:
        why = "nobody looked at the pixels"
    file = "" if Path(path).is_file() else ", or put an Exposures.txt (stops of one period) into the folder"
    raise InputError(
        f"{path}: exposures unknown, and {why} ({facts.reason}): give --exposures 1/1000,1/125 (seconds) or "
        f"--stops 0,3 (EV){file}"
    )


def _check_start(options: RunOptions) -> None:
    if options.start != "0":
        raise InputError(f"start: expected --exposures or --stops with --start {options.start}, found neither")


def parts_of(schedule: ExposureSchedule, facts: ClipFacts) -> tuple[Part, ...]:
    """A clip between its breaks, as far as the pixels' period is the schedule's; one part where it is not.

    Args:
        schedule: the exposures from frame 0.
        facts: what was found in the pixels.
    """
    if not facts.breaks or len(facts.exposures) != schedule.n_exposures:
        return (Part(0, facts.n_frames, schedule),)
    edges = [0, *(b.index for b in facts.breaks), facts.n_frames]
    starts = [(schedule.start + facts.phase(start) - facts.phase(0)) % schedule.n_exposures for start in edges[:-1]]
    return tuple(Part(a, b, replace(schedule, start=s)) for (a, b), s in zip(pairwise(edges), starts, strict=True))


def _parts(
    path: str, schedule: ExposureSchedule, facts: ClipFacts, wanted: range, say: Notify, way_out: str, trim: bool
) -> tuple[Part, ...]:
    """The clip between its breaks, without parts that nobody wants and, with `trim`, without short ones at its ends.

    Raises:
        InputError: wanted frames lie in another part that is shorter than a period, or no others are wanted.
    """
    every, parts = parts_of(schedule, facts), []
    for part in every:
        start, stop = part.start, part.stop
        if max(start, wanted.start) >= min(stop, wanted.stop):
            continue
        if len(every) > 1 and stop - start < schedule.n_exposures:
            at_end = start == 0 or stop == facts.n_frames
            others = range(wanted.start, start) if start else range(stop, wanted.stop)
            span = f"frame {start}" if stop - start == 1 else f"frames {start} to {stop - 1}"
            if not (trim and at_end and others):
                where = "at an end of the clip, beside a break" if at_end else "between two breaks"
                raise InputError(
                    f"{path}, {span} {where} of the alternation: found {stop - start}, expected at least one period of "
                    f"{schedule.n_exposures}; leave them out with --frames, or {way_out}"
                )
            say(f"warning: {span} left out: the alternation breaks beside it, within a period of the clip's end")
            continue
        parts.append(part)
    if not parts:
        raise InputError(
            f"{path}: found no part without a break of a whole period of {schedule.n_exposures}; {way_out}"
        )
    if len(parts) > 1:
        places = "; ".join(describe_break(b) for b in facts.breaks[:3]) + ("; ..." if len(facts.breaks) > 3 else "")
        say(f"the alternation breaks ({places}): {len(parts)} parts are reconstructed on their own")
    return tuple(parts)


def _alternation(facts: ClipFacts) -> Alternation:
    period = len(facts.exposures) or int(facts.certain)
    errors = facts.uncertainty or (0.0,) * len(facts.exposures)
    return Alternation(period, facts.reason, facts.exposures, errors)


def _write(path: Path, facts: ClipFacts) -> None:
    make_parent(path)
    write_sidecar(path, facts)
