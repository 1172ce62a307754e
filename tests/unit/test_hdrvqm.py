"""HDR-VQM against the authors' code.

The golden value comes from the authors' release 2 run in GNU Octave on a sequence made from formulas.
"""

import math

import pytest
import torch

from lrhdr.checks import InputError
from lrhdr.metrics import hdrvqm
from lrhdr.metrics.hdrvqm import log_gabor_filters


def waves(frames: int, height: int = 360, width: int = 640, contrast: float = 0.1):
    """Drifting waves over ten stops, and the same with a chirp; luminance, (T, 1, H, W)."""
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    t = torch.arange(1, frames + 1).double().view(-1, 1, 1)
    reference = 100 * 2 ** (3 * torch.sin((x + 3 * t) / 70) + 2 * torch.cos(y / 50))
    return (reference * (1 + contrast * torch.sin(x * y / 997 + t)))[:, None], reference[:, None]


@pytest.mark.slow
def test_matches_the_authors() -> None:
    result = hdrvqm(*waves(32), frames_per_second=25.0)
    assert result.raw == pytest.approx(0.096130253626, abs=1e-11)
    assert result.normalised == pytest.approx(0.903943706540, abs=1e-11)


def test_identical_clips_and_more_distortion() -> None:
    # One frame a moment, so that two frames are a clip.
    faint, reference = waves(2, contrast=0.03)
    strong, _ = waves(2, contrast=0.3)
    same = hdrvqm(reference, reference, frames_per_second=1.0)
    assert same.raw == pytest.approx(0.0, abs=1e-9)
    assert same.normalised == pytest.approx(1.0, abs=1e-9)
    raw = [hdrvqm(test, reference, frames_per_second=1.0).raw for test in (faint, strong)]
    assert 1e-4 < raw[0] < raw[1]


def test_grey_colour_is_luminance_and_black_is_finite() -> None:
    test, reference = (clip[..., ::8, ::8].clone() for clip in waves(2))
    test[..., :10, :], reference[..., :20, :] = 0.0, 0.0
    one = hdrvqm(test, reference, frames_per_second=1.0)
    three = hdrvqm(test.expand(-1, 3, -1, -1), reference.expand(-1, 3, -1, -1), frames_per_second=1.0)
    assert math.isfinite(one.raw)
    assert three.raw == pytest.approx(one.raw, rel=1e-6)


def test_filters_see_one_half_plane_and_no_mean() -> None:
    filters = log_gabor_filters((32, 48), torch.device("cpu"))
    assert filters.shape == (20, 32, 48)
    assert float(filters[:, 0, 0].abs().max()) == 0.0
    # The finest scale peaks at a wavelength of 3 pixels: 48 / 3 = 16 along x for the first orientation.
    assert int(filters[0, 0, :24].argmax()) == 16
    assert float(filters[0, 0, 16]) == pytest.approx(1.0)
    assert float(filters[0, 0, -16]) < 1e-6


@pytest.mark.parametrize(
    ("frames", "channels", "rate", "message"),
    [(15, 1, 25.0, "more than 15 frames"), (3, 2, 1.0, "1 or 3 channels"), (3, 1, 0.0, "frames per second")],
)
def test_refuses(frames: int, channels: int, rate: float, message: str) -> None:
    clip = torch.rand(frames, channels, 8, 8)
    with pytest.raises(InputError, match=message):
        hdrvqm(clip, clip, frames_per_second=rate)


def test_refuses_what_is_not_light() -> None:
    clip = torch.rand(3, 1, 8, 8)
    with pytest.raises(InputError, match="test clip"):
        hdrvqm(clip - 2.0, clip, frames_per_second=1.0)
    with pytest.raises(InputError, match="shapes differ"):
        hdrvqm(clip, clip[..., 1:], frames_per_second=1.0)
