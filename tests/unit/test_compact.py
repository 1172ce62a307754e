"""The compact interpolator: its network, its motion input, and how it brings any size to the grid."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from lrhdr.backends import BackendChoice
from lrhdr.baselines import completion
from lrhdr.checks import InputError
from lrhdr.interpolate import DISInterpolator, compact, complete_frames, complete_window, get_interpolator
from lrhdr.interpolate.base import GuidedInterpolator
from lrhdr.interpolate.compact import CompactInterpolator, _rows, pair_motion
from lrhdr.interpolate.compact_net import GUESSES, CompactConfig, CompactNet, CompactOutput, blend, stand_in
from lrhdr.interpolate.compact_steps import CompactSteps, Halves, average
from lrhdr.interpolate.flow import Array, dis, pixel_grid, to_arrays
from lrhdr.interpolate.guided import clipped_luminance8
from lrhdr.interpolate.polish import polish
from lrhdr.pipeline import Reconstructor
from lrhdr.randomness import torch_generator

SMALL = CompactConfig(widths=(8, 8, 8), fine=8, features=4)


def texture(height: int, width: int, seed: int = 0) -> Tensor:
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)
    return (0.5 + 2.0 * (smooth - 0.5)).clamp(0.05, 0.95)


def moving(shift: int = 4, height: int = 64, width: int = 96) -> list[Tensor]:
    """First, middle and last frame of a picture that moves by `shift` px per frame."""
    wide = texture(height, width + 4 * abs(shift))
    starts = [2 * abs(shift) + (t - 1) * shift for t in range(3)]
    return [wide[..., start : start + width] for start in starts]


def network(seed: int = 0) -> CompactNet:
    torch.manual_seed(seed)
    return CompactNet(SMALL)


def inputs(shift: int = 4) -> tuple[Tensor, ...]:
    first, middle, second = moving(shift)
    motion, _ = pair_motion(*(to_arrays(x)[0] for x in (first, second, middle)), 0.5, 1.0, 1.0)
    numbers = (torch.tensor([x]) for x in (0.5, 1.0, 1.0))
    return first, second, middle, torch.from_numpy(motion)[None], *numbers


def test_untrained_votes_are_equal_and_flows_are_those_given() -> None:
    first, second, middle, motion, *numbers = inputs()
    output = network()(first, second, middle, motion, *numbers)
    assert output.votes.shape == (1, GUESSES, 32, 48)
    torch.testing.assert_close(output.votes, torch.full_like(output.votes, 1 / GUESSES))
    torch.testing.assert_close(output.flows[:, 2], motion[:, :2])
    torch.testing.assert_close(output.flows[:, 5], 0.5 * motion[:, 4:6])
    torch.testing.assert_close(output.flows[:, 0], 0.5 * (motion[:, :2] - 0.5 * motion[:, 4:6]))


def test_motion_input_is_the_motion() -> None:
    _, _, _, motion, *_ = inputs(shift=4)
    inner = motion[0, :, 8:-8, 12:-12]
    # 4 px per frame are 2 at half resolution; content that moves left lies to the right in the first frame.
    for channel, expected in ((0, 2.0), (1, 0.0), (2, -2.0), (3, 0.0), (4, -4.0), (5, 0.0), (6, 1.0), (7, 1.0)):
        assert float(inner[channel].median()) == pytest.approx(expected, abs=0.15), channel


def test_finds_the_middle_of_a_moving_picture_in_any_exposure() -> None:
    first, middle, second = moving()
    interpolator = CompactInterpolator(network())
    assert isinstance(interpolator, GuidedInterpolator)
    inner = (..., slice(8, -8), slice(12, -12))

    def psnr(a: Tensor) -> float:
        return float(-10 * torch.log10((a - middle)[inner].square().mean()))

    lazy = psnr(0.5 * (first + second))
    for ratio in (0.25, 1.0, 4.0):
        reference = (middle * ratio ** (1 / 2.2)).clamp_max(1.0)
        gain = max(ratio, 1.0)
        made = interpolator.complete(first, second, 0.5, gain=gain, reference=reference, ratio=ratio)
        assert psnr(made) > lazy + 8.0, ratio
    assert psnr(interpolator(first, second, 0.5)) > lazy + 8.0


def test_remap_and_torch_agree() -> None:
    first, _, second = moving()
    net = network()
    torch.nn.init.normal_(net.out.weight, std=0.1)
    torch.nn.init.normal_(net.g3.weight, std=0.1)
    frames = [to_arrays(x)[0] for x in (first, second)]
    motion = torch.from_numpy(pair_motion(*frames, None, 0.5, 2.0, 1.0)[0])[None]
    half, gain, one = (torch.tensor([x]) for x in (0.5, 2.0, 1.0))
    with torch.no_grad():
        output = net(first, second, stand_in(first, second, motion, half), motion, half, gain, one)
        expected = blend(first, second, output).frame
    made = CompactInterpolator(net)(first, second, 0.5, gain=2.0)
    torch.testing.assert_close(made, expected, atol=2e-3, rtol=0.0)  # remap rounds places to 1/32 px


@pytest.mark.parametrize(("pixels", "faster"), [(64 * 96, False), (64 * 96 - 1, False), (64 * 96, True)])
def test_flow_from_the_reference_is_taken_at_full_resolution(
    pixels: int, faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Votes for the guided guesses alone: what comes out is the frame along DIS flow of full-size frames."""
    monkeypatch.setattr(compact, "FULL_PIXELS", pixels)
    full = pixels == 64 * 96 and not faster
    first, middle, second = moving()
    net = network()
    with torch.no_grad():
        for guess in (2, 3):
            net.g3.bias[4 + guess] = 20.0
    interpolator = CompactInterpolator(net)
    if faster:
        interpolator = interpolator.tuned(fast=True, half=False)
    made = interpolator.complete(first, second, 0.5, gain=2.0, reference=middle, ratio=1.0)
    arrays = [to_arrays(x)[0] for x in (first, second)]
    own = clipped_luminance8(to_arrays(middle)[0], 1.0)
    grid = pixel_grid(64, 96)
    copies = [clipped_luminance8(x, 1.0) for x in arrays]
    flows = [dis(own, copy, sparse=True, full=full) for copy in copies]
    if not full:
        flows = [polish(own, copy, flow) for copy, flow in zip(copies, flows, strict=True)]
    places = [(grid[0] + flow[..., 0], grid[1] + flow[..., 1]) for flow in flows]
    how = {"interpolation": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REPLICATE}
    along = [cv2.remap(x, *place, **how) for x, place in zip(arrays, places, strict=True)]
    np.testing.assert_allclose(to_arrays(made)[0], 0.5 * (along[0] + along[1]), atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (20, 300), (33, 47), (64, 70)])
