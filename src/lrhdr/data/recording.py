"""What a camera does to its frames before they are a file: noise reduction and a codec.

The sensor's noise is white; what people record is not. Noise reduction leaves blotches, JPEG and H.264 take the weakest
detail away and halve the colour's resolution, more so in the shadows of a short exposure and differently from frame to
frame. Footage for training and evaluation goes through the same here, after `lrhdr.camera`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrhdr.io.encoder import Encoder, StreamSettings, Timing
from lrhdr.io.video import VideoReader
from lrhdr.io.video_writer import BT709, even_size, planes_of_rgb
from lrhdr.randomness import numpy_generator

_LEAD, _TRAIL = 4, 2  # frames beside a window: its first frame is then no key frame, its last is predicted both ways
_SUBSAMPLING = {"4:4:4": 0x111111, "4:2:2": 0x211111, "4:2:0": 0x221111}  # OpenCV's IMWRITE_JPEG_SAMPLING_FACTOR


@dataclass(frozen=True)
class RecordingConfig:
    """What happens to frames after the sensor.

    Attributes:
        denoise: strength of the camera's noise reduction: range of code values (1.0 = white) that a bilateral filter of
            5 x 5 pixels averages over; 0 switches it off.
        codec: "none", "jpeg" (each frame by itself) or "h264" (4:2:0, 8 bits, as one video).
        quality: of JPEG, 1 to 100.
        subsampling: of JPEG's colour.
        crf: x264's constant rate factor, 0 to 51; 18 is visually lossless by its authors' word.
        b_frames: x264's most B frames in a row.
        preset: x264's preset.
    """

    denoise: float = 0.0
    codec: Literal["none", "jpeg", "h264"] = "none"
    quality: int = 90
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] = "4:2:0"
    crf: float = 20.0
    b_frames: int = 2
    preset: str = "veryfast"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a value outside its range.
        """
        if not (self.denoise >= 0.0 and 1 <= self.quality <= 100 and 0.0 <= self.crf <= 51.0 and self.b_frames >= 0):
            raise ValueError(f"expected denoise >= 0, quality 1 to 100, crf 0 to 51, b_frames >= 0, found {self}")
        if self.codec not in ("none", "jpeg", "h264") or self.subsampling not in _SUBSAMPLING:
            raise ValueError(f"expected a codec 'none', 'jpeg' or 'h264' and a known subsampling, found {self}")

    @classmethod
    def sample(cls, generator: torch.Generator) -> RecordingConfig:
        """Draw a recording between a careful one and a small camera's; the ranges are ours.

        Six of ten are H.264 (crf 10 to 27), a quarter JPEG (quality 75 to 98), the rest frames as they are; three of
        ten cameras reduce noise.
        """
        rng = numpy_generator(generator)
        return cls(
            denoise=float(rng.uniform(0.01, 0.06)) if rng.random() < 0.3 else 0.0,
            codec=str(rng.choice(["h264", "jpeg", "none"], p=[0.6, 0.25, 0.15])),  # type: ignore[arg-type]
            quality=int(rng.integers(75, 99)),
            subsampling=str(rng.choice(list(_SUBSAMPLING), p=[0.1, 0.3, 0.6])),  # type: ignore[arg-type]
            crf=float(rng.uniform(10.0, 27.0)),
            b_frames=int(rng.choice([0, 2])),
            preset=str(rng.choice(["veryfast", "medium"])),
        )

    def describe(self) -> str:
        """In words: "noise reduction, H.264 of crf 20"."""
        codecs = {
            "jpeg": f"JPEG of quality {self.quality}, {self.subsampling}",
            "h264": f"H.264 of crf {self.crf:g}, 4:2:0",
            "none": "no codec",
        }
        return ("noise reduction, " if self.denoise > 0.0 else "") + codecs[self.codec]


RECORDINGS: dict[str, RecordingConfig] = {
    "none": RecordingConfig(),
    "jpeg": RecordingConfig(codec="jpeg"),
    "h264": RecordingConfig(codec="h264", preset="medium"),
    "denoised-h264": RecordingConfig(denoise=0.03, codec="h264", preset="medium"),
}
"""Recordings to evaluate with, by name."""


def window_order(n_frames: int) -> tuple[list[int], int]:
    """The frames of a window, and mirrored ones before and after, for a codec that looks at more than one.

    Args:
        n_frames: of the window, at least 3.

    Returns:
        Indices into the window, and how many of them come before it.
    """
    period = 2 * (n_frames - 1)  # back and forth between the ends
    return [min(k % period, -k % period) for k in range(-_LEAD, n_frames + _TRAIL)], _LEAD


def record(ldr: Tensor, config: RecordingConfig) -> Tensor:
    """Record a clip.

    Args:
        ldr: (T, 3, H, W), gamma-encoded in [0, 1].
        config: how.

    Returns:
        (T, 3, H, W), gamma-encoded in [0, 1], as a reader of the file sees it.

    Raises:
        OutputError: the encoder is missing, or the temporary folder cannot be written.
    """
    if config.denoise == 0.0 and config.codec == "none":
        return ldr
    frames = [np.ascontiguousarray(f.permute(1, 2, 0).numpy(), dtype=np.float32) for f in ldr]
    if config.denoise > 0.0:
        frames = [np.asarray(cv2.bilateralFilter(f, 5, config.denoise, 1.5)) for f in frames]
    if config.codec == "jpeg":
        frames = [_jpeg(f, config) for f in frames]
    elif config.codec == "h264":
        frames = _h264(frames, config)
    return torch.stack([torch.from_numpy(f).permute(2, 0, 1) for f in frames]).clamp(0.0, 1.0)


def _jpeg(frame: NDArray[np.float32], config: RecordingConfig) -> NDArray[np.float32]:
    codes = np.round(frame[..., ::-1].clip(0.0, 1.0) * 255.0).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, config.quality]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SUBSAMPLING[config.subsampling]]
    _, data = cv2.imencode(".jpg", codes, options)
    read = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert read is not None
    return np.ascontiguousarray(read[..., ::-1], dtype=np.float32) / np.float32(255)


def _h264(frames: list[NDArray[np.float32]], config: RecordingConfig) -> list[NDArray[np.float32]]:
    height, width = frames[0].shape[:2]
    # One thread: x264 gives other files with another number of threads. The macroblock tree: see `VideoWriter`.
    options = {"crf": f"{config.crf:g}", "preset": config.preset, "threads": "1"}
    options["x264-params"] = f"bframes={config.b_frames}:no-mbtree=1"
    settings = StreamSettings("libx264", "yuv420p", options, BT709)
    with TemporaryDirectory(prefix="lrhdr-recording-") as folder:
        path = Path(folder) / "clip.mp4"
        with Encoder(path, Timing(Fraction(24)), even_size((height, width)), settings) as encoder:
            for frame in frames:
                encoder.put(planes_of_rgb(frame))
        return [f.image[:height, :width] for f in VideoReader(path).timed_frames()]
