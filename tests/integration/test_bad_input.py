"""Everything that goes wrong for users: one clear line, a status that is not 0, no traceback, whole files only."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from clips import Outcome

from lrhdr.io.images import read_exr, write_exr, write_png

Run = Callable[..., Outcome]
Write = Callable[..., Path]
CALM = {**os.environ, "OMP_NUM_THREADS": "1"}
CHEAP = ("--method", "completion", "--threads", "1")


def assert_one_line(result: Outcome, status: int, *expected: str) -> None:
    assert result.status == status, result
    # Progress, and what the pixels say of a made-up clip, come before the error.
    spoken = r"(reconstruct|preview|inspect|encode \w+): \d|lrhdr: (warning|exposures|black|the alternation)"
    lines = [line for line in result.err.splitlines() if not re.match(spoken, line)]
    assert len(lines) == 1, result.err
    assert lines[0].startswith("lrhdr: error: "), lines
    for text in expected:
        assert text in lines[0], lines[0]
    assert "Traceback" not in result.err + result.out


def assert_only_whole_files(folder: Path, count: int | None = None) -> None:
    frames = sorted(folder.glob("*.exr"))
    for path in frames:
        assert np.isfinite(read_exr(path)).all()
    assert not list(folder.glob(".*")), "a temporary file was left behind"
    if count is not None:
        assert len(frames) == count


def test_missing_input(lrhdr: Run, tmp_path: Path) -> None:
    result = lrhdr("reconstruct", tmp_path / "none", "-o", tmp_path / "o", *CHEAP)
    assert_one_line(result, 2, str(tmp_path / "none"), "found nothing")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("synthesize", "--hdr-dir", "hdr", "--out-dir", "o", "--count", "1"),
        ("evaluate", "bench", "-o", "o"),
        ("bench", "-o", "o"),
        ("compare", "a", "b"),
    ],
)
def test_a_seed_below_zero(lrhdr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_line(lrhdr(*command, "--seed", "-1"), 2, "argument --seed: expected 0 or more, found -1")
    assert_one_line(lrhdr(*command, "--seed", "x"), 2, "argument --seed: invalid seed value: 'x'")
    assert not list(tmp_path.iterdir())


def test_empty_folder_and_a_file_that_is_no_video(lrhdr: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_one_line(lrhdr("reconstruct", tmp_path / "empty", "-o", tmp_path / "o"), 2, "found no frames")
    (tmp_path / "a.mp4").write_bytes(b"not a video" * 100)
    assert_one_line(lrhdr("reconstruct", tmp_path / "a.mp4", "-o", tmp_path / "o", "--stops", "0,3"), 2, "a.mp4")


def test_damaged_frame_in_the_middle(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip(count=7)
    whole = (clip / "frame_004.png").read_bytes()
    position = whole.index(b"IDAT") + 12
    (clip / "frame_004.png").write_bytes(whole[:position] + bytes(8) + whole[position + 8 :])
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP)
    assert_one_line(result, 2, "frame_004.png", "expected a complete image")
    assert_only_whole_files(tmp_path / "o", 3)  # frames 0 to 2 do not need frame 4
    (clip / "frame_004.png").write_bytes(whole)
    again = lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP)
    assert again.status == 0
    assert "kept 3 from an earlier run" in again.out


def test_truncated_frame_is_found_before_work_starts(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip()
    whole = (clip / "frame_003.png").read_bytes()
    (clip / "frame_003.png").write_bytes(whole[: len(whole) // 2])
    assert_one_line(lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP), 2, "frame_003.png", "truncated")


def test_frames_of_different_sizes(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip()
    write_png(clip / "frame_002.png", np.zeros((20, 32, 3), np.uint8))
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP)
    assert_one_line(result, 2, "frame_002.png", "32x20", "32x18")


def test_lost_frame(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip(count=6)
    (clip / "frame_003.png").unlink()
    assert_one_line(lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP), 2, "frame number 3")


@pytest.mark.parametrize(("count", "exposures"), [(1, (1.0, 8.0)), (2, (1.0, 4.0, 16.0))])
def test_fewer_frames_than_exposures(
    lrhdr: Run, write_clip: Write, tmp_path: Path, count: int, exposures: tuple[float, ...]
) -> None:
    result = lrhdr("reconstruct", write_clip(count=count, exposures=exposures), "-o", tmp_path / "o", *CHEAP)
    assert_one_line(result, 2, f"found {count} frame", f"expected at least {len(exposures)}")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--no-inspect",), "exposures unknown"),
        (("--exposures", "1/1000,1/125", "--stops", "0,3"), "found both"),
        (("--exposures", "1/100,1/100"), "equal"),
        (("--exposures", "1/100"), "at least two"),
        (("--exposures", "1/0,1"), "'1/0'"),
        (("--exposures=-1,2",), "above 0"),
        (("--exposures", "fast,slow"), "'fast'"),
        (("--stops", "0,nan"), "'nan'"),
        (("--stops", "0,1000"), "between -100 and 100"),
        (("--stops", "2,2"), "equal"),
        (("--stops", "0,3", "--start", "2"), "start: expected 0 to 1, found 2"),
        (("--stops", "0,3", "--start", "first"), "'short' or 'long'"),
        (("--stops", "0,3", "--frames", "9:12"), "expected part of 0:5"),
        (("--stops", "0,3", "--frames", "all"), "expected a:b"),
        (("--stops", "0,3", "--fps", "0"), "rate above 0"),
        (("--stops", "0,3", "--fps", "many"), "30000/1001"),
        (("--stops", "0,3", "--name", "..."), "name: "),
        (("--stops", "0,3", "--start-number", "-1"), "start number"),
        (("--stops", "0,3", "--threads", "0"), "threads: expected 1 or more"),
        (("--stops", "0,3", "--tile", "0"), "tile: expected"),
        (("--stops", "0,3", "--device", "abacus"), "device: abacus"),
        (("--stops", "0,3", "--scale", "big"), "invalid choice: 'big'"),
        (("--stops",), "expected one argument"),
        (("--speed", "fast"), "unrecognized arguments"),
    ],
)
def test_options_that_make_no_sense(
    lrhdr: Run, write_clip: Write, tmp_path: Path, options: tuple[str, ...], expected: str
) -> None:
    clip = write_clip(stops_file=False)
    cheap = () if "--threads" in options else ("--threads", "1")
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", "--method", "merge", *cheap, *options)
    assert_one_line(result, 2, expected)
    assert not (tmp_path / "o").exists()


def test_garbage_in_exposures_txt(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip()
    (clip / "Exposures.txt").write_text("short long")
    assert_one_line(lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP), 2, "Exposures.txt")


def test_weights_made_for_another_number_of_exposures(
    lrhdr: Run, write_clip: Write, tiny_weights: Write, tmp_path: Path
) -> None:
    result = lrhdr("reconstruct", write_clip(), "-o", tmp_path / "o", "--weights", tiny_weights(3))
    assert_one_line(result, 2, "random-3: made for 3 exposures, but the schedule has 2 (1, 8)")
    assert not (tmp_path / "o").exists()


def test_weights_that_are_none(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip, out = write_clip(), tmp_path / "o"
    assert_one_line(lrhdr("reconstruct", clip, "-o", out, "--weights", "big"), 2, "weights 'big'")
    (tmp_path / "x.safetensors").write_bytes(b"x" * 100)
    result = lrhdr("reconstruct", clip, "-o", out, "--weights", tmp_path / "x.safetensors")
    assert_one_line(result, 2, "x.safetensors: not a readable weights file")
    many = lrhdr("reconstruct", clip, "-o", out, "--stops", "0,1,2,3")
    assert_one_line(many, 2, "no bundled weights for 4 exposures", "--method completion")


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 7.0])
def test_bad_values_in_float_frames(lrhdr: Run, tmp_path: Path, value: float) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    for i in range(5):
        image = np.full((8, 8, 3), 0.25, np.float32)
        if i == 3:
            image[2, 2, 1] = value
        tifffile.imwrite(clip / f"{i}.tif", image, photometric="rgb")
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", "--stops", "0,3", *CHEAP)
    assert_one_line(result, 2, "3.tif")
    assert_only_whole_files(tmp_path / "o", 2)


def test_output_that_cannot_be_a_folder(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip()
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/lrhdr-out")):
        result = lrhdr("reconstruct", clip, "-o", place, *CHEAP)
        assert_one_line(result, 3, f"cannot write {place}")
    assert (tmp_path / "file").read_text() == "in the way"


def test_preview_and_sheet_that_cannot_be_written(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip()
    (tmp_path / "file").write_text("in the way")
    for option, name in (("--preview", "p.mp4"), ("--sheet", "s.png")):
        result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP, option, tmp_path / "file" / name)
        assert_one_line(result, 3, name)
        assert_only_whole_files(tmp_path / "o", 5)


def test_output_that_is_the_input(lrhdr: Run, tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    for i in range(3):
        write_exr(clip / f"clip.{i:06d}.exr", np.full((8, 8, 3), 0.25, np.float32))
    result = lrhdr("reconstruct", clip, "-o", f"{clip}/../clip", "--stops", "0,3", "--overwrite", *CHEAP)
    assert_one_line(result, 2, "is the input")
    assert len(list(clip.iterdir())) == 3


def growing_clip(folder: Path) -> Path:
    """Flat frames, then noise: the EXR files grow from a few hundred bytes to many kilobytes."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(8):
        noise = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        write_png(folder / f"{i}.png", np.full((64, 64, 3), 90, np.uint8) if i < 5 else noise)
    (folder / "Exposures.txt").write_text("0 3")
    return folder


