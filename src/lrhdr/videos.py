"""Videos of a run's frames: the SDR preview, HDR10 and HLG. Made from the EXR files after the reconstruction.

An interrupted and resumed run therefore gives the same videos, and a video can be made (or made again) long after the
frames. Each carries, in its comment, a digest of the files and settings that it was made from: the same command keeps a
video that is there already, and encodes what is missing or out of date. Nothing is measured per frame: exposure of the
preview, light levels and roll-off of the HDR videos are the whole clip's.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lrhdr._version import __version__
from lrhdr.display_light import HLG_PEAK, DisplayMap, hlg_signal, pq_signal
from lrhdr.io.atomic import make_parent
from lrhdr.io.encoder import Sound, Timing
from lrhdr.io.hdr_writer import HdrCoding, HdrVideoWriter, LightLevels, mastering_peak_for, signal_to_planes
from lrhdr.io.images import read_exr
from lrhdr.io.looks import Look
from lrhdr.io.tags import read_comment
from lrhdr.io.video_writer import VideoWriter
from lrhdr.pictures import preview_exposure
from lrhdr.progress import Progress
from lrhdr.sdr import SdrView

PREVIEW_SAMPLES = 8
"""Frames, spread over the clip, that set the preview's one exposure."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class FrameClip:
    """Linear EXR frames on disk, and what must be known to show them.

    Attributes:
        frames: the files, in order; at least one.
        primaries: of their RGB, a name in `colour.CHROMATICITIES`.
        white_luminance: cd/m² of the value 1.0 in them.
        timing: when they are shown.
        saturation: the value beyond which there is no detail (the shortest exposure clips); None where unknown.
        sound: audio that goes with them.
    """

    frames: tuple[Path, ...]
    primaries: str
    white_luminance: float
    timing: Timing
    saturation: float | None = None
    sound: Sound | None = None


@dataclass(frozen=True)
class HdrVideo:
    """What was made.

    Attributes:
        path: the file.
        levels: its light levels; None for HLG, and for a file of an earlier run that was kept.
        kept: whether it is one of an earlier run.
    """

    path: Path
    levels: LightLevels | None
    kept: bool


