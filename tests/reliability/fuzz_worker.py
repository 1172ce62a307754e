"""Fuzz targets in this process: `python fuzz_worker.py TARGET,TARGET CASES FOLDER` prints one JSON line for each.

Each case may end in a result or in an `LrhdrError`, whose message is one line. Anything else is a failure: another
exception (shown with the smallest case that hypothesis finds), a signal (a crash, or the alarm of a hang; the case is
in FOLDER/TARGET/case.txt), more memory than the bound, a file written where none may be.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402 (after the path is set)

from lrhdr.checks import LrhdrError  # noqa: E402

SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))
"""For one case, on a busy machine; a tiny file takes milliseconds."""

GIB = 2.0
"""Address space above what is mapped before the first case."""


def main(names: list[str], cases: int, folder: Path) -> None:
    from fuzz_guard import WriteGuard, limit_memory
    from fuzz_targets import TARGETS

    targets = {}
    for name in names:
        (folder / name).mkdir()
        targets[name] = TARGETS[name](folder / name)
    tempfile.gettempdir()  # finds the folder once, by writing to it: before the guard looks
    guard = WriteGuard()
    # Imports and caches come before memory counts.
    for target in targets.values():
        target.prepare(target.example)
        target.run(target.example)
    limit_memory(GIB)
    for name, target in targets.items():
        os.chdir(folder / name)
        print(json.dumps({"target": name, **fuzz(target, cases, folder / name, guard)}), flush=True)


def fuzz(target: Any, cases: int, folder: Path, guard: Any) -> dict[str, Any]:
    from fuzz_guard import deadline, peak_mib

    seen = {"cases": 0, "refused": 0, "taken": 0}
    before, started, slowest = peak_mib(), time.perf_counter(), 0.0

    @settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
    @given(target.cases)
    def check(case: object) -> None:
        nonlocal slowest
        (folder / "case.txt").write_text(repr(case)[:20_000], encoding="utf-8", errors="backslashreplace")
        target.prepare(case)
        seen["cases"] += 1
        began, silent = time.perf_counter(), False
        with deadline(SECONDS), guard.only(target.output):
            try:
                target.run(case)
            except LrhdrError as error:
                seen["refused"] += 1
                silent = not str(error).strip()
            else:
                seen["taken"] += 1
        assert not silent, "an error without a message"
        slowest = max(slowest, time.perf_counter() - began)
        target.check(case)

    check()
    seconds = round(time.perf_counter() - started, 1)
    return {**seen, "seconds": seconds, "slowest_s": round(slowest, 2), "growth_mib": round(peak_mib() - before, 1)}


if __name__ == "__main__":
    main(sys.argv[1].split(","), int(sys.argv[2]), Path(sys.argv[3]).resolve())
