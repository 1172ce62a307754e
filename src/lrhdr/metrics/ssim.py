"""Structural similarity (Wang et al., IEEE TIP 2004), in the two variants that scores in this field are made of.

- `window="uniform"`: 7x7 box, sample covariance (N / (N - 1)); the default of scikit-image and so of the HDR-video
  field's test scripts.
- `window="gaussian"`: 11x11 Gaussian of σ = 1.5, population covariance; the paper's own.

Both use K1 = 0.01, K2 = 0.03, work channel by channel, average over all positions at which the window lies inside the
image, then over channels.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.filters import gaussian_kernel1d
from lrhdr.metrics.psnr import check_images
from lrhdr.tonemap import MU, mu_law

_K1, _K2 = 0.01, 0.03  # Wang et al. 2004, section III.C
_UNIFORM_SIZE = 7
_GAUSSIAN_SIGMA, _GAUSSIAN_RADIUS = 1.5, 5

Window = Literal["uniform", "gaussian"]


def _taps(window: Window) -> list[float]:
    if window == "uniform":
        return [1.0 / _UNIFORM_SIZE] * _UNIFORM_SIZE
    if window == "gaussian":
        kernel = gaussian_kernel1d(_GAUSSIAN_SIGMA, _GAUSSIAN_RADIUS).double()
        taps: list[float] = (kernel / kernel.sum()).tolist()
        return taps
    raise InputError(f"ssim: expected window 'uniform' or 'gaussian', found {window!r}")


def ssim(pred: Tensor, target: Tensor, data_range: float | Tensor, window: Window = "uniform") -> Tensor:
    """Mean structural similarity.

    Args:
        pred: (B, C, H, W), any encoding.
        target: same shape and encoding.
        data_range: > 0, the L of the constants `(K L)²`: a number, or one per item, (B,).
        window: see the module's docstring.

    Returns:
        (B,) float64, at most 1; 1 for identical images.

    Raises:
        InputError: shapes that differ, an image smaller than the window, or a data range that is not positive.
    """
    check_images(pred, target)
    taps = _taps(window)
    size = len(taps)
    batch, _, height, width = pred.shape
    if min(height, width) < size:
        raise InputError(f"ssim: expected at least {size}x{size} pixels for the window, found {height}x{width}")
    span = torch.as_tensor(data_range, dtype=torch.float64, device=pred.device).expand(batch).view(batch, 1, 1, 1)
    if not bool((span > 0.0).all()):
        raise InputError(f"ssim: expected a data range above 0, found {data_range}")

    def mean(x: Tensor) -> Tensor:
        # A sum of shifted images: ten times faster than a convolution in double precision.
        across, down = width - size + 1, height - size + 1
        rows = x[..., :across] * taps[0]
        for i, tap in enumerate(taps[1:], start=1):
            rows = rows.add_(x[..., i : i + across], alpha=tap)
        y: Tensor = rows[..., :down, :] * taps[0]
        for i, tap in enumerate(taps[1:], start=1):
            y = y.add_(rows[..., i : i + down, :], alpha=tap)
        return y

    # float64: E[x²] - E[x]² cancels.
    x, y = pred.double(), target.double()
    mean_x, mean_y = mean(x), mean(y)
    norm = size**2 / (size**2 - 1.0) if window == "uniform" else 1.0
    var_x = norm * (mean(x * x) - mean_x * mean_x)
    var_y = norm * (mean(y * y) - mean_y * mean_y)
    covariance = norm * (mean(x * y) - mean_x * mean_y)
    c1, c2 = (_K1 * span) ** 2, (_K2 * span) ** 2
    above = (2.0 * mean_x * mean_y + c1) * (2.0 * covariance + c2)
    below = (mean_x.square() + mean_y.square() + c1) * (var_x + var_y + c2)
    return (above / below).flatten(1).mean(dim=1)


def true_range(target: Tensor) -> Tensor:
    """The data range that the field gives SSIM: largest minus smallest value of each true frame.

    Args:
        target: (B, C, H, W), the true frames in the encoding that is compared.

    Returns:
        (B,) float64; 1 for a constant frame, which has no range of its own.
    """
    flat = target.double().flatten(1)
    span = flat.amax(dim=1) - flat.amin(dim=1)
    return torch.where(span > 0.0, span, torch.ones_like(span))


def ssim_mu(pred_radiance: Tensor, target_radiance: Tensor, mu: float = MU) -> Tensor:
    """SSIM_T as the field scores it: of `T(H)`, 7x7 window, data range of the true frame (`true_range`).

    Args:
        pred_radiance: (B, C, H, W), linear, 1.0 = saturation of the shortest exposure. Values below 0 are taken as 0.
        target_radiance: same shape.
        mu: the μ of the tone map.

    Returns:
        (B,) float64.
    """
    check_images(pred_radiance, target_radiance)
    target = mu_law(target_radiance.double(), mu)
    return ssim(mu_law(pred_radiance.double(), mu), target, true_range(target))
