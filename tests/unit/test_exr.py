"""`lrhdr.io.exr`: half floats and header attributes survive the trip; nothing half-written is left behind."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest

from lrhdr.checks import InputError
from lrhdr.io.exr import HALF_MAX, encode_exr, encode_exr_layers, read_exr_header, write_exr
from lrhdr.io.images import read_exr, read_hdr
from lrhdr.timecode import Timecode


@pytest.mark.parametrize("compression", ["zip", "piz", "none"])
def test_exr_round_trip_is_exact_in_half(tmp_path: Path, compression: Any) -> None:
    image = (np.random.default_rng(0).random((17, 33, 3)) * 10).astype(np.float32)
    write_exr(tmp_path / "a.exr", image, compression=compression)
    np.testing.assert_array_equal(read_exr(tmp_path / "a.exr"), image.astype(np.float16).astype(np.float32))
    assert [p.name for p in tmp_path.iterdir()] == ["a.exr"]


def test_exr_dwaa_is_close(tmp_path: Path) -> None:
    y, x = np.mgrid[0:64, 0:64] / 64.0
    image = np.stack([1 + x, 1 + y, 1 + x * y], -1).astype(np.float32)
    write_exr(tmp_path / "a.exr", image, compression="dwaa")
    assert np.abs(read_hdr(tmp_path / "a.exr") / image - 1).mean() < 0.02


def test_exr_attributes(tmp_path: Path) -> None:
    chromaticities = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
    attributes = {
        "chromaticities": chromaticities,
        "framesPerSecond": Fraction(30000, 1001),
        "lrhdr:exposure": 8.0,
        "lrhdr:weights": "compact-2exp",
        "lrhdr:frame": 3,
        "lrhdr:schedule": (1.0, 8.0),
    }
    write_exr(tmp_path / "a.exr", np.ones((2, 3, 3), np.float32), attributes)
    header = read_exr_header(tmp_path / "a.exr")
    np.testing.assert_allclose(header["chromaticities"], chromaticities, atol=1e-6)
    assert header["framesPerSecond"] == Fraction(30000, 1001)
    assert [header[f"lrhdr:{key}"] for key in ("exposure", "weights", "frame")] == [8.0, "compact-2exp", 3]
    assert list(header["lrhdr:schedule"]) == [1.0, 8.0]
    assert header["compression"] == OpenEXR.ZIP_COMPRESSION


def test_exr_clamps_to_half_and_refuses_nan(tmp_path: Path) -> None:
    image = np.full((2, 2, 3), 1e6, np.float32)
    write_exr(tmp_path / "a.exr", image)
    assert read_hdr(tmp_path / "a.exr").max() == HALF_MAX
    image[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        write_exr(tmp_path / "b.exr", image)
    assert not (tmp_path / "b.exr").exists()


def test_exr_refuses_nonsense() -> None:
    image = np.ones((2, 2, 3), np.float32)
    with pytest.raises(InputError, match="shape"):
        encode_exr(image[..., 0])
    with pytest.raises(InputError, match="compression"):
        encode_exr(image, compression="lzma")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="chromaticities"):
        encode_exr(image, {"chromaticities": (1.0, 2.0)})
    with pytest.raises(InputError, match="note"):
        encode_exr(image, {"note": {"a": 1}})  # type: ignore[dict-item]


def test_exr_header_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.exr").write_bytes(b"hello")
    for name in ("bad.exr", "missing.exr"):
        with pytest.raises(InputError, match=name):
            read_exr_header(tmp_path / name)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Timecode(1001, 24), (0, 0, 41, 17, 0, 0)),
        (Timecode(1800, 30, drop=True), (0, 1, 0, 2, 1, 0)),
        (Timecode(3661 * 50 + 33, 50), (1, 1, 1, 16, 0, 1)),  # frame 33 of 50 is the second of pair 16
    ],
)
def test_exr_timecode(tmp_path: Path, code: Timecode, expected: tuple[int, ...]) -> None:
    write_exr(tmp_path / "a.exr", np.ones((2, 3, 3), np.float32), {"timeCode": code})
    got = read_exr_header(tmp_path / "a.exr")["timeCode"]
    assert (got.hours, got.minutes, got.seconds, got.frame, got.dropFrame, got.fieldPhase) == expected


def test_exr_layers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    votes, image = rng.random((5, 7)), rng.random((5, 7, 3))
    data = encode_exr_layers({"votes.reference": votes, "candidate_next": image}, {"lrhdr:frame": 3}, "piz")
    (tmp_path / "a.exr").write_bytes(data)
    channels = OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True).channels()
    assert set(channels) == {"votes.reference", *(f"candidate_next.{c}" for c in "RGB")}
    np.testing.assert_array_equal(channels["votes.reference"].pixels, votes.astype(np.float16))
    np.testing.assert_array_equal(channels["candidate_next.G"].pixels, image[..., 1].astype(np.float16))
    with pytest.raises(InputError, match="lossless"):
        encode_exr_layers({"votes.reference": votes}, compression="dwaa")
    with pytest.raises(InputError, match="one size"):
        encode_exr_layers({"a.x": votes, "b.x": votes[1:]})
    with pytest.raises(InputError, match="holds NaN"):
        encode_exr_layers({"b.x": votes * np.nan})
