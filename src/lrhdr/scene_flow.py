"""The true motion of a generated scene: where each pixel goes from one moment to another, and whether it is seen there.

The motion follows from what `lrhdr.scenes.Scene` draws, not from its pictures: the camera's pose moves the background,
each layer's path, deformation included, moves what it covers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lrhdr.motion import Pose
from lrhdr.scenes import Scene
from lrhdr.views import apply_pose, pixel_offsets
from lrhdr.warp import backward_warp

# Coverage between these belongs to two surfaces at once (soft edges, smoke): such pixels have no one motion.
_BEHIND, _SOLID = 0.02, 0.98
_MIXED = -1


class SceneFlow(NamedTuple):
    """Result of `scene_flow`.

    Attributes:
        flow: (2, H, W), pixels: the content of pixel p at the first time is at p + flow(p) at the second.
        visible: (1, H, W), 1 where that place is inside the frame, shows the same surface, and p is not mixed of two.
    """

    flow: Tensor
    visible: Tensor


def _undo_pose(x: Tensor, y: Tensor, pose: Pose) -> tuple[Tensor, Tensor]:
    """The inverse of `apply_pose`."""
    scale = math.exp(-pose.log_scale)
    c, s = math.cos(pose.rotation) * scale, math.sin(pose.rotation) * scale
    dx, dy = x - pose.dx, y - pose.dy
    return c * dx + s * dy, c * dy - s * dx


def surfaces(scene: Scene, size: tuple[int, int], time: float) -> Tensor:
    """Which surface each pixel shows: 0 the background, i + 1 layer i, -1 a mixture.

    Args:
        scene: what is drawn.
        size: (H, W).
        time: in frames.

    Returns:
        (H, W), int64.
    """
    x, y = pixel_offsets(size)
    shown = torch.zeros(size, dtype=torch.int64)
    for number, layer in enumerate(scene.layers, start=1):
        coverage = layer.coverage(x, y, time)
        mixed = torch.where(coverage > _BEHIND, torch.full_like(shown, _MIXED), shown)
        shown = torch.where(coverage >= _SOLID, torch.full_like(shown, number), mixed)
    return shown


def scene_flow(scene: Scene, size: tuple[int, int], time: float, to: float) -> SceneFlow:
    """The motion between two moments.

    Args:
        scene: what is drawn; without motion blur the flow describes its pictures exactly.
        size: (H, W) of the pictures.
        time: first moment, in frames.
        to: second moment.

    Returns:
        Flow and visibility at the pixels of the first moment.
    """
    x, y = pixel_offsets(size)
    shown, there = surfaces(scene, size, time), surfaces(scene, size, to)
    goal_x, goal_y = _undo_pose(*apply_pose(x, y, scene.path(time)), scene.path(to))
    for number, layer in enumerate(scene.layers, start=1):
        layer_x, layer_y = layer.place(*layer.locate(x, y, time), to)
        mine = shown == number
        goal_x, goal_y = torch.where(mine, layer_x, goal_x), torch.where(mine, layer_y, goal_y)
    flow = torch.stack((goal_x - x, goal_y - y))
    column, row = goal_x + (size[1] - 1) / 2, goal_y + (size[0] - 1) / 2
    # A hundredth of a pixel of slack, or a scene that stands still would lose its border to rounding.
    inside = (column > -0.01) & (column < size[1] - 0.99) & (row > -0.01) & (row < size[0] - 0.99)
    visible = torch.zeros(size, dtype=torch.bool)
    for number in range(len(scene.layers) + 1):
        # All four pixels that a bilinear fetch at the goal touches must show the same surface.
        same = backward_warp((there == number).float()[None, None], flow[None])[0, 0] > 0.999
        visible |= (shown == number) & same
    return SceneFlow(flow, (visible & inside)[None].float())
