"""The options of a run, and what their texts mean for a given clip."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from lrhdr.backends import BACKENDS, PRECISIONS, QUALITIES
from lrhdr.checks import InputError
from lrhdr.colour import CHROMATICITIES, COLORSPACES
from lrhdr.display_light import REFERENCE_WHITE
from lrhdr.exposure import ExposureSchedule
from lrhdr.io.metadata import parse_exposure_list, parse_stops
from lrhdr.io.sources import FrameSource
from lrhdr.pipeline import NETWORK

CHOICES: dict[str, tuple[str, ...]] = {
    "scale": ("shortest", "scene"),
    "compression": ("zip", "piz", "dwaa", "none"),
    "primaries": tuple(CHROMATICITIES),
    "colorspace": tuple(COLORSPACES),
    "backend": BACKENDS,
    "quality": QUALITIES,
    "precision": PRECISIONS,
    "anchor": ("short", "middle", "long"),
    "codec": ("hevc", "av1"),
}
"""Options with few values, and these."""


@dataclass(frozen=True)
class RunOptions:
    """How to reconstruct; the fields are the options of `lrhdr reconstruct`.

    Attributes:
        exposures: exposure times of one period in seconds, "1/1000,1/125"; at most one of this and `stops`. With
            neither, the input's own `Exposures.txt` or EXIF data are used, else its pixels.
        stops: exposures of one period in stops, "0,3".
        start: which exposure of the period the first frame has: its 0-based position, or "short" or "long".
        crf: response of the camera: a name ("gamma2.2", "srgb", "slog3", ...) or a file; None for gamma 2.2.
        sidecar: file of what is known of the clip: read if it is there, else written; None for the run's own record.
        inspect: look at the pixels of the whole clip first: for exposures, black, saturation and dropped frames.
        method: "lrhdr", or the name of a baseline.
        weights: bundled name or file; None for `compact-<N>exp` of N exposures, or `compact-<N>exp-recorded` where the
            input's codec may have lost detail (`FrameSource.lossy`).
        interpolator: its name; None for the one that the weights were trained with.
        scale: "shortest" or "scene".
        compression: of the EXR files.
        name: stem of the file names; None for the input's name.
        start_number: number of the first frame's file.
        padding: digits of the numbers, at least.
        primaries: of the input's RGB, a name in `colour.CHROMATICITIES`; None for what its tags say, or BT.709.
        colorspace: of the EXR files, a name in `colour.COLORSPACES`.
        timecode: of the first frame, "HH:MM:SS:FF"; None for the input's, or else the one that counts the file numbers.
        aov: layers of a second EXR sequence, "votes,candidates,confidence" or some of them; None for none.
        frames: part of the clip, "a:b" (0-based, b exclusive; either may be missing); None for all.
        fps: frame rate, "24" or "30000/1001"; None for the input's.
        tile: side of tiles in pixels; None for whole frames.
        threads: compute threads in all; None for one per free core.
        at_once: frames computed at once, which share the threads; None for as many as cores and memory bear.
        device: where to compute.
        backend: what runs the network, a name in `backends.BACKENDS`.
        quality: "best", or "fast" (a cheaper search for motion).
        precision: of the convolutions, a name in `backends.PRECISIONS`; "auto" is bfloat16 on CPUs that have it.
        stabilise_window: for hand-held clips: bring each window's frames to its reference by one global motion each.
        composite: paste the reference where it is well exposed, as the field's test scripts do.
        preview: file of a tone-mapped H.264 preview; None for none.
        look: a LUT file or an OpenColorIO view for the preview; None for the tone map alone.
        hdr10: file of an HDR10 video; None for none.
        hlg: file of an HLG video; None for none.
        reference_white: cd/m² of the anchor's white.
        anchor: exposure whose white (saturation) gets `reference_white`: "short", "middle" or "long"; None for the
            longest of two, the middle one of three.
        peak_luminance: cd/m² towards which the highlights of the HDR10 video bend; None leaves them.
        codec: of the HDR videos, "hevc" or "av1"; None for HEVC (AV1 in .webm).
        encoder_crf: their constant rate factor; None for the codec's default.
        encoder_preset: their encoder's preset; None for its default.
        audio: pass the input's audio on to the videos.
        sheet: file of a contact sheet PNG; None for none.
        report: folder of a report (`index.html`); "" for `report` in the output folder; None for none.
        overwrite: throw away frames of an earlier run in the folder.
    """

    exposures: str | None = None
    stops: str | None = None
    start: str = "0"
    crf: str | None = None
    sidecar: str | None = None
    inspect: bool = True
    method: str = NETWORK
    weights: str | None = None
    interpolator: str | None = None
    scale: str = "shortest"
    compression: str = "zip"
    name: str | None = None
    start_number: int = 0
    padding: int = 6
    primaries: str | None = None
    colorspace: str = "lin_rec709"
    timecode: str | None = None
    aov: str | None = None
    frames: str | None = None
    fps: str | None = None
    tile: int | None = None
    threads: int | None = None
    at_once: int | None = None
    device: str = "cpu"
    backend: str = "torch"
    quality: str = "best"
    precision: str = "auto"
    stabilise_window: bool = False
    composite: bool = False
    preview: str | None = None
    look: str | None = None
    hdr10: str | None = None
    hlg: str | None = None
    reference_white: float = REFERENCE_WHITE
    anchor: str | None = None
    peak_luminance: float | None = None
    codec: str | None = None
    encoder_crf: float | None = None
    encoder_preset: str | None = None
    audio: bool = True
    sheet: str | None = None
    report: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Check what has few values; the rest depends on the clip.

        Raises:
            InputError: a value that is none of them.
        """
        for name, values in CHOICES.items():
            found = getattr(self, name)
            if found is not None and found not in values:
                raise InputError(f"{name.replace('_', ' ')}: expected {', '.join(values)}, found {found!r}")


