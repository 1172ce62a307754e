"""Score methods against the truth: clips are reconstructed by the pipeline and compared as a named protocol says.

Every method runs through `lrhdr.pipeline.Reconstructor`, the code that users run, on the same LDR frames and the same
interpolated frames (made once per frame). Records say which frames are at an end of their clip, where a neighbour of
the same exposure is missing on one side.

Two bounds stand beside the methods: `oracle`, the best of the frames that exist without a network, chosen per pixel by
looking at the truth, and `oracle+NAME`, the same over all candidates of a network. Results of other methods are read
from files (`lrhdr.predictions`) and scored by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from lrhdr.backends import BackendChoice
from lrhdr.baselines import reference
from lrhdr.camera import CameraConfig
from lrhdr.checks import InputError
from lrhdr.data.bench import BenchClip
from lrhdr.data.recording import RecordingConfig
from lrhdr.exposure import ExposureSchedule
from lrhdr.interpolate import Interpolator, get_interpolator
from lrhdr.judges import DEFAULT_METRICS, check_available, choose_metrics
from lrhdr.pipeline import DEFAULT_INTERPOLATOR, Method, Reconstructor
from lrhdr.protocols import DEFAULT_PROTOCOL, Display, Protocol, get_protocol
from lrhdr.scores import Evaluation
from lrhdr.scoring import ORACLE, Keep, Scoring, score_take
from lrhdr.takes import Clip, schedules, takes

Progress = Callable[[str, int, int], None]
"""(what is being done, steps done, steps in all)."""

FrameKey = tuple[str, str, tuple[float, ...], int]
"""Group, clip, stops and index: a frame, whatever the method."""

Composite = bool | Literal["both"] | None
"""Whether to paste the reference; None for what the protocol says."""


def _as_stops(stops: float | Sequence[float]) -> tuple[float, ...]:
    values = (0.0, float(stops)) if isinstance(stops, int | float) else tuple(float(s) for s in stops)
    if len(values) < 2:
        raise InputError(f"stops: expected at least two exposures, found {values}")
    return values


def evaluate(
    methods: Mapping[str, nn.Module | Method],
    clips: Iterable[Clip],
    *,
    protocol: Protocol | str = DEFAULT_PROTOCOL,
    metrics: Sequence[str] = DEFAULT_METRICS,
    display: Display | None = None,
    composite: Composite = None,
    stops: Sequence[float | Sequence[float]] = (2.0, 3.0),
    camera: CameraConfig | None = None,
    recording: RecordingConfig | None = None,
    interpolator: Interpolator | str = DEFAULT_INTERPOLATOR,
    predictions: Mapping[str, Path] | None = None,
    bounds: bool = True,
    frames: int | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    quality: str = "best",
    precision: str = "auto",
    progress: Progress | None = None,
    keep: Keep | None = None,
    only: Container[FrameKey] | None = None,
    done: Evaluation | None = None,
    after_take: Callable[[Evaluation], None] | None = None,
) -> Evaluation:
    """Score methods on clips.

    Args:
        methods: name to network or function `f(window, interpolated, exposures) -> hdr`; see `lrhdr.baselines`. A
            network is run on the clips with its number of exposures, baselines on all.
        clips: what to reconstruct; clips that are made are made once and released after use.
        protocol: which frames are scored, against what; a name or an object of `lrhdr.protocols`.
        metrics: names of `lrhdr.judges.JUDGES`.
        display: the screen for metrics that judge light.
        composite: paste the reference over its well-exposed pixels, as the field's test scripts do; "both" scores every
            frame twice; None for what the protocol says. Never compare one with the other.
        stops: the alternations to record clips with whose footage is made; recorded clips have their own. A number s
            means two exposures, 0 and s; a sequence means one period of its own stops.
        camera: noise, clipping and bit depth of made footage; the package's default 8-bit camera when not given.
        recording: noise reduction and codec of made footage, lrhdr-bench's too; none when not given.
        interpolator: name or object, shared by all methods.
        predictions: name to folder of results of other methods; see `lrhdr.predictions`.
        bounds: also score the oracles.
        frames: of made footage at most this many frames from its start; of recorded footage at most this many frames
            with truth. None for all.
        seed: of the camera noise.
        device: where to compute.
        quality: of the reconstruction, "best" or "fast" (`lrhdr.backends`).
        precision: of its convolutions, "auto", "fp32" or "bf16".
        progress: called after every frame, with the clip's name and its share of the steps.
        keep: called for every frame and method.
        only: score only these frames.
        done: an unfinished evaluation of the same settings; its takes are not scored again.
        after_take: called with everything measured so far, after each clip and alternation.

    Returns:
        Records; `lrhdr.score_tables` makes tables of their means.

    Raises:
        InputError: no methods or clips, a clip that is shorter than a period or of which nothing can be scored, a
            network for another number of exposures, predictions that do not fit.
    """
    todo, alternations = list(clips), list(dict.fromkeys(_as_stops(s) for s in stops))
    outside = dict(predictions or {})
    if not (methods or outside) or not todo or not alternations:
        raise InputError("evaluation: expected at least one method, one clip and one alternation, found none")
    if any(name == ORACLE or name.startswith(f"{ORACLE}+") for name in (*methods, *outside)):
        raise InputError(f"evaluation: {ORACLE!r} is the name of a bound, not of a method")
    judges = choose_metrics(metrics)
    check_available(judges)
    rules = get_protocol(protocol) if isinstance(protocol, str) else protocol
    between = get_interpolator(interpolator) if isinstance(interpolator, str) else interpolator
    choice = BackendChoice(quality=quality, precision=precision)
    build = partial(Reconstructor, interpolator=between, device=device, backend=choice)
    tools = {name: build(method, name=name) for name, method in methods.items()}
    _check_exposures(tools, {s for clip in todo for s in schedules(clip, alternations)}, bool(outside))
    completer = build(reference)
    run = Scoring(
        tools=tools,
        completer=completer,
        protocol=rules,
        judges=judges,
        display=display or Display(),
        composites=_composites(composite, rules),
        predictions=outside,
        bounds=bounds and bool(methods),
        keep=keep,
    )
    sensor = camera or CameraConfig()
    settings = run.settings() | {
        "seed": seed,
        "camera": asdict(sensor),
        "recording": None if recording is None else asdict(recording),
        "interpolator": between.name,
        "quality": quality,
        "precision": "bf16" if any(tool.precision == "bf16" for tool in (completer, *tools.values())) else "fp32",
        "frames": frames,
        "stops": [list(s) for s in alternations],
        "clips": {f"{c.group}/{c.name}": c.note for c in todo},
        "classes": {f"{c.group}/{c.name}": _classes(c) for c in todo if isinstance(c, BenchClip)},
        "data": dict(done.settings["data"]) if done else {},
    }
    result = Evaluation(settings, list(done.frames) if done else [], list(done.clips) if done else [])
    finished = {(r.group, r.clip, r.stops) for r in result.clips}
    only_clip = len(todo) == 1 and len(schedules(todo[0], alternations)) == 1
    for number, clip in enumerate(todo, start=1):
        label, count = f"{clip.name} ({number} of {len(todo)})", len(schedules(clip, alternations))
        if all((clip.group, clip.name, s) in finished for s in schedules(clip, alternations)):
            continue
        for position, take in enumerate(takes(clip, alternations, rules, sensor, seed, frames, recording)):
            chosen = [i for i in take.scored if only is None or (take.group, take.clip, take.stops, i) in only]
            if (take.group, take.clip, take.stops) in finished or not chosen:
                continue
            total, before = count * len(chosen), position * len(chosen)

            def step(n: int, label: str = label, before: int = before, total: int = total) -> None:
                if progress:
                    progress(label, before + n, total)

            score_take(result, run, take, chosen, only_clip, step)
            if after_take:
                after_take(result)
        if hasattr(clip, "release"):
            clip.release()
    return result


def _classes(clip: BenchClip) -> dict[str, str]:
    return {"motion": clip.motion, "noise": clip.noise}


def _composites(composite: Composite, protocol: Protocol) -> tuple[bool, ...]:
    if composite == "both":
        return False, True
    return (protocol.composite if composite is None else bool(composite),)


def _check_exposures(tools: Mapping[str, Reconstructor], stops: Iterable[tuple[float, ...]], outside: bool) -> None:
    """Refuse networks that fit no clip, and clips that nothing can be run on.

    Raises:
        InputError: the numbers of exposures differ.
    """
    periods = [ExposureSchedule.from_stops(s) for s in sorted(stops)]
    for tool in tools.values():
        if all(tool.n_exposures not in (None, p.n_exposures) for p in periods):
            tool.check_schedule(periods[0])
    for period in periods:
        made_for = {tool.n_exposures for tool in tools.values()}
        if tools and not outside and not made_for & {None, period.n_exposures}:
            fits = " and ".join(str(n) for n in sorted(n for n in made_for if n is not None))
            raise InputError(
                f"{', '.join(tools)}: made for {fits} exposures, but there are clips with {period.n_exposures}, "
                "expected a method for these too, or --exposures to leave them out"
            )
