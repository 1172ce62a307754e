"""HDR stills and a virtual camera that looks at them.

A still becomes an `HdrSource` once (`prepare_source`): normalised, suns clipped, as a pyramid against aliasing. A
`View` renders perspective frames of an equirectangular panorama, or crops of an ordinary photograph. All radiance is
linear, Rec. 709 primaries, in units of the source's median.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lrhdr.filters import downsample2
from lrhdr.layers import decode_log, encode_log
from lrhdr.motion import Pose

_SUN = 1e4
_WRAP = 4
# How far bicubic interpolation may leave the range of bilinear, in log radiance: sharp, but no dark rings round lamps.
_OVERSHOOT = 0.08


@dataclass(frozen=True)
class HdrSource:
    """An HDR still, ready to be looked at.

    Attributes:
        name: for the record of what a sample was made of.
        panorama: equirectangular (360 x 180 degrees) or an ordinary picture.
        levels: pyramid, each half the size of the one before, (1, 3, h, w), `encode_log` domain; panoramas carry
            `_WRAP` columns of the other side at both sides.
    """

    name: str
    panorama: bool
    levels: tuple[Tensor, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the full level, without wrap columns."""
        height, width = self.levels[0].shape[-2:]
        return height, width - 2 * _WRAP if self.panorama else width


def prepare_source(name: str, image: np.ndarray, panorama: bool | None = None) -> HdrSource:
    """Normalise a scene-linear still.

    Args:
        name: what to call it.
        image: (H, W, 3) float, scene-linear, any scale. Negative and non-finite values become 0.
        panorama: None takes pictures whose width is exactly twice their height for equirectangular panoramas.

    Returns:
        The source: median luminance 1, clipped at 10,000.

    Raises:
        ValueError: not (H, W, 3), or smaller than 16 pixels.
    """
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 16:
        raise ValueError(f"{name}: expected (H, W, 3) of at least 16 pixels, found {image.shape}")
    is_panorama = image.shape[1] == 2 * image.shape[0] if panorama is None else panorama
    x = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32)).permute(2, 0, 1)[None]
    x = torch.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0).clamp_min(0.0)
    grey = x.mean(1)
    positive = grey[grey > 0]
    if positive.numel():
        x = x / positive.median()
    x = x.clamp_max(_SUN)
    levels = []
    while True:
        encoded = encode_log(x)
        levels.append(F.pad(encoded, (_WRAP, _WRAP, 0, 0), mode="circular") if is_panorama else encoded)
        if min(x.shape[-2:]) < 128:
            return HdrSource(name, is_panorama, tuple(levels))
        x = downsample2(x)


