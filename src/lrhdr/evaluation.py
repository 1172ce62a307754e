"""Score methods against the truth: clips are re-exposed, reconstructed by the pipeline, and compared in the T domain.

Every method runs through `lrhdr.pipeline.Reconstructor`, the code that users run, on the same LDR frames and the same
interpolated frames (made once per frame). Every frame of a clip is scored, the first and the last included; records say
which frames are at an end, where a neighbour of the same exposure is missing on one side.

Two bounds stand beside the methods: `oracle`, the best of the frames that exist without a network, chosen per pixel by
looking at the truth, and `oracle+NAME`, the same over all candidates of a network.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from lrhdr._version import __version__
from lrhdr.baselines import model_free_candidates, oracle
from lrhdr.camera import CameraConfig
from lrhdr.checks import InputError
from lrhdr.data.evaluation import EvaluationClip
from lrhdr.exposure import ExposureSchedule
from lrhdr.interpolate import Interpolator
from lrhdr.metrics import flicker_error, ghost_share, psnr_mu, ssim_mu
from lrhdr.pipeline import Method, Reconstructor
from lrhdr.scores import ClipRecord, Evaluation, FrameRecord

Progress = Callable[[str, int, int], None]
"""(what is being done, steps done, steps in all)."""

Keep = Callable[[FrameRecord, Tensor, Tensor, Tensor], None]
"""(record, result (3, H, W), truth (3, H, W), LDR window (T, 3, H, W)): what is kept of a frame, for pictures."""

ORACLE = "oracle"


class _Spy:
    """Passes a method's calls through and remembers the candidates of the last one, for the oracle."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self.candidates: Tensor | None = None

    def __call__(self, window: Tensor, interpolated: Tensor, exposures: Tensor, **extra: Tensor) -> Any:
        output = self._method(window, interpolated, exposures, **extra)
        self.candidates = getattr(output, "candidates", None)
        return output


def _position(schedule: ExposureSchedule, index: int) -> str:
    exposure = schedule.exposure(index)
    if exposure == min(schedule.relative):
        return "short"
    return "long" if exposure == max(schedule.relative) else "middle"


def _as_stops(stops: float | Sequence[float]) -> tuple[float, ...]:
    values = (0.0, float(stops)) if isinstance(stops, int | float) else tuple(float(s) for s in stops)
    if len(values) < 2:
        raise InputError(f"stops: expected at least two exposures, found {values}")
    return values


def evaluate(
    methods: Mapping[str, nn.Module | Method],
    clips: Iterable[EvaluationClip],
    *,
    stops: Sequence[float | Sequence[float]] = (2.0, 3.0),
    camera: CameraConfig | None = None,
    interpolator: Interpolator | str = "dis-guided",
    frames: int | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    composite: bool = False,
    progress: Progress | None = None,
    keep: Keep | None = None,
) -> Evaluation:
    """Score methods on clips.

    Args:
        methods: name to network or function `f(window, interpolated, exposures) -> hdr`; see `lrhdr.baselines`.
        clips: what to reconstruct; each is made once and released after use.
        stops: the alternations to record them with. A number s means two exposures, 0 and s; a sequence means one
            period of its own stops.
        camera: noise, clipping and bit depth; the package's default 8-bit camera when not given.
        interpolator: name or object, shared by all methods.
        frames: at most this many frames from the start of each clip; None for all.
        seed: of the camera noise.
        device: where to compute.
        composite: paste the reference over its well-exposed pixels, as the field's test scripts do (never compare such
            numbers with others).
        progress: called after every frame, with the clip's name and its share of the steps.
        keep: called for every frame and method.

    Returns:
        Records, with tables of means.

    Raises:
        InputError: no methods or clips, a clip that is shorter than a period, a network for another number of
            exposures.
    """
    todo = list(clips)
    alternations = [_as_stops(s) for s in stops]
    if not methods or not todo or not alternations:
        raise InputError("evaluation: expected at least one method, one clip and one alternation, found none")
    if ORACLE in methods or any(name.startswith(f"{ORACLE}+") for name in methods):
        raise InputError(f"evaluation: {ORACLE!r} is the name of a bound, not of a method")
    recording = camera or CameraConfig()
    tools = {
        name: Reconstructor(method, interpolator, device=device, composite=composite, name=name)
        for name, method in methods.items()
    }
    spies: dict[str, _Spy] = {}
    for name, tool in tools.items():
        tool.method = spies[name] = _Spy(tool.method)
    shared = next(iter(tools.values()))
    result = Evaluation(
        {
            "versions": {
                "lrhdr": __version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "opencv": cv2.__version__,
                "python": platform.python_version(),
            },
            "seed": seed,
            "camera": asdict(recording),
            "interpolator": shared.interpolator.name,
            "composite": composite,
            "frames": frames,
            "stops": [list(s) for s in alternations],
            "clips": {f"{c.group}/{c.name}": c.note for c in todo},
        }
    )
    for number, clip in enumerate(todo, start=1):
        truth = clip.hdr[:frames]
        steps = len(truth) * len(alternations)
        label = f"{clip.name} ({number} of {len(todo)})"
        for done, alternation in enumerate(alternations):
            schedule = ExposureSchedule.from_stops(alternation)
            for tool in tools.values():
                tool.check_schedule(schedule)
            schedule.check_length(len(truth), clip.name)
            ldr = clip.alternate(schedule, recording, seed)[: len(truth)]

            def step(index: int, first: int = done * len(truth), label: str = label, steps: int = steps) -> None:
                if progress:
                    progress(label, first + index + 1, steps)

            scene = _Scene(clip, alternation, schedule, truth.to(shared.device), ldr.to(shared.device))
            _score_clip(result, scene, tools, spies, step, keep)
        clip.release()
    return result


