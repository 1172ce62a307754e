"""The numbers in the README are those of the committed results."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETS = {"generated": "generated scenes", "hdrvideo": "real phone HDR video", "video": "real video, linearised"}
WEIGHTS = {(0, 3): "compact-2exp", (0, 2, 4): "compact-3exp"}


def check_row(file: str, group: str, stops: tuple[int, ...], title: str) -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / file).read_text())
    wanted = [r for r in results["means"] if r["group"] == group and not r["composite"]]
    means = {r["method"]: r for r in wanted if r["stops"] == [float(s) for s in stops]}
    methods = [m for m in ("reference", "flow", "completion", WEIGHTS[stops], "oracle") if m in means]
    expected = [(f"{means[m]['psnr_t_all']:.2f}", f"{means[m]['ssim_t_all']:.3f}") for m in methods]
    start = f"| {title}, {', '.join(map(str, stops))} |"
    (row,) = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(start)]
    assert re.findall(r"(\d+\.\d+)\D*\((\d\.\d+)\)", row) == expected


@pytest.mark.parametrize("stops", WEIGHTS)
@pytest.mark.parametrize("group", SETS)
def test_table(group: str, stops: tuple[int, ...]) -> None:
    check_row("evaluation.json", group, stops, SETS[group])


@pytest.mark.parametrize("stops", WEIGHTS)
@pytest.mark.parametrize("group", SETS)
def test_demosaiced(group: str, stops: tuple[int, ...]) -> None:
    check_row("demosaiced.json", group, stops, f"{SETS[group]}, demosaiced")


@pytest.mark.parametrize("stops", WEIGHTS)
@pytest.mark.parametrize("group", ["video", "bench"])
@pytest.mark.parametrize(("file", "codec"), [("recorded-h264.json", "H.264"), ("recorded-jpeg.json", "JPEG")])
def test_recorded(file: str, codec: str, group: str, stops: tuple[int, ...]) -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / file).read_text())
    name, title = (f"bench-{len(stops)}exp", "lrhdr-bench") if group == "bench" else (group, SETS[group])
    wanted = [r for r in results["means"] if r["group"] == name and r["stops"] == [float(s) for s in stops]]
    means = {r["method"]: f"{r['psnr_t_all']:.2f}" for r in wanted}
    methods = ("reference", "completion", WEIGHTS[stops], f"{WEIGHTS[stops]}-recorded")
    start = f"| {title}, {codec}, {', '.join(map(str, stops))} |"
    (row,) = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(start)]
    assert re.findall(r"\d+\.\d+", row.removeprefix(start)) == [means[m] for m in methods]


@pytest.mark.parametrize("stops", WEIGHTS)
def test_bench(stops: tuple[int, ...]) -> None:
    check_row("bench.json", f"bench-{len(stops)}exp", stops, "lrhdr-bench")
