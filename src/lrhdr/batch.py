"""Many clips over many workers: cut into shards, do them anywhere, in any order, again where a worker dies, then join.

What is done is known from two places: the frames on disk, which are complete or absent, and the ledger
(`OUT/batch.jsonl`), which says what was finished with which options, so that a batch that was stopped or killed goes on
without asking every frame. A clip that cannot be done is listed at the end and stops no other.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lrhdr._version import __version__
from lrhdr.batch_manifest import FILES, BatchClip
from lrhdr.batch_tasks import JOIN, PREPARE, SHARD, Done, Failure, Task
from lrhdr.batch_workers import Engine, Event
from lrhdr.checks import InputError
from lrhdr.io.atomic import make_folder
from lrhdr.io.metadata import EXPOSURES_FILE
from lrhdr.io.sources import input_files, open_frames
from lrhdr.ledger import Ledger
from lrhdr.progress import Notify, Progress
from lrhdr.run_options import parse_range
from lrhdr.shards import WHOLE_CLIP, check_size, remaining

LEDGER = "batch.jsonl"
SHARD_FRAMES = 64
"""Frames of a shard. Chosen by us: minutes of one core at 1080p, against a second or two of a shard's own cost."""

_READERS = 8  # inputs that are opened at once: waiting for disks, not computing
_ORDER = {JOIN: 0, PREPARE: 1, SHARD: 2}
_MACHINE = {"threads", "at_once", "device", "overwrite"}
_NO_MATTER = _MACHINE | {*WHOLE_CLIP}
"""Options that do not shape frames."""


@dataclass
class ClipState:
    """How far a clip is.

    Attributes:
        clip: what it is.
        wanted: its frames; empty where it could not be opened.
        stamp: what tells its input from another that lies there later.
        todo: shards that are left.
        joined: whether what is made of all frames is there.
        failure: why it cannot be done; None while it can.
        running: frames done of shards under way, by task.
        finished: frames of shards that are done.
        open_tasks: tasks that are queued or under way.
    """

    clip: BatchClip
    wanted: range = range(0)
    stamp: str = ""
    todo: list[range] = field(default_factory=list)
    joined: bool = True
    failure: str | None = None
    running: dict[int, int] = field(default_factory=dict)
    finished: int = 0
    open_tasks: int = 0

    @property
    def asks_for_more(self) -> bool:
        """Whether anything is made of all its frames."""
        return any(getattr(self.clip.options, key) is not None for key in WHOLE_CLIP)

    @property
    def frames_key(self) -> str:
        """What its frames depend on."""
        options = {k: v for k, v in asdict(self.clip.options).items() if k not in _NO_MATTER | {"frames"}}
        return _digest(self.clip.input, self.clip.output, self.stamp, options, __version__)

    @property
    def join_key(self) -> str:
        """What its videos and the like depend on."""
        options = {k: v for k, v in asdict(self.clip.options).items() if k not in _MACHINE}
        return _digest(self.clip.input, self.clip.output, self.stamp, options, __version__)


@dataclass(frozen=True)
class BatchResult:
    """What a batch came to.

    Attributes:
        clips: how many there are.
        frames: of all clips that could be opened.
        written: frames that this run computed.
        failed: name of a clip to why it was not done.
    """

    clips: int
    frames: int
    written: int
    failed: dict[str, str]


def survey(clips: Sequence[BatchClip]) -> list[ClipState]:
    """Open every clip to learn its length; nothing is decoded or written.

    Returns:
        A state per clip; those that cannot be opened have failed.
    """

    def open_one(clip: BatchClip) -> ClipState:
        try:
            count = open_frames(clip.input).n_frames
            return ClipState(clip, parse_range(clip.options.frames, count), _stamp(clip, count))
        except (OSError, ValueError) as error:
            return ClipState(clip, failure=" ".join(str(error).split()))

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(open_one, clips))


