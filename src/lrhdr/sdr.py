"""SDR pictures of linear frames: the package's fixed tone map, or a look (see `lrhdr.io.looks`)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lrhdr.colour import conversion_matrix
from lrhdr.display_light import REFERENCE_WHITE
from lrhdr.io.looks import Look
from lrhdr.tonemap import display_tonemap


@dataclass(frozen=True)
class SdrView:
    """How linear values become an SDR picture; one for a whole clip.

    Attributes:
        primaries: of the values, a name in `colour.CHROMATICITIES`.
        white_luminance: cd/m² of the value 1.0; what a look's reference white goes by.
        exposure_ev: gain in stops before the tone map, or on the light that a view takes.
        look: a LUT on the tone-mapped picture, or a view instead of the tone map; None for neither.
    """

    primaries: str
    white_luminance: float
    exposure_ev: float = 0.0
    look: Look | None = None

    def linear(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W, 3) linear values in Rec. 709; colours outside it are clipped."""
        if self.primaries == "bt709":
            return image
        matrix = conversion_matrix(self.primaries, "bt709").astype(np.float32)
        return np.maximum(np.asarray(cv2.transform(image, matrix), np.float32), 0)

    def picture(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The picture of a frame.

        Args:
            image: (H, W, 3), linear, in the view's primaries.

        Returns:
            (H, W, 3) float32 in [0, 1], display-encoded (sRGB, unless the look does otherwise).
        """
        rgb = self.linear(image)
        if self.look is not None and self.look.takes_light:
            gain = np.float32(self.white_luminance / REFERENCE_WHITE * 2.0**self.exposure_ev)
            return np.clip(self.look.apply(rgb * gain), 0, 1)
        shown: NDArray[np.float32] = display_tonemap(torch.from_numpy(rgb), self.exposure_ev).numpy()
        return shown if self.look is None else np.clip(self.look.apply(shown), 0, 1)
