"""The step of Lucas and Kanade on flow that is right but for a fraction of a pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lrhdr.interpolate.flow import pixel_grid
from lrhdr.interpolate.polish import polish

SHIFT = (1.6, -0.7)
HEIGHT, WIDTH = 150, 220  # more than one strip


def pair(shift: tuple[float, float] = SHIFT) -> tuple[np.ndarray, np.ndarray]:
    """A blurred texture, and the same moved by `shift`, 8 bits."""
    noise = np.random.default_rng(3).uniform(0.0, 255.0, (HEIGHT, WIDTH)).astype(np.float32)
    image = cv2.GaussianBlur(noise, (0, 0), 2.0)
    image = np.clip(128.0 + 6.0 * (image - image.mean()), 0.0, 255.0)
    x, y = pixel_grid(HEIGHT, WIDTH)
    moved = cv2.remap(image, x - shift[0], y - shift[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return tuple(np.clip(np.rint(i), 0, 255).astype(np.uint8) for i in (image, moved))


def inside(error: np.ndarray) -> float:
    return float(np.abs(error[12:-12, 12:-12]).mean())


@pytest.mark.parametrize("start", [(1.0, -1.0), (2.1, -0.4)])
def test_a_fraction_of_a_pixel_is_found(start: tuple[float, float]) -> None:
    first, second = pair()
    flow = np.full((HEIGHT, WIDTH, 2), start, dtype=np.float32)
    before = inside(flow - SHIFT)
    once = polish(first, second, flow)
    assert once is flow
    assert inside(once - SHIFT) < 0.2 * before
    assert inside(polish(first, second, once) - SHIFT) < 0.05


def test_no_structure_no_shift() -> None:
    flat = np.full((40, 50), 77, dtype=np.uint8)
    flow = np.random.default_rng(1).normal(0.0, 3.0, (40, 50, 2)).astype(np.float32)
    np.testing.assert_allclose(polish(flat, flat, flow.copy()), flow, atol=1e-6)


def test_shifts_are_bounded() -> None:
    first, second = pair((6.0, 3.0))
    polished = polish(first, second, np.zeros((HEIGHT, WIDTH, 2), dtype=np.float32))
    assert 0.9 < np.linalg.norm(polished, axis=-1).max() <= 1.0 + 1e-5


@pytest.mark.parametrize("rows", [12, 32])
def test_strips_leave_no_seams(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = pair()
    flow = np.random.default_rng(4).normal(SHIFT, 0.4, (HEIGHT, WIDTH, 2)).astype(np.float32)
    monkeypatch.setattr("lrhdr.interpolate.polish._STRIP", HEIGHT)
    whole = polish(first, second, flow.copy())
    monkeypatch.setattr("lrhdr.interpolate.polish._STRIP", rows)
    np.testing.assert_allclose(polish(first, second, flow), whole, atol=1e-4)


def test_what_no_shift_explains_counts_little() -> None:
    """A bright square that is in one frame only hardly moves the flow beside it."""
    first, second = pair()
    second[60:80, 100:120] = 255
    flow = np.full((HEIGHT, WIDTH, 2), SHIFT, dtype=np.float32)
    polished = polish(first, second, flow)
    assert float(np.abs((polished - SHIFT)[50:90, 84:96]).mean()) < 0.1


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (97, 40)])
def test_any_size(size: tuple[int, int]) -> None:
    frame = np.random.default_rng(2).integers(0, 255, size, dtype=np.uint8)
    flow = np.zeros((*size, 2), dtype=np.float32)
    np.testing.assert_allclose(polish(frame, frame, flow), 0.0, atol=1e-6)