def find_todo(states: Iterable[ClipState], entries: Iterable[dict[str, Any]], size: int) -> None:
    """Find out what earlier runs left to do.

    Args:
        states: of the clips; `todo`, `joined` and `finished` are filled in.
        entries: of the ledger.
        size: frames per shard.

    Raises:
        InputError: a size below 1.
    """
    done: dict[str, list[range]] = {}
    joined = set()
    for entry in entries:
        if entry["event"] == "shard" and all(isinstance(entry.get(k), int) for k in ("first", "stop")):
            done.setdefault(str(entry.get("key")), []).append(range(entry["first"], entry["stop"]))
        elif entry["event"] == "joined":
            joined.add(entry.get("key"))
    for state in states:
        if state.failure is not None:
            continue
        files = state.clip.files
        try:
            # A power cut can leave files whose names are on the disk and whose contents are not.
            there = {path for path in files.existing() if path.stat().st_size > 0}
        except OSError as error:
            state.failure = f"{files.folder}: cannot be read ({error.strerror or error})"
            continue
        expected = (files.path, files.layers_path) if state.clip.options.aov else (files.path,)
        whole = [
            part for part in done.get(state.frames_key, ()) if all(path(i) in there for path in expected for i in part)
        ]
        state.todo = remaining(state.wanted, whole, size)
        state.finished = len(state.wanted) - sum(map(len, state.todo))
        made = [_result(key, getattr(state.clip.options, key)) for key in WHOLE_CLIP]
        there_too = all(place.exists() for place in made if place is not None)
        state.joined = not state.asks_for_more or (not state.todo and there_too and state.join_key in joined)


def _stamp(clip: BatchClip, count: int) -> str:
    """What tells a clip's input, and the files that its options name, from others that lie there later."""
    files = set(input_files(clip.input))
    if Path(clip.input).is_dir():
        files |= {p for p in Path(clip.input).iterdir() if p.name.lower() == EXPOSURES_FILE.lower()}
    named = (getattr(clip.options, key) for key in FILES if key != "sidecar")  # a sidecar is written by the run itself
    files |= {Path(value) for value in named if value}
    about = [(str(p), s.st_size, s.st_mtime_ns) for p in sorted(files) if p.is_file() for s in [p.stat()]]
    return _digest(count, about)


def _result(key: str, place: str | None) -> Path | None:
    """What must be there where something is made of all frames."""
    if not place:
        return None
    return Path(place) / "index.html" if key == "report" else Path(place)


