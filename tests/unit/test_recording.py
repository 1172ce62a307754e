"""What a camera does after the sensor."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from lrhdr.data.recording import RECORDINGS, RecordingConfig, record, window_order
from lrhdr.randomness import torch_generator


def clip(noise: float = 0.0, size: tuple[int, int] = (47, 66)) -> Tensor:
    """Five frames of a moving pattern, gamma-encoded."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in size), indexing="ij")
    frames = [
        torch.stack([0.4 + 0.2 * torch.sin((x + 2 * t) / (6 + k)) * torch.cos(y / 9) for k in range(3)])
        for t in range(5)
    ]
    pure = torch.stack(frames)
    return (pure + noise * torch.randn(pure.shape, generator=torch_generator(3))).clamp(0.0, 1.0)


def psnr(a: Tensor, b: Tensor) -> float:
    return -10.0 * math.log10(float((a - b).square().mean()))


def test_nothing_is_done_to_frames_that_are_not_recorded() -> None:
    frames = clip(0.02)
    assert record(frames, RECORDINGS["none"]) is frames


@pytest.mark.parametrize("name", [n for n in RECORDINGS if n != "none"])
def test_recorded_frames_keep_size_order_and_range_and_are_the_same_twice(name: str) -> None:
    frames = clip(0.01)
    got = record(frames, RECORDINGS[name])
    assert got.shape == frames.shape
    assert got.dtype == torch.float32
    assert float(got.min()) >= 0.0
    assert float(got.max()) <= 1.0
    assert torch.equal(got, record(frames, RECORDINGS[name]))
    errors = torch.stack([torch.stack([(a - b).square().mean() for b in frames]) for a in got])
    assert errors.argmin(dim=1).tolist() == list(range(len(frames)))
    assert psnr(got, frames) > 30.0


@pytest.mark.parametrize(
    ("careful", "careless"),
    [
        (RecordingConfig(codec="h264", crf=10.0), RecordingConfig(codec="h264", crf=30.0)),
        (RecordingConfig(codec="jpeg", quality=98), RecordingConfig(codec="jpeg", quality=60)),
        (
            RecordingConfig(codec="jpeg", quality=98, subsampling="4:4:4"),
            RecordingConfig(codec="jpeg", quality=98, subsampling="4:2:0"),
        ),
    ],
)
def test_careful_recordings_are_nearer_to_what_was_seen(careful: RecordingConfig, careless: RecordingConfig) -> None:
    frames = clip(0.02)
    assert psnr(record(frames, careful), frames) > psnr(record(frames, careless), frames) + 1.0


def test_noise_reduction_reduces_noise_and_keeps_the_picture() -> None:
    noisy, pure = clip(0.02), clip()
    assert psnr(record(noisy, RecordingConfig(denoise=0.06)), pure) > psnr(noisy, pure) + 3.0


@pytest.mark.parametrize("n_frames", [3, 5, 7])
def test_a_window_is_recorded_among_neighbours(n_frames: int) -> None:
    order, before = window_order(n_frames)
    assert order[before : before + n_frames] == list(range(n_frames))
    assert before > 0
    assert len(order) > before + n_frames
    assert all(abs(a - b) == 1 for a, b in pairwise(order))
    assert set(order) == set(range(n_frames))


def test_drawn_recordings_differ_and_are_of_all_kinds() -> None:
    drawn = [RecordingConfig.sample(torch_generator(i)) for i in range(100)]
    assert {r.codec for r in drawn} == {"none", "jpeg", "h264"}
    assert 10 < sum(r.denoise > 0 for r in drawn) < 60
    assert len({r.crf for r in drawn}) == 100
    assert RecordingConfig.sample(torch_generator(7)) == drawn[7]


@pytest.mark.parametrize(
    "bad", [{"denoise": -1.0}, {"quality": 0}, {"crf": 52.0}, {"codec": "vp9"}, {"subsampling": "4:1:1"}]
)
def test_values_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected"):
        RecordingConfig(**bad)  # type: ignore[arg-type]
