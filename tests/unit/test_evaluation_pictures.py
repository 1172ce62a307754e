"""Worst-case sheets and plots: the right frames are kept, colours mean what the legend says, files are written."""

import numpy as np
import pytest
import torch

from lrhdr.evaluation_pictures import (
    ERROR_TOP,
    WorstFrames,
    draw_frame,
    error_map,
    sheet_name,
    support_map,
    worst_sheet,
    write_sheets,
)
from lrhdr.io.images import read_image
from lrhdr.pictures import candidates, viridis
from lrhdr.score_plots import nice_ticks, plot_page, write_plots
from lrhdr.scores import FrameRecord
from lrhdr.scoring import FrameParts
from lrhdr.tonemap import mu_law, mu_law_inverse

H, W = 24, 30


def record(clip="a", index=0, psnr=30.0, method="lrhdr", **changes):
    given = {
        "group": "set",
        "clip": clip,
        "stops": (0.0, 3.0),
        "index": index,
        "reference": "short" if index % 2 == 0 else "long",
        "boundary": index == 0,
        "method": method,
        "composite": False,
        "metrics": {"psnr_t": psnr, "ssim_t": 0.9},
        "seconds": 0.1,
    }
    return FrameRecord(**{**given, **changes})


def parts(n_exposures=2, n_candidates=6, weights=True):
    generator = torch.Generator().manual_seed(0)
    n = 2 * n_exposures - 1
    exposures = torch.tensor([1.0, 8.0, 1.0]) if n_exposures == 2 else torch.tensor([4.0, 16.0, 1.0, 4.0, 16.0])
    logits = torch.rand(n_candidates, H, W, generator=generator)
    return FrameParts(
        hdr=torch.rand(3, H, W, generator=generator),
        truth=torch.rand(3, H, W, generator=generator),
        window=torch.rand(n, 3, H, W, generator=generator),
        exposures=exposures,
        candidates=torch.rand(n_candidates, 3, H, W, generator=generator),
        weights=torch.softmax(logits, dim=0) if weights else None,
        choice=torch.full((H, W), 1),
    )


def captions(frame):
    return [[cell.caption for cell in row] for row in frame.rows]


def test_error_map_has_a_fixed_scale():
    truth = torch.full((3, 4, 4), 0.1)
    at = {share: mu_law_inverse(mu_law(truth) + share * ERROR_TOP) for share in (0.0, 0.5, 1.0)}
    for share, hdr in at.items():
        expected = viridis(np.full((1, 1), share, dtype=np.float32))[0, 0].astype(int)
        assert np.abs(error_map(hdr, truth).astype(int) - expected).max() <= 2
    beyond = mu_law_inverse(mu_law(truth) + 1.5 * ERROR_TOP)
    assert np.array_equal(error_map(beyond, truth), error_map(at[1.0] * 1.001, truth))


def test_support_map_counts_candidates():
    weights = torch.zeros(6, 1, 5)
    for column, count in enumerate((1, 2, 3, 4, 6)):
        weights[:count, 0, column] = 1.0 / count
    colours = [tuple(c) for c in support_map(weights)[0].tolist()]
    assert len(set(colours)) == 4
    assert colours[3] == colours[4]
    weights[5, 0, 0] = 1e-5  # a trace is no support
    assert tuple(support_map(weights)[0, 0].tolist()) == colours[0]


def test_a_voting_method_shows_everything():
    frame = draw_frame(record(), parts())
    first, second = captions(frame)
    assert first == ["Previous, 0 EV", "Reference, +3 EV", "Next, 0 EV"]
    assert [c.split(",")[0] for c in second[:4]] == ["Result", "Truth", "Error in T", "Vote"]
    assert second[4] == "Oracle's choice of the same"
    assert second[5] == "Candidates per pixel, mean 6.00"
    # The oracle takes candidate 1, the reference, everywhere: one colour, that of the legend.
    choice = frame.rows[1][4].picture
    assert {tuple(c) for c in choice.reshape(-1, 3).tolist()} == {candidates(2, (1, 8, 1), 6)[1].colour}


def test_a_method_without_votes_shows_the_oracle_only():
    frame = draw_frame(record(method="flow"), parts(n_candidates=4, weights=False))
    assert captions(frame)[1][3:] == ["Oracle's choice without a network"]
    # Results from files have no candidates at all; another network's own candidates have no names.
    assert len(draw_frame(record(), parts(n_candidates=1, weights=False)).rows[1]) == 3
    assert draw_frame(record(), parts(n_candidates=7)).legend == ()


