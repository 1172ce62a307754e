"""What the page is told besides pixels: candidates and their colours, settings, scales, display exposure."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lrhdr._version import __version__
from lrhdr.pictures import Candidate, candidates, preview_exposure, viridis
from lrhdr.radiometry import CLIP_END
from lrhdr.viewer.statistics import DARK

SCALES = {
    "shortest": "1.0 is the saturation of the shortest exposure",
    "scene": "1.0 is the white of the longest exposure",
}

_SPARE = ((204, 121, 167), (0, 158, 115), (230, 159, 0), (86, 180, 233), (213, 94, 0), (240, 228, 66))
"""Okabe and Ito's colours, for candidates that have no fixed one."""


def describe_candidates(window_exposures: Sequence[float], count: int) -> list[dict[str, Any]]:
    """Names, families and colours of the candidates of a frame.

    Args:
        window_exposures: relative exposures of the window's 2 N_e - 1 frames.
        count: candidates that the method has. Those beyond the ones that `pictures.candidates` knows get a number.
    """
    n = (len(window_exposures) + 1) // 2
    known = candidates(n, window_exposures, count)
    if count not in (4 * n - 2, 3 * n - 2):
        frames = known[: 2 * n - 1]
        known = (
            *frames,
            *(Candidate(f"candidate {k + 1}", "made", _SPARE[k % len(_SPARE)]) for k in range(len(frames), count)),
        )
    return [asdict(entry) for entry in known]


def common(
    title: str, subtitle: str, kind: str, size: tuple[int, int], samples: Iterable[NDArray[Any]]
) -> dict[str, Any]:
    """What every page has.

    Args:
        title: heading.
        subtitle: one line below it.
        kind: "report", "view" or "compare".
        size: (height, width) of the frames as the page shows them.
        samples: a few frames, (H, W, 3) linear, that set the first display exposure.
    """
    ramp = viridis(np.linspace(0.0, 1.0, 256, dtype=np.float32)[None])[0]
    return {
        "kind": kind,
        "title": title,
        "subtitle": subtitle,
        "size": list(size),
        "displayExposure": preview_exposure(samples),
        "viridis": ramp.tolist(),
        "clipped": CLIP_END,
        "black": DARK,
        "version": __version__,
    }


def setting_rows(settings: Mapping[str, Any]) -> list[list[str]]:
    """A run's settings as rows of label and value, for reading; empty ones are left out."""
    rows = []
    for key, value in settings.items():
        if value in (None, "", False, []):
            continue
        if isinstance(value, float):
            shown = f"{value:g}"
        elif isinstance(value, list | tuple):
            shown = ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
        elif isinstance(value, Mapping):
            shown = ", ".join(f"{k} {v}" for k, v in value.items())
        else:
            shown = str(value)
        rows.append([key.replace("_", " "), shown])
    return rows


def versions() -> list[list[str]]:
    """Versions of what computes the numbers."""
    return [
        ["lrhdr", __version__],
        ["PyTorch", str(torch.__version__)],
        ["NumPy", np.__version__],
        ["Python", platform.python_version()],
        ["system", f"{platform.system()} {platform.machine()}"],
    ]
