"""Bicubic resizing with antialiasing (Keys 1981, a = -0.5), as image toolboxes define `imresize`.

HDR-VDP-2 carries maps from one pyramid level to another with it, and `torch.nn.functional.interpolate` uses another
kernel (a = -0.75) unless it antialiases, and other borders when it does. Here borders are mirrored with the edge pixel
repeated, and the kernel is widened by the reduction when an axis shrinks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _keys(x: Tensor) -> Tensor:
    """Keys' cubic convolution kernel (IEEE TASSP 29(6), 1981), support (-2, 2)."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return torch.where(x <= 1.0, near, torch.where(x <= 2.0, far, torch.zeros_like(x)))


def bicubic_matrix(size_in: int, size_out: int, device: torch.device | None = None) -> Tensor:
    """The weights of a resize along one axis.

    Args:
        size_in: samples that come in.
        size_out: samples that go out.
        device: where to put the matrix.

    Returns:
        (size_out, size_in) float64, to be multiplied with a column of samples. Rows sum to 1 up to the kernel's own
        deviation, which is 0 for enlarging and for whole-number reductions.
    """
    scale = size_out / size_in
    widen = min(scale, 1.0)
    centre = (torch.arange(size_out, dtype=torch.float64) + 0.5) / scale - 0.5
    reach = math.ceil(2.0 / widen)
    taps = centre.floor().long()[:, None] + torch.arange(1 - reach, reach + 1)
    weights = widen * _keys(widen * (taps - centre[:, None]))
    # Mirror with the edge repeated: ..., 1, 0, 0, 1, ..., n - 1, n - 1, n - 2, ...
    folded = torch.remainder(taps, 2 * size_in)
    folded = torch.minimum(folded, 2 * size_in - 1 - folded)
    matrix = torch.zeros(size_out, size_in, dtype=torch.float64)
    return matrix.scatter_add_(1, folded, weights).to(device)


def bicubic_resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize; the same size returns the argument itself.

    Args:
        image: (..., H, W) float64. Values may overshoot their range near edges, as bicubic interpolation does.
        size: (H, W) of the result.

    Returns:
        (..., H', W') float64.
    """
    height, width = image.shape[-2:]
    if size[1] != width:
        image = image @ bicubic_matrix(width, size[1], image.device).T
    if size[0] != height:
        image = bicubic_matrix(height, size[0], image.device) @ image
    return image