def _fetch(level: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Interpolate at (x, y), (H, W) each, in pixels with pixel centres at .5; border clamp. Returns (3, H, W)."""
    height, width = level.shape[-2:]
    grid = torch.stack((x * (2.0 / width) - 1.0, y * (2.0 / height) - 1.0), -1)[None]
    smooth = F.grid_sample(level, grid, mode="bilinear", padding_mode="border", align_corners=False)
    sharp = F.grid_sample(level, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return torch.minimum(torch.maximum(sharp, smooth - _OVERSHOOT), smooth + _OVERSHOOT)[0]


def pixel_offsets(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pixel coordinates (x, y), (H, W) each, relative to the middle of the frame."""
    y = torch.arange(size[0], dtype=torch.float32) + 0.5 - size[0] / 2
    x = torch.arange(size[1], dtype=torch.float32) + 0.5 - size[1] / 2
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return grid_x, grid_y


def apply_pose(x: Tensor, y: Tensor, pose: Pose) -> tuple[Tensor, Tensor]:
    """Rotate, scale and shift frame coordinates."""
    scale = math.exp(pose.log_scale)
    c, s = math.cos(pose.rotation) * scale, math.sin(pose.rotation) * scale
    return c * x - s * y + pose.dx, s * x + c * y + pose.dy


@dataclass(frozen=True)
class View:
    """A virtual camera on one source.

    Attributes:
        source: what it looks at.
        focal: panoramas: focal length in output pixels. Pictures: output pixels per source pixel.
        yaw: panoramas: heading, radians. Pictures: x of the view's centre, source pixels.
        pitch: panoramas: elevation, radians (up is positive). Pictures: y of the view's centre, source pixels.
        gain: (3,) colour gain.
    """

    source: HdrSource
    focal: float
    yaw: float
    pitch: float
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def render(self, size: tuple[int, int], pose: Pose | None = None) -> Tensor:
        """Take a frame.

        Args:
            size: (H, W) in pixels.
            pose: the camera's movement away from its start, in output pixels.

        Returns:
            (3, H, W), linear.
        """
        x, y = apply_pose(*pixel_offsets(size), pose or Pose())
        height, width = self.source.size
        if self.source.panorama:
            cos, sin = math.cos(self.pitch), math.sin(self.pitch)
            # Ray (x, y, focal), y down, tilted by the pitch and turned by the yaw.
            forward = self.focal * cos + y * sin
            down = y * cos - self.focal * sin
            longitude = torch.atan2(x, forward) + self.yaw
            latitude = torch.atan2(-down, torch.sqrt(x * x + forward * forward))
            u = torch.remainder(longitude / (2.0 * math.pi) + 0.5, 1.0) * width
            v = (0.5 - latitude / math.pi) * height
            source_step = width / (2.0 * math.pi * self.focal)
        else:
            u, v = x / self.focal + self.yaw, y / self.focal + self.pitch
            source_step = 1.0 / self.focal
        # A level at most 1.4 source pixels per output pixel: what bicubic interpolation bears without visible aliasing.
        index = min(max(math.ceil(math.log2(max(source_step, 1e-6) / 1.4)), 0), len(self.source.levels) - 1)
        level = self.source.levels[index]
        full_height, full_width = self.source.size
        level_width = level.shape[-1] - (2 * _WRAP if self.source.panorama else 0)
        u = u * (level_width / full_width) + (_WRAP if self.source.panorama else 0)
        v = v * (level.shape[-2] / full_height)
        return decode_log(_fetch(level, u, v)) * torch.tensor(self.gain).view(3, 1, 1)


def random_view(source: HdrSource, size: tuple[int, int], rng: np.random.Generator, margin: float = 0.0) -> View:
    """Point a virtual camera somewhere.

    Args:
        source: what to look at.
        size: (H, W) of the frames.
        rng: where the numbers come from.
        margin: how far the camera will move, output pixels; pictures are framed so that it stays inside if it can.

    Returns:
        Panoramas: 45 to 75 degrees across the longer side, near the horizon. Pictures: a crop at 0.3 to 1 output pixel
        per source pixel.
    """
    longer = float(max(size))
    red, green, blue = np.exp(rng.normal(0.0, 0.1, 3)).tolist()
    gain = (red, green, blue)
    if source.panorama:
        angle = math.radians(rng.uniform(45.0, 75.0))
        pitch = math.radians(float(np.clip(rng.normal(0.0, 18.0), -50.0, 50.0)))
        focal = 0.5 * longer / math.tan(angle / 2)
        return View(source, focal, float(rng.uniform(0.0, 2.0 * math.pi)), pitch, gain)
    height, width = source.size
    fit = max((size[0] + 2 * margin) / height, (size[1] + 2 * margin) / width)
    lowest = min(max(fit, max(size[0] / height, size[1] / width)), 1.0)
    focal = math.exp(rng.uniform(math.log(max(lowest, 0.25)), 0.0)) if lowest < 1.0 else max(size) / min(height, width)
    half_w, half_h = (size[1] / 2 + margin) / focal, (size[0] / 2 + margin) / focal
    centre_x = rng.uniform(half_w, width - half_w) if width > 2 * half_w else width / 2
    centre_y = rng.uniform(half_h, height - half_h) if height > 2 * half_h else height / 2
    return View(source, focal, float(centre_x), float(centre_y), gain)
