import pytest

from lrhdr.checks import InputError
from lrhdr.exposure import ExposureSchedule, interpolation_pairs, parse_exposures_txt


def test_two_exposures_both_polarities():
    schedule = ExposureSchedule.from_seconds((1 / 1000, 1 / 125))
    assert schedule.relative == pytest.approx((1.0, 8.0))
    assert schedule.window_exposures(0) == pytest.approx((8.0, 1.0, 8.0))
    assert schedule.window_exposures(1) == pytest.approx((1.0, 8.0, 1.0))
    assert ExposureSchedule((1, 8), start=1).exposure(0) == 8.0
    assert schedule.ratio == pytest.approx(8.0)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("extra", [0, 1, 5])
@pytest.mark.parametrize("start", [0, 1])
def test_windows_keep_the_phase_at_the_ends(n, extra, start):
    schedule = ExposureSchedule.from_stops(tuple(range(n)), start)
    length = n + extra
    for index in range(length):
        window = schedule.window(index, length)
        assert len(window) == 2 * n - 1
        assert window[n - 1] == index
        assert all(0 <= frame < length for frame in window)
        assert tuple(schedule.exposure(f) for f in window) == schedule.window_exposures(index)
        for offset, frame in zip(range(1 - n, n), window, strict=True):
            if 0 <= index + offset < length:
                assert frame == index + offset


@pytest.mark.parametrize("n", [2, 3, 4])
def test_interpolation_pairs_share_an_exposure_around_the_reference(n):
    exposures = ExposureSchedule.from_stops(tuple(range(n))).window_exposures(7)
    pairs = interpolation_pairs(n)
    assert len(pairs) == n - 1
    for first, second, fraction in pairs:
        assert exposures[first] == exposures[second] != exposures[n - 1]
        assert first + fraction * (second - first) == pytest.approx(n - 1)


def test_text_file_of_stops():
    assert parse_exposures_txt("0\n3\n") == (0.0, 3.0)
    assert ExposureSchedule.from_stops((-3, 0)).relative == (1.0, 8.0)
    for text in ("", "0", "a b", "0 nan"):
        with pytest.raises(InputError, match=r"Exposures\.txt"):
            parse_exposures_txt(text)


@pytest.mark.parametrize("exposures", [(), (1,), (1, 1), (0, 1), (-1, 2), (float("nan"), 1), (float("inf"), 1)])
def test_refuses_bad_exposures(exposures):
    with pytest.raises(InputError, match="exposures"):
        ExposureSchedule(exposures)


def test_refuses_bad_start_stops_and_short_videos():
    with pytest.raises(InputError, match="start"):
        ExposureSchedule((1, 8), start=2)
    with pytest.raises(InputError, match="stops"):
        ExposureSchedule.from_stops((0, 2000))
    with pytest.raises(InputError, match="found 2 frames, expected at least 3"):
        ExposureSchedule((1, 4, 16)).window(0, 2)
    with pytest.raises(IndexError):
        ExposureSchedule((1, 4)).window(5, 5)
