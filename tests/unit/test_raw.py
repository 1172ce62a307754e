"""`io.raw`: raw frames keep their exposure ratio, with one white balance for the clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dng import write_dng
from lrhdr.checks import InputError
from lrhdr.io.raw import raw_info, read_raw, white_balance_of
from lrhdr.io.sources import open_frames

pytest.importorskip("rawpy", reason="the extra raw")


def scene(light: float) -> np.ndarray:
    """A grey wall in two halves under the light of the default white balance, as the sensor sees it."""
    wall = np.full((32, 48, 3), 0.02)
    wall[:, 24:] = 0.04
    return wall * light * np.array([0.5, 1.0, 2 / 3])


def test_header_and_light(tmp_path: Path) -> None:
    write_dng(tmp_path / "a.dng", scene(8.0), 1 / 125)
    info = raw_info(tmp_path / "a.dng")
    assert (info.size, info.sample, info.is_linear) == ((32, 48), "raw", True)
    assert info.exposure_seconds == pytest.approx(1 / 125)
    image = read_raw(tmp_path / "a.dng", white_balance_of(tmp_path / "a.dng"))
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[16, 8], 0.16, atol=0.002)  # white balanced: grey
    np.testing.assert_allclose(image[16, 40], 0.32, atol=0.004)
    write_dng(tmp_path / "b.dng", scene(1000.0), 1 / 8)
    assert read_raw(tmp_path / "b.dng", white_balance_of(tmp_path / "a.dng")).min() > 0.9999  # a full sensor is white


def test_nothing_is_stretched_by_a_frames_own_content(tmp_path: Path) -> None:
    neutrals = ((0.5, 1, 2 / 3), (0.9, 1, 0.9))  # the camera changes its mind on white in the second frame
    for index, (light, neutral) in enumerate(zip((2.0, 16.0), neutrals, strict=True)):
        write_dng(tmp_path / f"{index}.dng", scene(light), light / 1000, neutral)
    source = open_frames(tmp_path)
    assert source.is_linear
    dark, bright = (frame**2.2 for frame in source)
    np.testing.assert_allclose(bright[16, 8] / dark[16, 8], 8.0, rtol=0.02)
    np.testing.assert_allclose(dark[16, 8], 0.04, atol=0.001)


def test_exposures_come_from_the_tags(tmp_path: Path) -> None:
    for index in range(4):
        write_dng(tmp_path / f"{index}.dng", scene(1.0), (0.001, 0.008)[index % 2])
    assert open_frames(tmp_path).exposures_stops == (0.0, 3.0)


def test_damage_is_one_line(tmp_path: Path) -> None:
    write_dng(tmp_path / "whole.dng", scene(1.0), 0.01)
    balance = white_balance_of(tmp_path / "whole.dng")
    (tmp_path / "half.dng").write_bytes((tmp_path / "whole.dng").read_bytes()[:1500])
    (tmp_path / "none.dng").write_bytes(b"II*\0")
    for name in ("half.dng", "none.dng", "missing.dng"):
        with pytest.raises(InputError, match=name) as caught:
            read_raw(tmp_path / name, balance)
        assert "\n" not in str(caught.value)
