"""Report, comparison and view through the command line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import Outcome, expose, scene

from lrhdr.io.images import read_exr_header, read_hdr, write_exr, write_png
from lrhdr.viewer.packing import unwrap
from lrhdr.viewer.sequence import Sequence
from packs import unpack

Run = Callable[..., Outcome]
Write = Callable[..., Path]


def manifest_of(page: Path) -> dict:
    match = re.search(r"var LRHDR = \{ manifest: (.*) \};</script>", page.read_text(encoding="utf-8"))
    assert match
    return json.loads(match[1])


def test_reconstruct_writes_a_report_of_what_it_wrote(
    lrhdr: Run, write_clip: Write, tiny_weights: Write, tmp_path: Path
) -> None:
    clip, weights, out = write_clip(count=5), tiny_weights(), tmp_path / "out"
    result = lrhdr("reconstruct", clip, "-o", out, "--weights", weights, "--threads", 1, "--report")
    assert result.status == 0, result.err
    page = out / "report" / "index.html"
    assert f"report, for a browser: {page}" in result.out
    manifest = manifest_of(page)
    assert [f["index"] for f in manifest["frames"]] == list(range(5))
    assert ["weights", "random-2"] in manifest["settings"]
    for frame in manifest["frames"]:
        stored = unpack(unwrap(out / "report" / "data" / f"frame-{frame['index']:06d}.js"))
        np.testing.assert_allclose(stored["result"].values(), read_hdr(out / frame["file"]), rtol=2e-3, atol=1e-6)
        assert stored["votes"].codes.shape == (18, 32, 6)

    # Frames and report are both kept by a second run; a report asked for later is made from what is there.
    times = {p: p.stat().st_mtime_ns for p in [*out.glob("*.exr"), *(out / "report" / "data").glob("*.js")]}
    again = lrhdr("reconstruct", clip, "-o", out, "--weights", weights, "--threads", 1, "--report", tmp_path / "other")
    assert again.status == 0, again.err
    assert manifest_of(tmp_path / "other" / "index.html")["frames"] == manifest["frames"]
    third = lrhdr("reconstruct", clip, "-o", out, "--weights", weights, "--threads", 1, "--report")
    assert "kept 5" in third.out
    assert {p: p.stat().st_mtime_ns for p in times} == times


def test_a_report_of_a_baseline_and_a_part_of_a_clip(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = lrhdr(
        "reconstruct", write_clip(count=6), "-o", out, "--method", "reference", "--frames", "2:5", "--report",
        "--scale", "scene", "--colorspace", "acescg",
    )  # fmt: skip
    assert result.status == 0, result.err
    manifest = manifest_of(out / "report" / "index.html")
    assert [f["index"] for f in manifest["frames"]] == [2, 3, 4]
    assert manifest["gain"] == 8.0
    assert manifest["series"]["frames"] == [2, 3, 4]


def test_the_report_may_not_lie_over_the_input(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip()
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "out", "--method", "reference", "--report", clip)
    assert result.status == 2
    assert "report" in result.err


def test_report_compares_runs(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip(count=4)
    for method in ("reference", "merge"):
        assert lrhdr("reconstruct", clip, "-o", tmp_path / method, "--method", method).status == 0
    truth = tmp_path / "truth"
    truth.mkdir()
    write_exr(truth / "000001.exr", scene(18, 32).astype(np.float32))
    result = lrhdr("report", tmp_path / "reference", tmp_path / "merge", "--truth", truth, "-o", tmp_path / "report")
    assert result.status == 0, result.err
    assert str(tmp_path / "report" / "index.html") in result.out
    manifest = manifest_of(tmp_path / "report" / "index.html")
    assert [run["name"] for run in manifest["runs"]] == ["reference", "merge"]
    assert manifest["tables"][0]["rows"][1][1]["value"] > manifest["tables"][0]["rows"][0][1]["value"]
    missing = lrhdr("report", tmp_path / "nothing")
    assert missing.status == 2
    assert "found nothing" in missing.err


def test_exposures_in_the_viewer_are_those_of_the_files_after_a_break(lrhdr: Run, tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    for i, k in enumerate(k for k in range(14) if k != 6):
        write_png(clip / f"{i:03d}.png", expose(scene(24, 40), 8.0 ** (k % 2)))
    out = tmp_path / "o"
    result = lrhdr("reconstruct", clip, "-o", out, "--method", "merge", "--threads", "1", "--report")
    assert result.status == 0, result.err
    assert "breaks" in result.err
    written = [float(read_exr_header(p)["lrhdr:exposure"]) for p in sorted(out.glob("*.exr"))]
    shown = Sequence(out).manifest()["frames"]
    assert [f["exposure"] for f in shown] == pytest.approx(written, rel=1e-5)
    report = manifest_of(out / "report" / "index.html")["frames"]
    assert [f["phase"] for f in report] == [round(np.log2(e) / 3) for e in written]


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name == "nt", reason="stopped with a POSIX signal")
def test_view_serves_until_it_is_stopped(tmp_path: Path) -> None:
    write_exr(tmp_path / "a.0001.exr", np.full((4, 6, 3), 0.5, np.float32))
    process = subprocess.Popen(
        [sys.executable, "-m", "lrhdr", "view", str(tmp_path), "--no-browser"],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        with urllib.request.urlopen(f"{address}data/result-1") as answer:
            assert (unpack(answer.read())["result"].values() == 0.5).all()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()


def test_view_says_what_is_wrong_in_one_line(lrhdr: Run, tmp_path: Path) -> None:
    result = lrhdr("view", tmp_path, "--no-browser")
    assert result.status == 2
    assert result.err.count("\n") == 1
    assert "found none" in result.err
