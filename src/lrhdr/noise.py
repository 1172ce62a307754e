"""How noisy a frame is, estimated from the frame alone.

The encoding with exponent 1 / 2.2 nearly stabilises photon noise: for x electrons of a full well W, encoded as
`L = (x / W)^(1 / 2.2)`, the deviation of L is `0.45 (x / W)^(-0.045) / sqrt(W)`, the same at every level to 20 %. One
number per frame therefore says how noisy a camera is, whatever the exposure.

The estimate: a second difference in both directions, which natural images hardly excite (Immerkær, "Fast noise variance
estimation", CVIU 1996), its mean magnitude in blocks of 8 x 8 pixels, and of all blocks that are neither bright nor
black a low percentile, so that texture does not count. Of a window's frames the quietest counts: texture and the
scene's own grain weigh less in code values where a frame is darker, camera noise weighs the same.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK = 8  # px: with three channels about 100 independent values, so 8 % of deviation per block
_PERCENTILE = 0.03  # chosen by us: flat blocks are rare in foliage
_DARK, _BRIGHT = 0.06, 0.6  # code values between which noise is not rounding, and texture does not yet outweigh it
_ENOUGH = 4  # blocks; a frame with fewer usable ones says nothing
_AT_ONCE = 2**20  # pixels of the frames that are looked at together
UNKNOWN = 0.005  # of a camera with a full well of 8000 electrons; the answer where frames say nothing
FLOOR = 2.0 / 2550.0  # a fifth of a step of 8 bits: below, the estimate is rounding


def noise_level(frames: Tensor) -> Tensor:
    """Standard deviation of the noise of gamma-encoded frames, in code units (1.0 = white).

    Args:
        frames: (B, T, 3, H, W), gamma-encoded in [0, 1].

    Returns:
        (B,), at least `FLOOR`: the least over frames that tell (not all black or bright), `UNKNOWN` when none does;
        no gradient.
    """
    batch, count = frames.shape[:2]
    return window_noise(frame_noise(frames.flatten(0, 1)).view(batch, count))


@torch.no_grad()
def frame_noise(frames: Tensor) -> Tensor:
    """Standard deviation of the noise of each frame by itself, in code units.

    Args:
        frames: (N, 3, H, W), gamma-encoded in [0, 1].

    Returns:
        (N,); NaN for a frame that does not tell.
    """
    height, width = frames.shape[-2:]
    if min(height, width) < _BLOCK + 2:
        return frames.new_full((len(frames),), torch.nan)
    # A few at a time: the maps on the way are as large as the frames.
    some = max(1, _AT_ONCE // (height * width))
    return torch.cat([_levels(frames[i : i + some]) for i in range(0, len(frames), some)])


def _levels(x: Tensor) -> Tensor:
    """`frame_noise` of frames whose maps fit into memory together."""
    rows = x[..., 2:, :] - 2.0 * x[..., 1:-1, :] + x[..., :-2, :]
    both = (rows[..., 2:] - 2.0 * rows[..., 1:-1] + rows[..., :-2]).abs().mean(dim=1, keepdim=True)
    inner = x[..., 1:-1, 1:-1]
    usable = ((inner.amin(dim=1, keepdim=True) > _DARK) & (inner.amax(dim=1, keepdim=True) < _BRIGHT)).float()
    level = F.avg_pool2d(both, _BLOCK).flatten(1)
    clean = F.avg_pool2d(usable, _BLOCK).flatten(1) > 0.9
    ranked = torch.where(clean, level, torch.inf).sort(dim=1).values
    blocks = clean.sum(dim=1, keepdim=True)
    # The filter's gain on white noise is 6; E|n| = sqrt(2 / π) σ.
    sigma = ranked.gather(1, (blocks * _PERCENTILE).long()).squeeze(1) * (math.sqrt(math.pi / 2.0) / 6.0)
    return torch.where(blocks.squeeze(1) >= _ENOUGH, sigma, torch.nan)


@torch.no_grad()
def window_noise(levels: Tensor) -> Tensor:
    """The noise level of a window from those of its frames.

    Args:
        levels: (B, T), of `frame_noise`.

    Returns:
        (B,), as `noise_level`.
    """
    least = levels.nan_to_num(torch.inf).amin(dim=1)
    return torch.where(least.isinf(), UNKNOWN, least).clamp_min(FLOOR)


def noise_code(level: Tensor) -> Tensor:
    """Bring noise levels (B,) to the size of a network's other inputs, (B, 1): 0 at 0.005, 0.5 per doubling."""
    return 0.5 * torch.log2(level / UNKNOWN)[:, None]
