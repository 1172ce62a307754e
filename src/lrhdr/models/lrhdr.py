"""LRHDR: map exposures to a unified representation (ACCR), then vote per pixel (APSWF).

Input: a window of 2 N_e - 1 LDR frames around the reference, the N_e - 1 frames that a frozen interpolator made at the
reference's time, and all relative exposures. Output: the HDR frame in linear radiance (1.0 = saturation of the shortest
exposure), with everything that a loss or a viewer wants to see.

Candidates, K = 4 N_e - 2, in this order: the window's frames in time order, the interpolated frames, the calibrated
frames (reference first). `M = α-entmax(logits)`, `H = Σ M_i H_i` in linear radiance.

What differs from the paper: see `models/accr.py`, `models/apswf.py`; a physical prior is added to the logits
(`models/prior.py`; `prior=False` removes it); the ablation's switches are fields of the configuration.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lrhdr.checks import InputError, check_sizes, check_tensor
from lrhdr.entmax import ALPHA, entmax
from lrhdr.exposure import interpolated_exposures
from lrhdr.models.accr import ACCR, ACCRConfig
from lrhdr.models.apswf import APSWF, APSWFConfig
from lrhdr.models.prior import prior_logits
from lrhdr.noise import noise_code, noise_level
from lrhdr.radiometry import ldr_to_radiance
from lrhdr.tonemap import mu_law, mu_law_inverse

PRIOR_INPUT = 0.3
"""Brings the prior, about -5 to 0, to the size of the voting network's other inputs."""

GATE_FLOOR = 1e-6
"""Keeps the sum of the shares of fusion "dense" above 0."""


