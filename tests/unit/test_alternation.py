"""`brightness`, `alternation`, `levels`, `analysis`: what the pixels say of a clip's exposures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from lrhdr.alternation import LAGS, find_alternation
from lrhdr.analysis import analyse
from lrhdr.brightness import NOTHING, Comparison, compare, sketch, tilt
from lrhdr.checks import InputError
from lrhdr.io.sources import FrameSource
from lrhdr.levels import Exposed, Levels, estimate_levels
from lrhdr.response import named_curve

GAMMA = named_curve("gamma2.2")


class Clip(FrameSource):
    """Frames in memory."""

    def __init__(self, frames: Sequence[np.ndarray], damaged: int | None = None) -> None:
        self.name, self.n_frames, self.fps, self.exposures_stops = "clip", len(frames), None, None
        self.size = frames[0].shape[:2]
        self._frames, self._damaged = frames, damaged

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        for index, frame in enumerate(self._frames[start:stop], start):
            if index == self._damaged:
                raise InputError("frame is damaged")
            yield frame


def radiance(height: int = 48, width: int = 64, shift: float = 0.0) -> np.ndarray:
    """A smooth scene of 8 stops, moved to the right."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x = x - shift
    base = 0.9 * 2.0 ** (-8.0 * (0.5 + 0.25 * np.sin(x / 7.0) * np.cos(y / 6.0) + 0.25 * np.sin(x / 3.1 + y / 11.0)))
    return np.stack([base, 0.8 * base, 0.6 * base], axis=-1)


def shoot(scene: np.ndarray, exposure: float, rng: np.random.Generator | None = None) -> np.ndarray:
    """An 8-bit frame, gamma-encoded."""
    light = scene * exposure
    if rng is not None:
        light = light + rng.normal(0.0, 0.004, light.shape)
    return (np.rint(255.0 * light.clip(0.0, 1.0) ** (1 / 2.2)) / 255.0).astype(np.float32)


def clip(exposures: Sequence[float], count: int = 16, speed: float = 0.0, noise: bool = False) -> list[np.ndarray]:
    rng = np.random.default_rng(0) if noise else None
    return [shoot(radiance(shift=speed * t), exposures[t % len(exposures)], rng) for t in range(count)]


def seen(frames: Sequence[np.ndarray]):
    return analyse(Clip(frames), GAMMA).alternation


# brightness ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.125, 0.5, 1.0, 1.1, 4.0, 16.0])
def test_the_ratio_of_two_frames(ratio: float) -> None:
    a, b = (shoot(radiance(), e) for e in ((1.0, ratio) if ratio >= 1 else (1 / ratio, 1.0)))
    found = compare(*(sketch(GAMMA.linear(f)) for f in (a, b)))
    assert 2.0**found.stops == pytest.approx(ratio, rel=0.02)
    assert found.agreement > 0.9


def test_a_moving_camera_is_undone() -> None:
    a, b = shoot(radiance(90, 120), 1.0), shoot(radiance(90, 120, shift=3.0), 8.0)
    found = compare(*(sketch(GAMMA.linear(f)) for f in (a, b)))
    assert 2.0**found.stops == pytest.approx(8.0, rel=0.03)
    assert found.agreement > 0.7


def test_a_moving_object_is_outvoted() -> None:
    a, b = radiance(), radiance()
    b[10:30, 10:30] = 0.9
    found = compare(*(sketch(GAMMA.linear(shoot(x, e))) for x, e in ((a, 1.0), (b, 4.0))))
    assert 2.0**found.stops == pytest.approx(4.0, rel=0.05)


def test_black_and_white_frames_cannot_be_compared() -> None:
    black, white = (sketch(np.full((32, 32, 3), v, np.float32)) for v in (0.0, 1.0))
    assert compare(black, white).votes == 0
    assert np.isnan(compare(white, white).stops)


def test_tilt_tells_a_wrong_curve() -> None:
    short, long = (sketch(GAMMA.linear(shoot(radiance(), e))) for e in (1.0, 4.0))
    assert abs(tilt(short, long, 2.0)) < 0.05
    srgb = named_curve("bt709")
    wrong = tilt(*(sketch(srgb.linear(shoot(radiance(), e))) for e in (1.0, 4.0)), 2.0)
    assert abs(wrong) > 0.15
    flat = sketch(np.full((32, 32, 3), 0.2, np.float32))
    assert np.isnan(tilt(flat, flat, 0.0))


