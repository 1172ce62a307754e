"""The losses of LRHDR, all in the T domain: reconstruction, calibration (ACCR), vote.

`L = 1 · L_Recon + 0.1 · L_ACCR + 0.5 · L_vote` in the paper (`LossConfig`'s defaults). Functions return maps or scalars
and hold no state. Everything is computed in float32.

What differs from the paper: the vote loss may be weighted by what is at stake (`vote_weighting="stake"`, our choice for
short training): at most pixels several candidates are equally good and the oracle's pick among them is noise; weighting
by the candidates' spread spends the gradient where the vote matters. Likewise the calibration loss may be weighted by
what a frame can know (`accr_weighting="informed"`): where it is clipped or shows a ghost, other candidates are right
already, and teaching it to guess costs it the detail that it alone has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lrhdr.entmax import entmax_loss
from lrhdr.filters import downsample2, gaussian_blur, image_gradients
from lrhdr.models.lrhdr import LRHDROutput
from lrhdr.tonemap import mu_law

_STAKE = 0.05  # T-domain spread from which a pixel counts fully; chosen by us: about 26 dB of local error

_KNOWS = 0.05  # T-domain distance, and
_KNOWS_BLUR = 2.0  # px: chosen by us; with both, a long reference's shadows gained 1.0 dB in 150 steps, without 0.1
_LOG_FLOOR = 1e-5  # mean squared error below which a sample stops counting: 50 dB


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms.

    Attributes:
        recon: weight of the L1 between T(H) and T(H*).
        accr: weight of the calibration loss.
        vote: weight of the vote loss.
        accr_gradient: weight of the multi-scale gradient term inside the calibration loss.
        interpolated: η, weight of the interpolated paths' L1 inside the calibration loss.
        vote_weighting: "uniform" (the paper's) or "stake".
        accr_weighting: "uniform" (the paper's) or "informed".
        recon_log: weight of `log(MSE)` per sample beside the L1 (0 in the paper): every scene counts by its decibels,
            as in the mean PSNR, where an L1 looks at the hardest scenes only.
    """

    recon: float = 1.0
    accr: float = 0.1
    vote: float = 0.5
    accr_gradient: float = 0.01
    interpolated: float = 0.7
    vote_weighting: str = "uniform"
    accr_weighting: str = "uniform"
    recon_log: float = 0.0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: unknown weighting or a negative weight.
        """
        if self.vote_weighting not in ("uniform", "stake"):
            raise ValueError(f"vote_weighting: expected 'uniform' or 'stake', found {self.vote_weighting!r}")
        if self.accr_weighting not in ("uniform", "informed"):
            raise ValueError(f"accr_weighting: expected 'uniform' or 'informed', found {self.accr_weighting!r}")
        weights = (self.recon, self.accr, self.vote, self.accr_gradient, self.interpolated, self.recon_log)
        if min(weights) < 0.0:
            raise ValueError(f"loss weights: expected >= 0, found {weights}")


class Losses(NamedTuple):
    """The total and its parts, scalars; parts are unweighted."""

    total: Tensor
    recon: Tensor
    accr: Tensor
    vote: Tensor


def gradient_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of image gradients at scales 1, 1/2 and 1/4, weighted 1, 0.5 and 0.25.

    Args:
        prediction: (B, C, H, W), T domain.
        target: the same shape.

    Returns:
        Scalar; 0 where an axis is too short for a gradient.
    """
    total = prediction.new_zeros(())
    for weight in (1.0, 0.5, 0.25):
        for ours, theirs in zip(image_gradients(prediction), image_gradients(target), strict=True):
            if ours.numel():
                total = total + weight * (ours - theirs).abs().mean()
        prediction, target = downsample2(prediction), downsample2(target)
    return total


def informed_weight(sources_mu: Tensor, target_mu: Tensor) -> Tensor:
    """How far a frame can know the truth at each pixel: `1 / (1 + (d / 0.05)^4)`, d its blurred distance to the truth.

    Noise averages out in d; clipping and ghosts do not.

    Args:
        sources_mu: (B, N_e, 3, H, W), the frames that calibration starts from, T domain.
        target_mu: (B, 3, H, W), T domain.

    Returns:
        (B, N_e, 1, H, W) in (0, 1], without gradient.
    """
    with torch.no_grad():
        distance = gaussian_blur((sources_mu - target_mu[:, None]).abs().mean(dim=2), _KNOWS_BLUR)
        return (1.0 / (1.0 + (distance / _KNOWS) ** 4))[:, :, None]