@dataclass(frozen=True)
class LRHDRConfig:
    """The whole network in one value; a weights file carries it.

    Attributes:
        n_exposures: N_e >= 2.
        accr: sizes of ACCR; None removes it and its candidates (the ablation's Base).
        apswf: sizes of the voting network.
        fusion: "entmax", "softmax", or "dense" (one sigmoid weight per candidate, normalised: the usual dense fusion).
        alpha: α of entmax, 1 < α <= 2.
        prior: add the physical prior to the logits.
        noise: tell both networks how noisy the frames are (`lrhdr.noise`).
        interpolated: the interpolated frames are candidates (ACCR calibrates them).
        aligned: the neighbours aligned to the reference by optical flow are candidates, after the interpolated ones
            (the ablation's align-then-fuse networks).
    """

    n_exposures: int = 2
    accr: ACCRConfig | None = field(default_factory=ACCRConfig)
    apswf: APSWFConfig = field(default_factory=APSWFConfig)
    fusion: str = "entmax"
    alpha: float = ALPHA
    prior: bool = True
    noise: bool = False
    interpolated: bool = True
    aligned: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: N_e below 2, unknown fusion, α outside (1, 2], frames missing that another part needs.
        """
        if self.n_exposures < 2:
            raise ValueError(f"n_exposures: expected at least 2, found {self.n_exposures}")
        if self.fusion not in ("entmax", "softmax", "dense"):
            raise ValueError(f"fusion: expected 'entmax', 'softmax' or 'dense', found {self.fusion!r}")
        if not 1.0 < self.alpha <= 2.0:
            raise ValueError(f"alpha: expected 1 < alpha <= 2, found {self.alpha}")
        if not self.interpolated and (self.accr is not None or not self.aligned):
            raise ValueError("interpolated: ACCR needs the interpolated frames; without it, aligned ones must be there")

    @property
    def n_candidates(self) -> int:
        """K: 4 N_e - 2; N_e fewer without ACCR, N_e - 1 without interpolated frames; 2 N_e - 2 more with aligned."""
        n = self.n_exposures
        made = (n - 1 if self.interpolated else 0) + (2 * n - 2 if self.aligned else 0)
        return 2 * n - 1 + made + (n if self.accr is not None else 0)

    @property
    def vote_alpha(self) -> float:
        """α of the vote's loss: 1 with softmax."""
        return 1.0 if self.fusion == "softmax" else self.alpha

    @classmethod
    def preset(cls, name: str, n_exposures: int = 2) -> LRHDRConfig:
        """A named size: "compact" (for CPUs) or "paper" (for GPUs).

        Raises:
            ValueError: unknown name.
        """
        if name == "compact":
            if n_exposures > 2:  # every further path costs as much as each of the two: narrower, to stay within 40 GMAC
                return cls(
                    n_exposures, ACCRConfig(channels=12, context=24, mapper_hidden=12, decoder_hidden=16), APSWFConfig()
                )
            return cls(n_exposures)
        if name == "paper":
            return cls(
                n_exposures=n_exposures,
                accr=ACCRConfig(channels=64, context=128, mapper_hidden=64, decoder_hidden=64, decoder_blocks=2),
                apswf=APSWFConfig(widths=(48, 96, 192, 256), blocks=(2, 2, 2), attention_full=True),
            )
        raise ValueError(f"preset: expected 'compact' or 'paper', found {name!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LRHDRConfig:
        """Rebuild from `to_dict`'s output.

        Raises:
            ValueError: unknown keys or bad values.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        check_sizes(values)
        if unknown:
            raise ValueError(f"configuration: unknown keys {unknown}, expected {sorted(known)}")
        given = dict(values)
        try:
            if isinstance(given.get("accr"), dict):
                given["accr"] = ACCRConfig(**given["accr"])
            if isinstance(given.get("apswf"), dict):
                given["apswf"] = APSWFConfig(**given["apswf"])
            return cls(**given)
        except TypeError as error:
            raise ValueError(f"configuration: {error}") from None


class LRHDROutput(NamedTuple):
    """What one forward pass gives.

    Attributes:
        hdr: (B, 3, H, W), linear radiance in [0, 1].
        weights: (B, K, H, W), the vote: >= 0, sums to 1 over K, exact zeros with entmax.
        logits: (B, K, H, W), before entmax, prior included.
        candidates: (B, K, 3, H, W), linear radiance.
        calibrated: (B, N_e, 3, H, W), linear radiance, the last candidates; (B, 0, 3, H, W) without ACCR.
        candidates_mu: (B, K, 3, H, W), the candidates in the T domain (losses need them; computed once).
    """

    hdr: Tensor
    weights: Tensor
    logits: Tensor
    candidates: Tensor
    calibrated: Tensor
    candidates_mu: Tensor


class LRHDR(nn.Module):
    """The network.

    Args:
        config: sizes and switches; `LRHDRConfig.preset("compact")`.
    """

    MULTIPLE = 8
    """Height and width must be multiples of this; `lrhdr.pipeline` pads."""

    def __init__(self, config: LRHDRConfig) -> None:
        super().__init__()
        self.config = config
        n = config.n_exposures
        frames = config.n_candidates - (n if config.accr is not None else 0)
        self.accr = ACCR(config.accr, noise=config.noise) if config.accr is not None else None
        inputs = 3 * frames + 3 * config.n_candidates + (config.n_candidates if config.prior else 0)
        self.apswf = APSWF(inputs, config.n_candidates, config.apswf, noise=config.noise)

    def forward(
        self,
        window: Tensor,
        interpolated: Tensor,
        exposures: Tensor,
        noise: Tensor | None = None,
        aligned: Tensor | None = None,
        shown: Tensor | None = None,
    ) -> LRHDROutput:
        """Reconstruct the reference frame.

        Args:
            window: (B, 2 N_e - 1, 3, H, W), gamma-encoded in [0, 1], the reference in the middle; H, W multiples of 8.
            interpolated: (B, N_e - 1, 3, H, W), the frames at the reference's time, in `interpolation_pairs`' order.
            exposures: (B, 2 N_e - 1), relative exposures of the window (shortest of the schedule = 1).
            noise: (B,), noise level in code units; estimated from the window when not given and when the
                configuration uses it. Who works in tiles estimates it once, on the whole frame.
            aligned: (B, 2 N_e - 2, 3, H, W), the neighbours aligned to the reference, in time order; needed when the
                configuration uses them, ignored otherwise.
            shown: (B, 3, H, W), the reference as the voting network is shown it (training under perturbed tones); the
                reference itself when not given. Candidates, calibration and prior never see it.

        Returns:
            `LRHDROutput`.

        Raises:
            InputError: shapes that do not fit the configuration.
        """
        self._check(window, interpolated, exposures, aligned)
        n = self.config.n_exposures
        centre = n - 1
        exposures = exposures.to(window)
        code = None
        if self.config.noise:
            code = noise_code(noise_level(window) if noise is None else noise.to(window))
        between = interpolated_exposures(exposures)
        at_reference, at_exposures = self._at_reference(interpolated, aligned, exposures, between)
        frames = torch.cat((window, at_reference), dim=1)
        radiances = ldr_to_radiance(frames, torch.cat((exposures, at_exposures), dim=1))
        tones = mu_law(radiances)
        calibrated = radiances[:, :0]
        if self.accr is not None:
            at_time = torch.cat((window[:, centre : centre + 1], interpolated), dim=1)
            calibrated_mu = self.accr(at_time, torch.cat((exposures[:, centre : centre + 1], between), dim=1), code)
            calibrated = mu_law_inverse(calibrated_mu)
            tones = torch.cat((tones, calibrated_mu), dim=1)
        candidates = torch.cat((radiances, calibrated), dim=1)
        inputs = [frames.flatten(1, 2), tones.flatten(1, 2)]
        if shown is not None:
            tone = mu_law(ldr_to_radiance(shown, exposures[:, centre]))
            inputs = [_with_frame(frames, centre, shown).flatten(1, 2), _with_frame(tones, centre, tone).flatten(1, 2)]
        prior = None
        if self.config.prior:
            prior = prior_logits(
                window, exposures, at_reference, at_exposures, calibrated=self.accr is not None
            ).detach()
            inputs.append(prior * PRIOR_INPUT)
        features = torch.cat(inputs, dim=1).contiguous(memory_format=torch.channels_last)
        logits = self.apswf(features, code).float()
        if prior is not None:
            logits = logits + prior
        weights = self._weigh(logits)
        hdr = (weights[:, :, None] * candidates).sum(dim=1)
        return LRHDROutput(hdr, weights, logits, candidates, calibrated, tones)

    def _at_reference(
        self, interpolated: Tensor, aligned: Tensor | None, exposures: Tensor, between: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The candidates made at the reference's time, (B, M, 3, H, W), and their exposures, (B, M)."""
        centre = self.config.n_exposures - 1
        frames = [interpolated] if self.config.interpolated else []
        times = [between] if self.config.interpolated else []
        if self.config.aligned:
            assert aligned is not None
            frames.append(aligned)
            times += [exposures[:, :centre], exposures[:, centre + 1 :]]
        return torch.cat(frames, dim=1), torch.cat(times, dim=1)

    def _weigh(self, logits: Tensor) -> Tensor:
        if self.config.fusion == "entmax":
            return entmax(logits, self.config.alpha, dim=1)
        if self.config.fusion == "softmax":
            return torch.softmax(logits, dim=1)
        gates = torch.sigmoid(logits) + GATE_FLOOR
        return gates / gates.sum(dim=1, keepdim=True)

    def _check(self, window: Tensor, interpolated: Tensor, exposures: Tensor, aligned: Tensor | None) -> None:
        n = self.config.n_exposures
        check_tensor(window, "window", ndim=5)
        check_tensor(interpolated, "interpolated", ndim=5)
        batch, height, width = window.shape[0], *window.shape[-2:]
        expected = {
            "window": (window, (batch, 2 * n - 1, 3, height, width)),
            "interpolated": (interpolated, (batch, n - 1, 3, height, width)),
            "exposures": (exposures, (batch, 2 * n - 1)),
        }
        if self.config.aligned:
            if aligned is None:
                raise InputError("aligned: this network needs the neighbours aligned to the reference")
            expected["aligned"] = (aligned, (batch, 2 * n - 2, 3, height, width))
        for name, (tensor, shape) in expected.items():
            if tuple(tensor.shape) != shape:
                raise InputError(f"{name}: expected shape {shape} for {n} exposures, found {tuple(tensor.shape)}")
        if height % self.MULTIPLE or width % self.MULTIPLE:
            raise InputError(
                f"window: expected height and width to be multiples of {self.MULTIPLE}, found {height}x{width}"
            )


def _with_frame(frames: Tensor, index: int, frame: Tensor) -> Tensor:
    """(B, M, 3, H, W) with frame `index` replaced by (B, 3, H, W)."""
    return torch.cat((frames[:, :index], frame[:, None], frames[:, index + 1 :]), dim=1)
