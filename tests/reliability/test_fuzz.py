"""Damaged and hostile files: a result or one error of ours, in time, in bounded memory, nothing written elsewhere.

Each run is a process of its own (`fuzz_worker`), which says what each target needs to hold. A few cases of every target
in the ordinary tests, a thousand of each in the slow ones. The cases are the same at every run.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).with_name("fuzz_worker.py")
NEEDS = {"dng": "rawpy", "look": "PyOpenColorIO", "curve-mat": "scipy"}
TARGETS = (
    "png", "jpeg", "tiff", "exr", "hdr", "pfm", "dng", "video", "clip", "exposures", "typed", "sidecar", "run-record",
    "evaluation", "batch", "train-config", "interpolation-config", "weights", "interpolator", "checkpoint", "cache",
    "cache-manifest", "torchscript", "tensor-bundle", "snappy", "curve-json", "curve-npy", "curve-mat", "curve-text",
    "look", "cli",
)  # fmt: skip
MOST_GROWTH = 600
"""MiB that a target may add to the process: headers may claim 64 MiB of pixels, which are held as floats too."""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="limits of memory and time are set the POSIX way")


def fuzz(names: list[str], cases: int, folder: Path, limit: float) -> list[dict[str, Any]]:
    command = [sys.executable, str(WORKER), ",".join(names), str(cases), str(folder)]
    log = folder / "log.txt"
    with log.open("wb") as file:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=file, text=True, check=False, timeout=limit,
            env={**os.environ, "OMP_NUM_THREADS": "1", "LRHDR_CACHE": str(folder / "cache")},
        )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"target"')]
    if done.returncode:
        at = names[len(lines)] if len(lines) < len(names) else "?"
        case = (folder / at / "case.txt").read_text() if (folder / at / "case.txt").is_file() else "none"
        tail = log.read_text(errors="replace")[-3000:]
        pytest.fail(f"{at}: ended with status {done.returncode}; last case {case[:2000]}\n{tail}")
    return lines


def check(found: dict[str, Any], cases: int) -> None:
    assert found["cases"] >= cases // 2, found  # hypothesis stops early where a strategy has no more to give
    assert found["refused"] > 0, found
    assert found["growth_mib"] < MOST_GROWTH, found


def available(names: tuple[str, ...]) -> list[str]:
    return [n for n in names if n not in NEEDS or importlib.util.find_spec(NEEDS[n]) is not None]


def test_a_few_cases_of_everything(tmp_path: Path) -> None:
    names = available(TARGETS)
    found = fuzz(names, 12, tmp_path, 300)
    assert [line["target"] for line in found] == names
    assert sum(line["cases"] for line in found) >= 10 * len(names)
    for line in found:
        check(line, 12)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_thousand_cases(name: str, tmp_path: Path) -> None:
    if not available((name,)):
        pytest.skip(f"{NEEDS[name]} is not installed")
    (found,) = fuzz([name], 1000, tmp_path, 1800)
    check(found, 1000)
    assert found["taken"] > 0, found
    print(json.dumps(found))


@pytest.mark.slow
def test_the_guard_sees_what_it_guards_against(tmp_path: Path) -> None:
    """The fuzzer can fail: a stray write, a hang, too much memory and a stray exception each end it."""
    bad = {"stray-write": "WroteElsewhere", "stray-error": "ZeroDivisionError", "memory": "MemoryError", "hang": ""}
    for name, said in bad.items():
        done = subprocess.run(
            [sys.executable, str(WORKER), name, "3", str(tmp_path)], capture_output=True, text=True, check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "FUZZ_SECONDS": "1"}, timeout=120,
        )  # fmt: skip
        assert done.returncode != 0, name
        assert said in done.stderr, (name, done.stderr[-500:])
