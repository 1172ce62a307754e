import math

import pytest
import torch

from lrhdr.camera import CameraConfig, Demosaicing, _demosaic, expose
from lrhdr.checks import InputError
from lrhdr.radiometry import ldr_to_radiance
from lrhdr.randomness import numpy_generator, torch_generator


def test_without_noise_and_rounding_the_radiance_comes_back() -> None:
    radiance = torch.rand(2, 3, 3, 8, 8, generator=torch_generator(0)) / 4
    exposures = torch.tensor([[1.0, 4.0, 1.0], [4.0, 1.0, 4.0]])
    ldr = expose(radiance, exposures, CameraConfig(noise="none", bit_depth=0), torch_generator(1))
    torch.testing.assert_close(ldr_to_radiance(ldr, exposures), radiance, atol=1e-6, rtol=1e-5)


def test_codes_are_multiples_of_the_bit_depth_and_saturation_is_exactly_one() -> None:
    radiance = torch.linspace(0, 3, 300).view(1, 1, 300).expand(3, 2, 300)
    for bits in (8, 10, 16):
        ldr = expose(radiance, 1.0, CameraConfig(bit_depth=bits, full_well_e=5000), torch_generator(2))
        codes = ldr * (2**bits - 1)
        assert ldr.dtype == torch.float32
        torch.testing.assert_close(codes, codes.round(), atol=2e-3, rtol=0)
        assert float(ldr.max()) == 1.0
        assert bool((ldr[..., 200:] == 1.0).all())  # twice the well: always clipped
        assert float(ldr.min()) >= 0.0


@pytest.mark.parametrize("level", [0.001, 0.05, 0.4])
def test_mean_and_variance_of_the_noise_follow_the_model(level: float) -> None:
    config = CameraConfig(full_well_e=4000.0, read_noise_e=3.0, bit_depth=0, gamma=1.0)
    # A pedestal is not modelled, so test where clipping at black does not bite: read noise only above it.
    if level * 4000 < 20:
        config = CameraConfig(full_well_e=4000.0, read_noise_e=0.0, bit_depth=0, gamma=1.0)
    x = expose(torch.full((3, 200, 200), level / 2), 2.0, config, torch_generator(3)) * 4000.0
    mean, variance = level * 4000.0, level * 4000.0 + config.read_noise_e**2
    n = x.numel()
    assert abs(float(x.mean()) - mean) < 5 * math.sqrt(variance / n)
    assert abs(float(x.var()) / variance - 1) < 5 * math.sqrt(2 / n) + 5 * math.sqrt(1 / (n * mean))


