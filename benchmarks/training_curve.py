"""Draw the logs of a training as a PNG, its stages side by side: PSNR_T of held-out samples.

    python benchmarks/training_curve.py STAGE1.csv STAGE2.csv ... OUTPUT.png

For logs of `lrhdr train` and `lrhdr train-interpolator`. Stages are as wide as they have steps. Samples change between
stages, held-out ones too: heights compare within a stage only, beside the oracle candidate's where there is one. The
training error stands in the logs alone: it follows the samples that are drawn more than what was learnt.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, GAP = 1100, 430, 56, 48, 64, 14
COLOURS = {"val_psnr": "#0072b2", "validation": "#0072b2", "val_oracle": "#009e73"}
NAMES = {"val_psnr": "network", "validation": "interpolated frames", "val_oracle": "oracle candidate"}

Rows = list[dict[str, str]]


def read(path: str) -> Rows:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def curve(rows: Rows, key: str) -> list[tuple[int, float]]:
    return [(int(r["step"]), float(r[key])) for r in rows if r.get(key)]


def stage(draw: ImageDraw.ImageDraw, rows: Rows, left: float, right: float, y: Callable[[float], float]) -> None:
    """One stage's curves between two borders."""
    most = int(rows[-1]["step"])

    for key in COLOURS:
        points = [(left + (right - left) * step / most, y(value)) for step, value in curve(rows, key)]
        draw.line(points, fill=COLOURS[key], width=3)
        for px, py in points:
            draw.ellipse([px - 3, py - 3, px + 3, py + 3], fill=COLOURS[key])


def main() -> None:
    *logs, output = sys.argv[1:]
    stages = [read(path) for path in logs]
    scores = [v for rows in stages for key in COLOURS for _, v in curve(rows, key)]
    low, high = int(min(scores)), int(max(scores)) + 1
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - low) / (high - low)

    for value in range(low, high + 1):
        draw.line([(LEFT, y(value)), (WIDTH - GAP, y(value))], fill="#e5e5e5")
        draw.text((LEFT - 8, y(value)), str(value), fill="black", font=font, anchor="rm")
    steps = [int(rows[-1]["step"]) for rows in stages]
    room = (WIDTH - LEFT - GAP * len(stages)) / sum(steps)
    left = float(LEFT)
    for number, (rows, count) in enumerate(zip(stages, steps, strict=True), start=1):
        right = left + room * count
        draw.rectangle([left, TOP, right, HEIGHT - BOTTOM], outline="#bbbbbb")
        stage(draw, rows, left, right, y)
        below = HEIGHT - BOTTOM + 8
        draw.text(((left + right) / 2, below), str(number), fill="black", font=font, anchor="ma")
        draw.text(((left + right) / 2, below + 18), str(count), fill="black", font=font, anchor="ma")
        left = right + GAP
    draw.text(((LEFT + WIDTH) / 2, HEIGHT - 16), "stages, and their steps", fill="black", font=font, anchor="mm")
    draw.text((8, 16), "dB", fill="black", font=font)
    shown = [key for key in COLOURS if any(curve(rows, key) for rows in stages)]
    across = float(LEFT)
    for key in shown:
        draw.text((across, 16), NAMES[key], fill=COLOURS[key], font=font)
        across += draw.textlength(NAMES[key], font=font) + 28
    image.save(output, optimize=True)


if __name__ == "__main__":
    main()
