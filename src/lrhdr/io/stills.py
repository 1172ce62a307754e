"""Stills out, complete or absent: Ultra HDR JPEG and AVIF (extra `stills`), Radiance .hdr, 16-bit PNG and TIFF."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.io.atomic import write_bytes

_PNG_HEADER = 8 + 25  # signature, IHDR chunk
_PQ_CICP = bytes((9, 16, 0, 1))  # H.273: BT.2020 primaries, PQ, RGB, full range

ULTRA_HDR_QUALITY = 95
AVIF_QUALITY = 90
"""Quality of 100, chosen by us: no difference to be seen at the size of the picture."""


def write_ultra_hdr(path: Path, light: NDArray[np.float32]) -> None:
    """Write a JPEG with a gain map (ISO 21496-1): an SDR picture everywhere, HDR where that is understood.

    Args:
        path: the file; its folder must exist.
        light: (H, W, 3), linear, Rec. 709, 1.0 = SDR white.

    Raises:
        InputError: imagecodecs is not installed, or the picture is too small for it.
        OutputError: the file cannot be written.
    """
    codecs = _imagecodecs(path)
    kinds = codecs.ULTRAHDR
    pixels = np.ones((*light.shape[:2], 4), np.float16)
    pixels[..., :3] = np.clip(light, 0, 65504)
    try:
        data = codecs.ultrahdr_encode(
            pixels, ULTRA_HDR_QUALITY, transfer=kinds.CT.LINEAR, gamut=kinds.CG.BT_709, usage=kinds.USAGE.QUALITY
        )
    except codecs.UltrahdrError as error:
        raise InputError(
            f"{path}: Ultra HDR takes no picture of {light.shape[1]}x{light.shape[0]} ({error})"
        ) from error
    write_bytes(path, data)


def write_avif(path: Path, signal: NDArray[np.float32]) -> None:
    """Write a 10-bit AVIF, BT.2020, PQ, 4:4:4, full range.

    Args:
        path: the file; its folder must exist.
        signal: (H, W, 3), PQ-encoded R'G'B' with BT.2020 primaries, [0, 1].

    Raises:
        InputError: imagecodecs is not installed.
        OutputError: the file cannot be written.
    """
    codecs = _imagecodecs(path)
    kinds = codecs.AVIF
    codes = np.rint(signal * 1023).astype(np.uint16)
    data = codecs.avif_encode(
        codes,
        AVIF_QUALITY,
        bitspersample=10,
        pixelformat=kinds.PIXEL_FORMAT.YUV444,
        primaries=kinds.COLOR_PRIMARIES.BT2020,
        transfer=kinds.TRANSFER_CHARACTERISTICS.PQ,
        matrix=kinds.MATRIX_COEFFICIENTS.BT2020_NCL,
        numthreads=1,
    )
    write_bytes(path, data)


def write_radiance(path: Path, image: NDArray[np.float32]) -> None:
    """Write Radiance RGBE.

    Args:
        path: the file; its folder must exist.
        image: (H, W, 3), linear, Rec. 709, >= 0.

    Raises:
        OutputError: the file cannot be written.
    """
    write_bytes(path, _encoded(".hdr", np.maximum(image, 0)))


def write_png16(path: Path, signal: NDArray[np.float32], *, pq: bool = False) -> None:
    """Write a 16-bit PNG that says what its values mean (PNG third edition: sRGB, or cICP for PQ).

    Args:
        path: the file; its folder must exist.
        signal: (H, W, 3) R'G'B' in [0, 1]: sRGB, or PQ with BT.2020 primaries.
        pq: which of the two.

    Raises:
        OutputError: the file cannot be written.
    """
    data = _encoded(".png", _codes16(signal))
    chunk = b"cICP" + _PQ_CICP if pq else b"sRGB\0"
    tagged = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    write_bytes(path, data[:_PNG_HEADER] + tagged + data[_PNG_HEADER:])


def write_tiff16(path: Path, signal: NDArray[np.float32]) -> None:
    """Write a 16-bit TIFF (LZW, lossless).

    Args:
        path: the file; its folder must exist.
        signal: (H, W, 3) R'G'B' in [0, 1].

    Raises:
        OutputError: the file cannot be written.
    """
    write_bytes(path, _encoded(".tiff", _codes16(signal)))


def _codes16(signal: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.rint(np.clip(signal, 0, 1) * 65535).astype(np.uint16)


def _encoded(suffix: str, image: NDArray[Any]) -> bytes:
    done, data = cv2.imencode(suffix, np.ascontiguousarray(image[..., ::-1]))
    assert done, "the encoder takes every array that the callers make"
    return data.tobytes()


def _imagecodecs(path: Path) -> Any:
    try:
        import imagecodecs
    except ImportError as error:
        raise InputError(
            f"{path}: needs the package imagecodecs, found none; install with: pip install 'lrhdr[stills]'"
        ) from error
    return imagecodecs