def find_schedule(source: FrameSource, source_path: str, options: RunOptions) -> ExposureSchedule:
    """The exposure schedule of a run: from the options, or from what the input says of itself.

    Raises:
        InputError: both `exposures` and `stops`, values that make no schedule, a `start` that is not in it, or nothing
            known about the exposures.
    """
    if options.exposures and options.stops:
        raise InputError("exposures: expected --exposures or --stops, found both")
    if options.exposures:
        period = ExposureSchedule.from_seconds(parse_exposure_list(options.exposures))
    elif options.stops:
        period = ExposureSchedule.from_stops(parse_stops(options.stops))
    else:
        stops = source.exposures_stops
        if source.exposures_problem is not None:
            raise InputError(source.exposures_problem)
        if stops is None:
            raise InputError(
                f"{source_path}: exposures unknown: give --exposures 1/1000,1/125 (seconds), --stops 0,3 (EV), or put "
                "an Exposures.txt (stops of one period) into the folder"
            )
        period = ExposureSchedule.from_stops(stops)
    return ExposureSchedule(period.exposures, _parse_start(options.start, period))


def _parse_start(start: str, period: ExposureSchedule) -> int:
    named = {"short": min(period.exposures), "long": max(period.exposures)}
    if start in named:
        return period.exposures.index(named[start])
    try:
        return int(start)
    except ValueError:
        raise InputError(f"start: expected 0 to {period.n_exposures - 1}, 'short' or 'long', found {start!r}") from None


_NTSC = tuple(Fraction(1000 * n, 1001) for n in (24, 30, 48, 60, 120))
"""Rates that people round: 23.976, 29.97, 47.952, 59.94, 119.88."""


def parse_range(text: str | None, n_frames: int) -> range:
    """Frame indices of a part of a clip.

    Args:
        text: "a:b", ":b", "a:" or None for all; 0-based, b exclusive.
        n_frames: length of the clip.

    Raises:
        InputError: not of that form, or no frame of the clip lies in it.
    """
    if text is None:
        return range(n_frames)
    match = re.fullmatch(r"(\d*):(\d*)", text)
    if not match:
        raise InputError(f"frames: expected a:b with 0-based frame numbers, b exclusive, found {text!r}")
    first, last = int(match[1] or 0), min(int(match[2] or n_frames), n_frames)
    if first >= last:
        raise InputError(f"frames: expected part of 0:{n_frames}, found {text!r}")
    return range(first, last)


def parse_rate(text: str | None) -> Fraction | None:
    """A frame rate as a person types it, "24" or "30000/1001"; None stays None.

    Raises:
        InputError: not a rate above 0.
    """
    if text is None:
        return None
    try:
        if re.search(r"[eE][-+]?[\d_]{3,}", text):
            raise ValueError("an exponent whose power of ten would not end")
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise InputError(f"fps: expected a number or a fraction such as 30000/1001, found {text!r}") from None
    if not 0 < rate <= 100_000:
        raise InputError(f"fps: expected a rate above 0, found {text!r}")
    return rate


def clip_rate(text: str | None, own: Fraction | None) -> Fraction | None:
    """Frames per second of a clip's results: as typed, else the clip's own.

    23.976 and 29.97 are what people call 24000/1001 and 30000/1001: a typed rate within 1/2000 of the clip's own is it,
    and of one of these where the clip has none.

    Args:
        text: as `parse_rate` takes it.
        own: of the clip; None where it does not say.

    Raises:
        InputError: not a rate above 0.
    """
    typed = parse_rate(text)
    if typed is None:
        return own
    known = _NTSC if own is None else (own,)
    return next((rate for rate in known if abs(typed / rate - 1) < Fraction(1, 2000)), typed)


def file_stem(name: str) -> str:
    """A clip's name as a file name stem: no folders, nothing hidden.

    Raises:
        InputError: nothing is left.
    """
    stem = re.sub(r"[^\w.\-]+", "_", name).lstrip(".")
    if not stem:
        raise InputError(f"name: expected letters, digits, '_', '-' or '.', found {name!r}")
    return stem
