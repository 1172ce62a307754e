"""HDR clips out of HDR stills: a moving virtual camera in a panorama or photograph, with moving layers in front.

`generate_scene` draws what happens and `Scene.render` takes frames of it. All radiance is linear, Rec. 709 primaries,
in units of the background's median; `lrhdr.synthesis` brings it to the scale of the camera.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lrhdr.layers import Layer, encode_log, make_layer
from lrhdr.motion import MotionConfig, Path, Pose
from lrhdr.randomness import numpy_generator
from lrhdr.views import HdrSource, View, pixel_offsets, random_view


@dataclass(frozen=True)
class SceneConfig:
    """What may happen in a generated scene.

    Attributes:
        camera: motion of the camera (the whole frame).
        objects: motion of the layers.
        max_layers: at most so many moving layers.
        blur_share: share of the scenes with motion blur.
        light_change_share: share of the layers whose brightness changes over time.
    """

    camera: MotionConfig = field(default_factory=lambda: MotionConfig(median_speed=3.0, still_share=0.2))
    objects: MotionConfig = field(default_factory=lambda: MotionConfig(median_speed=6.0, still_share=0.08))
    max_layers: int = 3
    blur_share: float = 0.12
    light_change_share: float = 0.1

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a share outside [0, 1] or a negative count.
        """
        if self.max_layers < 0 or not 0 <= self.blur_share <= 1 or not 0 <= self.light_change_share <= 1:
            raise ValueError(f"expected max_layers >= 0 and shares in [0, 1], found {self}")


@dataclass(frozen=True)
class Scene:
    """A view, its camera's path, and layers in front of it.

    Attributes:
        view: the background.
        path: camera path; poses in output pixels.
        layers: moving layers, far to near.
        shutter: open time of the longest exposure as a share of the frame interval; 0 is no motion blur.
        names: the sources it may draw on.
    """

    view: View
    path: Callable[[float], Pose]
    layers: tuple[Layer, ...]
    shutter: float
    names: tuple[str, ...]

    def _instant(self, size: tuple[int, int], time: float) -> Tensor:
        frame = self.view.render(size, self.path(time))
        x, y = pixel_offsets(size)
        for layer in self.layers:
            frame = layer.draw(frame, x, y, time)
        return frame

    def render(self, size: tuple[int, int], time: float, open_share: float = 1.0) -> Tensor:
        """Take one frame.

        Args:
            size: (H, W).
            time: in frames.
            open_share: this frame's exposure time over the longest one's, (0, 1]: shorter exposures blur less.

        Returns:
            (3, H, W), linear radiance (mean over the open time, so its scale does not depend on the exposure).
        """
        span = self.shutter * open_share
        if span <= 0.02:
            return self._instant(size, time)
        steps = 5
        total = torch.zeros(3, *size)
        for i in range(steps):
            total += self._instant(size, time + span * ((i + 0.5) / steps - 0.5))
        return total / steps


def _random_layers(
    sources: Sequence[HdrSource],
    size: tuple[int, int],
    config: SceneConfig,
    rng: np.random.Generator,
    count: int,
    origin: float,
) -> tuple[Layer, ...]:
    """Cut `count` layers out of random sources and set them moving."""
    layers = []
    for _ in range(count):
        source = sources[int(rng.integers(0, len(sources)))]
        extent = float(min(size)) * math.exp(rng.uniform(math.log(0.12), math.log(0.7)))
        side = round(min(max(extent, 24.0), 320.0))
        texture = encode_log(random_view(source, (side, side), rng).render((side, side)))
        lights = rng.random() < config.light_change_share
        layers.append(make_layer(texture, size, config.objects, rng, origin=origin, light_change=lights))
    return tuple(layers)


def overlay_layers(
    clip: Tensor, sources: Sequence[HdrSource], config: SceneConfig, generator: torch.Generator
) -> Tensor:
    """Lay one or two generated moving layers over an existing clip.

    Args:
        clip: (T, 3, H, W), linear, any scale.
        sources: what the layers are cut from.
        config: motion of the layers.
        generator: where the numbers come from.

    Returns:
        (T, 3, H, W), linear, the clip's scale.
    """
    rng = numpy_generator(generator)
    size = (clip.shape[-2], clip.shape[-1])
    layers = _random_layers(sources, size, config, rng, int(rng.integers(1, 3)), len(clip) // 2)
    level = clip.mean(1).median().clamp_min(1e-6)
    x, y = pixel_offsets(size)
    frames = []
    for t, original in enumerate(clip):
        frame = original / level
        for layer in layers:
            frame = layer.draw(frame, x, y, float(t))
        frames.append(frame * level)
    return torch.stack(frames)


def generate_scene(
    sources: Sequence[HdrSource],
    size: tuple[int, int],
    config: SceneConfig,
    generator: torch.Generator,
    *,
    origin: float = 0.0,
) -> Scene:
    """Draw a scene.

    Args:
        sources: the first is the background, layers are cut from any of them.
        size: (H, W) of the frames it will be rendered at.
        config: what may happen.
        generator: where the numbers come from.
        origin: the time at which the layers are where they were placed (inside the frame).

    Returns:
        The scene.

    Raises:
        ValueError: no sources.
    """
    if not sources:
        raise ValueError("expected at least one source, found none")
    rng = numpy_generator(generator)
    speed = config.camera.sample_speed(rng)
    tremor = 0.0
    if rng.random() > config.camera.still_share:
        tremor = config.camera.tremor * math.exp(0.7 * rng.standard_normal())
    radius = 0.5 * math.hypot(*size)
    path = Path(rng, speed, radius, tremor=tremor, turn=0.25, origin=origin)
    view = random_view(sources[0], size, rng, margin=min(6.0 * speed + 8.0, 0.5 * min(size)))
    layers = _random_layers(sources, size, config, rng, int(rng.integers(0, config.max_layers + 1)), origin)
    shutter = float(rng.uniform(0.3, 0.9)) if rng.random() < config.blur_share else 0.0
    return Scene(view, path, layers, shutter, tuple(dict.fromkeys(s.name for s in sources)))
