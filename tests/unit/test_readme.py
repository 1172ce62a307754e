"""The numbers in the README are those of the committed results."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = {"generated": "generated scenes", "hdrvideo": "real phone HDR", "video": "real video"}
METHODS = ("reference", "flow", "completion", "compact-2exp", "oracle")


@pytest.mark.parametrize("name", ROWS)
def test_table(name: str) -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / f"compact-2exp-{name}.json").read_text())
    means = {r["method"]: r for r in results["means"] if r["stops"] == [0.0, 3.0]}
    expected = [(f"{means[m]['psnr_t_all']:.2f}", f"{means[m]['ssim_t_all']:.3f}") for m in METHODS]
    (row,) = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| {ROWS[name]}")]
    assert re.findall(r"(\d+\.\d+)\D*\((\d\.\d+)\)", row) == expected
    assert results["settings"]["composite"] is False


def test_speed() -> None:
    text = (ROOT / "README.md").read_text()
    one, two = (
        json.loads((ROOT / "benchmarks" / "results" / name).read_text())
        for name in ("speed-1-thread.json", "speed-2-threads.json")
    )
    for value in (one["seconds"]["interpolation"], one["seconds"]["network"], one["seconds"]["exr"]):
        assert f" {value['median']:.2f} s" in text
    assert f"{two['seconds']['network']['median']:.2f} s" in text
    assert f"{one['network_gmac']:.1f} GMAC" in text
    assert f"{one['peak_memory_gib']:.1f} GiB" in text
