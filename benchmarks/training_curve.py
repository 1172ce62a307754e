"""Draw a run's `log.csv` as a PNG: validation PSNR_T of network, reference and oracle candidate, and training loss.

python benchmarks/training_curve.py runs/compact-2exp/log.csv docs/models/compact-2exp-curve.png
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, MARGIN = 900, 420, 64
COLOURS = {"network": "#0072b2", "oracle candidate": "#009e73", "loss": "#999999"}


def main() -> None:
    with Path(sys.argv[1]).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    steps = [int(r["step"]) for r in rows]
    curves = {
        "network": [(int(r["step"]), float(r["val_psnr"])) for r in rows if r["val_psnr"]],
        "oracle candidate": [(int(r["step"]), float(r["val_oracle"])) for r in rows if r["val_oracle"]],
    }
    values = [v for curve in curves.values() for _, v in curve]
    low, high = int(min(values)) - 1, int(max(values)) + 2
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(16)

    def x(step: float) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * step / max(steps)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - low) / (high - low)

    for value in range(low, high + 1):
        draw.line([(MARGIN, y(value)), (WIDTH - MARGIN, y(value))], fill="#e5e5e5")
        draw.text((MARGIN - 8, y(value)), str(value), fill="black", font=font, anchor="rm")
    for step in range(0, max(steps) + 1, 1000):
        draw.text((x(step), HEIGHT - MARGIN + 8), str(step), fill="black", font=font, anchor="ma")
    for i, (name, curve) in enumerate(curves.items()):
        points = [(x(s), y(v)) for s, v in curve]
        draw.line(points, fill=COLOURS[name], width=3)
        for px, py in points:
            draw.ellipse([px - 4, py - 4, px + 4, py + 4], fill=COLOURS[name])
        draw.text((MARGIN + 8 + 200 * i, 16), name, fill=COLOURS[name], font=font)
    losses = [float(r["recon"]) for r in rows]
    smooth = [sum(losses[max(0, i - 9) : i + 1]) / len(losses[max(0, i - 9) : i + 1]) for i in range(len(losses))]
    top = max(smooth)
    points = [(x(s), HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * v / top) for s, v in zip(steps, smooth, strict=True)]
    draw.line(points, fill=COLOURS["loss"], width=1)
    draw.text((MARGIN + 408, 16), f"training L1, T domain (top = {top:.4f})", fill=COLOURS["loss"], font=font)
    draw.text((WIDTH / 2, HEIGHT - 20), "step", fill="black", font=font, anchor="mm")
    draw.text((8, 16), "dB", fill="black", font=font)
    image.save(sys.argv[2], optimize=True)


if __name__ == "__main__":
    main()
