"""`log_curves`, `response`, `io.curves`: codes to light, held against colour-science, and tables from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lrhdr.calibration import KNOTS, Calibration
from lrhdr.checks import InputError
from lrhdr.io.curves import load_curve, write_calibration
from lrhdr.log_curves import LOG_CURVES, decode_log
from lrhdr.response import CODES, NAMED_CURVES, ResponseCurve, curve_from_samples, named_curve


@pytest.mark.parametrize(
    ("name", "oracle", "keywords"),
    [
        ("slog3", "log_decoding_SLog3", {}),
        ("vlog", "log_decoding_VLog", {}),
        ("clog3", "log_decoding_CanonLog3", {"method": "v1.2"}),
        ("logc3", "log_decoding_ARRILogC3", {}),
    ],
)
def test_log_curves_agree_with_colour_science(name: str, oracle: str, keywords: dict[str, Any]) -> None:
    functions = pytest.importorskip("colour.models", reason="colour-science judges the curves")
    codes = np.linspace(0.0, 1.0, 1024)
    got = decode_log(torch.from_numpy(codes), name).numpy()
    np.testing.assert_allclose(got, getattr(functions, oracle)(codes, **keywords), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("name", "code"), [("slog3", 420), ("vlog", 433), ("clog3", 351), ("logc3", 400)])
def test_mid_grey_lies_at_the_published_code(name: str, code: int) -> None:
    light = decode_log(torch.tensor([code / 1023], dtype=torch.float64), name)
    assert float(light) == pytest.approx(0.18, rel=0.01)
    with pytest.raises(InputError, match="log curve"):
        decode_log(light, "zlog")


@pytest.mark.parametrize("name", NAMED_CURVES)
def test_named_curves_grow_from_0_to_1(name: str) -> None:
    curve = named_curve(name)
    assert curve.table[0].max() < 1e-3
    assert curve.table[-1].min() == 1.0
    assert (np.diff(curve.table[CODES // 4 :], axis=0) > 0).all()
    assert curve.absolute == (name in LOG_CURVES)


def test_the_packages_own_encoding_leaves_frames_alone() -> None:
    image = np.random.default_rng(0).random((4, 5, 3)).astype(np.float32)
    assert named_curve("gamma2.2").to_ldr(image) is image
    again = named_curve("linear").to_ldr(named_curve("gamma2.2").linear(image))
    np.testing.assert_allclose(again, image, atol=2e-2)  # 16-bit linear is coarse near black
    np.testing.assert_allclose(again[image > 0.1], image[image > 0.1], atol=1e-4)


def test_log_frames_come_out_with_the_light_they_hold() -> None:
    curve = named_curve("slog3")
    codes = np.full((1, 1, 3), 420 / 1023, np.float32)
    white = float(decode_log(torch.ones(1, dtype=torch.float64), "slog3"))
    assert curve.linear(codes)[0, 0, 0] == pytest.approx(0.18 / white, rel=1e-3)
    assert curve.to_ldr(codes)[0, 0, 0] == pytest.approx((0.18 / white) ** (1 / 2.2), rel=1e-3)


def test_levels_stretch_codes_of_display_curves_and_light_of_absolute_ones() -> None:
    gamma = named_curve("gamma2.2").with_levels(0.1, 0.9)
    codes = np.array([0.05, 0.1, 0.5, 0.9, 0.95], np.float32)[:, None, None].repeat(3, axis=2)
    np.testing.assert_allclose(gamma.linear(codes)[:, 0, 0], [0, 0, 0.5**2.2, 1, 1], atol=1e-4)
    assert not gamma.is_identity
    log = named_curve("vlog")
    stretched = log.with_levels(0.2, 0.8)
    low, middle, high = (float(np.interp(c, np.linspace(0, 1, CODES), log.table[:, 1])) for c in (0.2, 0.5, 0.8))
    assert stretched.linear(codes)[2, 0, 1] == pytest.approx((middle - low) / (high - low), rel=1e-3)
    assert named_curve("srgb").with_levels() is not None
    for black, saturation in ((-0.1, 1.0), (0.6, 1.0), (0.0, 0.4), (0.0, 1.1)):
        with pytest.raises(InputError, match="levels"):
            gamma.with_levels(black, saturation)


def test_bad_tables_are_refused() -> None:
    for samples in ([1.0], [[0.0, 1.0]], [0.0, np.nan], [0.0, -1.0, 1.0], [0.0, 0.0], [0.0, 0.9, 0.5, 1.0]):
        with pytest.raises(InputError, match="x: "):
            curve_from_samples("x", np.array(samples))
    with pytest.raises(InputError, match="shape"):
        ResponseCurve("x", np.zeros((4, 3), np.float32), True)
    with pytest.raises(InputError, match="response curve: expected one of"):
        named_curve("slog9")


def squares(n: int = 65536) -> np.ndarray:
    """A table like TOG13's Basler curve: n x 3."""
    return np.linspace(0.0, 1.0, n)[:, None] ** np.array([[1.8, 2.0, 2.2]])


@pytest.mark.parametrize("kind", ["mat", "npy", "csv"])
def test_tables_from_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"BaslerCRF.{kind}"
    if kind == "mat":
        pytest.importorskip("scipy.io").savemat(path, {"BaslerCRF": squares()})
    elif kind == "npy":
        np.save(path, squares())
    else:
        np.savetxt(path, squares(512) * 7.0, delimiter=",")  # any unit
    curve = load_curve(str(path))
    assert curve.absolute
    np.testing.assert_allclose(curve.table[CODES // 2], 0.5 ** np.array([1.8, 2.0, 2.2]), rtol=1e-3)


def test_files_that_are_no_curve(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text('{"format": "lrhdr-response", "version": 9}')
    (tmp_path / "c.json").write_text('{"format": "lrhdr-response", "version": 1, "red": [0, 1]}')
    (tmp_path / "d.csv").write_text("one,two\n")
    (tmp_path / "e.npy").write_bytes(b"no array")
    (tmp_path / "f.mat").write_bytes(b"no table" * 100)
    (tmp_path / "g.json").write_text("[")
    expected = {
        "a.json": "lrhdr calibrate wrote", "b.json": "version 9", "c.json": "cannot be read", "d.csv": "cannot be read",
        "e.npy": "cannot be read", "f.mat": "cannot be read", "g.json": "cannot be read", "h.json": "expected one of",
    }  # fmt: skip
    for name, words in expected.items():
        with pytest.raises(InputError, match=words) as caught:
            load_curve(str(tmp_path / name))
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_written_calibration_is_read_back(tmp_path: Path) -> None:
    curve = np.linspace(0.0, 1.0, KNOTS)[:, None] ** np.array([[2.0, 2.2, 2.4]])
    write_calibration(tmp_path / "crf.json", Calibration(curve, (0.1, 0.2), 99, 0.01, (0.1, 0.9)))
    table = load_curve(str(tmp_path / "crf.json")).table
    np.testing.assert_allclose(table[CODES // 2], 0.5 ** np.array([2.0, 2.2, 2.4]), rtol=2e-3)
    assert json.loads((tmp_path / "crf.json").read_text())["residual_stops"] == 0.01
