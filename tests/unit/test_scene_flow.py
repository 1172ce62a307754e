"""True motion: it must carry the picture of one moment onto that of another, deformation and occlusion included."""

import math

import numpy as np
import pytest
import torch

from lrhdr.layers import Layer, encode_log
from lrhdr.motion import MotionConfig, Path, Pose
from lrhdr.scene_flow import scene_flow, surfaces
from lrhdr.scenes import Scene, SceneConfig, generate_scene
from lrhdr.views import View, pixel_offsets, prepare_source
from lrhdr.warp import backward_warp

SIZE = (40, 56)


def smooth_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width] / 9.0
    rng = np.random.default_rng(seed)
    waves = [np.sin(x * rng.uniform(0.3, 0.9) + y * rng.uniform(0.3, 0.9) + rng.uniform(0, 6)) for _ in range(9)]
    return np.exp(np.stack(waves, -1).reshape(height, width, 3, 3).sum(-1) * 0.5)


def background(path, layers=(), seed: int = 0) -> Scene:
    source = prepare_source("waves", smooth_picture(160, 200, seed), panorama=False)
    return Scene(View(source, 1.0, 100.0, 80.0), path, tuple(layers), 0.0, ("waves",))


def square(path, *, wobble=(0.0, 1.0, 0.0, 0.0), opacity: float = 1.0, side: int = 20) -> Layer:
    """A textured square, solid to its edge, that starts in the middle of the frame."""
    rgba = torch.ones(1, 4, side, side)
    rgba[:, :3] = encode_log(torch.from_numpy(smooth_picture(side, side, 5)).float().permute(2, 0, 1) + 3.0)
    rgba[:, 3:, [0, -1]] = 0.0
    rgba[:, 3:, :, [0, -1]] = 0.0
    return Layer(rgba, (0.0, 0.0), 1.0, 0.0, path, wobble, (0.0, 0.0), opacity)


def still(time: float) -> Pose:
    return Pose()


def worst(scene: Scene, time: float = 0.0, to: float = 1.0) -> tuple[float, float]:
    """Largest relative error of the picture fetched along the flow where it is visible; and the visible share."""
    flow, visible = scene_flow(scene, SIZE, time, to)
    first, second = scene.render(SIZE, time), scene.render(SIZE, to)
    error = ((backward_warp(second[None], flow[None])[0] - first).abs() / first).amax(dim=0)
    return float(error[visible[0] > 0.5].max()), float(visible.mean())


def test_still_scene_is_visible_everywhere_and_does_not_move():
    flow, visible = scene_flow(background(still), SIZE, 0.0, 3.0)
    assert float(flow.abs().max()) < 1e-4
    assert float(visible.min()) == 1.0


def test_camera_shift_moves_everything_the_other_way():
    flow, visible = scene_flow(background(lambda t: Pose(dx=3.0 * t, dy=-2.0 * t)), SIZE, 0.0, 1.0)
    assert torch.allclose(flow[0], torch.full(SIZE, -3.0), atol=1e-4)
    assert torch.allclose(flow[1], torch.full(SIZE, 2.0), atol=1e-4)
    # Three columns at the left and two rows at the bottom leave the frame.
    expected = torch.ones(SIZE)
    expected[:, :3], expected[-2:] = 0.0, 0.0
    assert torch.equal(visible[0], expected)


@pytest.mark.parametrize("to", [1.0, -2.0])
def test_camera_flow_carries_the_picture(to):
    scene = background(lambda t: Pose(2.3 * t, 0.7 * t, 0.03 * t, 0.02 * t))
    error, share = worst(scene, 0.0, to)
    assert error < 0.02
    assert share > 0.7


def test_panorama_flow_carries_the_picture():
    source = prepare_source("round", smooth_picture(128, 256), panorama=True)
    scene = Scene(View(source, 60.0, 0.5, 0.2), lambda t: Pose(2.0 * t, 1.0 * t, 0.02 * t), (), 0.0, ("round",))
    error, share = worst(scene)
    assert error < 0.02
    assert share > 0.8


def test_layer_flow_follows_shift_turn_zoom_and_deformation():
    def path(t):
        return Pose(4.0 * t, -1.0 * t, 0.1 * t, 0.05 * t)

    scene = background(still, [square(path, wobble=(0.8, 12.0, 0.6, 1.0))])
    flow, visible = scene_flow(scene, SIZE, 0.0, 1.0)
    mine = surfaces(scene, SIZE, 0.0) == 1
    assert int(mine.sum()) > 150
    error, share = worst(scene)
    assert error < 0.1  # bilinear fetches of two coarse textures
    first, second = scene.render(SIZE, 0.0), scene.render(SIZE, 1.0)
    assert float(((second - first).abs() / first)[:, mine].max()) > 0.5
    assert 0.5 < share < 1.0
    # The middle of the square moves with the path, up to the deformation.
    assert flow[:, 20, 28].tolist() == pytest.approx([4.0, -1.0], abs=1.5)
    assert float(visible[0][mine].mean()) > 0.6


def test_place_undoes_locate():
    layer = square(lambda t: Pose(3.0 * t, 2.0 * t, 0.2 * t, 0.1 * t), wobble=(0.8, 8.0, 0.7, 0.3))
    x, y = pixel_offsets(SIZE)
    back_x, back_y = layer.place(*layer.locate(x, y, 2.0), 2.0)
    assert torch.allclose(back_x, x, atol=1e-3)
    assert torch.allclose(back_y, y, atol=1e-3)


def test_occluded_and_mixed_pixels_are_not_visible():
    scene = background(still, [square(lambda t: Pose(dx=8.0 * t))])
    _, visible = scene_flow(scene, SIZE, 0.0, 1.0)
    # Background that the square is about to cover, 18 px wide, now spanning columns 19..36.
    assert float(visible[0, 20, 38:44].max()) == 0.0
    assert float(visible[0, 20, 48:].min()) == 1.0
    smoke = background(still, [square(still, opacity=0.5)])
    assert float(scene_flow(smoke, SIZE, 0.0, 1.0).visible[0, 20, 28]) == 0.0
    assert int(surfaces(smoke, SIZE, 0.0)[20, 28]) == -1


def test_generated_scenes_agree_with_their_flow():
    source = prepare_source("waves", smooth_picture(160, 200), panorama=False)
    config = SceneConfig(
        camera=MotionConfig(median_speed=2.0, still_share=0.0, tremor=0.0),
        objects=MotionConfig(median_speed=3.0, spread=0.3, still_share=0.0),
        max_layers=2,
        blur_share=0.0,
        light_change_share=0.0,
    )
    for seed in range(4):
        scene = generate_scene([source], SIZE, config, torch.Generator().manual_seed(seed))
        flow, visible = scene_flow(scene, SIZE, 0.0, 1.0)
        first, second = scene.render(SIZE, 0.0, 0.0), scene.render(SIZE, 1.0, 0.0)
        error = ((backward_warp(second[None], flow[None])[0] - first).abs() / first).mean(dim=0)
        seen = visible[0] > 0.5
        assert float(seen.float().mean()) > 0.3
        assert float(error[seen].median()) < 0.02
        assert float(error[seen].mean()) < 0.25 * float((second - first).abs().div(first).mean()) + 1e-3


def test_paths_of_the_package_are_paths():
    path = Path(np.random.default_rng(0), 3.0, 20.0)
    flow, _ = scene_flow(background(path), SIZE, 0.0, 0.0)
    assert float(flow.abs().max()) < 1e-4
    assert math.isfinite(path(1.0).dx)
