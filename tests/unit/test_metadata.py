"""`lrhdr.io.metadata`: exposures as typed, in `Exposures.txt`, and in tags."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrhdr.checks import InputError
from lrhdr.io.images import ImageInfo, read_info
from lrhdr.io.metadata import (
    natural_key,
    parse_exposure_list,
    parse_stops,
    read_exposures_file,
    stops_from_tags,
)
from lrhdr.io.sources import open_frames


def tagged(seconds: float | None, iso: float | None = None, f_number: float | None = None) -> ImageInfo:
    return ImageInfo(Path("x.jpg"), 4, 4, 3, "uint8", 1, seconds, iso, f_number)


def write_tagged(path: Path, seconds: float) -> None:
    spec = oiio.ImageSpec(8, 8, 3, "uint8")
    spec.attribute("ExposureTime", seconds)
    spec.attribute("FNumber", 2.8)
    spec.attribute("Exif:PhotographicSensitivity", 200)
    out = oiio.ImageOutput.create(str(path))
    out.open(str(path), spec)
    out.write_image(np.zeros((8, 8, 3), np.uint8))
    out.close()


def test_typed_seconds() -> None:
    assert parse_exposure_list("1/1000,1/125") == (0.001, 0.008)
    assert parse_exposure_list(" 0.5, 2e0  1/4 ") == (0.5, 2.0, 0.25)


def test_typed_stops() -> None:
    assert parse_stops("0,3") == (0.0, 3.0)
    assert parse_stops("-2 0 2") == (-2.0, 0.0, 2.0)


@pytest.mark.parametrize(
    "text",
    ["", "1", "1/125", "0,1", "-1,1", "nan,1", "inf,1", "1/0,1", "1,1", "a,b", "1/1000;1/125", "1//2,1", "1e400,1"],
)
def test_bad_seconds(text: str) -> None:
    with pytest.raises(InputError, match=r"exposures: found .*expected") as caught:
        parse_exposure_list(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "3", "3,3", "nan,0", "0,inf", "0;3", "x"])
def test_bad_stops(text: str) -> None:
    with pytest.raises(InputError, match=r"stops: found .*expected"):
        parse_stops(text)


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=5).filter(lambda v: max(v) > min(v)))
def test_stops_survive_being_written(values: list[float]) -> None:
    assert parse_stops(",".join(map(repr, values))) == tuple(values)


@given(st.text(max_size=12))
def test_any_text_gives_numbers_or_one_clear_error(text: str) -> None:
    try:
        values = parse_exposure_list(text)
    except InputError:
        return
    assert len(values) >= 2
    assert all(math.isfinite(v) and v > 0 for v in values)


def test_exposures_txt(tmp_path: Path) -> None:
    assert read_exposures_file(tmp_path) is None
    (tmp_path / "Exposures.txt").write_text("\ufeff3.0\r\n0.0\r\n", encoding="utf-8")
    assert read_exposures_file(tmp_path) == (3.0, 0.0)


@pytest.mark.parametrize("content", [b"", b"3", b"3 3", b"three zero", b"\xff\xfe\x00"])
def test_bad_exposures_txt_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "Exposures.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"Exposures\.txt"):
        read_exposures_file(tmp_path)


def test_exif_exposure_time_is_read(tmp_path: Path) -> None:
    write_tagged(tmp_path / "a.jpg", 1 / 125)
    info = read_info(tmp_path / "a.jpg")
    assert info.exposure_seconds == pytest.approx(0.008)
    assert info.f_number == pytest.approx(2.8)
    assert info.iso == 200


def test_exif_of_a_folder(tmp_path: Path) -> None:
    for index in range(6):
        write_tagged(tmp_path / f"im{index + 8}.jpg", (1 / 125, 1 / 1000)[index % 2])
    assert open_frames(tmp_path).exposures_stops == (3.0, 0.0)


def test_period_in_tags() -> None:
    assert stops_from_tags([tagged(t) for t in (1.0, 4.0, 16.0) * 3]) == (0.0, 2.0, 4.0)
    assert stops_from_tags([tagged(t) for t in (1.0, 4.0, 16.0, 4.0) * 2]) == (0.0, 2.0, 4.0, 2.0)
    # ISO makes the exposures; times and apertures are equal
    assert stops_from_tags([tagged(0.01, iso, 2.8) for iso in (100.0, 800.0) * 3]) == (0.0, 3.0)
    assert stops_from_tags([tagged(0.01, 100.0, n) for n in (8.0, 4.0) * 3]) == (0.0, 2.0)
    # an incomplete last period is fine
    assert stops_from_tags([tagged(t) for t in (1.0, 8.0, 1.0, 8.0, 1.0)]) == (0.0, 3.0)


def test_no_period_in_tags() -> None:
    assert stops_from_tags([]) is None
    assert stops_from_tags([tagged(0.01)] * 6) is None
    assert stops_from_tags([tagged(1.0), tagged(None)] * 3) is None
    assert stops_from_tags([tagged(t) for t in (1.0, 8.0, 1.0, 8.0, 8.0, 1.0)]) is None
    assert stops_from_tags([tagged(1.0), tagged(8.0)]) is None  # a period must be seen twice


def test_natural_order() -> None:
    names = ["f10.png", "f2.png", "F1.png", "f02b.png", "a.png", "10.png", "9.png"]
    ordered = sorted((Path(n) for n in names), key=natural_key)
    assert [p.name for p in ordered] == ["9.png", "10.png", "a.png", "F1.png", "f2.png", "f02b.png", "f10.png"]
