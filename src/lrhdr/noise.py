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

from lrhdr.radiometry import WHITE

_BLOCK = 8  # px: with three channels about 100 independent values, so 8 % of deviation per block
_PERCENTILE = 0.03  # chosen by us: flat blocks are rare in foliage
_DARK, _BRIGHT = 0.06, 0.6  # code values between which noise is not rounding, and texture does not yet outweigh it
_ENOUGH = 4  # blocks; a frame with fewer usable ones says nothing
_ROWS = 64  # looked at together; a multiple of `_BLOCK`
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
        frames: (N, 3, H, W), gamma-encoded: floating point in [0, 1], or uint8 or uint16.

    Returns:
        (N,); NaN for a frame that does not tell.
    """
    height, width = frames.shape[-2:]
    if min(height, width) < _BLOCK + 2:
        return torch.full((len(frames),), torch.nan, device=frames.device)
    return torch.stack([_level(frame) for frame in frames])


def _level(frame: Tensor) -> Tensor:
    """`frame_noise` of one frame (3, H, W), in bands of rows that fit the cache."""
    last = (frame.shape[1] - 2) // _BLOCK * _BLOCK
    bands = [_blocks(frame[:, start : min(start + _ROWS, last) + 2]) for start in range(0, last, _ROWS)]
    level, clean = (torch.cat(x) for x in zip(*bands, strict=True))
    ranked = torch.where(clean, level, torch.inf).sort().values
    blocks = clean.sum()
    # The filter's gain on white noise is 6; E|n| = sqrt(2 / π) σ.
    sigma = ranked[(blocks * _PERCENTILE).long()] * (math.sqrt(math.pi / 2.0) / 6.0)
    return torch.where(blocks >= _ENOUGH, sigma, torch.nan)


def _blocks(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean magnitude of the second difference in each block of some rows, and whether the block counts."""
    x = rows.float() * (1.0 / WHITE[rows.dtype]) if rows.dtype in WHITE else rows.float()
    inner = x[:, 1:-1, 1:-1]
    usable = ((inner.amin(dim=0) > _DARK) & (inner.amax(dim=0) < _BRIGHT)).float()
    down = (x[:, 2:] + x[:, :-2]).sub_(x[:, 1:-1], alpha=2.0)
    both = (down[..., 2:] + down[..., :-2]).sub_(down[..., 1:-1], alpha=2.0).abs_().mean(dim=0)
    level, share = F.avg_pool2d(torch.stack((both, usable))[None], _BLOCK)[0].flatten(1)
    return level, share > 0.9


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
