"""α-entmax over the candidate axis, with its own solver and backward, and its Fenchel-Young loss.

`p_i = [(α - 1) z_i - τ]_+^(1 / (α - 1))` with τ such that Σ p = 1 (Peters, Niculae and Martins, ACL 2019). For
1 < α < 2 the result is sparse: exact zeros, and one-hot as soon as the margin of one logit reaches 1 / (α - 1).

Solver: with `x = (α - 1) z`, `f(τ) = Σ [x_i - τ]_+^(1/(α-1)) - 1` is convex and decreasing, so Newton from
`τ0 = max(x) - 1` (where f >= 0) approaches the root from one side without a safeguard; seven steps reach float32
accuracy for the candidate counts in use (five suffice for six candidates). In float64 more steps are taken.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ALPHA = 1.75
"""The paper's α for the vote."""


def _solve(z: Tensor, alpha: float, dim: int) -> Tensor:
    """Probabilities of α-entmax by Newton; `z` is float32 or float64."""
    exponent = 1.0 / (alpha - 1.0)
    x = z * (alpha - 1.0)
    x = x - x.amax(dim=dim, keepdim=True)
    tau = torch.full_like(x.narrow(dim, 0, 1), -1.0)
    steps = 7 if x.dtype == torch.float32 else 12
    for _ in range(steps):
        gap = (x - tau).clamp_min(0.0)
        slope = (gap > 0.0).to(gap.dtype) if exponent == 1.0 else gap ** (exponent - 1.0)
        excess = (gap * slope).sum(dim=dim, keepdim=True) - 1.0
        tau = tau + excess / (exponent * slope.sum(dim=dim, keepdim=True))
    p = (x - tau).clamp_min(0.0) ** exponent
    return p / p.sum(dim=dim, keepdim=True)


class _Entmax(torch.autograd.Function):
    """Forward by Newton; backward by the closed-form Jacobian `diag(s) - s sᵀ / Σs`, `s = p^(2 - α)`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, alpha: float, dim: int) -> Tensor:
        p = _solve(z, alpha, dim)
        ctx.save_for_backward(p)
        ctx.alpha = alpha
        ctx.dim = dim
        return p

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (p,) = ctx.saved_tensors
        support = p > 0.0
        s = torch.where(support, torch.where(support, p, torch.ones_like(p)) ** (2.0 - ctx.alpha), torch.zeros_like(p))
        mean = (grad * s).sum(dim=ctx.dim, keepdim=True) / s.sum(dim=ctx.dim, keepdim=True)
        return s * (grad - mean), None, None


def entmax(logits: Tensor, alpha: float = ALPHA, dim: int = 1) -> Tensor:
    """Sparse probabilities over one axis.

    Args:
        logits: any shape; computed in float32 (float64 stays), also under autocast: half precision errs by 5e-3.
        alpha: 1 < α <= 2; 2 is sparsemax. (α = 1 would be softmax, which has no zeros: use `torch.softmax`.)
        dim: the axis that sums to 1.

    Returns:
        Same shape, >= 0, sums to 1 along `dim`, with exact zeros.

    Raises:
        ValueError: α outside (1, 2].
    """
    if not 1.0 < alpha <= 2.0:
        raise ValueError(f"entmax: expected 1 < alpha <= 2, found {alpha}")
    z = logits if logits.dtype == torch.float64 else logits.float()
    with torch.autocast(device_type=z.device.type, enabled=False):
        p: Tensor = _Entmax.apply(z, alpha, dim)  # type: ignore[no-untyped-call]
    return p


class _EntmaxLoss(torch.autograd.Function):
    """Fenchel-Young loss of α-entmax; gradient `p - y` (Blondel, Martins and Niculae, JMLR 2020)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, target: Tensor, alpha: float, dim: int) -> Tensor:
        p = _solve(z, alpha, dim)
        index = target.unsqueeze(dim)
        entropy = (1.0 - (p**alpha).sum(dim=dim)) / (alpha * (alpha - 1.0))
        loss = entropy + (p * z).sum(dim=dim) - z.gather(dim, index).squeeze(dim)
        ctx.save_for_backward(p, index)
        ctx.dim = dim
        return loss.clamp_min(0.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        p, index = ctx.saved_tensors
        g = p.scatter_add(ctx.dim, index, -torch.ones_like(index, dtype=p.dtype))
        return g * grad.unsqueeze(ctx.dim), None, None, None


def entmax_loss(logits: Tensor, target: Tensor, alpha: float = ALPHA, dim: int = 1) -> Tensor:
    """Entmax cross-entropy against a class index, `(1 - Σ p^α) / (α (α - 1)) + Σ (p - y) z`.

    Args:
        logits: (B, K, ...) with the classes on `dim`; computed in float32 (float64 stays).
        target: (B, ...) class index, int64, the shape of `logits` without `dim`.
        alpha: as in `entmax`.
        dim: the class axis.

    Returns:
        The loss map, the shape of `target`, >= 0; exactly 0 where the margin makes p one-hot on the target.

    Raises:
        ValueError: α outside (1, 2].
    """
    if not 1.0 < alpha <= 2.0:
        raise ValueError(f"entmax_loss: expected 1 < alpha <= 2, found {alpha}")
    z = logits if logits.dtype == torch.float64 else logits.float()
    with torch.autocast(device_type=z.device.type, enabled=False):
        loss: Tensor = _EntmaxLoss.apply(z, target, alpha, dim)  # type: ignore[no-untyped-call]
    return loss