def test_any_size(size: tuple[int, int]) -> None:
    frames = texture(*size)
    made = CompactInterpolator(network()).complete(frames, frames, 0.5, gain=2.0, reference=frames, ratio=1.0)
    assert made.shape == frames.shape
    torch.testing.assert_close(made, frames, atol=0.02, rtol=0.0)


def test_batch_equals_one_by_one() -> None:
    first, middle, second = (torch.cat(x) for x in zip(moving(4), moving(-2), strict=True))
    interpolator = CompactInterpolator(network())
    both = interpolator.complete(first, second, 1 / 3, gain=4.0, reference=middle, ratio=1.0)
    for i in (0, 1):
        one = interpolator.complete(
            first[i : i + 1], second[i : i + 1], 1 / 3, gain=4.0, reference=middle[i : i + 1], ratio=1.0
        )
        torch.testing.assert_close(both[i : i + 1], one)


def test_quality_fast_takes_the_cheaper_search() -> None:
    assert not CompactInterpolator(network()).fast
    own = CompactInterpolator(network(), "mine")
    for quality in ("best", "fast"):
        tool = Reconstructor(completion, own, backend=BackendChoice(quality=quality))
        assert isinstance(tool.interpolator, CompactInterpolator)
        assert (tool.interpolator.name, tool.interpolator.fast) == ("mine", quality == "fast")
        kept = Reconstructor(completion, own.tuned(fast=True, half=False), backend=BackendChoice(quality=quality))
        assert isinstance(kept.interpolator, CompactInterpolator)
        assert kept.interpolator.fast
        assert isinstance(
            Reconstructor(completion, "dis", backend=BackendChoice(quality=quality)).interpolator, DISInterpolator
        )


