"""`lrhdr.stills`, `io.stills`, `io.looks`, `sdr`, `exr_clips`: what other readers find in the files, refusals."""

from __future__ import annotations

import shutil
import struct
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from lrhdr.checks import InputError, OutputError
from lrhdr.colour import CHROMATICITIES, convert_primaries
from lrhdr.exr_clips import exr_files, read_facts
from lrhdr.io.exr import write_exr
from lrhdr.io.images import read_hdr, read_image, write_png
from lrhdr.io.looks import load_look
from lrhdr.sdr import SdrView
from lrhdr.stills import StillOptions, write_still
from lrhdr.tonemap import display_tonemap
from lrhdr.transfer import eotf_pq

WHITE = 1624.0
STEPS = np.array([0.002, 0.02, 0.125, 0.5, 1.0], np.float32)


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    """Five grey patches; 0.125 is reference white, 203 cd/m²."""
    image = np.repeat(STEPS, 16)[None, :, None] * np.ones((64, 1, 3), np.float32)
    header = {"chromaticities": tuple(CHROMATICITIES["bt709"]), "whiteLuminance": WHITE, "lrhdr:saturation": 1.0}
    write_exr(tmp_path / "f.exr", image.astype(np.float32), header)
    return tmp_path / "f.exr"


def patches(image: np.ndarray) -> np.ndarray:
    return image[32, 8::16, 1].astype(np.float64)


def need(name: str) -> Any:
    return pytest.importorskip(name, reason=f"needs {name}")


def test_ultra_hdr_shows_sdr_and_hdr(frame: Path, tmp_path: Path) -> None:
    codecs = need("imagecodecs")
    write_still(frame, tmp_path / "s.jpg", StillOptions())
    data = (tmp_path / "s.jpg").read_bytes()
    assert b"urn:iso:std:iso:ts:21496" in data
    assert b"MPF\0" in data
    sdr = patches(np.asarray(Image.open(tmp_path / "s.jpg")))  # the base picture, as old readers see it
    assert (np.diff(sdr) > 10).all()
    hdr = patches(codecs.ultrahdr_decode(data))  # 1.0 = SDR white = reference white
    np.testing.assert_allclose(hdr, STEPS * 8, rtol=0.1, atol=0.005)


def test_avif_is_pq(frame: Path, tmp_path: Path) -> None:
    codecs = need("imagecodecs")
    write_still(frame, tmp_path / "s.avif", StillOptions())
    data = (tmp_path / "s.avif").read_bytes()
    colr = data.index(b"colrnclx") + 8
    assert struct.unpack(">HHHB", data[colr : colr + 7]) == (9, 16, 9, 0x80)
    codes = codecs.avif_decode(data)
    assert codes.dtype == np.uint16
    light = eotf_pq(torch.from_numpy(patches(codes) / 1023)).numpy()
    np.testing.assert_allclose(light, STEPS * WHITE, rtol=0.03)


def test_hdr_png_is_pq_and_says_so(frame: Path, tmp_path: Path) -> None:
    write_still(frame, tmp_path / "s.png", StillOptions(pq=True, peak_luminance=1000))
    data = (tmp_path / "s.png").read_bytes()
    assert b"cICP\x09\x10\x00\x01" in data
    light = eotf_pq(torch.from_numpy(patches(read_image(tmp_path / "s.png")))).numpy()
    np.testing.assert_allclose(light[:2], STEPS[:2] * WHITE, rtol=0.01)
    assert light[-1] == pytest.approx(1000, rel=1e-3)


