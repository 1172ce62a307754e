"""Radiometry, blurs, layout changes and the vote on a strip of rows, in place: the streaming executor's arithmetic.

The functions of `radiometry.py`, `tonemap.py`, `agreement.py` and `entmax.py` make a new full-resolution map per
operation. At 1280x720 most of their time goes into memory that is mapped, filled once and given back. These work
on rows that fit the cache, in arrays that the caller keeps. They take logarithms and exponentials from OpenCV, whose
float32 kernels measured 4 to 9 times faster on a CPU than PyTorch's (0.09 ns per value against 0.4 to 0.8), and whose
errors are a few units in the last place (tested against the functions they stand for).

Layouts: "planar" is (C, rows, W); "interleaved" is (rows, W, C), what PyTorch calls channels_last.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrhdr.filters import gaussian_kernel1d
from lrhdr.radiometry import GAMMA
from lrhdr.tonemap import MU

Array = NDArray[np.float32]

_LOG_MU = math.log1p(MU)
_CACHED = 2**17  # values worked on at once, where a loop goes over them several times; chosen by us, by time
_TINY = 1e-18  # stands in for 0 under a logarithm; its cube root changes no sum of shares
_STEPS, _SETTLED = 10, 1e-4  # of `entmax_rows`: Newton steps at most, and the move of τ that ends them


def _flat(array: Array) -> Array:
    """A contiguous array as one matrix with long rows: OpenCV takes three axes for channels."""
    return array.reshape(-1, array.shape[-1])


def log_in_place(array: Array) -> None:
    """Natural logarithm of a contiguous array, >= 0; 0 gives -inf."""
    cv2.log(_flat(array), _flat(array))


def exp_in_place(array: Array) -> None:
    """Exponential of a contiguous array."""
    cv2.exp(_flat(array), _flat(array))


def clamp_in_place(array: Array, low: float | None, high: float | None = None) -> None:
    """Bounds on an array, by PyTorch: four times faster than NumPy's, which look for NaN."""
    torch.from_numpy(array).clamp_(low, high)


def radiance_rows(ldr: Array, exposure: float, out: Array) -> None:
    """Γ on rows: `clip(L)^2.2 / e`; see `radiometry.ldr_to_radiance`.

    Args:
        ldr: planar, gamma-encoded; values outside [0, 1] are clamped.
        exposure: relative exposure > 0.
        out: contiguous, same shape. Black comes out as 1e-40 and not as 0.
    """
    torch.clamp(torch.from_numpy(ldr), _TINY, 1.0, out=torch.from_numpy(out))
    log_in_place(out)
    out *= np.float32(GAMMA)
    if exposure != 1.0:
        out -= np.float32(math.log(exposure))
    exp_in_place(out)


def tone_rows(radiance: Array, out: Array) -> None:
    """T on rows, of radiance >= 0; see `tonemap.mu_law`."""
    np.multiply(radiance, np.float32(MU), out=out)
    out += np.float32(1.0)
    log_in_place(out)
    out *= np.float32(1.0 / _LOG_MU)


def untone_rows(tone: Array, out: Array) -> None:
    """T inverse on rows, of values >= 0; see `tonemap.mu_law_inverse`."""
    np.multiply(tone, np.float32(_LOG_MU), out=out)
    exp_in_place(out)
    out -= np.float32(1.0)
    out *= np.float32(1.0 / MU)


def blur_rows(planar: Array, sigma: float, radius: int | None = None) -> Array:
    """Gaussian blur of planar rows that carry the halo of the kernel above and below.

    Args:
        planar: (C, rows + 2 radius, W), contiguous.
        sigma: standard deviation, pixels.
        radius: taps on each side; as in `filters.gaussian_blur`.

    Returns:
        (C, rows, W), a view; columns beyond the sides are replicated.
    """
    taps = gaussian_kernel1d(sigma, radius).numpy()
    r = len(taps) // 2
    # All planes as one tall image: rows that mix two planes are the halo, which is cut off.
    blurred = cv2.sepFilter2D(_flat(planar), -1, taps, taps, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred.reshape(planar.shape)[:, r : planar.shape[1] - r])


_AS_WHOLE: dict[torch.dtype, tuple[Any, Any]] = {
    torch.float32: (np.float32, np.float64),
    torch.bfloat16: (np.int16, np.int32),
}
"""NumPy types that carry one value, and two neighbouring values, of a tensor's type through a change of layout."""


def _as_numpy(x: Tensor, *, pairs: bool = False) -> NDArray[Any]:
    """A CPU tensor's memory as numbers that NumPy and OpenCV know; pairs of the last axis as one."""
    single, double = _AS_WHOLE[x.dtype]
    array = (x if x.dtype == torch.float32 else x.view(torch.int16)).numpy()
    return array.view(double) if pairs else array.view(single)


def interleave(planar: Tensor, out: Tensor) -> None:
    """Planar (C, rows, W), contiguous, to interleaved (rows, W, C), which may be a slice of a wider map's channels."""
    rows, width, channels = out.shape
    cv2.transpose(_as_numpy(planar).reshape(channels, -1), _as_numpy(out.view(rows * width, channels)))


