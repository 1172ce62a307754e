"""EXR frames on disk as clips: what their headers say of colour, light and time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from lrhdr.checks import InputError
from lrhdr.colour import CHROMATICITIES
from lrhdr.display_light import REFERENCE_WHITE
from lrhdr.io.exr import read_exr_header
from lrhdr.io.sources import ImageSequence, open_frames

_CLOSE = 1e-3  # headers hold single floats, and some programs round primaries to three digits


@dataclass(frozen=True)
class ExrFacts:
    """What a frame's header says.

    Attributes:
        primaries: name in `colour.CHROMATICITIES`; "bt709" where nothing is said, as OpenEXR has it.
        white_luminance: cd/m² of the value 1.0; `REFERENCE_WHITE` where nothing is said.
        saturation: the value beyond which there is no detail; None where nothing is said.
        rate: frames per second; None where nothing is said.
    """

    primaries: str
    white_luminance: float
    saturation: float | None
    rate: Fraction | None


def read_facts(path: Path) -> ExrFacts:
    """Read a frame's header.

    Args:
        path: an EXR file.

    Returns:
        What it says.

    Raises:
        InputError: missing, no EXR file, or primaries that this package does not know.
    """
    header = read_exr_header(path)
    given = header.get("chromaticities")
    primaries = "bt709"
    if given is not None:
        near = (
            name
            for name, known in CHROMATICITIES.items()
            if all(abs(a - b) < _CLOSE for a, b in zip(given, known, strict=True))
        )
        found = next(near, None)
        if found is None:
            raise InputError(f"{path}: found chromaticities {[round(float(c), 4) for c in given]}, expected known ones")
        primaries = found
    white = float(header.get("whiteLuminance", 0.0))
    saturation = header.get("lrhdr:saturation")
    rate = header.get("framesPerSecond")
    return ExrFacts(
        primaries,
        white if white > 0 else REFERENCE_WHITE,
        float(saturation) if saturation else None,
        Fraction(rate) if rate else None,
    )


def exr_files(path: str) -> tuple[Path, ...]:
    """The EXR frames of a folder or pattern, in order.

    Raises:
        InputError: none, other kinds of frames, or holes in the numbering.
    """
    source = open_frames(path)
    if not isinstance(source, ImageSequence) or source.files[0].suffix.lower() != ".exr":
        raise InputError(f"{path}: expected a folder or pattern of EXR frames, found other frames")
    return source.files
