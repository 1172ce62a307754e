"""Videos from EXR frames that are there already: of an earlier run, or graded since by another program.

What the frames' headers say holds: primaries, the light of the value 1.0, frames per second. Time stamps and audio can
be those of the footage that the frames were made from.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from lrhdr.checks import InputError
from lrhdr.exr_clips import exr_files, read_facts
from lrhdr.io.encoder import Sound, Timing
from lrhdr.io.hdr_writer import HdrCoding
from lrhdr.io.images import read_info
from lrhdr.io.looks import load_look
from lrhdr.io.sources import open_frames
from lrhdr.progress import Notify, Progress
from lrhdr.run_options import clip_rate
from lrhdr.run_videos import DEFAULT_FPS, RunVideos, VideoPlan, check_plan, check_uses, from_zero, other_speed


@dataclass(frozen=True)
class EncodeOptions:
    """What to make; the fields are the options of `lrhdr encode`.

    Attributes:
        hdr10: file of an HDR10 video; None for none.
        hlg: file of an HLG video; None for none.
        preview: file of an SDR video; None for none.
        look: a LUT file or a view for the SDR video.
        source: the video that the frames were made from, for its time stamps and audio; None for neither.
        fps: frame rate; None for that of `source`, or the headers', or 24.
        white_luminance: cd/m² of the value 1.0; None for what the headers say, or 203.
        peak_luminance: cd/m² towards which the highlights of HDR10 bend; None leaves them.
        codec: "hevc" or "av1"; None for HEVC (AV1 in .webm).
        encoder_crf: constant rate factor; None for the codec's default.
        encoder_preset: encoder's preset; None for its default.
        audio: pass the audio of `source` through.
        threads: of the encoder; None for its own choice.
    """

    hdr10: str | None = None
    hlg: str | None = None
    preview: str | None = None
    look: str | None = None
    source: str | None = None
    fps: str | None = None
    white_luminance: float | None = None
    peak_luminance: float | None = None
    codec: str | None = None
    encoder_crf: float | None = None
    encoder_preset: str | None = None
    audio: bool = True
    threads: int | None = None


def encode_frames(
    frames: str,
    options: EncodeOptions,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> RunVideos:
    """Make videos of EXR frames.

    Args:
        frames: a folder or a pattern of EXR frames.
        options: see `EncodeOptions`.
        progress: called after every step.
        notify: called with a line on what the videos lack of the source.

    Returns:
        What there is.

    Raises:
        InputError: frames, source or an option that cannot be used; frames of different colour or light.
        OutputError: a video cannot be written.
    """
    check_uses(vars(options))
    targets = [Path(p) for p in (options.hdr10, options.hlg, options.preview) if p]
    if not targets:
        raise InputError("encode: expected --hdr10, --hlg or --preview, found none")
    if len({p.resolve() for p in targets}) < len(targets):
        raise InputError("encode: expected a file of its own for every video, found one twice")
    if options.source and Path(options.source).resolve() in {p.resolve() for p in targets}:
        raise InputError(f"source: {options.source} is a video to be written; expected another place")
    files = exr_files(frames)
    facts = [read_facts(file) for file in files]
    for file, other in zip(files, facts, strict=True):
        if (other.primaries, other.white_luminance) != (facts[0].primaries, facts[0].white_luminance):
            raise InputError(f"{file}: found other primaries or whiteLuminance than in {files[0].name}, expected one")
    timing, sound = _timing(options, facts[0].rate, len(files), notify or (lambda _line: None))
    white = facts[0].white_luminance if options.white_luminance is None else options.white_luminance
    codec = options.codec or ("av1" if any(p.suffix.lower() == ".webm" for p in targets) else "hevc")
    preview, hdr10, hlg = (Path(p) if p else None for p in (options.preview, options.hdr10, options.hlg))
    plan = VideoPlan(
        preview,
        hdr10,
        hlg,
        HdrCoding(codec, options.encoder_crf, options.encoder_preset, options.threads),
        options.peak_luminance,
        facts[0].primaries,
        white,
        facts[0].saturation,
        timing,
        sound,
        load_look(options.look) if options.look and options.preview else None,
    )
    check_plan(plan, read_info(files[0]).size)
    return plan.make(files, progress or (lambda _what, _done, _total: None))


def _timing(
    options: EncodeOptions, header_rate: Fraction | None, count: int, notify: Notify
) -> tuple[Timing, Sound | None]:
    if options.source is None:
        rate = clip_rate(options.fps, None)
        return Timing(rate or header_rate or DEFAULT_FPS), None
    source = open_frames(options.source)
    if source.n_frames != count:
        raise InputError(f"{options.source}: found {source.n_frames} frames, expected the {count} of the EXR frames")
    rate = clip_rate(options.fps, source.fps)
    if options.fps is not None and rate is not None and rate != source.fps:
        if line := other_speed(options.fps, source, options.audio):
            notify(line)
        return Timing(rate), None  # another speed: neither its times nor its audio fit
    sound = Sound(source.audio) if options.audio and source.audio is not None else None
    return from_zero(Timing(source.fps or header_rate or DEFAULT_FPS, source.times()), sound)
