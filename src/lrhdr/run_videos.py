"""The videos of a run: what the options ask for, checked before any work, and made after the last frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from lrhdr.checks import InputError
from lrhdr.colour import COLORSPACES
from lrhdr.display_light import DisplayMap
from lrhdr.exposure import ExposureSchedule
from lrhdr.io.encoder import Sound, Timing, check_container, first_sound
from lrhdr.io.hdr_writer import ENCODERS, HdrCoding, check_size
from lrhdr.io.looks import Look, load_look
from lrhdr.io.sources import FrameSource
from lrhdr.progress import Progress
from lrhdr.run_options import RunOptions, clip_rate
from lrhdr.videos import FrameClip, HdrVideo, write_hdr10, write_hlg, write_preview

DEFAULT_FPS = Fraction(24)
"""Frame rate of videos of clips that do not say theirs."""

_JITTER = Fraction(1, 500)  # seconds; a steady rate in Matroska, whose clock counts milliseconds, may vary as much


@dataclass(frozen=True)
class RunVideos:
    """What was made; None for what was not asked for.

    Attributes:
        preview: the SDR preview.
        hdr10: the HDR10 video.
        hlg: the HLG video.
    """

    preview: Path | None = None
    hdr10: HdrVideo | None = None
    hlg: HdrVideo | None = None


@dataclass(frozen=True)
class VideoPlan:
    """The videos of a run.

    Attributes:
        preview: file of the SDR preview; None for none.
        hdr10: file of the HDR10 video; None for none.
        hlg: file of the HLG video; None for none.
        coding: codec and quality of the HDR videos.
        peak: cd/m² towards which HDR10's highlights bend; None leaves them.
        primaries: of the EXR files, a name in `colour.CHROMATICITIES`.
        white_luminance: cd/m² of the value 1.0 in them.
        saturation: the value of the shortest exposure's saturation; None where unknown.
        timing: when frames are shown.
        sound: audio to pass through.
        look: of the preview; None for the tone map alone.
    """

    preview: Path | None
    hdr10: Path | None
    hlg: Path | None
    coding: HdrCoding
    peak: float | None
    primaries: str
    white_luminance: float
    saturation: float | None
    timing: Timing
    sound: Sound | None
    look: Look | None = None

    @property
    def is_silent(self) -> bool:
        """Whether there are videos, and they have no sound."""
        return self.sound is None and any((self.preview, self.hdr10, self.hlg))

    def make(self, frames: tuple[Path, ...], report: Progress) -> RunVideos:
        """Make what is asked for, and is not there from an earlier run.

        Args:
            frames: the EXR files, in order.
            report: progress.

        Returns:
            What there is.

        Raises:
            InputError: a frame cannot be read.
            OutputError: a video cannot be written; those made before are whole.
        """
        clip = FrameClip(frames, self.primaries, self.white_luminance, self.timing, self.saturation, self.sound)
        if self.preview:
            write_preview(self.preview, clip, report, self.look)
        hdr10 = write_hdr10(self.hdr10, clip, self.coding, self.peak, report) if self.hdr10 else None
        hlg = write_hlg(self.hlg, clip, self.coding, report) if self.hlg else None
        return RunVideos(self.preview, hdr10, hlg)


def plan_videos(
    options: RunOptions, source: FrameSource, schedule: ExposureSchedule, wanted: range, gain: float
) -> VideoPlan:
    """Check what the options ask for, before hours of work.

    Args:
        options: of the run.
        source: the input; its times and audio go into the videos, unless `options.fps` changes the speed.
        schedule: its exposures.
        wanted: indices of the run's frames.
        gain: factor from radiance (1.0 = saturation of the shortest exposure) to the values in the files.

    Returns:
        The plan.

    Raises:
        InputError: a value, container, frame size or audio that cannot be.
    """
    preview, hdr10, hlg = (Path(p) if p else None for p in (options.preview, options.hdr10, options.hlg))
    coding = _coding(options, (hdr10, hlg))
    timing, sound = source_timing(options, source, wanted) if preview or hdr10 or hlg else (Timing(DEFAULT_FPS), None)
    white = white_luminance(options, schedule) / gain
    look = load_look(options.look) if options.look and preview is not None else None
    primaries = COLORSPACES[options.colorspace]
    plan = VideoPlan(preview, hdr10, hlg, coding, options.peak_luminance, primaries, white, gain, timing, sound, look)
    check_plan(plan, source.size)
    return plan


def silence(options: RunOptions, source: FrameSource, plan: VideoPlan) -> str:
    """What `other_speed` says of a run's videos; "" where there are none, or they have the input's speed."""
    if not plan.is_silent or options.fps is None or clip_rate(options.fps, source.fps) == source.fps:
        return ""
    return other_speed(options.fps, source, options.audio)


def other_speed(fps: str, source: FrameSource, audio: bool) -> str:
    """A line that says what videos at another speed than the input's lack of it; "" for nothing.

    Args:
        fps: the speed, as typed.
        source: the input.
        audio: whether its audio is wanted.
    """
    lost = ["sound"] if audio and source.audio is not None else []
    gaps = [b - a for a, b in pairwise(source.times() or ())]
    if gaps and max(gaps) - min(gaps) > _JITTER:
        lost.append("frame times of the input")
    if not lost:
        return ""
    what = " and no ".join(lost)
    return f"warning: no {what} in the videos: --fps {fps} is another speed ({float(source.fps or 0):g} fps)"


def check_plan(plan: VideoPlan, size: tuple[int, int]) -> None:
    """Refuse what cannot be, before hours of work.

    Args:
        plan: what is to be made.
        size: (height, width) of the frames.

    Raises:
        InputError: a value, container, frame size or audio that cannot be.
    """
    DisplayMap(plan.primaries, plan.white_luminance, plan.peak)  # checks the values
    for path in (plan.hdr10, plan.hlg):
        if path is not None:
            check_container(path, ENCODERS[plan.coding.codec], plan.sound)
            check_size(size)
    if plan.preview is not None:
        check_container(plan.preview, "libx264", plan.sound)


def check_light(options: RunOptions) -> None:
    """Refuse luminances that cannot be; needs no clip, so that a slip of the pen costs no time.

    Raises:
        InputError: a reference white that is not in (0, 10000], or options of videos that nobody asked for.
    """
    if not 0 < options.reference_white <= 10000:
        raise InputError(f"reference white: expected cd/m² above 0 up to 10000, found {options.reference_white:g}")
    check_uses(vars(options))


def check_uses(options: Mapping[str, Any]) -> None:
    """Refuse options of videos that nobody asked for: they would do nothing.

    Args:
        options: fields of `RunOptions` or `EncodeOptions`.

    Raises:
        InputError: one of these.
    """
    hdr = options["hdr10"] or options["hlg"]
    if options["look"] and not options["preview"]:
        raise InputError("look: expected --preview, the video that it is for")
    if options["peak_luminance"] is not None and not options["hdr10"]:
        raise InputError("peak luminance: expected --hdr10, the video that it is for")
    for name in ("codec", "encoder_crf", "encoder_preset"):
        if options[name] is not None and not hdr:
            raise InputError(f"{name.replace('_', ' ')}: expected --hdr10 or --hlg, the videos that it is for")


def white_luminance(options: RunOptions, schedule: ExposureSchedule) -> float:
    """cd/m² of radiance 1.0 (saturation of the shortest exposure): white of the anchor's exposure is reference white.

    The anchor is the middle one of the sorted exposures, that is the longest of two and the middle one of three, unless
    `options.anchor` names another.

    Raises:
        InputError: an anchor that is not in the schedule, or a reference white that is not in (0, 10000].
    """
    check_light(options)
    ordered = sorted(schedule.relative)
    middle = ordered[len(ordered) // 2]
    named = {"short": ordered[0], "middle": middle, "long": ordered[-1], None: middle}
    if options.anchor not in named:
        raise InputError(f"anchor: expected 'short', 'middle' or 'long', found {options.anchor!r}")
    return options.reference_white * named[options.anchor]


def source_timing(options: RunOptions, source: FrameSource, wanted: range) -> tuple[Timing, Sound | None]:
    """When the frames of a part of the input are shown, and the audio of that part.

    Returns:
        Times as in the input, but for a clock that starts late (`from_zero`); those of a part begin with 0. Audio only
        where the input has some, it is wanted, and the speed is the input's.
    """
    rate = clip_rate(options.fps, source.fps) or DEFAULT_FPS
    same_speed = options.fps is None or rate == source.fps
    times = source.times() if same_speed else None
    first, stop = wanted.start, wanted.stop
    clock = times or tuple(i / rate for i in range(source.n_frames))
    start = clock[first] if first else None
    end = clock[stop] if stop < source.n_frames else None
    sound = None
    if options.audio and same_speed and source.audio is not None:
        sound = Sound(source.audio, start, end)
    if start is None:
        return from_zero(Timing(rate, None if times is None else times[:stop]), sound)
    return Timing(rate, None if times is None else tuple(t - start for t in times[first:stop])), sound


def from_zero(timing: Timing, sound: Sound | None) -> tuple[Timing, Sound | None]:
    """A clip's times and audio on a clock that starts with the first of them, if theirs starts later than 0.

    Cameras' transport streams begin at any time, and players would show nothing until then.

    Raises:
        InputError: the audio cannot be read.
    """
    if timing.times is None:
        return timing, sound
    heard = first_sound(sound.path) if sound is not None else None
    start = timing.times[0] if heard is None else min(timing.times[0], heard)
    if start <= 0:  # before 0 lies what primes an audio decoder
        return timing, sound
    timing = replace(timing, times=tuple(t - start for t in timing.times))
    return timing, sound and replace(sound, start=start)


def _coding(options: RunOptions, paths: Sequence[Path | None]) -> HdrCoding:
    webm = any(p is not None and p.suffix.lower() == ".webm" for p in paths)
    codec = options.codec or ("av1" if webm else "hevc")
    return HdrCoding(codec, options.encoder_crf, options.encoder_preset, options.threads)


def video_lines(videos: RunVideos) -> list[str]:
    """What there is, for a terminal."""
    lines = [f"preview: {videos.preview}"] if videos.preview else []
    for what, video in (("HDR10", videos.hdr10), ("HLG", videos.hlg)):
        if video is None:
            continue
        note = ""
        if video.kept:
            note = " (kept from an earlier run)"
        elif video.levels is not None:
            max_cll, max_fall = video.levels.codes
            note = f" (MaxCLL {max_cll}, MaxFALL {max_fall} cd/m²)"
        lines.append(f"{what}: {video.path}{note}")
    return lines
