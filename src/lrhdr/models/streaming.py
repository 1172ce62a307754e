"""LRHDR for inference on CPUs, strip by strip: the whole frame's result without its full-resolution maps.

`StreamingLRHDR` takes an `LRHDR` and computes what its `forward` computes, with the same weights: equal to about 1e-5
in the T domain (tested). There are no tiles and no seams: triplet attention sees the whole frame, because the maps at
1/2 and below are kept whole. Everything at full resolution is done in strips that fit the cache:

1. ACCR, all paths side by side (`models/accr_rows.py`), to the calibrated frames.
2. Candidates in the T domain and the prior, as rows of the voting network's input; the network down to 1/8 and up to
   1/2 (`models/apswf_rows.py`).
3. The last level's logits, the vote, and the weighted sum, to the HDR frame.

With more than one of PyTorch's threads the frame's rows are shared out among as many lanes (`lrhdr.lanes`); the result
is that of one thread within 2e-6.

Memory: the calibrated frames (N_e), the stem's and the half-resolution maps. Up to 4 megapixels it is kept from frame
to frame, one set per thread that calls, so that several frames can be computed at once; `benchmarks/steps.py --memory`
measures it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.lanes import in_lanes, lane_bounds
from lrhdr.models import accr_rows, apswf_rows
from lrhdr.models.accr import ACCR
from lrhdr.models.accr_rows import AccrRows
from lrhdr.models.apswf_rows import ApswfRows
from lrhdr.models.candidate_rows import CandidateRows
from lrhdr.models.frame_rows import FrameRows
from lrhdr.models.lrhdr import LRHDR
from lrhdr.nn.fingerprint import fingerprint
from lrhdr.noise import noise_code, noise_level
from lrhdr.strips import Array

PRECISIONS = ("fp32", "bf16")
"""What the convolutions and the maps between them may be computed in; radiometry and the vote stay in float32."""

_STRIP_PIXELS = 80 * 2**10
_LEAST_STRIP, _MOST_STRIP = 16, 64
"""Pixels and rows of a strip, chosen by us: fewer do their overheads more often, more fall out of the cache. 64 rows of
1280 pixels take 5 % less time than 32, as long as 96; 24 rows of 3840 pixels no less than 16, and more memory."""

KEEP_PIXELS = 4_000_000
"""Pixels up to which memory is kept from frame to frame, and the prior from the second stage for the third. For larger
frames each stage gives up what the next does not need; getting it anew costs one or two hundredths of their time. Their
interpolated and calibrated frames are rounded to 16 bits between the stages."""


class StreamedOutput(NamedTuple):
    """One reconstructed frame.

    Attributes:
        hdr: (B, 3, H, W), linear radiance in [0, 1].
        weights: (B, K, H, W), the vote; None unless maps were asked for.
        candidates: (B, K, 3, H, W), linear radiance; None unless maps were asked for.
    """

    hdr: Tensor
    weights: Tensor | None
    candidates: Tensor | None


def supports(model: LRHDR) -> bool:
    """Whether `StreamingLRHDR` can run this network: on the CPU, in a configuration whose parts it knows."""
    on_cpu = next(model.parameters()).device.type == "cpu"
    known = model.accr is None or accr_rows.supports(model.accr)
    return on_cpu and known and apswf_rows.supports(model.apswf)


class _Workspace:
    """Memory and weights of one thread for one frame size."""

    def __init__(
        self,
        model: LRHDR,
        height: int,
        width: int,
        strip: int,
        dtype: torch.dtype,
        once: bool,
        lanes: int,
        key: tuple[object, ...],
    ) -> None:
        config = model.config
        self.key = key
        paths = config.n_exposures if model.accr is not None else 0
        self._lanes = (
            [
                _AccrLane(model.accr, height, width, paths, strip, dtype, bound, once)
                for bound in lane_bounds(height, lanes, strip)
            ]
            if model.accr is not None
            else []
        )
        self.apswf = ApswfRows(model.apswf, height, width, strip, dtype, once, lanes)
        self.calibrated = torch.empty(paths, 3, height, width, dtype=torch.uint16 if once else torch.float32)
        self.prior: Array | None = None
        if config.prior and not once:
            self.prior = np.empty((config.n_candidates - paths, height, width), dtype=np.float32)

    def calibrate(self, frames: FrameRows, exposures: list[float], code: Tensor | None) -> None:
        """Fill `calibrated`."""
        if self._lanes:
            in_lanes([partial(lane.run, frames, exposures, code, self.calibrated) for lane in self._lanes])


class _AccrLane:
    """One lane's part of the calibrated frames: ACCR is local, so it runs on these rows and those they depend on."""

    def __init__(
        self,
        accr: ACCR,
        height: int,
        width: int,
        paths: int,
        strip: int,
        dtype: torch.dtype,
        bound: tuple[int, int],
        once: bool,
    ) -> None:
        self.begin, self.end = bound
        around = accr_rows.reach(accr)
        self.first, self.last = max(self.begin - around, 0), min(self.end + around, height)
        self._make = partial(AccrRows, accr, self.last - self.first, width, paths, strip, dtype)
        self._rows: AccrRows | None = None
        self._once = once

    def run(self, frames: FrameRows, exposures: list[float], code: Tensor | None, calibrated: Tensor) -> None:
        """Fill the lane's rows of `calibrated`."""
        rows = self._rows or self._make()
        if not self._once:
            self._rows = rows
        kept = self.begin - self.first, self.end - self.first
        out = calibrated[:, :, self.begin : self.end]
        rows.run(frames.counted_from(self.first), exposures, code, out, kept)


