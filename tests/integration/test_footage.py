"""A person's own footage on the command line: inspect, calibrate, response curves, sidecars, exposures by pixels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import Outcome, expose, scene

from lrhdr.io.images import read_exr, write_png
from lrhdr.io.video import VideoReader
from lrhdr.io.video_writer import VideoWriter

Run = Callable[..., Outcome]
Write = Callable[..., Path]
CHEAP = ("--method", "completion", "--threads", "1")


def write_frames(folder: Path, exposures: list[float], drop: int | None = None) -> Path:
    """A still scene at these exposures, in natural order; with a frame left out and the rest numbered anew."""
    folder.mkdir()
    radiance = scene(24, 40)
    kept = [e for i, e in enumerate(exposures) if i != drop]
    for index, exposure in enumerate(kept):
        write_png(folder / f"{index:03d}.png", expose(radiance, exposure))
    return folder


def notes(result: Outcome) -> list[str]:
    return [line for line in result.err.splitlines() if line.startswith("lrhdr: ")]


def test_inspect_says_what_a_folder_is(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    result = lrhdr("inspect", write_clip(count=8, stops_file=False))
    assert result.status == 0, result.err
    assert "clip: 8 frames of 32 x 18 pixels, frame rate unknown" in result.out
    assert "alternation: period 2 (100% of 7 steps between frames fit)" in result.out
    assert "exposures: 1, 8.0" in result.out
    assert "frame 0 is the shortest one" in result.out
    told = lrhdr("inspect", tmp_path / "clip", "--json")
    record = json.loads(told.out)
    assert (record["period"], record["certain"], record["brightest_phase"]) == (2, True, 1)
    assert record["ratio"] == pytest.approx(8.0, rel=0.02)
    assert (record["width"], record["height"], record["bits"], record["transfer"]) == (32, 18, 8, "unspecified")
    assert (record["black"], record["saturation"], record["tags"]) == (0.0, 1.0, None)


def test_inspect_compares_the_tags_with_the_pixels(lrhdr: Run, write_clip: Write) -> None:
    clip = write_clip(count=8)
    assert "tags: 0, 3 EV; the pixels agree" in lrhdr("inspect", clip).out
    (clip / "Exposures.txt").write_text("0 2")
    assert "tags: 0, 2 EV; 1, 4 stated, but 1, 8 in the pixels" in lrhdr("inspect", clip).out
    (clip / "Exposures.txt").write_text("3 0")
    assert "(--start?)" in lrhdr("inspect", clip).out
    (clip / "Exposures.txt").write_text("0 2 4")
    assert json.loads(lrhdr("inspect", clip, "--json").out)["tags"]["contradiction"].startswith("1, 4, 16 stated")


def test_inspect_of_a_video_and_of_one_that_does_not_alternate(lrhdr: Run, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "v.mp4", 25, (32, 48), crf=0) as writer:
        for _ in range(6):
            writer.write(expose(scene(32, 48), 4.0))
    result = lrhdr("inspect", tmp_path / "v.mp4")
    assert result.status == 0, result.err
    assert "v: 6 frames of 48 x 32 pixels, 25 per second" in result.out
    assert "limited range" in result.out
    assert "alternation: none (100% of 5 steps between frames keep the exposure)" in result.out
    assert json.loads(lrhdr("inspect", tmp_path / "v.mp4", "--json").out)["period"] == "none"
    refused = lrhdr("reconstruct", tmp_path / "v.mp4", "-o", tmp_path / "o", *CHEAP)
    assert refused.status == 2
    assert "exposures unknown, and the frames do not alternate (100% of 5 steps" in refused.err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("exposures", [(1.0, 8.0), (8.0, 1.0), (4.0, 16.0, 1.0)])
def test_reconstruct_finds_the_exposures_itself(
    lrhdr: Run, write_clip: Write, tmp_path: Path, exposures: tuple[float, ...]
) -> None:
    clip = write_clip(count=8, exposures=exposures, stops_file=False, bits=16)
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP)
    assert result.status == 0, result.err
    assert len(notes(result)) == 1
    assert notes(result)[0].startswith("lrhdr: exposures, from the pixels: ")
    for path in sorted((tmp_path / "o").glob("*.exr")):
        np.testing.assert_allclose(read_exr(path), scene(18, 32), atol=0.02)
    # What was found is read back: the second run goes on with it, and says nothing.
    (tmp_path / "o" / "clip.000003.exr").unlink()
    again = lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP)
    assert again.status == 0, again.err
    assert "kept 7 from an earlier run" in again.out
    assert notes(again) == []


def test_wrong_exposures_are_a_warning(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip(count=6, stops_file=False)
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "a", "--stops", "0,2", *CHEAP)
    assert result.status == 0
    assert notes(result) == [f"lrhdr: warning: {clip}: exposures 1, 4 stated, but 1, 8 in the pixels"]
    swapped = lrhdr("reconstruct", clip, "-o", tmp_path / "b", "--stops", "3,0", *CHEAP)
    assert "(--start?)" in notes(swapped)[0]
    close = lrhdr("reconstruct", clip, "-o", tmp_path / "c", "--exposures", "1/1000,1/130", *CHEAP)
    assert notes(close) == []  # 4 % off
    unseen = lrhdr("reconstruct", clip, "-o", tmp_path / "d", "--stops", "0,2", "--no-inspect", *CHEAP)
    assert notes(unseen) == []


def test_exposures_that_the_pixels_do_not_confirm_are_a_warning(lrhdr: Run, tmp_path: Path) -> None:
    exposures = [(1.0, 4.0, 16.0)[i % 3] for i in range(14) if i not in (4, 9)]  # two lost frames
    clip = write_frames(tmp_path / "clip", exposures)
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "a", "--stops", "0,2,4", *CHEAP)
    assert result.status == 0
    assert any("the pixels do not confirm the exposures: a period of 3 fits only" in note for note in notes(result))
    few = write_frames(tmp_path / "few", exposures[:3])
    assert notes(lrhdr("reconstruct", few, "-o", tmp_path / "b", "--stops", "0,2,4", *CHEAP)) == []


def test_start_belongs_to_exposures_that_are_typed(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    result = lrhdr("reconstruct", write_clip(count=6, stops_file=False), "-o", tmp_path / "o", "--start", "long")
    assert result.status == 2
    assert "expected --exposures or --stops with --start long" in result.err


def test_a_dropped_frame_makes_two_parts(lrhdr: Run, tmp_path: Path) -> None:
    clip = write_frames(tmp_path / "clip", [1.0, 8.0] * 7, drop=6)
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP)
    assert result.status == 0, result.err
    assert any("the alternation breaks (a frame dropped before frame 6, or repeated by it)" in n for n in notes(result))
    frames = sorted((tmp_path / "o").glob("*.exr"))
    assert len(frames) == 13
    for path in frames:  # with one phase for all, every frame after the break would be off by 8
        np.testing.assert_allclose(read_exr(path), scene(24, 40), atol=0.03)
    assert "break: a frame dropped before frame 6" in lrhdr("inspect", clip).out


def test_parts_may_be_done_apart(lrhdr: Run, tmp_path: Path) -> None:
    clip = write_frames(tmp_path / "clip", [1.0, 8.0] * 7, drop=6)
    assert lrhdr("reconstruct", clip, "-o", tmp_path / "all", *CHEAP).status == 0
    for part in ("4:9", "9:", ":4"):
        assert lrhdr("reconstruct", clip, "-o", tmp_path / "apart", "--frames", part, *CHEAP).status == 0
    for path in sorted((tmp_path / "all").iterdir()):
        assert (tmp_path / "apart" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_sidecar_is_written_once_and_read_back(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip, sidecar = write_clip(count=8, stops_file=False), tmp_path / "notes" / "clip.lrhdr.json"
    assert lrhdr("inspect", clip, "--sidecar", sidecar).status == 0
    record = json.loads(sidecar.read_text())
    assert (record["format"], record["version"], record["curve"]) == ("lrhdr-clip", 1, "gamma2.2")
    record["exposures"] = [1.0, 7.5]  # a person knows better
    sidecar.write_text(json.dumps(record))
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", "--sidecar", sidecar, *CHEAP)
    assert result.status == 0, result.err
    run = json.loads((tmp_path / "o" / "clip.lrhdr.json").read_text())
    assert run["exposures"] == [1.0, 7.5]
    assert run["clip"] == record
    fresh = tmp_path / "new.json"
    assert lrhdr("reconstruct", clip, "-o", tmp_path / "p", "--sidecar", fresh, *CHEAP).status == 0
    assert json.loads(fresh.read_text()) == json.loads((tmp_path / "p" / "clip.lrhdr.json").read_text())["clip"]


def test_sidecars_that_do_not_fit(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip, sidecar = write_clip(count=8), tmp_path / "s.json"
    sidecar.write_text("{")
    assert (
        "s.json: cannot be read as a sidecar"
        in lrhdr("reconstruct", clip, "-o", tmp_path / "o", "--sidecar", sidecar).err
    )
    other = write_clip(name="other", count=6)
    assert lrhdr("inspect", other, "--sidecar", sidecar).status == 0
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", "--sidecar", sidecar, *CHEAP)
    assert result.status == 2
    assert "is the sidecar of another clip (6 frames of 32x18), expected 8 frames of 32x18" in result.err
    assert not (tmp_path / "o").exists()


def test_linear_frames_by_name_of_their_curve(lrhdr: Run, tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    for index in range(8):
        light = (scene(24, 40) * (1.0, 8.0)[index % 2]).clip(0.0, 1.0)
        write_png(clip / f"{index}.png", np.rint(65535 * light).astype(np.uint16))
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", "--crf", "linear", *CHEAP)
    assert result.status == 0, result.err
    assert "1, 8.00 ± 0.01" in notes(result)[0]
    for path in sorted((tmp_path / "o").glob("*.exr")):
        np.testing.assert_allclose(read_exr(path), scene(24, 40), atol=0.02)
    assert "light looked up with linear" in lrhdr("inspect", clip, "--crf", "linear").out
    other = lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP)  # another curve is another result
    assert other.status == 2
    assert lrhdr("inspect", clip, "--crf", "gamma").err.startswith("lrhdr: error: response curve: expected one of")


def test_a_curve_has_nothing_to_say_about_linear_images(lrhdr: Run, tmp_path: Path) -> None:
    from lrhdr.io.images import write_exr

    for index in range(4):
        write_exr(tmp_path / f"{index}.exr", scene(16, 16).astype(np.float32).clip(0, 1))
    assert "holds linear light" in lrhdr("inspect", tmp_path, "--crf", "srgb").err
    assert "transfer: linear" in lrhdr("inspect", tmp_path).out


def test_a_wrong_curve_is_doubted(lrhdr: Run, write_clip: Write) -> None:
    clip = write_clip(count=8, size=(48, 64), exposures=(1.0, 4.0), stops_file=False, bits=16)
    assert "probably not the camera's response" in lrhdr("inspect", clip, "--crf", "bt709").out
    assert "probably not" not in lrhdr("inspect", clip).out


def test_calibrate_and_use_the_curve(lrhdr: Run, tmp_path: Path) -> None:
    y, x = np.mgrid[:60, :80]
    radiance = np.repeat(2.0 ** (-7 * (0.5 + 0.5 * np.sin(x / 13.0) * np.cos(y / 9.0)))[..., None], 3, axis=2)

    def camera(exposure: float) -> np.ndarray:
        light = (radiance * exposure).clip(0.0, 1.0)
        return np.rint(65535 * (0.9 * light ** (1 / 2.4) + 0.1 * light)).astype(np.uint16)

    bracket, clip = tmp_path / "bracket", tmp_path / "clip"
    bracket.mkdir()
    clip.mkdir()
    for index, stops in enumerate((-5, -3, -1, 1, 3)):
        write_png(bracket / f"{index}.png", camera(2.0**stops))
    for index in range(6):
        write_png(clip / f"{index}.png", camera((0.5, 4.0)[index % 2]))
    result = lrhdr("calibrate", bracket, "-o", tmp_path / "out" / "crf.json", "--stops=-5,-3,-1,1,3")
    assert result.status == 0, result.err
    assert "residual" in result.out
    assert (tmp_path / "out" / "crf.png").is_file()
    told = lrhdr("inspect", clip, "--crf", tmp_path / "out" / "crf.json", "--json")
    assert json.loads(told.out)["ratio"] == pytest.approx(8.0, rel=0.03)
    run = lrhdr("reconstruct", clip, "-o", tmp_path / "o", "--crf", tmp_path / "out" / "crf.json", *CHEAP)
    assert run.status == 0, run.err
    middle = read_exr(tmp_path / "o" / "clip.000002.exr")[..., 1]
    assert np.median(np.abs(middle / (0.5 * radiance[..., 1]) - 1.0)) < 0.05


def test_calibrate_refuses_what_it_cannot_use(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip(count=3, stops_file=False)
    out = ("-o", tmp_path / "crf.json")
    assert "found no exposure times in the images" in lrhdr("calibrate", clip, *out).err
    assert "3 frames and 2 exposures" in lrhdr("calibrate", clip, *out, "--exposures", "1,8").err
    assert "found both" in lrhdr("calibrate", clip, *out, "--exposures", "1,8,1", "--stops", "0,3,0").err
    with VideoWriter(tmp_path / "v.mp4", 25, (16, 16)) as writer:
        writer.write(np.zeros((16, 16, 3), np.uint8))
    assert "found a video" in lrhdr("calibrate", tmp_path / "v.mp4", *out).err
    assert not (tmp_path / "crf.json").exists()
    stops = ("--stops", "0,1,2")
    assert "expected a name ending in .json" in lrhdr("calibrate", clip, "-o", tmp_path / "crf", *stops).err
    before = (clip / "frame_000.png").read_bytes()
    result = lrhdr("calibrate", clip, "-o", clip / "frame_000.json", *stops)
    assert "frame_000.png is a file of the input" in result.err
    assert (clip / "frame_000.png").read_bytes() == before


def test_log_video_uses_the_codes_above_nominal_white(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "v.mp4", 25, (16, 16), crf=0) as writer:
        writer.write(np.full((16, 16, 3), 255, np.uint8))
    as_video, as_data = (next(iter(VideoReader(tmp_path / "v.mp4", data_levels=d))) for d in (False, True))
    assert as_video.max() > 0.9999
    np.testing.assert_allclose(as_data, 235 / 255, atol=0.005)
