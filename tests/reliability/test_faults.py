"""Faults of the machine and of files in mid-run: one line, the documented status, whole files, and the run goes on."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lrhdr.cli import main
from lrhdr.io.images import read_exr, write_exr, write_png
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.weights import WeightsRecord, save_weights
from samples import TINY, write_cache

CALM = {**os.environ, "OMP_NUM_THREADS": "1"}
CHEAP = ("--method", "merge", "--threads", "1")


class Outcome(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def lrhdr(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = main([str(a) for a in arguments])
        return Outcome(status, *capsys.readouterr())

    return run


def one_line(found: Outcome, status: int, *expected: str) -> None:
    assert found.status == status, found
    lines = [line for line in found.err.splitlines() if re.match(r"lrhdr: (error|internal|stopped)", line)]
    assert len(lines) == 1, found.err
    assert "Traceback" not in found.err + found.out
    for text in expected:
        assert text in lines[0], lines[0]


def whole(folder: Path) -> int:
    """How many EXR files there are; each can be read, and nothing half-written lies about."""
    files = sorted(folder.glob("*.exr"))
    for path in files:
        assert np.isfinite(read_exr(path)).all()
    assert not list(folder.glob(".*")), "a temporary file was left behind"
    return len(files)


def write_clip(folder: Path, count: int = 8, size: tuple[int, int] = (12, 16)) -> Path:
    folder.mkdir()
    for i in range(count):
        write_png(folder / f"{i}.png", np.full((*size, 3), 40 + 8 * (i % 16) + 60 * (i % 2), np.uint8))
    (folder / "Exposures.txt").write_text("0 3")
    return folder


@pytest.fixture
def on_write(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], object]], None]:
    """Do something when the n-th frame is about to be written."""

    def install(number: int, act: Callable[[], object]) -> None:
        seen = 0

        def write(*arguments: Any, **options: Any) -> None:
            nonlocal seen
            seen += 1
            if seen == number:
                act()
            write_exr(*arguments, **options)

        monkeypatch.setattr("lrhdr.delivery.write_exr", write)

    return install


def test_output_folder_that_is_removed(lrhdr: Run, tmp_path: Path, on_write: Any) -> None:
    clip, out = write_clip(tmp_path / "clip"), tmp_path / "out"
    on_write(3, lambda: shutil.rmtree(out))
    one_line(lrhdr("reconstruct", clip, "-o", out, *CHEAP), 3, "cannot write", "its folder does not exist")
    assert lrhdr("reconstruct", clip, "-o", out, *CHEAP).status == 0
    assert whole(out) == 8


def test_output_folder_that_becomes_read_only(
    lrhdr: Run, tmp_path: Path, on_write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's answer is put in its mouth: the tests may run as root, whom no permission stops."""
    clip, out = write_clip(tmp_path / "clip"), tmp_path / "out"
    opened = Path.open

    def refuse(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if out in path.parents and "w" in mode:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, mode, *rest, **options)

    on_write(3, lambda: monkeypatch.setattr(Path, "open", refuse))
    one_line(lrhdr("reconstruct", clip, "-o", out, *CHEAP), 3, "cannot write", "the file system is read-only")
    monkeypatch.setattr(Path, "open", opened)
    assert whole(out) >= 2
    again = lrhdr("reconstruct", clip, "-o", out, *CHEAP)
    assert again.status == 0
    assert whole(out) == 8


