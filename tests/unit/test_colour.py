"""`lrhdr.colour`: the standards' printed matrices, whites kept, conversions undone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lrhdr.checks import InputError
from lrhdr.colour import CHROMATICITIES, _to_xyz, conversion_matrix, convert_primaries, luminance


def matrix_of(function: object) -> torch.Tensor:
    """The matrix that a colour function applies: its answers to the three unit colours."""
    units = torch.eye(3, dtype=torch.float64).reshape(3, 3, 1, 1)
    return function(units).reshape(3, -1).T  # type: ignore[operator]


def test_printed_matrices() -> None:
    """BT.709 to XYZ: IEC 61966-2-1 (4 digits); BT.709 to BT.2020: BT.2087-0 (4 digits); back: BT.2407-0 (4 digits)."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    to_2020 = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    to_709 = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    for matrix, expected in (
        (_to_xyz("bt709"), to_xyz),
        (conversion_matrix("bt709", "bt2020"), to_2020),
        (conversion_matrix("bt2020", "bt709"), to_709),
    ):
        np.testing.assert_allclose(matrix, expected, atol=6e-5, rtol=0)


def test_bt2020_against_colour_science() -> None:
    """colour-science 0.4.7, `matrix_RGB_to_XYZ` of ITU-R BT.2020."""
    expected = [
        [0.636958048301, 0.144616903586, 0.168880975164],
        [0.262700212011, 0.677998071519, 0.0593017164699],
        [0.0, 0.0280726930491, 1.06098505771],
    ]
    np.testing.assert_allclose(_to_xyz("bt2020"), expected, atol=1e-10, rtol=0)


def test_luminance_weights() -> None:
    torch.testing.assert_close(
        matrix_of(luminance), torch.tensor([[0.2126, 0.7152, 0.0722]]).double(), atol=5e-5, rtol=0
    )
    got = matrix_of(lambda x: luminance(x, "bt2020"))
    torch.testing.assert_close(got, torch.tensor([[0.2627, 0.6780, 0.0593]]).double(), atol=5e-5, rtol=0)


@pytest.mark.parametrize("name", sorted(CHROMATICITIES))
def test_white_is_white_everywhere(name: str) -> None:
    white = torch.ones(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(convert_primaries(white, "bt709", name), white)
    torch.testing.assert_close(luminance(white, name), white[:, :1])
    xyz = _to_xyz(name).sum(axis=1)
    np.testing.assert_allclose(xyz[:2] / xyz.sum(), CHROMATICITIES[name][-2:])


@pytest.mark.parametrize("name", sorted(CHROMATICITIES))
def test_conversions_are_undone(name: str) -> None:
    rgb = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)) * 100
    converted = convert_primaries(rgb, "bt709", name)
    assert converted.dtype == rgb.dtype
    torch.testing.assert_close(convert_primaries(converted, name, "bt709"), rgb)


def test_refusals() -> None:
    with pytest.raises(InputError, match="adobe"):
        luminance(torch.zeros(3, 1, 1), "adobe")
    with pytest.raises(InputError, match="axis -3"):
        luminance(torch.zeros(1, 2, 3))