class StreamingLRHDR:
    """Run an `LRHDR` in strips of rows; see the module's docstring.

    The weights are copied, and copied again when the model's have changed (`lrhdr.nn.fingerprint`).

    Args:
        model: in eval mode, for which `supports` holds.
        precision: "fp32", or "bf16" (see `lrhdr.nn.precision`) for the convolutions and the maps between them.
        strip: rows per strip, a multiple of 8; chosen by the width when not given.

    Raises:
        ValueError: an unknown precision, a strip that is not a multiple of 8, or a model that is not supported.
    """

    MULTIPLE = 1
    """Frames of any size: padding to the network's grid is done on the strips."""

    def __init__(self, model: LRHDR, precision: str = "fp32", strip: int | None = None) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}")
        if strip is not None and (strip < 8 or strip % 8):
            raise ValueError(f"strip: expected a multiple of 8, found {strip}")
        if not supports(model):
            raise ValueError("streaming: this network's configuration or device is not supported")
        self.model = model
        self.config = model.config
        self.precision = precision
        self.strip = strip
        self._local = threading.local()

    @torch.inference_mode()
    def __call__(
        self,
        window: Tensor | Sequence[Tensor],
        interpolated: Tensor | Sequence[Tensor],
        exposures: Tensor,
        noise: Tensor | None = None,
        aligned: Tensor | Sequence[Tensor] | None = None,
        *,
        maps: bool = False,
    ) -> StreamedOutput:
        """Reconstruct the reference frame.

        Args:
            window: (B, T, 3, H, W), gamma-encoded in [0, 1], the reference in the middle, any size; or, for B = 1, T
                frames (3, H, W), which need not be copied into one tensor and may be uint8 or uint16.
            interpolated: (B, N_e - 1, 3, H, W), or as the window.
            exposures: (B, T), relative.
            noise: (B,), noise level; estimated when not given and needed.
            aligned: as in `LRHDR.forward`, or as the window.
            maps: also return the weights and the candidates.

        Returns:
            `StreamedOutput`.

        Raises:
            InputError: shapes that do not fit the configuration.
        """
        outputs = []
        batch = len(exposures)
        for b in range(batch):
            frames = [_listed(x, b, batch) for x in (window, interpolated, () if aligned is None else aligned)]
            level = noise[b : b + 1] if noise is not None else None
            outputs.append(self._one(frames[0], frames[1], frames[2], [float(e) for e in exposures[b]], level, maps))
        if batch == 1:
            return StreamedOutput(*(None if x is None else x[None] for x in outputs[0]))  # type: ignore[arg-type]
        hdr, weights, candidates = zip(*outputs, strict=True)
        stacked = (torch.stack(weights), torch.stack(candidates)) if maps else (None, None)
        return StreamedOutput(torch.stack(hdr), *stacked)

    def _check(
        self, window: list[Tensor], between: list[Tensor], aligned: list[Tensor], exposures: list[float]
    ) -> None:
        n = self.config.n_exposures
        counts = {"window": (window, 2 * n - 1), "interpolated": (between, n - 1)}
        if self.config.aligned:
            counts["aligned"] = (aligned, 2 * n - 2)
        if len(exposures) != 2 * n - 1:
            raise InputError(f"exposures: expected {2 * n - 1} for {n} exposures, found {len(exposures)}")
        for name, (frames, expected) in counts.items():
            if len(frames) != expected:
                raise InputError(f"{name}: expected {expected} frames for {n} exposures, found {len(frames)}")
            for frame in frames:
                if frame.ndim != 3 or frame.shape != (3, *window[0].shape[1:]):
                    raise InputError(
                        f"{name}: expected frames of shape {(3, *window[0].shape[1:])}, found {tuple(frame.shape)}"
                    )

    def _workspace(self, height: int, width: int) -> _Workspace:
        once = height * width > KEEP_PIXELS
        lanes = torch.get_num_threads()
        key = (height, width, once, lanes, fingerprint(self.model))
        held = getattr(self._local, "workspace", None)
        if held is None or held.key != key:
            held = self._local.workspace = None  # the old one's memory goes before the new one's comes
            dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
            strip = self.strip or min(max(round(_STRIP_PIXELS / width / 8) * 8, _LEAST_STRIP), _MOST_STRIP)
            held = _Workspace(self.model, height, width, strip, dtype, once, lanes, key)
            if not once:
                self._local.workspace = held
        assert isinstance(held, _Workspace)
        return held

    def _one(
        self,
        window: list[Tensor],
        between: list[Tensor],
        aligned: list[Tensor],
        exposures: list[float],
        noise: Tensor | None,
        maps: bool,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """One frame without its batch axis."""
        self._check(window, between, aligned, exposures)
        config, centre = self.config, self.config.n_exposures - 1
        between_exposures = exposures[:centre][::-1]
        code = None
        if config.noise:
            code = noise_code(noise_level(torch.stack(window)[None]) if noise is None else noise.float())
        made = between if config.interpolated else []
        made_exposures = between_exposures if config.interpolated else []
        if config.aligned:
            made, made_exposures = made + aligned, made_exposures + exposures[:centre] + exposures[centre + 1 :]
        frames = FrameRows(window + made, LRHDR.MULTIPLE)
        space = self._workspace(frames.height, frames.width)
        at_time = FrameRows([window[centre], *between], LRHDR.MULTIPLE)
        space.calibrate(at_time, [exposures[centre], *between_exposures], code)
        candidates = CandidateRows(config, frames, exposures + made_exposures, space.calibrated, space.prior)
        space.apswf.down(candidates.features, code)
        return candidates.merge(space.apswf.up(), maps)


def _listed(frames: Tensor | Sequence[Tensor], index: int, batch: int) -> list[Tensor]:
    """Frames of one item of the batch."""
    if isinstance(frames, Tensor):
        return list(frames[index])
    if frames and batch != 1:
        raise InputError(f"streaming: frames in a list are one window, found exposures of {batch}")
    return list(frames)
