"""The contact sheet: one picture that shows what went in, what came out, and which candidate each pixel came from.

Drawn with Pillow's own font (Aileron), so that the sheet looks the same on every machine. Reads and writes no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lrhdr.pictures import (
    FALSE_COLOUR_STOPS,
    Candidate,
    Colour,
    Picture,
    candidates,
    display,
    display_exposures,
    ev_label,
    false_colour,
    stops_label,
    to_bytes,
    viridis,
    vote_map,
)
from lrhdr.pipeline import HdrFrame

BACKGROUND: Colour = (24, 25, 28)
TEXT: Colour = (236, 236, 238)
QUIET: Colour = (158, 160, 166)
ACCENT: Colour = (230, 159, 0)


def exposure_label(relative: float, seconds: float | None = None) -> str:
    """An exposure in words: "+3 EV", with the shutter time where it is known ("+3 EV, 1/125 s")."""
    if seconds is None:
        return stops_label(relative)
    shutter = f"{seconds:g} s" if seconds >= 0.3 else f"{Fraction(1, max(1, round(1.0 / seconds)))} s"
    return f"{stops_label(relative)}, {shutter}"


@dataclass(frozen=True)
class _Cell:
    """One picture of the sheet with its caption."""

    picture: Picture
    title: str
    detail: str
    accent: bool = False


def contact_sheet(
    frame: HdrFrame,
    *,
    title: str,
    subtitle: str = "",
    seconds: Sequence[float] | None = None,
    width: int = 1600,
) -> Picture:
    """One picture that shows what went in, what came out, and which candidate each pixel came from.

    Args:
        frame: a frame reconstructed with `keep_maps`.
        title: first line, in large type.
        subtitle: second line.
        seconds: shutter times of the window's frames, where known.
        width: of the sheet, in pixels.

    Returns:
        (height, width, 3) uint8.

    Raises:
        ValueError: the frame has no window (reconstructed without `keep_maps`).
    """
    if not frame.window:
        raise ValueError("contact sheet: expected a frame reconstructed with keep_maps=True")
    n = (len(frame.window) + 1) // 2
    inputs = [
        _Cell(
            to_bytes(picture),
            f"Input frame {index}" + (", reference" if i == n - 1 else ""),
            exposure_label(exposure, None if seconds is None else seconds[i]),
            accent=i == n - 1,
        )
        for i, (picture, index, exposure) in enumerate(
            zip(frame.window, frame.window_indices, frame.window_exposures, strict=True)
        )
    ]
    dark, bright = display_exposures(frame.radiance)
    outputs = [
        _Cell(display(frame.radiance, bright), "HDR, shown for the shadows", f"display exposure {ev_label(bright)}"),
        _Cell(display(frame.radiance, dark), "HDR, shown for the highlights", f"display exposure {ev_label(dark)}"),
    ]
    legend: list[tuple[Candidate, str]] = []
    if frame.weights is None:
        outputs.append(_Cell(false_colour(frame.radiance), "HDR, luminance", "stops below 1.0, scale below"))
    else:
        entries = candidates(n, frame.window_exposures, frame.weights.shape[0])
        outputs.append(
            _Cell(vote_map(frame.weights, entries), "Vote map", "colours mix where candidates share a pixel")
        )
        shares = frame.weights.mean(axis=(1, 2))
        legend = [(e, f"{100.0 * s:.1f} %") for e, s in zip(entries, shares, strict=True)]
    return _Sheet(width).render(title, subtitle, [inputs, outputs], legend)


class _Sheet:
    """Lays out rows of cells on a dark ground; all lengths scale with the width."""

    def __init__(self, width: int) -> None:
        self.width = width
        unit = width / 1600.0
        self.margin, self.gutter, self.leading = round(36 * unit), round(16 * unit), round(8 * unit)
        self.large, self.medium, self.small = (_font(round(s * unit)) for s in (34, 21, 18))

    def render(
        self, title: str, subtitle: str, rows: Sequence[Sequence[_Cell]], legend: Sequence[tuple[Candidate, str]]
    ) -> Picture:
        """Draw the sheet on a tall page and cut it below the last line."""
        self.page = Image.new("RGB", (self.width, 6 * self.width), BACKGROUND)
        self.pen = ImageDraw.Draw(self.page)
        y = self._line(self.margin, title, self.large, TEXT)
        if subtitle:
            y = self._line(y + self.leading // 2, subtitle, self.medium, QUIET)
        y += self.gutter
        for row in rows:
            y = self._row(y, row) + self.gutter
        y = self._legend(y, legend) if legend else self._scale(y)
        return np.asarray(self.page.crop((0, 0, self.width, y + self.margin)), dtype=np.uint8)

    def _line(self, y: int, text: str, font: ImageFont.FreeTypeFont, colour: Colour, x: int | None = None) -> int:
        self.pen.text((self.margin if x is None else x, y), text, font=font, fill=colour, anchor="la")
        return y + round(1.25 * font.size)

    def _row(self, y: int, cells: Sequence[_Cell]) -> int:
        across = (self.width - 2 * self.margin - (len(cells) - 1) * self.gutter) // len(cells)
        height, width = cells[0].picture.shape[:2]
        # Tall pictures are held to 5:4, or the sheet would need scrolling; they stay flush with their captions.
        shown_height = max(1, min(round(1.25 * across), round(across * height / width)))
        shown_width = max(1, min(across, round(shown_height * width / height)))
        bottom = y
        for i, cell in enumerate(cells):
            x = self.margin + i * (across + self.gutter)
            self.page.paste(Image.fromarray(_resize(cell.picture, (shown_height, shown_width))), (x, y))
            if cell.accent:
                edge = max(2, self.leading // 3)
                self.pen.rectangle((x, y, x + shown_width - 1, y + shown_height - 1), outline=ACCENT, width=edge)
            below = self._line(y + shown_height + self.leading, cell.title, self.medium, TEXT, x)
            bottom = max(bottom, self._line(below, cell.detail, self.small, QUIET, x))
        return bottom

    def _legend(self, y: int, legend: Sequence[tuple[Candidate, str]]) -> int:
        headings = {"input": "Input frames", "interpolated": "Interpolated", "calibrated": "Calibrated by the network"}
        y += self.leading
        swatch = round(self.medium.size)
        step = round(1.6 * swatch)
        across = (self.width - 2 * self.margin - (len(headings) - 1) * self.gutter) // len(headings)
        bottom = y
        for column, (family, heading) in enumerate(headings.items()):
            members = [(entry, share) for entry, share in legend if entry.family == family]
            if not members:
                continue
            x = self.margin + column * (across + self.gutter)
            top = self._line(y, heading, self.medium, TEXT, x) + self.leading
            for entry, share in members:
                self.pen.rectangle((x, top, x + round(1.5 * swatch), top + swatch), fill=entry.colour)
                middle = top + swatch // 2
                self.pen.text((x + round(2.1 * swatch), middle), entry.name, font=self.small, fill=TEXT, anchor="lm")
                self.pen.text((x + round(0.72 * across), middle), share, font=self.small, fill=QUIET, anchor="rm")
                top += step
            bottom = max(bottom, top - step + swatch)
        return bottom

    def _scale(self, y: int) -> int:
        y += self.leading
        y = self._line(y, "Luminance, EV below 1.0 (the saturation of the shortest exposure)", self.medium, TEXT)
        length, height = self.width - 2 * self.margin, round(self.medium.size)
        ramp = np.broadcast_to(np.linspace(0.0, 1.0, length, dtype=np.float32), (height, length))
        self.page.paste(Image.fromarray(viridis(ramp)), (self.margin, y + self.leading))
        y += self.leading + height + self.leading
        for stop in range(0, FALSE_COLOUR_STOPS + 1, 2):
            x = self.margin + round(length * stop / FALSE_COLOUR_STOPS)
            anchor = "la" if stop == 0 else "ra" if stop == FALSE_COLOUR_STOPS else "ma"
            self.pen.text((x, y), ev_label(stop - FALSE_COLOUR_STOPS), font=self.small, fill=QUIET, anchor=anchor)
        return y + round(self.small.size)


def _resize(picture: Picture, size: tuple[int, int]) -> Picture:
    """Shrink by area; enlarge by whole blocks, so that small pictures stay honest."""
    height, width = size
    method = cv2.INTER_AREA if height < picture.shape[0] else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method), dtype=np.uint8)


def _font(size: int) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(max(1, size)))
