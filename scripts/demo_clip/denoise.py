"""A light denoiser for path-traced frames: first-order regression on surface features, weighted by non-local means.

After Bitterli et al., "Nonlinearly weighted first-order regression for denoising Monte Carlo renderings", CGF 2016:
around each pixel, colour is fitted as a linear function of what the camera rays saw first (reflectance, normal, depth),
with non-local-means weights (Rousselle et al., "Adaptive rendering with non-local means filtering", ACM TOG 2012). A
pixel on an edge mixes colours exactly as it mixes features, and a texture is reflectance times light, so both come
through sharp. Weights found on one half of the samples are applied to the other, so that noise does not choose its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


@dataclass(frozen=True)
class DenoiseConfig:
    """How strongly.

    Attributes:
        radius: of the window, pixels.
        patch: radius of the compared patches, pixels.
        strength: difference of light, in standard deviations of the noise, at which weights fall to 1/e.
        normal: difference of unit normals (distance) at which weights fall to 1/e.
        depth: the same of depth, relative.
        floor: added to the reflectance before dividing, so that dark surfaces do not amplify noise.
        ridge: weight of the penalty on slopes, per unit of weight in the window.
        gain: of the reflectance among the features: the larger, the less the penalty flattens textures.
    """

    radius: int = 8
    patch: int = 2
    strength: float = 0.9
    normal: float = 0.8
    depth: float = 0.15
    floor: float = 0.06
    ridge: float = 1e-2
    gain: float = 8.0


def reject_fireflies(buffers: Image, factor: float = 3.0) -> Image:
    """Limit samples that only one buffer has seen.

    Args:
        buffers: independent renders, (B, H, W, 3), B >= 3.
        factor: a pixel of one buffer may exceed the second brightest buffer's 3x3 mean by this factor at most.

    Returns:
        The buffers, brightest values scaled down where needed.
    """
    grey = buffers.mean(-1)
    second = np.sort(grey, 0)[-2]
    limit = factor * np.maximum(cv2.blur(second, (3, 3)), second) + 1e-4
    return np.asarray(buffers * np.minimum(1.0, limit / np.maximum(grey, 1e-6))[..., None], np.float32)


def denoise(buffers: Image, seen: Image, features: Image, config: DenoiseConfig) -> Image:
    """Filter a frame.

    Args:
        buffers: independent renders of the frame, linear radiance, (B, H, W, 3), B even, at least 4.
        seen: what the same camera rays saw first, (B, H, W, 7): reflectance, shading normal, distance in metres; all 0
            where a ray escapes.
        features: the same of many more rays, (H, W, 7).
        config: strength.

    Returns:
        Linear radiance, (H, W, 3) float32, >= 0.
    """
    buffers = reject_fireflies(buffers)
    count = len(buffers)
    # Weights compare light, not colour: each buffer is divided by what its own rays saw, so that uneven sampling of an
    # edge cancels. Where rays escape there is no surface: the mean normal is short there, and reflectance counts as 1.
    hit = np.clip(np.linalg.norm(seen[..., 3:6], axis=-1, keepdims=True), 0.0, 1.0)
    # In the cube root noise is about even over the range.
    root = np.cbrt(buffers / (seen[..., :3] + (1 - hit) + np.float32(config.floor)))
    halves = np.stack([buffers[: count // 2].mean(0), buffers[count // 2 :].mean(0)])
    guides = np.stack([root[: count // 2].mean(0), root[count // 2 :].mean(0)])
    variance = root.var(0, ddof=1) / (count / 2)  # of a half
    # Four values give a poor variance: smoothed over a neighbourhood it is a fair one.
    variance = cv2.GaussianBlur(variance.mean(-1), (0, 0), 2.0) + np.float32(1e-7)
    filtered = [_regress(guides[1 - k], halves[k], variance, features, config) for k in (0, 1)]
    return np.asarray(np.maximum(0.5 * (filtered[0] + filtered[1]), 0.0), np.float32)


def _regress(guide: Image, values: Image, variance: Image, seen: Image, config: DenoiseConfig) -> Image:
    """Fit `values` to the features in every pixel's window, with weights from `guide`; the fit at the pixel itself."""
    r, height, width = config.radius, *values.shape[:2]
    side = 2 * config.patch + 1
    normal, depth = seen[..., 3:6], seen[..., 6]
    distance_log = np.log(np.maximum(depth, 1e-3))
    features = np.concatenate([np.ones_like(seen[..., :1]), config.gain * seen[..., :3], seen[..., 3:]], -1)
    n = features.shape[-1]
    rows, columns = np.triu_indices(n)
    # Everything that is summed with the weights, once per pixel: products of features, and features times colour.
    products = features[..., rows] * features[..., columns]
    crossed = (features[..., :, None] * values[..., None, :]).reshape(height, width, 3 * n)
    terms = np.concatenate([products, crossed], -1).astype(np.float32)

    def pad(image: Image) -> Image:
        border = [(r, r), (r, r)] + [(0, 0)] * (image.ndim - 2)
        return np.pad(image, border, mode="reflect")

    guide_p, terms_p, variance_p = pad(guide), pad(terms), pad(variance)
    normal_p, depth_p = pad(normal), pad(distance_log)
    total = np.zeros_like(terms)
    scratch = np.empty_like(terms)
    for dy in range(-r, r + 1):
        for dx in range(-r, r + 1):
            if dx * dx + dy * dy > (r + 0.5) ** 2:
                continue
            there = np.s_[r + dy : r + dy + height, r + dx : r + dx + width]
            other = variance_p[there]
            distance = ((guide - guide_p[there]) ** 2).mean(-1) - (variance + np.minimum(variance, other))
            distance /= config.strength**2 * (variance + other)
            distance = cv2.blur(distance, (side, side), borderType=cv2.BORDER_REFLECT_101)
            feature = ((normal - normal_p[there]) ** 2).sum(-1) / config.normal**2
            feature = np.maximum(feature, (distance_log - depth_p[there]) ** 2 / config.depth**2)
            weight = np.exp(-np.maximum(np.maximum(distance, 0.0), feature))
            np.multiply(terms_p[there], weight[..., None], out=scratch)
            total += scratch
    moments = np.zeros((height, width, n, n))
    moments[..., rows, columns] = total[..., : len(rows)]
    moments[..., columns, rows] = total[..., : len(rows)]
    penalty = np.full(n, config.ridge)
    penalty[0] = 1e-6
    # Slopes are penalised as deviations from the flat fit at this pixel: features are taken relative to it.
    shift = np.broadcast_to(np.eye(n), moments.shape).copy()
    shift[..., 1:, 0] = -features[..., 1:]
    moments = shift @ moments @ np.swapaxes(shift, -1, -2)
    right = shift @ total[..., len(rows) :].reshape(height, width, n, 3).astype(np.float64)
    moments[..., range(n), range(n)] += penalty * moments[..., :1, 0]
    return np.asarray(np.linalg.solve(moments, right)[..., 0, :], np.float32)
