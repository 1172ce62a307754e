"""One step of Lucas and Kanade (IJCAI 1981) at full resolution on flow that was searched up to half of it.

DIS searched up to full resolution takes nearly four times what it takes up to half. Where that is too much, this step
brings 20 to 65 % of what the finer search gains, for a tenth of its price (`docs/speed.md`). The second frame is
fetched along the flow; what is left between it and the first is explained, by least squares over a Gaussian window, by
a further shift. Pixels that no small shift explains (clipped in one copy, hidden) count little.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lrhdr.interpolate.flow import Array
from lrhdr.nn.rows import strips

# Chosen by us, on held-out windows of two and three exposures. Wider windows, four times the damping and smaller robust
# differences gained up to 0.06 dB on phone HDR and lost up to 0.08 elsewhere; the other way round it was the reverse.
_SIGMA = 2.5  # px of the window
_DAMPING = 1.0  # added to the mean squared gradient, (8-bit levels per px)^2: where there is no structure, no shift
_ROBUST = 20.0  # 8-bit levels of difference at which a pixel counts half
_MOST = 1.0  # px of the longest shift
_TAPS = 9  # of the window, at half resolution
_REACH = 12  # rows, even, that a strip's result looks beyond it: window, gradient, what half resolution adds
_STRIP = 96  # rows at once: what they make fits the cache
_GRADIENT = 1.0 / 64.0  # Scharr's weights, which sum to 32, on the sum of two images, per px


def polish(first: NDArray[np.uint8], second: NDArray[np.uint8], flow: Array) -> Array:
    """Correct flow by a fraction of a pixel; see the module's docstring.

    Args:
        first: (H, W), luminance.
        second: same shape.
        flow: (H, W, 2), first -> second, pixels, x first.

    Returns:
        `flow`, to which shifts of at most 1 pixel were added.
    """
    height = len(flow)
    above = flow[:0]  # rows before the strip, as they were given
    for start, stop in strips(height, _STRIP):
        low = start - len(above)
        around = np.concatenate((above, flow[start : stop + _REACH]))
        above = flow[stop - _REACH : stop].copy()
        flow[start:stop] += _shift(first, second, around, low)[start - low : stop - low]
    return flow


def _float(array: NDArray[Any]) -> Array:
    """OpenCV's results, which are float32 but not declared so."""
    return np.asarray(array, dtype=np.float32)


def _shift(first: NDArray[np.uint8], second: NDArray[np.uint8], flow: Array, low: int) -> Array:
    """The shift to add to some rows of flow, from row `low` on, an even one."""
    height, width = flow.shape[:2]
    own = first[low : low + height]
    places = np.empty_like(flow)
    places[..., 0] = np.arange(width, dtype=np.float32)
    places[..., 1] = np.arange(low, low + height, dtype=np.float32)[:, None]
    places += flow
    fetched = cv2.remap(second, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    both = cv2.add(fetched, own, dtype=cv2.CV_16S)
    across, down = (_float(cv2.Scharr(both, cv2.CV_32F, *axis, scale=_GRADIENT)) for axis in ((1, 0), (0, 1)))
    left = _float(cv2.subtract(fetched, own, dtype=cv2.CV_32F))
    count = left * left
    count *= np.float32(1.0 / _ROBUST**2)
    count += np.float32(1.0)
    np.divide(np.float32(1.0), count, out=count)
    counted_across, counted_down = count * across, np.multiply(count, down, out=count)
    taps = cv2.getGaussianKernel(_TAPS, _SIGMA / 2.0, cv2.CV_32F)
    size = -(-width // 2), -(-height // 2)
    product = np.empty_like(left)

    def mean(a: Array, b: Array) -> Array:
        halved = cv2.resize(np.multiply(a, b, out=product), size, interpolation=cv2.INTER_AREA)
        return _float(cv2.sepFilter2D(halved, -1, taps, taps, borderType=cv2.BORDER_REPLICATE))

    xx, xy, yy = mean(counted_across, across), mean(counted_across, down), mean(counted_down, down)
    xt, yt = mean(counted_across, left), mean(counted_down, left)
    xx += np.float32(_DAMPING)
    yy += np.float32(_DAMPING)
    x, y = xy * yt - yy * xt, xy * xt - xx * yt
    inverse = xx * yy - xy * xy
    np.divide(np.float32(1.0), inverse, out=inverse)
    x *= inverse
    y *= inverse
    length = cv2.magnitude(x, y)
    np.maximum(length, np.float32(_MOST), out=length)
    np.divide(np.float32(_MOST), length, out=length)
    x *= length
    y *= length
    return _float(cv2.resize(cv2.merge([x, y]), (width, height), interpolation=cv2.INTER_LINEAR))
