"""Worst-case contact sheets of an evaluation: where a method fails, what it saw, and what it chose.

`WorstFrames` is given to `lrhdr.evaluation.evaluate` as `keep`. It remembers, for each set, alternation and method, the
frame with the lowest PSNR_T of each of the worst clips, already drawn small, so that memory does not grow with the
footage. `lrhdr evaluate` gives it to a second evaluation, of the frames that `evaluation_drawing.worst_frames` chose
from finished scores: those of all methods at once, among which each method's own are found here.

`write_sheets` makes one PNG per method: per frame the input, the result, the truth, the error in T on a fixed scale,
the vote, the oracle's choice among the same candidates, and how many candidates share each pixel.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lrhdr.io.images import write_png
from lrhdr.pictures import (
    Candidate,
    Colour,
    Picture,
    candidates,
    display,
    ev_label,
    preview_exposure,
    stops_label,
    to_bytes,
    viridis,
    vote_map,
)
from lrhdr.report import BACKGROUND, QUIET, TEXT
from lrhdr.scores import FrameRecord
from lrhdr.scoring import FrameParts
from lrhdr.tonemap import mu_law

ERROR_TOP = 0.2
"""T-domain error at the top of the colour scale; larger errors look the same."""

_COLUMNS = 6
_CELL = 300  # pixels a cell is wide on the sheet
_MARGIN, _GUTTER = 36, 12
_SUPPORT_SHADES = (0.05, 0.4, 0.7, 0.95)  # of viridis: 1, 2, 3, and 4 or more candidates
_LEAST_WEIGHT = 1e-3  # a smaller share of a pixel does not count as support

SheetKey = tuple[str, tuple[float, ...], str, bool]
"""Set, stops, method, composite: what a sheet is of."""


@dataclass(frozen=True)
class Cell:
    """One small picture with its caption."""

    picture: Picture
    caption: str


@dataclass(frozen=True)
class DrawnFrame:
    """One frame of a sheet.

    Attributes:
        record: its scores.
        rows: rows of cells.
        legend: candidates that appear in its maps.
    """

    record: FrameRecord
    rows: tuple[tuple[Cell, ...], ...]
    legend: tuple[Candidate, ...]

    @property
    def psnr(self) -> float:
        """PSNR_T, dB."""
        return self.record.metrics["psnr_t"]


def _array(image: Tensor) -> NDArray[np.float32]:
    """(3, H, W) to (H, W, 3)."""
    return np.asarray(image.detach().float().permute(1, 2, 0).cpu().numpy(), dtype=np.float32)


def _small(picture: Picture) -> Picture:
    """Shrink to the width of a cell; enlarge by whole blocks, so that small pictures stay honest."""
    height, width = picture.shape[:2]
    goal = (_CELL, max(1, round(height * _CELL / width)))
    method = cv2.INTER_AREA if width > _CELL else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, goal, interpolation=method), dtype=np.uint8)


def error_map(hdr: Tensor, truth: Tensor) -> Picture:
    """Error in T, mean over channels, as colour: dark is 0, yellow is `ERROR_TOP` and more.

    Args:
        hdr: (3, H, W), linear.
        truth: same shape.

    Returns:
        (H, W, 3) uint8.
    """
    error = (mu_law(hdr) - mu_law(truth)).abs().mean(dim=0)
    return viridis(np.asarray((error / ERROR_TOP).clamp(0.0, 1.0).cpu().numpy(), dtype=np.float32))


def support_map(weights: Tensor) -> Picture:
    """Candidates that share each pixel, (K, H, W) to (H, W, 3) uint8: 1, 2, 3, and 4 or more from dark to bright."""
    count = (weights > _LEAST_WEIGHT).sum(dim=0).clamp(1, len(_SUPPORT_SHADES)) - 1
    shades = np.array(_SUPPORT_SHADES, dtype=np.float32)
    return viridis(shades[count.cpu().numpy()])


def _choice_map(choice: Tensor, entries: Sequence[Candidate]) -> Picture:
    """(H, W) indices to the candidates' colours."""
    palette = np.array([e.colour for e in entries], dtype=np.uint8)
    return np.asarray(palette[choice.cpu().numpy()], dtype=np.uint8)