def test_radiance_is_linear(frame: Path, tmp_path: Path) -> None:
    write_still(frame, tmp_path / "s.hdr", StillOptions())
    np.testing.assert_allclose(patches(read_hdr(tmp_path / "s.hdr")), STEPS, rtol=0.01)
    write_still(frame, tmp_path / "t.hdr", StillOptions(exposure=2))
    np.testing.assert_allclose(patches(read_hdr(tmp_path / "t.hdr")), 4 * STEPS, rtol=0.01)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_tone_mapped_stills_have_16_bits(frame: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"s.{suffix}"
    assert write_still(frame, target, StillOptions(exposure=1.5)).endswith("tone-mapped")
    expected = display_tonemap(torch.from_numpy(STEPS.astype(np.float16).astype(np.float32)), 1.5).numpy()
    np.testing.assert_allclose(patches(read_image(target)), expected, atol=1e-4)
    if suffix == "png":
        assert b"sRGB\0" in target.read_bytes()
        assert cv2.imread(str(target), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    else:
        assert tifffile.imread(target).dtype == np.uint16


def test_other_primaries_give_the_same_picture(frame: Path, tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    aces = convert_primaries(torch.from_numpy(rgb).permute(2, 0, 1), "bt709", "aces-ap1").permute(1, 2, 0).numpy()
    for name, image, primaries in (("a", rgb, "bt709"), ("b", aces, "aces-ap1")):
        write_exr(tmp_path / f"{name}.exr", image, {"chromaticities": tuple(CHROMATICITIES[primaries])})
        write_still(tmp_path / f"{name}.exr", tmp_path / f"{name}.png", StillOptions(exposure=0))
    a, b = (read_image(tmp_path / f"{name}.png") for name in "ab")
    np.testing.assert_allclose(a, b, atol=2e-3)


def test_stills_that_cannot_be(frame: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for target, options, expected in (
        ("s.gif", StillOptions(), "expected a file ending in .jpg"),
        ("s.tif", StillOptions(pq=True), "--pq goes with .png"),
        ("s.png", StillOptions(pq=True, peak_luminance=5), "peak luminance"),
    ):
        with pytest.raises(InputError, match=expected):
            write_still(frame, tmp_path / target, options)
    for values, expected in (
        ({"exposure": float("nan")}, "exposure: expected -60 to 60 stops"),
        ({"exposure": 2000.0}, "exposure: expected -60 to 60 stops"),
        ({"white_luminance": 0.0}, "white luminance: expected cd/m² above 0"),
        ({"white_luminance": -5.0}, "white luminance: expected cd/m² above 0"),
    ):
        with pytest.raises(InputError, match=expected):
            StillOptions(**values)
    with pytest.raises(InputError, match=r"s\.png: --peak-luminance goes with HDR pictures"):
        write_still(frame, tmp_path / "s.png", StillOptions(peak_luminance=1000.0))
    with pytest.raises(InputError, match=r"s\.jpg: --look goes with SDR pictures"):
        write_still(frame, tmp_path / "s.jpg", StillOptions(look="nowhere.cube"))
    with pytest.raises(InputError, match=r"none\.exr"):
        write_still(tmp_path / "none.exr", tmp_path / "s.png", StillOptions())
    with pytest.raises(OutputError, match="cannot write"):
        write_still(frame, frame / "s.png", StillOptions())
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(InputError, match=r"pip install 'lrhdr\[stills\]'"):
        write_still(frame, tmp_path / "s.avif", StillOptions())
    assert [p.name for p in tmp_path.iterdir()] == ["f.exr"]


def test_disk_full(frame: Path, tmp_path: Path, full_disk: Callable[[int], AbstractContextManager[None]]) -> None:
    with full_disk(100), pytest.raises(OutputError, match=r"s\.tif"):
        write_still(frame, tmp_path / "s.tif", StillOptions())
    assert [p.name for p in tmp_path.iterdir()] == ["f.exr"]


# --- headers ---


def test_facts_of_headers(frame: Path, tmp_path: Path) -> None:
    assert read_facts(frame).white_luminance == WHITE
    assert read_facts(frame).saturation == 1.0
    bare = tmp_path / "bare.exr"
    write_exr(bare, np.ones((2, 2, 3), np.float32), {"framesPerSecond": Fraction(30000, 1001)})
    facts = read_facts(bare)
    assert (facts.primaries, facts.white_luminance, facts.saturation) == ("bt709", 203.0, None)
    assert facts.rate == Fraction(30000, 1001)
    odd = (0.6, 0.3, 0.3, 0.6, 0.15, 0.06, 0.3, 0.3)
    write_exr(bare, np.ones((2, 2, 3), np.float32), {"chromaticities": odd})
    with pytest.raises(InputError, match="chromaticities"):
        read_facts(bare)


def test_only_exr_frames_are_a_clip(frame: Path, tmp_path: Path) -> None:
    assert exr_files(str(tmp_path)) == (frame,)
    (tmp_path / "p").mkdir()
    write_png(tmp_path / "p" / "0.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(InputError, match="expected a folder or pattern of EXR"):
        exr_files(str(tmp_path / "p"))
    (tmp_path / "two").mkdir()
    for name in ("a.0", "a.1", "b.2", "b.3"):
        shutil.copy(frame, tmp_path / "two" / f"{name}.exr")
    with pytest.raises(InputError, match=r"frames of 2 clips \(a\.\* and b\.\*\), expected one"):
        exr_files(str(tmp_path / "two"))
    for k, names in enumerate((("a", "b", "c"), ("shot_0_v2", "shot_1_v2"), ("shot_0_graded", "shot_1_graded"))):
        (tmp_path / f"one{k}").mkdir()
        for name in names:
            shutil.copy(frame, tmp_path / f"one{k}" / f"{name}.exr")
        assert len(exr_files(str(tmp_path / f"one{k}"))) == len(names)


# --- looks ---


def cube(path: Path) -> Path:
    """A LUT that swaps black and white."""
    rows = [f"{1 - r} {1 - g} {1 - b}" for b in (0, 1) for g in (0, 1) for r in (0, 1)]
    path.write_text("LUT_3D_SIZE 2\n" + "\n".join(rows) + "\n")
    return path


def test_a_lut_takes_the_picture(tmp_path: Path) -> None:
    need("PyOpenColorIO")
    look = load_look(str(cube(tmp_path / "x.cube")))
    image = np.random.default_rng(0).random((4, 5, 3)).astype(np.float32)
    plain = SdrView("bt709", 203.0, 1.0).picture(image)
    np.testing.assert_allclose(SdrView("bt709", 203.0, 1.0, look).picture(image), 1 - plain, atol=1e-5)
    changed = cube(tmp_path / "y.cube")
    changed.write_text(changed.read_text() + "# \n")
    assert load_look(str(changed)).identity != look.identity


def test_a_view_takes_light(tmp_path: Path) -> None:
    ocio = need("PyOpenColorIO")
    look = load_look("sRGB - Display/Un-tone-mapped")
    grey = np.full((1, 1, 3), 0.18 / 8, np.float32)  # 1.0 = 8 reference whites
    expected = 1.055 * 0.18 ** (1 / 2.4) - 0.055
    np.testing.assert_allclose(SdrView("bt709", 8 * 203.0, 0.0, look).picture(grey), expected, atol=1e-4)
    config = ocio.Config.CreateFromBuiltinConfig("ocio://default")
    view = config.getDefaultView(config.getDefaultDisplay())
    np.testing.assert_array_equal(
        load_look(view).apply(grey), load_look(f"{config.getDefaultDisplay()}/{view}").apply(grey)
    )


def test_looks_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("PyOpenColorIO")
    (tmp_path / "bad.cube").write_text("hello")
    for text, expected in (
        (str(tmp_path / "none.cube"), r"none\.cube: expected a LUT file"),
        (str(tmp_path / "bad.cube"), r"bad\.cube: expected a LUT"),
        ("No such view", "one of 'ACES"),
        ("No such display/Raw", "one of 'sRGB - Display/"),
    ):
        with pytest.raises(InputError, match=expected):
            load_look(text)
    monkeypatch.setenv("OCIO", str(tmp_path / "none.ocio"))
    with pytest.raises(InputError, match=r"\$OCIO"):
        load_look("Raw")
    monkeypatch.setitem(sys.modules, "PyOpenColorIO", None)
    with pytest.raises(InputError, match=r"pip install 'lrhdr\[color\]'"):
        load_look("Raw")
