"""Interpolation by classical optical flow: OpenCV's DIS (Kroeger et al., ECCV 2016) in both directions.

Stages, per pair of frames of one exposure:

1. Motion is estimated on 8-bit luminance copies, shadows raised so that a dark frame shows its structure.
2. Both flows are carried to the wanted time by forward splatting at half resolution. Each source pixel counts by its
   forward-backward consistency, and the sum of what lands on a pixel says how well the frame sees that place: little
   lands where it is hidden or outside the picture in that frame.
3. Both frames are warped by the one velocity field. Where both see the place they are *averaged*, which halves the
   noise variance; where only one does, it is taken; where neither does, plain temporal weights remain.

Measured on 29 real triplets (512 pixels wide, against true middle frames), steps 2 and 3 gain 0.05 to 0.25 dB over
averaging two warped frames with each flow halved, and nothing on 20 triplets of large motion, for 1.25 times the cost.
Blurring the copies and larger patches lost; a finer scale gained 0.1 dB in the easiest case for three times the cost.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrhdr.interpolate.base import check_pair
from lrhdr.radiometry import GAMMA, WHITE

Array = NDArray[np.float32]

LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""Rec. 709 weights, applied to encoded values: what flow is estimated on."""

MIN_SIDE = 16
"""Shortest side, in pixels, of which motion is estimated: DIS matches patches of 8, and below two there is no room."""

_DIS_SIDE = 64
"""Sides are padded to this for DIS: OpenCV 5 crashes on strips (16x128, 24x300), because it picks its coarsest scale
mostly from the longer side. From 32 it survived 500 random sizes; 64 is that with a margin."""

# Chosen by us, by measurement on real triplets: one pixel of round-trip error (plus a tenth of the motion) is where a
# flow vector stops being believed; a disbelieved vector keeps 2 % of a vote, so that it decides where nothing else can.
_CONSISTENCY_PX = 1.0
_CONSISTENCY_RELATIVE = 0.1
_FLOOR_VOTE = 0.02
_OCCLUSION_FLOOR = 0.05


class _Cv2Threads:
    """OpenCV's thread count, which is the whole process's: 1 while anybody is inside, else what was set."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._outside = 1

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._outside = cv2.getNumThreads()
                cv2.setNumThreads(1)
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                cv2.setNumThreads(self._outside)

    def set(self, threads: int) -> None:
        with self._lock:
            self._outside = threads
            if self._inside == 0:
                cv2.setNumThreads(threads)


_CV2_THREADS = _Cv2Threads()


@contextmanager
def one_cv2_thread() -> Iterator[None]:
    """Run OpenCV on one thread: DIS cuts its search into stripes by thread count, and results follow.

    Threads and generators may enter and leave in any order: the first one in sets the count, the last one out restores
    it.
    """
    _CV2_THREADS.enter()
    try:
        yield
    finally:
        _CV2_THREADS.leave()


def set_cv2_threads(threads: int) -> None:
    """Set OpenCV's thread count; where somebody is in `one_cv2_thread`, from when the last one leaves.

    Args:
        threads: >= 1.
    """
    _CV2_THREADS.set(threads)


def pixel_grid(height: int, width: int) -> tuple[Array, Array]:
    """Coordinates (x, y) of each pixel, (H, W) each."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return x, y


def warp(image: Array, flow: Array, scale: float, grid: tuple[Array, Array]) -> Array:
    """Backward warp of (H, W, C) by `scale * flow`, borders replicated.

    The same rule as `lrhdr.warp.backward_warp` (tested to agree), by OpenCV: these arrays live outside torch, and
    remap is ten times faster than gathering on a CPU.
    """
    x = grid[0] + np.float32(scale) * flow[..., 0]
    y = grid[1] + np.float32(scale) * flow[..., 1]
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)


def resize(array: Array, size: tuple[int, int], mode: int) -> Array:
    """Resize (H, W) or (H, W, C) to `size`, given as OpenCV does: (width, height)."""
    return np.asarray(cv2.resize(array, size, interpolation=mode), dtype=np.float32)


def luminance(frame: Array) -> Array:
    """Rec. 709 luminance of an (H, W, 3) frame, (H, W)."""
    return np.asarray(cv2.transform(frame, LUMA[None]), dtype=np.float32).reshape(frame.shape[:2])


def luminance8(frame: Array, gain: float) -> NDArray[np.uint8]:
    """8-bit luminance of a gamma-encoded (H, W, 3) frame, its shadows raised as by a gain in linear light.

    The gain is k = g^(1/γ) on code values near black and falls to 1 at white, `k y / (1 + (k - 1) y)`. A plain gain
    would clip the bright parts, and those are what a short frame is needed for (it measured 0.4 dB worse at 3 stops).
    """
    luma = luminance(frame)
    k = np.float32(gain ** (1.0 / GAMMA))
    raised = k * luma / (1.0 + (k - 1.0) * luma)
    return np.asarray(np.clip(np.rint(raised * 255.0), 0.0, 255.0), dtype=np.uint8)