def test_three_exposures():
    frame = draw_frame(record(stops=(0.0, 2.0, 4.0)), parts(3, 10))
    assert len(frame.rows[0]) == 5
    sheet = worst_sheet(("set", (0.0, 2.0, 4.0), "lrhdr", False), [frame])
    assert sheet.dtype == np.uint8
    assert sheet.shape[2] == 3


def test_keeps_the_worst_frame_of_each_of_the_worst_clips():
    worst = WorstFrames(2)
    given = [("a", 0, 30.0), ("a", 1, 25.0), ("b", 0, 40.0), ("c", 0, 20.0), ("c", 1, 21.0), ("d", 0, 50.0)]
    shared = parts()
    for clip, index, psnr in given:
        worst(record(clip, index, psnr), shared)
        worst(record(clip, index, psnr + 1, method="oracle"), shared)
    (key,) = list(worst)
    assert key == ("set", (0.0, 3.0), "lrhdr", False)
    assert [(f.record.clip, f.record.index) for f in worst.frames(key)] == [("c", 0), ("a", 1)]
    with pytest.raises(ValueError, match="1 or more"):
        WorstFrames(0)


def test_sheets_are_written_and_show_their_frames(tmp_path):
    worst = WorstFrames(1)
    worst(record("a", 1, 25.0), parts())
    worst(record("a", 1, 25.0, method="my/odd name", composite=True), parts())
    files = write_sheets(worst, tmp_path)
    assert [f.name for f in files] == ["worst-set-stops-0-3-lrhdr.png", "worst-set-stops-0-3-my-odd-name-composite.png"]
    image = (read_image(files[0]) * 255).round().astype(np.uint8)
    cell = draw_frame(record("a", 1, 25.0), parts()).rows[0][0].picture
    height, width = cell.shape[:2]
    found = [y for y in range(image.shape[0] - height) if np.array_equal(image[y : y + height, 36 : 36 + width], cell)]
    assert len(found) == 1
    assert sheet_name(("set", (0.0, 3.0), "lrhdr", False)) == "worst-set-stops-0-3-lrhdr"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(20.3, 47.0, [20, 30, 40, 50]), (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (31.0, 31.0, None), (-0.4, 0.3, None)],
)
def test_ticks_cover_the_range_evenly(low, high, expected):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low <= high <= ticks[-1]
    assert ticks[0] < ticks[-1]
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])
    assert len(ticks) <= 8
    if expected is not None:
        assert ticks == expected


def test_plot_draws_every_method_and_skips_what_is_not_finite():
    records = [record("a", i, 30.0 + i, method=m) for m in ("lrhdr", "flow", "oracle") for i in range(4)]
    page = plot_page("Title", "PSNR_T, dB", {"a": records}, "psnr_t")
    blue, vermillion = (0, 114, 178), (213, 94, 0)
    assert (page == blue).all(-1).any()
    assert (page == vermillion).all(-1).any()
    only = [record("a", i, 30.0 + i) for i in range(4)]
    assert not (plot_page("T", "L", {"a": only}, "psnr_t") == vermillion).all(-1).any()
    gap = [record("a", 0, 30.0), record("a", 1, float("inf")), record("a", 2, 32.0)]
    assert plot_page("T", "L", {"a": gap}, "psnr_t").shape == plot_page("T", "L", {"a": only}, "psnr_t").shape
    with pytest.raises(ValueError, match="none"):
        plot_page("T", "L", {"a": [record(psnr=float("inf"))]}, "psnr_t")


def test_plot_height_follows_the_value():
    def rows(psnr):
        page = plot_page(
            "T",
            "L",
            {"a": [record("a", 0, psnr), record("a", 1, 20.0, "flow"), record("a", 2, 40.0, "flow")]},
            "psnr_t",
        )
        body = page[170:]
        return float(np.flatnonzero((body == (0, 114, 178)).all(-1).any(1)).mean())

    assert rows(35.0) < rows(30.0) < rows(25.0)
    assert rows(35.0) - rows(30.0) == pytest.approx(rows(30.0) - rows(25.0), abs=2.0)


def test_plots_are_one_page_per_set_and_stops(tmp_path):
    records = [record("a", i, 30.0) for i in range(2)] + [record("a", 0, 28.0, stops=(0.0, 2.0, 4.0))]
    files = write_plots(records, tmp_path)
    assert [f.name for f in files] == ["psnr_t-set-stops-0-3.png", "psnr_t-set-stops-0-2-4.png"]
    assert write_plots(records, tmp_path, metric="hdrvdp2") == []
