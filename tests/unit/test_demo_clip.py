"""The bundled demo clip is what its README says: size, exposures, and frames that agree with the ground truth."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import lrhdr
from lrhdr.camera import CameraConfig
from lrhdr.exposure import ExposureSchedule, parse_exposures_txt
from lrhdr.io.images import read_exr, read_image, read_info
from lrhdr.radiometry import ldr_to_radiance

CLIP = Path(lrhdr.__file__).parent / "assets" / "demo"
FRAMES = sorted(CLIP.glob("frame_*.png"))
TRUTH = sorted((CLIP / "truth").glob("frame_*.exr"))
CAMERA = CameraConfig(full_well_e=12000.0, read_noise_e=6.0)  # as the folder's README says


def _index(path: Path) -> int:
    match = re.search(r"(\d+)$", path.stem)
    assert match is not None
    return int(match[1])


def _schedule() -> ExposureSchedule:
    return ExposureSchedule.from_stops(parse_exposures_txt((CLIP / "Exposures.txt").read_text()))


def test_frames() -> None:
    assert [_index(f) for f in FRAMES] == list(range(24))
    assert {(read_info(f).size, read_info(f).sample, read_info(f).channels) for f in FRAMES} == {
        ((360, 640), "uint8", 3)
    }


def test_size_stays_below_nine_megabytes() -> None:
    assert sum(f.stat().st_size for f in CLIP.rglob("*") if f.is_file()) < 9_000_000


def test_exposures() -> None:
    schedule = _schedule()
    assert schedule.relative == (1.0, 8.0)
    assert schedule.exposure(0) == 1.0


def test_truth_covers_both_exposures_and_the_ends() -> None:
    indices = [_index(f) for f in TRUTH]
    assert indices[0] == 0
    assert indices[-1] == 23
    assert {i % 2 for i in indices} == {0, 1}


@pytest.mark.parametrize("path", TRUTH, ids=lambda p: p.stem)
def test_truth_agrees_with_the_frame_within_its_noise(path: Path) -> None:
    exposure = _schedule().exposure(_index(path))
    truth = read_exr(path)
    assert truth.shape == (360, 640, 3)
    assert truth.min() > -1e-4
    assert truth.max() < 1.05  # the compression is lossy, at both ends
    frame = read_image(FRAMES[_index(path)])
    ldr = torch.from_numpy(frame)
    error = ldr_to_radiance(ldr, exposure).numpy() - truth
    # Shot and read noise, and the rounding to 8 bits (a uniform error of one code step in radiance), in units of truth.
    step = (ldr + 0.5 / 255).pow(2.2) - (ldr - 0.5 / 255).clamp_min(0).pow(2.2)
    shot = truth * exposure / CAMERA.full_well_e + (CAMERA.read_noise_e / CAMERA.full_well_e) ** 2
    sigma = np.sqrt(shot + step.numpy() ** 2 / 12) / exposure
    well = (truth * exposure > 0.05) & (truth * exposure < 0.85)
    z = (error / sigma)[well]
    assert well.mean() > 0.03
    assert abs(z.mean()) < 0.03  # no bias: scale, gamma and exposure are as documented
    assert 0.95 < z.std() < 1.30  # the truth is compressed too: a third of the noise of a long frame


def test_long_frames_clip_and_short_frames_hardly() -> None:
    share = [float((read_image(f) >= 1.0).any(axis=2).mean()) for f in FRAMES]
    assert all(0.05 < s < 0.40 for s in share[1::2])
    assert all(s < 0.02 for s in share[0::2])


def test_checksums_are_those_of_the_readme() -> None:
    lines = re.findall(r"^([0-9a-f]{64})  (\S+)$", (CLIP / "README.md").read_text(), re.MULTILINE)
    assert len(lines) == len(FRAMES) + len(TRUTH) + 1
    for expected, name in lines:
        assert hashlib.sha256((CLIP / name).read_bytes()).hexdigest() == expected, name
