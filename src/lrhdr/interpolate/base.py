"""What an interpolator is: the contract that FILM, optical flow and the plain average share.

An interpolator sees two frames of the *same* exposure and makes the frame between them. It is frozen: the pipeline
never sends a gradient through it, and its parameters are no part of an LRHDR checkpoint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lrhdr.checks import InputError, check_tensor


@runtime_checkable
class Interpolator(Protocol):
    """Makes the frame at a fraction of the way between two frames of one exposure."""

    @property
    def name(self) -> str:
        """Short name, recorded beside every result that used it."""
        ...

    def __call__(self, first: Tensor, second: Tensor, fraction: float, *, gain: float = 1.0) -> Tensor:
        """Interpolate.

        Args:
            first: (B, 3, H, W), gamma-encoded LDR in [0, 1].
            second: the later frame, same shape and exposure.
            fraction: time of the result, 0 = `first`, 1 = `second`.
            gain: linear-light gain >= 1 under which motion may be estimated (exposure of the brightest frame of the
                window over the exposure of this pair): dark frames hide their structure in the lowest code values.
                The result itself is never gained.

        Returns:
            (B, 3, H, W), gamma-encoded LDR in [0, 1] with the exposure of the pair.
        """
        ...


@runtime_checkable
class TunableInterpolator(Protocol):
    """An interpolator that can be had for less time."""

    def tuned(self, *, fast: bool, half: bool) -> Interpolator:
        """The same with a cheaper search for motion (`fast`), or with convolutions in bfloat16 (`half`)."""
        ...


@runtime_checkable
class GuidedInterpolator(Protocol):
    """An interpolator that can also look at the reference frame, when there is one at the wanted time."""

    def complete(
        self, first: Tensor, second: Tensor, fraction: float, *, gain: float, reference: Tensor, ratio: float
    ) -> Tensor:
        """Make the frame of the pair's exposure at the time of `reference`.

        Args:
            first: as in `Interpolator`.
            second: as in `Interpolator`.
            fraction: as in `Interpolator`.
            gain: as in `Interpolator`.
            reference: (B, 3, H, W), gamma-encoded LDR of another exposure at the wanted time.
            ratio: exposure of the reference over that of the pair.

        Returns:
            (B, 3, H, W), gamma-encoded LDR with the exposure of the pair.
        """
        ...


def weights_digest(interpolator: Interpolator) -> str:
    """sha256 of an interpolator's weights, "" for one without: what was made with others is not what it makes."""
    network = getattr(interpolator, "network", None)
    if not isinstance(network, nn.Module):
        return ""
    digest = hashlib.sha256()
    for name, x in network.state_dict().items():
        digest.update(name.encode())
        digest.update(x.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def check_pair(
    first: Tensor, second: Tensor, fraction: float, gain: float, *, codes: Container[torch.dtype] = ()
) -> None:
    """Check the arguments of an interpolator, which takes frames of `codes` beside floating point.

    Raises:
        InputError: frames that are not (B, 3, H, W) or differ in shape, a fraction outside [0, 1], a gain that is
            not positive.
    """
    check_tensor(first, "first frame", codes=codes)
    check_tensor(second, "second frame", codes=codes)
    if first.shape != second.shape:
        raise InputError(f"interpolation: frames differ in shape, {tuple(first.shape)} and {tuple(second.shape)}")
    if not 0.0 <= fraction <= 1.0:
        raise InputError(f"interpolation: expected a fraction in [0, 1], found {fraction}")
    if not gain > 0.0:
        raise InputError(f"interpolation: expected a positive gain, found {gain}")
