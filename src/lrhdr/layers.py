"""Moving layers: a piece of an HDR still, cut out by a soft irregular mask, with its own motion.

Layers are laid over a frame far to near. Shapes are what
motion estimation finds hard in real footage: blobs and polygons, thin bars, torn foliage-like masks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lrhdr.filters import gaussian_blur
from lrhdr.motion import MotionConfig, Path, Pose

_LOG_GAIN = 50.0


def encode_log(radiance: Tensor) -> Tensor:
    """Radiance (>= 0, any shape) to the domain in which textures are stored and interpolated, `log(1 + 50 x)`.

    Next to a sun 10,000 times brighter than its surroundings, interpolation in radiance would draw staircases.
    """
    return torch.log1p(_LOG_GAIN * radiance)


def decode_log(encoded: Tensor) -> Tensor:
    """Undo `encode_log`; values below 0 give 0."""
    return torch.expm1(encoded.clamp_min(0.0)) / _LOG_GAIN


def _star(rng: np.random.Generator, angle: Tensor, polygon: bool) -> Tensor:
    """Radius of a random star-shaped outline for each angle, about 0.45 to 0.95."""
    if polygon:
        corners = int(rng.integers(3, 9))
        at = np.sort(rng.uniform(-math.pi, math.pi, corners))
        radii = rng.uniform(0.45, 0.95, corners)
        # Periodic linear interpolation in the angle: corners joined by gently bent edges.
        xs = np.concatenate([at - 2 * math.pi, at, at + 2 * math.pi])
        ys = np.tile(radii, 3)
        return torch.from_numpy(np.interp(angle.numpy(), xs, ys).astype(np.float32))
    radius = torch.full_like(angle, 0.7)
    for k in range(1, 7):
        amplitude = 0.22 * rng.standard_normal() / k
        radius = radius + amplitude * torch.cos(k * angle + float(rng.uniform(0, 2 * math.pi)))
    return radius.clamp(0.25, 0.95)


def random_mask(rng: np.random.Generator, size: int) -> Tensor:
    """Draw an irregular mask.

    Args:
        rng: where the numbers come from.
        size: side in pixels.

    Returns:
        (1, 1, size, size) in [0, 1], 0 at the border; edges soft over 1 to about 3 pixels.
    """
    axis = (torch.arange(size, dtype=torch.float32) + 0.5) * (2.0 / size) - 1.0
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    softness = float(rng.uniform(0.5, 1.5)) * 2.0 / size
    kind = rng.choice(4, p=[0.4, 0.25, 0.15, 0.2])
    if kind == 2:  # a bar: pole, arm, branch
        half_width = float(rng.uniform(0.04, 0.25))
        bend = float(rng.normal(0.0, 0.3))
        distance = half_width - (y - bend * (x * x - 0.3)).abs()
        distance = torch.minimum(distance, 0.9 - x.abs())
    else:
        stretch = math.exp(float(rng.normal(0.0, 0.3)))
        px, py = x * max(stretch, 1.0), y / min(stretch, 1.0)
        radius = torch.sqrt(px * px + py * py)
        distance = _star(rng, torch.atan2(py, px), polygon=bool(kind == 1)) - radius
        if kind == 3:  # torn: holes and fringes of smooth noise
            noise = torch.from_numpy(rng.standard_normal((1, 1, size, size)).astype(np.float32))
            noise = gaussian_blur(noise, max(size * float(rng.uniform(0.015, 0.06)), 0.8))[0, 0]
            noise = noise / noise.std().clamp_min(1e-6)
            distance = torch.minimum(distance, (noise + float(rng.uniform(0.0, 0.6))) * 0.05)
    mask = torch.sigmoid(distance / softness * 2.0)
    rim = torch.minimum(1.0 - x.abs(), 1.0 - y.abs())
    return (mask * (rim * size / 4.0).clamp(0.0, 1.0))[None, None]


def _sample(texture: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Fetch (1, C, S, S) at texture pixels from its middle, (H, W) each: (C, H, W); border clamp."""
    grid = torch.stack((u, v), -1)[None] * (2.0 / texture.shape[-1])
    return F.grid_sample(texture, grid, mode="bilinear", padding_mode="border", align_corners=False)[0]


