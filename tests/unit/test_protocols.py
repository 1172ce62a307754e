"""Protocols: the frames, division and resolution of the field's scripts; displays; refusals."""

import dataclasses

import pytest
import torch

from lrhdr.checks import InputError
from lrhdr.protocols import PROTOCOLS, Display, Protocol, get_protocol


def test_the_fields_frames():
    field = PROTOCOLS["field"]
    everything = range(60)
    # HDRFlow's test script on 60 frames of Cinematic Video; 5 and 7 frames of DeepHDRVideo.
    assert field.scored("cinematic", 60, 2, everything) == tuple(range(2, 58))
    assert field.scored("cinematic", 60, 3, everything) == tuple(range(3, 57))
    assert field.scored("deephdrvideo", 5, 2, range(5)) == (2,)
    assert field.scored("deephdrvideo", 7, 3, range(7)) == (3,)
    # F2HDR's: every whole window of three frames.
    assert field.scored("realhdrv", 8, 2, range(8)) == (1, 2, 3, 4, 5, 6)
    assert PROTOCOLS["network-only"].scored("cinematic", 60, 2, (0, 7)) == (0, 7)
    assert field.scored("cinematic", 60, 2, (0, 7)) == (7,)


def test_division():
    bright = torch.tensor([0.5, 2.0, 4.0]).view(3, 1, 1)
    for name, dataset, divided in (
        ("field", "deephdrvideo", True),
        ("field", "cinematic", False),
        ("network-only", "realhdrv", True),
        ("lrhdr-paper", "folder", True),
        ("all-frames", "deephdrvideo", False),
    ):
        result = PROTOCOLS[name].normalise(bright, dataset)
        assert torch.equal(result, bright / 4.0 if divided else bright), (name, dataset)
    assert torch.equal(PROTOCOLS["field"].normalise(bright / 8.0, "deephdrvideo"), bright / 8.0)


def test_composite_belongs_to_the_field():
    assert [name for name, p in PROTOCOLS.items() if p.composite] == ["field"]


def test_resolution_for_hdrvdp2():
    screen = Display(pixels_per_degree=45.0)
    assert PROTOCOLS["field"].pixels_per_degree((813, 1536), screen) == pytest.approx(25.5, abs=0.1)
    assert PROTOCOLS["lrhdr-paper"].pixels_per_degree((813, 1536), screen) == 30.0
    assert PROTOCOLS["all-frames"].pixels_per_degree((813, 1536), screen) == 45.0
    cropped = dataclasses.replace(PROTOCOLS["field"], crop=100)  # the screen is as large as the frames are
    whole = PROTOCOLS["field"].pixels_per_degree((813, 1536), screen)
    assert cropped.pixels_per_degree((613, 1336), screen) == pytest.approx(whole)


def test_light():
    light = Display(peak=500.0, black=0.01).light(torch.tensor([-1.0, 0.0, 0.5, 1.0, 3.0]))
    assert light.tolist() == pytest.approx([0.01, 0.01, 250.0, 500.0, 500.0])


def test_crop():
    image = torch.arange(48.0).view(1, 6, 8)
    cropped = Protocol("x", crop=2).cropped(image)
    assert torch.equal(cropped, image[:, 2:4, 2:6])
    assert PROTOCOLS["field"].cropped(image) is image
    with pytest.raises(InputError, match="nothing is left"):
        Protocol("x", crop=3).cropped(image)


def test_settings_make_the_same_protocol():
    for protocol in PROTOCOLS.values():
        assert Protocol(**protocol.settings()) == protocol
        assert protocol.name in protocol.describe()


def test_names():
    assert get_protocol("default") is PROTOCOLS["all-frames"]
    with pytest.raises(InputError, match="expected default, all-frames, network-only, field, lrhdr-paper, found 'x'"):
        get_protocol("x")


@pytest.mark.parametrize(
    "values", [{"divide": "x"}, {"frames": "x"}, {"vdp_input": "x"}, {"crop": -1}], ids=lambda v: next(iter(v))
)
def test_bad_protocols(values):
    with pytest.raises(InputError):
        Protocol("x", **values)


@pytest.mark.parametrize("values", [{"peak": 0.001}, {"peak": 2e4}, {"black": -1.0}, {"pixels_per_degree": 0.0}])
def test_bad_displays(values):
    with pytest.raises(InputError, match="display"):
        Display(**values)
