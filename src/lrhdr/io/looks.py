"""Looks for SDR pictures: a LUT file, or a view of an OpenColorIO configuration (extra `color`).

Two kinds, told apart by what they take:

- a **LUT** (`film.cube`, and the other formats that OpenColorIO reads) takes the picture as this package would show
  it: tone-mapped, sRGB-encoded, [0, 1]. That is what creative LUTs for finished pictures expect.
- a **view** ("ACES 2.0 - SDR 100 nits (Rec.709)", or "DISPLAY/VIEW") takes scene-linear light, 1.0 = reference white,
  and does the tone mapping itself. The configuration is that of `$OCIO`, else the ACES one inside OpenColorIO.

Both are fixed for the clip.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError

LUT_SUFFIXES = frozenset({".cube", ".3dl", ".csp", ".clf", ".ctf", ".spi1d", ".spi3d", ".vf", ".look", ".itx"})

_LINEAR_709 = ("lin_rec709", "lin_rec709_srgb", "Linear Rec.709 (sRGB)", "Utility - Linear - sRGB")
"""Names of linear Rec. 709 in the configurations in use."""


@dataclass(frozen=True, eq=False)
class Look:
    """A transform to a finished picture.

    Attributes:
        name: what the user wrote.
        takes_light: whether it takes scene-linear light (1.0 = reference white), and not an encoded picture.
        apply: (H, W, 3) float32 to (H, W, 3) float32, display-encoded, [0, 1] for what a display shows.
        identity: changes when the transform does.
    """

    name: str
    takes_light: bool
    apply: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    identity: str


def load_look(text: str) -> Look:
    """Find a look.

    Args:
        text: a LUT file, or a view, "VIEW" (of the configuration's default display) or "DISPLAY/VIEW".

    Returns:
        The look.

    Raises:
        InputError: opencolorio is not installed, a file that is missing or no LUT, or no such view.
    """
    try:
        import PyOpenColorIO as ocio
    except ImportError as error:
        raise InputError(
            f"look {text!r}: needs the package opencolorio, found none; install with: pip install 'lrhdr[color]'"
        ) from error
    path = Path(text)
    if path.suffix.lower() in LUT_SUFFIXES:
        return _lut(ocio, path)
    return _view(ocio, text)


def _lut(ocio: Any, path: Path) -> Look:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a LUT file, found none that can be read ({error.strerror})") from error
    transform = ocio.FileTransform(str(path.absolute()))
    transform.setInterpolation(ocio.INTERP_BEST)
    try:
        processor = ocio.Config.CreateRaw().getProcessor(transform).getDefaultCPUProcessor()
    except (ocio.Exception, ocio.ExceptionMissingFile, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a LUT, found a file that is none ({_last_line(error)})") from error
    return Look(str(path), False, _applied(processor), hashlib.sha256(content).hexdigest())


def _view(ocio: Any, text: str) -> Look:
    place = os.environ.get("OCIO", "")
    try:
        config = ocio.Config.CreateFromFile(place) if place else ocio.Config.CreateFromBuiltinConfig("ocio://default")
    except (ocio.Exception, ocio.ExceptionMissingFile) as error:
        raise InputError(f"$OCIO: expected a configuration, found {place!r} ({_last_line(error)})") from error
    display, _, view = text.rpartition("/")
    display = display or config.getDefaultDisplay()
    views = list(config.getViews(display))
    if view not in views:
        known = ", ".join(repr(v) for v in views) or ", ".join(repr(f"{d}/...") for d in config.getDisplays())
        raise InputError(f"look {text!r}: expected a LUT file, or a view of display {display!r}, one of {known}")
    linear = next((name for name in _LINEAR_709 if config.getColorSpace(name) is not None), None)
    if linear is None:
        raise InputError(f"look {text!r}: the configuration has no linear Rec. 709, expected one named lin_rec709")
    transform = ocio.DisplayViewTransform(src=linear, display=display, view=view)
    try:
        processor = config.getProcessor(transform).getDefaultCPUProcessor()
    except (ocio.Exception, ocio.ExceptionMissingFile) as error:
        raise InputError(f"look {text!r}: cannot be built ({_last_line(error)})") from error
    return Look(text, True, _applied(processor), f"{config.getCacheID()} {display} {view}")


def _applied(processor: Any) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    def apply(image: NDArray[np.float32]) -> NDArray[np.float32]:
        result = np.array(image, dtype=np.float32, order="C")  # OpenColorIO works in place
        processor.applyRGB(result)
        return result

    return apply


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no details"
