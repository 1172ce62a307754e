"""`lrhdr.io.images`: exact samples in, and one clear error that names the file for everything else."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from lrhdr.checks import InputError
from lrhdr.io.images import LDR_GAMMA, read_hdr, read_image, read_info, read_ldr, write_png

RNG_SEED = 7


def codes(dtype: type[np.uint8] | type[np.uint16], shape: tuple[int, ...] = (20, 31, 3)) -> np.ndarray:
    return np.random.default_rng(RNG_SEED).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def write_oiio(path: Path, image: np.ndarray, sample: str, **attributes: Any) -> None:
    spec = oiio.ImageSpec(image.shape[1], image.shape[0], image.shape[2], sample)
    for name, value in attributes.items():
        spec.attribute(name, value)
    out = oiio.ImageOutput.create(str(path))
    done = out.open(str(path), spec) and out.write_image(image) and out.close()
    assert done, out.geterror()


# --- integer files, exactly ---


def test_tiff_16_bit_is_exact(tmp_path: Path) -> None:
    image = codes(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    np.testing.assert_array_equal(read_ldr(tmp_path / "a.tif"), image.astype(np.float32) / np.float32(65535))
    assert read_info(tmp_path / "a.tif").sample == "uint16"


def test_tiff_deflate_tiled_planar_is_exact(tmp_path: Path) -> None:
    image = codes(np.uint16, (40, 40, 3))
    tifffile.imwrite(tmp_path / "tiled.tiff", image, photometric="rgb", tile=(16, 16), compression="zlib")
    tifffile.imwrite(tmp_path / "planar.tiff", image.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    for name in ("tiled", "planar"):
        got = read_image(tmp_path / f"{name}.tiff")
        np.testing.assert_array_equal(np.round(got * 65535).astype(np.uint16), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_round_trip_is_exact(tmp_path: Path, dtype: type[np.uint8] | type[np.uint16]) -> None:
    image = codes(dtype)
    write_png(tmp_path / "a.png", image)
    got = read_ldr(tmp_path / "a.png")
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, image.astype(np.float32) / np.float32(np.iinfo(dtype).max))
    # an independent reader sees the same codes
    other = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert other is not None
    np.testing.assert_array_equal(other[..., ::-1], image)


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), wide=st.booleans(), seed=st.integers(0, 2**16))
def test_png_round_trip_any_size(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, wide: bool, seed: int
) -> None:
    path = tmp_path_factory.mktemp("png") / "a.png"
    dtype = np.uint16 if wide else np.uint8
    top = np.iinfo(dtype).max
    image = np.random.default_rng(seed).integers(0, top + 1, (height, width, 3)).astype(dtype)
    write_png(path, image)
    np.testing.assert_array_equal(np.round(read_image(path) * top).astype(dtype), image)
    assert read_info(path).size == (height, width)


def test_png_grey_becomes_rgb(tmp_path: Path) -> None:
    image = codes(np.uint16, (5, 6))
    write_png(tmp_path / "g.png", image)
    got = read_ldr(tmp_path / "g.png")
    assert got.shape == (5, 6, 3)
    np.testing.assert_array_equal(np.round(got[..., 1] * 65535), image)
    np.testing.assert_array_equal(got[..., 0], got[..., 2])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_alpha_is_dropped_and_not_multiplied_in(tmp_path: Path, suffix: str) -> None:
    image = codes(np.uint8, (6, 5, 4))
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        cv2.imwrite(str(path), image[..., [2, 1, 0, 3]])
    else:
        tifffile.imwrite(path, image, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(np.round(read_ldr(path) * 255), image[..., :3])


def test_palette_png(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 3, 2, 8, 3, 0, 0, 0)  # 3 x 2, 8 bits, colour type 3 = palette
    rows = b"\0" + bytes([0, 1, 0]) + b"\0" + bytes([1, 1, 0])
    chunks = [(b"IHDR", header), (b"PLTE", bytes([10, 20, 30, 200, 100, 50])), (b"IDAT", zlib.compress(rows))]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in [*chunks, (b"IEND", b"")])
    (tmp_path / "p.png").write_bytes(data)
    got = np.round(read_ldr(tmp_path / "p.png") * 255)
    palette = np.array([[10, 20, 30], [200, 100, 50]])
    np.testing.assert_array_equal(got, palette[[[0, 1, 0], [1, 1, 0]]])


def test_jpeg_is_close(tmp_path: Path) -> None:
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 16, 0).repeat(3, 2)
    write_oiio(tmp_path / "a.jpg", ramp, "uint8", Compression="jpeg:100")
    assert np.abs(read_ldr(tmp_path / "a.jpg") * 255 - ramp).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    """Oracle: where the tag's definition puts the stored first row and column."""
    image = codes(np.uint8, (4, 6, 3))
    tifffile.imwrite(tmp_path / "o.tif", image, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    upright = {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.transpose(1, 0, 2),
        6: np.rot90(image, -1),
        7: image[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(image, 1),
    }
    got = np.round(read_ldr(tmp_path / "o.tif") * 255)
    np.testing.assert_array_equal(got, upright[orientation])
    assert read_info(tmp_path / "o.tif").size == upright[orientation].shape[:2]


# --- float files ---


def test_linear_float_frame_is_gamma_encoded(tmp_path: Path) -> None:
    linear = np.random.default_rng(0).random((5, 4, 3)).astype(np.float32)
    linear[0, 0] = (0.0, 1.0, 0.5)
    tifffile.imwrite(tmp_path / "f.tif", linear, photometric="rgb")
    got = read_ldr(tmp_path / "f.tif")
    np.testing.assert_allclose(got**LDR_GAMMA, linear, atol=1e-6)
    np.testing.assert_array_equal(got[0, 0, :2], [0, 1])
    assert read_info(tmp_path / "f.tif").is_linear


@pytest.mark.parametrize(("bad", "word"), [(np.nan, "NaN"), (np.inf, "NaN"), (-0.25, "negative"), (1.5, "1.5")])
@pytest.mark.parametrize("name", ["f.tif", "f.exr"])
def test_bad_float_frames_are_refused_by_name(tmp_path: Path, bad: float, word: str, name: str) -> None:
    linear = np.full((4, 4, 3), 0.5, np.float32)
    linear[1, 2, 0] = bad
    write_oiio(tmp_path / name, linear, "float")
    with pytest.raises(InputError, match=rf"{name}.*{word}"):
        read_ldr(tmp_path / name)


def test_pfm_both_byte_orders_bottom_up(tmp_path: Path) -> None:
    linear = np.random.default_rng(0).random((4, 5, 3)).astype(np.float32) * 100
    (tmp_path / "le.pfm").write_bytes(b"PF\n5 4\n-1.0\n" + linear[::-1].astype("<f4").tobytes())
    (tmp_path / "be.pfm").write_bytes(b"PF\n5 4\n1.0\n" + linear[::-1].astype(">f4").tobytes())
    for name in ("le", "be"):
        np.testing.assert_array_equal(read_hdr(tmp_path / f"{name}.pfm"), linear)


def test_radiance_hdr_within_its_precision(tmp_path: Path) -> None:
    linear = np.random.default_rng(0).uniform(0.5, 100, (9, 17, 3)).astype(np.float32)
    write_oiio(tmp_path / "a.hdr", linear, "float")
    got = read_hdr(tmp_path / "a.hdr")
    # RGBE shares one exponent: the step is 1/128 of the largest channel at most.
    assert np.abs(got - linear).max(axis=-1).max() <= (linear.max(axis=-1) / 128).max()


def test_hdr_reader_refuses_integers(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", codes(np.uint8))
    with pytest.raises(InputError, match="uint8"):
        read_hdr(tmp_path / "a.png")


# --- what cannot be read ---


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "exr", "hdr"])
@pytest.mark.parametrize("part", [0.0, 0.03, 0.5, 0.95])
def test_truncated_files_are_refused(
    tmp_path: Path, suffix: str, part: float, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    image = codes(np.uint8, (40, 50, 3))
    float_file = suffix in ("exr", "hdr")
    write_oiio(whole, image.astype(np.float32) / 255 if float_file else image, "float" if float_file else "uint8")
    read_image(whole)
    data = whole.read_bytes()
    cut.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(InputError, match=rf"cut\.{suffix}.*expected") as caught:
        read_image(cut)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_cmyk_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "c.tif", codes(np.uint8, (8, 8, 4)), photometric="separated")
    with pytest.raises(InputError, match=r"c\.tif.*CMYK"):
        read_ldr(tmp_path / "c.tif")


def test_cmyk_jpeg_is_refused(tmp_path: Path) -> None:
    pil = pytest.importorskip("PIL.Image", reason="only Pillow writes CMYK JPEG")
    pil.fromarray(codes(np.uint8)).convert("CMYK").save(tmp_path / "c.jpg")
    with pytest.raises(InputError, match=r"c\.jpg.*CMYK"):
        read_ldr(tmp_path / "c.jpg")


def test_other_refusals(tmp_path: Path) -> None:
    (tmp_path / "raw.dng").write_bytes(b"II*\0")
    (tmp_path / "text.png").write_text("hello")
    tifffile.imwrite(tmp_path / "d.tif", np.zeros((4, 4, 3)), photometric="rgb")
    for name, word in (("missing.png", "nothing"), ("raw.dng", "dng"), ("text.png", "signature"), ("d.tif", "double")):
        with pytest.raises(InputError, match=word):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match="folder"):
        read_image(tmp_path)


def test_exr_without_colour_is_refused(tmp_path: Path) -> None:
    OpenEXR.File({}, {"Z": np.ones((3, 3), np.float32)}).write(str(tmp_path / "z.exr"))
    with pytest.raises(InputError, match="Z"):
        read_hdr(tmp_path / "z.exr")


def test_png_refuses_floats(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="float32"):
        write_png(tmp_path / "a.png", np.zeros((2, 2, 3), np.float32))  # type: ignore[arg-type]


def test_a_name_that_is_not_utf8_is_one_line(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "caf") + b"\xe9"
    try:
        os.mkdir(folder)  # noqa: PTH102 (paths of bytes)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    write_png(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "a.png").rename(os.fsdecode(folder + b"/a.png"))
    with pytest.raises(InputError, match="expected a name in UTF-8") as caught:
        read_image(os.fsdecode(folder + b"/a.png"))
    str(caught.value).encode()