@pytest.mark.parametrize("fault", ["truncated", "another size", "removed"])
def test_input_frame_that_changes_in_mid_run(lrhdr: Run, tmp_path: Path, on_write: Any, fault: str) -> None:
    clip, out = write_clip(tmp_path / "clip", 20), tmp_path / "out"
    frame = clip / "15.png"
    good = frame.read_bytes()
    acts: dict[str, Callable[[], object]] = {
        "truncated": lambda: frame.write_bytes(good[: len(good) // 2]),
        "another size": lambda: write_png(frame, np.zeros((9, 9, 3), np.uint8)),
        "removed": frame.unlink,
    }
    on_write(2, acts[fault])
    one_line(lrhdr("reconstruct", clip, "-o", out, *CHEAP), 2, "15.png")
    assert 2 <= whole(out) < 20
    frame.write_bytes(good)
    assert lrhdr("reconstruct", clip, "-o", out, *CHEAP).status == 0
    assert whole(out) == 20


def test_video_that_is_truncated_in_mid_run(lrhdr: Run, tmp_path: Path, on_write: Any) -> None:
    import av

    path, out = tmp_path / "clip.avi", tmp_path / "out"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("rawvideo", rate=24)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for i in range(40):
            image = np.full((96, 128, 3), 60 + 100 * (i % 2), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    good = path.read_bytes()
    on_write(2, lambda: os.truncate(path, len(good) // 2))
    one_line(lrhdr("reconstruct", path, "-o", out, "--stops", "0,3", *CHEAP), 2, "clip.avi")
    assert 2 <= whole(out) < 40
    path.write_bytes(good)
    assert lrhdr("reconstruct", path, "-o", out, "--stops", "0,3", *CHEAP).status == 0
    assert whole(out) == 40


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A training run of four steps with a checkpoint after each."""
    cache = write_cache(tmp_path / "cache", 4, 24)
    path = tmp_path / "run.toml"
    path.write_text(
        f'data = "{cache}"\noutput = "{tmp_path}/run"\nname = "tiny"\nsteps = 4\nbatch = 1\ncrop = 16\nvalidation = 1\n'
        "validate_every = 4\nlog_every = 1\ncheckpoint_minutes = 0.0\ntensorboard = false\n"
        f"[model.accr]\n{_lines(TINY['accr'])}\n[model.apswf]\n{_lines(TINY['apswf'])}\n"
    )
    return path


def _lines(values: Any) -> str:
    return "\n".join(f"{key} = {value}" for key, value in values.items())


@pytest.mark.parametrize("command", ["synthesize", "recomplete", "train", "train-interpolator"])
def test_output_folder_inside_a_file(lrhdr: Run, config: Path, tmp_path: Path, command: str) -> None:
    file, cache = tmp_path / "file", tmp_path / "cache"
    file.write_text("")
    if command == "synthesize":
        words: tuple[object, ...] = ("--hdr-dir", _stills(tmp_path / "hdr"), "--out-dir", file / "x", "--count", 1)
    elif command == "recomplete":
        (cache / "manifest.json").write_text('{"format": 1, "config": {"interpolator": "dis"}}')
        words = (cache, "-o", file / "x")
    elif command == "train":
        config.write_text(config.read_text().replace(f"{tmp_path}/run", f"{file}/x"))
        words = (config,)
    else:
        config.write_text(f'data = ["{cache}"]\noutput = "{file}/x"\ncrop = 24\nvalidation = 1\n')
        words = (config,)
    one_line(lrhdr(command, *words), 3, f"cannot write {file / 'x'}: its folder is not a folder")


@pytest.mark.parametrize("fault", ["truncated", "flipped", "one byte", "empty", "a list", "other keys", "text"])
def test_checkpoint_that_is_damaged(lrhdr: Run, config: Path, tmp_path: Path, fault: str) -> None:
    assert lrhdr("train", config).status == 0
    path = tmp_path / "run" / "last.pt"
    good = path.read_bytes()
    if fault == "a list":
        torch.save([1, 2], path)
    elif fault == "other keys":
        torch.save({"step": 2}, path)
    else:
        half = len(good) // 2
        flipped = good[:600] + bytes(b ^ 255 for b in good[600:900]) + good[900:]
        # One byte in the middle of a tensor: PyTorch itself would take it for a number.
        at = len(good) // 2
        one = good[:at] + bytes([good[at] ^ 64]) + good[at + 1 :]
        contents = {"truncated": good[:half], "flipped": flipped, "one byte": one, "empty": b"", "text": b"step = 3"}
        path.write_bytes(contents[fault])
    one_line(lrhdr("train", config), 2, "last.pt")
    path.write_bytes(good)
    assert lrhdr("train", config).status == 0


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    model = LRHDR(LRHDRConfig.from_dict(TINY))
    path = tmp_path / "tiny.safetensors"
    save_weights(path, model, WeightsRecord("tiny", model.config.to_dict(), interpolator="average"))
    return path


def _rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    with safe_open(path, framework="pt") as file:
        tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    change(tensors)
    save_file(tensors, path, metadata=metadata)


def _damage(path: Path, fault: str) -> None:
    data = path.read_bytes()
    if fault == "truncated":
        path.write_bytes(data[:-40])
    elif fault == "not safetensors":
        path.write_bytes(b"weights" * 30)
    elif fault == "empty":
        path.write_bytes(b"")
    elif fault == "no record":
        save_file({"a": torch.ones(1)}, path)
    elif fault == "wrong shape":
        _rewrite(path, lambda t: t.update({next(iter(t)): torch.ones(7)}))
    elif fault == "a tensor missing":
        _rewrite(path, lambda t: t.pop(next(iter(t))))
    elif fault == "NaN":
        _rewrite(path, lambda t: next(v for v in t.values() if v.is_floating_point()).fill_(float("nan")))
    else:
        raise AssertionError(fault)


@pytest.mark.parametrize(
    "fault", ["truncated", "not safetensors", "empty", "no record", "wrong shape", "a tensor missing", "NaN"]
)
def test_weights_that_are_damaged(lrhdr: Run, weights: Path, tmp_path: Path, fault: str) -> None:
    _damage(weights, fault)
    clip = write_clip(tmp_path / "clip", 2)
    one_line(lrhdr("reconstruct", clip, "-o", tmp_path / "out", "--weights", weights), 2, "tiny.safetensors")
    assert not (tmp_path / "out").exists()


def test_a_record_cannot_ask_for_memory(lrhdr: Run, tmp_path: Path) -> None:
    """What is built is decided by the tensors in the file, not by the numbers in its record."""
    for key, value in (("decoder_hidden", 10**9), ("channels", 4096), ("decoder_blocks", 10**9)):
        path = tmp_path / f"{key}.safetensors"
        config = {"accr": {**TINY["accr"], key: value}, "apswf": TINY["apswf"]}
        save_file({"a": torch.ones(1)}, path, metadata={"lrhdr": f'{{"name": "x", "config": {_json(config)}}}'})
        began = time.monotonic()
        one_line(lrhdr("reconstruct", write_clip(tmp_path / key, 2), "-o", tmp_path / "o", "--weights", path), 2)
        assert time.monotonic() - began < 60


def _json(value: object) -> str:
    import json

    return json.dumps(value)


def test_weights_of_another_hash_do_not_go_on_with_a_run(lrhdr: Run, weights: Path, tmp_path: Path) -> None:
    clip, out = write_clip(tmp_path / "clip", 4), tmp_path / "out"
    assert lrhdr("reconstruct", clip, "-o", out, "--weights", weights, "--frames", "0:2").status == 0
    _rewrite(weights, lambda t: next(v for v in t.values() if v.is_floating_point()).add_(0.01))
    one_line(lrhdr("reconstruct", clip, "-o", out, "--weights", weights), 2, "weights_sha256")


@pytest.mark.parametrize("name", ["model.pth", "model.pt", "model.ckpt", "model.bin"])
def test_pickled_weights_are_refused_with_the_way_out(lrhdr: Run, tmp_path: Path, name: str) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / name)
    clip = write_clip(tmp_path / "clip", 2)
    found = lrhdr("reconstruct", clip, "-o", tmp_path / "out", "--weights", tmp_path / name)
    one_line(found, 2, name, "weights_only=True", "safetensors")


def test_nothing_is_unpickled() -> None:
    """`torch.load` only with weights_only; pickle only as the base of the reader that knows tensors alone."""
    source = Path(__file__).parents[2] / "src" / "lrhdr"
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for call in re.findall(r"torch\.load\([^\n]*", text):
            assert "weights_only=True" in call or path.name == "weights.py", f"{path.name}: {call}"
        if path.name != "torchscript.py":
            assert not re.search(r"^\s*(import|from) (pickle|dill|cloudpickle|joblib|marshal|shelve)\b", text, re.M), (
                path
            )
        assert not re.search(
            r"allow_pickle=True|weights_only=False|yaml\.load\(|\beval\(|\bexec\(", text.replace(".eval(", "")
        ), path


def _stills(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        blocks = 2.0 ** rng.uniform(-6, 3, (16, 32, 3))
        write_exr(folder / f"pano_{i}.exr", blocks.repeat(8, 0).repeat(8, 1).astype(np.float32))
    return folder


@pytest.fixture
def file_limit() -> Any:
    """Files cannot grow beyond this: what a full disk or a quota does, for one process."""
    resource = pytest.importorskip("resource", reason="limits are set the POSIX way")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int | None) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))

    yield limit
    limit(None)


def test_full_disk_of_synthesize(lrhdr: Run, tmp_path: Path, file_limit: Any) -> None:
    out = tmp_path / "cache"
    words = ("synthesize", "--hdr-dir", _stills(tmp_path / "hdr"), "--out-dir", out, "--count", 2, "--size", 32)
    file_limit(8192)
    one_line(lrhdr(*words), 3, "cannot write")
    file_limit(None)
    assert not list(out.glob("*.safetensors"))
    assert not list(out.glob(".*"))
    assert lrhdr(*words).status == 0


def test_full_disk_of_train(lrhdr: Run, config: Path, tmp_path: Path, file_limit: Any) -> None:
    file_limit(8192)
    one_line(lrhdr("train", config), 3, "cannot write")
    file_limit(None)
    assert not list((tmp_path / "run").glob(".*"))
    assert lrhdr("train", config).status == 0


def test_full_disk_of_encode(lrhdr: Run, tmp_path: Path, file_limit: Any) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    rng = np.random.default_rng(0)
    for i in range(8):
        write_exr(frames / f"f.{i:06d}.exr", rng.uniform(0, 1, (128, 128, 3)).astype(np.float32))
    video = tmp_path / "v.mp4"
    file_limit(4096)
    one_line(lrhdr("encode", frames, "--preview", video), 3, "v.mp4")
    file_limit(None)
    assert not video.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["frames"]
    assert lrhdr("encode", frames, "--preview", video).status == 0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BrokenProcessPool("terminated abruptly"), "a worker process died"),
        (ZeroDivisionError("division by zero"), "internal error: ZeroDivisionError"),
        (MemoryError(), "out of memory; --tile 512"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out of memory; --tile 512"),
        (torch.OutOfMemoryError("CUDA out of memory."), "out of memory; --tile 512"),
        (OSError(errno.ENOMEM, "Cannot allocate memory", "sympy"), "out of memory; --tile 512"),
        (ImportError("x.so: failed to map segment from shared object"), "out of memory; --tile 512"),
        (SystemError("error return without exception set"), "as it does when memory runs out; --tile 512"),
    ],
)
def test_errors_of_the_machine_and_of_ours(
    lrhdr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("lrhdr.runs.run", fail)
    one_line(lrhdr("reconstruct", tmp_path, "-o", tmp_path / "o"), 1, said)


def _start(*words: object, group: bool = False) -> subprocess.Popen[str]:
    # A background job of a shell has Ctrl-C switched off, and hands that down.
    obey = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(
        [sys.executable, "-m", "lrhdr", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=CALM, preexec_fn=obey, start_new_session=group,
    )  # fmt: skip


def _wait_for(what: Callable[[], object], process: subprocess.Popen[str], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not what() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)


def _children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            words = path.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == pid and b"spawn_main" in words:
            found.append(int(path.parent.name))
    return found


def _finish(process: subprocess.Popen[str]) -> Outcome:
    out, err = process.communicate(timeout=300)
    return Outcome(process.returncode, out, err)


posix = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc and POSIX signals")


@posix
@pytest.mark.slow
@pytest.mark.parametrize("fault", ["worker killed", "Ctrl-C"])
def test_workers_of_synthesize(lrhdr: Run, tmp_path: Path, fault: str) -> None:
    out = tmp_path / "cache"
    words = (
        "synthesize", "--hdr-dir", _stills(tmp_path / "hdr"), "--out-dir", out, "--count", 130, "--size", 32,
        "--workers", 2,
    )  # fmt: skip
    process = _start(*words, group=True)
    _wait_for(lambda: list(out.glob("*.safetensors")), process)
    workers = _children(process.pid)
    assert len(workers) == 2
    if fault == "Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)
        one_line(_finish(process), 130, "stopped")
    else:
        os.kill(workers[0], signal.SIGKILL)
        one_line(_finish(process), 1, "a worker process died")
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    assert lrhdr(*words).status == 0
    assert len(list(out.glob("shard-*.safetensors"))) == 3
    assert not list(out.glob(".*"))


@posix
@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "train-interpolator", "inspect", "encode", "evaluate", "interpolate"])
def test_ctrl_c(lrhdr: Run, config: Path, tmp_path: Path, command: str) -> None:
    """At a moment when the command is at work: status 130, one line, no file that is not whole."""
    made = _long(command, config, tmp_path)
    process = _start(*made)
    time.sleep(1.0)
    _wait_for(lambda: _at_work(command, tmp_path, process.pid), process)
    process.send_signal(signal.SIGINT)
    found = _finish(process)
    done = found.status == 0 or (found.status == -signal.SIGINT and found.out and not found.err)
    if not done:  # quick ones may be done before, or be leaving
        one_line(found, 130, "stopped")
    assert "Traceback" not in found.err
    assert not list(tmp_path.rglob(".*.tmp"))
    if command == "train":
        assert (tmp_path / "run" / "last.pt").is_file()


def _long(command: str, config: Path, tmp_path: Path) -> tuple[object, ...]:
    if command == "train":
        config.write_text(config.read_text().replace("steps = 4", "steps = 20000"))
        return ("train", config)
    if command == "train-interpolator":
        other = tmp_path / "i.toml"
        other.write_text(
            f'data = ["{tmp_path}/cache"]\noutput = "{tmp_path}/irun"\nsteps = 20000\nbatch = 1\ncrop = 20\n'
            "validation = 1\nlog_every = 1\n"
        )
        return ("train-interpolator", other)
    if command == "interpolate":
        clip = write_clip(tmp_path / "clip", 3, (2160, 3840))
        return ("interpolate", clip / "0.png", clip / "2.png", "-o", tmp_path / "i.png", "--interpolator", "compact")
    clip = write_clip(tmp_path / "clip", 60, (240, 320))
    if command == "inspect":
        return ("inspect", clip)
    frames = tmp_path / "frames"
    frames.mkdir()
    for i in range(60):
        write_exr(frames / f"f.{i:06d}.exr", np.full((240, 320, 3), 0.2, np.float32))
    if command == "encode":
        return ("encode", frames, "--hdr10", tmp_path / "v.mp4")
    truth = clip / "truth"
    truth.mkdir()
    for i in range(2, 40):
        shutil.copy(frames / "f.000000.exr", truth / f"{i:03d}.exr")
    return ("evaluate", clip, "-o", tmp_path / "e", "--methods", "flow", "--threads", 1)


def _at_work(command: str, tmp_path: Path, pid: int) -> bool:
    """Whether the command is past its imports: it has written something, or spent some seconds."""
    if command in ("train", "train-interpolator"):
        logs = [*tmp_path.glob("run/log.csv"), *tmp_path.glob("irun/*")]
        return any(p.stat().st_size > 100 for p in logs)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK") > 3.0


@posix
@pytest.mark.slow
@pytest.mark.parametrize("mib", [40, 150, 400])
def test_memory_that_runs_out(tmp_path: Path, lrhdr: Run, mib: int) -> None:
    """Under a limit of the address space a little above what the loaded program takes."""
    clip, out = write_clip(tmp_path / "clip", 3, (1080, 1920)), tmp_path / "out"
    code = (
        "import resource, sys\n"
        "import torch, cv2, av, OpenImageIO, OpenEXR\n"
        "import lrhdr.runs\n"
        "torch.set_num_threads(1); cv2.setNumThreads(1)\n"
        "from lrhdr.cli import main\n"
        "mapped = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (mapped + {mib} * 2**20, resource.RLIM_INFINITY))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    words = ["reconstruct", str(clip), "-o", str(out), "--threads", "1", "--no-inspect"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, env=CALM)
    found = Outcome(done.returncode, done.stdout, done.stderr)
    if mib < 200 or found.status != 0:
        assert found.status in (1, 2), found
        one_line(found, found.status)
        assert "internal error" not in found.err, found.err
    whole(out) if out.exists() else None
