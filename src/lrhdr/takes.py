"""What is scored, whatever it comes from: a clip in one alternation, with LDR frames and ground truth by index.

Three kinds of clip become takes: those whose footage is made from the truth (`EvaluationClip`, one take per
alternation), those of lrhdr-bench, which know their exposures and camera, and recorded ones (`LabelledClip`): one take,
in the alternation that was recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from lrhdr.camera import CameraConfig
from lrhdr.checks import InputError
from lrhdr.data.bench import BenchClip
from lrhdr.data.evaluation import EvaluationClip
from lrhdr.data.labelled import LabelledClip
from lrhdr.data.recording import RecordingConfig, record
from lrhdr.exposure import ExposureSchedule
from lrhdr.protocols import Protocol

Clip = EvaluationClip | LabelledClip


@dataclass(frozen=True, eq=False)
class Take:
    """One clip in one alternation.

    Attributes:
        group: the set that it belongs to.
        clip: its name.
        stops: exposures of one period in stops.
        schedule: the same, as exposures.
        n_frames: length of the footage.
        scored: frames that the protocol scores, ascending, at least one.
        names: names of the frames, for matching files.
        ldr: index to (3, H, W) gamma-encoded LDR.
        truth: index (one of `scored`) to (3, H, W) linear, normalised as the protocol says.
        label: the name of its folder among predictions, unlike that of any other take of its group.
        companion: index to the LDR frame (3, H, W) of the other exposure at the same moment, where it was recorded, or
            None; what an interpolated frame should look like.
        motion: index to the motion from the frame before to that frame, flow (2, H, W) and visible (1, H, W), or None.
    """

    group: str
    clip: str
    stops: tuple[float, ...]
    schedule: ExposureSchedule
    n_frames: int
    scored: tuple[int, ...]
    names: tuple[str, ...]
    ldr: Callable[[int], Tensor]
    truth: Callable[[int], Tensor]
    label: str
    companion: Callable[[int], Tensor | None] = lambda _: None
    motion: Callable[[int], tuple[Tensor, Tensor] | None] = lambda _: None

    @property
    def name(self) -> str:
        """Its name in settings and messages: group, clip and stops."""
        return f"{self.group}/{self.clip}, stops {', '.join(f'{s:g}' for s in self.stops)}"


def schedules(clip: Clip, alternations: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """The stops of the takes that a clip gives."""
    return [clip.stops] if isinstance(clip, LabelledClip | BenchClip) else list(alternations)


def takes(
    clip: Clip,
    alternations: Sequence[tuple[float, ...]],
    protocol: Protocol,
    camera: CameraConfig,
    seed: int,
    frames: int | None,
    recording: RecordingConfig | None = None,
) -> Iterator[Take]:
    """The takes of a clip.

    Args:
        clip: of either kind.
        alternations: stops of the takes to be made; recorded clips and those of lrhdr-bench have their own.
        protocol: which frames are scored, and against what.
        camera: of the footage that is made; clips of lrhdr-bench have their own.
        seed: of its noise.
        frames: made footage is at most this long; of recorded footage at most this many frames are scored.
        recording: what happens to made footage after the sensor; nothing when not given.

    Yields:
        Takes with at least one scored frame.

    Raises:
        InputError: a clip that is shorter than a period, or of which the protocol scores nothing; a recorded clip that
            is to be recorded again.
    """
    if isinstance(clip, LabelledClip):
        if recording is not None:
            raise InputError(
                f"{clip.group}/{clip.name}: was recorded by a camera; only footage that is made is recorded"
            )
        yield _recorded(clip, protocol, frames)
        return
    for stops in schedules(clip, alternations):
        alone = len(schedules(clip, alternations)) == 1
        yield _made(clip, stops, protocol, camera, seed, frames, alone, recording)


def folder_label(clip: str, stops: Sequence[float]) -> str:
    """Name of a take's folder, where a clip has several: "bridge-stops-0-3"."""
    return f"{clip}-stops-{'-'.join(f'{s:g}' for s in stops)}"


def _scored(
    protocol: Protocol, dataset: str, name: str, schedule: ExposureSchedule, n_frames: int, labelled: Sequence[int]
) -> tuple[int, ...]:
    if not labelled:
        raise InputError(f"{name}: has no ground truth, so nothing can be scored")
    scored = protocol.scored(dataset, n_frames, schedule.n_exposures, labelled)
    if not scored:
        raise InputError(
            f"{name}: protocol {protocol.name} leaves none of {n_frames} frames, expected a longer clip "
            "(protocol network-only takes every frame)"
        )
    return scored


def _made(
    clip: EvaluationClip,
    stops: tuple[float, ...],
    protocol: Protocol,
    camera: CameraConfig,
    seed: int,
    frames: int | None,
    alone: bool,
    recording: RecordingConfig | None,
) -> Take:
    schedule = ExposureSchedule.from_stops(stops)
    truth = clip.hdr[:frames]
    schedule.check_length(len(truth), clip.name)
    recorder = clip.camera if isinstance(clip, BenchClip) else camera
    # The whole clip is recorded, so that the noise of a frame does not depend on how many are asked for.
    whole = clip.alternate(schedule, recorder, seed)
    ldr = (whole if recording is None else record(whole, recording))[: len(truth)]

    def motion(index: int) -> tuple[Tensor, Tensor] | None:
        if not isinstance(clip, BenchClip) or index < 1:
            return None
        return clip.flow[index - 1], clip.visible[index - 1]

    return Take(
        group=clip.group,
        clip=clip.name,
        stops=stops,
        schedule=schedule,
        n_frames=len(truth),
        scored=_scored(protocol, clip.group, clip.name, schedule, len(truth), range(len(truth))),
        names=tuple(f"frame_{i:06d}" for i in range(len(clip.hdr))),
        ldr=lambda i: ldr[i],
        truth=lambda i: protocol.normalise(truth[i], clip.group),
        label=clip.name if alone else folder_label(clip.name, stops),
        motion=motion,
    )


def _recorded(clip: LabelledClip, protocol: Protocol, frames: int | None) -> Take:
    name = f"{clip.group}/{clip.name}"
    scored = _scored(protocol, clip.dataset, name, clip.schedule, len(clip), clip.labelled)
    # A frame is read once: it is in at most 2 N_e - 1 windows that follow each other.
    return Take(
        group=clip.group,
        clip=clip.name,
        stops=clip.stops,
        schedule=clip.schedule,
        n_frames=len(clip),
        scored=scored[:frames],
        names=tuple(path.stem for path in clip.frames),
        ldr=lru_cache(maxsize=4 * clip.schedule.n_exposures)(clip.ldr),
        truth=lambda i: protocol.normalise(clip.truth(i), clip.dataset),
        label=clip.name,
        companion=lambda i: clip.companion(i) if clip.companions else None,
    )
