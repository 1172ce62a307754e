"""`stabilise`: a shaken window comes to rest; a still one stays as it is."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from lrhdr import ExposureSchedule, Reconstructor
from lrhdr.radiometry import ldr_to_radiance, radiance_to_ldr
from lrhdr.stabilise import stabilise_window


def scene(right: float = 0.0, down: float = 0.0) -> torch.Tensor:
    """A textured radiance field, moved, (3, 96, 128)."""
    rng = np.random.default_rng(4)
    big = cv2.GaussianBlur(rng.random((140, 180, 3)).astype(np.float32), (0, 0), 3.0)
    big = (big - big.min()) / (big.max() - big.min())
    moved = cv2.warpAffine(big, np.array([[1, 0, right], [0, 1, down]], np.float32), (180, 140), flags=cv2.INTER_CUBIC)
    return torch.from_numpy(0.01 + 0.5 * moved[20:116, 20:148].clip(0, 1) ** 2).permute(2, 0, 1)


def window(shifts: tuple[tuple[float, float], ...]) -> tuple[torch.Tensor, torch.Tensor]:
    exposures = torch.tensor([[4.0, 1.0, 4.0]])
    frames = torch.stack([scene(*shift) for shift in shifts])[None]
    return radiance_to_ldr(frames, exposures), exposures


def test_a_shaken_window_comes_to_rest() -> None:
    shaken, exposures = window(((5.0, -3.0), (0.0, 0.0), (-4.0, 2.5)))
    held = stabilise_window(shaken, exposures)
    assert held.shape == shaken.shape
    torch.testing.assert_close(held[:, 1], shaken[:, 1])
    own = ldr_to_radiance(shaken[:, 1], exposures[:, 1])
    trusted = radiance_to_ldr(own, exposures[:, 0]) < 0.95
    for t in (0, 2):
        before, after = (
            (x[:, t] - radiance_to_ldr(own, exposures[:, t])).abs()[trusted].mean() for x in (shaken, held)
        )
        assert after < 0.2 * before
        assert held[:, t].min() >= 0
        assert held[:, t].max() <= 1


def test_a_still_window_stays() -> None:
    still, exposures = window(((0.0, 0.0),) * 3)
    torch.testing.assert_close(stabilise_window(still, exposures), still)


def test_the_pipeline_takes_it_as_an_option() -> None:
    shaken, exposures = window(((5.0, -3.0), (0.0, 0.0), (-4.0, 2.5)))
    seen: list[torch.Tensor] = []

    def method(frames: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        seen.append(frames)
        return frames[:, 1]

    schedule = ExposureSchedule((4.0, 1.0))
    for option in (False, True):
        list(Reconstructor(method, "average", stabilise_window=option).reconstruct(shaken[0], schedule, skip={0, 2}))
    torch.testing.assert_close(seen[0], shaken)
    torch.testing.assert_close(seen[1], stabilise_window(shaken, exposures))
