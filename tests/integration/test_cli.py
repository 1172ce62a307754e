"""What a user types: every command, its files and its output."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
from clips import Outcome, scene

from lrhdr import cli
from lrhdr.baselines import BASELINES
from lrhdr.commands import options as command_options
from lrhdr.evaluation_runs import score
from lrhdr.evaluation_sources import BENCH, SETS
from lrhdr.interpolate import INTERPOLATORS
from lrhdr.io.images import read_exr, read_exr_header, read_image, write_exr
from lrhdr.io.video import VideoReader
from lrhdr.pipeline import NETWORK
from lrhdr.run_options import RunOptions

Run = Callable[..., Outcome]
Write = Callable[..., Path]


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_still_clip_comes_back_as_its_radiance(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = lrhdr("reconstruct", write_clip(bits=16), "-o", out, "--method", "completion")
    assert result.status == 0, result.err
    assert names(out) == [*(f"clip.{i:06d}.exr" for i in range(5)), "clip.lrhdr.json"]
    for i in range(5):
        got = read_exr(out / f"clip.{i:06d}.exr")
        np.testing.assert_allclose(got, scene(18, 32), atol=0.02)
    assert "5 frames: " in result.out
    assert "s per frame" in result.out


def test_the_network_writes_headers_preview_and_sheet(
    lrhdr: Run, write_clip: Write, tiny_weights: Write, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "er" / "out"
    options = ["--exposures", "1/1000,1/125", "--fps", "30000/1001", "--name", "shot", "--start-number", "1001"]
    preview, sheet = tmp_path / "p" / "preview.mp4", tmp_path / "s" / "sheet.png"
    result = lrhdr(
        "reconstruct", write_clip(stops_file=False), "-o", out, *options, "--weights", tiny_weights(),
        "--preview", preview, "--sheet", sheet, "--threads", 1,
    )  # fmt: skip
    assert result.status == 0, result.err
    assert names(out) == [*(f"shot.{1001 + i:06d}.exr" for i in range(5)), "shot.lrhdr.json"]
    header = read_exr_header(out / "shot.001002.exr")
    assert header["framesPerSecond"] == Fraction(30000, 1001)
    assert header["expTime"] == pytest.approx(1 / 125)
    assert header["lrhdr:exposure"] == pytest.approx(8.0)
    assert header["lrhdr:exposureStops"] == pytest.approx(3.0)
    assert header["lrhdr:weights"] == "random-2"
    assert header["lrhdr:scale"] == "shortest"
    assert header["software"].startswith("lrhdr ")
    assert header["lrhdr:version"]
    assert tuple(header["chromaticities"])[:2] == pytest.approx((0.64, 0.33))
    assert OpenEXR.File(str(out / "shot.001002.exr")).channels()["RGB"].pixels.dtype == np.float16
    video = VideoReader(preview)
    assert (video.width, video.height) == (32, 18)
    assert sum(1 for _ in video) == 5
    assert read_image(sheet).shape[1] == 1600
    assert str(preview) in result.out
    assert str(sheet) in result.out


def test_scene_scale_multiplies_by_the_longest_exposure(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip(count=2)
    common = ("--method", "reference")
    assert lrhdr("reconstruct", clip, "-o", tmp_path / "a", *common).status == 0
    assert lrhdr("reconstruct", clip, "-o", tmp_path / "b", *common, "--scale", "scene").status == 0
    a, b = (read_exr(tmp_path / x / "clip.000001.exr") for x in "ab")
    np.testing.assert_allclose(b, 8.0 * a, rtol=2e-3, atol=1e-6)
    assert b.max() == pytest.approx(1.0, abs=1e-3)  # the long frame's white


@pytest.mark.parametrize(("start", "ok"), [("0", True), ("short", True), ("1", False), ("long", False)])
def test_start_says_which_exposure_comes_first(
    lrhdr: Run, write_clip: Write, tmp_path: Path, start: str, ok: bool
) -> None:
    clip = write_clip(count=2, stops_file=False)
    result = lrhdr(
        "reconstruct", clip, "-o", tmp_path / "o", "--stops", "0,3", "--start", start, "--method", "reference"
    )
    assert result.status == 0
    first, second = (read_exr(tmp_path / "o" / f"clip.{i:06d}.exr") for i in range(2))
    dark = scene(18, 32) < 0.1
    assert np.allclose(first[dark], second[dark], atol=0.02) == ok


def test_three_exposures_and_a_video_file(lrhdr: Run, write_clip: Write, tiny_weights: Write, tmp_path: Path) -> None:
    clip = write_clip(exposures=(1.0, 4.0, 16.0), count=4)
    result = lrhdr(
        "reconstruct", clip, "-o", tmp_path / "o", "--weights", tiny_weights(3), "--preview", tmp_path / "v.mp4"
    )
    assert result.status == 0, result.err
    result = lrhdr(
        "reconstruct", tmp_path / "v.mp4", "-o", tmp_path / "from-video", "--stops", "0,2,4", "--method", "merge"
    )
    assert result.status == 0, result.err
    assert read_exr_header(tmp_path / "from-video" / "v.000003.exr")["framesPerSecond"] == 24


def test_part_of_a_clip_equals_the_same_frames_of_the_whole(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip(count=7)
    common = ("--method", "completion")
    assert lrhdr("reconstruct", clip, "-o", tmp_path / "all", *common).status == 0
    # Two parts into one folder, as two machines would do it.
    assert lrhdr("reconstruct", clip, "-o", tmp_path / "part", *common, "--frames", "2:5").status == 0
    assert names(tmp_path / "part") == [*(f"clip.{i:06d}.exr" for i in (2, 3, 4)), "clip.lrhdr.json"]
    assert lrhdr("reconstruct", clip, "-o", tmp_path / "part", *common, "--frames", ":2").status == 0
    assert lrhdr("reconstruct", clip, "-o", tmp_path / "part", *common, "--frames", "5:").status == 0
    assert names(tmp_path / "part") == names(tmp_path / "all")
    for name in names(tmp_path / "all"):
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "all" / name).read_bytes(), name


def test_resume_keeps_complete_frames_and_makes_the_rest(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip, out = write_clip(), tmp_path / "out"
    common = ("reconstruct", clip, "-o", out, "--method", "completion", "--sheet", tmp_path / "s.png")
    assert lrhdr(*common).status == 0
    before = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.iterdir() if p.suffix == ".exr"}
    (out / "clip.000003.exr").unlink()
    (out / "clip.000001.exr").write_bytes(b"")  # not ours: ours are complete or absent
    (tmp_path / "s.png").unlink()
    result = lrhdr(*common)
    assert result.status == 0, result.err
    assert "kept 3 from an earlier run" in result.out
    assert (tmp_path / "s.png").exists()
    for name, (time, content) in before.items():
        assert (out / name).read_bytes() == content
        assert ((out / name).stat().st_mtime_ns == time) == (name not in ("clip.000003.exr", "clip.000001.exr"))


def test_other_settings_are_refused_until_overwrite(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip, out = write_clip(), tmp_path / "out"
    common = ("reconstruct", clip, "-o", out, "--method")
    assert lrhdr(*common, "reference").status == 0
    result = lrhdr(*common, "merge")
    assert result.status == 2
    assert "made with other settings (method was 'reference', is 'merge'" in result.err
    old = (out / "clip.000000.exr").read_bytes()
    assert lrhdr(*common, "merge", "--overwrite", "--frames", "0:2").status == 0
    assert names(out) == ["clip.000000.exr", "clip.000001.exr", "clip.lrhdr.json"]
    assert (out / "clip.000000.exr").read_bytes() != old
    (out / "clip.lrhdr.json").unlink()
    assert "no clip.lrhdr.json" in lrhdr(*common, "merge").err
    (out / "clip.lrhdr.json").write_text("[]")
    assert "not a readable run file" in lrhdr(*common, "merge").err


def test_another_input_into_the_same_files_is_refused(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first, second = write_clip("a"), write_clip("b", exposures=(1.0, 4.0))
    (second / "Exposures.txt").write_text("0 3")
    assert lrhdr("reconstruct", first, "-o", out, "--method", "merge", "--name", "x").status == 0
    (second / "frame_000.png").write_bytes((first / "frame_001.png").read_bytes())
    result = lrhdr("reconstruct", second, "-o", out, "--method", "merge", "--name", "x")
    assert result.status == 2
    assert "first_frame_sha256" in result.err


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (33, 17)])
def test_odd_sizes(lrhdr: Run, write_clip: Write, tiny_weights: Write, tmp_path: Path, size: tuple[int, int]) -> None:
    for i, method in enumerate((("--weights", tiny_weights()), ("--method", "completion"), ("--method", "flow"))):
        out = tmp_path / str(i)
        result = lrhdr(
            "reconstruct", write_clip(str(i) + "c", count=3, size=size), "-o", out, *method, "--interpolator", "dis",
            "--name", "n", "--preview", out / "p.mp4", "--sheet", out / "s.png",
        )  # fmt: skip
        assert result.status == 0, result.err
        assert read_exr(out / "n.000002.exr").shape == (*size, 3)


def test_a_large_odd_size(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip(count=2, size=(721, 1283))
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", "--method", "completion", "--threads", 1)
    assert result.status == 0, result.err
    got = read_exr(tmp_path / "o" / "clip.000001.exr")
    assert got.shape == (721, 1283, 3)
    assert np.abs(got - scene(721, 1283)).mean() < 0.01


def test_tiles(lrhdr: Run, write_clip: Write, tiny_weights: Write, tmp_path: Path) -> None:
    clip = write_clip(count=2, size=(100, 150))
    weights = tiny_weights()
    assert lrhdr("reconstruct", clip, "-o", tmp_path / "a", "--weights", weights).status == 0
    assert lrhdr("reconstruct", clip, "-o", tmp_path / "b", "--weights", weights, "--tile", 96).status == 0
    a, b = (read_exr(tmp_path / x / "clip.000000.exr") for x in "ab")
    assert np.abs(a - b).mean() < 0.01


def test_info_shows_presets_and_records(lrhdr: Run, tiny_weights: Write) -> None:
    result = lrhdr("info")
    assert result.status == 0
    assert "compact" in result.out
    assert "GMAC per 1280x720 frame" in result.out
    result = lrhdr("info", tiny_weights(), "--height", 64, "--width", 64)
    assert "random-2" in result.out
    assert "sha256" in result.out
    assert lrhdr("info", "--height", 0).status == 2


def test_demo_reconstructs_scores_and_says_where(
    lrhdr: Run, write_clip: Write, tiny_weights: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(count=6)
    (clip / "truth").mkdir()
    for i in (1, 2, 4):
        write_exr(clip / "truth" / f"{i:03d}.exr", scene(18, 32).astype(np.float32))
    monkeypatch.setattr("lrhdr.demo.CLIP", clip)
    for _ in range(2):  # a second time, into the same folder
        result = lrhdr("demo", "-o", tmp_path / "demo", "--weights", tiny_weights(), "--threads", 1)
        assert result.status == 0, result.err
    assert names(tmp_path / "demo") == ["frames", "preview.mp4", "report", "sheet.png"]
    assert (tmp_path / "demo" / "report" / "index.html").is_file()
    assert len(list((tmp_path / "demo" / "frames").glob("demo.*.exr"))) == 6
    match = re.search(
        r"PSNR_T over 3 frames with ground truth: ([\d.]+) dB \(completion merge: ([\d.]+) dB\)", result.out
    )
    assert match, result.out
    assert all(20.0 < float(score) < 80.0 for score in match.groups())
    monkeypatch.setattr("lrhdr.demo.CLIP", tmp_path / "none")
    assert "not part of this installation" in lrhdr("demo", "-o", tmp_path / "demo").err


def test_no_command_shows_help(lrhdr: Run) -> None:
    result = lrhdr()
    assert result.status == 2
    assert "reconstruct" in result.out


def test_help_does_not_import_what_takes_long() -> None:
    code = (
        "import sys\n"
        "from lrhdr.cli import main\n"
        "try: main(['reconstruct', '--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "print(sorted({'torch', 'cv2', 'av', 'numpy', 'rich'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "(default: zip)" in done.stdout


def test_module_and_version() -> None:
    done = subprocess.run([sys.executable, "-m", "lrhdr", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("lrhdr ")


def test_choices_are_those_of_the_registries() -> None:
    assert (NETWORK, *BASELINES) == command_options.METHODS
    assert set(command_options.INTERPOLATORS) == set(INTERPOLATORS)
    assert set(command_options.EVALUATION_SETS) == {*SETS, BENCH}


def test_options_and_their_defaults_are_those_of_the_run() -> None:
    options = cli.build_parser().parse_args(["reconstruct", "in", "-o", "out"])
    given = {k: v for k, v in vars(options).items() if k not in ("command", "run", "input", "output")}
    assert given == {f.name: f.default for f in fields(RunOptions)}


def test_options_and_their_defaults_are_those_of_the_evaluation() -> None:
    options = vars(cli.build_parser().parse_args(["evaluate", "--data", "d"]))
    defaults = {k: p.default for k, p in inspect.signature(score).parameters.items()}
    for name in defaults.keys() - {"dataset", "data", "output", "progress", "say"}:
        assert options[name] == defaults[name], name


def test_evaluate_writes_tables_and_numbers(lrhdr: Run, tiny_weights: Write, tmp_path: Path) -> None:
    stills = tmp_path / "data" / "hdr_val"
    stills.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(2):
        blocks = 2.0 ** rng.uniform(-6, 3, (32, 64, 3))
        write_exr(stills / f"pano_{i}.exr", blocks.repeat(8, 0).repeat(8, 1).astype(np.float32))
    out = tmp_path / "e"
    common = ("evaluate", "--data", tmp_path / "data", "-o", out, "--threads", 1)
    result = lrhdr(
        *common, "--weights", tiny_weights(), "--methods", "lrhdr", "completion", "--stops", "3", "--frames", 3
    )
    assert result.status == 0, result.err
    assert "random-2" in result.out
    assert "| completion |" in (out / "evaluation.md").read_text()
    written = json.loads((out / "evaluation.json").read_text())
    assert written["settings"]["interpolator"] == "average"  # the one that these weights name
    assert list(written["settings"]["weights"]) == ["random-2"]
    assert {row["method"] for row in written["means"]} >= {"random-2", "completion", "oracle"}
    assert "expected a folder" in lrhdr(*common, "--sets", "video").err
    assert "expected 3 (for 0 and 3 EV)" in lrhdr(*common, "--stops", "x").err
    assert "found none" in lrhdr("evaluate", "--data", tmp_path).err


def test_the_run_record_is_readable(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    assert lrhdr("reconstruct", write_clip(), "-o", tmp_path / "o", "--method", "merge").status == 0
    record = json.loads((tmp_path / "o" / "clip.lrhdr.json").read_text())
    assert record["method"] == "merge"
    assert record["exposures"] == [1.0, 8.0]
    assert record["size"] == [18, 32]


def test_synthesize_train_reconstruct(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    stills = tmp_path / "stills"
    stills.mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        blocks = 2.0 ** rng.uniform(-6, 3, (32, 64, 3))
        write_exr(stills / f"pano_{i}.exr", blocks.repeat(8, 0).repeat(8, 1).astype(np.float32))
    made = lrhdr("synthesize", "--hdr-dir", stills, "--out-dir", tmp_path / "cache", "--count", 4, "--size", 64)
    assert made.status == 0, made.err
    config = tmp_path / "run.toml"
    config.write_text(
        f'data = "{tmp_path}/cache"\noutput = "{tmp_path}/run"\nname = "tiny"\n'
        "steps = 2\nbatch = 1\ncrop = 32\nvalidation = 1\nvalidate_every = 2\nlog_every = 1\n"
    )
    trained = lrhdr("train", config)
    assert trained.status == 0, trained.err
    weights = Path(trained.out.splitlines()[-1])
    assert weights == tmp_path / "run" / "tiny.safetensors"
    result = lrhdr("reconstruct", write_clip(), "-o", tmp_path / "o", "--weights", weights, "--threads", 1)
    assert result.status == 0, result.err
    assert lrhdr("train", tmp_path / "none.toml").err.count("\n") == 1


def test_footage_from_a_lossy_codec_gets_the_weights_for_it(lrhdr: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for suffix, name in ((".png", "compact-2exp"), (".jpg", "compact-2exp-recorded")):
        folder = tmp_path / name
        folder.mkdir()
        for i in range(3):
            cv2.imwrite(str(folder / f"f_{i}{suffix}"), rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        cheap = ("--stops", "0,3", "--no-inspect", "--frames", "0:1", "--interpolator", "average", "--threads", 1)
        result = lrhdr("reconstruct", folder, "-o", tmp_path / "out" / name, *cheap)
        assert result.status == 0, result.err
        (frame,) = (tmp_path / "out" / name).glob("*.exr")
        assert read_exr_header(frame)["lrhdr:weights"] == name
        assert ("weights compact-2exp-recorded: the input's codec may have lost detail" in result.err) == (
            suffix == ".jpg"
        )
        own = lrhdr("reconstruct", folder, "-o", tmp_path / "own" / name, *cheap, "--weights", "compact-2exp")
        assert own.status == 0, own.err
        assert "codec" not in own.err


@pytest.mark.parametrize("curve", [(), ("--crf", "slog3")])
def test_frames_taken_out_of_a_video_get_the_weights_for_it(lrhdr: Run, tmp_path: Path, curve: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "clip").mkdir()
    for i in range(3):
        y, *chroma = (
            cv2.resize(rng.integers(90, 140, size, dtype=np.uint8), (64, 48), interpolation=cv2.INTER_NEAREST)
            for size in ((48, 64), (24, 32), (24, 32))
        )
        cv2.imwrite(str(tmp_path / "clip" / f"{i}.png"), cv2.cvtColor(cv2.merge((y, *chroma)), cv2.COLOR_YCrCb2BGR))
    cheap = ("--stops", "0,3", "--no-inspect", "--frames", "0:1", "--interpolator", "average", "--threads", 1)
    result = lrhdr("reconstruct", tmp_path / "clip", "-o", tmp_path / "out", *cheap, *curve)
    assert result.status == 0, result.err
    assert "weights compact-2exp-recorded: the input's colour has half the resolution" in result.err
    (frame,) = (tmp_path / "out").glob("*.exr")
    assert read_exr_header(frame)["lrhdr:weights"] == "compact-2exp-recorded"
    seen = lrhdr("inspect", tmp_path / "clip", *curve)
    assert "codec: the input's colour has half the resolution" in seen.out
    assert json.loads(lrhdr("inspect", tmp_path / "clip", *curve, "--json").out)["recorded"] is True
