"""The demo scene: a work table at the window of a dim brick room.

Metres, y up; the camera looks towards -z. The table's top is y = 0, the window wall z = -0.7. Light: the panorama
outside, a low sun through the window, a bare bulb, fairy lights, a candle.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from demo_clip import props, shapes, textures
from demo_clip.props import FPS, WALL_Z
from demo_clip.shapes import Points
from demo_clip.stage import Stage, glossy, matte, rgb

WIDTH, HEIGHT = 640, 360

_VIEW_DEGREES = 40.0
_WINDOW = (-0.10, 0.50, 0.035, 0.92)  # x from, x to, y from, y to


def build(mi: Any, folder: Path, panorama: NDArray[np.float32], frame: float, seed: int) -> dict[str, Any]:
    """The scene of one frame.

    Args:
        mi: the renderer's module, with its variant set.
        folder: where mesh files go.
        panorama: what is outside, equirectangular radiance (H, 2H, 3).
        frame: frame index (24 frames a second).
        seed: of the textures; the same for all frames.

    Returns:
        The dictionary for the renderer's `load_dict`, without an integrator.
    """
    stage = Stage(mi, folder)
    stage.items["type"] = "scene"
    parts: tuple[Callable[[Stage, np.random.Generator, float], None], ...] = (
        _room, props.shelf, props.slate, props.lamps, props.candle, props.pendulum, props.plant, props.globe,
        props.still_life,
    )  # fmt: skip
    for k, part in enumerate(parts):
        part(stage, np.random.default_rng([seed, k]), frame)
    stage.items["outside"] = {
        "type": "envmap",
        "bitmap": mi.Bitmap(panorama_window(panorama)),
        "scale": 1.35,
        "sampling_weight": 3.0,
    }
    origin, target = camera_pose(frame)
    stage.items["camera"] = {
        "type": "perspective",
        "fov": _VIEW_DEGREES,
        "fov_axis": "x",
        "near_clip": 0.05,
        "far_clip": 200.0,
        "to_world": mi.ScalarTransform4f().look_at(origin=origin.tolist(), target=target.tolist(), up=[0, 1, 0]),
        "film": {
            "type": "hdrfilm",
            "width": WIDTH,
            "height": HEIGHT,
            "rfilter": {"type": "box"},
            "pixel_format": "rgb",
            "component_format": "float32",
        },
        "sampler": {"type": "multijitter"},
    }
    return stage.items


def panorama_window(panorama: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn and squeeze the panorama so that its pleasant part fills the window, softly.

    The angle α from the window's axis shows the panorama's angle α + 0.9 sin α: near the axis the view is compressed
    1.9 times, as if the house opposite were farther off. Cubic upsampling and a blur of about the lens's own hide the
    1k resolution.

    Args:
        panorama: equirectangular radiance, (H, 2H, 3).

    Returns:
        The map for the renderer (-z at the left edge, +x at a quarter), (1024, 2048, 3).
    """
    height, width = panorama.shape[:2]
    centre_u, lift = 0.430, np.radians(19.0)
    h, w = 1024, 2048
    theta = (np.arange(h, dtype=np.float64)[:, None] + 0.5) / h * np.pi
    phi = (np.arange(w, dtype=np.float64)[None, :] + 0.5) / w * 2 * np.pi
    x, y, z = np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi, -np.sin(theta) * np.cos(phi)
    alpha = np.arccos(np.clip(-z, -1, 1))
    source = alpha + 0.9 * np.sin(alpha)
    sideways = np.maximum(np.hypot(x, y), 1e-9)
    x, y, z = np.sin(source) * x / sideways, np.sin(source) * y / sideways, -np.cos(source)
    y, z = y * np.cos(lift) - z * np.sin(lift), y * np.sin(lift) + z * np.cos(lift)
    u = np.arctan2(x, -z) / (2 * np.pi) + centre_u
    v = np.arccos(np.clip(y, -1, 1)) / np.pi
    padded = cv2.copyMakeBorder(np.maximum(panorama, 0.0), 0, 0, 8, 8, cv2.BORDER_WRAP)
    column = (u - np.floor(u)) * width - 0.5 + 8
    row = v * height - 0.5
    # In the logarithm, or bright edges would ring.
    logs = np.log(padded + 1e-3)
    out = cv2.remap(
        logs, column.astype(np.float32), row.astype(np.float32), cv2.INTER_CUBIC, None, cv2.BORDER_REPLICATE
    )
    soft = cv2.GaussianBlur(np.exp(out) - 1e-3, (0, 0), 1.4)
    return np.asarray(np.maximum(soft, 0.0), np.float32)


