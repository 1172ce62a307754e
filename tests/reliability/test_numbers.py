"""No NaN, no infinity, no negative radiance, whatever finite frames come in; and the same bytes for the same seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lrhdr.baselines import BASELINES
from lrhdr.checks import InputError
from lrhdr.cli import main
from lrhdr.exposure import ExposureSchedule
from lrhdr.frames import FLOAT_SLACK
from lrhdr.io.images import write_exr, write_png
from lrhdr.pipeline import Reconstructor
from lrhdr.weights import load_pretrained

CALM = settings(max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
MANY = settings(CALM, max_examples=300)
INTERPOLATORS = ("average", "dis", "dis-guided", "compact")
"""All that need no download."""

METHODS = ("lrhdr", *BASELINES)
_loaded: dict[int, Any] = {}


def reconstructor(method: str, n: int, **options: Any) -> Reconstructor:
    """The bundled network of n exposures, or a baseline."""
    if method != "lrhdr":
        return Reconstructor(BASELINES[method], options.pop("interpolator", "dis"), **options)
    if n not in _loaded:
        _loaded[n] = load_pretrained(f"compact-{n}exp")
    model, record = _loaded[n]
    return Reconstructor(model, options.pop("interpolator", record.interpolator), **options)


def assert_sound(made: list[Any], count: int, size: tuple[int, int], name: str) -> None:
    assert len(made) == count, name
    for frame in made:
        assert frame.radiance.shape == (*size, 3), name
        assert frame.radiance.dtype == np.float32, name
        assert np.isfinite(frame.radiance).all(), name
        assert frame.radiance.min() >= 0.0, name


@st.composite
def schedules(draw: st.DrawFn, n: int) -> ExposureSchedule:
    """Exposure times from 1e-6 s to 1e3 s, ratios of neighbours in size from 1.01 to 1024."""
    shortest = draw(st.sampled_from([1e-6, 1 / 8000, 1 / 100, 1.0, 10.0]))
    ratios = [draw(st.sampled_from([1.01, 1.5, 2.0, 8.0, 100.0, 1024.0])) for _ in range(n - 1)]
    times = [shortest]
    for ratio in ratios:
        times.append(min(times[-1] * ratio, 1e3))
    if max(times) / min(times) < 1.005:
        times[-1] = times[0] * 1.01
    order = draw(st.permutations(times))
    return ExposureSchedule.from_seconds(order, start=draw(st.integers(0, n - 1)))


@st.composite
def clips(draw: st.DrawFn, count: int) -> list[np.ndarray]:
    """Frames of one size and kind: codes or floats, flat, noisy, or of the ends of the range."""
    height, width = draw(st.sampled_from([(1, 1), (1, 9), (7, 1), (5, 6), (8, 8), (17, 24)]))
    kind = draw(st.sampled_from(["u8", "u16", "f32", "f64", "f16"]))
    frames = []
    for _ in range(count):
        if kind == "u8":
            elements: Any = st.sampled_from([0, 1, 127, 254, 255])
            dtype: Any = np.uint8
        elif kind == "u16":
            elements, dtype = st.sampled_from([0, 1, 32768, 65534, 65535]), np.uint16
        else:
            dtype = {"f32": np.float32, "f64": np.float64, "f16": np.float16}[kind]
            elements = st.sampled_from(
                [0.0, -0.0, 6e-8, 1e-4, 0.5, 0.9997, 1.0, 1.0 + FLOAT_SLACK / 2, -FLOAT_SLACK / 2]
            )
            elements = elements.map(lambda x, kind=dtype: float(kind(x)))
        fill = draw(elements)
        frames.append(draw(arrays.arrays(dtype, (height, width, 3), elements=elements, fill=st.just(fill))))
    return frames


def _radiance_is_sound(data: st.DataObject) -> None:
    n = data.draw(st.sampled_from([2, 2, 3]))
    schedule = data.draw(schedules(n))
    frames = data.draw(clips(data.draw(st.integers(n, n + 2))))
    method = data.draw(st.sampled_from(METHODS))
    options: dict[str, Any] = {"composite": data.draw(st.booleans())}
    if data.draw(st.booleans()):
        options["interpolator"] = data.draw(st.sampled_from(INTERPOLATORS))
    options["stabilise_window"] = data.draw(st.integers(0, 3)) == 0
    with np.errstate(all="ignore"):
        made = list(reconstructor(method, n, **options).reconstruct(frames, schedule))
    assert_sound(made, len(frames), frames[0].shape[:2], f"{method} {options} {schedule}")


@CALM
@given(st.data())
def test_radiance_is_finite_and_not_negative(data: st.DataObject) -> None:
    _radiance_is_sound(data)


@pytest.mark.slow
@MANY
@given(st.data())
def test_radiance_is_finite_and_not_negative_many_times(data: st.DataObject) -> None:
    _radiance_is_sound(data)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [2, 3])
def test_flat_frames_at_both_ends_of_the_exposures(method: str, n: int) -> None:
    """Black, white, and one code above and below, at the largest and smallest ratio of the promise."""
    for ratio in (1.01, 1024.0):
        schedule = ExposureSchedule.from_seconds([1e-6 * ratio**i for i in range(n)])
        for code in (0, 1, 254, 255):
            frames = [np.full((6, 9, 3), code, np.uint8)] * n
            made = list(reconstructor(method, n, interpolator="average").reconstruct(frames, schedule))
            assert_sound(made, n, (6, 9), f"{method} {ratio} {code}")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 1e30, -1e-1, 1.2])
def test_values_that_no_ldr_frame_has_are_refused(value: float) -> None:
    frames = [np.full((4, 4, 3), 0.5, np.float32) for _ in range(3)]
    frames[1][2, 2, 1] = value
    with pytest.raises(InputError, match="frame 1: found"):
        list(reconstructor("merge", 2).reconstruct(frames, ExposureSchedule.from_stops([0, 3])))


def test_small_overshoot_is_clamped() -> None:
    frames = [np.full((4, 4, 3), v, np.float32) for v in (-FLOAT_SLACK / 2, 1 + FLOAT_SLACK / 2, 0.5)]
    made = list(reconstructor("merge", 2).reconstruct(frames, ExposureSchedule.from_stops([0, 3])))
    assert_sound(made, 3, (4, 4), "merge")


@pytest.mark.slow
@pytest.mark.parametrize("size", [(16, 8192), (8192, 16), (1, 8192), (8192, 1), (2048, 2048)])
@pytest.mark.parametrize("method", ["lrhdr", "completion"])
def test_long_and_large_frames(size: tuple[int, int], method: str) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(2)]
    made = list(reconstructor(method, 2).reconstruct(frames, ExposureSchedule.from_stops([0, 3])))
    assert_sound(made, 2, size, method)


def _digest(folder: Path, pattern: str) -> dict[str, str]:
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob(pattern))}
    assert found, f"{folder}: nothing like {pattern}"
    return found


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Six noisy frames, 24x40, two exposures."""
    folder = tmp_path / "clip"
    folder.mkdir()
    rng = np.random.default_rng(3)
    light = np.kron(rng.uniform(0.0, 0.12, (6, 10, 3)), np.ones((4, 4, 1)))
    for i in range(6):
        codes = 255.0 * (np.roll(light, i, 1) * (1.0, 8.0)[i % 2]).clip(0.0, 1.0) ** (1 / 2.2) + rng.normal(
            0, 1, light.shape
        )
        write_png(folder / f"{i}.png", codes.clip(0, 255).astype(np.uint8))
    (folder / "Exposures.txt").write_text("0 3")
    return folder


