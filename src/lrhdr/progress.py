"""Progress on the terminal: a bar with rate and time left, or plain lines where nobody watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

Progress = Callable[[str, int, int], None]
"""Called with what is being done, steps done, and steps in all."""

Notify = Callable[[str], None]
"""Called with each line that a person should read."""

LINE_SECONDS = 10.0
"""Seconds between plain lines."""


class ProgressDisplay:
    """Shows how far the steps of a command are; a context manager.

    Args:
        stream: where to show it; standard error by default, so that standard output holds results alone.
        unit: what is counted.
    """

    def __init__(self, stream: TextIO | None = None, unit: str = "frames") -> None:
        self.stream = stream or sys.stderr
        self.unit = unit
        self._what = ""
        self._started, self._first, self._shown = 0.0, 0, 0.0
        self._bar: _Bar | None = None

    def __enter__(self) -> ProgressDisplay:
        """Return the display itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last state on the screen."""
        self.close()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show a step.

        Args:
            what: the name of the work; a new name starts a new bar.
            done: steps done. The first call of a name says how many were done before, which the rate leaves out.
            total: steps in all.
        """
        now = time.perf_counter()
        if what != self._what:
            self.close()
            self._what, self._started, self._first, self._shown = what, now, done, now
            if self.stream.isatty():
                self._bar = _Bar(self.stream, what, self.unit, total, done)
        if self._bar is not None:
            self._bar.update(done, self._rate(done, total, now))
        elif done == total or now - self._shown >= LINE_SECONDS:
            self._shown = now
            self.stream.write(f"{what}: {done}/{total} {self.unit}{self._rate(done, total, now)}\n")
            self.stream.flush()

    def say(self, line: str) -> None:
        """Show a line that a person should read, above the bar.

        Args:
            line: without an end of line; shown after the program's name.
        """
        self.close()
        self._what = ""
        self.stream.write(f"lrhdr: {' '.join(line.split())}\n")
        self.stream.flush()

    def close(self) -> None:
        """Finish the bar that is shown."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _rate(self, done: int, total: int, now: float) -> str:
        new = done - self._first
        if new <= 0:
            return ""
        each = (now - self._started) / new
        text = f", {each:.2f} s each"
        return text if done >= total else f"{text}, {_duration(each * (total - done))} left"


class _Bar:
    """A rich progress bar. Rich is imported only here: it costs a tenth of a second."""

    def __init__(self, stream: TextIO, what: str, unit: str, total: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn(what),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} " + unit + "{task.fields[rate]}"),
        )
        self._progress = Bars(*columns, console=Console(file=stream))
        self._task = self._progress.add_task(what, total=total, completed=done, rate="")
        self._progress.start()

    def update(self, done: int, rate: str) -> None:
        self._progress.update(self._task, completed=done, rate=rate)

    def close(self) -> None:
        self._progress.stop()


def _duration(seconds: float) -> str:
    """A duration in words: "8 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
