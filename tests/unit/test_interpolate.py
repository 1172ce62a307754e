"""Interpolators: the protocol, motion, occlusion, sizes, and the completion of a window."""

import threading

import cv2
import numpy as np
import pytest
import torch

from lrhdr.checks import InputError, WeightsError
from lrhdr.interpolate import (
    INTERPOLATORS,
    AverageInterpolator,
    DISInterpolator,
    GuidedDISInterpolator,
    GuidedInterpolator,
    Interpolator,
    complete_window,
    flow,
    get_interpolator,
)
from lrhdr.interpolate.flow import dis_flow, one_cv2_thread, pixel_grid, set_cv2_threads, warp
from lrhdr.warp import backward_warp


def texture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """A smooth random picture, (1, 3, H, W) in [0, 1], larger than what the tests cut from it."""
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    kernel = torch.ones(3, 1, 5, 5) / 25
    smooth = torch.nn.functional.conv2d(noise, kernel, padding=2, groups=3)
    return (0.5 + 2.0 * (smooth - 0.5)).clamp(0.05, 0.95)


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * torch.log10((a - b).square().mean()))


WEIGHTLESS = ("average", "dis", "dis-guided", "compact")


@pytest.mark.parametrize("name", WEIGHTLESS)
def test_registry_names_and_protocol(name):
    interpolator = get_interpolator(name)
    assert interpolator.name == name
    assert isinstance(interpolator, Interpolator)


@pytest.mark.parametrize("name", sorted(set(INTERPOLATORS) - set(WEIGHTLESS)))
def test_missing_weights_say_how_to_bring_them(name, tmp_path, monkeypatch):
    monkeypatch.setenv("LRHDR_CACHE", str(tmp_path))
    with pytest.raises(
        WeightsError, match=rf"{name}.*found nothing; bring them once with 'lrhdr weights (import|fetch)"
    ):
        get_interpolator(name)


def test_unknown_name_lists_the_known():
    with pytest.raises(InputError, match=r"average.*dis.*found 'film9'"):
        get_interpolator("film9")


@pytest.mark.parametrize("interpolator", [AverageInterpolator(), DISInterpolator()])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 9), (16, 128), (24, 300), (33, 31)])
def test_any_size(interpolator, size):
    first, second = torch.rand(2, 2, 3, *size, generator=torch.Generator().manual_seed(1)).unbind(0)
    out = interpolator(first, second, 0.5, gain=8.0)
    assert out.shape == first.shape
    assert out.dtype == first.dtype
    assert torch.isfinite(out).all()
    assert 0.0 <= out.min() <= out.max() <= 1.0


@pytest.mark.parametrize("interpolator", [AverageInterpolator(), DISInterpolator()])
def test_ends_are_the_inputs(interpolator):
    first, second = texture(40, 50, 1), texture(40, 50, 2)
    assert torch.equal(interpolator(first, second, 0.0), first)
    assert torch.allclose(interpolator(first, second, 1.0), second, atol=1e-6)


def test_average_is_the_average():
    first, second = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    assert torch.allclose(AverageInterpolator()(first, second, 0.25), torch.full((1, 3, 4, 4), 0.25))


@pytest.mark.parametrize("fraction", [1 / 3, 0.5, 2 / 3])
def test_dis_follows_a_translation(fraction):
    scene = texture(64, 96)
    # 6 pixels of motion to the right between the frames.
    first, second = scene[..., 12:76], scene[..., 6:70]
    position = 12 - 6 * fraction
    truth = scene[..., round(position) : round(position) + 64]
    dis = DISInterpolator()(first, second, fraction)[..., 8:-8, 8:-8]
    average = AverageInterpolator()(first, second, fraction)[..., 8:-8, 8:-8]
    assert psnr(dis, truth[..., 8:-8, 8:-8]) > 40.0
    assert psnr(dis, truth[..., 8:-8, 8:-8]) > psnr(average, truth[..., 8:-8, 8:-8]) + 12.0


