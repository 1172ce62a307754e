"""The tables in docs/interpolators.md are those of the committed results."""

import json
from pathlib import Path

import pytest

from lrhdr.interpolate import INTERPOLATORS

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "interpolators.md").read_text(encoding="utf-8")
RESULTS = ROOT / "benchmarks" / "results" / "interpolation.json"


@pytest.mark.parametrize("table", ["real", "known"])
def test_quality(table):
    results = json.loads(RESULTS.read_text())
    assert results["threads"] == 1
    rows = [line for line in DOCS.splitlines() if line.startswith("| ")]
    assert results[table]
    for row in results[table]:
        cells = [f"{row[name]['psnr_t']:.2f} ({row[name]['ssim_t']:.3f})" for name in results["names"]]
        assert f"| {row['condition']} | {row['motion']} | {row['triplets']} | {' | '.join(cells)} |" in rows


def test_means():
    results = json.loads(RESULTS.read_text())

    def mean(name, *conditions):
        rows = [row for row in results["real"] if row["condition"] in conditions]
        return sum(r[name]["psnr_t"] * r["triplets"] for r in rows) / sum(r["triplets"] for r in rows)

    text = " ".join(DOCS.split())
    for name in ("average", "dis", "rife", "rife-tempered", "dis-guided", "compact"):
        shown = name if name == "average" else f"`{name}`"
        assert f"{shown} {mean(name, 'under', 'over'):.2f}" in text
    assert f"tempering brings {mean('rife-tempered', 'under') - mean('rife', 'under'):.2f} dB" in text
    for name in ("rife", "rife-tempered"):
        steps = {r["step"]: r[name]["psnr_code"] for r in results["real_by_step"] if r["condition"] == "well"}
        assert f"{steps['1']:.2f}, {steps['2']:.2f} and {steps['4']:.2f} dB" in text


def test_cost():
    results = json.loads(RESULTS.read_text())
    assert results["size"] == [720, 1280]
    base = results["seconds"]["dis"]["median"]
    for name, times in results["seconds"].items():
        seconds, gib = times["median"], results["peak_gib"][name]
        assert f"| {name} | {seconds:.2f} | {seconds / base:.2f} | {gib:.2f} |" in DOCS


def test_every_interpolator_is_explained():
    for name in INTERPOLATORS:
        assert f"`{name}`" in DOCS, name
