"""The noise estimate against a camera whose noise is known."""

import math

import pytest
import torch

from lrhdr.camera import CameraConfig, expose
from lrhdr.models.accr import ACCRConfig
from lrhdr.models.apswf import APSWFConfig
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.noise import FLOOR, UNKNOWN, noise_code, noise_level


def smooth_scene(size: int = 96) -> torch.Tensor:
    ramp = torch.linspace(0.02, 0.8, size)
    return (ramp[:, None] * (0.6 + 0.4 * torch.cos(ramp * 7))[None]).expand(1, 3, size, size).contiguous()


@pytest.mark.parametrize("full_well", [1000.0, 8000.0, 32000.0])
@pytest.mark.parametrize("exposure", [1.0, 4.0])
def test_finds_the_photon_noise_of_a_camera_whatever_the_exposure(full_well: float, exposure: float) -> None:
    camera = CameraConfig(full_well_e=full_well, read_noise_e=0.0, bit_depth=0)
    ldr = expose(smooth_scene() / exposure, torch.tensor([exposure]), camera, torch.Generator().manual_seed(1))
    expected = (1.0 / 2.2) / math.sqrt(full_well)
    assert float(noise_level(ldr[None])) == pytest.approx(expected, rel=0.25)


def test_texture_beside_a_flat_part_does_not_count_as_noise() -> None:
    generator = torch.Generator().manual_seed(2)
    frame = 0.5 + 0.01 * torch.randn(1, 1, 3, 64, 64, generator=generator)
    frame[..., 32:, :] += 0.2 * torch.rand(32, 64, generator=generator)
    assert float(noise_level(frame)) == pytest.approx(0.01, rel=0.25)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_clipped_frames_say_nothing(value: float) -> None:
    flat = torch.full((1, 1, 3, 32, 32), value)
    assert float(noise_level(flat)) == pytest.approx(UNKNOWN)
    noisy = 0.5 + 0.02 * torch.randn(1, 1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    assert float(noise_level(torch.cat((flat, noisy), dim=1))) == pytest.approx(0.02, rel=0.3)


def test_bounds_and_tiny_frames() -> None:
    assert float(noise_level(torch.full((1, 2, 3, 32, 32), 0.5))) == pytest.approx(FLOOR)
    assert float(noise_level(torch.rand(1, 2, 3, 8, 8))) == pytest.approx(UNKNOWN)
    torch.testing.assert_close(noise_code(torch.tensor([UNKNOWN, 2 * UNKNOWN])), torch.tensor([[0.0], [0.5]]))


def test_network_starts_deaf_to_noise_and_can_learn_to_hear_it() -> None:
    config = LRHDRConfig(
        accr=ACCRConfig(channels=4, context=4, mapper_hidden=4, decoder_hidden=4),
        apswf=APSWFConfig(widths=(4, 4, 4, 4)),
        noise=True,
    )
    torch.manual_seed(0)
    model = LRHDR(config)
    window, between = torch.rand(1, 3, 3, 16, 16), torch.rand(1, 1, 3, 16, 16)
    exposures = torch.tensor([[1.0, 4.0, 1.0]])
    for head in (model.apswf.head0, model.apswf.head1):
        torch.nn.init.normal_(head.weight, std=0.1)
    quiet, loud = (model(window, between, exposures, torch.tensor([n])).hdr for n in (0.001, 0.02))
    assert torch.equal(quiet, loud)
    model.apswf.noise.weight.data.fill_(1.0)
    quiet, loud = (model(window, between, exposures, torch.tensor([n])).hdr for n in (0.001, 0.02))
    assert not torch.equal(quiet, loud)
    own = model(window, between, exposures).hdr
    assert torch.equal(own, model(window, between, exposures, noise_level(window)).hdr)
