"""Scores frame by frame as pictures: one small plot per clip, a line per method, all on one page and one scale.

Drawn with Pillow, so that they look the same on every machine. Lines follow Okabe and Ito's palette and differ in their
markers too, for readers who do not see the colours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lrhdr.io.images import write_png
from lrhdr.pictures import Colour, Picture
from lrhdr.scores import FrameRecord

_PAPER, _INK, _GREY, _GRID = (255, 255, 255), (30, 30, 32), (110, 112, 118), (222, 224, 228)
_COLOURS: tuple[Colour, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (120, 100, 60),
)
_BOUNDS: tuple[Colour, ...] = ((165, 165, 170), (70, 70, 76))
_MARKERS = ("disc", "square", "triangle", "diamond", "cross", "ring", "bar")
_PANEL_WIDTH, _PANEL_HEIGHT, _COLUMNS = 620, 300, 3
_MARGIN = 36
_TICKS = 6
_SCALE = 2  # drawn twice as large and shrunk, for smooth lines


@dataclass(frozen=True)
class _Style:
    colour: Colour
    marker: str
    dashed: bool


PlotKey = tuple[str, tuple[float, ...], bool]
"""Set, stops, composite: what a page is of."""


def _styles(methods: Sequence[str]) -> dict[str, _Style]:
    """Colours in the order of the methods; bounds are grey and dashed."""
    styles: dict[str, _Style] = {}
    number = bounds = 0
    for method in methods:
        if method.startswith("oracle"):
            styles[method] = _Style(_BOUNDS[bounds % len(_BOUNDS)], "none", True)
            bounds += 1
            continue
        marker = _MARKERS[(number // len(_COLOURS) + number) % len(_MARKERS)]
        styles[method] = _Style(_COLOURS[number % len(_COLOURS)], marker, False)
        number += 1
    return styles


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers that cover a range, at most about `_TICKS` of them.

    Args:
        low: finite.
        high: finite, at least `low`.

    Returns:
        Ascending, evenly spaced, the first at most `low` and the last at least `high`.
    """
    span = max(high - low, 1e-6 * max(abs(high), 1.0))
    rough = span / (_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1.0, 2.0, 5.0, 10.0) if power * m >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * i, 10) for i in range(first, max(last, first + 1) + 1)]


