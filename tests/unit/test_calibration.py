"""`calibration`: a known response is found again from a bracket, as well as OpenCV finds it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lrhdr.calibration import KNOTS, calibrate
from lrhdr.checks import InputError
from lrhdr.curve_plot import plot_curve

SECONDS = (1 / 1000, 1 / 250, 1 / 60, 1 / 15, 1 / 4)


def response(linear: np.ndarray) -> np.ndarray:
    """A camera's curve: not a pure power, as real ones are not."""
    x = linear.clip(0.0, 1.0)
    return 0.9 * x ** (1 / 2.4) + 0.1 * x


def true_light(codes: np.ndarray) -> np.ndarray:
    x = np.linspace(0.0, 1.0, 100_001)
    return np.interp(codes, response(x), x)


def bracket(bits: int = 8, noise: float = 0.001) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:60, :80]
    radiance = 2.0 ** (-7 * (0.5 + 0.5 * np.sin(x / 13.0) * np.cos(y / 9.0)))
    scene = np.stack([radiance, 0.8 * radiance, 0.6 * radiance], axis=-1)
    levels = 2**bits - 1
    frames = [response(scene * s * 8.0 + rng.normal(0.0, noise, scene.shape)) for s in SECONDS]
    return [(np.round(f * levels) / levels).astype(np.float32) for f in frames]


def stops_off(curve: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """log2 error against the truth, both relative to the light of the middle code."""
    at = np.round(codes * (len(curve) - 1)).astype(int)
    return np.log2(curve[at] / curve[(len(curve) - 1) // 2]) - np.log2(
        true_light(at / (len(curve) - 1)) / true_light(np.array((len(curve) - 1) // 2 / (len(curve) - 1)))
    )


@pytest.mark.parametrize("bits", [8, 16])
def test_the_response_is_found(bits: int) -> None:
    found = calibrate(bracket(bits), SECONDS)
    assert found.curve.shape == (KNOTS, 3)
    assert (np.diff(found.curve, axis=0) > 0).all()
    np.testing.assert_allclose(found.curve[-1], 1.0)
    codes = np.linspace(0.1, 0.95, 30)
    for channel in range(3):
        assert np.abs(stops_off(found.curve[:, channel], codes)).max() < 0.15
    assert found.residual < 0.1
    assert found.samples > 50
    assert found.covered[0] < 0.1
    assert found.covered[1] > 0.9


def test_it_agrees_with_opencv_and_is_no_worse() -> None:
    frames = bracket()
    ours = calibrate(frames, SECONDS).curve[:, 1]
    pictures = [np.ascontiguousarray((f * 255 + 0.5).astype(np.uint8)) for f in frames]
    codes = np.linspace(0.15, 0.9, 30)
    for maker in (cv2.createCalibrateDebevec(samples=150), cv2.createCalibrateRobertson()):
        theirs = maker.process(pictures, np.array(SECONDS, np.float32))[:, 0, 1].astype(np.float64)
        at = np.round(codes * 255).astype(int)
        apart = np.log2(ours[at] / ours[127]) - np.log2(theirs[at] / theirs[127])
        assert np.abs(apart).max() < 0.2
        assert np.abs(stops_off(ours, codes)).mean() < np.abs(stops_off(theirs, codes)).mean() + 0.02


def test_the_order_of_the_frames_does_not_matter() -> None:
    frames = bracket()
    forward, backward = calibrate(frames, SECONDS), calibrate(frames[::-1], SECONDS[::-1])
    np.testing.assert_allclose(forward.curve, backward.curve)


def test_noise_cannot_make_it_fall() -> None:
    curve = calibrate(bracket(noise=0.02), SECONDS).curve
    assert (np.diff(curve, axis=0) >= 0).all()


def test_refusals() -> None:
    frames = bracket()
    with pytest.raises(InputError, match="5 frames and 4 exposures"):
        calibrate(frames, SECONDS[:4])
    with pytest.raises(InputError, match="at least two exposures"):
        calibrate(frames[:2], (0.1, 0.1))
    with pytest.raises(InputError, match="one size"):
        calibrate([frames[0], frames[1][:30]], (0.1, 0.2))
    with pytest.raises(InputError, match="darker with longer exposure"):
        calibrate(frames, SECONDS[::-1])
    with pytest.raises(InputError, match="well-exposed places"):
        calibrate([np.zeros((20, 20, 3), np.float32)] * 2, (0.1, 0.2))


def test_plot_shows_the_three_channels() -> None:
    curve = np.linspace(0.0, 1.0, KNOTS)[:, None] ** np.array([[1.2, 2.2, 3.2]])
    picture = plot_curve(curve, "camera", (0.1, 0.9))
    assert picture.shape == (640, 960, 3)
    red = (picture[..., 0] > 180) & (picture[..., 1] < 80)
    blue = (picture[..., 2] > 180) & (picture[..., 0] < 80)
    column = slice(400, 500)  # a lower exponent is the brighter curve: higher up in the picture
    assert np.argwhere(red[:500, column])[:, 0].mean() < np.argwhere(blue[:500, column])[:, 0].mean()
