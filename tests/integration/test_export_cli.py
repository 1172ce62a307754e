"""`lrhdr export`, and the options of `lrhdr reconstruct` on backend, quality, precision and frames at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import Outcome

from lrhdr.io.exr import read_exr_header
from lrhdr.io.images import read_exr

Run = Callable[..., Outcome]
Write = Callable[..., Path]


def test_frames_at_once_write_the_same_files(
    lrhdr: Run, write_clip: Write, tiny_weights: Write, tmp_path: Path
) -> None:
    clip, weights = write_clip(count=6), tiny_weights()
    for name, options in (("one", ("--threads", 1)), ("three", ("--at-once", 3, "--threads", 3))):
        result = lrhdr("reconstruct", clip, "-o", tmp_path / name, "--weights", weights, "--no-inspect", *options)
        assert result.status == 0, result.err
    for i in range(6):
        frames = [read_exr(tmp_path / name / f"clip.{i:06d}.exr") for name in ("one", "three")]
        np.testing.assert_array_equal(*frames)
    record = json.loads((tmp_path / "three" / "clip.lrhdr.json").read_text())
    assert (record["backend"], record["quality"], record["precision"]) == ("torch", "best", "auto")
    assert "at_once" not in record


def test_a_run_goes_on_only_with_the_same_quality(
    lrhdr: Run, write_clip: Write, tiny_weights: Write, tmp_path: Path
) -> None:
    clip, weights = write_clip(count=3), tiny_weights()
    options = ("reconstruct", clip, "-o", tmp_path / "out", "--weights", weights, "--no-inspect", "--threads", 1)
    assert lrhdr(*options, "--frames", ":1").status == 0
    result = lrhdr(*options, "--quality", "fast")
    assert result.status == 2
    assert "quality was 'best', is 'fast'" in result.err
    result = lrhdr(*options, "--precision", "fp32")
    assert "precision was 'auto', is 'fp32'" in result.err


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_files_say_in_which_precision_they_were_computed(
    precision: str, lrhdr: Run, write_clip: Write, tiny_weights: Write, tmp_path: Path
) -> None:
    options = ("--weights", tiny_weights(), "--no-inspect", "--threads", 1, "--precision", precision)
    result = lrhdr("reconstruct", write_clip(count=3), "-o", tmp_path / "out", *options)
    assert result.status == 0, result.err
    assert read_exr_header(tmp_path / "out" / "clip.000001.exr")["lrhdr:precision"] == precision


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--backend", "onnx", "--precision", "bf16"), "precision: expected fp32 or auto with --backend onnx"),
        (("--method", "completion", "--quality", "fast"), "expected the network with --backend, --quality"),
        (("--at-once", 0), "at once: expected 1 or more, up to 1024, found 0"),
        (("--backend", "tvm"), "invalid choice: 'tvm'"),
    ],
)
def test_choices_that_do_not_go_together_are_one_line(
    options: tuple[object, ...], message: str, lrhdr: Run, write_clip: Write, tmp_path: Path
) -> None:
    result = lrhdr("reconstruct", write_clip(count=3), "-o", tmp_path / "out", "--no-inspect", *options)
    assert result.status == 2
    assert message in result.err
    assert len(result.err.splitlines()) == 1


def test_export_says_what_is_missing(
    lrhdr: Run, tiny_weights: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.onnx"
    monkeypatch.setitem(sys.modules, "onnx", None)
    result = lrhdr("export", tiny_weights(), "-o", target)
    assert result.status == 2
    assert "needs the package onnx: pip install 'lrhdr[onnx]'" in result.err
    assert lrhdr("export", tiny_weights(), "-o", target, "--size", "big").status == 2
    assert lrhdr("export", "no-such-weights", "-o", target).status == 2
    assert not target.exists()


def test_export_refuses_a_size_off_the_grid(lrhdr: Run, tiny_weights: Write, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package, reason="the extra onnx is not installed")
    result = lrhdr("export", tiny_weights(), "-o", tmp_path / "out.onnx", "--size", "100x64")
    assert result.status == 2
    assert "expected sides that are multiples of 8, found 100x64" in result.err


@pytest.mark.slow
def test_export_writes_a_file_that_runs_at_its_size(lrhdr: Run, tiny_weights: Write, tmp_path: Path) -> None:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package, reason="the extra onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    target = tmp_path / "deep" / "net.onnx"
    result = lrhdr("export", tiny_weights(), "-o", target, "--size", "48x32")
    assert result.status == 0, result.err
    assert "frame size: 48x32" in result.out
    session = runtime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    shapes = {i.name: i.shape for i in session.get_inputs()}
    assert shapes["window"] == [1, 3, 3, 32, 48]
    rng = np.random.default_rng(0)
    inputs = {name: rng.random(shape, dtype=np.float32) for name, shape in shapes.items()}
    (hdr,) = session.run(["hdr"], inputs | {"exposures": np.array([[1, 8, 1]], np.float32)})
    assert hdr.shape == (1, 3, 32, 48)
    assert np.isfinite(hdr).all()