def plot_page(title: str, label: str, clips: Mapping[str, Sequence[FrameRecord]], metric: str) -> Picture:
    """One page: a plot per clip.

    Args:
        title: first line.
        label: what is plotted, with its unit.
        clips: name to the records of all its methods.
        metric: name among the records' metrics. Values that are not finite leave a gap.

    Returns:
        (height, width, 3) uint8.

    Raises:
        ValueError: no finite value.
    """
    methods = list(dict.fromkeys(r.method for records in clips.values() for r in records))
    styles = _styles(methods)
    values = [r.metrics[metric] for records in clips.values() for r in records if metric in r.metrics]
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        raise ValueError(f"plot: expected finite values of {metric}, found none")
    ticks = nice_ticks(min(finite), max(finite))
    columns = min(_COLUMNS, len(clips))
    width = 2 * _MARGIN + columns * _PANEL_WIDTH
    page = _Page(width, 0)
    legend_lines = page.measure_legend(methods)
    top = _MARGIN + 48 + 30 + 30 * legend_lines + 10
    height = top + math.ceil(len(clips) / columns) * _PANEL_HEIGHT + _MARGIN
    page = _Page(width, height)
    page.text((_MARGIN, _MARGIN), title, 26, _INK)
    page.text((_MARGIN, _MARGIN + 40), f"{label}; s, m, l: short, middle or long reference frame", 17, _GREY)
    page.legend(methods, styles, _MARGIN + 78)
    for number, (clip, records) in enumerate(clips.items()):
        corner = (_MARGIN + number % columns * _PANEL_WIDTH, top + number // columns * _PANEL_HEIGHT)
        page.panel(corner, clip, records, metric, styles, ticks)
    return page.finish()


class _Page:
    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, max(height, 1)
        self.image = Image.new("RGB", (self.width * _SCALE, self.height * _SCALE), _PAPER)
        self.pen = ImageDraw.Draw(self.image)

    def text(self, at: tuple[float, float], words: str, size: int, colour: Colour, anchor: str = "la") -> None:
        self.pen.text((at[0] * _SCALE, at[1] * _SCALE), words, font=_font(size * _SCALE), fill=colour, anchor=anchor)

    def _line(self, a: tuple[float, float], b: tuple[float, float], colour: Colour, width: float = 1.0) -> None:
        points = (a[0] * _SCALE, a[1] * _SCALE, b[0] * _SCALE, b[1] * _SCALE)
        self.pen.line(points, fill=colour, width=max(1, round(width * _SCALE)))

    def _curve(self, a: tuple[float, float], b: tuple[float, float], style: _Style) -> None:
        if not style.dashed:
            self._line(a, b, style.colour, 2.0)
            return
        length = math.dist(a, b)
        pieces = max(1, round(length / 10.0))
        for i in range(pieces):
            start, stop = i / pieces, (i + 0.55) / pieces
            ends = [(a[0] + s * (b[0] - a[0]), a[1] + s * (b[1] - a[1])) for s in (start, stop)]
            self._line(ends[0], ends[1], style.colour, 2.0)

    def _mark(self, at: tuple[float, float], style: _Style) -> None:
        x, y, r = at[0] * _SCALE, at[1] * _SCALE, 4.0 * _SCALE
        box = (x - r, y - r, x + r, y + r)
        if style.marker == "disc":
            self.pen.ellipse(box, fill=style.colour)
        elif style.marker == "ring":
            self.pen.ellipse(box, fill=_PAPER, outline=style.colour, width=round(1.5 * _SCALE))
        elif style.marker == "square":
            self.pen.rectangle(box, fill=style.colour)
        elif style.marker == "triangle":
            self.pen.polygon([(x, y - 1.2 * r), (x + 1.1 * r, y + r), (x - 1.1 * r, y + r)], fill=style.colour)
        elif style.marker == "diamond":
            self.pen.polygon(
                [(x, y - 1.3 * r), (x + 1.3 * r, y), (x, y + 1.3 * r), (x - 1.3 * r, y)], fill=style.colour
            )
        elif style.marker == "cross":
            self.pen.line((x - r, y - r, x + r, y + r), fill=style.colour, width=2 * _SCALE)
            self.pen.line((x - r, y + r, x + r, y - r), fill=style.colour, width=2 * _SCALE)
        elif style.marker == "bar":
            self.pen.line((x, y - 1.3 * r, x, y + 1.3 * r), fill=style.colour, width=2 * _SCALE)

    def _places(self, methods: Sequence[str]) -> list[tuple[float, int]]:
        """Where each entry of the legend goes: x and number of the line."""
        places, x, line = [], float(_MARGIN), 0
        for method in methods:
            wide = 46 + _font(17).getlength(method) + 26
            if x > _MARGIN and x + wide > self.width - _MARGIN:
                x, line = float(_MARGIN), line + 1
            places.append((x, line))
            x += wide
        return places

    def measure_legend(self, methods: Sequence[str]) -> int:
        return self._places(methods)[-1][1] + 1

    def legend(self, methods: Sequence[str], styles: Mapping[str, _Style], top: float) -> None:
        for method, (x, line) in zip(methods, self._places(methods), strict=True):
            y = top + 30 * line + 10
            self._curve((x, y), (x + 36, y), styles[method])
            self._mark((x + 18, y), styles[method])
            self.text((x + 46, y), method, 17, _INK, "lm")

    def panel(
        self,
        corner: tuple[float, float],
        clip: str,
        records: Sequence[FrameRecord],
        metric: str,
        styles: Mapping[str, _Style],
        ticks: Sequence[float],
    ) -> None:
        """One clip: axes, grid, lines."""
        left, top = corner[0] + 52, corner[1] + 34
        right, bottom = corner[0] + _PANEL_WIDTH - 24, corner[1] + _PANEL_HEIGHT - 56
        self.text((left, corner[1] + 4), clip, 18, _INK)
        indices = sorted({r.index for r in records})
        first, last = indices[0], max(indices[-1], indices[0] + 1)

        def x_of(index: int) -> float:
            return left + 10 + (right - left - 20) * (index - first) / (last - first)

        def y_of(value: float) -> float:
            return bottom - (bottom - top) * (value - ticks[0]) / (ticks[-1] - ticks[0])

        for tick in ticks:
            self._line((left, y_of(tick)), (right, y_of(tick)), _GRID)
            self.text((left - 8, y_of(tick)), f"{tick:g}", 15, _GREY, "rm")
        references = {r.index: r.reference[0] for r in records}
        every = max(1, math.ceil(len(indices) / 16))
        for index in indices[::every]:
            self.text((x_of(index), bottom + 8), f"{index}", 15, _GREY, "ma")
            self.text((x_of(index), bottom + 26), references[index], 15, _GREY, "ma")
        # Bounds first, so that they lie behind the methods.
        for method in sorted(styles, key=lambda m: not styles[m].dashed):
            points = {
                r.index: (x_of(r.index), y_of(r.metrics[metric]))
                for r in records
                if r.method == method and math.isfinite(r.metrics.get(metric, math.nan))
            }
            order = sorted(points)
            for a, b in pairwise(order):
                self._curve(points[a], points[b], styles[method])
            for index in order:
                self._mark(points[index], styles[method])

    def finish(self) -> Picture:
        small = self.image.resize((self.width, self.height), Image.Resampling.BOX)
        return np.asarray(small, dtype=np.uint8)


def write_plots(
    records: Sequence[FrameRecord], folder: Path | str, metric: str = "psnr_t", label: str = "PSNR_T, dB"
) -> list[Path]:
    """Write one page per set, alternation and composite as PNG.

    Args:
        records: of an evaluation.
        folder: exists.
        metric: which of their metrics.
        label: its name and unit.

    Returns:
        The files; none where no record has the metric.

    Raises:
        OutputError: a file cannot be written.
    """
    pages: dict[PlotKey, dict[str, list[FrameRecord]]] = {}
    for r in records:
        if math.isfinite(r.metrics.get(metric, math.nan)):
            pages.setdefault((r.group, r.stops, r.composite), {}).setdefault(r.clip, []).append(r)
    files = []
    for (group, stops, composite), clips in pages.items():
        pasted = ", reference pasted where well exposed" if composite else ""
        words = [metric, group, "stops", *(f"{s:g}" for s in stops), *(["composite"] if composite else [])]
        path = Path(folder) / (re.sub(r"[^A-Za-z0-9.+_-]+", "-", "-".join(words)) + ".png")
        title = f"{group}, stops {', '.join(f'{s:g}' for s in stops)}{pasted}"
        write_png(path, plot_page(title, label, clips, metric))
        files.append(path)
    return files


def _font(size: int) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))