def accr_loss(calibrated_mu: Tensor, target_mu: Tensor, config: LossConfig, sources_mu: Tensor | None = None) -> Tensor:
    """Calibration loss: L1 on the reference path and η L1 on the interpolated paths, plus gradients.

    Args:
        calibrated_mu: (B, N_e, 3, H, W), T domain, the reference first.
        target_mu: (B, 3, H, W), T domain.
        config: weights.
        sources_mu: the frames that were calibrated, in the same order; needed for `accr_weighting="informed"`.

    Returns:
        Scalar.
    """
    paths = calibrated_mu.shape[1]
    expected = target_mu[:, None].expand_as(calibrated_mu)
    error = (calibrated_mu - expected).abs()
    if config.accr_weighting == "informed":
        assert sources_mu is not None
        error = error * informed_weight(sources_mu, target_mu)
    per_path = error.mean(dim=(0, 2, 3, 4))
    weights = per_path.new_tensor([1.0] + [config.interpolated] * (paths - 1))
    loss = (per_path * weights).sum()
    if config.accr_gradient:
        loss = loss + config.accr_gradient * gradient_loss(calibrated_mu.flatten(0, 1), expected.flatten(0, 1))
    return loss


def oracle_index(candidates_mu: Tensor, target_mu: Tensor) -> tuple[Tensor, Tensor]:
    """The candidate nearest to the truth at each pixel, and all distances.

    Args:
        candidates_mu: (B, K, 3, H, W), T domain.
        target_mu: (B, 3, H, W), T domain.

    Returns:
        Index (B, H, W), int64, and squared distances over the channels (B, K, H, W).
    """
    distance = (candidates_mu - target_mu[:, None]).square().sum(dim=2)
    return distance.argmin(dim=1), distance


def vote_loss(logits: Tensor, candidates_mu: Tensor, target_mu: Tensor, alpha: float, weighting: str) -> Tensor:
    """Fenchel-Young loss of α-entmax between the vote and the oracle candidate.

    Args:
        logits: (B, K, H, W).
        candidates_mu: (B, K, 3, H, W), T domain; no gradient passes.
        target_mu: (B, 3, H, W), T domain.
        alpha: entmax's α; 1 for softmax.
        weighting: "uniform" or "stake" (see `LossConfig`).

    Returns:
        Scalar.
    """
    with torch.no_grad():
        index, distance = oracle_index(candidates_mu, target_mu)
        rms = (distance / 3.0).sqrt()
        stake = ((rms.mean(dim=1) - rms.amin(dim=1)) / _STAKE).clamp(0.0, 1.0)
    if alpha == 1.0:
        loss = F.cross_entropy(logits, index, reduction="none")  # what the entmax loss becomes at α = 1
    else:
        loss = entmax_loss(logits, index, alpha, dim=1)
    return (loss * stake).mean() if weighting == "stake" else loss.mean()


def lrhdr_loss(output: LRHDROutput, target: Tensor, config: LossConfig, alpha: float) -> Losses:
    """The total loss of one batch.

    Args:
        output: the network's.
        target: (B, 3, H, W), linear radiance in [0, 1].
        config: weights; a term of weight 0 is not computed (and reported as 0).
        alpha: entmax's α; 1 for softmax.

    Returns:
        `Losses`.
    """
    target_mu = mu_law(target)
    difference = mu_law(output.hdr) - target_mu
    recon = difference.abs().mean()
    zero = recon.new_zeros(())
    accr = zero
    if config.accr and output.calibrated.shape[1]:
        n = output.calibrated.shape[1]
        first, after = n - 1, 2 * n - 1  # the reference, and the first interpolated frame, among the candidates
        sources = torch.cat(
            (output.candidates_mu[:, first : first + 1], output.candidates_mu[:, after : after + n - 1]), dim=1
        )
        accr = accr_loss(output.candidates_mu[:, -n:], target_mu, config, sources)
    vote = zero
    if config.vote:
        vote = vote_loss(output.logits, output.candidates_mu, target_mu, alpha, config.vote_weighting)
    total = config.recon * recon + config.accr * accr + config.vote * vote
    if config.recon_log:
        per_sample = difference.square().flatten(1).mean(dim=1)
        total = total + config.recon_log * torch.log(per_sample + _LOG_FLOOR).mean()
    return Losses(total, recon, accr, vote)
