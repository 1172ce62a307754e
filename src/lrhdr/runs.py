"""Reconstruct a clip into a folder: settings, resume, EXR files, layers, contact sheet, videos.

A run is a folder of `name.000000.exr, name.000001.exr, ...` with `name.lrhdr.json` beside them. Every EXR file is
complete or absent, so a run that was stopped (Ctrl-C, full disk, a damaged input frame) goes on where it ended when it
is started again with the same settings; with other settings it is refused, because one clip must not mix two results.

Numbers in EXR names are input frame indices plus `start_number`. Scale of the files: `shortest` is the package's own
(1.0 = saturation of the shortest exposure); `scene` multiplies by the longest relative exposure (1.0 = white of the
longest exposure, highlights go above).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from lrhdr._version import __version__
from lrhdr.aov import layers_of, parse_layers
from lrhdr.backends import BackendChoice
from lrhdr.baselines import BASELINES
from lrhdr.checks import InputError, WeightsError
from lrhdr.clip_setup import FIRST_FRAME, check_places, first_frame_digest, prepare_clip
from lrhdr.colour import CHROMATICITIES, to_rec709
from lrhdr.delivery import ClipFiles, FrameStyle, frame_writer, open_folder
from lrhdr.exposure import ExposureSchedule
from lrhdr.inspection import sign_of_codec
from lrhdr.io.atomic import clear_stale, make_parent
from lrhdr.io.images import write_png
from lrhdr.io.sources import FrameSource
from lrhdr.io.tags import read_timecode
from lrhdr.parts import parts_exposure, reconstruct_parts
from lrhdr.pictures import stops_label
from lrhdr.pipeline import DEFAULT_INTERPOLATOR, NETWORK, HdrFrame, Method, Reconstructor
from lrhdr.progress import Notify, Progress
from lrhdr.report import contact_sheet
from lrhdr.run_options import RunOptions, clip_rate, file_stem, parse_range
from lrhdr.run_videos import RunVideos, check_light, plan_videos, silence, video_lines
from lrhdr.shards import WHOLE_CLIP
from lrhdr.timecode import Timecode, parse_timecode, timecode_base
from lrhdr.viewer.report_html import ReportClip, ReportWriter, report_folder
from lrhdr.weights import RECORDED, default_weights, load_pretrained
from lrhdr.workers import plan_workers

DEFAULT_RATE = 24
"""Frames per second of the report's player, for clips that do not say theirs."""


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Attributes:
        folder: where the frames are.
        frames: all frames of the run, in order, old and new.
        written: how many of them this run computed.
        seconds: time spent on reconstruction, writing and the pictures of the report, which are made beside each other;
            without loading the method, the videos and the page.
        videos: the videos that were asked for.
        sheet: the contact sheet, if asked for.
        report: the report's page, if asked for.
    """

    folder: Path
    frames: tuple[Path, ...]
    written: int
    seconds: float
    videos: RunVideos
    sheet: Path | None
    report: Path | None = None


def run(
    source_path: str,
    output: str,
    options: RunOptions,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> RunResult:
    """Reconstruct a folder of frames or a video file into a folder of EXR files.

    Args:
        source_path: what `open_frames` takes.
        output: folder, made if missing.
        options: see `RunOptions`.
        progress: called after every step.
        notify: called with each line on the clip that a person should read (see `prepare_clip`).

    Returns:
        Where everything is.

    Raises:
        InputError: the input or an option cannot be used, or the folder holds another run's frames.
        WeightsError: the weights cannot be used.
        OutputError: something cannot be written. Frames written before are complete.
    """
    report = progress or (lambda _what, _done, _total: None)
    check_targets(source_path, output, options)
    check_light(options)
    layers = parse_layers(options.aov)
    setup = prepare_clip(source_path, options, output, report, notify)
    source, schedule = setup.source, setup.schedule
    schedule.check_length(source.n_frames, source_path)
    wanted = parse_range(options.frames, source.n_frames)
    wanted = range(max(wanted.start, setup.parts[0].start), min(wanted.stop, setup.parts[-1].stop))
    rate = clip_rate(options.fps, source.fps)
    sheet_index = wanted[len(wanted) // 2] if options.sheet else None
    if layers and options.method != NETWORK:
        raise InputError(f"aov: expected the network, found --method {options.method}, which has no votes")
    gain = float(max(schedule.relative) if options.scale == "scene" else 1.0)
    plan = plan_videos(options, source, schedule, wanted, gain)
    if notify is not None and (warning := silence(options, source, plan)):
        notify(warning)
    timecode = _start_timecode(options, source_path, rate)
    primaries = options.primaries or (source.primaries if source.primaries in CHROMATICITIES else "bt709")
    reconstructor, weights_name, weights_sha256 = build_reconstructor(
        options,
        schedule,
        keep_maps=bool(layers) or ({sheet_index} if sheet_index is not None else False),
        size=source.size,
        recorded="" if options.weights or options.method != NETWORK else sign_of_codec(source),
        notify=notify,
    )
    clip = ClipFiles(
        Path(output), file_stem(options.name or source.name), options.start_number, padding=options.padding
    )
    settings = {
        "version": __version__,
        "weights": weights_name,
        "weights_sha256": weights_sha256,
        "interpolator": reconstructor.interpolator.name,
        "exposures": list(schedule.exposures),
        "fps": str(rate) if rate else None,
        "timecode": str(timecode) if timecode else None,
        "primaries": primaries,
        **{
            key: getattr(options, key)
            for key in ("method", "scale", "colorspace", "compression", "start_number", "padding", "tile", "composite")
        },
        **{key: getattr(options, key) for key in ("backend", "quality", "precision")},
        "start": schedule.start,
        "stabilise_window": options.stabilise_window,
        "clip": setup.facts.to_dict(),
        "n_frames": source.n_frames,
        "size": list(source.size),
        FIRST_FRAME: first_frame_digest(source),
    }
    open_folder(clip, settings, overwrite=options.overwrite, wanted=wanted)
    _clear_left_behind(options)
    reporter = _open_report(clip, options, schedule, source, wanted, gain, rate, settings, primaries)
    looked_at = set() if sheet_index is None else {sheet_index}
    if reporter is not None:
        looked_at |= reporter.missing()
        reconstructor.keep_maps = bool(layers) or looked_at
    wanted_layers = ",".join(layers)
    done = {i for i in wanted if clip.is_complete(i, wanted_layers)}
    compute = set(wanted) - done | looked_at

    started = time.perf_counter()
    written = 0
    sheet: HdrFrame | None = None
    style = FrameStyle(
        options.colorspace,
        options.scale,
        gain,
        plan.white_luminance,
        options.compression,
        rate,
        weights_name,
        primaries,
        reconstructor.precision,
    )
    # Header and sheet name exposure times where these were given; relative exposures are no seconds.
    seconds = partial(parts_exposure, setup.parts) if options.exposures else None
    report("reconstruct", len(done), len(wanted))
    with frame_writer() as write:
        for frame in reconstruct_parts(reconstructor, source, setup.parts, compute):
            index = frame.index
            if index == sheet_index:
                sheet = frame
            if reporter is not None and reporter.wants(index):
                reporter.add(frame)
            if index not in done:
                attributes = style.attributes(
                    frame.exposure,
                    seconds=None if seconds is None else seconds(index),
                    timecode=None if timecode is None else timecode + index,
                )
                write(style.write, clip.path(index), frame.radiance, attributes)
                if layers:
                    path, named = clip.layers_path(index), attributes | {"lrhdr:layers": wanted_layers}
                    write(style.write_layers, path, layers_of(frame, layers, style.values), named)
                written += 1
                report("reconstruct", len(done) + written, len(wanted))
            del frame  # the writer frees its radiance before the next frame needs the memory
    elapsed = time.perf_counter() - started

    frames = tuple(clip.path(i) for i in wanted)
    sheet_path = Path(options.sheet) if options.sheet else None
    if sheet is not None and sheet_path is not None:
        sheet = replace(sheet, radiance=np.maximum(to_rec709(sheet.radiance, primaries), 0.0))
        _write_sheet(sheet_path, sheet, schedule, seconds, f"{clip.name}, {weights_name}", source.n_frames)
    videos = plan.make(frames, report)
    page = None
    if reporter is not None:
        page = reporter.finish(dict(zip(wanted, frames, strict=True)), partial(report, "report"))
    return RunResult(clip.folder, frames, written, elapsed, videos, sheet_path, page)


def _open_report(
    clip: ClipFiles,
    options: RunOptions,
    schedule: ExposureSchedule,
    source: FrameSource,
    wanted: range,
    gain: float,
    rate: Fraction | None,
    settings: dict[str, Any],
    primaries: str,
) -> ReportWriter | None:
    if options.report is None:
        return None
    about = ReportClip(
        title=clip.name,
        size=source.size,
        exposures=tuple(schedule.exposure(i) for i in range(schedule.n_exposures)),
        gain=gain,
        scale=options.scale,
        colorspace=options.colorspace,
        rate=float(rate or DEFAULT_RATE),
        settings=settings,
        primaries=primaries,
    )
    folder = Path(options.report) if options.report else report_folder(clip.folder, clip.name)
    return ReportWriter(folder, about, wanted, fresh=options.overwrite)


def _start_timecode(options: RunOptions, source_path: str, rate: Fraction | None) -> Timecode | None:
    """Time code of input frame 0: as given, else the input's own, else the one that counts the file numbers."""
    if options.timecode is not None:
        if rate is None:
            raise InputError("timecode: expected --fps too, because the input does not say its frame rate")
        return parse_timecode(options.timecode, rate)
    base = None if rate is None else timecode_base(rate)
    if rate is None or base is None:
        return None
    found = read_timecode(source_path) if Path(source_path).is_file() else None
    if found is not None:
        try:
            return parse_timecode(found, rate)
        except InputError:  # a tag that makes no sense is not worth a refusal: nothing is lost but the tag
            pass
    return Timecode(options.start_number, base)


