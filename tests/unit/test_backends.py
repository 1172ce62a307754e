"""Backends give what the network gives; frames at once give what frames one by one give."""

from __future__ import annotations

import json
import sys
import threading
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from lrhdr import backends
from lrhdr.backends import BackendChoice, cached_onnx, prepare
from lrhdr.baselines import BASELINES
from lrhdr.checks import InputError, LrhdrError
from lrhdr.commands import options
from lrhdr.exposure import ExposureSchedule
from lrhdr.interpolate.compact import CompactInterpolator
from lrhdr.io.atomic import write_bytes
from lrhdr.models.accr import ACCRConfig
from lrhdr.models.apswf import APSWFConfig
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.pipeline import Reconstructor
from lrhdr.tonemap import mu_law
from lrhdr.transfers import DeviceCopies

TWO = ExposureSchedule((1.0, 8.0))
CPU = torch.device("cpu")


def network(n_exposures: int = 2, *, noise: bool = True) -> LRHDR:
    torch.manual_seed(3)
    accr = ACCRConfig(channels=4, context=4, mapper_hidden=4, decoder_hidden=4)
    config = LRHDRConfig(n_exposures, accr, APSWFConfig(widths=(4, 4, 4, 4)), noise=noise)
    model = LRHDR(config)
    for p in model.parameters():
        if p.ndim > 1:
            torch.nn.init.normal_(p, std=0.1)
    return model.eval()


