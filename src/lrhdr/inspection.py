"""What a clip is: its format, what its tags say, and what its pixels say of its exposures; as text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from lrhdr.alternation import Alternation, Break
from lrhdr.analysis import Analysis, analyse
from lrhdr.checks import InputError
from lrhdr.chroma import has_coarse_colour
from lrhdr.exposure import ExposureSchedule
from lrhdr.io.curves import load_curve
from lrhdr.io.sources import FrameSource, ImageSequence, VideoFile, open_frames
from lrhdr.log_curves import LOG_CURVES
from lrhdr.progress import Progress
from lrhdr.response import CODES, NAMED_CURVES, ResponseCurve, curve_from_samples
from lrhdr.transfer import linearise

CONTRADICTION = 0.15
"""How far tags or typed exposures may be from the pixels before a warning."""

_HDR = ("pq", "hlg")
_COLOUR_FRAMES = 3  # whose colour is looked at: one of them is neither too dark nor too bright


@dataclass(frozen=True)
class Facts:
    """What a clip's container and headers say.

    Attributes:
        name: of the clip.
        kind: "video" or "images".
        n_frames: how many.
        size: (height, width).
        fps: frames per second, on average where the time stamps are uneven; None where unknown.
        variable_rate: whether the time stamps are uneven.
        late: frames before which twice the usual time passes: gaps where frames may have been dropped.
        bits: of a code, 32 for float and 0 for raw.
        coding: pixel format of a video, or sample type of images.
        transfer: by the tags: "bt709", "srgb", "pq", ...; "linear" for float images and raw; "unspecified".
        primaries: by the tags; "unspecified".
        full_range: whether all codes are in use; None for images.
        rotation: degrees by which frames are turned for display.
        pixel_aspect: width over height of a pixel, as it should be shown.
        audio: whether there is an audio stream.
        stops: exposures of one period from frame 0, in stops, by `Exposures.txt` or EXIF; None where they do not say.
    """

    name: str
    kind: str
    n_frames: int
    size: tuple[int, int]
    fps: Fraction | None
    variable_rate: bool
    late: tuple[int, ...]
    bits: int
    coding: str
    transfer: str
    primaries: str
    full_range: bool | None
    rotation: int
    pixel_aspect: Fraction
    audio: bool
    stops: tuple[float, ...] | None


@dataclass(frozen=True)
class Inspection:
    """Everything that `lrhdr inspect` says.

    Attributes:
        facts: what the container and headers say.
        curve: name of the response curve that the light was looked up with.
        analysis: what the pixels say.
        codec: by what sign it went through a lossy codec, "" for none.
    """

    facts: Facts
    curve: str
    analysis: Analysis
    codec: str

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        facts, alternation = self.facts, self.analysis.alternation
        tags = None if facts.stops is None else {"stops": list(facts.stops), "contradiction": self.contradiction}
        return {
            "name": facts.name,
            "kind": facts.kind,
            "frames": facts.n_frames,
            "width": facts.size[1],
            "height": facts.size[0],
            "fps": None if facts.fps is None else str(facts.fps),
            "variable_rate": facts.variable_rate,
            "bits": facts.bits,
            "coding": facts.coding,
            "transfer": facts.transfer,
            "primaries": facts.primaries,
            "full_range": facts.full_range,
            "rotation": facts.rotation,
            "pixel_aspect": str(facts.pixel_aspect),
            "audio": facts.audio,
            "recorded": bool(self.codec),
            "tags": tags,
            "curve": self.curve,
            "curve_tilt_stops": _rounded(self.analysis.tilt),
            "black": self.analysis.levels.black,
            "saturation": self.analysis.levels.saturation,
            "period": {0: None, 1: "none"}.get(alternation.period, alternation.period),
            "certain": alternation.period > 0,
            "reason": alternation.reason,
            "exposures": [_rounded(e) for e in alternation.exposures],
            "uncertainty_stops": [_rounded(u) for u in alternation.uncertainty],
            "brightest_phase": alternation.exposures.index(alternation.ratio) if alternation.exposures else None,
            "ratio": _rounded(alternation.ratio) if alternation.exposures else None,
            "ratio_uncertainty": _rounded(alternation.ratio_uncertainty) if alternation.exposures else None,
            "breaks": [{"index": b.index, "kind": b.kind, "count": b.count} for b in alternation.breaks],
            "outliers": [{"index": o.index, "stops": _rounded(o.stops)} for o in alternation.outliers],
        }

    @property
    def contradiction(self) -> str | None:
        """In which way the tags contradict the pixels; None where they agree or one of them does not say."""
        if self.facts.stops is None:
            return None
        return contradiction(ExposureSchedule.from_stops(self.facts.stops), self.analysis.alternation)

    def __str__(self) -> str:
        """As text for a terminal."""
        return "\n".join(_lines(self))


def inspect(path: str, *, crf: str | None = None, progress: Progress | None = None) -> Inspection:
    """Inspect a clip.

    Args:
        path: what `open_frames` takes; HDR video too.
        crf: response curve, as `load_curve` takes it; None for gamma 2.2 (for PQ and HLG video, their own).
        progress: called while frames are read.

    Returns:
        What the clip is.

    Raises:
        InputError: it cannot be read, or the curve cannot.
    """
    source, curve = open_with_curve(path, crf, allow_hdr=True)
    if source.exposures_problem is not None:
        raise InputError(source.exposures_problem)
    facts = facts_of(source)
    if facts.transfer in _HDR:
        curve = _hdr_curve(facts.transfer)
    analysis = analyse(source, curve, progress)
    return Inspection(facts, curve.name, with_times(analysis, facts), sign_of_codec(source))


def open_with_curve(path: str, crf: str | None, *, allow_hdr: bool = False) -> tuple[FrameSource, ResponseCurve]:
    """Open a clip the way that its response curve wants it.

    Args:
        path: what `open_frames` takes.
        crf: name or file of a curve; None for gamma 2.2.
        allow_hdr: as in `open_frames`.

    Returns:
        The clip, its codes as recorded, and the curve.

    Raises:
        InputError: either cannot be read, or there is a curve for a clip that is linear already.
    """
    curve = load_curve(crf or NAMED_CURVES[0])
    source = open_frames(path, data_levels=curve.name in LOG_CURVES, allow_hdr=allow_hdr)
    if crf and source.is_linear:
        raise InputError(f"{path}: holds linear light (float or raw images), expected no --crf, found {crf}")
    return source, curve


def facts_of(source: FrameSource) -> Facts:
    """What a clip's container and headers say.

    Args:
        source: the clip.

    Raises:
        InputError: the time stamps cannot be read.
    """
    times = source.times()
    uneven, late = _rhythm(times)
    fields: dict[str, Any] = {
        "name": source.name,
        "n_frames": source.n_frames,
        "size": source.size,
        "fps": _average_rate(times) if uneven and times else source.fps,
        "variable_rate": uneven,
        "late": late,
        "audio": source.audio is not None,
        "stops": source.exposures_stops,
    }
    if isinstance(source, VideoFile):
        reader = source.reader
        return Facts(
            kind="video", bits=reader.bits, coding=reader.pixel_format, transfer=reader.transfer,
            primaries=reader.primaries, full_range=reader.full_range, rotation=reader.rotation,
            pixel_aspect=reader.pixel_aspect, **fields,
        )  # fmt: skip
    sample = source.infos[0].sample if isinstance(source, ImageSequence) else "unknown"
    bits = {"uint8": 8, "uint16": 16, "half": 16, "float": 32}.get(sample, 0)
    transfer = "linear" if source.is_linear else "unspecified"
    return Facts(
        kind="images", bits=bits, coding=sample, transfer=transfer, primaries="unspecified", full_range=None,
        rotation=0, pixel_aspect=Fraction(1), **fields,
    )  # fmt: skip


def sign_of_codec(source: FrameSource) -> str:
    """By what sign a clip went through a lossy codec: its file's, or the colour of its first frames.

    Returns:
        The sign in words; "" for none.

    Raises:
        InputError: a frame cannot be read.
    """
    if source.lossy:
        return "the input's codec may have lost detail"
    if not source.is_linear and has_coarse_colour(source.coded_frames(0, _COLOUR_FRAMES)):
        return "the input's colour has half the resolution, as frames taken out of a video have"
    return ""


def with_times(analysis: Analysis, facts: Facts) -> Analysis:
    """Let time stamps settle whether a frame was dropped or repeated: a dropped one leaves a gap."""
    found = analysis.alternation
    breaks = tuple(
        Break(b.index, "dropped" if b.index in facts.late else b.kind, b.count) if " or " in b.kind else b
        for b in found.breaks
    )
    return replace(analysis, alternation=replace(found, breaks=breaks))


def contradiction(given: ExposureSchedule, found: Alternation) -> str | None:
    """Compare exposures that somebody states with those of the pixels.

    Args:
        given: as stated.
        found: by the pixels.

    Returns:
        In which way they contradict each other (the period, the phase, or a ratio by more than `CONTRADICTION`); None
        where they agree, or the pixels are not certain.
    """
    if found.period == 0:
        return None
    stated = tuple(given.exposure(i) for i in range(given.n_exposures))
    if found.period == 1:
        return f"{_listed(stated)} stated, but the frames do not alternate"
    if found.period != given.n_exposures:
        return (
            f"{_listed(stated)} stated, but the pixels repeat every {found.period} frames ({_listed(found.exposures)})"
        )
    worst = max(abs(math.log2(a / b)) for a, b in zip(stated, found.exposures, strict=True))
    if worst <= math.log2(1.0 + CONTRADICTION):
        return None
    if sorted(range(len(stated)), key=stated.__getitem__) != sorted(
        range(len(stated)), key=found.exposures.__getitem__
    ):
        return f"{_listed(stated)} stated from frame 0 on, but {_listed(found.exposures)} in the pixels (--start?)"
    return f"{_listed(stated)} stated, but {_listed(found.exposures)} in the pixels"


def describe_exposures(found: Alternation) -> str:
    """Exposures by the pixels in one phrase: "1, 8.02 ± 0.05 (3.00 EV), frame 0 is the shortest"."""
    parts = []
    for exposure, error in zip(found.exposures, found.uncertainty, strict=True):
        spread = exposure * (2.0 ** (2.0 * error) - 1.0)
        parts.append(
            "1" if exposure == 1.0 else f"{exposure:.2f} ± {max(spread, 0.01):.2f} ({math.log2(exposure):.2f} EV)"
        )
    names = {min(found.exposures): "shortest", max(found.exposures): "longest"}
    return f"{', '.join(parts)}; frame 0 is the {names.get(found.exposures[0], 'middle')} one"


def _average_rate(times: Sequence[Fraction]) -> Fraction:
    """Frames per second of uneven time stamps."""
    return ((len(times) - 1) / (times[-1] - times[0])).limit_denominator(1001)


def _lines(inspection: Inspection) -> list[str]:
    facts, found, levels = inspection.facts, inspection.analysis.alternation, inspection.analysis.levels
    rate = "frame rate unknown" if facts.fps is None else f"{float(facts.fps):.4g} per second"
    if facts.variable_rate:
        rate += " on average, variable (time stamps are kept)"
    depth = {32: "float", 0: "raw"}.get(facts.bits, f"{facts.bits} bits")
    how = "" if facts.full_range is None else (", full range" if facts.full_range else ", limited range")
    extras = (", audio" if facts.audio else "") + (f", turned by {facts.rotation} degrees" if facts.rotation else "")
    if facts.pixel_aspect != 1:
        extras += f", pixels {float(facts.pixel_aspect):.4g} times as wide as high (results hold them as square ones)"
    frames = f"{facts.n_frames} frame{'s' if facts.n_frames != 1 else ''}"
    lines = [
        f"{facts.name}: {frames} of {facts.size[1]} x {facts.size[0]} pixels, {rate}",
        f"coding: {depth} ({facts.coding}{how}){extras}",
        f"transfer: {_transfer_line(facts, inspection.curve)}",
    ]
    if inspection.codec and facts.transfer not in _HDR:
        lines.append(f"codec: {inspection.codec}; weights for recorded footage serve it")
    if found.alternates:
        lines.append(f"alternation: period {found.period} ({found.reason})")
        lines.append(f"exposures: {describe_exposures(found)}")
    elif found.period == 1:
        lines.append(f"alternation: none ({found.reason})")
    else:
        lines.append(f"alternation: not certain ({found.reason})")
    if facts.stops is not None:
        problem = inspection.contradiction
        lines.append(f"tags: {', '.join(f'{s:g}' for s in facts.stops)} EV; {problem or _agreement(found)}")
    if found.alternates:
        lines.append(f"levels: black at {levels.black:.3g}, saturation at {levels.saturation:.3g} of the code range")
    lines += [f"break: {describe_break(b)}" for b in found.breaks]
    lines += [f"exposure: frame {o.index} is {o.stops:+.2f} EV off the others of its phase" for o in found.outliers]
    if inspection.analysis.doubts_curve and facts.transfer not in _HDR:
        lines.append(
            f"warning: the ratio differs by {abs(inspection.analysis.tilt):.2f} EV between bright and dark places: "
            f"{inspection.curve} is probably not the camera's response (--crf)"
        )
    if facts.transfer in _HDR:
        lines.append("warning: this is HDR video already; there is nothing to merge")
    return lines


def describe_break(found: Break) -> str:
    """A break in words."""
    if found.kind == "dropped":
        return f"{found.count} frame{'s' if found.count > 1 else ''} dropped before frame {found.index}"
    if found.kind == "repeated":
        return f"frame {found.index} repeats frame {found.index - 1}"
    if found.count > 1:
        return f"{found.count} frames dropped before frame {found.index}, or one repeated by it"
    return f"a frame dropped before frame {found.index}, or repeated by it"


def _transfer_line(facts: Facts, curve: str) -> str:
    if facts.transfer == "linear":
        return "linear"
    stated = "not tagged" if facts.transfer == "unspecified" else f"{facts.transfer} by its tag"
    if facts.transfer in _HDR:
        return stated
    return f"{stated}; light looked up with {curve}"


def _agreement(found: Alternation) -> str:
    return "the pixels agree" if found.alternates else "the pixels do not tell"


def _listed(exposures: Sequence[float]) -> str:
    return ", ".join(f"{e:.3g}" for e in exposures)


def _rounded(value: float) -> float | None:
    return None if not math.isfinite(value) else float(f"{value:.6g}")


def _rhythm(times: Sequence[Fraction] | None) -> tuple[bool, tuple[int, ...]]:
    """Whether time stamps are uneven, and the frames that come after a gap."""
    if times is None or len(times) < 3:
        return False, ()
    gaps = np.array([float(later - earlier) for earlier, later in pairwise(times)])
    usual = float(np.median(gaps))
    # Time stamps are rounded to the container's clock, mostly 1 ms or finer.
    uneven = bool((np.abs(gaps - usual) > max(0.002, 0.1 * usual)).any())
    return uneven, tuple(int(i) + 1 for i in np.flatnonzero(gaps > 1.6 * usual))


def _hdr_curve(transfer: str) -> ResponseCurve:
    codes = torch.linspace(0.0, 1.0, CODES, dtype=torch.float64)
    light = linearise(codes, transfer)
    # A PQ signal reaches 10000 cd/m², a picture in it rarely more than 1000.
    scaled = (light / 1000.0).clamp_max(1.0) if transfer == "pq" else light
    return curve_from_samples(transfer, scaled.numpy())
