"""Score one take: every method on every frame, the bounds beside them, and the numbers of the judges.

A frame's window is read once, the frames at its time are interpolated once, and every method gets the same of both.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from lrhdr._version import __version__
from lrhdr.baselines import model_free_candidates, oracle
from lrhdr.checks import InputError
from lrhdr.exposure import ExposureSchedule
from lrhdr.frames import composite_with_reference
from lrhdr.judges import ClipJudges, Judge, JudgedFrame, judge_frame
from lrhdr.metrics.psnr import psnr
from lrhdr.pipeline import Reconstructor
from lrhdr.predictions import find_predictions, read_prediction
from lrhdr.protocols import Display, Protocol
from lrhdr.scores import ClipRecord, Evaluation, FrameRecord
from lrhdr.takes import Take, folder_label
from lrhdr.tonemap import mu_law

ORACLE = "oracle"


@dataclass(frozen=True, eq=False)
class FrameParts:
    """What pictures are made from: one frame as a method saw and solved it. All on the CPU or the device in use.

    Attributes:
        hdr: (3, H, W), the result, linear.
        truth: (3, H, W), as the protocol normalised it.
        window: (T, 3, H, W), the LDR frames, the reference in the middle.
        exposures: (T,), relative.
        candidates: (K, 3, H, W), linear: of the network, or (for methods without) those that exist without one.
        weights: (K, H, W), the network's vote; None for methods that do not vote.
        choice: (H, W), integer, the candidate that the oracle takes.
    """

    hdr: Tensor
    truth: Tensor
    window: Tensor
    exposures: Tensor
    candidates: Tensor
    weights: Tensor | None
    choice: Tensor


Keep = Callable[[FrameRecord, FrameParts], None]
"""Called for every frame and method with its scores and parts, for pictures."""


def _position(schedule: ExposureSchedule, index: int) -> str:
    exposure = schedule.exposure(index)
    if exposure == min(schedule.relative):
        return "short"
    return "long" if exposure == max(schedule.relative) else "middle"


@dataclass(frozen=True, eq=False)
class Scoring:
    """What is the same for all takes of an evaluation."""

    tools: Mapping[str, Reconstructor]
    completer: Reconstructor
    protocol: Protocol
    judges: tuple[Judge, ...]
    display: Display
    composites: tuple[bool, ...]
    predictions: Mapping[str, Path]
    bounds: bool
    keep: Keep | None

    def settings(self) -> dict[str, Any]:
        """What its numbers depend on, and the machine that `seconds` are of."""
        return {
            "versions": {
                "lrhdr": __version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "opencv": cv2.__version__,
                "python": platform.python_version(),
            },
            "machine": {
                "system": platform.platform(),
                "processor": platform.processor() or platform.machine(),
                "cores": os.cpu_count(),
                "threads": torch.get_num_threads(),
                "device": str(self.completer.device),
            },
            "protocol": self.protocol.settings(),
            "display": asdict(self.display),
            "metrics": [j.name for j in self.judges],
            "composite": "both" if len(self.composites) > 1 else self.composites[0],
            "predictions": {name: Path(root).name for name, root in self.predictions.items()},
        }


@dataclass(eq=False)
class _Solved:
    """One method's answer for one frame."""

    hdr: Tensor
    seconds: float = 0.0
    pool: Tensor | None = None
    weights: Tensor | None = None