def window(n_exposures: int, height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(seed)
    frames = 2 * n_exposures - 1
    exposures = torch.tensor([[4.0 ** (i % n_exposures) for i in range(frames)]])
    return (
        torch.rand(1, frames, 3, height, width, generator=g),
        torch.rand(1, n_exposures - 1, 3, height, width, generator=g),
        exposures,
        torch.tensor([0.01]),
    )


def clip(count: int, height: int = 24, width: int = 40) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("quality", ["best", "fast"])
def test_frames_at_once_are_bit_for_bit_those_one_by_one(quality: str) -> None:
    frames, choice = clip(7), BackendChoice("torch", quality)
    one, several = (
        list(
            Reconstructor(network(), "dis", backend=choice, at_once=n, keep_maps={2}, threads=1).reconstruct(
                frames, TWO
            )
        )
        for n in (None, 3)
    )
    assert [o.index for o in several] == list(range(7))
    for a, b in zip(one, several, strict=True):
        np.testing.assert_array_equal(a.radiance, b.radiance)
        assert (a.weights is None) == (b.weights is None) == (a.index != 2)
    np.testing.assert_array_equal(one[2].weights, several[2].weights)


@pytest.mark.parametrize("n_exposures", [2, 3])
def test_frames_that_stay_where_they_are_give_what_a_copied_window_gives(n_exposures: int) -> None:
    schedule = ExposureSchedule(tuple(4.0**i for i in range(n_exposures)))
    tool = Reconstructor(network(n_exposures), "dis")
    codes = clip(2 * n_exposures - 1, 21, 35)
    frames = [f.astype(np.float32) / np.float32(255.0) for f in codes]
    middle, of_codes = (list(tool.reconstruct(x, schedule))[n_exposures - 1] for x in (frames, codes))
    stacked = torch.stack([torch.from_numpy(f).permute(2, 0, 1) for f in frames])[None]
    exposures = torch.tensor([schedule.window_exposures(n_exposures - 1)])
    fused = tool.fuse(stacked, tool.complete(stacked, exposures), exposures)
    copied = fused.hdr[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(middle.radiance, copied)
    # The light of 8-bit codes comes from a table, not from the formula.
    np.testing.assert_allclose(of_codes.radiance, copied, rtol=1e-4, atol=2e-6)
    assert fused.weights is not None


def test_memory_of_large_frames_is_given_back_and_changes_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from lrhdr.models import streaming

    tool, frames = Reconstructor(network(), "average", backend=BackendChoice(precision="fp32")), clip(4)
    kept = [o.radiance for o in tool.reconstruct(frames, TWO)]
    assert tool.method._local.workspace is not None
    monkeypatch.setattr(streaming, "KEEP_PIXELS", 100)
    for a, o in zip(kept, tool.reconstruct(frames, TWO), strict=True):
        # Interpolated and calibrated frames were rounded to 16 bits in between.
        np.testing.assert_allclose(np.log1p(5000.0 * o.radiance), np.log1p(5000.0 * a), atol=2e-3)
        assert tool.method._local.workspace is None


@pytest.mark.parametrize(("at_once", "threads"), [(1, 1), (2, 1), (1, 3)])
def test_the_first_frame_of_a_video_is_computed_in_lanes(
    at_once: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frame 0 alone, in two lanes at least, whatever the cores; no other frame, where a run goes on in the middle."""
    seen: dict[int, int] = {}
    original = Reconstructor._reconstruct_one

    def spy(self: Reconstructor, window: Any) -> Any:
        seen[window.index] = torch.get_num_threads()
        return original(self, window)

    monkeypatch.setattr(Reconstructor, "_reconstruct_one", spy)
    tool = Reconstructor(network(), "average", at_once=at_once, threads=threads)
    for first, skip, opening in ((0, (), True), (0, (0,), False), (6, (), False)):
        seen.clear()
        indices = [o.index for o in tool.reconstruct(clip(5), TWO, first=first, skip=skip)]
        assert list(seen) == indices == list(range(first + (not opening), first + 5))
        assert list(seen.values()) == [max(2, threads) if i == 0 else threads for i in indices]


def test_the_first_frame_is_the_same_in_lanes_but_for_rounding() -> None:
    frames = clip(3, 160, 64)
    one, several = (
        next(iter(Reconstructor(network(), "average", at_once=n, threads=1).reconstruct(frames, TWO)))
        for n in (None, 2)
    )
    np.testing.assert_allclose(several.radiance, one.radiance, rtol=1e-4, atol=1e-6)


def test_frames_at_once_skip_and_report_errors_as_one_by_one() -> None:
    frames = clip(8)
    some = Reconstructor(network(), "average", at_once=2).reconstruct(frames, TWO, skip={0, 3})
    assert [o.index for o in some] == [1, 2, 4, 5, 6, 7]
    frames[4] = np.zeros((8, 8, 3), np.uint8)
    outputs = Reconstructor(network(), "average", at_once=2).reconstruct(frames, TWO)
    assert [next(outputs).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InputError, match="frame 4: found 8x8 pixels, expected 40x24"):
        next(outputs)

    def broken(w: torch.Tensor, i: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        return w[:, 1] * float("nan")

    before = threading.active_count()
    with pytest.raises(LrhdrError, match="frame 0: broken: returned NaN"):
        list(Reconstructor(broken, "average", at_once=2).reconstruct(clip(4), TWO))
    assert threading.active_count() == before
    with pytest.raises(InputError, match="at once: expected 1 frame or more, found 0"):
        Reconstructor(broken, "average", at_once=0)


def test_videos_side_by_side_leave_opencv_its_threads() -> None:
    seen: set[int] = set()

    def method(w: torch.Tensor, i: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        seen.add(cv2.getNumThreads())
        return w[:, 1]

    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        a, b = (Reconstructor(method, "average", at_once=1).reconstruct(clip(n), TWO) for n in (3, 6))
        assert len(list(zip_longest(a, b))) == 6
        assert seen == {1}
        assert cv2.getNumThreads() == 3
        opened = Reconstructor(method, "average", at_once=1).reconstruct(clip(3), TWO)
        next(opened)  # and never asked for more
        for _ in Reconstructor(method, "average", at_once=1).reconstruct(clip(3), TWO):
            pass
        opened.close()
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)


def test_each_frame_is_converted_and_its_noise_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from lrhdr import pipeline

    calls: list[str] = []
    for name in ("frame_to_tensor", "frame_noise"):
        kept = getattr(pipeline, name)

        def counted(*a: object, _kept: Any = kept, _name: str = name, **k: object) -> Any:
            calls.append(_name)
            return _kept(*a, **k)

        monkeypatch.setattr(pipeline, name, counted)
    list(Reconstructor(network(), "average", at_once=2).reconstruct(clip(6), TWO))
    assert calls.count("frame_to_tensor") == calls.count("frame_noise") == 6


def test_torch_backend_agrees_with_the_network() -> None:
    model = network()
    inputs = window(2, 32, 40)
    with torch.inference_mode():
        expected = model(*inputs)
    got = prepare(model, BackendChoice(precision="fp32"), CPU)(*inputs, maps=True)
    assert (mu_law(got.hdr) - mu_law(expected.hdr)).abs().max() < 1e-4
    assert (got.weights - expected.weights).abs().max() < 1e-3
    assert got.candidates.shape == expected.candidates.shape
    assert prepare(model, BackendChoice(), CPU)(*inputs).weights is None


@pytest.mark.parametrize("quick", [False, True])
def test_auto_is_bfloat16_where_the_cpu_is_quick_at_it(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "bf16_is_fast", lambda: quick)
    model, inputs, said = network(), window(2, 16, 16), []
    found = {
        precision: prepare(model, BackendChoice(precision=precision), CPU, notify=said.append)(*inputs).hdr
        for precision in backends.PRECISIONS
    }
    assert torch.equal(found["auto"], found["bf16" if quick else "fp32"])
    assert not torch.equal(found["bf16"], found["fp32"])
    assert (mu_law(found["bf16"]) - mu_law(found["fp32"])).abs().mean() < 5e-3
    assert said == ([] if quick else ["precision bf16: this CPU does not multiply bfloat16, fp32 is faster"])
    for precision, half in (("auto", quick), ("fp32", False), ("bf16", True)):
        tool = Reconstructor(model, "compact", backend=BackendChoice(precision=precision))
        assert isinstance(tool.interpolator, CompactInterpolator)
        assert (tool.precision, tool.interpolator.half) == ("bf16" if half else "fp32", half)
    assert Reconstructor(BASELINES["completion"], "dis", backend=BackendChoice(precision="bf16")).precision == "fp32"


def test_auto_is_float32_where_bfloat16_was_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "bf16_is_fast", lambda: True)
    gpu = torch.device("cuda")
    assert not BackendChoice("compile").half(CPU)
    assert not BackendChoice("onnx").half(CPU)
    assert [BackendChoice(quality=quality).half(gpu) for quality in backends.QUALITIES] == [False, True]


def test_choices_are_checked() -> None:
    with pytest.raises(InputError, match="backend: expected one of torch, onnx, compile, found 'tvm'"):
        BackendChoice("tvm")
    with pytest.raises(InputError, match="quality: expected one of best, fast, found 'good'"):
        BackendChoice("torch", "good")
    with pytest.raises(InputError, match="precision: expected one of auto, fp32, bf16, found 'int8'"):
        BackendChoice(precision="int8")
    with pytest.raises(InputError, match="precision: expected fp32 or auto with --backend onnx, found 'bf16'"):
        BackendChoice("onnx", precision="bf16")


def test_the_command_line_knows_the_same_names() -> None:
    assert (options.BACKENDS, options.QUALITIES) == (backends.BACKENDS, backends.QUALITIES)
    assert options.PRECISIONS == backends.PRECISIONS


def test_compile_without_a_compiler_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "find_compiler", lambda: None)
    with pytest.raises(InputError, match="backend compile: found no C"):
        prepare(network(), BackendChoice("compile"), CPU)


def test_find_compiler_takes_cxx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert backends.find_compiler() is None
    own = tmp_path / "my-compiler"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("CXX", "my-compiler")
    assert backends.find_compiler() == str(own)


def test_a_compiler_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class BackendCompilerFailed(RuntimeError):
        pass

    class InductorError(BackendCompilerFailed):  # what PyTorch raises
        pass

    def fails(*_: object, **__: object) -> None:
        raise InductorError("no\nheaders")

    monkeypatch.setattr(backends, "find_compiler", lambda: "g++")
    monkeypatch.setattr(torch, "compile", lambda *_args, **_kwargs: fails)
    method = prepare(network(), BackendChoice("compile"), CPU)
    with pytest.raises(InputError, match=r"backend compile: the compiler failed \(no headers\)"):
        method(*window(2, 32, 32))


def test_copies_on_a_cpu_move_nothing() -> None:
    copies, x = DeviceCopies(CPU), torch.rand(3)
    assert copies.upload(x) is x
    copies.arrived()
    assert copies.download(x) is x


@pytest.mark.slow
@pytest.mark.skipif(backends.find_compiler() is None, reason="no C++ compiler")
def test_compile_backend_agrees_with_the_network() -> None:
    model, inputs = network(), window(2, 32, 32)
    with torch.inference_mode():
        expected = model(*inputs).hdr
        got = prepare(model, BackendChoice("compile"), CPU)(*inputs).hdr
    assert (mu_law(got) - mu_law(expected)).abs().max() < 1e-4


def test_onnx_without_its_runtime_is_said_before_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRHDR_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(backends, "export_onnx", lambda _model, path: write_bytes(path, b"whole"))
    (tmp_path / "onnx").mkdir()
    for there in (False, True):
        if there:
            cached_onnx(network()).write_bytes(b"whole")
        said: list[str] = []
        with pytest.raises(InputError, match="needs the package onnxruntime: pip install 'lrhdr"):
            prepare(network(), BackendChoice("onnx"), CPU, notify=said.append)
        assert said == []
        assert cached_onnx(network()).is_file() == there


def test_a_damaged_onnx_file_is_made_again_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(path: str, *_: object, **__: object) -> str:
        if Path(path).read_bytes() != b"whole":
            raise RuntimeError("no protobuf")
        return path

    runtime = SimpleNamespace(SessionOptions=SimpleNamespace, InferenceSession=opened)
    monkeypatch.setenv("LRHDR_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    monkeypatch.setattr(backends, "export_onnx", lambda _model, path: write_bytes(path, b"whole"))
    path, said = cached_onnx(network()), []
    path.parent.mkdir()
    for contents, lines in ((b"whole", 0), (b"half", 1), (b"whole", 1)):
        path.write_bytes(contents)
        assert prepare(network(), BackendChoice("onnx"), CPU, notify=said.append)._session == str(path)
        assert len(said) == lines
    monkeypatch.setattr(backends, "export_onnx", lambda _model, path: write_bytes(path, b"half"))
    path.unlink()
    with pytest.raises(InputError, match=r"ONNX Runtime cannot use it \(no protobuf\)"):
        prepare(network(), BackendChoice("onnx"), CPU)


@pytest.mark.slow
@pytest.mark.parametrize("n_exposures", [2, 3])
def test_onnx_agrees_with_the_network_at_any_size(
    n_exposures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="the extra onnx is not installed")
    import onnx

    monkeypatch.setenv("LRHDR_CACHE", str(tmp_path))
    model, said = network(n_exposures, noise=n_exposures == 2), []
    onnx_method = prepare(model, BackendChoice("onnx"), CPU, notify=said.append)
    path = cached_onnx(model)
    assert path.is_file()
    assert len(said) == 1
    file = onnx.load(path)
    assert [o.version for o in file.opset_import if o.domain == ""] == [18]
    assert {o.name for o in file.graph.output} == {"hdr", "weights", "candidates"}
    assert json.loads({p.key: p.value for p in file.metadata_props}["n_exposures"]) == n_exposures
    for height, width in ((32, 48), (48, 24), (16, 16)):
        inputs = window(n_exposures, height, width, seed=height)[: 4 if n_exposures == 2 else 3]
        with torch.inference_mode():
            expected = model(*inputs)
        got = onnx_method(*inputs, maps=True)
        for a, b in ((got.hdr, expected.hdr), (got.weights, expected.weights), (got.candidates, expected.candidates)):
            assert (a - b).abs().max() < 1e-4
        assert (mu_law(got.hdr) - mu_law(expected.hdr)).abs().max() < 1e-3
    prepare(model, BackendChoice("onnx"), CPU, notify=said.append)
    assert len(said) == 1  # the second time it is there
    path.write_bytes(b"")
    again = prepare(model, BackendChoice("onnx"), CPU, notify=said.append)
    assert len(said) == 2  # damaged: made again
    assert torch.equal(again(*inputs).hdr, got.hdr)


def test_frames_that_are_on_the_device_are_not_pinned() -> None:
    there = torch.device("meta")  # stands for a GPU
    copies = DeviceCopies(there)
    copies._stream = object()  # type: ignore[assignment]
    assert copies.upload(torch.empty(3, device=there)).device == there
