"""Still images in and out: PNG, TIFF and JPEG at their full bit depth, and linear EXR, HDR (RGBE) and PFM.

Read through OpenImageIO, which keeps 16 bits exactly. Two kinds of file, told apart by how they store samples:

- integer samples (8 or 16 bit) are gamma-encoded values, returned as code / (2^bits - 1);
- float samples are linear values, returned untouched by `read_image` and `read_hdr`.

Grey becomes RGB, palettes are expanded, alpha is dropped (never multiplied in), the orientation tag is applied. No
colour management: an embedded profile is ignored. What cannot be read exactly is refused with an `InputError` that
names the file, what was found and what was expected: raw files, CMYK, other sample types, truncated or damaged data.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.io.atomic import write_bytes
from lrhdr.io.exr import encode_exr, read_exr_header, write_exr

__all__ = [
    "FRAME_SUFFIXES",
    "LINEAR_SLACK",
    "LINEAR_SUFFIXES",
    "ImageInfo",
    "encode_exr",
    "read_exr",
    "read_exr_header",
    "read_hdr",
    "read_image",
    "read_info",
    "read_ldr",
    "write_exr",
    "write_png",
]

LINEAR_SUFFIXES = frozenset({".exr", ".hdr", ".pfm"})
FRAME_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".jpg", ".jpeg"}) | LINEAR_SUFFIXES

LINEAR_SLACK = 0.05
"""How far linear values of a float file may leave [0, 1] (a resize overshoots, a sensor's noise goes below black)."""

LDR_GAMMA = 2.2
"""The package's encoding of LDR frames: value = linear^(1/2.2). (The same as `radiometry`, which needs torch.)"""

_INTEGER_MAX = {"uint8": 255.0, "uint16": 65535.0}
_FLOAT_SAMPLES = frozenset({"half", "float"})
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

MAX_PIXELS = 2**27
"""The largest frame that is read, in pixels (16384x8192); chosen by us, so that a damaged header cannot ask for more
memory than a machine has."""

_FREE_BYTES = 2**26
_MOST_PER_BYTE = 2**14
"""A header may claim `_FREE_BYTES` of pixels, and beyond that so many per byte of file: 16 times what deflate reaches
on an empty picture."""


@dataclass(frozen=True)
class ImageInfo:
    """What an image file's header says.

    Attributes:
        path: the file.
        height: rows, after the orientation tag is applied.
        width: columns, after the orientation tag is applied.
        channels: channels stored in the file (1 grey, 2 grey + alpha, 3 RGB, 4 RGBA).
        sample: "uint8", "uint16", "half" or "float"; "raw" for camera raw (`io.raw`).
        orientation: the EXIF / TIFF orientation tag, 1 to 8 (1 = as stored).
        exposure_seconds: the exposure time of the EXIF data, in seconds; None where there is none.
        iso: its sensitivity; None where there is none.
        f_number: its aperture; None where there is none.
    """

    path: Path
    height: int
    width: int
    channels: int
    sample: str
    orientation: int
    exposure_seconds: float | None
    iso: float | None
    f_number: float | None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    @property
    def is_linear(self) -> bool:
        """Whether the samples are floats, which this package takes as linear, or raw."""
        return self.sample in _FLOAT_SAMPLES or self.sample == "raw"


def read_info(path: str | os.PathLike[str]) -> ImageInfo:
    """Read an image's header; pixels are not decoded (of a PNG, the chunks are checked to be all there).

    Args:
        path: the file.

    Returns:
        Its size, sample type and tags.

    Raises:
        InputError: missing, not an image, truncated, or of a kind that is not supported.
    """
    file = Path(path)
    with _opened(file) as image:
        return _info(file, image.spec())


def read_image(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read an image: integer samples normalised to [0, 1], float samples untouched.

    Args:
        path: the file.

    Returns:
        (H, W, 3) float32. Integer files: code / (2^bits - 1), gamma-encoded. Float files: their linear values.

    Raises:
        InputError: missing, truncated, damaged, or of a kind that is not supported.
    """
    return _read(Path(path))[0]


def read_ldr(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read a frame of an LDR clip.

    A float file is taken as linear, with 1.0 = saturation of that frame, and encoded here with gamma 1/2.2.

    Args:
        path: the file.

    Returns:
        (H, W, 3) float32 in [0, 1], gamma-encoded.

    Raises:
        InputError: see `read_image`; and NaN, infinite, or outside [0, 1] by more than `LINEAR_SLACK` in a float file.
    """
    file = Path(path)
    image, info = _read(file)
    if not info.is_linear:
        return image
    _check_finite(file, image)
    low, high = float(image.min()), float(image.max())
    if low < -LINEAR_SLACK:
        raise InputError(f"{file}: found negative values (down to {low:g}), expected linear values of at least 0")
    if high > 1 + LINEAR_SLACK:
        raise InputError(f"{file}: found values up to {high:g}, expected linear values of at most 1 (1 = saturation)")
    encoded: NDArray[np.float32] = np.power(image.clip(0.0, 1.0), np.float32(1 / LDR_GAMMA))
    return encoded


def read_hdr(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read a linear HDR image: .exr, .hdr or .pfm, or any other file with float samples.

    Args:
        path: the file.

    Returns:
        (H, W, 3) float32, linear, the file's own scale. Slightly negative values (colours outside the gamut) occur in
        real files and are kept.

    Raises:
        InputError: see `read_image`; integer samples; NaN or infinite values.
    """
    file = Path(path)
    image, info = _read(file)
    if not info.is_linear:
        raise InputError(f"{file}: found {info.sample} samples, expected float samples (EXR, HDR or PFM)")
    _check_finite(file, image)
    return image


def read_exr(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read the pixels of an OpenEXR file; the same as `read_hdr`. Its header: `read_exr_header`."""
    return read_hdr(path)


def write_png(path: str | os.PathLike[str], image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write an 8- or 16-bit PNG, atomically.

    Args:
        path: the file; its folder must exist.
        image: (H, W, 3) RGB or (H, W) grey codes, uint8 or uint16.

    Raises:
        InputError: another shape or sample type.
        OutputError: the file cannot be written; nothing is left behind.
    """
    fits = image.dtype in (np.uint8, np.uint16) and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3))
    if not fits or 0 in image.shape:
        raise InputError(f"PNG: expected uint8 or uint16, (H, W, 3) or (H, W), found {image.dtype} {image.shape}")
    # Encoded in memory: a short write on a full disk is then an OSError here and not a message of the library.
    done, data = cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image)
    assert done, "the PNG encoder takes every array that passed the check above"
    write_bytes(path, data.tobytes())


def _read(file: Path) -> tuple[NDArray[np.float32], ImageInfo]:
    with _opened(file) as image:
        spec = image.spec()
        info = _info(file, spec)
        raw: Any = image.read_image(0, 0, 0, spec.nchannels, spec.format)
        message = _one_line(image.geterror())
    # A decoder may return pixels and report damage all the same: a truncated JPEG comes back filled up with grey.
    if raw is None or (message and "extraneous bytes before marker 0xd9" not in message):
        raise InputError(
            f"{file}: found damaged or truncated data, expected a complete image ({message or 'no details'})"
        )
    pixels = np.asarray(raw).reshape(spec.height, spec.width, spec.nchannels)
    rgb = pixels[..., _colour_channels(file, spec)].astype(np.float32)
    if info.sample in _INTEGER_MAX:
        rgb /= np.float32(_INTEGER_MAX[info.sample])
    return np.ascontiguousarray(_oriented(rgb, info.orientation)), info


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """An open image; what OpenImageIO stumbles over inside becomes an `InputError`."""
    try:
        image = _open(file)
        try:
            yield image
        finally:
            image.close()
    except UnicodeDecodeError:  # names or messages that quote a damaged header
        raise InputError(f"{file}: found a damaged header (text that is none), expected a valid image") from None


def _open(file: Path) -> Any:
    """Open a file with OpenImageIO after the checks that it does not make itself."""
    if not file.is_file():
        raise InputError(f"{file}: expected an image file, found {'a folder' if file.is_dir() else 'nothing'}")
    try:
        str(file).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(file).decode("utf-8", "replace")
        raise InputError(f"{shown}: expected a name in UTF-8, found other bytes; rename it") from None
    suffix = file.suffix.lower()
    if suffix not in FRAME_SUFFIXES:
        raise InputError(
            f"{file}: found a file ending in '{suffix}', expected one of {', '.join(sorted(FRAME_SUFFIXES))}"
        )
    if suffix == ".png":
        _check_png(file)
    hints = oiio.ImageSpec()
    hints.attribute("oiio:UnassociatedAlpha", 1)  # else colour is multiplied by alpha on reading
    image = oiio.ImageInput.open(str(file), hints)
    if image is None:
        message = _one_line(oiio.geterror())
        raise InputError(f"{file}: found no readable image, expected a valid {suffix} file ({message})")
    return image


def _info(file: Path, spec: Any) -> ImageInfo:
    sample = str(spec.format)
    if sample not in _INTEGER_MAX and sample not in _FLOAT_SAMPLES:
        raise InputError(f"{file}: found {sample} samples, expected 8- or 16-bit integers or floats")
    if "CMYK" in (spec.get_string_attribute("jpeg:ColorSpace"), spec.get_string_attribute("tiff:ColorSpace")):
        raise InputError(f"{file}: found CMYK colours, expected RGB or grey")
    if spec.depth > 1 or spec.deep:
        raise InputError(f"{file}: found a volume or deep image, expected a flat one")
    _colour_channels(file, spec)
    _check_size(file, spec)
    orientation = spec.get_int_attribute("Orientation", 1)
    orientation = orientation if 1 <= orientation <= 8 else 1
    height, width = (spec.width, spec.height) if orientation >= 5 else (spec.height, spec.width)
    seconds, iso, f_number = (
        value if value > 0 and math.isfinite(value) else None
        for value in (
            spec.get_float_attribute("ExposureTime", 0.0),
            float(spec.get_int_attribute("Exif:PhotographicSensitivity", 0)),
            spec.get_float_attribute("FNumber", 0.0),
        )
    )
    return ImageInfo(file, height, width, spec.nchannels, sample, orientation, seconds, iso, f_number)


def _check_size(file: Path, spec: Any) -> None:
    """Refuse a header that claims more pixels than a frame has, or than its file can hold."""
    found = f"{file}: found a header of {spec.width}x{spec.height} pixels"
    if spec.width * spec.height > MAX_PIXELS:
        raise InputError(f"{found}, expected at most {MAX_PIXELS:,} pixels")
    claimed, stored = spec.image_bytes(True), file.stat().st_size
    if claimed > max(_FREE_BYTES, _MOST_PER_BYTE * stored):
        raise InputError(f"{found} in {stored} bytes, expected more data (damaged?)")


def _colour_channels(file: Path, spec: Any) -> list[int]:
    """Indices of R, G, B (a grey channel three times)."""
    names = list(spec.channelnames)
    if all(name in names for name in "RGB"):
        return [names.index(name) for name in "RGB"]
    if names[0] == "Y" and not {"RY", "BY"} & set(names):
        return [0, 0, 0]
    raise InputError(f"{file}: found channels {', '.join(names)}, expected R, G, B or Y")


def _oriented(image: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Apply the orientation tag (EXIF 2.3, tag 0x0112): how row 0 and column 0 of the file lie in the scene."""
    if orientation >= 5:  # rows and columns exchanged
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def _check_png(file: Path) -> None:
    """Follow the chunks of a PNG to its end (libpng would print its complaint to the terminal)."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            signed, complete = stream.read(8) == _PNG_SIGNATURE, _png_complete(stream, size)
    except OSError as error:
        raise InputError(f"{file}: cannot be opened ({error.strerror})") from error
    if not signed:
        raise InputError(f"{file}: found no PNG signature, expected a PNG file")
    if not complete:
        raise InputError(f"{file}: found a PNG that ends after {size} bytes, expected more (it is truncated)")


def _png_complete(stream: BinaryIO, size: int) -> bool:
    """Whether the chunks from the current position lead to an IEND chunk within the file's size."""
    head = stream.read(8)
    while len(head) == 8:
        length, kind = struct.unpack(">I4s", head)
        if stream.tell() + length + 4 > size:  # contents, then a checksum of 4 bytes
            return False
        if kind == b"IEND":
            return True
        stream.seek(length + 4, os.SEEK_CUR)
        head = stream.read(8)
    return False


def _check_finite(file: Path, image: NDArray[np.float32]) -> None:
    if not np.isfinite(image).all():
        count = int(image.size - np.isfinite(image).sum())
        raise InputError(f"{file}: found {count} NaN or infinite values, expected finite ones")


def _one_line(message: str) -> str:
    return " ".join(message.split())[:200]