def draw_frame(record: FrameRecord, parts: FrameParts) -> DrawnFrame:
    """Draw everything that a sheet shows of one frame.

    Args:
        record: its scores, with `psnr_t`.
        parts: what the method saw, made, and chose from.

    Returns:
        Cells at the size of the sheet.
    """
    exposures = [float(e) for e in parts.exposures]
    centre = len(exposures) // 2
    truth = _array(parts.truth)
    ev = preview_exposure([truth])
    inputs = tuple(
        Cell(_small(to_bytes(_array(frame))), _input_caption(i - centre, exposure))
        for i, (frame, exposure) in enumerate(zip(parts.window, exposures, strict=True))
    )
    shown = f"shown at {ev_label(ev)}"
    results = [
        Cell(_small(display(_array(parts.hdr), ev)), f"Result, {shown}"),
        Cell(_small(display(truth, ev)), f"Truth, {shown}"),
        Cell(_small(error_map(parts.hdr, parts.truth)), "Error in T"),
    ]
    entries = candidates(centre + 1, exposures, parts.candidates.shape[0])
    legend: tuple[Candidate, ...] = ()
    # Candidates that have no name here (other networks' own) have no colour either.
    if len(entries) == parts.candidates.shape[0] > 1:
        legend = entries
        if parts.weights is not None:
            weights = parts.weights.float()
            results.append(Cell(_small(vote_map(weights.cpu().numpy(), entries)), "Vote"))
        same = "of the same" if parts.weights is not None else "without a network"
        results.append(Cell(_small(_choice_map(parts.choice, entries)), f"Oracle's choice {same}"))
        if parts.weights is not None:
            mean = float((parts.weights > _LEAST_WEIGHT).sum(dim=0).float().mean())
            results.append(Cell(_small(support_map(parts.weights)), f"Candidates per pixel, mean {mean:.2f}"))
    return DrawnFrame(record, (inputs, tuple(results)), legend)


def _input_caption(offset: int, exposure: float) -> str:
    name = {0: "Reference", -1: "Previous", 1: "Next"}.get(offset, f"Frame t{offset:+d}")
    return f"{name}, {stops_label(exposure)}"


class WorstFrames:
    """Keeps the worst frames while an evaluation runs; pass it as `keep`.

    Args:
        count: clips per sheet; of each clip only the worst frame is shown, or neighbours would fill the sheet.
        methods: names of methods to keep; None for all but the oracles, which need no explanation.
    """

    def __init__(self, count: int = 4, methods: Container[str] | None = None) -> None:
        if count < 1:
            raise ValueError(f"worst frames: expected a count of 1 or more, found {count}")
        self.count = count
        self._methods = methods
        self._kept: dict[SheetKey, dict[str, DrawnFrame]] = {}

    def __call__(self, record: FrameRecord, parts: FrameParts) -> None:
        """Take note of a frame."""
        wanted = not record.method.startswith("oracle") if self._methods is None else record.method in self._methods
        if not wanted or "psnr_t" not in record.metrics:
            return
        kept = self._kept.setdefault((record.group, record.stops, record.method, record.composite), {})
        psnr = record.metrics["psnr_t"]
        if record.clip in kept:
            if psnr < kept[record.clip].psnr:
                kept[record.clip] = draw_frame(record, parts)
            return
        if len(kept) == self.count:
            best = max(kept, key=lambda clip: kept[clip].psnr)
            if psnr >= kept[best].psnr:
                return
            del kept[best]
        kept[record.clip] = draw_frame(record, parts)

    def frames(self, key: SheetKey) -> list[DrawnFrame]:
        """The kept frames of a sheet, the worst first."""
        return sorted(self._kept.get(key, {}).values(), key=lambda f: f.psnr)

    def __iter__(self) -> Iterator[SheetKey]:
        """What there are sheets of, in the order of the evaluation."""
        return iter(self._kept)


def sheet_name(key: SheetKey) -> str:
    """File name of a sheet, without suffix: "worst-video-stops-0-3-lrhdr"."""
    group, stops, method, composite = key
    words = ["worst", group, "stops", *(f"{s:g}" for s in stops), method, *(["composite"] if composite else [])]
    return re.sub(r"[^A-Za-z0-9.+_-]+", "-", "-".join(words))


def write_sheets(worst: WorstFrames, folder: Path | str) -> list[Path]:
    """Write every sheet as PNG.

    Args:
        worst: filled by an evaluation.
        folder: exists.

    Returns:
        The files.

    Raises:
        OutputError: a file cannot be written.
    """
    files = []
    for key in worst:
        path = Path(folder) / f"{sheet_name(key)}.png"
        write_png(path, worst_sheet(key, worst.frames(key)))
        files.append(path)
    return files


def worst_sheet(key: SheetKey, frames: Sequence[DrawnFrame]) -> Picture:
    """One sheet.

    Args:
        key: what it is of.
        frames: the worst first, at least one.

    Returns:
        (height, width, 3) uint8.
    """
    group, stops, method, composite = key
    page = _Page()
    pasted = ", reference pasted where well exposed" if composite else ""
    page.text(f"{method}: worst frames of {group}", page.large, TEXT)
    page.text(
        f"Stops {', '.join(f'{s:g}' for s in stops)}{pasted}. The lowest PSNR_T of each clip.", page.medium, QUIET
    )
    for frame in frames:
        page.y += _GUTTER
        page.rule()
        record = frame.record
        ends = ", at an end of the clip" if record.boundary else ""
        numbers = f"PSNR_T {frame.psnr:.2f} dB"
        if "ssim_t" in record.metrics:
            numbers += f", SSIM_T {record.metrics['ssim_t']:.3f}"
        page.text(
            f"{record.clip}, frame {record.index}, {record.reference} reference{ends}: {numbers}", page.medium, TEXT
        )
        for row in frame.rows:
            page.row(row)
    page.y += _GUTTER
    page.rule()
    page.error_scale()
    if any("Candidates" in cell.caption for frame in frames for row in frame.rows for cell in row):
        page.support_scale()
    page.swatches(_named_colours([frame.legend for frame in frames]))
    return page.cut()


