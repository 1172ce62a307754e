import math

import numpy as np
import pytest
import torch

from lrhdr.footage import (
    LinearisationConfig,
    inverse_sigmoid_response,
    linearise_video,
    moving_frames,
    split_shots,
)
from lrhdr.layers import decode_log, encode_log, make_layer, random_mask
from lrhdr.motion import MotionConfig, Path, Pose
from lrhdr.randomness import torch_generator
from lrhdr.scenes import SceneConfig, generate_scene, overlay_layers
from lrhdr.views import HdrSource, View, prepare_source, random_view


def panorama(height: int = 64) -> HdrSource:
    """Longitude in red, latitude in green, both smooth round the sphere."""
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * math.pi
    longitude = ((np.arange(2 * height) + 0.5) / (2 * height) - 0.5) * 2 * math.pi
    image = np.ones((height, 2 * height, 3), np.float32)
    image[..., 0] = 1.5 + np.sin(longitude)
    image[..., 1] = 1.5 + latitude[:, None] / math.pi
    return prepare_source("sphere", image)


def photo(seed: int = 0, height: int = 80, width: int = 100) -> HdrSource:
    rng = np.random.default_rng(seed)
    return prepare_source(f"photo{seed}", np.exp(rng.normal(0, 1, (height, width, 3))).astype(np.float32))


def test_log_encoding_is_undone() -> None:
    x = torch.tensor([0.0, 1e-3, 1.0, 1e4])
    torch.testing.assert_close(decode_log(encode_log(x)), x, rtol=1e-4, atol=1e-7)


def test_source_is_normalised_clipped_and_clean() -> None:
    image = np.full((32, 48, 3), 7.0, np.float32)
    image[0, 0] = [np.nan, np.inf, -3.0]
    image[1, 1] = 1e9
    source = prepare_source("x", image)
    x = decode_log(source.levels[0])
    assert not source.panorama
    assert source.size == (32, 48)
    assert float(x.mean(1).median()) == pytest.approx(1.0, rel=1e-4)
    assert float(x.max()) == pytest.approx(1e4, rel=1e-3)
    assert float(x[0, :, 0, 0].sum()) == 0.0


def test_source_refuses() -> None:
    with pytest.raises(ValueError, match="expected"):
        prepare_source("x", np.zeros((8, 100, 3), np.float32))
    with pytest.raises(ValueError, match="expected"):
        prepare_source("x", np.zeros((32, 32), np.float32))


def test_all_black_source_is_finite() -> None:
    view = random_view(prepare_source("black", np.zeros((32, 64, 3), np.float32)), (16, 16), np.random.default_rng(0))
    assert bool(torch.isfinite(view.render((16, 16))).all())


def test_panorama_view_looks_where_it_should() -> None:
    source = panorama()
    for yaw, pitch in ((0.0, 0.0), (1.2, 0.3), (-2.0, -0.4), (math.pi, 0.0)):
        frame = View(source, focal=40.0, yaw=yaw, pitch=pitch).render((17, 17))
        centre = frame[:, 8, 8] / frame[2, 8, 8]
        assert float(centre[0]) == pytest.approx(1.5 + math.sin(yaw), abs=0.03)
        assert float(centre[1]) == pytest.approx(1.5 + pitch / math.pi, abs=0.02)
    # Up in the frame is up in the world; to the right the heading grows.
    frame = View(source, focal=40.0, yaw=0.0, pitch=0.0).render((17, 17))
    assert float(frame[1, 0, 8]) > float(frame[1, 16, 8])
    assert float(frame[0, 8, 16]) > float(frame[0, 8, 0])


def test_panorama_has_no_seam() -> None:
    frame = View(panorama(), focal=30.0, yaw=math.pi, pitch=0.0).render((9, 33))
    step = (frame[0, 4, 1:] - frame[0, 4, :-1]).abs()
    assert float(step.max()) < 3 * float(step.mean())


def test_camera_shift_moves_the_picture_by_as_many_pixels() -> None:
    view = View(photo(), focal=1.0, yaw=50.0, pitch=40.0)
    still = view.render((24, 24))
    moved = view.render((24, 24), Pose(dx=3.0, dy=-2.0))
    torch.testing.assert_close(moved[:, 2:, :-3], still[:, :-2, 3:], rtol=1e-3, atol=1e-4)


