import pytest
import torch

from lrhdr.camera import CameraConfig
from lrhdr.exposure import ExposureSchedule
from lrhdr.radiometry import ldr_to_radiance
from lrhdr.randomness import torch_generator
from lrhdr.synthesis import SynthesisConfig, field_scale, sample_schedule, scale_clip, synthesize

CLEAN = CameraConfig(noise="none", bit_depth=0)


def clip(seed: int = 0) -> torch.Tensor:
    return torch.exp(1.5 * torch.randn(5, 3, 16, 16, generator=torch_generator(seed)))


def test_clean_camera_gives_back_the_unclipped_truth() -> None:
    config = SynthesisConfig(camera=CLEAN, exposure_error_share=0.0)
    schedule = ExposureSchedule((1.0, 4.0), start=1)
    ldr, truth = synthesize(clip(), schedule, config, torch_generator(1))
    assert ldr.shape == truth.shape == (5, 3, 16, 16)
    assert float(truth.max()) <= 1.0
    for t in range(5):
        e = schedule.exposure(t)
        open_pixels = truth[t] * e < 1.0
        back = ldr_to_radiance(ldr[t], e)
        torch.testing.assert_close(back[open_pixels], truth[t][open_pixels], rtol=1e-4, atol=1e-6)
        assert bool((ldr[t][truth[t] * e >= 1.0] > 0.9999).all())


def test_scale_does_not_depend_on_the_clips_own_scale() -> None:
    a = scale_clip(clip(), 8.0, SynthesisConfig(), torch_generator(3))
    b = scale_clip(clip() * 123.0, 8.0, SynthesisConfig(), torch_generator(3))
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_anchoring() -> None:
    low = SynthesisConfig(low_key_share=1.0, min_median=(0.0, 0.0))
    high = SynthesisConfig(low_key_share=0.0, min_median=(0.0, 0.0), percentile=(100.0, 100.0))
    for seed in range(5):
        assert 0.09 < float(scale_clip(clip(), 8.0, low, torch_generator(seed)).flatten()[::5].max()) <= 0.8
        assert 0.49 < float(scale_clip(clip(), 8.0, high, torch_generator(seed)).flatten()[::5].max()) <= 1.0
    assert torch.equal(scale_clip(torch.zeros(2, 3, 4, 4), 8.0, high, torch_generator(0)), torch.zeros(2, 3, 4, 4))


def test_dark_scenes_are_lifted_by_at_most_two_stops() -> None:
    dark = torch.full((1, 3, 20, 20), 1e-4)
    dark[..., :4] = 1.0
    config = SynthesisConfig(low_key_share=0.0, percentile=(99.0, 99.0), anchor=(1.0, 1.0))
    plain = scale_clip(dark, 8.0, SynthesisConfig(**{**vars(config), "min_median": (0.0, 0.0)}), torch_generator(0))
    lifted = scale_clip(dark, 8.0, config, torch_generator(0))
    torch.testing.assert_close(lifted, 4.0 * plain)


def test_exposure_errors_leave_the_shortest_exact_and_are_constant() -> None:
    config = SynthesisConfig(camera=CLEAN, exposure_error=0.02, exposure_error_share=1.0, low_key_share=1.0)
    flat = torch.full((6, 3, 8, 8), 1.0)
    schedule = ExposureSchedule((1.0, 1.2))
    errors = set()
    for seed in range(6):
        ldr, truth = synthesize(flat, schedule, config, torch_generator(seed))
        e = torch.tensor([schedule.exposure(t) for t in range(6)])
        back = ldr_to_radiance(ldr, e) / truth
        torch.testing.assert_close(back[0::2], torch.ones(3, 3, 8, 8), rtol=1e-4, atol=0)
        error = float(back[1].mean()) - 1
        torch.testing.assert_close(back[1::2], torch.full((3, 3, 8, 8), 1 + error), rtol=1e-4, atol=0)
        assert abs(error) <= 0.0601
        errors.add(round(error, 6))
    assert len(errors) == 6


