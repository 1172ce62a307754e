"""`lrhdr.batch`: order, retries, failures and resume, with an engine that the tests play themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrhdr.batch import LEDGER, BatchResult, run_batch
from lrhdr.batch_manifest import BatchClip, read_clips
from lrhdr.batch_tasks import JOIN, PREPARE, SHARD, Done, Failure, Task, perform
from lrhdr.batch_workers import Event
from lrhdr.checks import InputError
from lrhdr.io.images import write_png
from lrhdr.ledger import read_ledger
from lrhdr.run_options import RunOptions

Answer = Callable[[Task], Done | Failure]


class Stage:
    """An engine without workers: every task ends as the test says, the last one submitted first."""

    def __init__(self, answer: Answer, slots: int = 2) -> None:
        self.answer, self.slots = answer, slots
        self.done: list[Task] = []
        self.closed = False
        self._waiting: list[Task] = []

    @property
    def free(self) -> int:
        return self.slots - len(self._waiting)

    def submit(self, task: Task) -> None:
        assert self.free > 0
        self._waiting.append(task)

    def events(self, timeout: float) -> list[Event]:
        task = self._waiting.pop()
        outcome = self.answer(task)
        self.done.append(task)
        events = [Event(task.number, "stage", outcome=outcome)]
        return [Event(task.number, "stage", 1), *events] if task.kind == SHARD else events

    def close(self) -> None:
        self.closed = True


def pretend(task: Task) -> Done:
    """Frames as small files, under their names."""
    for i in task.part:
        task.clip.files.path(i).parent.mkdir(parents=True, exist_ok=True)
        task.clip.files.path(i).write_bytes(b"frame")
        if task.clip.options.aov:
            task.clip.files.layers_path(i).parent.mkdir(exist_ok=True)
            task.clip.files.layers_path(i).write_bytes(b"layers")
    if task.kind == JOIN and task.clip.options.hdr10:
        Path(task.clip.options.hdr10).write_bytes(b"")
    return Done(written=len(task.part), seconds=0.1)


@pytest.fixture
def clips(tmp_path: Path) -> tuple[BatchClip, ...]:
    for k, count in enumerate((5, 3)):
        (tmp_path / "in" / f"c{k}").mkdir(parents=True)
        for i in range(count):
            write_png(tmp_path / "in" / f"c{k}" / f"{i}.png", np.zeros((4, 4, 3), np.uint8))
    return read_clips(str(tmp_path / "in"), str(tmp_path / "out"), RunOptions(stops="0,3", hdr10="v.mp4"))


def go(clips: tuple[BatchClip, ...], stage: Stage, **options: object) -> BatchResult:
    output = str(Path(clips[0].output).parent)
    settings = {"shard_frames": 2, **options}
    return run_batch(clips, output, lambda: stage, **settings)  # type: ignore[arg-type]


def kinds(stage: Stage) -> list[str]:
    return sorted(task.what for task in stage.done)


def test_every_clip_is_prepared_cut_and_joined(clips: tuple[BatchClip, ...]) -> None:
    stage = Stage(pretend)
    shown: list[tuple[str, int, int]] = []
    result = go(clips, stage, progress=lambda *state: shown.append(state))
    assert result == BatchResult(2, 8, 8, {})
    assert kinds(stage) == [
        "c0, join", "c0, prepare", "c0, shard 0:2", "c0, shard 2:4", "c0, shard 4:5",
        "c1, join", "c1, prepare", "c1, shard 0:2", "c1, shard 2:3",
    ]  # fmt: skip
    order = [(t.clip.name, t.kind) for t in stage.done]
    for name in ("c0", "c1"):
        own = [kind for clip, kind in order if clip == name]
        assert own == sorted(own, key=[PREPARE, SHARD, JOIN].index)
    assert stage.closed
    assert shown[0] == ("batch", 0, 8)
    assert shown[-1] == ("batch", 8, 8)
    assert [done for _, done, _ in shown] == sorted(done for _, done, _ in shown)


def test_a_finished_batch_has_nothing_to_do_and_a_lost_frame_costs_its_shard(clips: tuple[BatchClip, ...]) -> None:
    go(clips, Stage(pretend))
    idle = Stage(pretend)
    assert go(clips, idle).written == 0
    assert not idle.done
    clips[0].files.path(3).unlink()
    again = Stage(pretend)
    go(clips, again, shard_frames=64)
    assert kinds(again) == ["c0, join", "c0, prepare", "c0, shard 2:4"]
    Path(str(clips[1].options.hdr10)).unlink()
    video = Stage(pretend)
    go(clips, video)
    assert kinds(video) == ["c1, join"]


def test_frames_that_lost_their_contents_or_their_layers_are_done_again(clips: tuple[BatchClip, ...]) -> None:
    clips = (replace(clips[0], options=replace(clips[0].options, aov="votes")),)
    go(clips, Stage(pretend))
    clips[0].files.path(1).write_bytes(b"")  # as a power cut leaves it
    stage = Stage(pretend)
    go(clips, stage)
    assert [task.part for task in stage.done if task.kind == SHARD] == [range(2)]
    clips[0].files.layers_path(2).unlink()
    stage = Stage(pretend)
    go(clips, stage)
    assert [task.part for task in stage.done if task.kind == SHARD] == [range(2, 4)]


def test_other_pictures_or_weights_under_the_same_names_are_done_anew(
    clips: tuple[BatchClip, ...], tmp_path: Path
) -> None:
    weights = tmp_path / "own.safetensors"
    weights.write_bytes(b"one")
    clips = (replace(clips[0], options=replace(clips[0].options, weights=str(weights))),)
    go(clips, Stage(pretend))
    assert go(clips, Stage(pretend)).written == 0
    write_png(next(Path(clips[0].input).glob("*.png")), np.full((4, 4, 3), 7, np.uint8))
    assert go(clips, Stage(pretend)).written == 5
    assert go(clips, Stage(pretend)).written == 0
    weights.write_bytes(b"another")
    assert go(clips, Stage(pretend)).written == 5
    (Path(clips[0].input) / "exposures.TXT").write_text("0\n3\n")
    assert go(clips, Stage(pretend)).written == 5


def test_a_report_that_was_deleted_is_made_again(clips: tuple[BatchClip, ...]) -> None:
    report = Path(clips[0].output) / "report"
    clips = (replace(clips[0], options=replace(clips[0].options, hdr10=None, report=str(report))),)

    def answer(task: Task) -> Done:
        if task.kind == JOIN:
            report.mkdir(exist_ok=True)
            (report / "index.html").write_text("page")
        return pretend(task)

    go(clips, Stage(answer))
    (report / "index.html").unlink()
    stage = Stage(answer)
    go(clips, stage)
    assert kinds(stage) == ["c0, join"]


def test_a_folder_that_cannot_be_looked_into_stops_no_other(clips: tuple[BatchClip, ...]) -> None:
    long = replace(clips[0], output=str(Path(clips[0].output).parent / ("x" * 300)))
    result = go((long, clips[1]), Stage(pretend))
    assert set(result.failed) == {long.name}
    assert "name too long" in result.failed[long.name].lower()
    assert result.written == 3


def test_other_options_or_another_input_are_done_anew(clips: tuple[BatchClip, ...]) -> None:
    go(clips, Stage(pretend))
    changed = (replace(clips[0], options=replace(clips[0].options, scale="scene")), clips[1])
    stage = Stage(pretend)
    go(changed, stage)
    assert {task.clip.name for task in stage.done} == {"c0"}
    write_png(Path(clips[1].input) / "3.png", np.zeros((4, 4, 3), np.uint8))
    stage = Stage(pretend)
    go((clips[1],), stage)
    assert kinds(stage) == ["c1, join", "c1, prepare", "c1, shard 0:2", "c1, shard 2:4"]
    # threads and device shape nothing
    calm = (replace(clips[1], options=replace(clips[1].options, threads=4, device="cuda")),)
    stage = Stage(pretend)
    go(calm, stage)
    assert not stage.done


def test_a_worker_that_dies_is_tried_again_and_a_bad_clip_is_not(clips: tuple[BatchClip, ...]) -> None:
    deaths = {"c0, shard 2:4": 2}
    said: list[str] = []

    def answer(task: Task) -> Done | Failure:
        if deaths.get(task.what, 0):
            deaths[task.what] -= 1
            return Failure("its worker died (signal 9, SIGKILL)", retry=True)
        if task.what == "c1, shard 0:2":
            return Failure("frame 1 is damaged", retry=False)
        return pretend(task)

    stage = Stage(answer)
    result = go(clips, stage, notify=said.append)
    assert result.failed == {"c1": "frame 1 is damaged"}
    assert kinds(stage).count("c0, shard 2:4") == 3
    assert kinds(stage).count("c1, shard 0:2") == 1
    assert "c1, join" not in kinds(stage)
    assert Path(str(clips[0].options.hdr10)).exists()
    assert sum("tried again" in line for line in said) == 2
    events = [entry["event"] for entry in read_ledger(Path(clips[0].output).parent / LEDGER)]
    assert events.count("retry") == 2
    assert events.count("failed") == 1
    # the next run takes up the clip that failed, and only what it lacks
    stage = Stage(pretend)
    assert go(clips, stage).failed == {}
    assert "c1, shard 0:2" in kinds(stage)
    assert {task.clip.name for task in stage.done} == {"c1"}


def test_a_task_that_kills_every_worker_ends_its_clip_alone(clips: tuple[BatchClip, ...]) -> None:
    def answer(task: Task) -> Done | Failure:
        return Failure("its worker died", retry=True) if task.what == "c0, shard 0:2" else pretend(task)

    stage = Stage(answer)
    result = go(clips, stage, retries=1)
    assert result.failed == {"c0": "its worker died (2 times)"}
    assert kinds(stage).count("c0, shard 0:2") == 2
    assert "c1, join" in kinds(stage)


def test_an_input_that_cannot_be_opened_stops_no_other(clips: tuple[BatchClip, ...], tmp_path: Path) -> None:
    broken = replace(clips[0], name="gone", input=str(tmp_path / "gone"), output=str(tmp_path / "out" / "gone"))
    result = go((broken, clips[1]), Stage(pretend))
    assert list(result.failed) == ["gone"]
    assert "found nothing" in result.failed["gone"]
    assert result.written == 3


def test_ctrl_c_closes_the_engine_and_keeps_what_was_done(clips: tuple[BatchClip, ...]) -> None:
    def answer(task: Task) -> Done | Failure:
        if task.what == "c0, shard 4:5":
            raise KeyboardInterrupt
        return pretend(task)

    stage = Stage(answer, slots=1)
    with pytest.raises(KeyboardInterrupt):
        go(clips, stage)
    assert stage.closed
    rest = Stage(pretend)
    assert go(clips, rest).failed == {}
    assert not set(kinds(rest)) & {"c0, shard 0:2", "c0, shard 2:4"}


def test_preparing_only(clips: tuple[BatchClip, ...]) -> None:
    stage = Stage(pretend)
    go(clips, stage, prepare_only=True)
    assert kinds(stage) == ["c0, prepare", "c1, prepare"]


def test_options_that_cannot_be(clips: tuple[BatchClip, ...]) -> None:
    with pytest.raises(InputError, match="retries"):
        go(clips, Stage(pretend), retries=-1)
    with pytest.raises(InputError, match="shard frames"):
        go(clips, Stage(pretend), shard_frames=0)


def test_a_task_never_raises(clips: tuple[BatchClip, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(error: Exception) -> Failure:
        def raising(*_: object) -> None:
            raise error

        monkeypatch.setattr("lrhdr.batch_tasks.run", raising)
        outcome = perform(Task(1, SHARD, clips[0], range(2)), lambda _frames: None)
        assert isinstance(outcome, Failure)
        return outcome

    assert fail(InputError("a\nb")) == Failure("a b", retry=False)
    assert fail(OSError(5, "Input/output error")).retry
    assert fail(MemoryError()).retry
    assert "KeyError" in fail(KeyError("x")).reason
