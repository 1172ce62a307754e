"""What `runs.run` reports of itself."""

from pathlib import Path

import numpy as np
import pytest

from lrhdr import runs
from lrhdr.io.images import write_png
from lrhdr.run_options import RunOptions
from lrhdr.viewer.report_html import ReportWriter


def test_time_beside_the_report_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Frames are computed in threads while the report draws: its time is theirs too.
    for i in range(4):
        write_png(tmp_path / f"{i}.png", np.full((16, 24, 3), 40 + 60 * (i % 2), np.uint8))
    now = [0.0]

    class Clock:
        perf_counter = staticmethod(lambda: now[0])

    add = ReportWriter.add

    def slow(self: ReportWriter, frame: object) -> None:
        now[0] += 10.0
        add(self, frame)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "time", Clock)
    monkeypatch.setattr(ReportWriter, "add", slow)
    options = RunOptions(stops="0,3", method="merge", interpolator="average", inspect=False, report="")
    result = runs.run(str(tmp_path), str(tmp_path / "out"), options)
    assert result.written == 4
    assert result.seconds == 40.0