def test_schedules_cover_both_polarities_and_the_ratios() -> None:
    schedules = [sample_schedule(2, SynthesisConfig(), torch_generator(i)) for i in range(300)]
    ratios = [s.ratio for s in schedules]
    assert 1.99 <= min(ratios) <= max(ratios) <= 16.01
    assert sum(abs(r - 8) < 1e-6 for r in ratios) > 80
    assert sum(abs(r - 4) < 1e-6 for r in ratios) > 60
    assert 110 < sum(s.exposure(1) == 1.0 for s in schedules) < 190


@pytest.mark.parametrize("n", [3, 4, 5])
def test_schedules_of_more_exposures(n: int) -> None:
    phases = set()
    for i in range(60):
        schedule = sample_schedule(n, SynthesisConfig(), torch_generator(i))
        assert schedule.n_exposures == n
        assert schedule.ratio <= 16.01
        assert list(schedule.relative) == sorted(schedule.relative)
        phases.add(schedule.start)
    assert phases == set(range(n))


def test_field_schedules() -> None:
    config = SynthesisConfig.field()
    pairs = [sample_schedule(2, config, torch_generator(i)) for i in range(200)]
    assert {round(s.ratio) for s in pairs} == {4, 8}
    assert 70 < sum(s.ratio > 6 for s in pairs) < 130
    assert 70 < sum(s.exposure(1) > 1 for s in pairs) < 130  # the reference is the long one half of the time
    triples = [sample_schedule(3, config, torch_generator(i)) for i in range(60)]
    assert all(s.relative == (1.0, 4.0, 16.0) for s in triples)
    assert {s.start for s in triples} == {0, 1, 2}


def test_field_scale_looks_at_the_middle_frame() -> None:
    dim = 0.3 * torch.rand(3, 40, 40, generator=torch_generator(0))
    top = float(dim.max())
    low = [field_scale(dim, 1.0, torch_generator(i)) for i in range(100)]
    assert 0.1 <= min(low) < 0.2
    assert 0.7 < max(low) <= 0.8
    high = [field_scale(dim, 8.0, torch_generator(i)) for i in range(100)]
    assert min(high) >= 1.0  # a percentile is never darkened
    assert 0.9 < max(high) * top <= 1.02 / 0.98
    other = torch.ones(3, 3, 40, 40)
    other[1] = dim
    schedule = ExposureSchedule((1.0, 8.0), start=1)  # the middle frame is short
    _, truth = synthesize(other, schedule, SynthesisConfig.field(), torch_generator(5))
    assert float(truth[1].max()) == pytest.approx(field_scale(dim, 1.0, torch_generator(5)) * top)
    assert float(truth[0].max()) <= 0.8  # one factor for the whole clip


def test_field_noise_is_on_exposures_1_and_4_alone_and_nothing_is_rounded() -> None:
    flat = torch.full((5, 3, 60, 60), 0.05)
    schedule = ExposureSchedule((1.0, 4.0, 16.0), start=1)
    ldr, truth = synthesize(flat, schedule, SynthesisConfig.field(), torch_generator(2))
    exposures = torch.tensor([schedule.exposure(t) for t in range(5)])
    noise = ldr_to_radiance(ldr, exposures) - truth
    for t, e in enumerate(exposures.tolist()):
        assert float(noise[t].std()) == pytest.approx(0.0 if e == 16.0 else 1e-3, rel=0.05, abs=1e-7)
    codes = ldr[0] * 65535
    assert float((codes - codes.round()).abs().max()) > 0.1


def test_deterministic() -> None:
    a = synthesize(clip(), ExposureSchedule((1.0, 8.0)), SynthesisConfig(), torch_generator(9))
    b = synthesize(clip(), ExposureSchedule((1.0, 8.0)), SynthesisConfig(), torch_generator(9))
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1], b[1])


@pytest.mark.parametrize(
    "bad",
    [{"percentile": (99.0, 98.0)}, {"percentile": (99.0, 101.0)}, {"anchor": (-0.1, 1.0)}, {"low_key_share": 2.0}],
)
def test_config_refuses(bad: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        SynthesisConfig(**bad)


def test_one_exposure_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        sample_schedule(1, SynthesisConfig(), torch_generator(0))
