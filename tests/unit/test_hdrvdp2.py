"""HDR-VDP-2.2.1 against the authors' code.

The golden values come from the authors' release 2.2.1 run in GNU Octave on image pairs made from formulas.
"""

import math

import pytest
import torch
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.metrics import angular_resolution, hdrvdp2

# DeepHDRVideo's protocol: 24 inches, half a metre away, resolution of the image itself.
PPD_24_INCH = 10.8176506501
SETTINGS = {
    "A": {"encoding": "luminance", "pixels_per_degree": 30.0, "surround": 13.0},
    "B": {"encoding": "rgb-bt.709", "pixels_per_degree": 30.0},
    "C": {"encoding": "luminance", "pixels_per_degree": PPD_24_INCH},
    "D": {"encoding": "srgb-display", "pixels_per_degree": PPD_24_INCH},
    "E": {"encoding": "rgb-bt.709", "pixels_per_degree": 30.0},
    "F": {"encoding": "rgb-bt.709", "pixels_per_degree": 30.0},
}


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    return torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")


def rgb(image: Tensor, *gains: float) -> Tensor:
    return image * torch.tensor(gains, dtype=torch.float64).view(1, 3, 1, 1)


def ramp(size: int = 512) -> tuple[Tensor, Tensor]:
    """A luminance ramp over four decades, and the same with a fine pattern of 5 %."""
    y, x = grid(size, size)
    reference = torch.logspace(-1, 3, size, dtype=torch.float64)[:, None].expand(size, size)
    test = reference * (1 + 0.05 * torch.sin(2 * math.pi * x / 8) * torch.sin(2 * math.pi * y / 16))
    return test[None, None], reference[None, None]


def waves(height: int = 360, width: int = 640, contrast: float = 0.1) -> tuple[Tensor, Tensor]:
    """Smooth waves over ten stops, and the same with a chirp."""
    y, x = grid(height, width)
    reference = 100 * 2 ** (3 * torch.sin(x / 70) + 2 * torch.cos(y / 50))
    return (reference * (1 + contrast * torch.sin(x * y / 997)))[None, None], reference[None, None]


def pair(case: str) -> tuple[Tensor, Tensor]:
    test, reference = ramp() if case in "AB" else waves()
    if case == "B":
        return torch.cat((test, test * 0.8, reference * 0.55), 1), rgb(reference, 1.0, 0.8, 0.5)
    if case in "AC":
        return test, reference
    test, reference = rgb(test, 1.0, 0.8, 0.6), rgb(reference, 1.0, 0.8, 0.6)
    if case == "D":
        return test / reference.max(), reference / reference.max()
    if case == "F":
        box = (..., slice(100, 180), slice(200, 300))
        test = reference.clone()
        test[box] = 0.7 * reference[box] + 0.3 * reference.roll(4, dims=3)[box]
    return test, reference


@pytest.mark.parametrize(
    ("case", "q", "c_max"),
    [
        ("A", 70.6687145731, 322.10980206),
        ("B", 69.6286941772, 206.67436392),
        ("C", 85.7390531567, 38459.913227),
        ("D", 85.2305050192, 60251.064764),
        ("E", 60.5772547696, 6050.197169),
        ("F", 85.3469845899, 0.049684),
    ],
)
def test_matches_the_authors(case: str, q: float, c_max: float) -> None:
    test, reference = pair(case)
    result = hdrvdp2(test, reference, **SETTINGS[case])
    assert result.q.item() == pytest.approx(q, abs=1e-6)
    assert result.c_max.item() == pytest.approx(c_max, rel=1e-5)


@pytest.mark.parametrize("encoding", ["luminance", "rgb-bt.709", "srgb-display"])
def test_identical_images(encoding: str) -> None:
    image = torch.rand(2, 1 if encoding == "luminance" else 3, 40, 33)
    result = hdrvdp2(image, image, encoding=encoding, pixels_per_degree=30.0)
    assert result.q.tolist() == [100.0, 100.0]
    assert result.c_max.tolist() == [0.0, 0.0]
    assert result.contrast.shape == (2, 40, 33)
    assert bool((result.probability() == 0.0).all())


