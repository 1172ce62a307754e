"""One frame as a picture file: HDR for screens that show it, SDR for all others, linear for further work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrhdr.checks import InputError
from lrhdr.colour import conversion_matrix
from lrhdr.display_light import REFERENCE_WHITE, DisplayMap, pq_signal
from lrhdr.exr_clips import read_facts
from lrhdr.io.atomic import make_parent
from lrhdr.io.images import read_exr
from lrhdr.io.looks import load_look
from lrhdr.io.stills import write_avif, write_png16, write_radiance, write_tiff16, write_ultra_hdr
from lrhdr.pictures import preview_exposure
from lrhdr.sdr import SdrView

SUFFIXES = {
    ".jpg": "Ultra HDR JPEG",
    ".jpeg": "Ultra HDR JPEG",
    ".avif": "AVIF, PQ",
    ".hdr": "Radiance, linear",
    ".png": "16-bit PNG",
    ".tif": "16-bit TIFF",
    ".tiff": "16-bit TIFF",
}
"""What a file's suffix stands for."""


MOST_EXPOSURE = 60
"""Stops: beyond the range of half floats in either direction."""


@dataclass(frozen=True)
class StillOptions:
    """How to make a still; the fields are the options of `lrhdr still`.

    Attributes:
        white_luminance: cd/m² of the value 1.0; None for what the header says, or 203.
        exposure: gain in stops. SDR pictures without it are exposed for their own mean, HDR pictures keep their light.
        peak_luminance: cd/m² towards which the highlights of HDR pictures bend; None leaves them.
        look: a LUT file or a view, for SDR pictures.
        pq: write PNG as HDR (BT.2020, PQ) and not as an SDR picture.
    """

    white_luminance: float | None = None
    exposure: float | None = None
    peak_luminance: float | None = None
    look: str | None = None
    pq: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: a value that cannot be.
        """
        for name in ("white_luminance", "peak_luminance"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value <= 10000.0:
                raise InputError(f"{name.replace('_', ' ')}: expected cd/m² above 0 up to 10000, found {value:g}")
        if self.exposure is not None and not abs(self.exposure) <= MOST_EXPOSURE:
            raise InputError(f"exposure: expected -{MOST_EXPOSURE} to {MOST_EXPOSURE} stops, found {self.exposure:g}")


def write_still(source: Path, target: Path, options: StillOptions) -> str:
    """Write an EXR frame as a picture.

    Args:
        source: the frame.
        target: the file; its suffix is one of `SUFFIXES`.
        options: see `StillOptions`.

    Returns:
        What was written, in words.

    Raises:
        InputError: a frame, suffix or option that cannot be used, or an extra that is not installed.
        OutputError: the file cannot be written; nothing is left behind.
    """
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{target}: expected a file ending in {', '.join(SUFFIXES)}, found {suffix or 'no suffix'!r}")
    if options.pq and suffix != ".png":
        raise InputError(f"{target}: --pq goes with .png, found {suffix}")
    if target.resolve() == source.resolve():
        raise InputError(f"{target}: is the input; expected another place")
    facts = read_facts(source)
    image = read_exr(source)
    white = facts.white_luminance if options.white_luminance is None else options.white_luminance
    is_hdr = suffix in (".jpg", ".jpeg", ".avif") or options.pq
    if options.peak_luminance is not None and not is_hdr:
        raise InputError(f"{target}: --peak-luminance goes with HDR pictures (.jpg, .avif, --pq), found {suffix}")
    if options.look and (is_hdr or suffix == ".hdr"):
        raise InputError(f"{target}: --look goes with SDR pictures (.png, .tif), found {suffix}")
    make_parent(target)
    if is_hdr:
        gain = 2.0 ** (options.exposure or 0.0)
        brightest = 10000.0 if facts.saturation is None else facts.saturation * white * gain
        light = DisplayMap(facts.primaries, white * gain, options.peak_luminance, brightest).light(image)
        if suffix == ".avif":
            write_avif(target, pq_signal(light))
        elif options.pq:
            write_png16(target, pq_signal(light), pq=True)
        else:
            matrix = (conversion_matrix("bt2020", "bt709") / REFERENCE_WHITE).astype(np.float32)
            write_ultra_hdr(target, np.maximum(light @ matrix.T, 0))
        return SUFFIXES[suffix] + (", PQ" if options.pq else "")
    if suffix == ".hdr":
        write_radiance(
            target, SdrView(facts.primaries, white).linear(image) * np.float32(2.0 ** (options.exposure or 0))
        )
        return SUFFIXES[suffix]
    look = load_look(options.look) if options.look else None
    view = SdrView(facts.primaries, white, 0.0, look)
    exposure = options.exposure
    if exposure is None:
        exposure = 0.0 if look is not None and look.takes_light else preview_exposure([view.linear(image)])
    picture = SdrView(facts.primaries, white, exposure, look).picture(image)
    (write_png16 if suffix == ".png" else write_tiff16)(target, picture)
    return f"{SUFFIXES[suffix]}, tone-mapped"
