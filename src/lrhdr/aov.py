"""A second EXR sequence with what the vote saw: for compositors who repair a frame, and for who studies the method.

Layers, by the names that `--aov` takes:

    votes        votes.NAME, one channel per candidate: its share of the pixel; they sum to 1
    candidates   candidate_NAME.R/G/B: the candidate's picture, in the colour space and scale of the frame itself
    confidence   confidence.Y: how far the chosen candidates agree, 0 where every exposure clips

NAME is a frame of the window (`reference`, `before1`, `after1`, ...), an interpolated frame (`interpolated1`, ...) or a
calibrated one (`calibrated_reference`, `calibrated1`, ...); see `docs/conventions.md` for their order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.pipeline import HdrFrame
from lrhdr.radiometry import CLIP_END, CLIP_START

LAYERS = ("votes", "candidates", "confidence")

_FLOOR = 2.0**-10  # radiance below which a difference is noise and not a disagreement; chosen by us
_STOPS_PER_HALVING = 0.25  # confidence halves for every quarter stop of disagreement; chosen by us
_LUMINANCE_709 = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)


def parse_layers(text: str | None) -> tuple[str, ...]:
    """The layers that a person names, "votes,confidence"; none for None.

    Raises:
        InputError: an unknown name.
    """
    names = tuple(dict.fromkeys(word.strip() for word in (text or "").split(",") if word.strip()))
    unknown = [name for name in names if name not in LAYERS]
    if unknown or (text is not None and not names):
        raise InputError(f"aov: expected some of {', '.join(LAYERS)}, found {text!r}")
    return tuple(name for name in LAYERS if name in names)


def layers_of(
    frame: HdrFrame, names: tuple[str, ...], to_file: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """The layers of a frame.

    Args:
        frame: with its maps.
        names: some of `LAYERS`.
        to_file: brings radiance, (H, W, 3), to the colour space and scale of the files.

    Returns:
        What `encode_exr_layers` takes.

    Raises:
        InputError: the method does not vote.
    """
    if frame.weights is None or frame.candidates is None:
        raise InputError("aov: this method has no votes and candidates, expected the network")
    titles = candidate_names((len(frame.window) + 1) // 2, frame.weights.shape[0])
    layers: dict[str, NDArray[np.float32]] = {}
    if "votes" in names:
        layers |= {f"votes.{title}": frame.weights[i] for i, title in enumerate(titles)}
    if "candidates" in names:
        layers |= {f"candidate_{title}": to_file(frame.candidates[i]) for i, title in enumerate(titles)}
    if "confidence" in names:
        layers["confidence.Y"] = confidence(frame.radiance, frame.weights, frame.candidates)
    return layers


def candidate_names(n_exposures: int, n_candidates: int) -> tuple[str, ...]:
    """Channel names of the candidates, in the order of the weights.

    Args:
        n_exposures: N_e.
        n_candidates: 4 N_e - 2, or 3 N_e - 2 without calibrated frames.
    """
    n = n_exposures
    names = [f"before{n - 1 - i}" if i < n - 1 else f"after{i - n + 1}" for i in range(2 * n - 1)]
    names[n - 1] = "reference"
    names += [f"interpolated{k}" for k in range(1, n)]
    names += ["calibrated_reference", *(f"calibrated{k}" for k in range(1, n))]
    return tuple(names[:n_candidates])


def confidence(
    radiance: NDArray[np.float32], weights: NDArray[np.float32], candidates: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How far a pixel can be believed: do its candidates agree, and does any exposure hold it?

    `2^(-4 s) · c`: s is the spread of the candidates' luminance around the result in stops, root mean square weighted
    by the votes (darkness below 2^-10 counts as equal); c falls from 1 to 0 where the brightest channel of the result
    nears the saturation of the shortest exposure. A guide for the eye, not a probability.

    Args:
        radiance: (H, W, 3), the result, 1.0 = saturation of the shortest exposure.
        weights: (K, H, W), the vote.
        candidates: (K, H, W, 3), linear radiance.

    Returns:
        (H, W) float32 in [0, 1].
    """

    def stops(image: NDArray[Any]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = np.log2(np.maximum(image @ _LUMINANCE_709, 0) + np.float32(_FLOOR))
        return result

    spread = np.sqrt((weights * (stops(candidates) - stops(radiance)) ** 2).sum(axis=0))
    code = np.clip(radiance.max(axis=2), 0, 1) ** np.float32(1 / 2.2)
    unclipped = np.clip((CLIP_END - code) / (CLIP_END - CLIP_START), 0, 1)
    smooth = unclipped * unclipped * (3 - 2 * unclipped)
    result: NDArray[np.float32] = (np.exp2(-spread / _STOPS_PER_HALVING) * smooth).astype(np.float32)
    return result