def write_preview(path: Path, clip: FrameClip, report: Progress, look: Look | None = None) -> bool:
    """Encode frames as an SDR video (H.264), with one exposure for the whole clip.

    Args:
        path: the video, written atomically; kept if it was made from these frames before.
        clip: the frames.
        report: progress.
        look: a LUT on the tone-mapped pictures, or a view instead of the tone map (which sets its own exposure).

    Returns:
        Whether it was written (and not kept).

    Raises:
        InputError: a frame cannot be read.
        OutputError: the video cannot be written.
    """
    comment = _digest(clip, "preview", *([look.identity, clip.white_luminance] if look is not None else []))
    if read_comment(path) == comment:
        return False
    paths = clip.frames
    view = SdrView(clip.primaries, clip.white_luminance, look=look)
    if look is None or not look.takes_light:
        sample = [paths[i * len(paths) // PREVIEW_SAMPLES] for i in range(PREVIEW_SAMPLES)]
        exposure = preview_exposure(view.linear(read_exr(p)) for p in dict.fromkeys(sample))
        view = replace(view, exposure_ev=exposure)
    height, width = read_exr(paths[0]).shape[:2]
    make_parent(path)
    timing = clip.timing
    report("preview", 0, len(paths))
    with VideoWriter(
        path, timing.rate, (height, width), times=timing.times, sound=clip.sound, comment=comment
    ) as video:
        for i, picture in enumerate(_ahead(lambda p: view.picture(read_exr(p)), paths)):
            video.write(picture)
            report("preview", i + 1, len(paths))
    return True


def write_hdr10(path: Path, clip: FrameClip, coding: HdrCoding, peak: float | None, report: Progress) -> HdrVideo:
    """Encode frames as HDR10: measure the light levels of the whole clip, then encode.

    Args:
        path: the video, written atomically; kept if it was made from these frames before.
        clip: the frames.
        coding: codec and quality.
        peak: cd/m² towards which highlights bend; None leaves them as they are (10000 is the end of the scale).
        report: progress.

    Returns:
        The file and its levels.

    Raises:
        InputError: a frame cannot be read, or a value is out of range.
        OutputError: the video cannot be written.
    """
    comment = _digest(clip, "pq", coding, peak, clip.white_luminance)
    if read_comment(path) == comment:
        return HdrVideo(path, None, kept=True)
    view = display_map(clip, peak)
    max_cll, max_fall = measure_light(clip.frames, view, report)
    levels = LightLevels(max_cll, max_fall, peak or mastering_peak_for(max_cll))
    _encode(
        path,
        clip,
        "pq",
        lambda p: signal_to_planes(pq_signal(view.light(read_exr(p)))),
        coding,
        levels,
        comment,
        report,
    )
    return HdrVideo(path, levels, kept=False)


def write_hlg(path: Path, clip: FrameClip, coding: HdrCoding, report: Progress) -> HdrVideo:
    """Encode frames as HLG, for a display of 1000 cd/m²: the same light there as the HDR10 video with that peak.

    Args:
        path: the video, written atomically; kept if it was made from these frames before.
        clip: the frames.
        coding: codec and quality.
        report: progress.

    Returns:
        The file.

    Raises:
        InputError: a frame cannot be read.
        OutputError: the video cannot be written.
    """
    comment = _digest(clip, "hlg", coding, clip.white_luminance)
    if read_comment(path) == comment:
        return HdrVideo(path, None, kept=True)
    view = display_map(clip, HLG_PEAK)
    _encode(
        path,
        clip,
        "hlg",
        lambda p: signal_to_planes(hlg_signal(view.light(read_exr(p)))),
        coding,
        None,
        comment,
        report,
    )
    return HdrVideo(path, None, kept=False)


def display_map(clip: FrameClip, peak: float | None) -> DisplayMap:
    """How a clip's values become light; the bend towards a peak begins at the clip's saturation."""
    brightest = 10000.0 if clip.saturation is None else clip.saturation * clip.white_luminance
    return DisplayMap(clip.primaries, clip.white_luminance, peak, brightest)


def measure_light(frames: Sequence[Path], view: DisplayMap, report: Progress) -> tuple[float, float]:
    """MaxCLL and MaxFALL of a clip as it will be shown (CTA-861.3, annex P).

    Args:
        frames: EXR files.
        view: how their values become light.
        report: progress.

    Returns:
        cd/m²: the largest component of any pixel, and the largest frame average of the pixels' largest components.

    Raises:
        InputError: a frame cannot be read.
    """

    def levels(path: Path) -> tuple[float, float]:
        brightest = view.light(read_exr(path)).max(axis=2)
        return float(brightest.max()), float(brightest.mean(dtype=np.float64))

    max_cll = max_fall = 0.0
    report("measure light", 0, len(frames))
    for i, (peak, average) in enumerate(_ahead(levels, frames)):
        max_cll, max_fall = max(max_cll, peak), max(max_fall, average)
        report("measure light", i + 1, len(frames))
    return max_cll, min(max_fall, max_cll)


def _encode(
    path: Path,
    clip: FrameClip,
    transfer: str,
    planes: Callable[[Path], tuple[NDArray[np.uint16], ...]],
    coding: HdrCoding,
    levels: LightLevels | None,
    comment: str,
    report: Progress,
) -> None:
    height, width = read_exr(clip.frames[0]).shape[:2]
    make_parent(path)
    what = {"pq": "HDR10", "hlg": "HLG"}[transfer]
    report(what, 0, len(clip.frames))
    with HdrVideoWriter(
        path, clip.timing, (height, width), transfer, coding, levels=levels, sound=clip.sound, comment=comment
    ) as video:
        for i, codes in enumerate(_ahead(planes, clip.frames)):
            video.write(codes)
            report(what, i + 1, len(clip.frames))


def _ahead(work: Callable[[Path], _T], paths: Sequence[Path]) -> Iterator[_T]:
    """Results of `work` in order, a few of them computed ahead in threads, while the caller encodes."""
    workers = min(4, os.cpu_count() or 1)
    queue: deque[Future[_T]] = deque()
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="lrhdr-video") as pool:
        try:
            for path in paths:
                queue.append(pool.submit(work, path))
                if len(queue) > workers:
                    yield queue.popleft().result()
            while queue:
                yield queue.popleft().result()
        finally:
            for future in queue:  # an error or Ctrl-C: what was not begun is not worth waiting for
                future.cancel()


def _digest(clip: FrameClip, *settings: Any) -> str:
    """A text that changes when a frame, the audio or a setting does."""
    files = [*clip.frames, *([clip.sound.path] if clip.sound is not None else [])]
    facts = [(p.name, s.st_size, s.st_mtime_ns) for p in files if (s := p.stat())]
    content = repr((__version__, clip.primaries, clip.timing, clip.sound, clip.saturation, facts, settings))
    return f"lrhdr {__version__} {hashlib.sha256(content.encode()).hexdigest()[:32]}"
