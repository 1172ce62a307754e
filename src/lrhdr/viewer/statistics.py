"""Numbers of each frame for the plots, from the files that a run wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lrhdr.colour import to_rec709
from lrhdr.io.images import read_hdr
from lrhdr.metrics.temporal import flicker
from lrhdr.radiometry import CLIP_END

PERCENTILES = (1.0, 50.0, 99.0)

DARK = 2.0 / 255.0
"""Code value up to which all channels must lie for a pixel to count as black: two codes of eight bits."""


def luminance_709(radiance: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """(H, W, 3) linear Rec. 709 to luminance, (H, W)."""
    return np.asarray(radiance.astype(np.float32) @ np.array([0.2126, 0.7152, 0.0722], np.float32), dtype=np.float32)


def read_radiance(path: Path, primaries: str = "bt709") -> NDArray[np.float32]:
    """A linear file as Rec. 709.

    Args:
        path: EXR, HDR or PFM.
        primaries: of the file, a name that `colour.conversion_matrix` knows.

    Returns:
        (H, W, 3).

    Raises:
        InputError: it cannot be read.
    """
    return to_rec709(read_hdr(path), primaries)


def clip_statistics(
    paths: Iterable[Path], primaries: str = "bt709", step: Callable[[], None] | None = None
) -> list[dict[str, Any]]:
    """Luminance and change of every frame of a clip.

    Args:
        paths: EXR files of consecutive frames.
        primaries: of the files, as in `read_radiance`.
        step: called after every frame.

    Returns:
        Per frame: `luminance`, its percentiles (`PERCENTILES`), linear; `mean`, its mean; `flicker`, the mean absolute
        difference of T(H) to the frame before (`metrics.temporal.flicker`), None for the first.

    Raises:
        InputError: a frame cannot be read.
    """
    rows: list[dict[str, Any]] = []
    before: torch.Tensor | None = None
    for path in paths:
        image = read_radiance(path, primaries)
        light = luminance_709(image)
        now = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        same = before is not None and before.shape == now.shape
        rows.append(
            {
                "luminance": [float(v) for v in np.percentile(light, PERCENTILES)],
                "mean": float(light.mean(dtype=np.float64)),
                "flicker": float(flicker(torch.stack((before, now)))) if same and before is not None else None,
            }
        )
        before = now
        if step is not None:
            step()
    return rows


def clipping(ldr: NDArray[np.floating[Any]]) -> dict[str, float]:
    """Shares of pixels of an input frame with a clipped channel, and with nothing but black.

    Args:
        ldr: (H, W, 3), gamma-encoded in [0, 1].
    """
    return {
        "clipped": float((ldr.max(axis=-1) >= CLIP_END).mean()),
        "black": float((ldr.max(axis=-1) <= DARK).mean()),
    }