def run_batch(
    clips: Sequence[BatchClip],
    output: str,
    engine: Callable[[], Engine],
    *,
    shard_frames: int = SHARD_FRAMES,
    retries: int = 2,
    overwrite: bool = False,
    prepare_only: bool = False,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> BatchResult:
    """Do a batch, or what is left of it.

    Args:
        clips: what `read_clips` gave.
        output: folder of the ledger; made if missing.
        engine: makes where tasks run; called only if there is work.
        shard_frames: frames per shard.
        retries: how often a task is tried again that failed through no fault of the clip.
        overwrite: throw away what earlier runs made.
        prepare_only: look at the clips and write what was found, but reconstruct nothing.
        progress: called with ("batch", frames done, frames in all).
        notify: called with each line that a person should read.

    Returns:
        What came of it; look at `failed`.

    Raises:
        InputError: an option that cannot be, or another batch at work in the folder.
        OutputError: the ledger cannot be written.
        KeyboardInterrupt: after Ctrl-C, once the workers have ended.
    """
    if retries < 0:
        raise InputError(f"retries: expected 0 or more, found {retries}")
    check_size(shard_frames)
    folder = Path(output)
    make_folder(folder)
    with Ledger(folder / LEDGER, fresh=overwrite) as ledger:
        states = survey(clips)
        find_todo(states, () if overwrite else ledger.entries, shard_frames)
        ledger.write("start", version=__version__, clips=len(clips), shard_frames=shard_frames)
        batch = _Batch(states, ledger, retries, overwrite, prepare_only, progress, notify)
        batch.work(engine)
        failed = {state.clip.name: state.failure for state in states if state.failure is not None}
        ledger.write("end", written=batch.written, failed=sorted(failed))
    return BatchResult(len(states), sum(len(s.wanted) for s in states), batch.written, failed)


class _Batch:
    """A batch under way."""

    def __init__(
        self,
        states: Sequence[ClipState],
        ledger: Ledger,
        retries: int,
        overwrite: bool,
        prepare_only: bool,
        progress: Progress | None,
        notify: Notify | None,
    ) -> None:
        self._states = {state.clip.name: state for state in states}
        self._ledger, self._retries, self._prepare_only = ledger, retries, prepare_only
        self._tell = progress or (lambda _what, _done, _total: None)
        self._say = notify or (lambda _line: None)
        self._queue: list[tuple[int, int, Task]] = []
        self._tasks: dict[int, Task] = {}
        self._tries: Counter[int] = Counter()
        self._shown = 0
        self._count = 0
        self.written = 0
        for state in states:
            if state.failure is not None:
                self._fail(state, state.failure)
            elif state.todo or (not state.joined and not prepare_only):
                self._add(state, PREPARE if state.todo else JOIN, overwrite=overwrite)

    def work(self, make_engine: Callable[[], Engine]) -> None:
        """Until nothing is left to do."""
        self._report()
        if not self._queue:
            return
        engine = make_engine()
        try:
            while self._queue or self._tasks:
                while self._queue and engine.free > 0:
                    task = heapq.heappop(self._queue)[2]
                    state = self._states[task.clip.name]
                    if state.failure is not None:
                        state.open_tasks -= 1
                        continue
                    self._tasks[task.number] = task
                    engine.submit(task)
                if self._tasks:
                    for event in engine.events(1.0):
                        self._take(event)
                    self._report()
        finally:
            engine.close()

    def _add(self, state: ClipState, kind: str, part: range = range(0), *, overwrite: bool = False) -> None:
        self._count += 1
        state.open_tasks += 1
        self._push(Task(self._count, kind, state.clip, part, overwrite))

    def _push(self, task: Task) -> None:
        heapq.heappush(self._queue, (_ORDER[task.kind], task.number, task))

    def _take(self, event: Event) -> None:
        task = self._tasks.get(event.number)
        if task is None:
            return
        state = self._states[task.clip.name]
        if event.outcome is None:
            state.running[task.number] = event.frames or 0
            return
        del self._tasks[event.number]
        state.running.pop(task.number, None)
        if isinstance(event.outcome, Failure):
            self._failed(task, state, event.outcome, event.worker)
        else:
            state.open_tasks -= 1
            self._done(task, state, event.outcome, event.worker)

    def _failed(self, task: Task, state: ClipState, failure: Failure, worker: str) -> None:
        self._tries[task.number] += 1
        if failure.retry and self._tries[task.number] <= self._retries and state.failure is None:
            self._ledger.write("retry", task=task.what, worker=worker, reason=failure.reason)
            self._say(f"{task.what}: {failure.reason}; tried again")
            self._push(task)
            return
        state.open_tasks -= 1
        tries = f" ({self._tries[task.number]} times)" if self._tries[task.number] > 1 else ""
        self._fail(state, f"{failure.reason}{tries}")

    def _fail(self, state: ClipState, reason: str) -> None:
        if state.failure is None or not state.wanted:
            self._ledger.write("failed", clip=state.clip.name, reason=reason)
            self._say(f"{state.clip.name}: failed: {reason}")
        state.failure = state.failure or reason

    def _done(self, task: Task, state: ClipState, done: Done, worker: str) -> None:
        self.written += done.written
        seconds = round(done.seconds, 3)
        about = {"clip": state.clip.name, "worker": worker, "seconds": seconds}
        if task.kind == PREPARE:
            self._ledger.write("prepared", frames=len(state.wanted), **about)
            for note in done.notes:
                self._say(f"{state.clip.name}: {note.removeprefix('warning: ')}")
            if not self._prepare_only:
                for part in state.todo:
                    self._add(state, SHARD, part)
        elif task.kind == SHARD:
            place = {"key": state.frames_key, "first": task.part.start, "stop": task.part.stop}
            self._ledger.write("shard", **place, written=done.written, **about)
            state.finished += len(task.part)
            state.todo.remove(task.part)
            if not state.todo and not state.joined and state.failure is None:
                self._add(state, JOIN)
        else:
            self._ledger.write("joined", key=state.join_key, **about)
            state.joined = True

    def _report(self) -> None:
        total = sum(len(s.wanted) for s in self._states.values() if s.failure is None or s.wanted)
        done = sum(s.finished + sum(s.running.values()) for s in self._states.values())
        # A shard that is tried again begins with the frames that it had; until it says so, nothing is taken back.
        self._shown = max(self._shown, min(done, total))
        if not self._prepare_only:
            self._tell("batch", self._shown, total)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def with_one_thread(clips: Sequence[BatchClip]) -> tuple[BatchClip, ...]:
    """Clips whose workers compute in one thread each, unless they say otherwise."""
    return tuple(
        replace(c, options=replace(c.options, threads=1 if c.options.threads is None else c.options.threads))
        for c in clips
    )
