"""Progress on a terminal and in a log."""

from __future__ import annotations

import io

import pytest

from lrhdr import progress
from lrhdr.progress import ProgressDisplay


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "perf_counter", clock)
    return clock


def test_a_log_gets_few_lines_with_rate_and_time_left(clock: Clock) -> None:
    stream = io.StringIO()
    with ProgressDisplay(stream) as show:
        show("reconstruct", 10, 100)
        for done in range(11, 101):
            clock.now += 2.0
            show("reconstruct", done, 100)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "reconstruct: 15/100 frames, 2.00 s each, 2 min 50 s left"
    assert lines[-1] == "reconstruct: 100/100 frames, 2.00 s each"
    assert len(lines) == 18


def test_each_kind_of_work_has_its_own_rate(clock: Clock) -> None:
    stream = io.StringIO()
    with ProgressDisplay(stream, "samples") as show:
        show("one", 0, 1)
        clock.now = 5.0
        show("one", 1, 1)
        show("two", 0, 2)
        clock.now = 7.0
        show("two", 2, 2)
    assert stream.getvalue().splitlines() == ["one: 1/1 samples, 5.00 s each", "two: 2/2 samples, 1.00 s each"]


def test_a_terminal_gets_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with ProgressDisplay(stream) as show:
        show("reconstruct", 0, 4)
        show("reconstruct", 4, 4)
    assert "4/4 frames" in stream.getvalue()
