"""`lrhdr.io.yuv`: golden codes, inverses, chroma positions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrhdr.checks import InputError
from lrhdr.io.yuv import (
    COEFFICIENTS,
    Matrix,
    Siting,
    dequantise,
    downsample_chroma_left,
    matrix_of,
    quantise,
    rgb_to_yuv,
    upsample_chroma,
    yuv_to_rgb,
)

# 8-bit limited-range codes of the 100 % colour bars (BT.601-7 and BT.709-6, as printed in SMPTE RP 219 / EG 1 tables).
BARS: dict[Matrix, dict[tuple[int, int, int], tuple[int, int, int]]] = {
    "bt709": {
        (1, 0, 0): (63, 102, 240),
        (0, 1, 0): (173, 42, 26),
        (0, 0, 1): (32, 240, 118),
        (1, 1, 0): (219, 16, 138),
    },
    "bt601": {(1, 0, 0): (81, 90, 240), (0, 1, 0): (145, 54, 34), (0, 0, 1): (41, 240, 110), (1, 1, 0): (210, 16, 146)},
}


def convert(rgb: np.ndarray, matrix: Matrix, *, bits: int, full_range: bool) -> tuple[np.ndarray, ...]:
    y, cb, cr = rgb_to_yuv(rgb, matrix)
    return (
        quantise(y, bits=bits, full_range=full_range, chroma=False),
        quantise(cb, bits=bits, full_range=full_range, chroma=True),
        quantise(cr, bits=bits, full_range=full_range, chroma=True),
    )


def invert(codes: tuple[np.ndarray, ...], matrix: Matrix, *, bits: int, full_range: bool) -> np.ndarray:
    signals = (dequantise(c, bits=bits, full_range=full_range, chroma=i > 0) for i, c in enumerate(codes))
    return yuv_to_rgb(*signals, matrix)


@pytest.mark.parametrize("matrix", ["bt709", "bt601"])
def test_colour_bars(matrix: Matrix) -> None:
    for colour, expected in BARS[matrix].items():
        codes = convert(np.array([[colour]], np.float32), matrix, bits=8, full_range=False)
        assert tuple(int(c[0, 0]) for c in codes) == expected


def test_black_white_and_grey_codes() -> None:
    grey = np.array([[[0, 0, 0], [1, 1, 1]]], np.float32)
    for bits, full, black, white, middle in (
        (8, False, 16, 235, 128),
        (10, False, 64, 940, 512),
        (8, True, 0, 255, 128),
    ):
        y, cb, cr = convert(grey, "bt2020", bits=bits, full_range=full)
        assert y.tolist() == [[black, white]]
        assert cb.tolist() == cr.tolist() == [[middle, middle]]
        np.testing.assert_allclose(invert((y, cb, cr), "bt2020", bits=bits, full_range=full), grey, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    matrix=st.sampled_from(sorted(COEFFICIENTS)),
    bits=st.sampled_from([8, 10, 12, 16]),
    full_range=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_round_trip_within_half_a_code(matrix: Matrix, bits: int, full_range: bool, seed: int) -> None:
    rgb = np.random.default_rng(seed).random((4, 5, 3)).astype(np.float32)
    back = invert(convert(rgb, matrix, bits=bits, full_range=full_range), matrix, bits=bits, full_range=full_range)
    # half a code of luma plus the largest chroma coefficient (1.8814 for BT.2020) times half a code of chroma;
    # 219 codes are the coarsest range. Full range clips Cb = +1/2, half a code more.
    bound = (0.5 + 2 * 1.9 * 0.5) / (219 * 2 ** (bits - 8)) * (2 if full_range else 1)
    assert np.abs(back - rgb).max() <= bound + 2e-6


def test_against_the_inverted_matrix() -> None:
    """Oracle: the RGB to YUV equations of H.273 as a matrix in float64, inverted numerically."""
    rng = np.random.default_rng(0)
    y = rng.random((3, 4)).astype(np.float32) * np.float32(0.2) + np.float32(0.4)
    cb, cr = ((rng.random((3, 4)).astype(np.float32) - np.float32(0.5)) * np.float32(0.2) for _ in range(2))
    for matrix, (kr, kb) in COEFFICIENTS.items():
        luma = np.array([kr, 1 - kr - kb, kb])
        forward = np.stack([luma, (np.eye(3)[2] - luma) / (2 * (1 - kb)), (np.eye(3)[0] - luma) / (2 * (1 - kr))])
        expected = np.stack([y, cb, cr], -1).astype(np.float64) @ np.linalg.inv(forward).T
        np.testing.assert_allclose(yuv_to_rgb(y, cb, cr, matrix), expected, atol=1e-6)


def test_matrix_tags() -> None:
    assert matrix_of(1, height=480) == "bt709"
    assert matrix_of(6, height=1080) == "bt601"
    assert matrix_of(9, height=100) == "bt2020"
    assert (matrix_of(2, height=719), matrix_of(2, height=720)) == ("bt601", "bt709")
    assert matrix_of(2, height=480, primaries=9) == "bt2020"
    with pytest.raises(InputError, match="14"):
        matrix_of(14, height=1080)


@pytest.mark.parametrize(("siting", "dx", "dy"), [("left", 0.0, 0.5), ("topleft", 0.0, 0.0), ("centre", 0.5, 0.5)])
@pytest.mark.parametrize("size", [(8, 10), (7, 9), (8, 20)])
def test_a_plane_is_interpolated_exactly(siting: Siting, dx: float, dy: float, size: tuple[int, int]) -> None:
    """Chroma that is linear in x and y comes back exactly between the outermost samples, for factors 1, 2 and 4."""
    height, width = size
    factor = 4 if width == 20 else 2
    dx = 1.5 if factor == 4 and siting == "centre" else dx
    ys = np.arange(-(-height // 2)) * 2 + dy
    xs = np.arange(-(-width // factor)) * factor + dx
    plane = (0.01 * xs[None, :] - 0.02 * ys[:, None]).astype(np.float32)
    got = upsample_chroma(plane, size, siting)
    y, x = np.arange(height).clip(ys[0], ys[-1]), np.arange(width).clip(xs[0], xs[-1])
    np.testing.assert_allclose(got, 0.01 * x[None, :] - 0.02 * y[:, None], atol=1e-6)


def test_full_resolution_chroma_is_untouched() -> None:
    plane = np.random.default_rng(0).random((5, 7)).astype(np.float32)
    np.testing.assert_array_equal(upsample_chroma(plane, (5, 7), "left"), plane)


def test_downsampling_is_centred_on_the_left_column() -> None:
    """A linear plane keeps its values at the sample positions; a constant stays constant."""
    x, y = np.meshgrid(np.arange(12.0), np.arange(6.0))
    got = downsample_chroma_left((0.1 * x + 0.3 * y).astype(np.float32))
    expected = 0.1 * x[::2, ::2] + 0.3 * (y[::2, ::2] + 0.5)
    expected[:, 0] += 0.1 / 4  # the border repeats its first column
    np.testing.assert_allclose(got, expected, atol=1e-6)
    np.testing.assert_array_equal(downsample_chroma_left(np.full((2, 2), 0.25, np.float32)), [[0.25]])
