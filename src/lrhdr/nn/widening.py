"""Weights of a narrow layer in a wider one, which computes the same until it is trained on."""

from __future__ import annotations

from torch import Tensor


def widened(fresh: Tensor, given: Tensor) -> Tensor:
    """Put a narrower tensor into a wider one: new outputs as they start, and nothing of before looks at new inputs.

    Args:
        fresh: of the wider layer, as initialised: (out, ...) or (out, in, ...).
        given: of the narrower one, no larger on any axis.

    Returns:
        A new tensor of the shape of `fresh`.
    """
    wider = fresh.clone()
    if fresh.ndim > 1:
        wider[: len(given), given.shape[1] :] = 0.0
    wider[tuple(slice(n) for n in given.shape)] = given.to(wider)
    return wider