def _named_colours(legends: Sequence[Sequence[Candidate]]) -> list[tuple[str, Colour]]:
    """One name per colour for frames whose reference has different exposures: names without exposures, numbered."""
    first: dict[Colour, str] = {}
    for entry in (entry for legend in legends for entry in legend):
        prefix = "calibrated " if entry.family == "calibrated" else ""
        first.setdefault(entry.colour, prefix + entry.name.split(" (")[0])
    names = list(first.values())
    numbered = [f"{n} {names[: i + 1].count(n)}" if names.count(n) > 1 else n for i, n in enumerate(names)]
    return list(zip(numbered, first, strict=True))


class _Page:
    """A dark page that is filled from top to bottom."""

    def __init__(self) -> None:
        self.width = 2 * _MARGIN + _COLUMNS * _CELL + (_COLUMNS - 1) * _GUTTER
        self.large, self.medium, self.small = (_font(s) for s in (34, 22, 18))
        self.image = Image.new("RGB", (self.width, 4000), BACKGROUND)
        self.y = _MARGIN

    @property
    def pen(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.image)

    def _room(self, height: int) -> None:
        """Make the page longer where needed."""
        if self.y + height + _MARGIN > self.image.height:
            longer = Image.new("RGB", (self.width, self.image.height + height + 4000), BACKGROUND)
            longer.paste(self.image, (0, 0))
            self.image = longer

    def text(self, words: str, font: ImageFont.FreeTypeFont, colour: Colour, x: int = _MARGIN) -> None:
        self._room(2 * round(font.size))
        self.pen.text((x, self.y), words, font=font, fill=colour, anchor="la")
        self.y += round(1.4 * font.size)

    def rule(self) -> None:
        self.pen.line((_MARGIN, self.y, self.width - _MARGIN, self.y), fill=(70, 72, 78), width=1)
        self.y += _GUTTER

    def row(self, cells: Sequence[Cell]) -> None:
        """Cells from the left; more than fit go to the next line."""
        for start in range(0, len(cells), _COLUMNS):
            line = cells[start : start + _COLUMNS]
            tall = max(cell.picture.shape[0] for cell in line)
            self._room(tall + 40)
            for i, cell in enumerate(line):
                x = _MARGIN + i * (_CELL + _GUTTER)
                self.image.paste(Image.fromarray(cell.picture), (x, self.y))
                self.pen.text((x, self.y + tall + 6), cell.caption, font=self.small, fill=QUIET, anchor="la")
            self.y += tall + 36

    def error_scale(self) -> None:
        self._room(90)
        self.text("Error, mean over channels of |T(H) - T(H*)|", self.small, TEXT)
        length = 2 * _CELL
        ramp = np.broadcast_to(np.linspace(0.0, 1.0, length, dtype=np.float32), (18, length))
        self.image.paste(Image.fromarray(viridis(ramp)), (_MARGIN, self.y))
        self.y += 24
        for part in range(5):
            value = ERROR_TOP * part / 4
            anchor = ("la", "ma", "ma", "ma", "ra")[part]
            label = f"{value:g}" + (" and more" if part == 4 else "")
            self.pen.text((_MARGIN + length * part // 4, self.y), label, font=self.small, fill=QUIET, anchor=anchor)
        self.y += 32

    def support_scale(self) -> None:
        self.text("Candidates that share a pixel", self.small, TEXT)
        names = [str(n + 1) for n in range(len(_SUPPORT_SHADES))]
        names[-1] += " or more"
        colours = viridis(np.array([_SUPPORT_SHADES], dtype=np.float32))[0]
        self._chips([(name, (int(c[0]), int(c[1]), int(c[2]))) for name, c in zip(names, colours, strict=True)])

    def swatches(self, legend: Sequence[tuple[str, Colour]]) -> None:
        if legend:
            self.text("Candidates; colours mix where several share a pixel", self.small, TEXT)
            self._chips(legend)

    def _chips(self, chips: Sequence[tuple[str, Colour]]) -> None:
        """Coloured boxes with names, in lines."""
        x = _MARGIN
        self._room(40)
        for name, colour in chips:
            wide = 34 + round(self.small.getlength(name)) + 28
            if x + wide > self.width - _MARGIN:
                x = _MARGIN
                self.y += 30
                self._room(40)
            self.pen.rectangle((x, self.y, x + 26, self.y + 18), fill=colour)
            self.pen.text((x + 34, self.y + 9), name, font=self.small, fill=QUIET, anchor="lm")
            x += wide
        self.y += 36

    def cut(self) -> Picture:
        return np.asarray(self.image.crop((0, 0, self.width, self.y + _MARGIN // 2)), dtype=np.uint8)


def _font(size: int) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))
