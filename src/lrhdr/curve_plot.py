"""A picture of a response curve: light in stops below saturation over code value, per channel, beside gamma 2.2."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIZE = (960, 640)
STOPS = 12
"""Stops below saturation that the plot shows."""

_MARGIN = (70, 50, 30, 60)  # left, top, right, bottom
_INK, _GRID, _REFERENCE, _PAPER = (40, 40, 40), (222, 222, 222), (150, 150, 150), (255, 255, 255)
_CHANNELS = (("red", (200, 40, 40)), ("green", (20, 140, 70)), ("blue", (40, 80, 200)))


def plot_curve(
    curve: NDArray[np.floating], title: str, covered: tuple[float, float] | None = None
) -> NDArray[np.uint8]:
    """Draw a response.

    Args:
        curve: (n, 3), linear light of evenly spaced codes, 1 at the last.
        title: above the plot.
        covered: (lowest, highest) code that was measured; what lies outside is shaded.

    Returns:
        (640, 960, 3) uint8.
    """
    image = Image.new("RGB", SIZE, _PAPER)
    draw = ImageDraw.Draw(image)
    font, small = ImageFont.load_default(18), ImageFont.load_default(14)
    left, top, right, bottom = _MARGIN[0], _MARGIN[1], SIZE[0] - _MARGIN[2], SIZE[1] - _MARGIN[3]

    def place(code: float, light: float) -> tuple[float, float]:
        stops = max(-float(STOPS), float(np.log2(max(light, 2.0**-STOPS))))
        return left + code * (right - left), top - stops / STOPS * (bottom - top)

    if covered is not None:
        for first, last in ((0.0, covered[0]), (covered[1], 1.0)):
            draw.rectangle((place(first, 1.0), (place(last, 1.0)[0], bottom)), fill=(244, 244, 244))
    for stop in range(0, STOPS + 1, 2):
        y = place(0.0, 2.0**-stop)[1]
        draw.line((left, y, right, y), fill=_GRID)
        draw.text((left - 10, y), f"{-stop}", font=small, fill=_INK, anchor="rm")
    for code in np.linspace(0.0, 1.0, 6):
        x = place(float(code), 1.0)[0]
        draw.line((x, top, x, bottom), fill=_GRID)
        draw.text((x, bottom + 8), f"{code:.1f}", font=small, fill=_INK, anchor="mt")
    codes = np.linspace(0.0, 1.0, len(curve))
    draw.line([place(float(c), float(c) ** 2.2) for c in codes], fill=_REFERENCE, width=2)
    for channel, (_, colour) in enumerate(_CHANNELS):
        draw.line([place(float(c), float(v)) for c, v in zip(codes, curve[:, channel], strict=True)], colour, 3)
    for row, (name, colour) in enumerate((*_CHANNELS, ("gamma 2.2", _REFERENCE))):
        y = bottom - 96 + 22 * row
        draw.line((right - 130, y, right - 100, y), fill=colour, width=3)
        draw.text((right - 92, y), name, font=small, fill=_INK, anchor="lm")
    draw.text((left, 16), title, font=font, fill=_INK)
    draw.text(((left + right) / 2, SIZE[1] - 12), "code value", font=small, fill=_INK, anchor="mb")
    draw.text((12, top - 8), "stops", font=small, fill=_INK, anchor="lb")
    return np.asarray(image, dtype=np.uint8)
