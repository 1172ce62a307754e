"""Primaries and transfer functions against colour-science (extra `dev`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lrhdr.colour import CHROMATICITIES, COLORSPACES, conversion_matrix, convert_primaries
from lrhdr.transfer import eotf_hlg, eotf_pq, oetf_hlg, oetf_hlg_display, oetf_pq

colour: Any = pytest.importorskip("colour", reason="needs colour-science, the oracle of these tests")

NAMES = {
    "bt709": "ITU-R BT.709",
    "bt2020": "ITU-R BT.2020",
    "aces-ap1": "ACEScg",
    "aces-ap0": "ACES2065-1",
    "display-p3": "Display P3",
    "dci-p3": "DCI-P3",
    "s-gamut3": "S-Gamut3",
    "s-gamut3.cine": "S-Gamut3.Cine",
    "v-gamut": "V-Gamut",
    "cinema-gamut": "Cinema Gamut",
    "arri-wide-gamut3": "ARRI Wide Gamut 3",
}


def rgb_space(primaries: str) -> Any:
    """colour-science's space, with its matrices derived from the primaries (some of its tables are rounded)."""
    space = colour.RGB_COLOURSPACES[NAMES[primaries]].copy()
    space.use_derived_transformation_matrices(True)
    return space


@pytest.mark.parametrize("target", sorted(COLORSPACES.values()))
@pytest.mark.parametrize("source", sorted(COLORSPACES.values()))
def test_conversion_between_delivery_spaces(source: str, target: str) -> None:
    expected = colour.matrix_RGB_to_RGB(rgb_space(source), rgb_space(target), "Bradford")
    np.testing.assert_allclose(conversion_matrix(source, target), expected, atol=2e-7)


@pytest.mark.parametrize("primaries", sorted(NAMES))
def test_chromaticities(primaries: str) -> None:
    space = rgb_space(primaries)
    expected = (*space.primaries.ravel(), *space.whitepoint)
    np.testing.assert_allclose(CHROMATICITIES[primaries], expected, atol=1e-9)


def test_tensors_are_converted_by_the_same_matrix() -> None:
    rgb = torch.rand(3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    got = convert_primaries(rgb, "bt709", "aces-ap0").permute(1, 2, 0).numpy()
    space = rgb_space("bt709"), rgb_space("aces-ap0")
    expected = colour.RGB_to_RGB(rgb.permute(1, 2, 0).numpy(), *space, "Bradford")
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_pq() -> None:
    light = np.concatenate([[0.0], np.logspace(-4, 4, 200)])
    signal = oetf_pq(torch.from_numpy(light)).numpy()
    np.testing.assert_allclose(signal, colour.models.eotf_inverse_ST2084(light), atol=1e-10)
    np.testing.assert_allclose(
        eotf_pq(torch.from_numpy(signal)).numpy(), colour.models.eotf_ST2084(signal), rtol=1e-9, atol=1e-9
    )


def test_hlg_signal() -> None:
    scene = np.linspace(0.0, 1.0, 201)
    np.testing.assert_allclose(
        oetf_hlg(torch.from_numpy(scene)).numpy(), colour.models.oetf_BT2100_HLG(scene), atol=1e-9
    )


@pytest.mark.parametrize("peak", [600.0, 1000.0, 2000.0])
def test_hlg_from_display_light(peak: float) -> None:
    rng = np.random.default_rng(0)
    light = rng.random((6, 5, 3)) ** 3 * peak
    expected = colour.models.eotf_inverse_BT2100_HLG(light, 0.0, peak)
    tensor = torch.from_numpy(light).permute(2, 0, 1)
    signal = oetf_hlg_display(tensor, peak)
    np.testing.assert_allclose(signal.permute(1, 2, 0).numpy(), expected, atol=1e-8)
    torch.testing.assert_close(eotf_hlg(signal, peak), tensor, rtol=1e-6, atol=1e-6)


def test_reference_white_in_hlg_is_three_quarters() -> None:
    """BT.2408: reference white is 203 cd/m², 75 % of HLG on a display of 1000 cd/m², 58 % of PQ."""
    white = torch.full((3, 1, 1), 203.0, dtype=torch.float64)
    torch.testing.assert_close(oetf_hlg_display(white), torch.full_like(white, 0.75), atol=1e-3, rtol=0)
    torch.testing.assert_close(oetf_pq(white), torch.full_like(white, 0.58), atol=1e-3, rtol=0)
    assert not oetf_hlg_display(torch.zeros(3, 1, 1)).any()
