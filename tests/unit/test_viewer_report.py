"""The report's files: what is in them equals the run's, stays within its bytes, and survives an interruption."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from viewer_clips import SIZE, about, frames, write_report, write_run

from lrhdr.colour import conversion_matrix
from lrhdr.io.images import read_hdr
from lrhdr.metrics.temporal import flicker
from lrhdr.pipeline import HdrFrame
from lrhdr.viewer.manifest import describe_candidates, setting_rows
from lrhdr.viewer.packing import header, log_error, unwrap
from lrhdr.viewer.report_html import ReportWriter
from lrhdr.viewer.sampling import FRAME_PRECISIONS, MAX_PIXELS, Allowance, select
from packs import unpack


def manifest_of(page: Path) -> dict:
    text = page.read_text(encoding="utf-8")
    match = re.search(r"var LRHDR = \{ manifest: (.*) \};</script>", text)
    assert match
    return json.loads(match[1])


def test_short_clips_are_whole_and_long_ones_keep_runs_of_both_exposures() -> None:
    assert select(range(24), (360, 640), 2).frames == tuple(range(24))
    assert select(range(24), (360, 640), 2).reduce == 1
    long = select(range(100, 400), (360, 640), 2)
    assert long.sampled
    assert len(long.frames) == 24
    assert (long.frames[0], long.frames[-1]) == (100, 399)
    runs = np.split(np.array(long.frames), np.flatnonzero(np.diff(long.frames) > 1) + 1)
    assert [len(r) for r in runs] == [4] * 6
    assert len(select(range(1000), (64, 64), 3).frames) == 24
    assert len(select(range(25), (64, 64), 2).frames) >= 20
    assert select(range(1), (64, 64), 2).frames == (0,)


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920), (2160, 3840), (4320, 7680)])
def test_large_frames_are_reduced_to_the_same_number_of_pixels(size: tuple[int, int]) -> None:
    chosen = select(range(240), size, 2)
    pixels = len(chosen.frames) * -(-size[0] // chosen.reduce) * -(-size[1] // chosen.reduce)
    assert pixels <= MAX_PIXELS
    finer = chosen.reduce - 1
    assert len(chosen.frames) * -(-size[0] // finer) * -(-size[1] // finer) > MAX_PIXELS


def test_allowance_takes_the_finest_that_fits_and_passes_on_what_is_left() -> None:
    sizes = (400, 200, 100, 50)
    allowance = Allowance(480, 4, 4)
    spent = [len(allowance.fit(lambda choice: bytes(sizes[choice]))) for _ in range(4)]
    assert spent == [100, 100, 100, 100]
    roomy = Allowance(2000, 4, 4)
    assert [len(roomy.fit(lambda choice: bytes(sizes[choice]))) for _ in range(4)] == [400, 400, 400, 400]
    assert len(Allowance(1, 1, 4).fit(lambda choice: bytes(sizes[choice]))) == 50


@pytest.mark.parametrize("n", [2, 3])
def test_data_equal_the_files_to_the_stated_precision(tmp_path: Path, n: int) -> None:
    made = frames(6, n)
    page = write_report(tmp_path, made)
    manifest = manifest_of(page)
    assert [f["index"] for f in manifest["frames"]] == list(range(6))
    assert not manifest["sampled"]
    (share, constant), votes_error = manifest["precision"]["result"], manifest["precision"]["votes"]
    assert (share, constant) == log_error(FRAME_PRECISIONS[0].result)
    for f, about_frame in zip(made, manifest["frames"], strict=True):
        planes = unpack(unwrap(page.parent / "data" / f"frame-{f.index:06d}.js"))
        file = read_hdr(tmp_path / about_frame["file"])
        assert (np.abs(planes["result"].values() - file) <= 1.001 * (share * file + constant)).all()
        assert f.weights is not None
        assert f.candidates is not None
        votes = planes["votes"].values().transpose(2, 0, 1)
        assert np.abs(votes - f.weights).max() <= 1.001 * votes_error
        np.testing.assert_array_equal(votes > 0, f.weights > 0)
        np.testing.assert_allclose(about_frame["shares"], f.weights.mean(axis=(1, 2)), rtol=1e-5)
        share_c, constant_c = manifest["precision"]["candidate"]
        for k in range(2 * n - 1, 4 * n - 2):
            error = np.abs(planes[f"candidate{k}"].values() - f.candidates[k])
            assert (error <= 1.001 * (share_c * f.candidates[k] + constant_c)).all()
        for k, i in enumerate(f.window_indices):
            stored = unpack(unwrap(page.parent / "data" / f"input-{i:06d}.js"))["input"].values()
            np.testing.assert_allclose(stored, f.window[k], atol=1e-6)
            assert manifest["inputs"][str(i)]["clipped"] == pytest.approx((f.window[k].max(-1) >= 0.98).mean())
        entries = manifest["candidateSets"][about_frame["set"]]
        assert len(entries) == 4 * n - 2


def test_numbers_over_time_are_those_of_the_files(tmp_path: Path) -> None:
    made = frames(4)
    manifest = manifest_of(write_report(tmp_path, made))
    rows, images = manifest["series"]["rows"], [read_hdr(tmp_path / f["file"]) for f in manifest["frames"]]
    light = [im @ np.array([0.2126, 0.7152, 0.0722], np.float32) for im in images]
    for row, x in zip(rows, light, strict=True):
        np.testing.assert_allclose(row["luminance"], np.percentile(x, (1, 50, 99)), rtol=1e-6)
        assert row["mean"] == pytest.approx(x.mean())
    pair = torch.from_numpy(np.stack(images[1:3]).transpose(0, 3, 1, 2).copy())
    assert rows[2]["flicker"] == pytest.approx(float(flicker(pair)))
    assert rows[0]["flicker"] is None


def test_files_of_other_spaces_and_scales_read_the_same(tmp_path: Path) -> None:
    made = frames(2)
    gained = [HdrFrame(**{**vars(f), "radiance": f.radiance}) for f in made]
    manifest = manifest_of(write_report(tmp_path, gained, gain=8.0, scale="scene", colorspace="acescg"))
    planes = unpack(unwrap(tmp_path / "report" / "data" / "frame-000001.js"))
    np.testing.assert_allclose(planes["result"].values(), 8.0 * made[1].radiance, rtol=3e-3, atol=1e-5)
    assert manifest["gain"] == 8.0
    assert "acescg" in manifest["notice"]
    assert "white of the longest" in manifest["scale"]


def test_frames_of_other_primaries_are_shown_in_rec709(tmp_path: Path) -> None:
    made = frames(2)
    write_report(tmp_path, made, primaries="bt2020")
    planes = unpack(unwrap(tmp_path / "report" / "data" / "frame-000001.js"))
    matrix = conversion_matrix("bt2020", "bt709").T
    np.testing.assert_allclose(planes["result"].values(), made[1].radiance @ matrix, rtol=3e-3, atol=1e-5)
    assert made[1].candidates is not None
    np.testing.assert_allclose(planes["candidate3"].values(), made[1].candidates[3] @ matrix, rtol=2e-2, atol=1e-3)


def test_a_method_without_votes_has_a_report_too(tmp_path: Path) -> None:
    manifest = manifest_of(write_report(tmp_path, frames(3, voting=False)))
    assert manifest["frames"][0]["planes"] == ["result", "window0", "window1", "window2"]
    assert manifest["frames"][0]["shares"] is None


def test_large_frames_hold_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrhdr.viewer.report_html.select", lambda *a: select(*a, max_pixels=2 * 12 * 20))
    made = frames(2)
    manifest = manifest_of(write_report(tmp_path, made))
    assert manifest["reduce"] == 2
    assert manifest["size"] == [12, 20]
    planes = unpack(unwrap(tmp_path / "report" / "data" / "frame-000000.js"))
    expected = made[0].radiance.reshape(12, 2, 20, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(planes["result"].values(), expected, rtol=3e-3, atol=1e-6)


def test_bytes_stay_within_the_budget(tmp_path: Path) -> None:
    made = frames(4, size=(60, 80))
    paths = write_run(tmp_path, made)
    sizes = []
    for budget in (10**7, 90_000):
        writer = ReportWriter(tmp_path / str(budget), about((1.0, 8.0), (60, 80)), list(paths), budget=budget)
        for f in made:
            writer.add(f)
        sizes.append(sum(p.stat().st_size for p in (tmp_path / str(budget) / "data").glob("*.js")))
    assert sizes[1] <= 90_000 < sizes[0]


def test_an_interrupted_report_goes_on_and_another_run_starts_anew(tmp_path: Path) -> None:
    made = frames(5)
    paths = write_run(tmp_path, made)
    clip = about((1.0, 8.0))
    first = ReportWriter(tmp_path / "report", clip, list(paths))
    assert first.missing() == set(range(5))
    for f in made[:3]:
        first.add(f)
    kept = (tmp_path / "report" / "data" / "frame-000001.js").stat().st_mtime_ns
    second = ReportWriter(tmp_path / "report", clip, list(paths))
    assert second.missing() == {3, 4}
    (tmp_path / "report" / "data" / "frame-000000.js").write_bytes(b"half a file")
    (tmp_path / "report" / "data" / "input-000003.js").unlink()
    third = ReportWriter(tmp_path / "report", clip, list(paths))
    assert third.missing() == {0, 2, 3, 4}
    for f in made:
        if third.wants(f.index):
            third.add(f)
    assert third.finish(paths).is_file()
    assert (tmp_path / "report" / "data" / "frame-000001.js").stat().st_mtime_ns == kept
    other = about((1.0, 8.0), settings={"weights": "others"})
    assert ReportWriter(tmp_path / "report", other, list(paths)).missing() == set(range(5))
    assert not list((tmp_path / "report" / "data").glob("*-0*.js"))


def test_frames_that_the_report_does_not_show_are_removed(tmp_path: Path) -> None:
    made = frames(5)
    write_report(tmp_path, made)
    writer = ReportWriter(tmp_path / "report", about((1.0, 8.0)), [0, 1])
    assert writer.missing() == set()
    left = sorted(p.name for p in (tmp_path / "report" / "data").glob("*.js"))
    assert left == ["frame-000000.js", "frame-000001.js", "input-000000.js", "input-000001.js", "input-000002.js"]
    assert not ReportWriter(tmp_path / "report", about((1.0, 8.0)), [0, 1], fresh=True)._abouts


def test_the_page_is_whole_and_says_names_as_they_are(tmp_path: Path) -> None:
    page = write_report(tmp_path, frames(2)).read_text(encoding="utf-8")
    assert "<title>shot &amp; &lt;b&gt;take&lt;/b&gt; 1</title>" in page
    assert "{{" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert manifest_of(tmp_path / "report" / "index.html")["title"] == "shot & <b>take</b> 1"


def test_candidates_beyond_the_known_ones_get_numbers() -> None:
    entries = describe_candidates((1.0, 8.0, 1.0), 8)
    assert [e["name"] for e in entries][:4] == ["previous (0 EV)", "reference", "next (0 EV)", "candidate 4"]
    assert len({tuple(e["colour"]) for e in entries}) >= 7
    assert len(describe_candidates((1.0, 8.0, 1.0), 6)) == 6


def test_settings_are_readable() -> None:
    rows = setting_rows(
        {"exposures": [1.0, 8.0], "tile": None, "weights_sha256": "ab", "size": [3, 4], "composite": False}
    )
    assert rows == [["exposures", "1, 8"], ["weights sha256", "ab"], ["size", "3, 4"]]


def test_a_frame_without_its_window_is_refused(tmp_path: Path) -> None:
    writer = ReportWriter(tmp_path / "report", about((1.0, 8.0)), [0])
    with pytest.raises(ValueError, match="keep_maps"):
        writer.add(HdrFrame(0, np.zeros((*SIZE, 3), np.float32), 1.0))


def test_header_of_a_data_file_says_what_it_holds(tmp_path: Path) -> None:
    write_report(tmp_path, frames(2))
    found = header(unwrap(tmp_path / "report" / "data" / "frame-000001.js"))
    assert found["about"]["index"] == 1
    assert [p["name"] for p in found["planes"]] == ["result", "votes", "candidate3", "candidate4", "candidate5"]


# Machado, Oliveira and Fernandes, IEEE TVCG 2009, table of severity 1.0: linear RGB as three kinds of eyes see it.
EYES = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize(("n", "least"), [(2, 15.0), (3, 13.0)])
def test_candidates_stay_apart_for_colour_blind_readers(eyes: str, n: int, least: float) -> None:
    entries = describe_candidates(tuple(float(4 ** (i % n)) for i in range(2 * n - 1)), 4 * n - 2)
    coded = np.array([e["colour"] for e in entries]) / 255.0
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    seen = (linear @ np.array(EYES[eyes]).T).clip(0.0, 1.0)
    xyz = seen @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    f = np.cbrt(xyz / (0.9505, 1.0, 1.089))
    lab = np.stack((116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])), axis=-1)
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1) + 1e3 * np.eye(len(lab))
    assert distances.min() > least  # CIE 1976; 2 is just visible side by side