# alternation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "exposures", [(1.0, 8.0), (8.0, 1.0), (1.0, 2.0), (1.0, 4.0, 16.0), (4.0, 16.0, 1.0), (1, 4, 16, 4)]
)
@pytest.mark.parametrize(("speed", "noise"), [(0.0, False), (0.4, True)])
def test_period_phase_and_ratio(exposures: tuple[float, ...], speed: float, noise: bool) -> None:
    found = seen(clip(exposures, 18, speed, noise))
    assert found.period == len(exposures)
    relative = [e / min(exposures) for e in exposures]
    np.testing.assert_allclose(found.exposures, relative, rtol=0.05)
    assert found.phases == tuple(t % len(exposures) for t in range(18))
    assert found.ratio == pytest.approx(max(relative), rel=0.05)
    assert found.ratio_uncertainty < 0.5
    assert not found.breaks
    assert not found.outliers


def test_five_frames_are_enough_for_two_exposures() -> None:
    assert seen(clip((1.0, 8.0), 5)).period == 2
    assert seen(clip((1.0, 8.0), 4)).period == 2
    short = seen(clip((1.0, 8.0), 3))
    assert (short.period, short.alternates) == (0, False)
    assert "too few frames" in short.reason
    assert seen(clip((1.0, 4.0, 16.0), 7)).period == 3


@pytest.mark.parametrize("exposures", [(1.0, 8.0), (1.0, 4.0, 16.0)])
def test_a_dropped_frame_is_found_at_its_index(exposures: tuple[float, ...]) -> None:
    frames = clip(exposures, 20, 0.4, True)
    del frames[9]
    found = seen(frames)
    assert found.period == len(exposures)
    assert [(b.index, b.kind, b.count) for b in found.breaks] == [(9, "dropped", 1)]
    np.testing.assert_allclose(found.exposures, exposures, rtol=0.05)


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("exposures", [(1.0, 8.0), (8.0, 1.0), (1.0, 4.0, 16.0)])
@pytest.mark.parametrize("dropped", [1, -2])
def test_a_frame_dropped_next_to_an_end_is_found(exposures: tuple[float, ...], dropped: int, noise: bool) -> None:
    frames = clip(exposures, 20, 0.4, noise)
    order = [t % len(exposures) for t in range(20)]
    del frames[dropped], order[dropped]
    found = seen(frames)
    index = 1 if dropped > 0 else 18
    assert [(b.index, b.count) for b in found.breaks] == [(index, 1)]
    assert not found.outliers
    assert found.phases == tuple(order)
    np.testing.assert_allclose(found.exposures, [e / min(exposures) for e in exposures], rtol=0.05)


def test_two_frames_before_a_dropped_one_are_a_part() -> None:
    frames = clip((1.0, 4.0, 16.0), 21, 0.4, True)
    del frames[2]
    found = seen(frames)
    assert [(b.index, b.kind, b.count) for b in found.breaks] == [(2, "dropped", 1)]
    assert found.phases[:4] == (0, 1, 0, 1)
    assert not found.outliers


def test_a_first_frame_that_is_repeated_is_a_break() -> None:
    frames = clip((1.0, 8.0), 20, 0.4, True)
    frames.insert(0, frames[0])
    found = seen(frames)
    assert [(b.index, b.kind) for b in found.breaks] == [(1, "repeated")]
    assert found.phases[:4] == (0, 0, 1, 0)
    np.testing.assert_allclose(found.exposures, (1.0, 8.0), rtol=0.05)


def test_a_first_frame_of_a_wrong_exposure_is_no_break() -> None:
    frames = clip((1.0, 8.0), 20)
    frames[0] = shoot(radiance(), 2.0)
    found = seen(frames)
    assert not found.breaks
    assert [o.index for o in found.outliers] == [0]


@pytest.mark.parametrize(("exposures", "period"), [((1.0, 2.0, 4.0, 8.0, 16.0), 0), ((1.0, 1.23), 1)])
def test_patterns_that_are_not_looked_for_say_so(exposures: tuple[float, ...], period: int) -> None:
    found = seen(clip(exposures, 20))
    assert found.period == period
    assert "no period of 2 to 4 frames with 0.4 EV or more" in found.reason


def test_a_repeated_frame_is_told_from_a_dropped_one() -> None:
    frames = clip((1.0, 8.0), 20, 0.4, True)
    frames.insert(9, frames[8])
    assert [(b.index, b.kind) for b in seen(frames).breaks] == [(9, "repeated")]
    still = clip((1.0, 8.0), 20)
    still.insert(9, still[8])
    assert [(b.index, b.kind) for b in seen(still).breaks] == [(9, "dropped or repeated")]


def test_a_frame_of_a_wrong_exposure_is_named() -> None:
    frames = clip((1.0, 8.0), 20)
    frames[7] = shoot(radiance(), 8.0 * 0.88)
    found = seen(frames)
    assert [o.index for o in found.outliers] == [7]
    assert found.outliers[0].stops == pytest.approx(np.log2(0.88), abs=0.03)
    assert found.ratio == pytest.approx(8.0, rel=0.01)


def test_light_that_fades_is_not_an_exposure() -> None:
    frames = [shoot(radiance() * 0.9**t, (1.0, 8.0)[t % 2]) for t in range(14)]
    found = seen(frames)
    assert found.period == 2
    assert found.ratio == pytest.approx(8.0, rel=0.05)
    assert not found.outliers