def dis(first: NDArray[np.uint8], second: NDArray[np.uint8], *, sparse: bool = False, full: bool = False) -> Array:
    """DIS flow first -> second, (H, W, 2) in pixels, of 8-bit luminance of any size.

    `sparse` matches patches every 4 pixels instead of 3 and in 16 steps instead of 25: three quarters of the time, for
    who refines the flow anyway. `full` ends the search at full resolution instead of half of it: nearly four times the
    time (`docs/speed.md` has what both bring and cost).
    """
    height, width = first.shape
    pads = (0, max(0, _DIS_SIDE - height), 0, max(0, _DIS_SIDE - width))
    a, b = (cv2.copyMakeBorder(x, *pads, cv2.BORDER_REPLICATE) if any(pads) else x for x in (first, second))
    # A fresh object each time: DIS keeps buffers of the last image size. No initial flow: a field of zeros would be
    # taken as one, and measured 0.06 dB worse.
    estimator: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if sparse:
        estimator.setPatchStride(4)
        estimator.setGradientDescentIterations(16)
    if full:
        estimator.setFinestScale(0)
    flow = estimator.calc(a, b, None)
    return np.ascontiguousarray(flow[:height, :width], dtype=np.float32)


def _estimate(first: Array, second: Array, gain: float) -> tuple[Array, Array]:
    """DIS flow first -> second and second -> first, each (H, W, 2) in pixels."""
    a, b = luminance8(first, gain), luminance8(second, gain)
    return dis(a, b), dis(b, a)


def _votes(flow: Array, back: Array, pixel: float, grid: tuple[Array, Array]) -> Array:
    """How much each source pixel's vector is believed, (H, W) in (0, 1], from the round trip of the two flows."""
    error = np.square(flow + warp(back, flow, 1.0, grid)).sum(axis=-1)
    motion = np.square(flow).sum(axis=-1)
    tolerance = np.float32((_CONSISTENCY_PX * pixel) ** 2) + np.float32(_CONSISTENCY_RELATIVE**2) * motion
    return np.asarray(np.exp(-error / tolerance) + _FLOOR_VOTE, dtype=np.float32)


def _splat(flow: Array, scale: float, votes: Array, grid: tuple[Array, Array]) -> tuple[Array, Array]:
    """Carry a flow field forward along `scale * flow` with bilinear weights.

    Returns:
        (H, W) summed votes that land on each pixel, and (H, W, 2) the votes times the vectors.
    """
    height, width = votes.shape
    x = grid[0] + np.float32(scale) * flow[..., 0]
    y = grid[1] + np.float32(scale) * flow[..., 1]
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = x - x0, y - y0
    ix, iy = x0.astype(np.int64), y0.astype(np.int64)
    layers = np.zeros((3, height * width))
    for dx, wx in ((0, 1.0 - fx), (1, fx)):
        for dy, wy in ((0, 1.0 - fy), (1, fy)):
            inside = (ix + dx >= 0) & (ix + dx < width) & (iy + dy >= 0) & (iy + dy < height)
            index = ((iy + dy) * width + ix + dx)[inside]
            weight = (wx * wy * votes)[inside]
            layers[0] += np.bincount(index, weight, height * width)
            layers[1] += np.bincount(index, weight * flow[..., 0][inside], height * width)
            layers[2] += np.bincount(index, weight * flow[..., 1][inside], height * width)
    planes = layers.reshape(3, height, width).astype(np.float32)
    # Splatting under expansion leaves pinholes; a blur of less than a pixel closes them.
    planes = np.stack([cv2.GaussianBlur(p, (0, 0), 0.7) for p in planes])
    return planes[0], np.ascontiguousarray(planes[1:].transpose(1, 2, 0))


