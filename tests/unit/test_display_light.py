"""`lrhdr.display_light`: reference white, the highlight bend, PQ and HLG signals to a fraction of a code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lrhdr.checks import InputError
from lrhdr.display_light import DisplayMap, bend, hlg_signal, pq_signal
from lrhdr.transfer import eotf_pq, oetf_hlg_display, oetf_pq

CODE = 1 / 876  # one code of 10-bit limited range


def colours(peak: float) -> np.ndarray:
    """(60, 20, 3) light from 0.001 cd/m² to the peak, in many hues; black too."""
    rng = np.random.default_rng(0)
    light = np.geomspace(1e-3, peak, 60)[:, None, None] * rng.random((60, 20, 3))
    light[0] = 0
    return light.astype(np.float32)


def test_reference_white_gets_its_light() -> None:
    image = np.full((2, 3, 3), 0.125, np.float32)  # white of the longest of 0, 3 stops
    np.testing.assert_allclose(DisplayMap("bt709", 203 * 8).light(image), 203, rtol=1e-5)
    np.testing.assert_allclose(DisplayMap("aces-ap0", 203 * 8).light(image), 203, rtol=1e-5)


def test_primaries_are_converted_and_bounds_held() -> None:
    red = np.zeros((1, 1, 3), np.float32)
    red[..., 0] = 1
    # BT.709 red in BT.2020, BT.2087-0.
    np.testing.assert_allclose(DisplayMap("bt709", 100).light(red)[0, 0], [62.74, 6.91, 1.64], atol=0.01)
    assert DisplayMap("aces-ap0", 100).light(red).min() == 0  # a colour outside BT.2020
    assert DisplayMap("bt2020", 1e5).light(red).max() == 10000


@pytest.mark.parametrize(("peak", "source"), [(1000, 1624), (600, 4000), (100, 10000), (1000, 1001)])
def test_bend(peak: float, source: float) -> None:
    light = np.geomspace(1e-4, source, 500)
    bent = bend(light, peak, source)
    assert (np.diff(bent) > 0).all()
    assert (bent <= light * (1 + 1e-9)).all()
    np.testing.assert_allclose(bent[-1], peak, rtol=1e-6)
    np.testing.assert_allclose(bend(np.array([2.0 * source]), peak, source), peak, rtol=1e-6)
    np.testing.assert_allclose(bent[light < 0.02 * peak], light[light < 0.02 * peak], rtol=0.02)


def test_bend_against_bt2390() -> None:
    """BT.2390-10, 5.4.1, worked by hand: source 4000, target 1000; below the knee nothing changes."""
    top = oetf_pq(torch.tensor(4000.0)).item()
    m = oetf_pq(torch.tensor(1000.0)).item() / top
    knee = 1.5 * m - 0.5
    below = 4000 * 0.02
    assert oetf_pq(torch.tensor(below)).item() / top < knee
    np.testing.assert_allclose(bend(np.array([below]), 1000, 4000), below, rtol=1e-6)
    # In the middle of the spline, T = 1/2: (2/8 - 3/4 + 1) K + (1/8 - 2/4 + 1/2)(1 - K) + (-2/8 + 3/4) m.
    e1 = (knee + 1) / 2
    expected = 0.5 * knee + 0.125 * (1 - knee) + 0.5 * m
    signal = torch.tensor(e1 * top, dtype=torch.float64)
    got = bend(np.array([eotf_pq(signal).item()]), 1000, 4000)
    np.testing.assert_allclose(oetf_pq(torch.from_numpy(got)).item() / top, expected, atol=1e-9)


def test_the_bend_keeps_hue_and_the_peak() -> None:
    image = np.array([[[1.0, 0.5, 0.25], [0.01, 0.02, 0.03]]], np.float32)
    plain = DisplayMap("bt2020", 4000).light(image)
    bent = DisplayMap("bt2020", 4000, peak=1000, source_peak=4000).light(image)
    np.testing.assert_allclose(bent[0, 0] / bent[0, 0, 0], plain[0, 0] / plain[0, 0, 0], rtol=1e-3)
    assert bent.max() <= 1000
    np.testing.assert_allclose(bent.max(), 1000, rtol=1e-3)
    np.testing.assert_allclose(bent[0, 1], plain[0, 1], rtol=1e-3)
    np.testing.assert_array_equal(DisplayMap("bt2020", 500, peak=1000, source_peak=500).light(image), image * 500)


def test_pq_signal() -> None:
    light = colours(10000)
    expected = oetf_pq(torch.from_numpy(light).double()).numpy()
    assert np.abs(pq_signal(light) - expected).max() < 0.1 * CODE


def test_hlg_signal() -> None:
    light = colours(1000)
    expected = oetf_hlg_display(torch.from_numpy(light).double().permute(2, 0, 1)).permute(1, 2, 0).numpy()
    assert expected.max() > 1  # a bright saturated colour needs more light than HLG has for it
    assert np.abs(hlg_signal(light) - expected.clip(max=1)).max() < 0.2 * CODE


def test_values_are_checked() -> None:
    for arguments, expected in (
        (("bt709", 0.0), "white luminance"),
        (("bt709", float("nan")), "white luminance"),
        (("bt709", 203.0, 20.0), "peak luminance"),
        (("xyz", 203.0), "primaries"),
        (("bt709", 203.0, None, 0.0), "source peak"),
    ):
        with pytest.raises(InputError, match=expected):
            DisplayMap(*arguments)  # type: ignore[arg-type]
