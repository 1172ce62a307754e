"""Global alignment on pictures whose motion is known: shifts, affine and projective maps, clipping, noise, refusals."""

import cv2
import numpy as np
import pytest
import torch

from lrhdr.camera import CameraConfig, expose
from lrhdr.global_alignment import align_globally, estimate_motion
from lrhdr.interpolate.flow import to_arrays
from lrhdr.procedural import clutter

SIZE = (96, 128)
CENTRE = np.array([[1.0, 0.0, 63.5], [0.0, 1.0, 47.5], [0.0, 0.0, 1.0]])


def scene(seed: int = 0) -> np.ndarray:
    """A wide HDR picture (H, W, 3) in [0, 1], most of it within the reach of both exposures."""
    picture = cv2.GaussianBlur(clutter(np.random.default_rng(seed), (192, 256)), (0, 0), 0.8)
    return np.minimum(picture / np.percentile(picture, 99), 1.0)


def view(picture: np.ndarray, motion: np.ndarray) -> torch.Tensor:
    """What a camera sees that was moved: pixel p of the frame shows the reference's pixel `inverse(motion) p`."""
    onto = np.array([[1.0, 0.0, 64.0], [0.0, 1.0, 48.0], [0.0, 0.0, 1.0]]) @ np.linalg.inv(motion)
    seen = cv2.warpPerspective(picture, onto, SIZE[::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    return torch.from_numpy(seen.clip(0, 1)).permute(2, 0, 1)[None]


def around_centre(matrix) -> np.ndarray:
    return CENTRE @ np.array(matrix, dtype=float) @ np.linalg.inv(CENTRE)


def error_px(found: np.ndarray, true: np.ndarray) -> float:
    """Largest distance between two maps at the corners of the middle three quarters of the frame."""
    corners = np.array([[[16.0, 12.0], [111.0, 12.0], [16.0, 83.0], [111.0, 83.0]]])
    there, here = (cv2.perspectiveTransform(corners, m) for m in (found, true))
    return float(np.linalg.norm(there - here, axis=-1).max())


MOTIONS = {
    "shift": around_centre([[1, 0, 11.0], [0, 1, -6.0], [0, 0, 1]]),
    "half a pixel": around_centre([[1, 0, 0.5], [0, 1, 0.25], [0, 0, 1]]),
    "turn and zoom": around_centre([[1.03, -0.05, 3.0], [0.05, 1.03, 2.0], [0, 0, 1]]),
    "projective": around_centre([[1.0, 0.02, 4.0], [-0.01, 1.02, -3.0], [3e-4, -2e-4, 1]]),
}


@pytest.mark.parametrize("name", sorted(MOTIONS))
@pytest.mark.parametrize("exposures", [(1.0, 8.0), (8.0, 1.0)])
def test_finds_the_motion_between_exposures(name, exposures):
    picture, generator = scene(), torch.Generator().manual_seed(0)
    mine, other = exposures
    reference = expose(view(picture, np.eye(3)), mine, CameraConfig(), generator)
    frame = expose(view(picture, MOTIONS[name]), other, CameraConfig(), generator)
    found = estimate_motion(to_arrays(frame)[0], to_arrays(reference)[0], mine / other)
    assert error_px(found, MOTIONS[name]) < 0.35
    assert error_px(np.eye(3), MOTIONS[name]) > 0.5


def test_trusts_what_is_inside_and_agrees():
    picture, generator = scene(), torch.Generator().manual_seed(0)
    motion = MOTIONS["shift"]
    reference = expose(view(picture, np.eye(3)), 1.0, CameraConfig(), generator)
    frame = expose(view(picture, motion), 4.0, CameraConfig(), generator)
    frame[:, :, 30:50, 40:60] = 0.9  # something that was not there
    aligned, trust = align_globally(frame, torch.tensor([4.0]), reference, torch.tensor([1.0]))
    assert aligned.shape == frame.shape
    assert trust.shape == (1, 1, *SIZE)
    # Frame pixels are at p + (11, -6): the last 11 columns and the first 6 rows of the reference are outside.
    assert float(trust[..., -10:].max()) == 0.0
    assert float(trust[..., :5, :].max()) == 0.0
    assert float(trust[..., 40:52, 33:45].mean()) < 0.2
    assert float(trust[..., 60:, :100].mean()) > 0.7


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_stays_still_where_nothing_can_be_seen(level):
    flat = np.full((64, 80, 3), level, dtype=np.float32)
    noisy = np.random.default_rng(0).random((64, 80, 3), dtype=np.float32)
    assert np.array_equal(estimate_motion(flat, noisy, 4.0), np.eye(3))
    assert np.array_equal(estimate_motion(noisy, flat, 4.0), np.eye(3))


def test_pictures_too_small_to_tell_stay_still():
    one, other = np.random.default_rng(1).random((2, 20, 80, 3), dtype=np.float32)
    assert np.array_equal(estimate_motion(one, other, 1.0), np.eye(3))


def test_still_pair_stays_exactly_where_it_is():
    picture = view(scene(), np.eye(3))
    short = expose(picture, 1.0, CameraConfig(noise="none", bit_depth=0), torch.Generator())
    long = expose(picture, 8.0, CameraConfig(noise="none", bit_depth=0), torch.Generator())
    aligned, trust = align_globally(long, torch.tensor([8.0]), short, torch.tensor([1.0]))
    assert torch.equal(aligned, long)
    assert float(trust.min()) > 0.9