def score_take(
    result: Evaluation, run: Scoring, take: Take, chosen: Sequence[int], alone: bool, step: Callable[[int], None]
) -> None:
    """Reconstruct and score frames of a take.

    Args:
        result: where records are added.
        run: methods and judges.
        take: the footage and its truth.
        chosen: the frames to score, some of `take.scored`, at least one.
        alone: it is the only take, so that predictions may lie in their folder itself.
        step: called after every frame with the number of frames done.

    Raises:
        InputError: predictions that do not fit, or frames and truth that differ in size.
    """
    device = run.completer.device
    tools = {n: t for n, t in run.tools.items() if t.n_exposures in (None, take.schedule.n_exposures)}
    size = take.truth(chosen[0]).shape[-2:]
    folders = (take.label, folder_label(take.clip, take.stops)) if take.label == take.clip else (take.label,)
    files = {
        name: find_predictions(root, take.group, folders, take.names, chosen, (size[0], size[1]), alone)
        for name, root in run.predictions.items()
    }
    pairs: dict[tuple[str, bool], ClipJudges] = {}
    seen = {"truth_mean": 0.0, "ldr_mean": 0.0}
    interpolation = 0.0
    for n, index in enumerate(chosen, start=1):
        indices = take.schedule.window(index, take.n_frames)
        window = torch.stack([take.ldr(i) for i in indices])[None].to(device)
        exposures = torch.tensor([take.schedule.window_exposures(index)], device=device)
        target = take.truth(index)[None].to(device)
        if window.shape[-2:] != target.shape[-2:]:
            raise InputError(f"{take.name}: frames {tuple(window.shape[-2:])} and truth {tuple(size)} differ in size")
        motion = take.motion(index)
        solved = {name: _Solved(read_prediction(paths[index]).to(device)) for name, paths in files.items()}
        if tools:
            started = time.perf_counter()
            interpolated = run.completer.complete(window, exposures)
            _finish(interpolated.device)
            interpolation += time.perf_counter() - started
            recorded = take.companion(index)
            if recorded is not None:
                fit = psnr(interpolated[:, 0], recorded[None].to(device), data_range=1.0)
                seen["interpolated_psnr"] = seen.get("interpolated_psnr", 0.0) + float(fit) / len(chosen)
            solved |= _solve(tools, window, interpolated, exposures, target, run.bounds)
        centre = len(indices) // 2
        common: dict[str, Any] = {
            "group": take.group,
            "clip": take.clip,
            "stops": take.stops,
            "index": index,
            "reference": _position(take.schedule, index),
            "boundary": any(i != index + k - centre for k, i in enumerate(indices)),
        }
        truth = run.protocol.cropped(target)
        seen["truth_mean"] += float(truth.double().mean()) / len(chosen)
        seen["ldr_mean"] += float(window[:, centre].double().mean()) / len(chosen)
        for name, answer in solved.items():
            for pasted in run.composites:
                hdr = composite_with_reference(answer.hdr, window[:, centre], exposures) if pasted else answer.hdr
                shown = run.protocol.cropped(hdr)
                judged = JudgedFrame(
                    shown,
                    truth,
                    run.protocol.cropped(window[:, centre]),
                    exposures[:, centre],
                    run.protocol,
                    run.display,
                )
                record = FrameRecord(
                    **common,
                    method=name,
                    composite=pasted,
                    metrics=judge_frame(run.judges, judged),
                    seconds=answer.seconds,
                )
                result.frames.append(record)
                pairs.setdefault((name, pasted), ClipJudges(run.judges, run.display)).add(
                    index, shown, truth, None if motion is None else _moved(motion, run.protocol, device)
                )
                if run.keep:
                    run.keep(record, _parts(answer, hdr, target, window, exposures))
        step(n)
    for (name, pasted), judges in pairs.items():
        result.clips.append(
            ClipRecord(take.group, take.clip, take.stops, name, pasted, judges.result(), interpolation / len(chosen))
        )
    result.settings["data"][take.name] = {"size": list(size), "frames": len(chosen), **seen}


def _finish(device: torch.device) -> None:
    """Wait for what a GPU still has to do, so that the clock says what it took."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _solve(
    tools: Mapping[str, Reconstructor],
    window: Tensor,
    interpolated: Tensor,
    exposures: Tensor,
    target: Tensor,
    bounds: bool,
) -> dict[str, _Solved]:
    """Run the methods, then the oracles over what they had to choose from."""
    solved: dict[str, _Solved] = {}
    free = model_free_candidates(window, interpolated, exposures).float()
    for name, tool in tools.items():
        started = time.perf_counter()
        fused = tool.fuse(window, interpolated, exposures)
        _finish(fused.hdr.device)
        seconds = time.perf_counter() - started
        pool = free if fused.candidates is None else fused.candidates.float()
        solved[name] = _Solved(fused.hdr, seconds, pool, fused.weights)
    if bounds:
        pools = {ORACLE: free}
        pools |= {f"{ORACLE}+{name}": s.pool for name, s in solved.items() if s.pool is not None and s.pool is not free}
        solved |= {name: _Solved(oracle(pool, target), pool=pool) for name, pool in pools.items()}
    return solved


def _moved(motion: tuple[Tensor, Tensor], protocol: Protocol, device: torch.device) -> tuple[Tensor, Tensor]:
    """The motion between two frames, cropped like them; what moves to where the crop begins is not visible."""
    flow, visible = (protocol.cropped(x[None].to(device)) for x in motion)
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=device) + flow[:, :1]
    y = torch.arange(height, device=device)[:, None] + flow[:, 1:]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return flow, visible * inside


def _parts(answer: _Solved, hdr: Tensor, target: Tensor, window: Tensor, exposures: Tensor) -> FrameParts:
    pool = answer.pool if answer.pool is not None else hdr[:, None]
    error = (mu_law(pool) - mu_law(target)[:, None]).square().sum(dim=2)
    return FrameParts(
        hdr=hdr[0],
        truth=target[0],
        window=window[0],
        exposures=exposures[0],
        candidates=pool[0],
        weights=None if answer.weights is None else answer.weights[0].float(),
        choice=error.argmin(dim=1)[0],
    )