def test_dis_averages_where_the_frames_agree():
    scene = texture(64, 64)
    noise = 0.02 * torch.randn(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    out = DISInterpolator()(scene + noise[0], scene + noise[1], 0.5)
    # Two frames averaged: 3 dB; flow that follows the noise must not eat more than 1 dB of it.
    assert psnr(out, scene) > psnr(scene + noise[0], scene) + 2.0


def test_dis_takes_the_frame_that_sees_a_place(monkeypatch):
    scene = texture(64, 140)
    # A pan by 8 pixels: at half way, 4 columns on each side are inside one of the two frames only.
    first, second, truth = scene[..., 8:136], scene[..., 0:128], scene[..., 4:132]
    seeing = DISInterpolator()(first, second, 0.5)
    monkeypatch.setattr(flow, "_OCCLUSION_FLOOR", 1e6)
    blind = DISInterpolator()(first, second, 0.5)
    for edge in (slice(0, 4), slice(-4, None)):
        assert psnr(seeing[..., edge], truth[..., edge]) > psnr(blind[..., edge], truth[..., edge]) + 1.0


def test_dis_sees_through_the_dark_with_gain():
    scene = texture(64, 96) * 0.6
    dark = torch.round((scene**2.2 / 64) ** (1 / 2.2) * 255) / 255
    first, second, truth = dark[..., 12:76], dark[..., 6:70], dark[..., 9:73]
    with_gain = DISInterpolator()(first, second, 0.5, gain=64.0)
    assert psnr(with_gain[..., 8:-8], truth[..., 8:-8]) > psnr((first + second)[..., 8:-8] / 2, truth[..., 8:-8]) + 6


def test_dis_is_deterministic_and_batch_items_are_independent():
    first, second = texture(48, 48, 1), texture(48, 48, 2)
    dis = DISInterpolator()
    alone = dis(first, second, 0.5)
    together = dis(torch.cat((second, first)), torch.cat((first, second)), 0.5)
    assert torch.equal(alone, dis(first, second, 0.5))
    assert torch.equal(alone, together[1:])


def test_dis_flow_direction_and_sign():
    scene = texture(64, 96)
    motion = dis_flow(scene[..., 12:76], scene[..., 6:70])
    assert motion.shape == (1, 2, 64, 64)
    assert float(motion[:, 0, 16:-16, 16:-16].median()) == pytest.approx(6.0, abs=0.2)
    assert float(motion[:, 1, 16:-16, 16:-16].median()) == pytest.approx(0.0, abs=0.2)


@pytest.fixture
def three_cv2_threads():
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    yield
    cv2.setNumThreads(before)


@pytest.mark.usefixtures("three_cv2_threads")
def test_opencv_has_one_thread_until_the_last_one_leaves():
    first, second = one_cv2_thread(), one_cv2_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert cv2.getNumThreads() == 1
    second.__exit__(None, None, None)
    assert cv2.getNumThreads() == 3
    with one_cv2_thread(), one_cv2_thread():
        set_cv2_threads(2)
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == 2
    set_cv2_threads(3)
    assert cv2.getNumThreads() == 3


@pytest.mark.usefixtures("three_cv2_threads")
def test_opencv_gets_its_threads_back_from_many_threads():
    seen = set()

    def work():
        for _ in range(200):
            with one_cv2_thread():
                seen.add(cv2.getNumThreads())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {1}
    assert cv2.getNumThreads() == 3


def test_own_warp_agrees_with_the_package_warp():
    image = torch.rand(1, 3, 20, 24)
    motion = 5 * torch.randn(1, 2, 20, 24, generator=torch.Generator().manual_seed(0))
    arrays = [np.ascontiguousarray(x[0].permute(1, 2, 0).numpy()) for x in (image, motion)]
    ours = warp(arrays[0], arrays[1], 0.5, pixel_grid(20, 24))
    theirs = backward_warp(image, 0.5 * motion)[0].permute(1, 2, 0).numpy()
    # OpenCV may place samples on a grid of 1/32 pixel.
    assert np.abs(ours - theirs).max() < 1 / 16


class Recorder:
    """Remembers its calls; returns a constant that counts them."""

    name = "recorder"

    def __init__(self):
        self.calls = []

    def __call__(self, first, second, fraction, *, gain=1.0):
        self.calls.append((float(first.mean()), float(second.mean()), fraction, gain, first.shape[0]))
        return torch.full_like(first, float(len(self.calls)))


def test_complete_window_two_exposures():
    window = torch.arange(3.0).view(1, 3, 1, 1, 1).expand(2, 3, 3, 4, 4)
    recorder = Recorder()
    out = complete_window(window, torch.tensor([[1.0, 8.0, 1.0]] * 2), recorder)
    assert out.shape == (2, 1, 3, 4, 4)
    assert recorder.calls == [(0.0, 2.0, 0.5, 8.0, 2)]


def test_complete_window_three_exposures_pairs_and_fractions():
    window = torch.arange(5.0).view(1, 5, 1, 1, 1).expand(1, 5, 3, 4, 4)
    recorder = Recorder()
    # Exposures cycle 1, 4, 16; the reference (position 2) is the 4: positions are 16, 1, 4, 16, 1.
    out = complete_window(window, torch.tensor([[16.0, 1.0, 4.0, 16.0, 1.0]]), recorder)
    assert out.shape == (1, 2, 3, 4, 4)
    (first, second) = recorder.calls
    assert first == (1.0, 4.0, pytest.approx(1 / 3), 16.0, 1)
    assert second == (0.0, 3.0, pytest.approx(2 / 3), 1.0, 1)


def test_complete_window_mixed_phases_in_one_batch():
    window = torch.rand(2, 3, 3, 4, 4)
    recorder = Recorder()
    out = complete_window(window, torch.tensor([[1.0, 8.0, 1.0], [8.0, 1.0, 8.0]]), recorder)
    assert [(c[3], c[4]) for c in recorder.calls] == [(8.0, 1), (1.0, 1)]
    assert out.shape == (2, 1, 3, 4, 4)


def test_complete_window_has_no_gradient():
    window = torch.rand(1, 3, 3, 4, 4, requires_grad=True)
    assert not complete_window(window, torch.tensor([[1.0, 8.0, 1.0]]), AverageInterpolator()).requires_grad


@pytest.mark.parametrize("length", [1, 2, 4])
def test_complete_window_refuses_odd_windows(length):
    with pytest.raises(InputError, match="odd number"):
        complete_window(torch.rand(1, length, 3, 4, 4), torch.ones(1, length), AverageInterpolator())


def test_complete_window_refuses_wrong_exposures():
    with pytest.raises(InputError, match="exposures"):
        complete_window(torch.rand(1, 3, 3, 4, 4), torch.ones(1, 2), AverageInterpolator())


@pytest.mark.parametrize("interpolator", [AverageInterpolator(), DISInterpolator()])
def test_bad_arguments(interpolator):
    a = torch.rand(1, 3, 20, 20)
    with pytest.raises(InputError, match="differ in shape"):
        interpolator(a, a[..., :-1], 0.5)
    with pytest.raises(InputError, match="fraction"):
        interpolator(a, a, 1.5)
    with pytest.raises(InputError, match="gain"):
        interpolator(a, a, 0.5, gain=0.0)


def pan_with_an_object(reference_exposure: float, pair_exposure: float):
    """A window of a pan with an object that moves against it; noise-free LDR, and the frame that is missing."""
    background = texture(96, 160, 7)[..., 0:96, :] ** 2.2 / 8
    thing = texture(96, 160, 8)[..., :30, :30] ** 2.2 / 4 + 0.05
    frames = []
    for t in range(3):
        frame = background[..., 16 - 4 * t : 16 - 4 * t + 120].clone()
        frame[..., 30:60, 40 + 6 * t : 70 + 6 * t] = thing
        frames.append(frame)
    exposures = [pair_exposure, reference_exposure, pair_exposure]
    ldr = [(f * e).clamp(0, 1) ** (1 / 2.2) for f, e in zip(frames, exposures, strict=True)]
    truth = (frames[1] * pair_exposure).clamp(0, 1) ** (1 / 2.2)
    return torch.stack(ldr, dim=1), torch.tensor([exposures]), truth


@pytest.mark.parametrize("exposures", [(1.0, 4.0), (4.0, 1.0)])
def test_guided_completion_beats_interpolation_where_things_are_hidden(exposures):
    window, e, truth = pan_with_an_object(*exposures)
    plain = complete_window(window, e, DISInterpolator())[:, 0]
    guided = complete_window(window, e, GuidedDISInterpolator())[:, 0]
    assert psnr(guided, truth) > psnr(plain, truth) + 1.0


def test_guided_without_a_reference_is_plain():
    first, second = texture(40, 50, 1), texture(40, 50, 2)
    guided = GuidedDISInterpolator()
    assert isinstance(guided, GuidedInterpolator)
    assert not isinstance(DISInterpolator(), GuidedInterpolator)
    assert torch.equal(guided(first, second, 0.5), DISInterpolator()(first, second, 0.5))


def test_guided_falls_back_to_interpolation_where_the_reference_tells_nothing():
    first, second = texture(48, 48, 1), texture(48, 48, 1)
    clipped = torch.ones_like(first)
    out = GuidedDISInterpolator().complete(first, second, 0.5, gain=1.0, reference=clipped, ratio=64.0)
    assert psnr(out, first) > 30.0
    black = torch.zeros_like(first)
    out = GuidedDISInterpolator().complete(first, second, 0.5, gain=1.0, reference=black, ratio=1 / 64)
    assert psnr(out, first) > 30.0


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (15, 40), (16, 128), (33, 31)])
def test_guided_any_size_mixed_phases_and_independent_items(size):
    window = torch.rand(2, 3, 3, *size, generator=torch.Generator().manual_seed(2))
    exposures = torch.tensor([[1.0, 8.0, 1.0], [8.0, 1.0, 8.0]])
    out = complete_window(window, exposures, GuidedDISInterpolator())
    assert out.shape == (2, 1, 3, *size)
    assert torch.isfinite(out).all()
    assert 0.0 <= out.min() <= out.max() <= 1.0
    assert torch.equal(out[1:], complete_window(window[1:], exposures[1:], GuidedDISInterpolator()))


def test_guided_aligns_a_repeated_neighbour_at_the_ends_of_a_video():
    window, exposures, truth = pan_with_an_object(1.0, 4.0)
    at_end = window[:, [0, 1, 0]]
    plain = complete_window(at_end, exposures, DISInterpolator())[:, 0]
    guided = complete_window(at_end, exposures, GuidedDISInterpolator())[:, 0]
    assert psnr(guided, truth) > psnr(plain, truth) + 3.0