@dataclass(frozen=True, eq=False)
class _Scene:
    """One clip in one alternation: truth and LDR are (T, 3, H, W)."""

    clip: EvaluationClip
    stops: tuple[float, ...]
    schedule: ExposureSchedule
    truth: Tensor
    ldr: Tensor


def _score_clip(
    result: Evaluation,
    scene: _Scene,
    tools: Mapping[str, Reconstructor],
    spies: Mapping[str, _Spy],
    step: Callable[[int], None],
    keep: Keep | None,
) -> None:
    """Reconstruct and score every frame of a scene."""
    shared = next(iter(tools.values()))
    n_frames = len(scene.truth)
    outputs: dict[str, list[Tensor]] = {}
    interpolation = 0.0
    for index in range(n_frames):
        indices = scene.schedule.window(index, n_frames)
        window = scene.ldr[list(indices)][None]
        exposures = torch.tensor([scene.schedule.window_exposures(index)], device=shared.device)
        target = scene.truth[index][None]
        started = time.perf_counter()
        interpolated = shared.complete(window, exposures)
        interpolation += time.perf_counter() - started
        results: dict[str, tuple[Tensor, float]] = {}
        pools: dict[str, Tensor] = {ORACLE: model_free_candidates(window, interpolated, exposures)}
        for name, tool in tools.items():
            started = time.perf_counter()
            hdr, _ = tool.fuse(window, interpolated, exposures)
            results[name] = hdr, time.perf_counter() - started
            candidates, spies[name].candidates = spies[name].candidates, None
            if candidates is not None:
                pools[f"{ORACLE}+{name}"] = candidates[..., : target.shape[-2], : target.shape[-1]]
        for name, pool in pools.items():
            results[name] = oracle(pool.float(), target), 0.0
        centre = len(indices) // 2
        boundary = any(i != index + k - centre for k, i in enumerate(indices))
        position = _position(scene.schedule, index)
        for name, (hdr, seconds) in results.items():
            record = FrameRecord(
                group=scene.clip.group,
                clip=scene.clip.name,
                stops=scene.stops,
                index=index,
                reference=position,
                boundary=boundary,
                method=name,
                psnr_t=float(psnr_mu(hdr, target)),
                ssim_t=float(ssim_mu(hdr, target)),
                ghosts=float(ghost_share(hdr, target, window[:, centre], exposures[:, centre])),
                seconds=seconds,
            )
            result.frames.append(record)
            outputs.setdefault(name, []).append(hdr[0])
            if keep:
                keep(record, hdr[0], target[0], window[0])
        step(index)
    for name, frames in outputs.items():
        flicker = float(flicker_error(torch.stack(frames), scene.truth))
        result.clips.append(
            ClipRecord(scene.clip.group, scene.clip.name, scene.stops, name, flicker, interpolation / n_frames)
        )
