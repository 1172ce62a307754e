"""Reconstruct a clip into a folder: settings, resume, EXR files, contact sheet, preview.

A run is a folder of `name.000000.exr, name.000001.exr, ...` with `name.lrhdr.json` beside them. Every EXR file is
complete or absent, so a run that was stopped (Ctrl-C, full disk, a damaged input frame) goes on where it ended when it
is started again with the same settings; with other settings it is refused, because one clip must not mix two results.

Numbers in EXR names are input frame indices plus `start_number`. Scale of the files: `shortest` is the package's own
(1.0 = saturation of the shortest exposure); `scene` multiplies by the longest relative exposure (1.0 = white of the
longest exposure, highlights go above).
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from lrhdr._version import __version__
from lrhdr.baselines import BASELINES
from lrhdr.checks import InputError, WeightsError
from lrhdr.delivery import ClipFiles, Progress, frame_attributes, frame_writer, make_parent, open_folder, write_preview
from lrhdr.exposure import ExposureSchedule
from lrhdr.io.images import write_png
from lrhdr.io.sources import FrameSource, open_frames
from lrhdr.pictures import stops_label
from lrhdr.pipeline import DEFAULT_INTERPOLATOR, NETWORK, HdrFrame, Method, Reconstructor
from lrhdr.report import contact_sheet
from lrhdr.run_options import RunOptions, file_stem, find_schedule, parse_range, parse_rate
from lrhdr.weights import load_pretrained

DEFAULT_FPS = Fraction(24)
"""Frame rate of previews of clips that do not say theirs."""


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Attributes:
        folder: where the frames are.
        frames: all frames of the run, in order, old and new.
        written: how many of them this run computed.
        seconds: time spent on reconstruction and writing, without loading the method and without the preview.
        preview: the preview, if asked for.
        sheet: the contact sheet, if asked for.
    """

    folder: Path
    frames: tuple[Path, ...]
    written: int
    seconds: float
    preview: Path | None
    sheet: Path | None


