"""The page's pixel coding: what is stored comes back within the stated error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lrhdr.checks import InputError
from lrhdr.viewer.packing import (
    Plane,
    block_mean,
    code_plane,
    half_plane,
    header,
    log_error,
    log_plane,
    pack,
    share_plane,
    unwrap,
    wrap,
)
from packs import unpack


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@pytest.mark.parametrize("step", [1 / 512, 1 / 128, 1 / 16])
def test_radiance_comes_back_within_the_stated_error(step: float) -> None:
    x = (noise(9, 11, 3) ** 6 * 70000.0 * np.where(noise(9, 11, 3, seed=1) < 0.2, -1, 1)).astype(np.float32)
    x[0, :3] = [[0.0, 1.0, 65504.0], [1e-7, -1e-7, 1e-4], [0.5, 0.25, 2.0**-14]]
    share, constant = log_error(step)
    clamped = x.clip(-65504.0, 65504.0)
    error = np.abs(log_plane(x, step).values() - clamped)
    assert (error <= share * np.abs(clamped) * 1.0001 + constant * 1.0001).all()
    assert (log_plane(np.zeros((2, 2, 3)), step).values() == 0.0).all()


def test_half_floats_come_back_as_they_are() -> None:
    x = (noise(5, 4, 3) * 3.0 - 1.0).astype(np.float16)
    np.testing.assert_array_equal(half_plane(x.astype(np.float32)).values(), x.astype(np.float32))


@pytest.mark.parametrize("step", [1, 3])
def test_frames_come_back_within_one_code(step: int) -> None:
    codes = np.arange(256, dtype=np.float32).reshape(16, 16, 1).repeat(3, axis=2)
    back = 255.0 * code_plane(codes / 255.0, step).values()
    assert np.abs(back - codes).max() <= (0.01 if step == 1 else 1.01)


@pytest.mark.parametrize("levels", [255, 63])
def test_votes_keep_their_zeros_and_their_support(levels: int) -> None:
    weights = noise(6, 7, 5) ** 8
    weights[weights < 0.05] = 0.0
    weights[0, 0, 0] = 1e-6
    back = share_plane(weights, levels).values()
    np.testing.assert_array_equal(back > 0.0, weights > 0.0)
    assert np.abs(back - weights).max() <= 1.0 / levels


@given(
    arrays(np.int16, st.tuples(st.integers(1, 5), st.integers(1, 6), st.sampled_from([1, 3, 6]))),
    st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_coding_loses_nothing_even_at_the_ends_of_16_bits(codes: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(-(2**15), 2**15, codes.shape).astype(np.int16)
    planes = {"a": Plane(base, "log", 1 / 512), "b": Plane(codes, "log", 1 / 128), "c": Plane(codes, "share", 1 / 63)}
    for key, plane in unpack(pack(planes, base="a")).items():
        np.testing.assert_array_equal(plane.codes, planes[key].codes)
        assert (plane.coding, plane.step) == (planes[key].coding, planes[key].step)


@pytest.mark.parametrize("size", [(8, 12), (7, 9), (1, 1), (3, 2)])
def test_reduced_planes_hold_means_and_decode_from_a_finer_base(size: tuple[int, int]) -> None:
    x = noise(*size, 3)
    planes = {"full": log_plane(x, 1 / 128), "half": log_plane(x * 1.3, 1 / 32, 2)}
    back = unpack(pack(planes, base="full"))["half"]
    np.testing.assert_array_equal(back.codes, planes["half"].codes)
    assert back.reduce == 2
    rows, columns = -(-size[0] // 2), -(-size[1] // 2)
    means = np.array(
        [[x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((0, 1)) for j in range(columns)] for i in range(rows)]
    )
    np.testing.assert_allclose(block_mean(x, 2), means, rtol=1e-6)
    np.testing.assert_allclose(back.values(), 1.3 * means, rtol=0.02, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 14, 15, 16, 4097])
def test_scripts_carry_any_bytes(tmp_path: Path, count: int) -> None:
    data = np.random.default_rng(count).integers(0, 256, count).astype(np.uint8).tobytes()
    path = tmp_path / "x.js"
    path.write_bytes(wrap("frame-000001", data))
    assert unwrap(path) == data
    text = path.read_bytes().decode("utf-16")
    assert text.startswith('LRHDR.deliver("frame-000001",')
    assert not set(text[text.index(',"') + 2 : -4]) & set('\n\r"\\')


def test_scripts_cost_a_fifteenth(tmp_path: Path) -> None:
    assert len(wrap("x", bytes(15000))) <= 16000 + 120


def test_what_is_not_a_pack_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"abc", b"\x05\x00\x00\x00hello", b"\x02\x00\x00\x00{}"):
        with pytest.raises(InputError, match="pack"):
            header(data)
    path = tmp_path / "x.js"
    path.write_text("alert(1)")
    with pytest.raises(InputError, match="report"):
        unwrap(path)
    with pytest.raises(InputError, match="none"):
        unwrap(tmp_path / "missing.js")


def test_header_says_what_is_inside() -> None:
    data = pack({"result": log_plane(noise(2, 3, 3), 1 / 64)}, {"index": 4})
    found = header(data)
    assert found["about"] == {"index": 4}
    assert found["planes"][0] | {"bytes": 0, "high": 0} == {
        "name": "result",
        "shape": [2, 3, 3],
        "coding": "log",
        "step": 1 / 64,
        "reduce": 1,
        "base": None,
        "bytes": 0,
        "high": 0,
    }
