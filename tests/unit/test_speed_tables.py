"""Tables of the speed benchmark: from a result to marked blocks, and the committed docs hold the committed result."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "speed.json"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(name="tables", scope="module")
def load_tables() -> ModuleType:
    return load("speed_tables")


@pytest.fixture(name="plan", scope="module")
def load_plan() -> ModuleType:
    return load("speed_plan")


def values(seconds: float) -> dict[str, Any]:
    return {"frame": {"median": seconds, "min": seconds, "max": seconds}}


def result() -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    ends: list[dict[str, Any]] = []
    for size, seconds in (([640, 360], 0.25), ([1280, 720], 1.0), ([3840, 2160], 9.9)):
        for cores in (1, 2):
            base = {"size": size, "exposures": 2, "cores": cores, "peak_gib": 1.25}
            best = {"quality": "best", "precision": "auto"}
            ours = {"kind": "ours", "backend": "torch", **best, "network_gmac": 37.8, "parameters": 1}
            counted = {"interpolation_gmac": 2.2} if cores == 1 else {}
            rows.append({**base, **ours, **counted, "values": values(seconds / cores)})
            for layout, slower in (("channels_last", 4.0), ("planar", 5.0)):
                if size != [3840, 2160]:
                    yard = {
                        "kind": "yardstick",
                        "layout": layout,
                        "precision": "fp32",
                        "values": values(slower * seconds / cores),
                    }
                    rows.append({**base, **yard})
            ends.append({**base, **best, "seconds": 1.1 * seconds / cores, "first": 3.14, "total": 9.0})
    machine = {"processor": "a", "capability": "AVX2", "cores": 2, "python": "3", "torch": "2", "lrhdr": "0"}
    peak = {"1": {"matmul": 100.0, "conv": 160.0, "best": 160.0}, "2": {"matmul": 200.0, "conv": 320.0, "best": 320.0}}
    load = {"before": 0.1, "after": 1.0, "seconds": 60.0}
    clip = {"best": 40.0, "fast": 39.99, "fp32": 40.01, "between": 60.0, "frames": 6}
    parts = {"machine": machine, "peak_gflops": peak, "rows": rows, "end_to_end": ends}
    return {**parts, "repeats": 3, "load": load, "clip": clip, "bf16": True}


def test_the_faster_layout_is_the_yardstick(tables: ModuleType) -> None:
    row = "| 1280x720 | 2 | 1 | torch | 1.00 | 1.00 | 40.0 | 80 | 50 % | 1.25 | 4.00 | 0.25 |"
    assert row in tables.render(result())
    assert "| 3840x2160 | 2 | 2 | torch | 4.95 | 0.20 | 40.0 | 16 | 5 % | 1.25 | – | – |" in tables.render(result())


def test_targets_are_compared_with_what_was_reached(tables: ModuleType) -> None:
    text = tables.summary(result())
    assert "1280x720, 2 exposures, 1 core, end to end: 1.10 s, 0.28 of the yardstick's 4.00 s (target" in text
    assert "two cores against one, 2 exposures: 2.00 times" in text
    assert "start to first frame, 1280x720, two cores: 3.1 s" in text
    assert "3840x2160, 2 exposures, 1 core: peak memory 1.34 GB" in text
    assert "3840x2160 against 640x360, 2 exposures, 2 cores: 1.10 times the time per pixel" in text


def test_marked_blocks_are_rewritten_and_nothing_else(tables: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "speed.md"
    page.write_text(
        "a\n<!-- speed:summary -->\nold\n<!-- /speed:summary -->\nb\n<!-- speed:cost -->\n<!-- /speed:cost -->\n"
    )
    (tmp_path / "README.md").write_text("no marks")
    assert tables.write_tables(result(), tmp_path) == [page]
    text = page.read_text()
    assert text.startswith("a\n<!-- speed:summary -->\n- 1280x720")
    assert "old" not in text
    assert "\nb\n" in text
    assert "1.10 s per frame on one core, 0.55 s on two (HDRFlow's layers alone: 4.00 s on one)" in text
    assert (tmp_path / "README.md").read_text() == "no marks"


@pytest.mark.parametrize("name", ["docs/speed.md", "README.md"])
def test_the_docs_hold_the_committed_result(tables: ModuleType, name: str) -> None:
    if not RESULT.is_file():
        pytest.skip("no committed result")
    text = (ROOT / name).read_text(encoding="utf-8")
    assert tables.fill(text, json.loads(RESULT.read_text(encoding="utf-8"))) == text


def test_fast_says_what_it_is_on_this_processor(tables: ModuleType) -> None:
    told = result()
    assert tables.fast(told).startswith("This processor multiplies bfloat16. On the bundled clip (6 frames")
    assert tables.fast(told).endswith("float32 40.01 dB; between best and best in float32 are 60.0 dB.")
    assert tables.fast({**told, "bf16": False}).startswith("This processor does not multiply bfloat16. On")
    assert "; fast " not in tables.summary(told)
    short = {**told["end_to_end"][2], "quality": "fast", "seconds": 0.55}
    assert "(target: at most 0.50); fast 0.55 s, 0.14" in tables.summary(
        {**told, "end_to_end": [*told["end_to_end"], short]}
    )
    plain = {**told["end_to_end"][2], "precision": "fp32", "seconds": 1.3}
    half = {**next(r for r in told["rows"] if r["kind"] == "yardstick" and r["size"] == [1280, 720])}
    half |= {"precision": "bf16", "values": values(2.5)}
    wider = {**told, "rows": [*told["rows"], half], "end_to_end": [*told["end_to_end"], plain]}
    text = tables.summary(wider)
    assert "4.00 s (target: at most 0.50); float32 1.30 s; the yardstick in bfloat16 2.50 s" in text
    assert "(HDRFlow's layers alone: 4.00 s on one, 2.50 s in bfloat16)" in tables.cost_line(wider)
    assert "| best, float32 |" in tables.render_end_to_end(wider)
    del told["clip"]
    assert tables.fast(told) == "Not measured."


def scope(plan: ModuleType, **changed: Any) -> Any:
    every = {"sizes": plan.SIZES, "exposures": (2, 3), "cores": (1, 2), "backends": plan.BACKENDS, "frames": 12}
    return plan.Scope(**{**every, **changed})


def test_the_plan_has_every_target_and_little_of_the_rest(plan: ModuleType) -> None:
    groups, runs = plan.network_groups(scope(plan)), plan.end_to_end_runs(scope(plan))
    assert [g.size for g in groups[:1]] == [(640, 360)]
    assert {g.size for g in groups} == {(640, 360), (1280, 720)}
    assert sum(row[0] == "compile" for g in groups for row in g.rows) == 1
    assert {(r.size, r.cores) for r in runs if r.size[0] > 1280} == {((1920, 1080), 2), ((3840, 2160), 2)}
    assert [r.frames for r in runs if r.size == (3840, 2160)] == [4, 4]
    assert {r.size for r in runs if r.quality == "fast"} == {plan.MAIN}
    assert all(plan.Way("torch", "fast") in g.rows for g in groups)
    assert {g.size for g in groups if plan.Way("torch", precision="fp32") in g.rows} == {plan.MAIN}


def test_the_plan_can_be_cut_and_widened(plan: ModuleType) -> None:
    small = scope(plan, sizes=((1280, 720),), exposures=(3,), cores=(1,), backends=("torch",))
    assert [g.rows for g in plan.network_groups(small)] == [
        (plan.Way("torch"), plan.Way("torch", "fast"), plan.Way("torch", precision="fp32"))
    ]
    ways = [(r.quality, r.precision) for r in plan.end_to_end_runs(small)]
    assert ways == [("best", "auto"), ("fast", "auto"), ("best", "fp32")]
    full = scope(plan, full=True)
    assert {g.size for g in plan.network_groups(full)} == set(plan.SIZES)
    large = [g for g in plan.network_groups(full) if g.size == (3840, 2160)]
    assert all(g.layouts == () and {row[0] for row in g.rows} == {"torch"} for g in large)