def test_minified_views_use_the_pyramid() -> None:
    source = photo(height=512, width=512)
    frame = View(source, focal=0.25, yaw=256.0, pitch=256.0).render((64, 64))
    # White log-normal noise seen at a quarter of its size keeps a fraction of its spread; point sampling keeps all.
    assert float(encode_log(frame).std()) < 0.6 * float(source.levels[0].std())


def test_views_of_pictures_stay_inside() -> None:
    rng = np.random.default_rng(3)
    source = photo(height=300, width=400)
    for _ in range(50):
        view = random_view(source, (64, 96), rng, margin=10)
        half_w, half_h = 48 / view.focal, 32 / view.focal
        assert half_w - 1 <= view.yaw <= 401 - half_w
        assert half_h - 1 <= view.pitch <= 301 - half_h


def test_paths_begin_at_rest_position_and_have_the_asked_speed() -> None:
    speeds = []
    for seed in range(60):
        path = Path(np.random.default_rng(seed), 8.0, 100.0, origin=2.0)
        assert path(2.0) == Pose()
        a, b = path(1.5), path(2.5)
        speeds.append(math.hypot(b.dx - a.dx, b.dy - a.dy))
        far = path(300.0)
        assert math.hypot(far.dx, far.dy) < 8.0 * 90  # it swings, it does not leave
    assert 5.0 < float(np.median(speeds)) < 12.0


def test_still_paths_are_still() -> None:
    path = Path(np.random.default_rng(0), 0.0, 100.0)
    assert path(7.3) == Pose()


def test_speeds_have_a_tail_and_a_limit() -> None:
    config = MotionConfig()
    rng = np.random.default_rng(0)
    speeds = np.array([config.sample_speed(rng) for _ in range(2000)])
    assert 0.08 < (speeds == 0).mean() < 0.16
    assert speeds.max() <= config.max_speed
    assert (speeds > 15).mean() > 0.03
    assert (speeds < 1).mean() > 0.15


def test_masks_are_soft_irregular_and_end_inside() -> None:
    rng = np.random.default_rng(0)
    areas = []
    for _ in range(40):
        mask = random_mask(rng, 48)
        assert mask.shape == (1, 1, 48, 48)
        assert float(mask.min()) >= 0
        assert float(mask.max()) <= 1
        border = torch.cat((mask[..., 0, :], mask[..., -1, :], mask[..., :, 0], mask[..., :, -1]), -1)
        assert float(border.max()) < 0.2
        areas.append(float(mask.mean()))
    assert max(areas) > 0.25
    assert np.std(areas) > 0.05


def test_layer_covers_only_its_place_and_moves() -> None:
    rng = np.random.default_rng(5)
    layer = make_layer(torch.full((3, 32, 32), 3.0), (96, 96), MotionConfig(still_share=0.0, median_speed=10), rng)
    frame = torch.ones(3, 96, 96)
    axis = torch.arange(96.0) + 0.5 - 48
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    first, second = layer.draw(frame, x, y, 0.0), layer.draw(frame, x, y, 3.0)
    assert torch.equal(frame, torch.ones(3, 96, 96))
    changed = (first != frame).any(0)
    assert 0.01 < float(changed.float().mean()) < 0.4
    assert not torch.equal(first, second)


def test_a_layer_outside_the_frame_draws_nothing() -> None:
    rng = np.random.default_rng(5)
    layer = make_layer(torch.full((3, 32, 32), 3.0), (9000, 9000), MotionConfig(still_share=1.0), rng)
    frame = torch.ones(3, 8, 8)
    x = y = torch.full((8, 8), 1e5)
    assert torch.equal(layer.draw(frame, x, y, 0.0), frame)


def test_scene_is_deterministic_and_moves() -> None:
    sources = [panorama(), photo(1)]
    config = SceneConfig(camera=MotionConfig(median_speed=4.0, still_share=0.0), blur_share=0.0)

    def clip(seed: int) -> torch.Tensor:
        scene = generate_scene(sources, (32, 40), config, torch_generator(seed), origin=1.0)
        return torch.stack([scene.render((32, 40), float(t)) for t in range(3)])

    a = clip(0)
    assert a.shape == (3, 3, 32, 40)
    assert torch.equal(a, clip(0))
    assert not torch.equal(a, clip(1))
    assert not torch.equal(a[0], a[1])
    assert bool(torch.isfinite(a).all())
    assert float(a.min()) >= 0


