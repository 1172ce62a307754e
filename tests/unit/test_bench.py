"""lrhdr-bench: reproducible from its seed, its classes mean what they say, its flow is its motion."""

import numpy as np
import pytest
import torch

from lrhdr.checks import InputError
from lrhdr.data.bench import (
    ALTERNATIONS,
    BENCH_VERSION,
    MOTION_CLASSES,
    NOISE_CLASSES,
    bench_clips,
    content_hash,
)
from lrhdr.io.exr import write_exr
from lrhdr.metrics import warped_error, warped_error_change
from lrhdr.procedural import PROCEDURAL, fractal_noise
from lrhdr.radiometry import ldr_to_radiance

SMALL = {"size": (32, 48), "n_frames": 3}
# Of `slice_of()` by version 1. A change here is another benchmark: raise BENCH_VERSION with it.
GOLDEN = ("1", "7ff91e51265f437a")


def slice_of(**options):
    """Four clips that together use both alternations, every motion class, the demo's still, and lamps."""
    clips = bench_clips(**{**SMALL, **options})
    return [clips[i] for i in (2, 8, 15, 22)]


def test_every_combination_once():
    clips = bench_clips()
    assert len({(c.stops, c.motion, c.noise) for c in clips}) == len(clips) == 24
    assert {c.stops for c in clips} == set(ALTERNATIONS)
    assert {c.motion for c in clips} == set(MOTION_CLASSES)
    assert {c.noise for c in clips} == set(NOISE_CLASSES)
    assert len({(c.group, c.name) for c in clips}) == 24
    assert len({c.seed for c in clips}) == 24
    kinds = {c.recipe.kind for c in clips}
    assert kinds == {*PROCEDURAL, "demo"}


def test_content_is_what_this_version_says():
    assert (BENCH_VERSION, content_hash(slice_of())) == GOLDEN


def test_hash_sees_seed_camera_and_motion():
    clip = slice_of()[1]
    first = content_hash([clip])
    assert content_hash([clip]) == first
    assert content_hash([slice_of(seed=2)[1]]) != first
    moved = slice_of()[1]
    moved.flow.mul_(1.5)
    assert content_hash([moved]) != first
    noisier = slice_of()[1]
    noisier.noise = "clean"
    assert content_hash([noisier]) != first


def test_clip_is_an_evaluation_clip_with_its_own_camera():
    clip = slice_of()[2]
    assert clip.hdr.shape == (3, 3, 32, 48)
    assert 0.0 <= float(clip.hdr.min()) < float(clip.hdr.max()) == 1.0
    assert clip.flow.shape == (2, 2, 32, 48)
    assert clip.visible.shape == (2, 1, 32, 48)
    assert set(clip.visible.unique().tolist()) <= {0.0, 1.0}
    ldr = clip.alternate(clip.schedule, clip.camera)
    assert ldr.shape == clip.hdr.shape
    assert torch.equal(ldr, clip.alternate(clip.schedule, clip.camera))
    assert clip.schedule.relative == (1.0, 4.0, 16.0)
    # The long exposure clips some of the scene, and the short one shows it.
    assert 0.02 < float((ldr[2] >= 1.0).float().mean()) < 0.9
    assert float((ldr[0] >= 1.0).float().mean()) < 0.1
    assert torch.isfinite(ldr_to_radiance(ldr[0], 1.0)).all()


@pytest.mark.parametrize("number", range(4))
def test_motion_class_and_flow(number):
    clip = slice_of()[number]
    low, high = MOTION_CLASSES[clip.motion].flow
    unit = 32 / 256
    fastest = float(clip.flow[0].norm(dim=0).flatten().quantile(0.95)) / unit
    assert low - 0.01 <= fastest <= high + 0.01
    assert float(clip.visible.mean()) > 0.5
    along = float(warped_error(clip.hdr, clip.flow, clip.visible))
    if clip.motion == "static":
        assert torch.equal(clip.hdr[0], clip.hdr[-1])
        assert along < 1e-6
    else:
        across = float(warped_error(clip.hdr, torch.zeros_like(clip.flow), clip.visible))
        assert along < 0.8 * across
    assert float(warped_error_change(clip.hdr, clip.hdr, clip.flow, clip.visible)) == 0.0


def test_from_a_folder_of_stills(tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        noise = fractal_noise(np.random.default_rng(seed), (60, 80), 1.0)
        write_exr(tmp_path / f"{name}.exr", np.exp(noise)[..., None].repeat(3, 2).astype(np.float32))
    clips = bench_clips(tmp_path, **SMALL)
    assert [c.recipe.kind for c in clips[:3]] == ["a", "b", "a"]
    assert content_hash(clips[3:4]) == content_hash(bench_clips(tmp_path, **SMALL)[3:4])
    with pytest.raises(InputError, match="expected HDR stills"):
        bench_clips(tmp_path / "missing")


@pytest.mark.parametrize("kind", sorted(PROCEDURAL))
def test_procedural_pictures_are_light_with_range(kind):
    def make(seed):
        return PROCEDURAL[kind](np.random.default_rng(seed), (48, 72))

    picture = make(3)
    assert picture.shape == (48, 72, 3)
    assert picture.dtype == np.float32
    assert np.isfinite(picture).all()
    assert picture.min() > 0.0
    grey = picture.mean(-1)
    assert np.log2(np.percentile(grey, 99.5) / np.percentile(grey, 0.5)) > 5.0
    assert np.array_equal(picture, make(3))
    assert not np.array_equal(picture, make(4))


def test_fractal_noise_is_normal_and_falls_with_frequency():
    noise = fractal_noise(np.random.default_rng(0), (64, 64), 1.0)
    assert abs(noise.mean()) < 1e-9
    assert noise.std() == pytest.approx(1.0)
    power = np.abs(np.fft.fft2(noise)) ** 2
    # Amplitude 1/f: power at f = 2 to that at f = 16 is 64, averaged over few coefficients.
    assert 10 < power[0, 2:4].mean() / power[0, 15:18].mean() < 400