@pytest.mark.parametrize("lanes", [2, 3])
@pytest.mark.parametrize("guided", [True, False])
def test_lanes_give_the_same(lanes: int, guided: bool) -> None:
    frames = texture(208, 72)
    first, second = frames.roll(2, -1), frames.roll(-2, -1)
    net = network()
    for module in net.modules():  # every layer matters, also the last ones that training starts from zero
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=0.5 / (module.in_channels * 9) ** 0.5)
    interpolator = CompactInterpolator(net)
    reference = {"reference": frames, "ratio": 4.0} if guided else {}
    run = partial(interpolator.complete if guided else interpolator, first, second, 0.4, gain=2.0, **reference)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = run()
        torch.set_num_threads(lanes)
        torch.testing.assert_close(run(), expected, rtol=0.0, atol=2e-6)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("guided", [False, True])
@pytest.mark.parametrize("missing", [(0, 0), (6, 4)])
def test_rows_of_frames_made_when_they_are_needed_give_the_same(guided: bool, missing: tuple[int, int]) -> None:
    generator = torch_generator(5)
    height, width = 58 + missing[0], 36 + missing[1]
    pair = [(torch.rand(1, 3, 58, 36, generator=generator) * 255).to(torch.uint8) for _ in range(2)]
    asked: list[tuple[int, int]] = []

    def rows(frame: torch.Tensor, begin: int, end: int) -> Array:
        asked.append((begin, end))
        assert 0 <= begin < end <= height
        return _rows(frame, missing, begin, end)

    half = (2, height // 2, width // 2)
    flows: list[Array | None] = [(torch.randn(half, generator=generator) * 2).numpy() for _ in range(6)]
    along = None
    if guided:
        flows[2:4] = None, None
        along = [(torch.randn(height, width, 2, generator=generator) * 4).numpy() for _ in range(2)]
    votes = torch.rand(6, *half[1:], generator=generator).softmax(0).numpy()
    made = [np.empty((3, height, width), np.float32) for _ in range(2)]
    for out, band in zip(made, (None, 5), strict=True):
        asked.clear()
        average((partial(rows, pair[0]), partial(rows, pair[1])), flows, votes, along, out, band)
    np.testing.assert_array_equal(made[0], made[1])
    assert len(asked) > 2
    assert min(end - begin for begin, end in asked) < height / 2


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="differ in shape"):
        CompactInterpolator(network())(torch.rand(1, 3, 40, 40), torch.rand(1, 3, 40, 44), 0.5)


def test_blend_is_the_weighted_mean_and_differentiable() -> None:
    first, second = torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16)
    votes = torch.zeros(1, GUESSES, 8, 8)
    votes[:, 0], votes[:, 3] = 0.75, 0.25
    flows = torch.zeros(1, GUESSES, 2, 8, 8, requires_grad=True)
    made = blend(first, second, CompactOutput(flows, votes))
    torch.testing.assert_close(made.frame, torch.full_like(first, 0.25))
    blend(texture(16, 16), second, CompactOutput(flows, votes)).frame.sum().backward()
    assert flows.grad is not None
    assert bool(torch.isfinite(flows.grad).all())