@pytest.mark.parametrize(("how", "correlated", "ratio"), [("bilinear", 0.25, 0.7), ("malvar", 0.05, 0.9)])
def test_a_colour_filter_array_spreads_noise_and_keeps_the_mean(
    how: Demosaicing, correlated: float, ratio: float
) -> None:
    flat = torch.full((3, 128, 128), 0.3)
    white, bayer = (
        expose(flat, 1.0, CameraConfig(bit_depth=0, gamma=1.0, demosaicing=d), torch_generator(3)) - 0.3
        for d in ("none", how)
    )

    def neighbours(x: torch.Tensor) -> float:
        return float((x[..., 1:] * x[..., :-1]).mean() / x.square().mean())

    assert abs(neighbours(white)) < 0.02
    assert neighbours(bayer) > correlated
    assert abs(float(bayer.mean())) < 1e-4
    assert abs(float(bayer.std() / white.std()) - ratio) < 0.1
    # A photosite's own colour is untouched: red at even rows and columns.
    torch.testing.assert_close(bayer[0, ::2, ::2], white[0, ::2, ::2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("how", ["bilinear", "malvar"])
def test_demosaicing_brings_even_colours_back(how: Demosaicing) -> None:
    colour = torch.tensor([0.2, 0.5, 0.7])[:, None, None].expand(3, 16, 20)
    torch.testing.assert_close(_demosaic(colour, how), colour, atol=1e-6, rtol=0)


def test_malvar_leaves_little_fine_colour() -> None:
    noise = torch.randn((3, 128, 128), generator=torch_generator(1))

    def share(x: torch.Tensor) -> float:
        """Of the finest detail that is in differences of colour, against that in green."""
        fine = x[..., 2:] + x[..., :-2] - 2.0 * x[..., 1:-1]
        fine = fine[:, 2:] + fine[:, :-2] - 2.0 * fine[:, 1:-1]
        return float((fine[0] - fine[1]).std() / fine[1].std())

    assert share(_demosaic(noise, "malvar")) < 0.6 * share(_demosaic(noise, "bilinear"))


def test_a_camera_in_words() -> None:
    camera = CameraConfig.parse(["read_noise_e=12", "bit_depth=10", "demosaicing=malvar"])
    assert camera == CameraConfig(read_noise_e=12.0, bit_depth=10, demosaicing="malvar")
    assert camera.describe() == "full well 8000 e, read noise 12 e, 10 bits, demosaicing malvar"
    assert CameraConfig.parse([]) == CameraConfig()
    for word in ("gamma=1", "bit_depth", "bit_depth=eight", "bit_depth=40", "demosaicing=ahd"):
        with pytest.raises(InputError, match="camera: expected"):
            CameraConfig.parse([word])


def test_longer_exposure_gives_the_better_signal() -> None:
    radiance = torch.full((3, 64, 64), 0.05)
    config = CameraConfig(full_well_e=3000, read_noise_e=3, bit_depth=0)
    short = ldr_to_radiance(expose(radiance, 1.0, config, torch_generator(4)), 1.0)
    long = ldr_to_radiance(expose(radiance, 8.0, config, torch_generator(4)), 8.0)
    assert float(long.std()) < 0.5 * float(short.std())


def test_field_noise_only_on_low_exposures() -> None:
    radiance = torch.full((2, 3, 64, 64), 0.1)
    config = CameraConfig(noise="field", bit_depth=0)
    ldr = expose(radiance, torch.tensor([1.0, 8.0]), config, torch_generator(5))
    linear = ldr_to_radiance(ldr, torch.tensor([1.0, 8.0]))
    assert float(linear[0].std()) == pytest.approx(1e-3, rel=0.05)
    assert float(linear[1].std()) < 1e-6


def test_same_generator_same_picture_and_no_global_state() -> None:
    radiance = torch.rand(3, 16, 16)
    before = torch.random.get_rng_state()
    a = expose(radiance, 1.0, CameraConfig(), torch_generator(6, 1))
    b = expose(radiance, 1.0, CameraConfig(), torch_generator(6, 1))
    c = expose(radiance, 1.0, CameraConfig(), torch_generator(6, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(before, torch.random.get_rng_state())


def test_input_is_not_changed_and_bad_values_are_harmless() -> None:
    radiance = torch.tensor([-1.0, 0.0, 1e9]).expand(3, 1, 3).clone()
    copy = radiance.clone()
    ldr = expose(radiance, 1.0, CameraConfig(), torch_generator(7))
    assert torch.equal(radiance, copy)
    assert bool(torch.isfinite(ldr).all())
    assert bool((ldr[..., 2] == 1).all())


def test_sampled_cameras_differ_and_stay_in_range() -> None:
    cameras = [CameraConfig.sample(torch_generator(i)) for i in range(200)]
    wells = [c.full_well_e for c in cameras]
    assert min(wells) >= 800
    assert max(wells) <= 40_000
    assert max(wells) > 10 * min(wells)
    assert {c.bit_depth for c in cameras} == {8, 10, 16}


@pytest.mark.parametrize(
    "bad",
    [{"full_well_e": 0.0}, {"read_noise_e": -1.0}, {"bit_depth": 17}, {"gamma": 0.0}, {"noise": "pink"}],
)
def test_config_refuses(bad: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        CameraConfig(**bad)


def test_exposure_must_be_positive() -> None:
    with pytest.raises(ValueError, match="exposures > 0"):
        expose(torch.zeros(3, 2, 2), 0.0, CameraConfig(), torch_generator(0))


def test_keys_give_independent_streams() -> None:
    draws = {float(torch.rand((), generator=torch_generator(s, i))) for s in range(3) for i in range(50)}
    assert len(draws) == 150
    g = torch_generator(1)
    assert numpy_generator(g).random() != numpy_generator(g).random()
