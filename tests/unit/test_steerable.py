"""The steerable pyramid."""

import math

import pytest
import torch
import torch.nn.functional as F

from lrhdr.metrics.steerable import SMALLEST_SIDE, build_pyramid, collapse_pyramid, pyramid_height


@pytest.mark.parametrize(
    ("size", "height"), [((16, 90), 0), ((17, 90), 1), ((34, 67), 2), ((512, 512), 5), ((360, 640), 5)]
)
def test_height(size: tuple[int, int], height: int) -> None:
    assert pyramid_height(size) == height


def test_shapes_round_up() -> None:
    bands = build_pyramid(torch.rand(2, 1, 67, 50, dtype=torch.float64))
    shapes = [tuple(band.shape) for band in bands]
    assert shapes == [(2, 1, 67, 50), (2, 4, 67, 50), (2, 4, 34, 25), (2, 1, 17, 13)]


def test_is_a_correlation_with_mirrored_borders() -> None:
    """The responses to impulses are the filters (turned by half a turn), and superpose to the pyramid of any image."""
    side = 31
    impulse = torch.zeros(1, 1, side, side, dtype=torch.float64)
    impulse[..., side // 2, side // 2] = 1.0
    filters = [band.flip(-2, -1) for band in build_pyramid(impulse)[:2]]
    image = torch.rand(1, 1, 40, 53, dtype=torch.float64)
    mirrored = F.pad(image, (side // 2,) * 4, mode="reflect")
    high, level = build_pyramid(image)[:2]
    torch.testing.assert_close(high, F.conv2d(mirrored, filters[0]))
    # The level was low-passed first, and mirrored again in between: compare away from the border.
    expected = F.conv2d(mirrored, filters[1].transpose(0, 1))
    torch.testing.assert_close(level[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4])


def test_known_taps() -> None:
    """Centre taps and gains of the published design."""
    impulse = torch.zeros(1, 1, 33, 33, dtype=torch.float64)
    impulse[..., 16, 16] = 1.0
    assert build_pyramid(impulse)[0][0, 0, 16, 16].item() == pytest.approx(0.7303866148)
    flat = build_pyramid(torch.ones(1, 1, 64, 64, dtype=torch.float64))
    for band in flat[:-1]:
        assert band.abs().max().item() < 1e-6
    gain = 2.0 ** (len(flat) - 2)  # each low-pass doubles a constant
    assert flat[-1].flatten().tolist() == pytest.approx([gain] * flat[-1].numel(), rel=1e-6)


@pytest.mark.parametrize(("angle", "orientation"), [(0, 0), (45, 1), (90, 2), (135, 3)])
def test_orientations(angle: int, orientation: int) -> None:
    y, x = torch.meshgrid(torch.arange(64.0).double(), torch.arange(64.0).double(), indexing="ij")
    phase = math.cos(math.radians(angle)) * x + math.sin(math.radians(angle)) * y
    level = build_pyramid(torch.sin(phase * math.pi / 3.0)[None, None])[1]
    energy = level[..., 12:-12, 12:-12].square().mean(dim=(0, 2, 3))
    assert int(energy.argmax()) in (orientation, (4 - orientation) % 4 if orientation % 2 else orientation)
    assert energy.max() > 5.0 * energy.roll(2)[int(energy.argmax())]


def test_collapse_restores_the_image() -> None:
    y, x = torch.meshgrid(torch.arange(96.0).double(), torch.arange(80.0).double(), indexing="ij")
    image = (torch.sin(x / 3.0 + y / 7.0) + torch.cos(y / 2.0) + 0.1 * torch.rand(96, 80).double())[None, None]
    error = (collapse_pyramid(build_pyramid(image)) - image)[..., 24:-24, 24:-24]
    assert error.square().mean().sqrt().item() < 0.02 * image.std().item()


def test_smallest_side() -> None:
    bands = build_pyramid(torch.rand(1, 1, SMALLEST_SIDE, SMALLEST_SIDE, dtype=torch.float64))
    assert [band.shape[-1] for band in bands] == [17, 17, 9]
