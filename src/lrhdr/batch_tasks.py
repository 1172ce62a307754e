"""The tasks of a batch, and how any process does one: prepare a clip, reconstruct a shard, join.

    prepare    open the clip, look at its pixels once, check every option, write what was found into the run's record
    shard      `lrhdr reconstruct --frames a:b` into the clip's folder; reads the record, so it looks at its frames only
    join       the same without `--frames`: nothing is left to compute but videos, sheet and report

Tasks hold paths and options only, so that they travel to other machines that see the same files.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lrhdr.batch_manifest import BatchClip
from lrhdr.checks import LrhdrError
from lrhdr.clip_setup import FIRST_FRAME, first_frame_digest, prepare_clip
from lrhdr.io.atomic import clear_stale, make_folder, make_parent, output_error, write_bytes
from lrhdr.run_options import parse_range
from lrhdr.run_videos import check_light, plan_videos, silence
from lrhdr.runs import build_reconstructor, check_targets, run
from lrhdr.shards import shard_options
from lrhdr.sidecar import KEY

PREPARE, SHARD, JOIN = "prepare", "shard", "join"


@dataclass(frozen=True)
class Task:
    """One piece of work.

    Attributes:
        number: tells it from all others of the batch.
        kind: "prepare", "shard" or "join".
        clip: of which clip.
        part: frames of a shard.
        overwrite: prepare: throw away frames of earlier runs.
    """

    number: int
    kind: str
    clip: BatchClip
    part: range = range(0)
    overwrite: bool = False

    @property
    def what(self) -> str:
        """In words, for messages."""
        return f"{self.clip.name}, {self.kind}" + (f" {self.part.start}:{self.part.stop}" if self.part else "")


@dataclass(frozen=True)
class Done:
    """What a task came to.

    Attributes:
        written: frames that were computed.
        seconds: time that it took.
        notes: lines that a person should read.
    """

    written: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Why a task was not done.

    Attributes:
        reason: one line.
        retry: whether another worker may succeed: not where the clip or an option is at fault.
    """

    reason: str
    retry: bool


def perform(task: Task, progress: Callable[[int], None]) -> Done | Failure:
    """Do a task.

    Args:
        task: what to do.
        progress: called with the frames of the shard that are done, kept ones included.

    Returns:
        What came of it; an error is returned, not raised.
    """
    started = time.perf_counter()
    try:
        done = {PREPARE: _prepare, SHARD: _shard, JOIN: _join}[task.kind](task, progress)
    except LrhdrError as error:
        return Failure(" ".join(str(error).split()), retry=False)
    except MemoryError:
        return Failure("out of memory; --tile 512 or fewer workers need less", retry=True)
    except Exception as error:  # whatever a worker meets must not end the batch
        return Failure(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", retry=True)
    return replace(done, seconds=time.perf_counter() - started)


def _prepare(task: Task, _progress: Callable[[int], None]) -> Done:
    clip, notes = task.clip, list[str]()
    check_targets(clip.input, clip.output, clip.options)  # before anything is made or thrown away
    check_light(clip.options)
    folder, record = Path(clip.output), clip.files.record
    make_folder(folder)
    try:
        clear_stale(folder)
        existing = clip.files.existing()
        if task.overwrite:
            for path in (*existing, record):
                path.unlink(missing_ok=True)
            existing = []
    except OSError as error:
        raise output_error(folder, error) from error
    if clip.options.sidecar:
        make_parent(clip.options.sidecar)
    setup = prepare_clip(clip.input, clip.options, clip.output, notify=notes.append, trim=False)
    setup.schedule.check_length(setup.source.n_frames, clip.input)
    wanted = parse_range(clip.options.frames, setup.source.n_frames)
    gain = float(max(setup.schedule.relative) if clip.options.scale == "scene" else 1.0)
    plan = plan_videos(clip.options, setup.source, setup.schedule, wanted, gain)
    if warning := silence(clip.options, setup.source, plan):
        notes.append(warning)
    build_reconstructor(clip.options, setup.schedule)
    if not existing:
        # The first shard replaces this by the whole record; until then it spares every shard the look at the clip.
        content = {KEY: setup.facts.to_dict(), FIRST_FRAME: first_frame_digest(setup.source)}
        write_bytes(record, (json.dumps(content, indent=2) + "\n").encode())
    return Done(notes=tuple(notes))


def _shard(task: Task, progress: Callable[[int], None]) -> Done:
    def report(what: str, done: int, _total: int) -> None:
        if what == "reconstruct":
            progress(done)

    clip = task.clip
    result = run(clip.input, clip.output, shard_options(clip.options, task.part), report)
    return Done(written=result.written)


def _join(task: Task, _progress: Callable[[int], None]) -> Done:
    clip = task.clip
    for name in ("preview", "hdr10", "hlg"):
        if path := getattr(clip.options, name):
            make_parent(path)
    return Done(written=run(clip.input, clip.output, clip.options).written)
