"""The pipeline: one output per frame, streaming, exact padding, tiles, and refusals that name the frame."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from lrhdr.backends import BackendChoice
from lrhdr.checks import InputError, LrhdrError
from lrhdr.exposure import ExposureSchedule
from lrhdr.frames import composite_with_reference, frame_to_tensor
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.noise import noise_level
from lrhdr.pipeline import Reconstructor
from lrhdr.radiometry import ldr_to_radiance
from lrhdr.tiling import TileGrid, pad_to_multiple, run_tiled
from lrhdr.tonemap import mu_law
from lrhdr.weights import WeightsRecord, save_weights

TWO = ExposureSchedule((1.0, 8.0))
THREE = ExposureSchedule((1.0, 4.0, 16.0))


def clip(schedule: ExposureSchedule, count: int, height: int = 16, width: int = 24) -> list[np.ndarray]:
    """A static scene, exposed without noise: 8-bit frames."""
    scene = np.linspace(0.001, 0.9, height * width * 3).reshape(height, width, 3)
    return [
        np.rint(255.0 * (scene * schedule.exposure(i)).clip(0.0, 1.0) ** (1 / 2.2)).astype(np.uint8)
        for i in range(count)
    ]


def linearised_reference(window: Tensor, interpolated: Tensor, exposures: Tensor) -> Tensor:
    centre = window.shape[1] // 2
    return ldr_to_radiance(window[:, centre], exposures[:, centre])


def network(n_exposures: int = 2) -> LRHDR:
    torch.manual_seed(3)
    model = LRHDR(LRHDRConfig.preset("compact", n_exposures))
    for p in model.parameters():
        if p.ndim > 1:
            torch.nn.init.normal_(p, std=0.05)
    return model.eval()


@pytest.mark.parametrize(("schedule", "count"), [(TWO, 2), (TWO, 5), (THREE, 3), (THREE, 4), (THREE, 8)])
def test_one_output_per_frame_in_order_with_its_own_exposure(schedule: ExposureSchedule, count: int) -> None:
    frames = clip(schedule, count)
    outputs = list(Reconstructor(linearised_reference, "average").reconstruct(iter(frames), schedule))
    assert [o.index for o in outputs] == list(range(count))
    for output, frame in zip(outputs, frames, strict=True):
        assert output.exposure == schedule.exposure(output.index)
        assert output.radiance.shape == frame.shape
        assert output.radiance.dtype == np.float32
        expected = (frame / 255.0) ** 2.2 / output.exposure
        np.testing.assert_allclose(output.radiance, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("schedule", [TWO, THREE, ExposureSchedule((1.0, 2.0, 4.0, 8.0), start=1)])
def test_windows_are_those_of_the_schedule(schedule: ExposureSchedule) -> None:
    n, count = schedule.n_exposures, 2 * schedule.n_exposures + 1
    frames = [np.full((4, 4, 3), 10 * i, dtype=np.uint8) for i in range(count)]
    seen = []

    def spy(window: Tensor, interpolated: Tensor, exposures: Tensor) -> Tensor:
        assert interpolated.shape[1] == n - 1
        seen.append((tuple((window[0, :, 0, 0, 0] * 25.5).round().int().tolist()), tuple(exposures[0].tolist())))
        return window[:, n - 1]

    outputs = list(Reconstructor(spy, "average", keep_maps=True).reconstruct(frames, schedule))
    assert seen == [(schedule.window(i, count), schedule.window_exposures(i)) for i in range(count)]
    assert [o.window_indices for o in outputs] == [s[0] for s in seen]
    assert [len(o.window) for o in outputs] == [2 * n - 1] * count


def test_streams_with_the_lookahead_of_a_window_only() -> None:
    taken = []

    def source() -> Iterator[np.ndarray]:
        for i, frame in enumerate(clip(THREE, 9)):
            taken.append(i)
            yield frame

    for output in Reconstructor(linearised_reference, "average").reconstruct(source(), THREE):
        assert len(taken) == min(9, output.index + 3)


def test_inference_mode_does_not_leak_to_the_consumer() -> None:
    for _ in Reconstructor(linearised_reference, "average").reconstruct(clip(TWO, 3), TWO):
        assert not torch.is_inference_mode_enabled()


def test_skipped_frames_are_neither_computed_nor_yielded() -> None:
    calls = []

    def counting(window: Tensor, interpolated: Tensor, exposures: Tensor) -> Tensor:
        calls.append(1)
        return window[:, 1]

    whole = list(Reconstructor(linearised_reference, "average").reconstruct(clip(TWO, 6), TWO))
    rest = list(Reconstructor(counting, "average").reconstruct(clip(TWO, 6), TWO, skip={0, 2, 5}))
    assert [o.index for o in rest] == [1, 3, 4]
    assert len(calls) == 3
    part = list(Reconstructor(linearised_reference, "average").reconstruct(clip(TWO, 6), TWO, skip={0, 2, 5}))
    np.testing.assert_array_equal(part[1].radiance, whole[3].radiance)


@pytest.mark.parametrize(("schedule", "first"), [(TWO, 3), (THREE, 4), (THREE, 6)])
def test_a_part_of_a_video_gives_the_frames_of_the_whole(schedule: ExposureSchedule, first: int) -> None:
    rng = np.random.default_rng(0)
    frames = list(rng.integers(0, 256, (10, 4, 4, 3), dtype=np.uint8))
    reconstructor = Reconstructor(lambda w, i, e: (w.sum(1) + i.sum(1)) * e.sum(), "average")
    whole = list(reconstructor.reconstruct(frames, schedule))
    part = list(reconstructor.reconstruct(frames[first:], schedule, first=first))
    assert [p.index for p in part] == list(range(first + schedule.n_exposures - 1, 10))
    for p in part:
        assert p.exposure == whole[p.index].exposure
        np.testing.assert_array_equal(p.radiance, whole[p.index].radiance)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (33, 17), (8, 8)])
@pytest.mark.parametrize("schedule", [TWO, THREE])
def test_network_takes_any_size_and_returns_it(size: tuple[int, int], schedule: ExposureSchedule) -> None:
    frames = clip(schedule, schedule.n_exposures, *size)
    reconstructor = Reconstructor(network(schedule.n_exposures), "dis", keep_maps=True)
    for output in reconstructor.reconstruct(frames, schedule):
        assert output.radiance.shape == (*size, 3)
        assert np.isfinite(output.radiance).all()
        assert output.radiance.min() >= 0.0
        assert output.weights is not None
        assert output.weights.shape == (4 * schedule.n_exposures - 2, *size)
        assert output.candidates is not None
        fused = np.einsum("khw,khwc->hwc", output.weights, output.candidates)
        np.testing.assert_allclose(fused, output.radiance, atol=1e-5)
        np.testing.assert_allclose(output.weights.sum(axis=0), 1.0, atol=1e-5)


def test_frame_types_agree() -> None:
    codes = clip(TWO, 1)[0]
    expected = torch.from_numpy(codes.astype(np.float32) / 255).permute(2, 0, 1)
    for frame in (codes, codes.astype(np.uint16) * 257, codes.astype(np.float32) / 255, codes / 255.0):
        torch.testing.assert_close(frame_to_tensor(frame, 0), expected, rtol=0, atol=1e-7)
    torch.testing.assert_close(frame_to_tensor(torch.from_numpy(codes).permute(2, 0, 1), 0), expected)
    torch.testing.assert_close(frame_to_tensor(expected, 0), expected)
    for order in (">u2", "<u2"):
        there = (np.arange(12, dtype=np.float64).reshape(2, 2, 3) / 11 * 65535).astype(order)
        torch.testing.assert_close(frame_to_tensor(there, 0), torch.from_numpy(there / 65535).permute(2, 0, 1).float())
    with pytest.raises(InputError, match="frame 3: expected uint8, uint16 or float values, found complex"):
        frame_to_tensor(np.zeros((2, 2, 3), np.clongdouble), 3)
    mirrored = codes[:, ::-1]  # a negative stride, which torch cannot take as it is
    torch.testing.assert_close(frame_to_tensor(mirrored, 0), expected.flip(2))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"frame 5: expected shape \(H, W, 3\), found \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), "frame 5: expected shape"),
        (np.zeros((0, 4, 3), np.uint8), "frame 5: expected shape"),
        (torch.zeros(4, 4, 3), r"frame 5: expected shape \(3, H, W\)"),
        (np.zeros((4, 4, 3), np.int32), "frame 5: expected uint8, uint16 or float"),
        (np.full((4, 4, 3), np.nan), "frame 5: found 48 NaN or infinite values"),
        (np.full((4, 4, 3), np.inf), "frame 5: found 48 NaN or infinite values"),
        (np.full((4, 4, 3), 7.5), r"frame 5: found values from 7.5 to 7.5, expected gamma-encoded LDR in \[0, 1\]"),
        ("frame.png", "frame 5: expected a numpy array or a torch tensor, found str"),
    ],
)
def test_bad_frames_are_named(frame: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        frame_to_tensor(frame, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_kept_as_they_are_and_give_what_floats_give(dtype: type) -> None:
    white = np.iinfo(dtype).max
    frames = [(x.astype(np.uint32) * (white // 255)).astype(dtype) for x in clip(TWO, 4, 40, 56)]
    exact = BackendChoice(precision="fp32")
    tool = Reconstructor(network(), "compact", backend=exact)
    whole = list(tool.reconstruct(frames, TWO))
    floats = list(tool.reconstruct([x.astype(np.float32) / white for x in frames], TWO))
    shown = list(Reconstructor(network(), "compact", backend=exact, keep_maps={2}).reconstruct(frames, TWO))
    assert [x.weights is not None for x in shown] == [False, False, True, False]
    np.testing.assert_allclose(shown[2].window[1], frames[2].astype(np.float32) / white, atol=1e-7)
    for a, b, c in zip(whole, floats, shown, strict=True):
        tones = (mu_law(torch.from_numpy(x.radiance)) for x in (a, b))
        torch.testing.assert_close(*tones, rtol=0.0, atol=1e-4)
        np.testing.assert_array_equal(a.radiance, c.radiance)


def test_a_tensor_may_be_filled_anew_once_it_was_given() -> None:
    memory = torch.empty(3, 40, 56, dtype=torch.uint8)
    frames = [torch.from_numpy(x).permute(2, 0, 1) for x in clip(TWO, 4, 40, 56)]
    tool = Reconstructor(network(), "average")
    again = tool.reconstruct((memory.copy_(x) for x in frames), TWO)
    for a, b in zip(tool.reconstruct(frames, TWO), again, strict=True):
        np.testing.assert_array_equal(a.radiance, b.radiance)


def test_small_overshoots_are_clamped() -> None:
    x = frame_to_tensor(np.array([[[-0.01, 0.5, 1.02]]]), 0)
    assert x.flatten().tolist() == [0.0, 0.5, 1.0]


def test_frames_before_a_bad_one_are_yielded() -> None:
    frames = clip(TWO, 6)
    frames[4] = np.zeros((8, 8, 3), np.uint8)
    outputs = Reconstructor(linearised_reference, "average").reconstruct(frames, TWO)
    assert [next(outputs).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InputError, match="frame 4: found 8x8 pixels, expected 24x16"):
        next(outputs)


def test_too_few_frames_and_wrong_number_of_exposures() -> None:
    reconstructor = Reconstructor(linearised_reference, "average")
    with pytest.raises(InputError, match="found 2 frames, expected at least 3"):
        list(reconstructor.reconstruct(clip(THREE, 2), THREE))
    with pytest.raises(InputError, match="found 0 frames"):
        list(reconstructor.reconstruct([], TWO))
    with pytest.raises(InputError, match="made for 2 exposures, but the schedule has 3"):
        next(Reconstructor(network(2), "average").reconstruct(clip(THREE, 3), THREE))


def test_a_method_that_returns_nan_is_named() -> None:
    def broken(window: Tensor, interpolated: Tensor, exposures: Tensor) -> Tensor:
        return window[:, 1] * float("nan")

    with pytest.raises(LrhdrError, match="frame 0: broken: returned NaN"):
        next(Reconstructor(broken, "average").reconstruct(clip(TWO, 2), TWO))


def test_negative_radiance_is_clamped() -> None:
    outputs = Reconstructor(lambda w, i, e: w[:, 1] - 2.0, "average").reconstruct(clip(TWO, 2), TWO)
    assert next(outputs).radiance.max() == 0.0


def test_loads_weights_and_their_interpolator(tmp_path: object) -> None:
    path = f"{tmp_path}/tiny.safetensors"
    model = network()
    save_weights(path, model, WeightsRecord("tiny", model.config.to_dict(), interpolator="average"))
    loaded = Reconstructor.from_pretrained(path)
    assert loaded.name == "tiny"
    assert loaded.interpolator.name == "average"
    direct = Reconstructor(model, "average")
    for a, b in zip(loaded.reconstruct(clip(TWO, 3), TWO), direct.reconstruct(clip(TWO, 3), TWO), strict=True):
        np.testing.assert_array_equal(a.radiance, b.radiance)


def test_composite_pastes_the_well_exposed_reference() -> None:
    hdr = torch.full((2, 3, 1, 3), 0.77)
    reference = torch.tensor([0.1, 0.5, 0.9]).expand(2, 3, 1, 3)
    exposures = torch.tensor([[8.0, 1.0, 8.0], [1.0, 8.0, 1.0]])
    got = composite_with_reference(hdr, reference, exposures)
    own = ldr_to_radiance(reference, torch.tensor([1.0, 8.0]))
    kept = torch.tensor([[True, False, False], [False, False, True]])[:, None, None].expand_as(hdr)
    torch.testing.assert_close(got, torch.where(kept, hdr, own))
    middle = composite_with_reference(hdr[:1], reference[:1], torch.tensor([[16.0, 1.0, 4.0, 16.0, 1.0]]))
    assert (middle[0, 0, 0] == 0.77).tolist() == [True, False, True]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 9), (16, 8), (33, 17)])
def test_padding_undoes_itself(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, 3, *size)
    padded = pad_to_multiple(x, 8)
    assert padded.shape[-2] % 8 == 0
    assert padded.shape[-1] % 8 == 0
    assert torch.equal(padded[..., : size[0], : size[1]], x)


@pytest.mark.parametrize(("length", "tile", "overlap"), [(64, 64, 16), (72, 64, 16), (720, 256, 64), (128, 64, 0)])
def test_tiles_cover_the_axis_and_their_weights_sum_to_one(length: int, tile: int, overlap: int) -> None:
    grid = TileGrid.over(length, tile, overlap, 8)
    total = torch.zeros(length)
    for start, ramp in zip(grid.starts, grid.ramps(total), strict=True):
        assert start % 8 == 0
        assert 0 <= start <= length - grid.size
        assert ramp.min() >= 0.0
        total[start : start + grid.size] += ramp
    torch.testing.assert_close(total, torch.ones(length))
    assert all(b - a <= tile - overlap + 8 for a, b in zip(grid.starts, grid.starts[1:], strict=False))


def test_tiling_a_local_operation_changes_nothing() -> None:
    x = torch.rand(1, 3, 3, 48, 72)
    whole = torch.nn.functional.avg_pool2d(x[0], 3, 1, 1)
    (tiled,) = run_tiled(lambda p: (p.mean(1),), (x,), tile=32, overlap=16, multiple=8)
    torch.testing.assert_close(tiled, x.mean(1))
    (blurred,) = run_tiled(
        lambda p: (torch.nn.functional.avg_pool2d(p[0], 3, 1, 1),), (x,), tile=32, overlap=16, multiple=8
    )
    # Only the tiles' own border pixels differ, and those have a small weight.
    assert (blurred - whole).abs().max() < 0.05


def test_tiles_of_the_network_stay_close_to_the_whole_frame() -> None:
    frames = clip(TWO, 3, 96, 128)
    model = network()
    whole = list(Reconstructor(model, "average", keep_maps=True).reconstruct(frames, TWO))
    tiled = list(Reconstructor(model, "average", tile=64, overlap=32, keep_maps=True).reconstruct(frames, TWO))
    for a, b in zip(whole, tiled, strict=True):
        assert b.radiance.shape == a.radiance.shape
        assert np.abs(a.radiance - b.radiance).mean() < 0.02
        assert b.weights is not None
        np.testing.assert_allclose(b.weights.sum(axis=0), 1.0, atol=1e-5)


def test_tiles_give_the_candidates_of_the_whole_frame() -> None:
    generator = torch.Generator().manual_seed(0)
    window, made = (torch.rand(1, n, 3, 60, 92, generator=generator) for n in (3, 1))
    exposures, model = torch.tensor([[8.0, 1.0, 8.0]]), network()
    whole, tiled = (
        Reconstructor(model, "average", tile=tile, overlap=16).fuse(window, made, exposures) for tile in (None, 32)
    )
    assert whole.candidates is not None
    assert tiled.candidates is not None
    assert whole.candidates.shape == tiled.candidates.shape == (1, 6, 3, 60, 92)
    # Frames that only become radiance do so pixel by pixel.
    torch.testing.assert_close(tiled.candidates[:, :4], whole.candidates[:, :4], rtol=1e-4, atol=1e-5)
    plain = Reconstructor(model, "average", tile=32, overlap=16).fuse(window, made, exposures, maps=False)
    assert plain[1:] == (None, None)
    torch.testing.assert_close(plain.hdr, tiled.hdr)


@pytest.mark.parametrize("tile", [None, 32])
def test_candidates_without_votes_are_not_taken_for_votes(tile: int | None) -> None:
    def method(window: Tensor, interpolated: Tensor, exposures: Tensor) -> SimpleNamespace:
        return SimpleNamespace(hdr=window[:, 1], weights=None, candidates=window)

    window = torch.rand(1, 3, 3, 40, 48)
    tool = Reconstructor(method, "average", tile=tile, overlap=8)
    hdr, weights, candidates = tool.fuse(window, window[:, :1], torch.tensor([[1.0, 4.0, 1.0]]))
    assert weights is None
    torch.testing.assert_close(candidates, window)
    torch.testing.assert_close(hdr, window[:, 1])


def test_tiles_of_the_bundled_network_stay_within_the_stated_bound() -> None:
    rng = np.random.default_rng(0)
    small = torch.from_numpy(rng.normal(size=(1, 3, 12, 16)))
    texture = 2.0 ** (-4.0 + 2.0 * torch.nn.functional.interpolate(small, (192, 280), mode="bicubic"))[0]
    frames = []
    for i in range(3):
        light = texture[..., 8 * i : 8 * i + 256].permute(1, 2, 0).numpy() * TWO.exposure(i)
        noisy = light + rng.normal(size=light.shape) * np.sqrt(light.clip(0) / 4000 + 2.5e-7)
        frames.append(np.rint(255 * noisy.clip(0, 1) ** (1 / 2.2)).astype(np.uint8))
    whole, tiled = (
        [torch.from_numpy(o.radiance) for o in Reconstructor.from_pretrained(tile=t).reconstruct(frames, TWO)]
        for t in (None, 128)
    )
    for a, b in zip(whole, tiled, strict=True):
        difference = (mu_law(a) - mu_law(b)).abs()
        assert difference.square().mean() < 10**-4.0  # 40 dB; larger tiles come closer (see lrhdr.tiling)
        assert difference.max() < 0.15


def test_tile_options_are_checked() -> None:
    with pytest.raises(InputError, match="tile: expected a multiple of 8 above 0, found 100"):
        Reconstructor(network(), "average", tile=100)
    with pytest.raises(InputError, match="tile larger than the overlap"):
        Reconstructor(network(), "average", tile=64)
    with pytest.raises(InputError, match="interpolator"):
        Reconstructor(network(), "nothing")
    with pytest.raises(InputError, match="threads"):
        Reconstructor(network(), "average", threads=0)


class _HearsNoise(torch.nn.Module):
    """Returns the reference, and keeps what it was told about noise."""

    config = SimpleNamespace(n_exposures=2, noise=True)

    def __init__(self) -> None:
        super().__init__()
        self.told: list[float] = []

    def forward(self, window: Tensor, interpolated: Tensor, exposures: Tensor, noise: Tensor) -> Tensor:
        self.told.append(float(noise))
        return window[:, 1]


def test_every_tile_is_told_the_noise_of_the_whole_frame() -> None:
    generator = torch.Generator().manual_seed(0)
    window = 0.5 + torch.linspace(0.0, 0.03, 96) * torch.randn(1, 3, 3, 64, 96, generator=generator)
    method = _HearsNoise()
    Reconstructor(method, "average", tile=32, overlap=8).fuse(window, window[:, :1], torch.tensor([[1.0, 4.0, 1.0]]))
    assert len(method.told) > 1
    assert set(method.told) == {float(noise_level(window))}
