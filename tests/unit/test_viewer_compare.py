"""`lrhdr report A B [C]`: the scores are the metrics', the frames are the same ones, the scales are made equal."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from viewer_clips import frames, write_run

from lrhdr.checks import InputError
from lrhdr.io.images import read_hdr, write_exr
from lrhdr.metrics.psnr import psnr_mu
from lrhdr.metrics.ssim import ssim_mu
from lrhdr.viewer.compare import write_comparison
from lrhdr.viewer.packing import unwrap
from packs import unpack


def manifest_of(page: Path) -> dict:
    match = re.search(r"var LRHDR = \{ manifest: (.*) \};</script>", page.read_text(encoding="utf-8"))
    assert match
    return json.loads(match[1])


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Two runs of four frames, the second twice as noisy and in the scale of the scene; truth of frames 1 and 2."""
    rng = np.random.default_rng(1)
    made = frames(4)
    a, b, truth = (tmp_path / name for name in ("a", "b", "truth"))
    for folder in (b, truth):
        folder.mkdir()
    write_run(a, made)
    for f in made:
        noisy = f.radiance * rng.normal(1.0, 0.1, f.radiance.shape)
        write_exr(b / f"other.{f.index:04d}.exr", 8.0 * noisy, {"lrhdr:saturation": 8.0})
        if f.index in (1, 2):
            write_exr(truth / f"{f.index}.exr", f.radiance * rng.normal(1.0, 0.02, f.radiance.shape))
    (a / "x.lrhdr.json").write_text('{"weights": "ours", "exposures": [1, 8]}')
    return a, b, truth


def batch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def test_scores_are_those_of_the_metrics_on_the_files(runs: tuple[Path, Path, Path], tmp_path: Path) -> None:
    a, b, truth = runs
    page = write_comparison([a, b], tmp_path / "report", truth=truth)
    manifest = manifest_of(page)
    assert [run["name"] for run in manifest["runs"]] == ["ours", "b"]
    assert manifest["frames"][1]["planes"] == ["run0", "run1", "truth"]
    assert manifest["frames"][0]["planes"] == ["run0", "run1"]
    for i in (1, 2):
        target = batch(read_hdr(truth / f"{i}.exr"))
        ours, other = batch(read_hdr(a / f"shot.{i:06d}.exr")), batch(read_hdr(b / f"other.{i:04d}.exr") / 8)
        row = manifest["series"]["rows"][i]
        assert row["run0"]["psnr_t"] == pytest.approx(float(psnr_mu(ours, target)))
        assert row["run1"]["psnr_t"] == pytest.approx(float(psnr_mu(other, target)), abs=1e-4)
        assert row["run1"]["ssim_t"] == pytest.approx(float(ssim_mu(other, target)), abs=1e-6)
    means = manifest["tables"][0]["rows"]
    rows = manifest["series"]["rows"]
    assert means[0][1]["value"] == pytest.approx((rows[1]["run0"]["psnr_t"] + rows[2]["run0"]["psnr_t"]) / 2)
    assert means[0][1]["best"]
    assert not means[1][1]["best"]
    assert [r[0] for r in manifest["tables"][1]["rows"]] == [1, 2]


def test_pixels_are_in_one_scale(runs: tuple[Path, Path, Path], tmp_path: Path) -> None:
    a, b, truth = runs
    write_comparison([a, b], tmp_path / "report", truth=truth)
    planes = unpack(unwrap(tmp_path / "report" / "data" / "frame-000002.js"))
    np.testing.assert_allclose(planes["run0"].values(), read_hdr(a / "shot.000002.exr"), rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(planes["run1"].values(), read_hdr(b / "other.0002.exr") / 8, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(planes["truth"].values(), read_hdr(truth / "2.exr"), rtol=2e-3, atol=1e-6)


def test_without_truth_there_are_no_scores(runs: tuple[Path, Path, Path], tmp_path: Path) -> None:
    manifest = manifest_of(write_comparison([runs[0], runs[1], runs[0]], tmp_path / "report", names=["x", "y", "z"]))
    assert manifest["tables"][0]["heads"] == ["run", "change"]
    assert len(manifest["tables"]) == 1
    assert not manifest["truth"]
    assert manifest["title"] == "x, y and z"


def test_only_common_frames_and_only_runs_that_fit(runs: tuple[Path, Path, Path], tmp_path: Path) -> None:
    a, b, _ = runs
    (b / "other.0003.exr").unlink()
    assert [f["index"] for f in manifest_of(write_comparison([a, b], tmp_path / "r"))["frames"]] == [0, 1, 2]
    other = tmp_path / "other"
    other.mkdir()
    write_exr(other / "x.0001.exr", np.ones((5, 6, 3), np.float32))
    with pytest.raises(InputError, match="found 6x5 pixels, expected 40x24"):
        write_comparison([a, other], tmp_path / "r")
    (other / "x.0001.exr").rename(other / "x.0099.exr")
    with pytest.raises(InputError, match="same numbers"):
        write_comparison([a, other], tmp_path / "r")
    with pytest.raises(InputError, match="one to 3 runs, found 4"):
        write_comparison([a] * 4, tmp_path / "r")
    with pytest.raises(InputError, match="expected 2, one for each run, found 1"):
        write_comparison([a, b], tmp_path / "r", names=["x"])
    with pytest.raises(InputError, match="named by frame index"):
        write_comparison([a, b], tmp_path / "r", truth=tmp_path / "nothing")
    with pytest.raises(InputError, match="holds a run's frames"):
        write_comparison([a, b], a)
