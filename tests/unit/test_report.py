"""Pictures and the contact sheet."""

from __future__ import annotations

import numpy as np
import pytest

from lrhdr.pictures import (
    candidates,
    display,
    display_exposures,
    ev_label,
    false_colour,
    preview_exposure,
    stops_label,
    vote_map,
)
from lrhdr.pipeline import HdrFrame
from lrhdr.report import ACCENT, BACKGROUND, contact_sheet, exposure_label


def frame(n: int = 2, weights: bool = True, height: int = 18, width: int = 32) -> HdrFrame:
    rng = np.random.default_rng(0)
    exposures = tuple(float(4 ** (i % n)) for i in range(2 * n - 1))
    share = rng.random((4 * n - 2, height, width)).astype(np.float32)
    return HdrFrame(
        index=n - 1,
        radiance=rng.random((height, width, 3), dtype=np.float32) ** 4,
        exposure=exposures[n - 1],
        weights=share / share.sum(axis=0) if weights else None,
        window=tuple(rng.random((height, width, 3), dtype=np.float32) for _ in exposures),
        window_exposures=exposures,
        window_indices=tuple(range(2 * n - 1)),
    )


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_every_candidate_has_its_own_name_in_its_family_and_its_own_colour(n: int) -> None:
    entries = candidates(n, frame(n).window_exposures, 4 * n - 2)
    assert len(entries) == 4 * n - 2
    assert len({(e.name, e.family) for e in entries}) == len(entries)
    colours = np.array([e.colour for e in entries], dtype=float)
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=2) + 1e3 * np.eye(len(entries))
    assert distances.min() > 20.0
    assert [e.family for e in entries] == ["input"] * (2 * n - 1) + ["interpolated"] * (n - 1) + ["calibrated"] * n
    assert len(candidates(n, frame(n).window_exposures, 3 * n - 2)) == 3 * n - 2


def test_names_say_which_exposure() -> None:
    two = [e.name for e in candidates(2, (8.0, 1.0, 8.0), 6)]
    assert two == [
        "previous (+3 EV)",
        "reference",
        "next (+3 EV)",
        "interpolated (+3 EV)",
        "reference",
        "interpolated (+3 EV)",
    ]
    three = [e.name for e in candidates(3, (16.0, 1.0, 4.0, 16.0, 1.0), 10)]
    assert three[:5] == ["t-2 (+4 EV)", "previous (0 EV)", "reference", "next (+4 EV)", "t+2 (0 EV)"]
    # In the order of the model: k = 1 has the exposure of offset -1.
    assert three[5:7] == ["interpolated (0 EV)", "interpolated (+4 EV)"]


def test_vote_map_shows_pure_colours_for_one_hot_votes() -> None:
    entries = candidates(2, (1.0, 8.0, 1.0), 6)
    weights = np.zeros((6, 2, 3), dtype=np.float32)
    for i in range(6):
        weights[i, i // 3, i % 3] = 1.0
    picture = vote_map(weights, entries)
    for i, entry in enumerate(entries):
        np.testing.assert_allclose(picture[i // 3, i % 3], entry.colour, atol=1)
    with pytest.raises(ValueError, match="expected 6 candidates, found 5"):
        vote_map(weights, entries[:5])


def test_false_colour_grows_brighter_with_luminance() -> None:
    ramp = np.repeat(2.0 ** np.linspace(-12, 0, 13, dtype=np.float32)[None, :, None], 3, axis=2)
    picture = false_colour(ramp).astype(float)
    assert (np.diff(picture[0] @ [0.2126, 0.7152, 0.0722]) > 0).all()
    assert (false_colour(np.zeros((1, 1, 3))) == picture[0, 0]).all()


def test_preview_exposure_follows_the_scene_and_survives_black() -> None:
    grey = np.full((4, 4, 3), 0.18, dtype=np.float32)
    assert preview_exposure([grey]) == 0.0
    assert preview_exposure([grey / 8.0, grey / 8.0]) == 3.0
    assert preview_exposure([grey, np.zeros_like(grey)]) == 0.0
    assert preview_exposure([np.zeros_like(grey)]) == 0.0
    assert preview_exposure([]) == 0.0


def test_display_exposures_show_two_different_things() -> None:
    dark, bright = display_exposures(frame().radiance)
    assert bright >= dark + 3.0
    assert display(frame().radiance, bright).mean() > display(frame().radiance, dark).mean()
    assert display_exposures(np.zeros((2, 2, 3)))[1] < 20.0


def test_labels_carry_units() -> None:
    assert ev_label(0.0) == "0 EV"
    assert ev_label(-2.5) == "-2.5 EV"
    assert stops_label(8.0) == "+3 EV"
    assert exposure_label(8.0, 1 / 125) == "+3 EV, 1/125 s"
    assert exposure_label(1.0, 2.0) == "0 EV, 2 s"
    assert exposure_label(1.0, 0.5) == "0 EV, 0.5 s"


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("weights", [True, False])
def test_sheet_has_its_width_its_ground_and_its_frame(n: int, weights: bool) -> None:
    sheet = contact_sheet(frame(n, weights), title="t", subtitle="s", seconds=[0.001] * (2 * n - 1), width=800)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1:] == (800, 3)
    assert 300 < sheet.shape[0] < 1600
    for edge in (sheet[0], sheet[-1], sheet[:, 0], sheet[:, -1]):
        assert (edge == BACKGROUND).all()
    assert (sheet == ACCENT).all(axis=2).any()
    if weights:
        for entry in candidates(n, frame(n).window_exposures, 4 * n - 2):
            assert (sheet == entry.colour).all(axis=2).sum() > 50, entry


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (90, 20), (2, 300)])
def test_sheet_takes_any_size(size: tuple[int, int]) -> None:
    assert contact_sheet(frame(2, True, *size), title="t", width=400).shape[1] == 400


def test_sheet_needs_the_window() -> None:
    with pytest.raises(ValueError, match="keep_maps"):
        contact_sheet(HdrFrame(0, np.zeros((2, 2, 3), np.float32), 1.0), title="t")