def test_motion_blur_follows_the_exposure() -> None:
    config = SceneConfig(
        camera=MotionConfig(median_speed=12.0, spread=0.0, still_share=0.0), max_layers=0, blur_share=1
    )
    scene = generate_scene([photo(height=200, width=200)], (48, 48), config, torch_generator(1))
    assert scene.shutter > 0
    sharp, short, long = (encode_log(scene.render((48, 48), 0.0, share)) for share in (0.001, 0.3, 1.0))
    assert float(long.std()) < float(short.std()) < float(sharp.std())


def test_overlay_keeps_scale_and_background() -> None:
    clip = torch.full((3, 3, 48, 48), 0.2)
    out = overlay_layers(clip, [photo(2)], SceneConfig(), torch_generator(4))
    assert out.shape == clip.shape
    assert float(((out - clip).abs() < 1e-6).float().mean()) > 0.2
    assert not torch.equal(out, clip)


def test_scene_needs_a_source() -> None:
    with pytest.raises(ValueError, match="at least one"):
        generate_scene([], (8, 8), SceneConfig(), torch_generator(0))


@pytest.mark.parametrize("bad", [{"max_layers": -1}, {"blur_share": 1.5}, {"light_change_share": -0.1}])
def test_scene_config_refuses(bad: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        SceneConfig(**bad)


@pytest.mark.parametrize("bad", [{"median_speed": 0.0}, {"spread": -1.0}, {"still_share": 2.0}])
def test_motion_config_refuses(bad: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        MotionConfig(**bad)


def moving_thumbnails(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wide = np.repeat(rng.uniform(0, 255, (54, 60)), 8, axis=1)
    return np.stack([wide[:, 2 * t : 2 * t + 96] for t in range(n)])


def test_cuts_are_found_and_motion_is_not_a_cut() -> None:
    a, b = moving_thumbnails(20), moving_thumbnails(15, seed=1)
    assert split_shots(a) == [(0, 20)]
    assert split_shots(np.concatenate([a, b])) == [(0, 20), (20, 35)]


def test_flash_and_short_shots_are_left_out() -> None:
    frames = np.full((20, 54, 96), 60.0)
    frames[10] = 200.0
    assert split_shots(frames) == [(0, 10), (11, 20)]
    assert split_shots(frames[:3]) == []


def test_repeats_are_dropped_but_static_footage_is_kept() -> None:
    frames = moving_thumbnails(12)
    doubled = frames[[0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8]]
    assert moving_frames(doubled) == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert moving_frames(np.full((6, 54, 96), 9.0)) == list(range(6))
    assert moving_frames(frames[:2]) == [0, 1]


def test_sigmoid_response_keeps_black_and_white_and_order() -> None:
    y = torch.linspace(0, 1, 50, dtype=torch.float64)
    x = inverse_sigmoid_response(y, 0.65, 0.6)
    assert float(x[0]) == 0.0
    assert float(x[-1]) == pytest.approx(1.0)
    assert bool((x[1:] > x[:-1]).all())
    # The forward curve of the field, y = (1 + s) x^n / (x^n + s).
    xn = x**0.65
    torch.testing.assert_close((1.6 * xn) / (xn + 0.6), y)


def test_linearised_video_is_consistent_over_time_and_expanded() -> None:
    frame = torch.rand(3, 24, 24, generator=torch_generator(0))
    frame[:, 4:20, 4:20] = 1.0
    clip = frame.expand(4, 3, 24, 24)
    brightest = []
    for seed in range(12):
        out = linearise_video(clip, LinearisationConfig(), torch_generator(seed))
        assert torch.equal(out[0], out[3])
        assert float(out.min()) >= 0
        assert float(out.max()) <= 16.0 + 1e-4
        brightest.append(float(out.max()))
    assert max(brightest) > 4.0
    plain = linearise_video(clip, LinearisationConfig(expansion_share=0.0), torch_generator(0))
    assert float(plain.max()) <= 1.0 + 1e-6


def test_linearisation_config_refuses() -> None:
    with pytest.raises(ValueError, match="expected"):
        LinearisationConfig(max_gain=1.0)
