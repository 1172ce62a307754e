"""The candidates of one window on strips of rows: the voting network's input, and the vote's sum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor

from lrhdr.entmax import entmax
from lrhdr.lanes import in_lanes
from lrhdr.models.frame_rows import FrameRows
from lrhdr.models.lrhdr import GATE_FLOOR, PRIOR_INPUT, LRHDRConfig
from lrhdr.models.prior_rows import HALO, finish_prior, prior_rows
from lrhdr.radiometry import codes_to_float
from lrhdr.strips import Array, entmax_rows, untone_rows

_SMOOTH_ALPHA = 1.8
"""α up to which a small number for 0 under the logarithm of `entmax_rows` leaves the solver's slope alone."""


class CandidateRows:
    """Candidates of one window, made row by row.

    Args:
        config: of the network.
        frames: the window's frames, then those made at the reference's time.
        exposures: of the frames, relative.
        calibrated: (N_e, 3, H, W) in the T domain, float32 or uint16 (65535 = 1), or (0, 3, H, W) for a network without
            ACCR; filled before use.
        kept: (F, H, W) to keep the prior of all frames in between `features` and `merge`; None to make it twice.
    """

    def __init__(
        self, config: LRHDRConfig, frames: FrameRows, exposures: list[float], calibrated: Tensor, kept: Array | None
    ) -> None:
        self.config, self.frames, self.exposures = config, frames, exposures
        self.calibrated, self.kept = calibrated, kept
        self.originals = 2 * config.n_exposures - 1

    def features(self, start: int, stop: int) -> Tensor:
        """Rows of the voting network's input, (C_in, rows, W): LDR frames, candidates in the T domain, prior."""
        count, paths, k = len(self.frames), len(self.calibrated), self.config.n_candidates
        planes = 3 * (2 * count + paths)
        rows, width = stop - start, self.frames.width
        x = torch.empty(planes + (k if self.config.prior else 0), rows, width)
        ldr, tones = (x[3 * count * i : 3 * count * (i + 1)].view(count, 3, rows, width) for i in (0, 1))
        radiance = torch.empty(count, 3, rows + 2 * HALO, width) if self.config.prior else None
        halo = 0 if radiance is None else HALO
        self.frames.light(start, stop, self.exposures, ldr=ldr, radiance=radiance, tone=tones, halo=halo)
        x[6 * count : planes].view(paths, 3, rows, width).copy_(codes_to_float(self.calibrated[:, :, start:stop]))
        if radiance is not None:
            prior = prior_rows(ldr.numpy(), radiance.numpy(), self.exposures, self.originals)
            if self.kept is not None:
                self.kept[:, start:stop] = prior
            np.multiply(self._finished(prior), np.float32(PRIOR_INPUT), out=x[planes:].numpy())
        return x

    def merge(
        self, votes: Sequence[Iterable[tuple[int, int, Tensor]]], maps: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Vote and add up.

        Args:
            votes: rows from and to, and the learned part of the logits, (K, rows, W), contiguous; overwritten. Several
                are drawn from at the same time, in lanes.
            maps: also return weights and candidates.

        Returns:
            hdr (3, h, w), linear radiance; weights (K, h, w) and candidates (K, 3, h, w), or None.
        """
        height, width, k = self.frames.inner_height, self.frames.inner_width, self.config.n_candidates
        hdr = torch.empty(height, width, 3)  # interleaved, as files hold it
        weights = torch.empty(k, height, width) if maps else None
        candidates = torch.empty(k, 3, height, width) if maps else None
        in_lanes([partial(self._add_up, part, hdr, weights, candidates) for part in votes])
        return hdr.permute(2, 0, 1), weights, candidates

    def _add_up(
        self,
        votes: Iterable[tuple[int, int, Tensor]],
        hdr: Tensor,
        weights: Tensor | None,
        candidates: Tensor | None,
    ) -> None:
        """`merge` for the rows of some votes."""
        height, width = self.frames.inner_height, self.frames.inner_width
        for start, stop, logits in votes:
            share = self._weigh(self._with_prior(logits, start, stop))
            radiance = self._candidates(start, stop)
            inner = slice(start, min(stop, height))
            rows = max(inner.stop - start, 0)
            if weights is not None and candidates is not None:
                weights[:, inner] = share[:, :rows, :width]
                candidates[:, :, inner] = radiance[:, :, :rows, :width]
            radiance *= share[:, None]
            if rows:
                merged = radiance.sum(dim=0)[:, :rows, :width]
                cv2.merge(list(merged.contiguous().numpy()), hdr[inner].numpy())

    def _candidates(self, start: int, stop: int) -> Tensor:
        """Radiance of all candidates on some rows, (K, 3, rows, W)."""
        count = len(self.frames)
        radiance = torch.empty(self.config.n_candidates, 3, stop - start, self.frames.width)
        self.frames.light(start, stop, self.exposures, radiance=radiance[:count])
        for tone, target in zip(self.calibrated, radiance[count:].numpy(), strict=True):
            untone_rows(codes_to_float(tone[:, start:stop]).numpy(), target)
        return radiance

    def _finished(self, prior: Array) -> Array:
        return finish_prior(prior, self.originals, self.config.accr is not None)

    def _with_prior(self, logits: Tensor, start: int, stop: int) -> Tensor:
        if not self.config.prior:
            return logits
        if self.kept is not None:
            prior = self.kept[:, start:stop]
        else:
            ldr = torch.empty(len(self.frames), 3, stop - start, self.frames.width)
            radiance = torch.empty(*ldr.shape[:2], stop - start + 2 * HALO, self.frames.width)
            self.frames.light(start, stop, self.exposures, ldr=ldr, radiance=radiance, halo=HALO)
            prior = prior_rows(ldr.numpy(), radiance.numpy(), self.exposures, self.originals)
        return logits.add_(torch.from_numpy(self._finished(prior)))

    def _weigh(self, logits: Tensor) -> Tensor:
        """Shares of the candidates, (K, rows, W), by the configuration's rule; see `LRHDR.forward`."""
        if self.config.fusion == "softmax":
            return torch.softmax(logits, dim=0)
        if self.config.fusion == "dense":
            gates = torch.sigmoid(logits) + GATE_FLOOR
            return gates / gates.sum(dim=0)
        if self.config.alpha > _SMOOTH_ALPHA:
            return entmax(logits, self.config.alpha, dim=0)
        return torch.from_numpy(entmax_rows(logits.numpy(), self.config.alpha))