def run(source_path: str, output: str, options: RunOptions, progress: Progress | None = None) -> RunResult:
    """Reconstruct a folder of frames or a video file into a folder of EXR files.

    Args:
        source_path: what `open_frames` takes.
        output: folder, made if missing.
        options: see `RunOptions`.
        progress: called after every step.

    Returns:
        Where everything is.

    Raises:
        InputError: the input or an option cannot be used, or the folder holds another run's frames.
        WeightsError: the weights cannot be used.
        OutputError: something cannot be written. Frames written before are complete.
    """
    report = progress or (lambda _what, _done, _total: None)
    source = open_frames(source_path)
    _check_targets(source_path, output, options)
    schedule = find_schedule(source, source_path, options)
    schedule.check_length(source.n_frames, source_path)
    wanted = parse_range(options.frames, source.n_frames)
    rate = parse_rate(options.fps) or source.fps
    sheet_index = wanted[len(wanted) // 2] if options.sheet else None
    reconstructor, weights_name, weights_sha256 = build_reconstructor(
        options, schedule, keep_maps={sheet_index} if sheet_index is not None else False
    )
    clip = ClipFiles(Path(output), file_stem(options.name or source.name), options.start_number)
    settings = {
        "version": __version__,
        "weights": weights_name,
        "weights_sha256": weights_sha256,
        "interpolator": reconstructor.interpolator.name,
        "exposures": list(schedule.exposures),
        "fps": str(rate) if rate else None,
        **{
            key: getattr(options, key)
            for key in ("method", "scale", "compression", "start_number", "tile", "composite")
        },
        "start": schedule.start,
        **_fingerprint(source),
    }
    open_folder(clip, settings, overwrite=options.overwrite)
    done = {i for i in wanted if clip.is_complete(i)}
    compute = set(wanted) - done | ({sheet_index} if sheet_index is not None else set())

    started = time.perf_counter()
    written = 0
    sheet: HdrFrame | None = None
    gain = np.float32(max(schedule.relative) if options.scale == "scene" else 1.0)
    seconds = schedule.exposures if options.exposures else None
    # Only frames that lie in a window are decoded.
    first = max(0, min(compute, default=0) - schedule.n_exposures + 1)
    needed = source.frames(first, max(compute, default=0) + schedule.n_exposures)
    header = partial(frame_attributes, rate=rate, scale=options.scale, weights_name=weights_name)
    report("reconstruct", len(done), len(wanted))
    with frame_writer() as write:
        skip = set(range(source.n_frames)) - compute
        for frame in reconstructor.reconstruct(needed, schedule, skip=skip, first=first) if compute else ():
            if frame.index == sheet_index:
                sheet = frame
            if frame.index not in done:
                shutter = None if seconds is None else seconds[schedule.phase(frame.index)]
                attributes = header(frame.exposure, seconds=shutter)
                write(clip.path(frame.index), frame.radiance * gain, attributes, options.compression)
                written += 1
                report("reconstruct", len(done) + written, len(wanted))
    elapsed = time.perf_counter() - started

    frames = tuple(clip.path(i) for i in wanted)
    if sheet is not None:
        _write_sheet(
            Path(str(options.sheet)), sheet, schedule, seconds, f"{clip.name}, {weights_name}", source.n_frames
        )
    if options.preview:
        write_preview(Path(options.preview), frames, rate or DEFAULT_FPS, report)
    preview, sheet_path = (Path(p) if p else None for p in (options.preview, options.sheet))
    return RunResult(clip.folder, frames, written, elapsed, preview, sheet_path)


def _check_targets(source_path: str, output: str, options: RunOptions) -> None:
    """Refuse options that would write over the input."""
    source = Path(source_path).resolve()
    for what, target in (("output", output), ("preview", options.preview), ("sheet", options.sheet)):
        if target and Path(target).resolve() == source:
            raise InputError(f"{what}: {target} is the input; expected another place")
    if options.start_number < 0:
        raise InputError(f"start number: expected 0 or more, found {options.start_number}")


def _fingerprint(source: FrameSource) -> dict[str, Any]:
    """What tells one input from another without reading all of it."""
    first = next(iter(source))
    return {
        "n_frames": source.n_frames,
        "size": list(source.size),
        "first_frame_sha256": hashlib.sha256(np.ascontiguousarray(first).tobytes()).hexdigest(),
    }


def build_reconstructor(
    options: RunOptions, schedule: ExposureSchedule, *, keep_maps: bool | set[int] = False
) -> tuple[Reconstructor, str, str]:
    """The reconstructor that the options ask for.

    Args:
        options: see `RunOptions`.
        schedule: the clip's schedule; picks the default weights and is checked against the network.
        keep_maps: as in `Reconstructor`.

    Returns:
        The reconstructor, the name to record (weights or baseline), and the weights' sha256 ("" for a baseline).

    Raises:
        InputError: unknown method or interpolator, or a network made for another number of exposures.
        WeightsError: weights missing or damaged.
    """
    method: Any
    if options.method != NETWORK:
        if options.method not in BASELINES:
            raise InputError(f"method: expected one of {', '.join([NETWORK, *BASELINES])}, found {options.method!r}")
        method, name, digest = cast(Method, BASELINES[options.method]), options.method, ""
        interpolator = options.interpolator or DEFAULT_INTERPOLATOR
    else:
        n = schedule.n_exposures
        try:
            method, record = load_pretrained(options.weights or f"compact-{n}exp")
        except WeightsError as error:
            if options.weights:
                raise
            raise WeightsError(f"no bundled weights for {n} exposures ({error}); try --method completion") from None
        name, digest = record.name, record.sha256
        interpolator = options.interpolator or record.interpolator
    reconstructor = Reconstructor(
        method,
        interpolator,
        device=options.device,
        tile=options.tile,
        threads=options.threads,
        keep_maps=keep_maps,
        composite=options.composite,
        name=name,
    )
    reconstructor.check_schedule(schedule)
    return reconstructor, name, digest


def _write_sheet(
    path: Path,
    frame: HdrFrame,
    schedule: ExposureSchedule,
    seconds: tuple[float, ...] | None,
    title: str,
    count: int,
) -> None:
    height, width = frame.radiance.shape[:2]
    exposures = " and ".join(stops_label(e) for e in sorted(schedule.relative))
    sheet = contact_sheet(
        frame,
        title=title,
        subtitle=f"frame {frame.index}; {count} frames of {width} x {height} pixels, exposures {exposures}",
        seconds=None if seconds is None else [seconds[schedule.phase(i)] for i in frame.window_indices],
    )
    make_parent(path)
    write_png(path, sheet)


def summary(result: RunResult) -> str:
    """What a run did, for a terminal: where the files are, how long it took."""
    count = len(result.frames)
    lines = [f"{count} frame{'s' if count != 1 else ''}: {result.frames[0]}"]
    if count > 1:
        lines[0] += f" to {result.frames[-1].name}"
    for what, path in (("preview", result.preview), ("contact sheet", result.sheet)):
        if path is not None:
            lines.append(f"{what}: {path}")
    if result.written:
        each = result.seconds / result.written
        lines.append(f"computed {result.written} in {result.seconds:.1f} s, {each:.2f} s per frame")
    kept = count - result.written
    if kept:
        lines.append(f"kept {kept} from an earlier run")
    return "\n".join(lines)