def test_disk_that_fills_up(lrhdr: Run, tmp_path: Path) -> None:
    clip, out = growing_clip(tmp_path / "clip"), tmp_path / "o"
    with file_size_limit(8192):
        result = lrhdr("reconstruct", clip, "-o", out, *CHEAP)
    assert_one_line(result, 3, "cannot write", "clip.00000")
    written = len(list(out.glob("*.exr")))
    assert 3 <= written <= 6
    assert_only_whole_files(out)
    again = lrhdr("reconstruct", clip, "-o", out, *CHEAP)
    assert again.status == 0
    assert f"kept {written} from an earlier run" in again.out


def test_full_file_system(lrhdr: Run, tmp_path: Path) -> None:
    clip, out = growing_clip(tmp_path / "clip"), tmp_path / "small"
    out.mkdir()
    with small_file_system(out, 48 * 1024):
        result = lrhdr("reconstruct", clip, "-o", out, *CHEAP, "--compression", "none")
        assert_one_line(result, 3, "cannot write", "the disk is full")
        assert_only_whole_files(out)
        assert 1 <= len(list(out.glob("*.exr"))) < 8


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    resource = pytest.importorskip("resource")  # not on Windows
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_file_system(folder: Path, size: int) -> Iterator[None]:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_interrupted_run_goes_on_to_the_same_files(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    # slow enough (about 0.1 s per frame) that the signal arrives in the middle on a fast machine too
    clip, out = write_clip(count=40, size=(192, 256)), tmp_path / "stopped"
    slow = ("--method", "flow", "--threads", "1")
    command = [sys.executable, "-m", "lrhdr", "reconstruct", str(clip), "-o", str(out), *slow]
    # a background job of a shell has Ctrl-C switched off, and hands that down
    obey: dict[str, Any] = (
        {} if os.name == "nt" else {"preexec_fn": partial(signal.signal, signal.SIGINT, signal.SIG_DFL)}
    )
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": CALM}
    with subprocess.Popen(command, **pipes, **obey) as process:
        deadline = time.monotonic() + 60
        while len(list(out.glob("*.exr"))) < 3 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    lines = [line for line in err.splitlines() if not re.match(r"[a-z]+: \d", line)]  # progress
    assert len(lines) == 1, err
    assert lines[0].startswith("lrhdr: stopped")
    assert_only_whole_files(out)
    kept = len(list(out.glob("*.exr")))
    assert 3 <= kept < 40
    again = lrhdr(*command[3:])
    assert again.status == 0, again.err
    assert f"kept {kept} from an earlier run" in again.out
    assert lrhdr("reconstruct", clip, "-o", tmp_path / "whole", *slow).status == 0
    for path in sorted((tmp_path / "whole").iterdir()):
        assert (out / path.name).read_bytes() == path.read_bytes(), path.name


def test_debug_variable_adds_the_traceback(lrhdr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRHDR_DEBUG", "1")
    result = lrhdr("reconstruct", tmp_path / "none", "-o", tmp_path / "o")
    assert result.status == 2
    assert "Traceback" in result.err
    assert "lrhdr: error: " in result.err


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (MemoryError(), 1, "out of memory; --tile 512"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), 1, "out of memory"),
        (OSError(5, "Input/output error", "x.png"), 1, "x.png: Input/output error"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
)
def test_errors_of_the_machine_are_one_line(
    lrhdr: Run, write_clip: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    error: BaseException, status: int, text: str,
) -> None:  # fmt: skip
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("lrhdr.runs.run", fail)
    result = lrhdr("reconstruct", write_clip(), "-o", tmp_path / "o")
    assert result.status == status
    assert len(result.err.splitlines()) == 1
    assert text in result.err


def test_closed_pipe_is_quiet() -> None:
    code = "import sys; from lrhdr.cli import main; sys.exit(main(['info', '--height', '64', '--width', '64']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False, env=CALM
    )
    os.close(write)
    assert done.returncode == 0
    assert done.stderr == ""
