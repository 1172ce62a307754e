"""Tiny valid files of every kind that is read, made in memory or in a scratch folder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import tifffile

from lrhdr.io.exr import encode_exr, encode_exr_layers


def picture(height: int = 6, width: int = 8, bits: int = 8) -> np.ndarray:
    """(H, W, 3) codes, a ramp with some noise."""
    rng = np.random.default_rng(1)
    ramp = np.linspace(0.1, 0.9, width)[None, :, None] * np.ones((height, 1, 3)) + rng.uniform(-0.05, 0.05, 3)
    return np.rint(ramp.clip(0, 1) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def _encoded(suffix: str, image: np.ndarray, options: list[int] | None = None) -> bytes:
    done, data = cv2.imencode(suffix, image[..., ::-1] if image.ndim == 3 else image, options or [])
    assert done, suffix
    return data.tobytes()


def _through(folder: Path, name: str, write: Any) -> bytes:
    path = folder / name
    write(path)
    data = path.read_bytes()
    path.unlink()
    return data


def png_files(_: Path) -> list[bytes]:
    grey = picture()[..., 0]
    return [_encoded(".png", picture()), _encoded(".png", picture(bits=16)), _encoded(".png", grey)]


def jpeg_files(_: Path) -> list[bytes]:
    from PIL import Image

    image = Image.fromarray(picture(16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation
    exif.get_ifd(0x8769)[0x829A] = 0.01  # exposure time
    import io

    stream = io.BytesIO()
    image.save(stream, "jpeg", exif=exif)
    return [stream.getvalue(), _encoded(".jpg", picture(16, 16)), _encoded(".jpg", picture(16, 16)[..., 0])]


def tiff_files(folder: Path) -> list[bytes]:
    light = picture().astype(np.float32) / 255.0
    tags = [(33434, "2I", 1, (1, 100), True)]

    def tiff(image: np.ndarray, **options: Any) -> bytes:
        return _through(folder, "seed.tif", lambda path: tifffile.imwrite(path, image, photometric="rgb", **options))

    return [
        tiff(picture(bits=16)), tiff(picture()), tiff(light), tiff(picture(), compression="zlib"),
        tiff(picture(), extratags=tags), tiff(picture(32, 32), tile=(16, 16)), tiff(picture(), bigtiff=True),
    ]  # fmt: skip


def exr_files(_: Path) -> list[bytes]:
    light = picture().astype(np.float32) / 255.0
    names: tuple[Any, ...] = ("zip", "piz", "dwaa", "none")
    return [encode_exr(light, {"expTime": 0.01}, name) for name in names] + [
        encode_exr_layers({"votes.reference": light[..., 0], "candidate": light}, {}, "zip")
    ]


def radiance_files(_: Path) -> list[bytes]:
    light = picture(8, 16).astype(np.float32) / 256.0
    return [_encoded(".hdr", light), _encoded(".pfm", light)]


def dng_files(folder: Path) -> list[bytes]:
    from dng import write_dng

    light = picture(32, 32).astype(np.float64) / 255.0
    return [_through(folder, "seed.dng", lambda path: write_dng(path, light, 0.01))]


def _video(folder: Path, suffix: str, codec: str, pix_fmt: str, options: dict[str, str]) -> bytes:
    def write(path: Path) -> None:
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream(codec, rate=Fraction(24), options=options)
            stream.width, stream.height, stream.pix_fmt = 16, 16, pix_fmt
            for i in range(3):
                frame = av.VideoFrame.from_ndarray(picture(16, 16) + np.uint8(i), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())

    return _through(folder, f"seed{suffix}", write)


def video_files(folder: Path) -> list[bytes]:
    return [
        _video(folder, ".mp4", "libx264", "yuv420p", {"preset": "ultrafast"}),
        _video(folder, ".mkv", "ffv1", "yuv444p", {}),
        _video(folder, ".mov", "mjpeg", "yuvj420p", {}),
        _video(folder, ".mp4", "libx265", "yuv420p10le", {"preset": "ultrafast", "x265-params": "log-level=none"}),
        _video(folder, ".avi", "rawvideo", "yuv420p", {}),
    ]