def camera_pose(frame: float) -> tuple[Points, Points]:
    """Origin and target of the camera: a slow dolly to the left and in, with the tremor of a hand."""
    t = frame / 23.0
    ease = t + 0.08 * np.sin(2 * np.pi * t) / (2 * np.pi)
    s = frame / FPS
    shake = np.array(
        [
            0.0009 * np.sin(2 * np.pi * 2.3 * s + 0.4) + 0.0004 * np.sin(2 * np.pi * 5.1 * s),
            0.0008 * np.sin(2 * np.pi * 1.9 * s + 1.7) + 0.0004 * np.sin(2 * np.pi * 6.3 * s + 0.5),
            0.0,
        ]
    )
    origin = np.array([0.115 - 0.12 * ease, 0.300 + 0.008 * ease, 1.10 - 0.03 * ease]) + shake
    wander = np.array([0.0010 * np.sin(2 * np.pi * 1.4 * s), 0.0010 * np.sin(2 * np.pi * 1.7 * s + 2.0), 0.0])
    target = np.array([0.048 - 0.012 * ease, 0.172, 0.0]) + wander + 0.5 * shake
    return origin, target


def _room(stage: Stage, rng: np.random.Generator, frame: float) -> None:
    """Table, walls, window frame, sun."""
    left, right, bottom, top = _WINDOW
    planks, pores = textures.wood(rng, 1024, 2048, 5)
    wood = glossy(stage.bitmap(planks), 0.30)
    wood = {"type": "bumpmap", "bump": stage.bitmap(pores), "scale": 0.0008, "nested": wood}
    # The texture repeats every 1.5 m; the table ends in front of the wall.
    stage.add("table", shapes.box((-1.2, -0.05, WALL_Z), (1.2, 0.0, 0.42), 1.5), wood)
    colour, relief = textures.brick(rng, 1024, 1024, 12, 4)
    brick: dict[str, Any] = {"type": "diffuse", "reflectance": stage.bitmap(colour)}
    brick = {"type": "bumpmap", "bump": stage.bitmap(relief), "scale": 0.012, "nested": brick}
    brick = {"type": "twosided", "bsdf": brick}
    back = WALL_Z - 0.14
    wall = shapes.box((-1.7, -1.0, back), (left, 2.3, WALL_Z), 0.62)
    wall += shapes.box((right, -1.0, back), (1.7, 2.3, WALL_Z), 0.62)
    wall += shapes.box((left, top, back), (right, 2.3, WALL_Z), 0.62)
    wall += shapes.box((left, -1.0, back), (right, bottom - 0.03, WALL_Z), 0.62)
    stage.add("wall", wall, brick)
    plaster = matte(rgb(0.13, 0.10, 0.08))
    sides = shapes.box((-1.75, -1.0, back), (-1.7, 2.3, 1.6)) + shapes.box((1.7, -1.0, back), (1.75, 2.3, 1.6))
    sides += shapes.box((-1.75, 2.3, back), (1.75, 2.35, 1.6)) + shapes.box((-1.75, -1.05, back), (1.75, -1.0, 1.6))
    stage.add("sides", sides, plaster)
    paint = glossy(rgb(0.55, 0.53, 0.48), 0.4)
    z0, z1 = back + 0.03, back + 0.075
    frame_mesh = shapes.box((left, bottom, z0), (left + 0.03, top, z1))
    frame_mesh += shapes.box((right - 0.03, bottom, z0), (right, top, z1))
    frame_mesh += shapes.box((left + 0.03, bottom, z0), (right - 0.03, bottom + 0.03, z1))
    middle = left + 0.42 * (right - left)
    frame_mesh += shapes.box((middle - 0.011, bottom + 0.03, z0), (middle + 0.011, top, z1))
    frame_mesh += shapes.box((left + 0.03, 0.315, z0 + 0.005), (right - 0.03, 0.335, z1 - 0.005))
    stage.add("frame", frame_mesh, paint)
    stage.add("sill", shapes.box((left - 0.03, bottom - 0.03, back), (right + 0.03, bottom, WALL_Z + 0.03)), paint)
    azimuth, elevation = np.radians(40.0), np.radians(36.0)
    towards = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), -np.cos(azimuth) * np.cos(elevation)])
    stage.items["sun"] = {
        "type": "sphere",
        "center": (50.0 * towards).tolist(),
        "radius": 0.45,
        "emitter": {
            "type": "area",
            "radiance": {"type": "rgb", "value": [5.2e5, 4.4e5, 3.1e5]},
            "sampling_weight": 5.0,
        },
    }