def _run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


def test_reconstructing_twice_or_in_parts_gives_the_same_bytes(clip: Path, tmp_path: Path) -> None:
    common = ("--threads", 1, "--name", "x")
    _run("reconstruct", clip, "-o", tmp_path / "a", *common)
    _run("reconstruct", clip, "-o", tmp_path / "b", *common)
    for part in ("0:2", "4:6", "2:4"):  # out of order, as shards and resumed runs are
        _run("reconstruct", clip, "-o", tmp_path / "parts", *common, "--frames", part)
    whole = _digest(tmp_path / "a", "*.exr")
    assert len(whole) == 6
    assert _digest(tmp_path / "b", "*.exr") == whole
    assert _digest(tmp_path / "parts", "*.exr") == whole


def test_synthesising_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    stills = tmp_path / "stills"
    stills.mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        blocks = 2.0 ** rng.uniform(-6, 3, (16, 32, 3))
        write_exr(stills / f"pano_{i}.exr", blocks.repeat(8, 0).repeat(8, 1).astype(np.float32))
    for name in "ab":
        _run("synthesize", "--hdr-dir", stills, "--out-dir", tmp_path / name, "--count", 2, "--size", 32, "--seed", 5)
    assert _digest(tmp_path / "a", "*.safetensors") == _digest(tmp_path / "b", "*.safetensors")


def test_training_twice_gives_the_same_weights(write_run: Callable[[str], Path], tmp_path: Path) -> None:
    found = []
    for name in "ab":
        _run("train", write_run(name))
        model, _ = load_pretrained(tmp_path / name / "tiny.safetensors")
        found.append(model.state_dict())
    assert found[0].keys() == found[1].keys()
    for key, value in found[0].items():
        assert torch.equal(value, found[1][key]), key


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[[str], Path]:
    """A training configuration of three steps."""
    from samples import TINY, write_cache

    cache = write_cache(tmp_path / "cache", 4, 24)

    def write(name: str) -> Path:
        path = tmp_path / f"{name}.json"
        values = {
            "data": str(cache), "output": str(tmp_path / name), "name": "tiny", "model": TINY, "steps": 3, "batch": 2,
            "crop": 16, "validation": 1, "validate_every": 3, "log_every": 1, "tensorboard": False, "seed": 4,
        }  # fmt: skip
        path.write_text(json.dumps(values))
        return path

    return write


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3])
def test_tiles_stay_near_the_whole_frame(n: int) -> None:
    """The vote looks at the whole frame, so tiles differ: docs/reliability.md states by how much they may."""
    y, x = np.mgrid[:136, :200]
    light = 0.4 * 2.0 ** (-4.0 + 2.0 * np.sin(x / 17.0) + 2.0 * np.cos(y / 11.0))
    frames = []
    for i in range(n):
        exposed = (light * 4.0**i).clip(0.0, 1.0) ** (1 / 2.2)
        frames.append(np.rint(255 * np.stack([exposed, 0.9 * exposed, 0.8 * exposed], -1)).astype(np.uint8))
    schedule = ExposureSchedule.from_stops([2.0 * i for i in range(n)])
    whole, tiled = (list(reconstructor("lrhdr", n, tile=tile).reconstruct(frames, schedule)) for tile in (None, 128))
    for a, b in zip(whole, tiled, strict=True):
        tone = [np.log1p(5000.0 * f.radiance) / np.log1p(5000.0) for f in (a, b)]
        assert np.abs(tone[0] - tone[1]).mean() < 0.005
