"""Colour at half resolution is found in the pixels, and nowhere else."""

import io
import math
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lrhdr.camera import CameraConfig, Demosaicing, expose
from lrhdr.chroma import colour_detail, has_coarse_colour
from lrhdr.randomness import torch_generator


def sensor_frames(demosaicing: Demosaicing = "none", bit_depth: int = 8) -> list[NDArray[np.float32]]:
    """Three frames of a smooth coloured scene, 96 x 128."""
    y, x = torch.meshgrid(torch.linspace(0.0, 1.0, 96), torch.linspace(0.0, 1.0, 128), indexing="ij")
    scene = torch.stack((0.1 + 0.3 * x, 0.15 + 0.2 * y, 0.3 - 0.2 * x * y)) + 0.05 * torch.sin(40.0 * x)
    config = CameraConfig(full_well_e=4000.0, bit_depth=bit_depth, demosaicing=demosaicing)
    generator = torch_generator(4)
    frames = (expose(scene, 1.0, config, generator).permute(1, 2, 0).numpy() for _ in range(3))
    return [np.ascontiguousarray(frame) for frame in frames]


def out_of_video(frames: list[NDArray[np.float32]], codec: str, pix_fmt: str, out: str) -> list[NDArray[np.float32]]:
    """Encode, decode and convert as FFmpeg does by default."""
    buffer: Any = io.BytesIO()
    file: Any
    with av.open(buffer, "w", format="matroska") as file:
        stream = file.add_stream(codec, rate=24)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        for frame in frames:
            codes = np.round(frame * 255.0).astype(np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(codes, format="rgb24")))
        file.mux(stream.encode())
    buffer.seek(0)
    white = np.float32(65535 if "48" in out else 255)
    with av.open(buffer) as file:
        return [frame.to_ndarray(format=out).astype(np.float32) / white for frame in file.decode(video=0)]


@pytest.mark.parametrize("bit_depth", [8, 10, 16])
@pytest.mark.parametrize("demosaicing", ["none", "bilinear", "malvar"])
def test_frames_of_a_sensor_have_fine_colour(demosaicing: Demosaicing, bit_depth: int) -> None:
    frames = sensor_frames(demosaicing, bit_depth)
    assert all(0.25 < colour_detail(frame) < 2.0 for frame in frames)
    assert not has_coarse_colour(frames)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "out"),
    [("libx264", "yuv420p", "rgb24"), ("libx265", "yuv420p10le", "rgb48le"), ("prores_ks", "yuv422p10le", "rgb48le")],
)
def test_frames_taken_out_of_video_have_coarse_colour(codec: str, pix_fmt: str, out: str) -> None:
    frames = sensor_frames()
    taken = out_of_video(frames, codec, pix_fmt, out)
    assert len(taken) == len(frames)
    assert has_coarse_colour(taken)
    assert not has_coarse_colour(out_of_video(frames, "ffv1", "bgr0", "rgb24"))


def test_frames_that_do_not_tell() -> None:
    grey = np.repeat(sensor_frames()[0][..., :1], 3, axis=2)
    for frame in (grey, np.full((64, 64, 3), 0.5, np.float32), grey * 0.0, sensor_frames()[0][:10, :10]):
        assert math.isnan(colour_detail(frame))
        assert not has_coarse_colour([frame])
    assert not has_coarse_colour([])
