"""Nothing that a command writes may lie over what it reads, or be taken for another clip's."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import Outcome, expose, scene

from lrhdr.io.images import read_exr, read_exr_header, write_exr, write_png
from lrhdr.io.video_writer import VideoWriter

Run = Callable[..., Outcome]
Write = Callable[..., Path]
CHEAP = ("--method", "merge", "--threads", "1")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
def test_frames_are_not_written_among_the_inputs_frames(lrhdr: Run, tmp_path: Path, overwrite: tuple[str, ...]) -> None:
    folder = tmp_path / "shot"
    folder.mkdir()
    for i in range(4):
        radiance = (scene(16, 24) * 8.0 ** (i % 2)).clip(0.0, 1.0).astype(np.float32)
        write_exr(folder / f"shot.{i:06d}.exr", radiance)
    before = contents(folder)
    pattern = folder / "shot.%06d.exr"
    result = lrhdr("reconstruct", pattern, "-o", folder, "--stops", "0,3", *CHEAP, *overwrite)
    assert result.status == 2
    assert "is the folder of the input's frames; expected another place" in result.err
    batch = lrhdr("batch", tmp_path, "-o", tmp_path, "--stops", "0,3", "--workers", "1", *CHEAP, *overwrite)
    assert batch.status == 2
    assert "is the input; expected another place" in batch.out + batch.err
    assert contents(folder) == before


@pytest.mark.parametrize("option", ["--sheet", "--sidecar"])
def test_no_option_writes_over_a_frame(lrhdr: Run, write_clip: Write, tmp_path: Path, option: str) -> None:
    clip = write_clip()
    before = contents(clip)
    frame = clip / "frame_000.png"
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", option, frame, *CHEAP)
    assert result.status == 2
    assert "is a file of the input; expected another place" in result.err
    new = lrhdr("reconstruct", clip, "-o", tmp_path / "o", option, clip / "new.png", *CHEAP)
    assert (new.status, "would be a frame of the input" in new.err) == (2, True)
    assert contents(clip) == before


def test_frames_that_are_links_are_safe_where_they_lie(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    store = write_clip(name="store")
    links = tmp_path / "links"
    links.mkdir()
    for path in store.glob("*.png"):
        (links / path.name).symlink_to(path)
    before = contents(store)
    result = lrhdr("reconstruct", links, "-o", store, "--stops", "0,3", "--overwrite", *CHEAP)
    assert (result.status, "is the folder of the input's frames" in result.err) == (2, True)
    assert contents(store) == before


def test_inspect_and_calibrate_do_not_write_over_what_they_read(lrhdr: Run, write_clip: Write) -> None:
    clip = write_clip(count=8)
    before = contents(clip)
    assert lrhdr("inspect", clip, "--sidecar", clip / "frame_003.png").status == 2
    assert lrhdr("calibrate", clip, "-o", clip / "curve.json", "--stops=" + ",".join("01234567")).status == 2
    assert contents(clip) == before


def test_a_sheet_is_png(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    result = lrhdr("reconstruct", write_clip(), "-o", tmp_path / "o", "--sheet", tmp_path / "s.jpg", *CHEAP)
    assert (result.status, "sheet: expected a .png file" in result.err) == (2, True)


def test_an_interpolated_frame_is_not_written_over_its_inputs(lrhdr: Run, write_clip: Write) -> None:
    clip = write_clip()
    first, second = clip / "frame_000.png", clip / "frame_002.png"
    result = lrhdr("interpolate", first, second, "-o", first, "--interpolator", "average")
    assert (result.status, "is an input; expected another place" in result.err) == (2, True)


def test_a_record_of_another_clip_is_not_believed(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    """Frames were thrown away, the record stayed: its exposures are those of the clip before."""
    out = tmp_path / "o"
    for name, exposures in (("one", (1.0, 8.0)), ("two", (2.0, 1.0))):
        (tmp_path / name).mkdir()
        clip = write_clip(name=f"{name}/shot", count=8, exposures=exposures, stops_file=False, size=(24, 40))
        result = lrhdr("reconstruct", clip, "-o", out, *CHEAP)
        assert result.status == 0, result.err
        found = {round(float(read_exr_header(p)["lrhdr:exposure"]), 1) for p in out.glob("*.exr")}
        assert found == set(exposures)
        for path in out.glob("*.exr"):
            path.unlink()


def test_a_run_that_did_not_look_leaves_no_knowledge(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip, sidecar = write_clip(count=8, stops_file=False, size=(24, 40)), tmp_path / "s.json"
    common = ("reconstruct", clip, "-o", tmp_path / "o", *CHEAP, "--sidecar", sidecar)
    assert lrhdr(*common, "--no-inspect", "--stops", "0,3", "--frames", "0:2").status == 0
    assert not sidecar.exists()
    result = lrhdr(*common)
    assert result.status == 2  # the folder's frames have other settings
    assert "exposures unknown" not in result.err
    assert lrhdr(*common, "--overwrite").status == 0
    assert json.loads(sidecar.read_text())["exposures"] == pytest.approx([1.0, 8.0], rel=0.02)
    blind = lrhdr("reconstruct", clip, "-o", tmp_path / "p", "--no-inspect", *CHEAP)
    assert "exposures unknown, and nobody looked at the pixels" in blind.err


def test_start_says_nothing_to_exposures_of_a_sidecar(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip, sidecar = write_clip(count=8, stops_file=False, size=(24, 40)), tmp_path / "s.json"
    assert lrhdr("inspect", clip, "--sidecar", sidecar).status == 0
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", "--sidecar", sidecar, "--start", "1", *CHEAP)
    assert result.status == 2
    assert "expected --exposures or --stops with --start 1" in result.err


def test_every_clip_of_a_batch_has_its_own_sidecar(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for name, exposures in (("a", (1.0, 8.0)), ("b", (1.0, 2.0))):
        write_clip(name=f"clips/{name}", count=8, exposures=exposures, stops_file=False, size=(24, 40))
    common = ("batch", tmp_path / "clips", "-o", tmp_path / "o", "--workers", "1", *CHEAP)
    result = lrhdr(*common, "--sidecar", tmp_path / "s.json")
    assert result.status == 2
    assert "s.json: asked for by" in result.err
    result = lrhdr(*common, "--sidecar", tmp_path / "s_{name}.json")
    assert result.status == 0, result.err
    for name, longest in (("a", 8.0), ("b", 2.0)):
        assert json.loads((tmp_path / f"s_{name}.json").read_text())["exposures"][1] == pytest.approx(longest, rel=0.02)
    gpus = lrhdr(*common, "--task-gpus", "1")
    assert (gpus.status, "task gpus: expected --engine ray" in gpus.err) == (2, True)
    named = lrhdr(*common, "--name", "x")
    assert (named.status, "expected the key 'name' in a manifest" in named.err) == (2, True)


def test_reports_and_videos_are_of_one_clip(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    out = tmp_path / "o"
    for name in ("one", "two"):
        assert lrhdr("reconstruct", write_clip(name=name), "-o", out, "--report", *CHEAP).status == 0
    assert "one" in (out / "report" / "index.html").read_text(encoding="utf-8")
    assert (out / "report-two" / "index.html").is_file()
    again = lrhdr("reconstruct", tmp_path / "one", "-o", out, "--report", *CHEAP)
    assert str(out / "report" / "index.html") in again.out
    result = lrhdr("encode", out, "--hlg", tmp_path / "v.mp4", "--codec", "av1")
    assert result.status == 2
    assert "found frames of 2 clips (one.* and two.*), expected one (a pattern such as" in result.err
    with_pattern = lrhdr("encode", out / "one.%06d.exr", "--hlg", tmp_path / "v.mp4", "--codec", "av1")
    assert with_pattern.status == 0, with_pattern.err


def test_exposures_that_are_typed_need_no_file(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip(count=8)
    (clip / "Exposures.txt").write_text("1/1000 1/125")
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP)
    assert (result.status, "Exposures.txt" in result.err) == (2, True)
    assert lrhdr("reconstruct", clip, "-o", tmp_path / "o", "--stops", "0,3", *CHEAP).status == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--look", "nowhere.cube"), "look: expected --preview"),
        (("--peak-luminance", "1000"), "peak luminance: expected --hdr10"),
        (("--codec", "av1"), "codec: expected --hdr10 or --hlg"),
        (("--encoder-crf", "20"), "encoder crf: expected --hdr10 or --hlg"),
        (("--weights", "nowhere.safetensors"), "weights: expected the network with --weights"),
    ],
)
def test_options_that_would_do_nothing(
    lrhdr: Run, write_clip: Write, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    if options[0] != "--weights":
        made = (
            "--hlg" if options[0] == "--look" or options[0] == "--peak-luminance" else "--preview",
            tmp_path / "v.mp4",
        )
        encode = lrhdr("encode", tmp_path / "none", *made, *options)
        assert (encode.status, message in encode.err) == (2, True), encode.err
    result = lrhdr("reconstruct", write_clip(), "-o", tmp_path / "o", *CHEAP, *options)
    assert (result.status, message in result.err) == (2, True), result.err


def without_frame(folder: Path, dropped: int, count: int, period: int) -> Path:
    """A still clip of which one frame is missing, numbered without a gap."""
    folder.mkdir()
    exposures = [4.0 ** (i % period) for i in range(count) if i != dropped]
    for i, exposure in enumerate(exposures):
        write_png(folder / f"{i:03d}.png", expose(scene(24, 40), exposure))
    return folder


def test_a_short_rest_after_a_break_can_be_left_out(lrhdr: Run, tmp_path: Path) -> None:
    clip = without_frame(tmp_path / "clip", 17, 20, 3)
    common = ("reconstruct", clip, *CHEAP)
    result = lrhdr(*common, "-o", tmp_path / "all")
    assert result.status == 0, result.err
    assert "warning: frames 17 to 18 left out: the alternation breaks beside it" in result.err
    assert len(list((tmp_path / "all").glob("*.exr"))) == 17
    result = lrhdr("batch", clip, "-o", tmp_path / "batch", *CHEAP, "--workers", 1)
    assert result.status == 2
    assert "frames 17 to 18 at an end of the clip, beside a break" in result.err
    result = lrhdr(*common, "-o", tmp_path / "end", "--frames", "17:")
    assert result.status == 2
    assert "leave them out with --frames" in result.err
    result = lrhdr(*common, "-o", tmp_path / "o", "--frames", "0:17")
    assert result.status == 0, result.err
    assert len(list((tmp_path / "o").glob("*.exr"))) == 17


def test_a_frame_before_a_dropped_one_is_left_out(lrhdr: Run, tmp_path: Path) -> None:
    clip = without_frame(tmp_path / "clip", 1, 14, 2)
    for stops in ((), ("--stops", "0,2")):
        out = tmp_path / f"o{len(stops)}"
        result = lrhdr(
            "reconstruct", clip, "-o", out, *CHEAP, *stops, "--method", "reference", "--preview", out / "p.mp4"
        )
        assert result.status == 0, result.err
        assert "warning: frame 0 left out: the alternation breaks beside it" in result.err
        assert sorted(p.name for p in out.glob("*.exr")) == [f"clip.{i:06d}.exr" for i in range(1, 13)]
        short = [read_exr(out / f"clip.{i:06d}.exr") for i in (1, 3, 5)]
        assert all(float(np.abs(x - scene(24, 40)).max()) < 0.02 for x in short)


def test_two_dropped_frames_of_three_exposures_are_two(lrhdr: Run, tmp_path: Path) -> None:
    """A still scene does not tell them from a repeated one; time stamps do, and say how many."""
    path, kept = tmp_path / "shot.mkv", [i for i in range(20) if i not in (9, 10)]
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt, video.options = 24, 40, "yuv444p", {"crf": "4"}
        for i in kept:
            codes = expose(scene(24, 40), 4.0 ** (i % 3))
            frame = av.VideoFrame.from_ndarray(codes, format="rgb24").reformat(format="yuv444p")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    result = lrhdr("reconstruct", path, "-o", tmp_path / "o", *CHEAP)
    assert result.status == 0, result.err
    assert "2 frames dropped before frame 9" in result.err
    files = sorted((tmp_path / "o").glob("*.exr"))
    found = [float(read_exr_header(p)["lrhdr:exposure"]) for p in files]
    assert found == pytest.approx([4.0 ** (i % 3) for i in kept], rel=0.05)
    for file in files:
        np.testing.assert_allclose(read_exr(file), scene(24, 40), atol=0.03)


def test_a_sidecar_that_a_person_wrote_is_believed(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip, sidecar = write_clip(count=8, stops_file=False, size=(24, 40)), tmp_path / "s.json"
    assert lrhdr("inspect", clip, "--sidecar", sidecar).status == 0
    record = json.loads(sidecar.read_text()) | {"black": 0.06, "exposures": [1.0, 6.0], "reason": "not inspected"}
    sidecar.write_text(json.dumps(record))
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", "--sidecar", sidecar, *CHEAP)
    assert result.status == 0, result.err
    written = json.loads((tmp_path / "o" / "clip.lrhdr.json").read_text())
    assert (written["exposures"], written["clip"]["black"]) == ([1.0, 6.0], 0.06)


def test_a_batch_into_its_own_folder_goes_on(lrhdr: Run, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    with VideoWriter(folder / "v.mp4", 25, (24, 40), crf=4) as writer:
        for i in range(6):
            writer.write(expose(scene(24, 40), 8.0 ** (i % 2)))
    common = ("batch", folder, "-o", folder, "--workers", "1", "--stops", "0,3", *CHEAP)
    first = lrhdr(*common)
    assert first.status == 0, first.out + first.err
    again = lrhdr(*common)
    assert again.status == 0, again.out + again.err
    assert "computed 0 frames now" in again.out


def test_a_data_set_is_not_passed_over_for_the_bench(lrhdr: Run, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    result = lrhdr("evaluate", tmp_path / "set", "--sets", "bench", "-o", tmp_path / "o")
    assert (result.status, "found both" in result.err) == (2, True), result.err


def test_five_frames_of_three_exposures_are_too_few_to_tell(lrhdr: Run, tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    for i in range(5):
        write_png(clip / f"{i:03d}.png", expose(scene(24, 40), 4.0 ** (i % 3)))
    assert "too few frames" in lrhdr("inspect", clip).out
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", "--stops", "0,2,4", *CHEAP)
    assert (result.status, "do not alternate" in result.err) == (0, False), result.err
