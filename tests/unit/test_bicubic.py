"""Bicubic resizing with antialiasing."""

import pytest
import torch
import torch.nn.functional as F

from lrhdr.metrics.bicubic import bicubic_matrix, bicubic_resize


@pytest.mark.parametrize("size", [(16, 24), (32, 24), (64, 96), (13, 80)])
def test_agrees_with_torch_away_from_the_border(size: tuple[int, int]) -> None:
    image = torch.rand(1, 2, 32, 48, dtype=torch.float64)
    ours = bicubic_resize(image, size)
    # With antialiasing torch, too, takes a = -0.5; it cuts the kernel off at borders and normalises its weights.
    theirs = F.interpolate(image, size=size, mode="bicubic", antialias=True, align_corners=False)
    inside = (..., slice(3 * size[0] // 16, -3 * size[0] // 16), slice(3 * size[1] // 16, -3 * size[1] // 16))
    assert ours.shape == theirs.shape
    # Weights of odd reductions sum to 1 only nearly.
    torch.testing.assert_close(ours[inside], theirs[inside], atol=1e-12 if size[0] != 13 else 1e-3, rtol=0.0)


def test_mirrors_at_the_border() -> None:
    row = torch.rand(1, 12, dtype=torch.float64)
    mirrored = torch.cat((row.flip(1), row, row.flip(1)), dim=1)
    torch.testing.assert_close(bicubic_resize(row, (1, 6)), bicubic_resize(mirrored, (1, 18))[:, 6:12])


@pytest.mark.parametrize("size", [6, 12, 24, 36])
def test_constant_stays_constant(size: int) -> None:
    torch.testing.assert_close(bicubic_matrix(12, size).sum(1), torch.ones(size, dtype=torch.float64))


def test_same_size_is_the_same() -> None:
    image = torch.rand(1, 1, 5, 7, dtype=torch.float64)
    assert bicubic_resize(image, (5, 7)) is image