@dataclass(frozen=True)
class Layer:
    """One moving layer.

    Attributes:
        texture: (1, 4, S, S): log radiance (3) and coverage (1).
        centre: (x, y) where the path begins, pixels from the middle of the frame.
        scale: frame pixels per texture pixel.
        angle: turn of the texture, radians.
        path: motion: time in frames to pose.
        wobble: amplitude of the non-rigid deformation in texture pixels, its wavelength in texture pixels, its speed in
            radians per frame, and its phase.
        light: amplitude of the brightness change in stops, and its speed in radians per frame; brightness is constant
            with amplitude 0.
        opacity: 1 is solid; less lets the background shine through (smoke, glass).
    """

    texture: Tensor
    centre: tuple[float, float]
    scale: float
    angle: float
    path: Callable[[float], Pose]
    wobble: tuple[float, float, float, float]
    light: tuple[float, float]
    opacity: float = 1.0

    def locate(self, x: Tensor, y: Tensor, time: float) -> tuple[Tensor, Tensor]:
        """Which part of the texture lies at a place of the frame.

        Args:
            x: any shape, pixel coordinates relative to the middle of the frame.
            y: same shape.
            time: in frames.

        Returns:
            (u, v), texture pixels from the middle of the texture.
        """
        pose = self.path(time)
        scale = self.scale * math.exp(pose.log_scale)
        angle = self.angle + pose.rotation
        dx, dy = x - (self.centre[0] + pose.dx), y - (self.centre[1] + pose.dy)
        c, s = math.cos(angle) / scale, math.sin(angle) / scale
        return self._bend(c * dx + s * dy, c * dy - s * dx, time)

    def place(self, u: Tensor, v: Tensor, time: float) -> tuple[Tensor, Tensor]:
        """Where a part of the texture lies in the frame: undoes `locate`, to about 1e-4 pixels."""
        pose = self.path(time)
        scale = self.scale * math.exp(pose.log_scale)
        angle = self.angle + pose.rotation
        straight_u, straight_v = u, v
        if self.wobble[0] > 0:
            # The deformation shrinks differences (amplitude times wave number stays below 1), so this converges.
            for _ in range(60):
                bent_u, bent_v = self._bend(straight_u, straight_v, time)
                straight_u, straight_v = straight_u + (u - bent_u), straight_v + (v - bent_v)
        c, s = math.cos(angle) * scale, math.sin(angle) * scale
        x = c * straight_u - s * straight_v + (self.centre[0] + pose.dx)
        return x, s * straight_u + c * straight_v + (self.centre[1] + pose.dy)

    def coverage(self, x: Tensor, y: Tensor, time: float) -> Tensor:
        """How much of what lies behind is hidden at places of the frame: (H, W) in [0, 1], for x and y of (H, W)."""
        return _sample(self.texture[:, 3:4], *self.locate(x, y, time))[0] * self.opacity

    def _bend(self, u: Tensor, v: Tensor, time: float) -> tuple[Tensor, Tensor]:
        amplitude, wavelength, speed, phase = self.wobble
        if not amplitude > 0:
            return u, v
        k = 2.0 * math.pi / wavelength
        return (
            u + amplitude * torch.sin(k * v + speed * time + phase),
            v + amplitude * torch.sin(k * u + 1.3 * speed * time + 2.0 * phase),
        )

    def draw(self, frame: Tensor, x: Tensor, y: Tensor, time: float) -> Tensor:
        """Lay this layer over a frame.

        Args:
            frame: (3, H, W), linear.
            x: (H, W), pixel coordinates relative to the middle of the frame.
            y: (H, W).
            time: in frames.

        Returns:
            (3, H, W), linear.
        """
        pose = self.path(time)
        scale = self.scale * math.exp(pose.log_scale)
        side = self.texture.shape[-1]
        reach = 0.75 * side * scale
        centre_x, centre_y = self.centre[0] + pose.dx, self.centre[1] + pose.dy
        height, width = frame.shape[-2:]
        top = max(math.floor(centre_y - reach + height / 2), 0)
        bottom = min(math.ceil(centre_y + reach + height / 2), height)
        left = max(math.floor(centre_x - reach + width / 2), 0)
        right = min(math.ceil(centre_x + reach + width / 2), width)
        if top >= bottom or left >= right:
            return frame
        box = (slice(top, bottom), slice(left, right))
        sampled = _sample(self.texture, *self.locate(x[box], y[box], time))
        alpha = sampled[3:4] * self.opacity
        radiance = decode_log(sampled[:3])
        stops, rate = self.light
        if stops > 0:
            radiance = radiance * 2.0 ** (stops * math.sin(rate * time))
        result = frame.clone()
        result[:, box[0], box[1]] += alpha * (radiance - result[:, box[0], box[1]])
        return result


def make_layer(
    texture: Tensor,
    size: tuple[int, int],
    motion: MotionConfig,
    rng: np.random.Generator,
    *,
    origin: float = 0.0,
    light_change: bool = False,
) -> Layer:
    """Cut a layer out of a texture and give it a place and a motion.

    Args:
        texture: (3, S, S), log radiance.
        size: (H, W) of the frames.
        motion: how fast it moves.
        rng: where the numbers come from.
        origin: time at which it is where it was placed.
        light_change: let its brightness change over time.

    Returns:
        The layer.
    """
    side = texture.shape[-1]
    radiance = decode_log(texture)
    level = float(radiance.mean(0).median().clamp_min(1e-3))
    # From a dark silhouette to a lamp, relative to the background's median 1.
    stops = rng.normal(0.0, 1.6) + (rng.uniform(2.0, 5.0) if rng.random() < 0.12 else 0.0)
    gain = 2.0**stops / level * torch.from_numpy(np.exp(rng.normal(0.0, 0.15, 3)).astype(np.float32)).view(3, 1, 1)
    encoded = encode_log((radiance * gain).clamp_max(1e4))
    rgba = torch.cat((encoded[None], random_mask(rng, side)), 1)
    speed = motion.sample_speed(rng)
    wobble = (0.0, 1.0, 0.0, 0.0)
    if rng.random() < 0.3:
        wobble = (
            float(min(rng.exponential(1.5), 0.04 * side)),
            float(side * rng.uniform(0.3, 1.0)),
            float(rng.normal(0.0, 0.6)),
            float(rng.uniform(0.0, 2.0 * math.pi)),
        )
    return Layer(
        texture=rgba,
        centre=(float(rng.uniform(-0.42, 0.42) * size[1]), float(rng.uniform(-0.42, 0.42) * size[0])),
        scale=float(rng.uniform(0.9, 1.3)),
        angle=float(rng.uniform(-math.pi, math.pi) if rng.random() < 0.3 else rng.normal(0.0, 0.2)),
        path=Path(rng, speed, 0.5 * side, turn=0.5, origin=origin),
        wobble=wobble,
        light=(float(rng.uniform(0.1, 0.8)), float(rng.uniform(0.3, 1.5))) if light_change else (0.0, 0.0),
        opacity=float(rng.uniform(0.4, 0.9)) if rng.random() < 0.08 else 1.0,
    )