def test_stand_in_moves_both_frames_to_the_time() -> None:
    first, middle, second = moving(4)
    motion = torch.zeros(1, 8, 32, 48)
    motion[:, 4] = -4.0
    inner = (..., slice(None), slice(12, -12))
    torch.testing.assert_close(
        stand_in(first, second, motion, torch.tensor([0.5]))[inner], middle[inner], atol=1e-3, rtol=0.0
    )


def test_configuration_round_trips_and_refuses_nonsense() -> None:
    assert CompactConfig.from_dict(SMALL.to_dict() | {"widths": [8, 8, 8]}) == SMALL
    with pytest.raises(ValueError, match="three widths"):
        CompactConfig(widths=(8, 8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="depth"):
        CompactConfig.from_dict({"depth": 3})


def test_motion_without_a_reference_is_that_of_the_velocity() -> None:
    first, _, second = (to_arrays(x)[0] for x in moving())
    motion, _ = pair_motion(first, second, None, 0.25, 1.0, 1.0)
    np.testing.assert_allclose(motion[0:2], -0.25 * motion[4:6], atol=1e-6)
    np.testing.assert_allclose(motion[2:4], 0.75 * motion[4:6], atol=1e-6)


@pytest.mark.parametrize(("gain", "ratio"), [(8.0, 8.0), (1.0, 0.125)])
def test_steps_are_the_network(gain: float, ratio: float) -> None:
    first, middle, second = moving(3, 72, 100)
    net = network()
    for conv in (net.out, net.g3):
        torch.nn.init.normal_(conv.weight, std=0.1)
    reference = (middle * ratio ** (1 / 2.2)).clamp_max(1.0)
    arrays = [to_arrays(x)[0] for x in (first, second, reference)]
    motion, _ = pair_motion(*arrays, 0.4, gain, ratio)
    numbers = (torch.tensor([x]) for x in (0.4, gain, ratio))
    with torch.no_grad():
        expected = net(first, second, reference, torch.from_numpy(motion)[None], *numbers)
        halves = (cv2.resize(x, (50, 36), interpolation=cv2.INTER_AREA) for x in arrays)
        flows, votes = CompactSteps(net.eval())(Halves(*halves, motion, 0.4, gain, ratio))
    np.testing.assert_allclose(flows, expected.flows[0, :2].flatten(0, 1).numpy(), atol=5e-3)
    np.testing.assert_allclose(votes, expected.votes[0].numpy(), atol=5e-3)
    assert float(np.abs(votes - expected.votes[0].numpy()).mean()) < 5e-4


@pytest.mark.parametrize(("dtype", "white"), [(torch.uint8, 255), (torch.uint16, 65535)])
@pytest.mark.parametrize("size", [(64, 96), (33, 47), (20, 24)])
def test_frames_may_be_integers(dtype: torch.dtype, white: int, size: tuple[int, int]) -> None:
    codes = [(x[0, :, : size[0], : size[1]] * white).round().to(torch.int32).to(dtype) for x in moving()]
    floats = [x.float() / white for x in codes]
    exposures = torch.tensor([[1.0, 8.0, 1.0]])
    for interpolator in (CompactInterpolator(network()), DISInterpolator()):
        made = complete_frames(codes, exposures, interpolator)
        expected = complete_window(torch.stack(floats)[None], exposures, interpolator)[0]
        assert len(made) == 1
        torch.testing.assert_close(made[0], expected[0], atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("reference", [True, False])
def test_bfloat16_gives_nearly_the_same(reference: bool) -> None:
    """The bundled network, flow searched alike: convolutions in bfloat16 move no pixel by more than noise would."""
    own = get_interpolator("compact")
    assert isinstance(own, CompactInterpolator)
    first, middle, second = moving(4)
    results = []
    for half in (False, True):
        tuned = own.tuned(fast=False, half=half)
        extra = {"reference": middle, "ratio": 4.0} if reference else {}
        make = tuned.complete if reference else tuned
        results.append(make(first, second, 0.5, gain=2.0, **extra))
    error = (results[0] - results[1]).abs()
    assert 0.0 < float(error.mean()) < 2e-3
    assert float(error.max()) < 0.05
