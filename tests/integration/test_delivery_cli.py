"""From a camera's file to deliveries, as a user types it: HDR10 with sound, EXR headers, layers, what is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenEXR
import pytest
import torch
from clips import Outcome, expose, scene

from lrhdr import cli
from lrhdr.colour import CHROMATICITIES, COLORSPACES, convert_primaries
from lrhdr.commands import options as command_options
from lrhdr.encode_runs import EncodeOptions
from lrhdr.io.images import read_exr, read_exr_header, read_hdr, write_exr, write_png
from lrhdr.io.video import VideoReader
from lrhdr.stills import StillOptions
from lrhdr.transfer import eotf_pq

Run = Callable[..., Outcome]
Write = Callable[..., Path]
CHEAP = ("--method", "completion", "--threads", "1")
SIZE = (48, 64)


def camera_file(
    path: Path, count: int = 7, rate: Fraction = Fraction(24000, 1001), primaries: int = 1, gaps: bool = False
) -> Path:
    """An alternating-exposure (0, 3 stops) H.264 video with AAC sound."""
    radiance = scene(*SIZE)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=rate)
        video.height, video.width, video.pix_fmt, video.options = *SIZE, "yuv444p", {"crf": "4"}
        video.metadata["timecode"] = "01:02:03:04"
        video.codec_context.color_primaries = primaries
        video.codec_context.time_base = 1 / (2 * rate)
        audio: Any = container.add_stream("aac", rate=48000)
        audio.layout = "mono"
        for i in range(count):
            codes = expose(radiance, 8.0 ** (i % 2))
            frame: Any = av.VideoFrame.from_ndarray(codes, format="rgb24").reformat(format="yuv444p")
            frame.pts, frame.time_base = 2 * i + (i // 3 if gaps else 0), 1 / (2 * rate)
            frame.color_primaries = primaries
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        wave = (0.3 * np.sin(np.arange(1024) / 9)).astype(np.float32)
        for k in range(12):
            sound: Any = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 48000, 1024 * k
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    return path


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        found = [p for p in container.demux(stream) if p.size]
        return [(Fraction(p.pts or 0) * Fraction(p.time_base or 0), bytes(p)) for p in found]


def frame_times(path: Path) -> tuple[Fraction, ...] | None:
    return VideoReader(path).frame_times()


@pytest.mark.parametrize(("codec", "gaps"), [("hevc", False), ("av1", True)])
def test_one_command_from_a_camera_file_to_hdr10_with_sound(lrhdr: Run, tmp_path: Path, codec: str, gaps: bool) -> None:
    source, out = camera_file(tmp_path / "shot.mov", gaps=gaps), tmp_path / "shot.mp4"
    common = ("reconstruct", source, "-o", tmp_path / "hdr", "--stops", "0,3", *CHEAP)
    result = lrhdr(*common, "--hdr10", out, "--codec", codec, "--encoder-crf", "4")
    assert result.status == 0, result.err
    reader = VideoReader(out)
    assert (reader.transfer, reader.primaries, reader.bits, reader.size) == ("pq", "bt2020", 10, SIZE)
    frames = list(reader)
    assert len(frames) == 7
    assert frame_times(out) == frame_times(source)
    assert packets(out, "audio") == packets(source, "audio")
    # White of the long exposure (radiance 1/8) is reference white, 203 cd/m².
    light = eotf_pq(torch.from_numpy(frames[3]).double().permute(2, 0, 1))
    got = convert_primaries(light, "bt2020", "bt709").permute(1, 2, 0).numpy()
    expected = read_exr(tmp_path / "hdr" / "shot.000003.exr") * 8 * 203
    assert np.median(np.abs(np.log2((got + 1) / (expected + 1)))) < 0.05
    match = re.search(r"MaxCLL (\d+), MaxFALL (\d+)", result.out)
    assert match
    rec2020 = [read_light(p) for p in sorted((tmp_path / "hdr").glob("*.exr"))]
    assert float(match[1]) == pytest.approx(max(x.max() for x in rec2020), abs=1)
    assert float(match[2]) == pytest.approx(max(x.mean() for x in rec2020), abs=1)
    if shutil.which("ffprobe"):
        done = subprocess.run(
            ["ffprobe", "-v", "error", "-show_frames", "-select_streams", "v", "-of", "json", str(out)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        data = {d["side_data_type"]: d for d in json.loads(done.stdout)["frames"][0]["side_data_list"]}
        assert data["Content light level metadata"]["max_content"] == int(match[1])
        assert data["Content light level metadata"]["max_average"] == int(match[2])


def read_light(path: Path) -> np.ndarray:
    """The largest component of every pixel in cd/m², BT.2020."""
    image = torch.from_numpy(read_exr(path)).permute(2, 0, 1).double()
    return convert_primaries(image * 8 * 203, "bt709", "bt2020").amax(dim=0).numpy()


def test_hdr10_hlg_preview_and_a_part_of_the_clip(lrhdr: Run, tmp_path: Path) -> None:
    source = camera_file(tmp_path / "shot.mov")
    videos = [tmp_path / f"{name}.mp4" for name in ("hdr10", "hlg", "preview")]
    options = [x for path in videos for x in (f"--{path.stem}", path)]
    common = ("reconstruct", source, "-o", tmp_path / "hdr", "--stops", "0,3", *CHEAP, "--codec", "av1")
    result = lrhdr(*common, *options, "--frames", "2:6")
    assert result.status == 0, result.err
    times = frame_times(source)
    assert times is not None
    for path in videos:
        assert frame_times(path) == tuple(t - times[2] for t in times[2:6])
        assert 0 < len(packets(path, "audio")) < len(packets(source, "audio"))
        assert str(path) in result.out
    assert VideoReader(videos[1]).transfer == "hlg"
    # Nothing to do the second time, and nothing is done.
    before = [p.stat().st_mtime_ns for p in videos]
    again = lrhdr(*common, *options, "--frames", "2:6")
    assert "kept 4 from an earlier run" in again.out
    assert "(kept from an earlier run)" in again.out
    assert [p.stat().st_mtime_ns for p in videos] == before
    # A lost video is made again, without computing a frame.
    videos[0].unlink()
    again = lrhdr(*common, *options, "--frames", "2:6")
    assert again.status == 0, again.err
    assert "computed" not in again.out
    assert sum(1 for _ in VideoReader(videos[0])) == 4


def test_another_speed_has_no_sound_and_no_audio_means_none(lrhdr: Run, tmp_path: Path) -> None:
    source = camera_file(tmp_path / "shot.mov")
    for name, options in (("slow", ("--fps", "12")), ("mute", ("--no-audio",))):
        out = tmp_path / f"{name}.mp4"
        where = ("-o", tmp_path / name, "--hlg", out)
        result = lrhdr("reconstruct", source, *where, "--stops", "0,3", *CHEAP, "--codec", "av1", *options)
        assert result.status == 0, result.err
        with av.open(str(out)) as container:
            assert not container.streams.audio
        assert ("no sound in the videos: --fps 12" in result.err) == (name == "slow")
    where = ("-o", tmp_path / "near", "--hlg", tmp_path / "near.mp4", "--codec", "av1", "--fps", "23.976")
    assert lrhdr("reconstruct", source, *where, "--stops", "0,3", *CHEAP).status == 0
    with av.open(str(tmp_path / "near.mp4")) as container:
        assert container.streams.audio  # what people call 24000/1001
    assert read_exr_header(tmp_path / "near" / "shot.000001.exr")["framesPerSecond"] == Fraction(24000, 1001)
    encode = ("encode", tmp_path / "near", "--source", source, "--fps", "23.976", "--hlg", tmp_path / "again.mp4")
    assert lrhdr(*encode, "--codec", "av1").status == 0
    with av.open(str(tmp_path / "again.mp4")) as container:
        assert container.streams.audio
    batch = ("batch", source, "-o", tmp_path / "b", "--workers", "1", "--fps", "12", "--hlg", "{name}.mp4")
    assert "no sound in the videos: --fps 12" in "".join(lrhdr(*batch, "--codec", "av1", "--stops", "0,3", *CHEAP)[1:])
    assert frame_times(tmp_path / "slow.mp4") == tuple(Fraction(i, 12) for i in range(7))
    assert frame_times(tmp_path / "mute.mp4") == frame_times(source)


def test_uneven_times_and_sound_that_another_speed_drops_are_said(lrhdr: Run, tmp_path: Path) -> None:
    source = camera_file(tmp_path / "shot.mov", gaps=True)
    run = ("reconstruct", source, "-o", tmp_path / "o", "--stops", "0,3", *CHEAP, "--fps", "12")
    mute = lrhdr(*run, "--preview", tmp_path / "a.mp4", "--no-audio")
    assert "no frame times of the input in the videos: --fps 12" in mute.err
    encode = ("encode", tmp_path / "o", "--source", source)
    result = lrhdr(*encode, "--preview", tmp_path / "b.mp4", "--fps", "12")
    assert "no sound and no frame times of the input in the videos: --fps 12" in result.err
    assert "warning" not in lrhdr(*encode, "--preview", tmp_path / "c.mp4").err
    steady = camera_file(tmp_path / "steady.mov")
    run = ("reconstruct", steady, "-o", tmp_path / "s", "--stops", "0,3", *CHEAP, "--fps", "12", "--no-audio")
    assert "in the videos" not in lrhdr(*run, "--preview", tmp_path / "d.mp4").err


def test_a_clock_that_starts_late_gives_no_empty_lead_in(lrhdr: Run, tmp_path: Path) -> None:
    late = tmp_path / "late.mkv"
    with av.open(str(camera_file(tmp_path / "shot.mov"))) as source, av.open(str(late), "w") as sink:
        streams = {s.index: sink.add_stream_from_template(s) for s in (*source.streams.video, *source.streams.audio)}
        for packet in source.demux(*source.streams.video, *source.streams.audio):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            shift = round((10 + (packet.stream.type == "video") / 4) / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, streams[packet.stream_index]
            sink.mux(packet)
    start = packets(late, "audio")[0][0]
    times = frame_times(late)
    assert times is not None
    assert times[0] > start > 9
    assert lrhdr(
        "reconstruct", late, "-o", tmp_path / "o", "--stops", "0,3", *CHEAP, "--preview", tmp_path / "a.mkv"
    ).status == 0  # fmt: skip
    encode = ("encode", tmp_path / "o", "--source", late, "--preview")
    assert lrhdr(*encode, tmp_path / "b.mkv").status == 0
    assert lrhdr(*encode, tmp_path / "c.mkv", "--no-audio").status == 0
    for name in "ab":
        assert frame_times(tmp_path / f"{name}.mkv") == tuple(t - start for t in times)
        assert packets(tmp_path / f"{name}.mkv", "audio") == [(t - start, data) for t, data in packets(late, "audio")]
    assert frame_times(tmp_path / "c.mkv") == tuple(t - times[0] for t in times)


@pytest.mark.parametrize("colorspace", sorted(COLORSPACES))
def test_exr_headers_and_colours(lrhdr: Run, tmp_path: Path, colorspace: str) -> None:
    source = camera_file(tmp_path / "shot.mov", 3)
    common = ("reconstruct", source, "--stops", "0,3", *CHEAP, "--start-number", 1001, "--padding", 4)
    assert lrhdr(*common, "-o", tmp_path / "plain").status == 0
    result = lrhdr(*common, "-o", tmp_path / "hdr", "--colorspace", colorspace, "--scale", "scene")
    assert result.status == 0, result.err
    path = tmp_path / "hdr" / "shot.1002.exr"
    header = read_exr_header(path)
    assert OpenEXR.checkColorMetadata(header) == OpenEXR.ColorMetadataWarning.OK
    assert OpenEXR.chromaticitiesToColorInteropID(header["chromaticities"]) == header["colorInteropID"]
    assert header["whiteLuminance"] == pytest.approx(203)  # scene scale: 1.0 is the white of the long exposure
    assert header["framesPerSecond"] == Fraction(24000, 1001)
    code = header["timeCode"]
    assert (code.hours, code.minutes, code.seconds, code.frame) == (1, 2, 3, 5)
    plain = read_exr_header(tmp_path / "plain" / "shot.1002.exr")
    assert plain["whiteLuminance"] == pytest.approx(8 * 203)
    rgb = torch.from_numpy(read_exr(tmp_path / "plain" / "shot.1002.exr")).permute(2, 0, 1).double()
    expected = 8 * convert_primaries(rgb, "bt709", COLORSPACES[colorspace]).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(read_exr(path), expected, rtol=3e-3, atol=1e-5)


def test_primaries_of_the_input(lrhdr: Run, tmp_path: Path) -> None:
    """As tagged, or as given: the RGB of a clip means the colours that its primaries say."""
    plain, tagged = camera_file(tmp_path / "a.mov", 3), camera_file(tmp_path / "b.mov", 3, primaries=12)
    common = ("--stops", "0,3", *CHEAP, "--colorspace", "lin_rec2020", "--name", "x")
    assert lrhdr("reconstruct", plain, "-o", tmp_path / "a", *common).status == 0
    assert lrhdr("reconstruct", tagged, "-o", tmp_path / "b", *common).status == 0
    assert lrhdr("reconstruct", plain, "-o", tmp_path / "c", *common, "--primaries", "v-gamut").status == 0
    a, b, c = (torch.from_numpy(read_exr(tmp_path / x / "x.000001.exr")).permute(2, 0, 1).double() for x in "abc")
    rgb = convert_primaries(a, "bt2020", "bt709")  # an untagged file is BT.709; b is tagged as Display P3
    torch.testing.assert_close(b, convert_primaries(rgb, "display-p3", "bt2020"), rtol=5e-3, atol=2e-4)
    torch.testing.assert_close(c, convert_primaries(rgb, "v-gamut", "bt2020"), rtol=5e-3, atol=2e-4)
    assert (b - a).abs().max() > 0.01


def test_the_anchor_says_what_is_reference_white(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip(exposures=(1.0, 4.0, 16.0), count=3)
    for anchor, white in ((None, 4), ("middle", 4), ("long", 16), ("short", 1)):
        options = () if anchor is None else ("--anchor", anchor)
        out = tmp_path / str(anchor)
        assert lrhdr("reconstruct", clip, "-o", out, *CHEAP, "--reference-white", 100, *options).status == 0
        assert read_exr_header(out / "clip.000000.exr")["whiteLuminance"] == pytest.approx(100 * white)


def test_timecode_as_typed_or_counting_the_files(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip(count=3)
    common = ("reconstruct", clip, *CHEAP, "--start-number", 1001)
    assert lrhdr(*common, "-o", tmp_path / "a", "--fps", 24).status == 0
    assert lrhdr(*common, "-o", tmp_path / "b", "--fps", "30000/1001", "--timecode", "00:00:59;29").status == 0
    assert lrhdr(*common, "-o", tmp_path / "c").status == 0
    fields = []
    for name in "ab":
        code = read_exr_header(tmp_path / name / "clip.001002.exr")["timeCode"]
        fields.append((code.hours, code.minutes, code.seconds, code.frame, code.dropFrame))
    assert fields == [(0, 0, 41, 18, 0), (0, 1, 0, 2, 1)]  # frame 1002 at 24 per second; after 00:00:59;29
    header = read_exr_header(tmp_path / "c" / "clip.001002.exr")
    assert "timeCode" not in header
    assert "framesPerSecond" not in header
    result = lrhdr(*common, "-o", tmp_path / "d", "--timecode", "00:00:00:00")
    assert result.status == 2
    assert "--fps" in result.err


def test_layers(lrhdr: Run, write_clip: Write, tiny_weights: Write, tmp_path: Path) -> None:
    clip, out = write_clip(count=4, size=(32, 48)), tmp_path / "o"
    common = ("reconstruct", clip, "-o", out, "--weights", tiny_weights(), "--threads", 1, "--colorspace", "acescg")
    result = lrhdr(*common, "--compression", "dwaa", "--aov", "votes,candidates,confidence")
    assert result.status == 0, result.err
    assert sorted(p.name for p in (out / "aov").iterdir()) == [f"clip_aov.{i:06d}.exr" for i in range(4)]
    file = OpenEXR.File(str(out / "aov" / "clip_aov.000001.exr"), separate_channels=True)
    assert file.header()["compression"] == OpenEXR.ZIP_COMPRESSION
    channels = {name: channel.pixels.astype(np.float32) for name, channel in file.channels().items()}
    titles = ["before1", "reference", "after1", "interpolated1", "calibrated_reference", "calibrated1"]
    assert sorted(c for c in channels if c.startswith("votes.")) == sorted(f"votes.{t}" for t in titles)
    votes = np.stack([channels[f"votes.{t}"] for t in titles])
    np.testing.assert_allclose(votes.sum(axis=0), 1, atol=2e-3)
    pictures = np.stack([np.stack([channels[f"candidate_{t}.{c}"] for c in "RGB"], -1) for t in titles])
    mixed = (votes[..., None] * pictures).sum(axis=0)
    np.testing.assert_allclose(mixed, read_exr(out / "clip.000001.exr"), atol=0.02)  # DWAA is lossy
    assert channels["confidence.Y"].min() >= 0
    assert channels["confidence.Y"].max() <= 1
    # Other layers later: the frames are made again, and give the same.
    before = (out / "clip.000001.exr").read_bytes()
    result = lrhdr(*common, "--compression", "dwaa", "--aov", "confidence", "--frames", "1:2")
    assert "computed 1" in result.out
    assert (out / "clip.000001.exr").read_bytes() == before
    found = OpenEXR.File(str(out / "aov" / "clip_aov.000001.exr"), separate_channels=True).channels()
    assert list(found) == ["confidence.Y"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--hdr10", "v.avi"), "expected a file ending in .mp4"),
        (("--hdr10", "v.webm", "--codec", "hevc"), "cannot hold libx265"),
        (("--hlg", "v.webm"), "cannot hold the input's aac audio"),
        (("--preview", "v.webm"), "cannot hold libx264"),
        (("--hdr10", "v.mp4", "--hlg", "v.mp4"), "is the hdr10"),
        (("--hdr10", "v.mp4", "--encoder-crf", "70"), "encoder crf: expected 0 to 51"),
        (("--hdr10", "v.mp4", "--encoder-preset", "9"), "encoder preset"),
        (("--hdr10", "v.mp4", "--peak-luminance", "5"), "peak luminance: expected 50"),
        (("--reference-white", "0"), "reference white"),
        (("--anchor", "sun"), "invalid choice: 'sun'"),
        (("--colorspace", "srgb"), "invalid choice: 'srgb'"),
        (("--timecode", "1:2:3"), "HH:MM:SS:FF"),
        (("--padding", "0"), "padding"),
        (("--aov", "masks"), "aov: expected some of votes, candidates, confidence"),
        (("--aov", "votes"), "has no votes"),
    ],
)
def test_options_that_cannot_be(lrhdr: Run, tmp_path: Path, options: tuple[str, ...], expected: str) -> None:
    source = camera_file(tmp_path / "shot.mov", 3)
    given = [tmp_path / x if x.startswith("v.") else x for x in options]
    result = lrhdr("reconstruct", source, "-o", tmp_path / "o", "--stops", "0,3", *CHEAP, *given)
    assert result.status == 2, result
    lines = [line for line in result.err.splitlines() if not re.match(r"[a-z]+: \d", line)]  # progress
    assert len(lines) == 1
    assert expected in lines[0]
    assert not (tmp_path / "o").exists()


def test_frames_too_small_for_hdr_video(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    clip = write_clip(size=(8, 32))
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP, "--hdr10", tmp_path / "v.mp4")
    assert result.status == 2
    assert "at least 16x16 pixels, found 32x8" in result.err


def test_a_place_that_cannot_be_written(lrhdr: Run, tmp_path: Path) -> None:
    source = camera_file(tmp_path / "shot.mov", 3)
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "v.mp4"
    result = lrhdr("reconstruct", source, "-o", tmp_path / "o", "--stops", "0,3", *CHEAP, "--hdr10", out)
    assert result.status == 3
    assert "cannot write" in result.err.splitlines()[-1]
    assert len(list((tmp_path / "o").glob("*.exr"))) == 3


def test_ctrl_c_while_encoding_leaves_no_half_video(lrhdr: Run, tmp_path: Path) -> None:
    source, out, video = camera_file(tmp_path / "shot.mov", 40), tmp_path / "o", tmp_path / "v.mp4"
    arguments = ("reconstruct", source, "-o", out, "--stops", "0,3", "--method", "reference", "--threads", "1")
    encoding = (*arguments, "--hdr10", video, "--encoder-preset", "placebo")
    assert lrhdr(*arguments).status == 0
    command = [sys.executable, "-m", "lrhdr", *map(str, encoding)]
    obey: dict[str, Any] = (
        {} if os.name == "nt" else {"preexec_fn": partial(signal.signal, signal.SIGINT, signal.SIG_DFL)}
    )
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, **obey) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".v.mp4.*")) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o", "shot.mov"]
    again = lrhdr(*arguments, "--hdr10", video)
    assert again.status == 0, again.err
    assert "kept 40 from an earlier run" in again.out
    assert sum(1 for _ in VideoReader(video)) == 40


def test_encode_makes_the_videos_that_the_run_would(lrhdr: Run, tmp_path: Path) -> None:
    source = camera_file(tmp_path / "shot.mov")
    run = ("reconstruct", source, "-o", tmp_path / "hdr", "--stops", "0,3", *CHEAP, "--colorspace", "acescg")
    assert lrhdr(*run, "--hdr10", tmp_path / "a.mp4", "--preview", tmp_path / "pa.mp4").status == 0
    encode = ("encode", tmp_path / "hdr", "--source", source, "--threads", 1)
    result = lrhdr(*encode, "--hdr10", tmp_path / "b.mp4", "--preview", tmp_path / "pb.mp4")
    assert result.status == 0, result.err
    assert "MaxCLL" in result.out
    for a, b in (("a", "b"), ("pa", "pb")):
        assert frame_times(tmp_path / f"{a}.mp4") == frame_times(tmp_path / f"{b}.mp4") == frame_times(source)
        assert packets(tmp_path / f"{b}.mp4", "audio") == packets(source, "audio")
        np.testing.assert_array_equal(
            list(VideoReader(tmp_path / f"{a}.mp4")), list(VideoReader(tmp_path / f"{b}.mp4"))
        )
    assert lrhdr("encode", tmp_path / "hdr", "--hlg", tmp_path / "c.webm").status == 0
    assert VideoReader(tmp_path / "c.webm").transfer == "hlg"
    assert VideoReader(tmp_path / "c.webm").fps == Fraction(24000, 1001)
    for options, expected in (
        ((), "expected --hdr10, --hlg or --preview"),
        (("--hlg", "v.mp4", "--preview", "v.mp4"), "file of its own"),
        (("--source", source, "--hlg", source), "video to be written"),
        (("--source", camera_file(tmp_path / "other.mov", 3), "--hlg", "v.mp4"), "found 3 frames, expected the 7"),
    ):
        refused = lrhdr("encode", tmp_path / "hdr", *options)
        assert refused.status == 2
        assert expected in refused.err
    (tmp_path / "hdr" / "shot.000007.exr").write_bytes((tmp_path / "hdr" / "shot.000006.exr").read_bytes())
    write_exr(tmp_path / "hdr" / "shot.000003.exr", np.ones((*SIZE, 3), np.float32), {"whiteLuminance": 100.0})
    assert "shot.000003.exr: found other primaries or whiteLuminance" in lrhdr(
        "encode", tmp_path / "hdr", "--hlg", tmp_path / "d.mp4"
    ).err  # fmt: skip


def test_still_of_a_frame(lrhdr: Run, write_clip: Write, tmp_path: Path) -> None:
    assert lrhdr("reconstruct", write_clip(), "-o", tmp_path / "o", *CHEAP).status == 0
    frame = tmp_path / "o" / "clip.000002.exr"
    result = lrhdr("still", frame, "-o", tmp_path / "a.png", "-o", tmp_path / "b" / "c.hdr")
    assert result.status == 0, result.err
    assert "16-bit PNG, tone-mapped" in result.out
    np.testing.assert_allclose(read_hdr(tmp_path / "b" / "c.hdr"), read_exr(frame), rtol=0.02, atol=1e-3)
    result = lrhdr("still", frame, "-o", tmp_path / "a.bmp")
    assert result.status == 2
    assert "expected a file ending in .jpg" in result.err


def test_the_preview_has_one_exposure_for_the_clip(lrhdr: Run, tmp_path: Path) -> None:
    """A scene that gets darker must get darker in the preview; a tone map per frame would hold it."""
    clip = tmp_path / "clip"
    clip.mkdir()
    for i in range(6):
        write_png(clip / f"{i}.png", expose(scene(*SIZE) * 0.6**i, 8.0 ** (i % 2)))
    (clip / "Exposures.txt").write_text("0 3")
    result = lrhdr("reconstruct", clip, "-o", tmp_path / "o", *CHEAP, "--preview", tmp_path / "p.mp4")
    assert result.status == 0, result.err
    means = [float(np.mean(frame)) for frame in VideoReader(tmp_path / "p.mp4")]
    assert all(b < 0.95 * a for a, b in pairwise(means)), means


def test_options_and_their_defaults_are_those_of_the_functions() -> None:
    for command, options in ((("encode", "in"), EncodeOptions), (("still", "in", "-o", "out"), StillOptions)):
        parsed = vars(cli.build_parser().parse_args(command))
        given = {k: v for k, v in parsed.items() if k not in ("command", "run", "frames", "frame", "output")}
        assert given == {f.name: f.default for f in fields(options)}
    assert set(command_options.COLORSPACES) == set(COLORSPACES)
    assert set(command_options.INPUT_PRIMARIES) == set(CHROMATICITIES)


def test_disk_full_while_encoding(lrhdr: Run, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits on file size are a POSIX matter")
    source, video = camera_file(tmp_path / "shot.mov"), tmp_path / "v.mp4"
    common = ("reconstruct", source, "-o", tmp_path / "o", "--stops", "0,3", *CHEAP)
    assert lrhdr(*common).status == 0
    before = sorted(p.name for p in tmp_path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        result = lrhdr(*common, "--hdr10", video, "--encoder-crf", 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.status == 3, result
    lines = [line for line in result.err.splitlines() if not re.match(r"[A-Za-z0-9 ]+: \d", line)]
    assert len(lines) == 1, result.err
    assert f"cannot write {video}" in lines[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert lrhdr(*common, "--hdr10", video, "--encoder-crf", 1).status == 0