def ordinary() -> dict[str, list[np.ndarray]]:
    still = clip((4.0,), 16)
    flash = [shoot(radiance(), 4.0 if t != 7 else 12.0) for t in range(16)]
    other = [shoot(radiance()[::-1, ::-1] ** 0.5, 1.0)] * 8
    rng = np.random.default_rng(3)
    return {
        "still": still,
        "fade": [shoot(radiance(), 4.0 * 0.8**t) for t in range(16)],
        "flash": flash,
        "cut": still[:8] + other,
        "many cuts": (still[:3] + other[:3]) * 3,
        "mains flicker": [shoot(radiance(), 4.0 * (1.0 + 0.1 * (-1) ** t)) for t in range(16)],
        "repeats": [f for t in range(8) for f in [shoot(radiance(shift=t), 4.0)] * 2],
        "step": [shoot(radiance(), 2.0 if t < 8 else 8.0) for t in range(16)],
        "wild": [shoot(radiance(), float(e)) for e in 2.0 ** rng.uniform(0, 3, 16)],
    }


@pytest.mark.parametrize("name", sorted(ordinary()))
def test_ordinary_video_does_not_alternate(name: str) -> None:
    found = seen(ordinary()[name])
    assert not found.alternates, found
    if name not in ("wild", "many cuts"):
        assert found.period == 1, found
    assert found.exposures == ()
    assert (found.ratio, found.ratio_uncertainty) == (1.0, 0.0)


def test_a_clip_that_alternates_in_part_is_not_certain() -> None:
    found = seen(clip((1.0, 8.0), 14) + clip((1.0,), 6))
    assert found.period == 0
    assert "fits only" in found.reason


def test_one_frame() -> None:
    assert seen(clip((1.0,), 1)).period == 0
    empty: dict[int, list[Comparison]] = {lag: [] for lag in LAGS}
    assert find_alternation(empty).period == 0
    assert find_alternation({lag: [NOTHING] * (9 - lag) for lag in LAGS}).period == 0


# levels --------------------------------------------------------------------------------------------------------------


def squeezed(frames: Sequence[np.ndarray], black: float, white: float) -> list[np.ndarray]:
    return [(np.rint(1023 * (black + f * (white - black))) / 1023).astype(np.float32) for f in frames]


def test_ordinary_levels_stay() -> None:
    for noise in (False, True):
        assert analyse(Clip(clip((1.0, 8.0), 8, noise=noise)), GAMMA).levels == Levels(0.0, 1.0)
    assert estimate_levels([], GAMMA) == Levels()


@pytest.mark.parametrize(("black", "white"), [(0.0, 0.92), (0.0, 0.75), (0.07, 1.0), (0.0625, 0.92)])
def test_levels_are_found_and_the_ratio_with_them(black: float, white: float) -> None:
    light = radiance(96, 128) ** 1.3 * 1.1
    light[:24, :32] *= 1e-5  # a corner without light
    scene = [shoot(light, (1.0, 8.0)[t % 2]) for t in range(8)]
    found = analyse(Clip(squeezed(scene, black, white)), GAMMA)
    assert found.levels.saturation == pytest.approx(white, abs=0.015)
    assert found.levels.black == pytest.approx(black, abs=0.015)
    assert found.alternation.ratio == pytest.approx(8.0, rel=0.05)


def test_a_wrong_curve_is_not_taken_for_a_black_level() -> None:
    frames = [shoot(radiance(), (1.0, 4.0)[t % 2]) for t in range(8)]
    found = analyse(Clip(frames), named_curve("bt709"))
    assert found.levels == Levels()
    assert found.doubts_curve
    assert not analyse(Clip(frames), GAMMA).doubts_curve


def test_a_bright_wall_is_no_saturation() -> None:
    scene = np.full((64, 64, 3), 0.08)
    scene[:, :16] = 0.02
    pair = Exposed(*(sketch(GAMMA.linear(shoot(scene, e))) for e in (1.0, 8.0)), 8.0)
    assert estimate_levels([pair], GAMMA) == Levels(0.0, 1.0)


def test_log_curves_know_their_black() -> None:
    frames = squeezed([shoot(radiance(), e) for e in (1.0, 8.0)] * 4, 0.07, 1.0)
    assert analyse(Clip(frames), named_curve("vlog")).levels.black == 0.0


# analysis ------------------------------------------------------------------------------------------------------------


def test_damage_ends_the_look_where_asked() -> None:
    frames = clip((1.0, 8.0), 12)
    assert analyse(Clip(frames, damaged=9), GAMMA, to_damage=True).alternation.period == 2
    with pytest.raises(InputError, match="damaged"):
        analyse(Clip(frames, damaged=9), GAMMA)
