"""A camera raw file (DNG 1.4) that the tests write themselves: RGGB mosaic, linear, known black and white level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

BLACK, WHITE = 256, 4095
_SRGB_FROM_XYZ = (3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570)


def write_dng(
    path: Path, linear: np.ndarray, seconds: float, neutral: tuple[float, float, float] = (0.5, 1, 2 / 3)
) -> None:
    """Write sensor values.

    Args:
        path: the file.
        linear: (H, W, 3), what each colour of the sensor collected, 1 = full; H and W even.
        seconds: exposure time for the tags.
        neutral: what the sensor sees of white ("as shot" neutral): its inverse is the white balance.
    """
    codes = np.rint(BLACK + linear.clip(0.0, 1.0) * (WHITE - BLACK)).astype(np.uint16)
    mosaic = codes[..., 1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = codes[0::2, 0::2, 0], codes[1::2, 1::2, 2]

    def rational(values: tuple[float, ...]) -> list[int]:
        return [part for value in values for part in (round(value * 10_000), 10_000)]

    tags = [
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, bytes([0, 1, 1, 2]), True),  # CFAPattern
        (33434, "2I", 1, (round(seconds * 1_000_000), 1_000_000), True),  # ExposureTime
        (50706, "B", 4, bytes([1, 4, 0, 0]), True),  # DNGVersion
        (50708, "s", 0, "LRHDR test", True),  # UniqueCameraModel
        (50714, "H", 1, BLACK, True),  # BlackLevel
        (50717, "I", 1, WHITE, True),  # WhiteLevel
        (50721, "2i", 9, rational(_SRGB_FROM_XYZ), True),  # ColorMatrix1
        (50728, "2I", 3, rational(neutral), True),  # AsShotNeutral
        (50778, "H", 1, 21, True),  # CalibrationIlluminant1: D65
    ]
    tifffile.imwrite(path, mosaic, photometric=32803, extratags=tags, metadata=None)