def check_targets(source_path: str, output: str, options: RunOptions) -> None:
    """Refuse options that would write over the input, or among its frames; nothing is opened.

    Raises:
        InputError: a target is the input, lies on one of its frames, or is another target; or numbers out of range.
    """
    targets = {what: getattr(options, what) for what in (*WHOLE_CLIP, "sidecar")}
    folders = {"output": output} | ({"layers": str(Path(output) / "aov")} if options.aov else {})
    check_places(source_path, targets, folders)
    if options.sheet and Path(options.sheet).suffix.lower() != ".png":
        raise InputError(f"sheet: expected a .png file, found {options.sheet}")
    if options.start_number < 0:
        raise InputError(f"start number: expected 0 or more, found {options.start_number}")
    if not 1 <= options.padding <= 12:
        raise InputError(f"padding: expected 1 to 12 digits, found {options.padding}")


def _clear_left_behind(options: RunOptions) -> None:
    """Remove what a killed run left half written; frames are `open_folder`'s matter, videos `Encoder`'s."""
    for target in (options.sheet, options.sidecar):
        if target:
            clear_stale(Path(target).parent, (Path(target).name,))


def build_reconstructor(
    options: RunOptions,
    schedule: ExposureSchedule,
    *,
    keep_maps: bool | set[int] = False,
    size: tuple[int, int] | None = None,
    recorded: str = "",
    notify: Notify | None = None,
) -> tuple[Reconstructor, str, str]:
    """The reconstructor that the options ask for.

    Args:
        options: see `RunOptions`.
        schedule: the clip's schedule; picks the default weights and is checked against the network.
        keep_maps: as in `Reconstructor`.
        size: (height, width) of the frames, by which frames at once and threads are chosen; None computes one frame
            after the other.
        recorded: by what sign the frames went through a lossy codec (`sign_of_codec`), "" if by none; picks the default
            weights, too.
        notify: called with each line that a person should read.

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
        if options.weights:
            raise InputError(f"weights: expected the network with --weights, found --method {options.method}")
        method, name, digest = cast(Method, BASELINES[options.method]), options.method, ""
        interpolator = options.interpolator or DEFAULT_INTERPOLATOR
    else:
        n = schedule.n_exposures
        chosen = options.weights or default_weights(n, recorded=bool(recorded))
        try:
            method, record = load_pretrained(chosen)
        except WeightsError as error:
            if options.weights:
                raise
            raise WeightsError(f"no bundled weights for {n} exposures ({error}); try --method completion") from None
        name, digest = record.name, record.sha256
        interpolator = options.interpolator or record.interpolator
    choice = BackendChoice(options.backend, options.quality, options.precision)
    if options.method != NETWORK and choice != BackendChoice():
        raise InputError(
            f"backend: expected the network with --backend, --quality or --precision, found --method {options.method}"
        )
    at_once, threads = options.at_once, options.threads
    if size is not None:
        # One stream of work fills a GPU; a second thread there only takes memory.
        on_gpu = options.device != "cpu" and at_once is None
        plan = plan_workers(size[0] * size[1], workers=1 if on_gpu else at_once, threads=threads)
        at_once, threads = plan.workers, plan.threads
    reconstructor = Reconstructor(
        method,
        interpolator,
        device=options.device,
        tile=options.tile,
        threads=threads,
        at_once=at_once,
        backend=choice,
        notify=notify,
        keep_maps=keep_maps,
        composite=options.composite,
        stabilise_window=options.stabilise_window,
        name=name,
    )
    reconstructor.check_schedule(schedule)
    if notify and recorded and not options.weights and name.endswith(RECORDED):
        notify(f"weights {name}: {recorded} (--weights says otherwise)")
    return reconstructor, name, digest


def _write_sheet(
    path: Path,
    frame: HdrFrame,
    schedule: ExposureSchedule,
    seconds: Callable[[int], float] | None,
    title: str,
    count: int,
) -> None:
    height, width = frame.radiance.shape[:2]
    exposures = " and ".join(stops_label(e) for e in sorted(schedule.relative))
    sheet = contact_sheet(
        frame,
        title=title,
        subtitle=f"frame {frame.index}; {count} frames of {width} x {height} pixels, exposures {exposures}",
        seconds=None if seconds is None else [seconds(i) for i in frame.window_indices],
    )
    make_parent(path)
    write_png(path, sheet)


def summary(result: RunResult) -> str:
    """What a run did, for a terminal: where the files are, how long it took."""
    count = len(result.frames)
    lines = [f"{count} frame{'s' if count != 1 else ''}: {result.frames[0]}"]
    if count > 1:
        lines[0] += f" to {result.frames[-1].name}"
    lines += video_lines(result.videos)
    if result.sheet is not None:
        lines.append(f"contact sheet: {result.sheet}")
    if result.report is not None:
        lines.append(f"report, for a browser: {result.report}")
    if result.written:
        each = result.seconds / result.written
        lines.append(f"computed {result.written} in {result.seconds:.1f} s, {each:.2f} s per frame")
    kept = count - result.written
    if kept:
        lines.append(f"kept {kept} from an earlier run")
    return "\n".join(lines)