def intermediate(flow01: Array, flow10: Array, fraction: float) -> tuple[Array, Array, Array]:
    """Velocity (first -> second, pixels) at time `fraction`, and how well each frame sees each pixel there.

    Returns:
        Velocity (H, W, 2), coverage by the first and by the second frame, each (H, W) in [0, 1].
    """
    height, width = flow01.shape[:2]
    small = ((width + 1) // 2, (height + 1) // 2)
    shrink = np.array([small[0] / width, small[1] / height], dtype=np.float32)
    f01 = resize(flow01, small, cv2.INTER_AREA) * shrink
    f10 = resize(flow10, small, cv2.INTER_AREA) * shrink
    grid = pixel_grid(small[1], small[0])
    pixel = float(shrink.mean())
    votes0, sum0 = _splat(f01, fraction, _votes(f01, f10, pixel, grid), grid)
    votes1, sum1 = _splat(f10, 1.0 - fraction, _votes(f10, f01, pixel, grid), grid)
    # The mean of both flows in place, with a weight that only matters where nothing lands.
    tiny = np.float32(1e-4)
    fallback = tiny * np.float32(0.5) * (f01 - f10)
    total = (1.0 - fraction) * votes0 + fraction * votes1 + tiny
    velocity = ((1.0 - fraction) * sum0 - fraction * sum1 + fallback) / total[..., None]
    full = (width, height)
    up = resize(velocity.astype(np.float32), full, cv2.INTER_LINEAR) / shrink
    seen0 = resize(np.minimum(votes0, np.float32(1.0)), full, cv2.INTER_LINEAR)
    seen1 = resize(np.minimum(votes1, np.float32(1.0)), full, cv2.INTER_LINEAR)
    return up, seen0, seen1


def _interpolate_one(first: Array, second: Array, fraction: float, gain: float) -> Array:
    """Interpolate one pair of (H, W, 3) frames."""
    flow01, flow10 = _estimate(first, second, gain)
    velocity, seen0, seen1 = intermediate(flow01, flow10, fraction)
    grid = pixel_grid(*first.shape[:2])
    warped0 = warp(first, velocity, -fraction, grid)
    warped1 = warp(second, velocity, 1.0 - fraction, grid)
    weight0 = (1.0 - fraction) * (seen0 + np.float32(_OCCLUSION_FLOOR))
    weight1 = fraction * (seen1 + np.float32(_OCCLUSION_FLOOR))
    share = (weight1 / (weight0 + weight1))[..., None].astype(np.float32)
    return warped0 + share * (warped1 - warped0)


def to_arrays(batch: Tensor) -> Array:
    """(B, C, H, W) tensor to contiguous (B, H, W, C) float32 in [0, 1]; integers are divided by their largest value."""
    white = WHITE.get(batch.dtype)
    planes = batch.detach() if white is not None else batch.detach().float()
    count, channels, height, width = planes.shape
    arrays = np.empty((count, height, width, channels), dtype=np.float32)
    for planar, array in zip(planes.cpu().contiguous().numpy(), arrays, strict=True):
        if white is not None:
            codes = cv2.merge(list(planar)).reshape(array.shape)
            np.multiply(codes, np.float32(1.0 / white), out=array)
        else:
            cv2.merge(list(planar), array)
    if white is None:
        torch.from_numpy(arrays).clamp_(0.0, 1.0)
    return arrays


def to_tensor(arrays: Array, like: Tensor) -> Tensor:
    """(B, H, W, C) to a contiguous (B, C, H, W) tensor with the dtype and device of `like`."""
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).contiguous().to(like)


def dis_flow(first: Tensor, second: Tensor, gain: float = 1.0) -> Tensor:
    """Dense flow from `first` to `second` by DIS on luminance copies.

    Args:
        first: (B, 3, H, W), gamma-encoded LDR in [0, 1].
        second: same shape; for flow to mean anything, of the same brightness.
        gain: linear-light gain applied to the copies.

    Returns:
        (B, 2, H, W) in pixels, channel 0 = x; zero for images with a side below `MIN_SIDE`.

    Raises:
        InputError: frames of the wrong layout or of different shapes.
    """
    check_pair(first, second, 0.0, gain)
    if min(first.shape[-2:]) < MIN_SIDE:
        return first.new_zeros(first.shape[0], 2, *first.shape[-2:])
    with one_cv2_thread():
        pairs = zip(to_arrays(first), to_arrays(second), strict=True)
        flows = [dis(luminance8(a, gain), luminance8(b, gain)) for a, b in pairs]
    return to_tensor(np.stack(flows), first)


class DISInterpolator:
    """Bidirectional, occlusion-aware interpolation by DIS optical flow; see the module's docstring for the stages.

    Deterministic, on the CPU, one thread. Works for any size: below `MIN_SIDE` pixels on a side it averages.
    Follows motion up to about 50 pixels between the two frames.
    """

    name = "dis"

    def __call__(self, first: Tensor, second: Tensor, fraction: float, *, gain: float = 1.0) -> Tensor:
        """Interpolate; see `Interpolator` for the arguments.

        Raises:
            InputError: frames of the wrong layout or of different shapes, fraction or gain out of range.
        """
        check_pair(first, second, fraction, gain)
        if min(first.shape[-2:]) < MIN_SIDE:
            return torch.lerp(first, second, fraction)
        with one_cv2_thread():
            pairs = zip(to_arrays(first), to_arrays(second), strict=True)
            frames = [_interpolate_one(a, b, fraction, gain) for a, b in pairs]
        return to_tensor(np.stack(frames), first)
