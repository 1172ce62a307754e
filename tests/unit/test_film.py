"""FILM: its published size and shapes, an independent computation, motion properties, and use as an interpolator."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lrhdr.checks import InputError
from lrhdr.interpolate import Interpolator
from lrhdr.interpolate.film import Film, FilmInterpolator
from lrhdr.interpolate.film_config import FilmConfig
from lrhdr.interpolate.film_names import from_tensorflow_name, tensorflow_names
from lrhdr.interpolate.sampling import fetch, pad_to_multiple, raise_shadows
from lrhdr.io.tensor_bundle import read_saved_model
from lrhdr.warp import backward_warp

GOLDEN = Path(__file__).parents[1] / "golden" / "film_original.npz"
TINY = FilmConfig(filters=2, flow_filters=(2, 2, 4, 4))
SHALLOW = FilmConfig(
    filters=2,
    flow_filters=(2, 4),
    flow_convs=(1, 2),
    pyramid_levels=3,
    fusion_pyramid_levels=3,
    specialized_levels=1,
    sub_levels=2,
)


def randomised(config: FilmConfig, seed: int = 0) -> Film:
    """A network whose flow is not zero."""
    generator = torch.Generator().manual_seed(seed)
    network = Film(config)
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.ndim == 4 else 400
        parameter.data = torch.randn(parameter.shape, generator=generator) * (2.0 / fan_in) ** 0.5
    return network.eval()


def frames(height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 3, max(height // 8, 2), max(width // 8, 2), generator=generator)
    both = F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    return both[:1], both[1:]


@pytest.fixture(scope="module")
def published() -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        network = Film(FilmConfig())
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def test_published_size(published):
    assert sum(int(np.prod(shape)) for shape in published.values()) == 34_436_667
    assert len(published) == 82


def test_published_shapes_layer_by_layer(published):
    expected = {}

    def layer(name, *shape):
        expected[f"{name}.weight"], expected[f"{name}.bias"] = shape, shape[:1]

    widths = [(64, 3), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256), (512, 256), (512, 512)]
    for i, (out, into) in enumerate(widths):
        layer(f"extract.extract_sublevels.convs.{i // 2}.{i % 2}.0", out, into, 3, 3)
    predictors = {"_predictors.2": (32, 128), "_predictors.1": (64, 384), "_predictors.0": (128, 896)}
    for name, (wide, into) in {**predictors, "_predictor": (256, 1920)}.items():
        layer(f"predict_flow.{name}._convs.0.0", wide, into, 3, 3)
        layer(f"predict_flow.{name}._convs.1.0", wide, wide, 3, 3)
        layer(f"predict_flow.{name}._convs.2.0", wide, wide, 3, 3)
        layer(f"predict_flow.{name}._convs.3.0", wide // 2, wide, 1, 1)
        layer(f"predict_flow.{name}._convs.4.0", 2, wide // 2, 1, 1)
    for index, (wide, below, joined) in enumerate(
        [(512, 1930, 2442), (256, 512, 1162), (128, 256, 522), (64, 128, 202)]
    ):
        layer(f"fuse.convs.{index}.0.0", wide, below, 2, 2)
        layer(f"fuse.convs.{index}.1.0", wide, joined, 3, 3)
        layer(f"fuse.convs.{index}.2.0", wide, wide, 3, 3)
    layer("fuse.output_conv", 3, 64, 1, 1)
    assert published == expected


def test_widths_by_name():
    sizes = {}
    for name in ("full", "half", "quarter", "eighth"):
        with torch.device("meta"):
            sizes[name] = sum(p.numel() for p in Film(FilmConfig.preset(name)).parameters())
    assert sizes["full"] == 34_436_667
    assert 2_100_000 < sizes["quarter"] < 2_250_000
    assert sizes["half"] > 3.9 * sizes["quarter"] > 15 * sizes["eighth"]
    with pytest.raises(ValueError, match="expected a width of full, half"):
        FilmConfig.preset("tiny")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"flow_filters": (32, 64)}, "expected 4 flow_filters"),
        ({"flow_filters": (32, 64, 127, 256)}, "flow_filters even"),
        ({"fusion_pyramid_levels": 8}, "fusion_pyramid_levels <= pyramid_levels"),
        ({"sub_levels": 5}, "sub_levels <= specialized_levels"),
        ({"pyramid_levels": 3, "fusion_pyramid_levels": 3}, "specialized_levels < pyramid_levels"),
        ({"filters": 0}, "filters from 1"),
    ],
)
def test_configurations_that_cannot_be(values, message):
    with pytest.raises(ValueError, match=message):
        FilmConfig(**values)


def test_configuration_survives_a_record():
    assert FilmConfig.from_dict(SHALLOW.to_dict()) == SHALLOW
    with pytest.raises(ValueError, match="film: "):
        FilmConfig.from_dict({"depth": 3})


def test_against_the_published_code():
    """A SavedModel that TensorFlow wrote, with random weights, and what the original made of them."""
    golden = np.load(GOLDEN)
    y, x, c = np.meshgrid(np.arange(128), np.arange(192), np.arange(3), indexing="ij")
    first = 0.5 + 0.25 * np.sin(x / 5 + c) + 0.2 * np.cos(y / 7 + x / 23 - c)
    second = 0.5 + 0.25 * np.sin((x - 4) / 5 + c) + 0.2 * np.cos((y - 2) / 7 + (x - 4) / 23 - c)
    pair = [torch.from_numpy(f).float().permute(2, 0, 1)[None] for f in (first, second)]
    config = FilmConfig(filters=1, flow_filters=(2, 2, 2, 4))
    network = Film(config)
    names = tensorflow_names(config)
    state = {names[from_tensorflow_name(k)]: v for k, v in saved_model_of(golden).items()}
    network.load_state_dict(state, strict=True)
    with torch.no_grad():
        out = network(*pair)
    for ours, theirs, step in (
        (out.frame, golden["image"], 6),
        (2.0 * out.flow_to_second, golden["forward"], 8),
        (2.0 * out.flow_to_first, golden["backward"], 8),
    ):
        assert theirs.std() > 0.1
        np.testing.assert_allclose(ours[0, :, ::step, ::step].permute(1, 2, 0), theirs, atol=5e-5)


def saved_model_of(golden) -> dict[str, torch.Tensor]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for key in golden:
            if key.startswith("variables/"):
                (Path(folder) / key.replace("/", ".")).write_bytes(golden[key].tobytes())
        found = read_saved_model(folder)
    assert len(found) == 82
    return {k: torch.from_numpy(np.array(v.transpose(3, 2, 0, 1) if v.ndim == 4 else v)) for k, v in found.items()}


def by_the_description(s: dict, config: FilmConfig, first, second, t: float):
    """FILM written a second time, from the published description, on the named tensors alone."""

    def conv(x, name, active=True):
        weight = s[f"{name}.weight"]
        if weight.shape[-1] == 2:
            x = F.pad(x, (0, 1, 0, 1))
        x = F.conv2d(x, weight, s[f"{name}.bias"], padding=weight.shape[-1] // 2 if weight.shape[-1] == 3 else 0)
        return torch.maximum(x, 0.2 * x) if active else x

    def half(x):
        return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4

    def up(x):
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    pyramids, features = [], []
    for image in (first, second):
        images = [image]
        while len(images) < config.pyramid_levels:
            images.append(half(images[-1]))
        described = {}
        for i, x in enumerate(images):
            for j in range(min(config.sub_levels, len(images) - i)):
                x = half(x) if j else x
                for k in range(2):
                    x = conv(x, f"extract.extract_sublevels.convs.{j}.{k}.0")
                described[i + j, j] = x
        pyramids.append(images)
        features.append(
            [
                torch.cat([described[i, j] for j in range(config.sub_levels) if (i, j) in described], 1)
                for i in range(len(images))
            ]
        )

    def flows(a, b):
        result, flow = {}, None
        for i in reversed(range(config.pyramid_levels)):
            flow = torch.zeros_like(a[i][:, :2]) if flow is None else up(2 * flow)
            own = config.specialized_levels
            name = f"_predictors.{own - 1 - i}" if i < own else "_predictor"
            x = torch.cat((a[i], backward_warp(b[i], flow)), 1)
            last = config.flow_convs[min(i, own)] + 1
            for c in range(last + 1):
                x = conv(x, f"predict_flow.{name}._convs.{c}.0", active=c < last)
            flow = flow + x
            result[i] = flow
        return result

    forward, backward = flows(*features), flows(*reversed(features))
    joined = []
    for i in range(config.fusion_pyramid_levels):
        zero = backward_warp(torch.cat((pyramids[0][i], features[0][i]), 1), t * backward[i])
        one = backward_warp(torch.cat((pyramids[1][i], features[1][i]), 1), (1 - t) * forward[i])
        joined.append(torch.cat((zero, one, t * backward[i], (1 - t) * forward[i]), 1))
    x = joined[-1]
    for index, i in enumerate(reversed(range(config.fusion_pyramid_levels - 1))):
        x = conv(x.repeat_interleave(2, -1).repeat_interleave(2, -2), f"fuse.convs.{index}.0.0", active=False)
        x = conv(torch.cat((joined[i], x), 1), f"fuse.convs.{index}.1.0")
        x = conv(x, f"fuse.convs.{index}.2.0")
    return conv(x, "fuse.output_conv", active=False), t * backward[0], (1 - t) * forward[0]


@pytest.mark.parametrize(("config", "fraction"), [(TINY, 0.5), (SHALLOW, 0.5), (SHALLOW, 0.3)])
def test_against_an_independent_computation(config, fraction):
    network = randomised(config)
    pair = frames(64, 128)
    with torch.no_grad():
        out = network(*pair, fraction)
        expected = by_the_description(network.state_dict(), config, *pair, fraction)
    assert float(out.flow_to_first.abs().mean()) > 0.05
    for ours, theirs in zip(out, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-4)


def joined_levels(network: Film, *arguments) -> list[torch.Tensor]:
    """What the fusion is given."""
    seen = []
    hook = network.fuse.register_forward_pre_hook(lambda _, given: seen.extend(given[0]))
    with torch.no_grad():
        network(*arguments)
    hook.remove()
    return seen


def test_shapes_of_all_levels():
    levels = joined_levels(randomised(TINY), *frames(64, 128))
    channels = [TINY.feature_channels(i) for i in range(5)]
    assert channels == [2, 6, 14, 30, 30]
    assert [tuple(x.shape) for x in levels] == [(1, 2 * (3 + c) + 4, 64 >> i, 128 >> i) for i, c in enumerate(channels)]


def test_an_untrained_network_has_no_motion():
    first, second = frames(64, 64)
    level = joined_levels(Film(TINY), first, second)[0]
    torch.testing.assert_close(level[:, :3], first, atol=1e-5, rtol=0)
    torch.testing.assert_close(level[:, 5:8], second, atol=1e-5, rtol=0)
    assert float(level[:, -4:].abs().max()) == 0.0


def test_constant_motion_doubles_from_level_to_level_and_moves_the_frames():
    network = Film(TINY)
    # Only the shared predictor says something: levels 6 to 3 add it, levels 2 to 0 double what came.
    network.predict_flow._predictor._convs[-1][0].bias.data = torch.tensor([1 / 60, -1 / 120])
    first, second = frames(64, 64)
    with torch.no_grad():
        out = network(first, second, 0.25)
    # 15 at level 3, then 30, 60, 120.
    for flow, share in ((out.flow_to_first, 0.25), (out.flow_to_second, 0.75)):
        expected = share * torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand_as(flow)
        torch.testing.assert_close(flow, expected, atol=1e-5, rtol=0)
    level = joined_levels(network, first, second, 0.5)[0]
    # Half of (2, -1): one pixel from the right, half a pixel from above.
    expected = 0.5 * (first[..., 1:, 1:] + first[..., :-1, 1:])
    torch.testing.assert_close(level[:, :3, 1:, :-1], expected, atol=1e-4, rtol=0)


def test_fetch_is_the_package_warp():
    image = torch.rand(2, 5, 9, 13)
    flow = 6.0 * torch.randn(2, 2, 9, 13)
    torch.testing.assert_close(fetch(image, flow), backward_warp(image, flow), atol=2e-5, rtol=0)
    row = torch.rand(1, 3, 1, 7)
    torch.testing.assert_close(fetch(row, torch.zeros(1, 2, 1, 7)), row, atol=1e-6, rtol=0)


def test_trains():
    network = randomised(SHALLOW).train().requires_grad_(True)
    out = network(*frames(32, 32), 0.5)
    (out.frame.square().mean() + out.flow_to_first.square().mean()).backward()
    gradients = [p.grad for p in network.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    assert all(float(g.abs().max()) > 0 for g in gradients)


def test_sizes_off_the_grid_are_refused_by_the_network_and_padded_by_the_interpolator():
    with pytest.raises(ValueError, match="multiples of 64"):
        Film(TINY)(*frames(64, 100))
    interpolator = FilmInterpolator(randomised(SHALLOW))
    for size in ((1, 1), (3, 50), (33, 31), (32, 32)):
        out = interpolator(*frames(*size), 0.5, gain=8.0)
        assert out.shape[-2:] == size
        assert 0.0 <= out.min() <= out.max() <= 1.0
    padded, inside = pad_to_multiple(torch.rand(1, 3, 10, 12), 8)
    assert padded.shape == (1, 3, 16, 16)
    assert inside == (slice(3, 13), slice(2, 14))
    whole = torch.rand(1, 3, 16, 16)
    assert pad_to_multiple(whole, 8)[0] is whole


def test_interpolator_is_the_network_at_sizes_on_the_grid():
    network = randomised(SHALLOW)
    interpolator = FilmInterpolator(network, "film-quarter")
    pair = frames(32, 64)
    assert isinstance(interpolator, Interpolator)
    assert interpolator.name == "film-quarter"
    with torch.no_grad():
        expected = network(*pair, 0.5).frame.clamp(0, 1)
    assert torch.equal(interpolator(*pair, 0.5), expected)
    assert not any(p.requires_grad for p in network.parameters())


def test_ends_and_equal_frames_are_the_frames():
    interpolator = FilmInterpolator(randomised(SHALLOW))
    first, second = frames(16, 16)
    assert torch.equal(interpolator(first, second, 0.0), first)
    assert torch.equal(interpolator(first, second, 1.0), second)
    assert torch.equal(interpolator(first, first.clone(), 0.5), first)


class Halfway(Film):
    """Counts its passes and gives the plain middle of numbers."""

    def __init__(self, config):
        super().__init__(config)
        self.asked = []

    def forward(self, first, second, fraction=0.5, *, motion=None):
        self.asked.append((fraction, motion))
        out = torch.lerp(first, second, fraction)
        return type("Out", (), {"frame": out})


@pytest.mark.parametrize(
    ("fraction", "reached", "passes"),
    [(0.5, 0.5, 1), (0.25, 0.25, 2), (1 / 3, 0.375, 3), (2 / 3, 0.625, 3), (0.9, 0.875, 3)],
)
def test_other_fractions_by_midpoints(fraction, reached, passes):
    network = Halfway(SHALLOW)
    out = FilmInterpolator(network)(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4), fraction)
    assert float(out.mean()) == pytest.approx(reached)
    assert [f for f, _ in network.asked] == [0.5] * passes


def test_any_fraction_at_once_where_the_weights_know_it():
    network = Halfway(FilmConfig(**{**SHALLOW.to_dict(), "any_fraction": True}))
    out = FilmInterpolator(network)(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4), 0.3)
    assert float(out.mean()) == pytest.approx(0.3)
    assert len(network.asked) == 1


def test_gain_shows_the_flow_raised_copies_only():
    network = Halfway(SHALLOW)
    first, second = torch.full((1, 3, 4, 4), 0.1), torch.full((1, 3, 4, 4), 0.3)
    out = FilmInterpolator(network)(first, second, 0.5, gain=8.0)
    assert float(out.mean()) == pytest.approx(0.2)
    motion = network.asked[0][1]
    assert torch.equal(motion[0], raise_shadows(first, 8.0))
    assert float(motion[0].mean()) > 0.2
    FilmInterpolator(network)(first, second, 0.5, gain=1.0)
    assert network.asked[1][1] is None


def test_gain_changes_flow_and_not_the_exposure():
    network = randomised(SHALLOW)
    first, second = (0.2 * f for f in frames(32, 32))
    with torch.no_grad():
        plain = network(first, second)
        raised = network(first, second, motion=(raise_shadows(first, 8.0), raise_shadows(second, 8.0)))
        same = network(first, second, motion=(first, second))
    assert torch.equal(same.frame, plain.frame)
    assert float((raised.flow_to_first - plain.flow_to_first).abs().max()) > 0.01


def test_raised_shadows_keep_black_white_and_order():
    ramp = torch.linspace(0, 1, 11).view(1, 1, 1, 11)
    raised = raise_shadows(ramp, 8.0)
    assert float(raised[..., 0]) == 0.0
    assert float(raised[..., -1]) == pytest.approx(1.0)
    assert (raised.diff() > 0).all()
    # Near black the gain is that of linear light, in code values.
    assert float(raise_shadows(torch.full((1, 1, 1, 1), 1e-4), 8.0)) == pytest.approx(8 ** (1 / 2.2) * 1e-4, rel=1e-3)
    assert raise_shadows(ramp, 0.5) is ramp


def test_bad_arguments():
    interpolator = FilmInterpolator(randomised(SHALLOW))
    a = torch.rand(1, 3, 8, 8)
    with pytest.raises(InputError, match="differ in shape"):
        interpolator(a, a[..., :-1], 0.5)
    with pytest.raises(InputError, match="fraction"):
        interpolator(a, a, 1.5)
