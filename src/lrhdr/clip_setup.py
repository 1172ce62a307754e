"""What a run must know of its clip before it starts: the decoded frames, the exposures, and where the clip breaks.

Exposures come from, in this order: what was typed (`--exposures`, `--stops`); a sidecar that was named; the clip's own
tags (`Exposures.txt`, EXIF); the pixels. Whatever is taken is compared with the pixels, which are looked at once per
clip and remembered in the run's record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from lrhdr.alternation import Alternation
from lrhdr.analysis import Analysis, Progress, analyse
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
from lrhdr.io.atomic import output_error
from lrhdr.io.recoded import RecodedSource
from lrhdr.io.sources import FrameSource
from lrhdr.response import NAMED_CURVES, ResponseCurve
from lrhdr.run_options import RunOptions, file_stem, find_schedule
from lrhdr.sidecar import ClipFacts, clip_facts, read_sidecar, write_sidecar

Notify = Callable[[str], None]


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
) -> ClipSetup:
    """Open a clip and find out what a run must know.

    Args:
        path: what `open_frames` takes.
        options: see `RunOptions`.
        output: folder of the run; facts in the record of an earlier run in it are used again if they are of this clip.
        progress: called while frames are read.
        notify: called with each line that a person should read: what was found, and what contradicts it.

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
    facts = named if named is not None and named.curve == curve.name else _remembered(output, source, curve, options)
    fresh = facts is None
    if facts is None:
        facts = _look(source, curve, progress, say) if options.inspect else _unseen(source, curve)
    if options.sidecar and named is None:
        _write(Path(options.sidecar), facts)
    schedule, origin = _choose(path, source, options, typed, named, facts)
    if origin == "pixels" and fresh:
        say(f"exposures, from the pixels: {describe_exposures(_alternation(facts))}")
    elif origin != "pixels" and facts.certain:
        problem = contradiction(schedule, _alternation(facts))
        if problem is not None:
            say(f"warning: {path}: exposures {problem}")
    if (facts.black, facts.saturation) != (0.0, 1.0) and fresh:
        say(f"black at {facts.black:.3g} and saturation at {facts.saturation:.3g} of the code range, from the pixels")
    leveled = curve.with_levels(facts.black, facts.saturation)
    parts = _parts(path, source, schedule, facts, say)
    return ClipSetup(source if leveled.is_identity else RecodedSource(source, leveled), schedule, parts, facts)


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
    same = (found.n_frames, found.size, found.curve) == (source.n_frames, source.size, curve.name)
    return found if same else None


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
        return ExposureSchedule(named.exposures), "sidecar"
    if source.exposures_stops is not None:
        return find_schedule(source, path, options), "tags"
    if facts.exposures:
        if options.start != "0":
            raise InputError(f"start: expected --exposures or --stops with --start {options.start}, found neither")
        return ExposureSchedule(facts.exposures), "pixels"
    why = "the frames do not alternate" if facts.certain else "the pixels do not tell for certain"
    raise InputError(
        f"{path}: exposures unknown, and {why} ({facts.reason}): give --exposures 1/1000,1/125 (seconds), --stops 0,3 "
        "(EV), or put an Exposures.txt (stops of one period) into the folder"
    )


def _parts(
    path: str, source: FrameSource, schedule: ExposureSchedule, facts: ClipFacts, say: Notify
) -> tuple[Part, ...]:
    """The clip between its breaks, as far as the pixels' period is the schedule's."""
    if not facts.breaks or len(facts.exposures) != schedule.n_exposures:
        return (Part(0, source.n_frames, schedule),)
    edges = [0, *(b.index for b in facts.breaks), source.n_frames]
    parts = []
    for start, stop in pairwise(edges):
        offset = facts.phase(start) - facts.phase(0)
        part = replace(schedule, start=(schedule.start + offset) % schedule.n_exposures)
        part.check_length(stop - start, f"{path}, frames {start} to {stop - 1} between two breaks of the alternation")
        parts.append(Part(start, stop, part))
    places = "; ".join(describe_break(b) for b in facts.breaks[:3]) + ("; ..." if len(facts.breaks) > 3 else "")
    say(f"the alternation breaks ({places}): {len(parts)} parts are reconstructed on their own")
    return tuple(parts)


def _alternation(facts: ClipFacts) -> Alternation:
    period = len(facts.exposures) or int(facts.certain)
    errors = facts.uncertainty or (0.0,) * len(facts.exposures)
    return Alternation(period, facts.reason, facts.exposures, errors)


def _write(path: Path, facts: ClipFacts) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
    write_sidecar(path, facts)