def deinterleave(interleaved: Tensor, out: Tensor) -> None:
    """The inverse of `interleave`; `out` is contiguous."""
    rows, width, channels = interleaved.shape
    cv2.transpose(_as_numpy(interleaved.view(rows * width, channels)), _as_numpy(out).reshape(channels, -1))


def halve_planar(planar: Array, out: Array) -> None:
    """Means of 2x2 pixels of planar (C, rows, W), contiguous, even sides, into (C, rows / 2, W / 2), contiguous."""
    flat = _flat(out)
    cv2.resize(_flat(planar), flat.shape[::-1], flat, interpolation=cv2.INTER_AREA)


def unshuffle_interleave(planar: Tensor, out: Tensor) -> None:
    """`pixel_unshuffle` by 2 of planar (C, rows, W) to interleaved (rows / 2, W / 2, 4 C).

    `out` may be a slice of a wider map's channels if its first channel and the map's width in channels are even.
    """
    channels, rows, width = planar.shape
    split = planar.view(channels, rows // 2, 2, width).permute(0, 2, 1, 3).contiguous()
    # Two neighbours along x stay neighbours: they travel as one number of twice the size.
    pairs = _as_numpy(split, pairs=True).reshape(2 * channels, -1)
    cv2.transpose(pairs, _as_numpy(out.view(-1, 4 * channels), pairs=True))


def shuffle_planar(interleaved: Tensor) -> Tensor:
    """`pixel_shuffle` by 2 of interleaved (rows, W, 4 C), contiguous, to planar (C, 2 rows, 2 W)."""
    rows, width, channels = interleaved.shape
    pairs = cv2.transpose(_as_numpy(interleaved.view(-1, channels), pairs=True))
    planar = torch.from_numpy(pairs.view(_AS_WHOLE[interleaved.dtype][0]))
    if interleaved.dtype != torch.float32:
        planar = planar.view(interleaved.dtype)
    return planar.view(channels // 4, 2, rows, 2 * width).transpose(1, 2).reshape(channels // 4, 2 * rows, 2 * width)


def entmax_rows(logits: Array, alpha: float) -> Array:
    """α-entmax over the first axis of planar logits; see `entmax.entmax` for the meaning and the solver.

    Newton as there, from better starts: by the convexity of the power, the τ of any group of k candidates is at least
    their mean - k^(1 - α), and adding candidates raises τ; taken of all, of the largest alone and of the two largest.
    It stops when τ moves by `_SETTLED` or less at every pixel of some rows, makes that step to first order, and
    normalises: what is left is below _SETTLED^(4/3).

    Args:
        logits: (K, rows, W), contiguous; overwritten.
        alpha: 1 < α <= 2.

    Returns:
        (K, rows, W), >= 0, sums to 1 over K, with exact zeros: the memory of `logits`.
    """
    some = max(1, _CACHED // (len(logits) * logits.shape[2]))
    for start in range(0, logits.shape[1], some):
        logits[:, start : start + some] = _entmax(logits[:, start : start + some].copy(), alpha)
    return logits


def _entmax(x: Array, alpha: float) -> Array:
    """`entmax_rows` of contiguous rows that fit the cache."""
    exponent = 1.0 / (alpha - 1.0)
    count = len(x)
    x *= np.float32(alpha - 1.0)
    first, second = _two_largest(x)
    x -= first
    tau = np.maximum(x.mean(axis=0) - np.float32(count ** (1.0 - alpha)), np.float32(-1.0))
    second -= first
    second *= np.float32(0.5)
    second -= np.float32(2.0 ** (1.0 - alpha))
    np.maximum(tau, second, out=tau)
    slope = np.empty_like(x)
    share = np.empty_like(x)
    for step in range(_STEPS):
        np.subtract(x, tau, out=share)
        clamp_in_place(share, _TINY)
        cv2.log(_flat(share), _flat(slope))
        slope *= np.float32(exponent - 1.0)
        exp_in_place(slope)
        share *= slope
        excess = share.sum(axis=0)
        excess -= np.float32(1.0)
        rise = slope.sum(axis=0)
        rise *= np.float32(exponent)
        excess /= rise
        if step + 1 == _STEPS or float(np.abs(excess).max()) <= _SETTLED:
            break
        tau += excess
    # p(τ + δ) = p(τ) - δ p'(τ), where it stays positive.
    slope *= excess * np.float32(exponent)
    share -= slope
    clamp_in_place(share, 0.0)
    share[x <= tau] = 0.0
    share /= share.sum(axis=0)
    return share


def _two_largest(x: Array) -> tuple[Array, Array]:
    """The largest and the second largest value over the first axis, new arrays; one value stands for both."""
    first, second = x[0].copy(), x[0].copy()
    if len(x) > 1:
        np.maximum(x[0], x[1], out=first)
        np.minimum(x[0], x[1], out=second)
    for plane in x[2:]:
        np.maximum(second, np.minimum(first, plane), out=second)
        np.maximum(first, plane, out=first)
    return first, second
