"""A camera's response curve from a static bracket: Debevec and Malik's least squares, made monotone.

P. Debevec and J. Malik, "Recovering High Dynamic Range Radiance Maps from Photographs", SIGGRAPH 1997, eq. 3: find
`g = ln f^-1` and the log light E of some pixels so that `g(Z_ij) = ln E_i + ln t_j` for pixel i in frame j, weighted by
a hat that distrusts both ends of the range, with a smoothness term on g''. What differs here:

- `g` lies on 256 knots and is interpolated between them, so that 8- and 16-bit frames are treated alike;
- steps of g below `LEAST_STEP` are pushed up by further equations until none is left: a response cannot fall;
- pixels are medians of 5 x 5 in flat places, spread over the range of brightness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError

KNOTS = 256
"""Knots of a curve, evenly spaced codes from 0 to 1."""

SMOOTHNESS = 30.0
"""Weight of g'' (lambda of eq. 3). Chosen by us: enough for 8-bit noise; OpenCV's default is 10 for its own weights."""

LEAST_STEP = 1e-4
"""Least growth of g from knot to knot, natural log. Chosen by us: 1 % of what a gamma of 2.2 has at its flattest."""

SAMPLES = 300
"""Pixels in use, at most."""

_FLAT_WINDOW = 5
_ROUNDS = 60


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a bracket says of its camera.

    Attributes:
        curve: (256, 3) float64, linear light of evenly spaced codes, R, G, B; 1 at the last.
        seconds: exposure time of each frame, as given.
        samples: how many pixels were used.
        residual: root mean square of the misfit of eq. 3 in stops, over well-exposed samples.
        covered: (lowest, highest) code that was seen well-exposed; beyond it the curve is extrapolated.
    """

    curve: NDArray[np.float64]
    seconds: tuple[float, ...]
    samples: int
    residual: float
    covered: tuple[float, float]


def calibrate(frames: Sequence[NDArray[np.float32]], seconds: Sequence[float]) -> Calibration:
    """Estimate a response curve.

    Args:
        frames: a still scene from a tripod, (H, W, 3) codes in [0, 1] each, all else than the exposure equal.
        seconds: exposure time of each (any unit); at least two different ones.

    Returns:
        The curve of each channel.

    Raises:
        InputError: fewer than two frames or exposures, sizes differ, times that are not above 0, too few pixels that
            two exposures hold, or frames that get darker with longer exposure (times in the wrong order).
    """
    if len(frames) != len(seconds):
        raise InputError(f"calibrate: found {len(frames)} frames and {len(seconds)} exposures, expected one for each")
    if len(frames) < 2 or max(seconds) <= 1.01 * min(seconds) or min(seconds) <= 0:
        raise InputError(f"calibrate: expected at least two exposures above 0, found {list(seconds)}")
    if len({f.shape for f in frames}) != 1:
        raise InputError("calibrate: expected frames of one size")
    order = np.argsort(seconds)
    times = np.log(np.asarray(seconds, np.float64)[order])
    codes = _samples([frames[i] for i in order])
    if len(codes) < 10:
        raise InputError(f"calibrate: found {len(codes)} flat, well-exposed places, expected at least 10")
    rise = np.median(np.diff(codes.mean(axis=2), axis=1))
    if rise < 0:
        raise InputError("calibrate: found frames that get darker with longer exposure; are the times in order?")
    logs, errors = [], []
    for channel in range(3):
        g, misfit = _solve(codes[:, :, channel], times)
        logs.append(g)
        errors.append(misfit)
    curve = np.exp(np.stack(logs, axis=1))
    seen = codes[(codes > 0.02) & (codes < 0.98)]
    return Calibration(
        curve / curve[-1],
        tuple(float(s) for s in seconds),
        len(codes),
        float(np.sqrt(np.mean(np.square(np.concatenate(errors)))) / np.log(2.0)),
        (float(seen.min()), float(seen.max())),
    )


def _samples(frames: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Codes of well-spread flat places, (pixels, frames, 3), frames by rising exposure."""
    stack = np.stack([np.stack([cv2.medianBlur(f[..., c], _FLAT_WINDOW) for c in range(3)], axis=2) for f in frames])
    middle = stack[len(stack) // 2].mean(axis=2)
    kernel = np.ones((_FLAT_WINDOW, _FLAT_WINDOW), np.uint8)
    grey = stack.mean(axis=3)
    # Flat in every frame: an edge that moves by a pixel changes the code.
    uneven = np.max([cv2.dilate(g, kernel) - cv2.erode(g, kernel) for g in grey], axis=0)
    held = ((grey > 0.03) & (grey < 0.97)).sum(axis=0) >= 2
    margin = _FLAT_WINDOW // 2
    held[:margin], held[-margin:], held[:, :margin], held[:, -margin:] = False, False, False, False
    places = np.flatnonzero(held)
    if not len(places):
        return np.empty((0, len(frames), 3))
    # The flattest places of each step of brightness, so that every code is seen somewhere.
    steps = np.minimum((middle.reshape(-1)[places] * 32).astype(int), 31)
    chosen: list[NDArray[np.intp]] = []
    occupied = np.unique(steps)
    each = max(1, SAMPLES // len(occupied))
    for step in occupied:
        here = places[steps == step]
        flattest = here[np.argsort(uneven.reshape(-1)[here], kind="stable")[: 8 * each]]
        chosen.append(flattest[:: max(1, len(flattest) // each)][:each])
    index = np.concatenate(chosen)
    return stack.reshape(len(frames), -1, 3)[:, index].transpose(1, 0, 2).astype(np.float64)


def _solve(codes: NDArray[np.float64], times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eq. 3 for one channel: ln light at the knots, and the misfit of the well-exposed samples."""
    pixels, frames = codes.shape
    position = codes.clip(0.0, 1.0) * (KNOTS - 1)
    first = np.minimum(position.astype(int), KNOTS - 2)
    part = position - first
    weight = np.minimum(codes, 1.0 - codes).clip(0.0, None) * 2.0  # the paper's hat, eq. 4
    weight[(codes < 0.01) | (codes > 0.99)] = 0.0
    rows = pixels * frames
    equations = np.zeros((rows + KNOTS - 1, KNOTS + pixels))
    target = np.zeros(len(equations))
    w = weight.reshape(-1)
    index = np.arange(rows)
    equations[index, first.reshape(-1)] = w * (1.0 - part.reshape(-1))
    equations[index, first.reshape(-1) + 1] = w * part.reshape(-1)
    equations[index, KNOTS + index // frames] = -w
    target[:rows] = w * np.tile(times, pixels)
    equations[rows, KNOTS // 2] = 1.0  # the scale is free: g = 0 in the middle
    knots = np.arange(1, KNOTS - 1)
    bend = SMOOTHNESS * np.maximum(np.minimum(knots, KNOTS - 1 - knots) / (KNOTS / 2), 0.02)
    lines = rows + 1 + np.arange(KNOTS - 2)
    equations[lines, knots - 1], equations[lines, knots], equations[lines, knots + 1] = bend, -2.0 * bend, bend
    normal, right = equations.T @ equations, equations.T @ target
    # Pixels that no frame holds well have no equation of their own.
    normal[np.diag_indices_from(normal)] += 1e-9
    solution = np.linalg.solve(normal, right)
    stiffness = 1e3 * float(rows) / KNOTS
    pushed = np.zeros(KNOTS - 1, bool)
    for _ in range(_ROUNDS):
        falling = np.diff(solution[:KNOTS]) < 0.5 * LEAST_STEP
        if not (falling & ~pushed).any():
            break
        for k in np.flatnonzero(falling & ~pushed):
            normal[k, k] += stiffness
            normal[k + 1, k + 1] += stiffness
            normal[k, k + 1] -= stiffness
            normal[k + 1, k] -= stiffness
            right[k] -= stiffness * LEAST_STEP
            right[k + 1] += stiffness * LEAST_STEP
        pushed |= falling
        solution = np.linalg.solve(normal, right)
    g = np.maximum.accumulate(solution[:KNOTS])
    residual = (equations[:rows] @ solution - target[:rows]) / np.where(w > 0, w, 1.0)
    return g, residual[w > 0.2]