def test_quality_falls_with_distortion() -> None:
    results = [
        hdrvdp2(*waves(64, 64, contrast), encoding="luminance", pixels_per_degree=30.0)
        for contrast in (0.01, 0.03, 0.1, 0.3)
    ]
    q = [result.q.item() for result in results]
    c_max = [result.c_max.item() for result in results]
    assert q[0] < 100.0
    assert sorted(q, reverse=True) == q
    assert sorted(c_max) == c_max
    probability = results[-1].probability()
    assert probability.min() >= 0.0
    assert probability.max() <= 1.0


def test_items_of_a_batch_are_apart() -> None:
    first, second = waves(40, 50, 0.1), waves(40, 50, 0.3)
    second = (second[0] * 3.0, second[1] * 3.0)
    together = hdrvdp2(
        torch.cat((first[0], second[0])),
        torch.cat((first[1], second[1])),
        encoding="luminance",
        pixels_per_degree=30.0,
        surround=None,
    )
    for i, (test, reference) in enumerate((first, second)):
        alone = hdrvdp2(test, reference, encoding="luminance", pixels_per_degree=30.0, surround=None)
        torch.testing.assert_close(together.q[i : i + 1], alone.q)
        torch.testing.assert_close(together.c_max[i : i + 1], alone.c_max)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_agrees_with_cpu() -> None:
    test, reference = waves(48, 64)
    on_cpu = hdrvdp2(test, reference, encoding="luminance", pixels_per_degree=30.0)
    on_gpu = hdrvdp2(test.cuda(), reference.cuda(), encoding="luminance", pixels_per_degree=30.0)
    torch.testing.assert_close(on_gpu.q.cpu(), on_cpu.q)
    torch.testing.assert_close(on_gpu.contrast.cpu(), on_cpu.contrast)


def test_black_pixels_are_fine() -> None:
    test, reference = waves(32, 32)
    test[..., :16, :], reference[..., :8, :] = 0.0, 0.0
    result = hdrvdp2(test, reference, encoding="luminance", pixels_per_degree=30.0, surround=None)
    assert result.q.isfinite().all()
    assert result.contrast.isfinite().all()


def test_angular_resolution() -> None:
    assert angular_resolution(24.0, (360, 640), 0.5) == pytest.approx(PPD_24_INCH, abs=1e-10)
    with pytest.raises(InputError, match="positive"):
        angular_resolution(24.0, (0, 640), 0.5)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 3, 32, 32), {"encoding": "luminance"}, "expected 1 channels"),
        ((1, 1, 32, 32), {"encoding": "rgb-bt.709"}, "expected 3 channels"),
        ((1, 3, 16, 32), {"encoding": "srgb-display"}, "at least 17 pixels"),
        ((1, 1, 32, 32), {"encoding": "pq"}, "expected encoding"),
        ((1, 1, 32, 32), {"encoding": "luminance", "pixels_per_degree": 0.0}, "pixels per degree"),
        ((1, 1, 32, 32), {"encoding": "luminance", "surround": 0.0}, "surround"),
    ],
)
def test_refuses(shape: tuple[int, ...], options: dict[str, object], message: str) -> None:
    image = torch.rand(shape)
    with pytest.raises(InputError, match=message):
        hdrvdp2(image, image, **{"pixels_per_degree": 30.0, **options})


def test_refuses_values_that_are_not_light() -> None:
    image = torch.rand(1, 1, 32, 32)
    for bad in (-1.0, math.nan, math.inf):
        spoilt = image.clone()
        spoilt[0, 0, 3, 4] = bad
        with pytest.raises(InputError, match="test image"):
            hdrvdp2(spoilt, image, encoding="luminance", pixels_per_degree=30.0)
    with pytest.raises(InputError, match="shapes differ"):
        hdrvdp2(image, image[..., 1:], encoding="luminance", pixels_per_degree=30.0)
