"""`lrhdr.io.hdr_writer`, `encoder`, `lrhdr.videos`: tags as ffprobe reads them, codes, times, audio, whole files."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch

from lrhdr.checks import InputError, OutputError
from lrhdr.display_light import DisplayMap, pq_signal
from lrhdr.io.encoder import Sound, Timing, _without_cut, check_container
from lrhdr.io.exr import write_exr
from lrhdr.io.hdr_writer import HdrCoding, HdrVideoWriter, LightLevels, mastering_peak_for, signal_to_planes
from lrhdr.io.tags import read_comment, read_timecode
from lrhdr.io.video import VideoReader
from lrhdr.io.video_writer import VideoWriter
from lrhdr.transfer import eotf_hlg, eotf_pq
from lrhdr.videos import FrameClip, display_map, measure_light, write_hdr10, write_hlg, write_preview

LEVELS = LightLevels(1234.4, 87.6, 2000)
CALM = {"hevc": HdrCoding("hevc", threads=1), "av1": HdrCoding("av1", threads=1)}
VFR = tuple(Fraction(n, 12800) for n in (0, 512, 1024, 2048, 2560, 3601))


def no_report(_what: str, _done: int, _total: int) -> None:
    pass


def write_signal(path: Path, signal: np.ndarray, count: int = 3, codec: str = "hevc", **options: Any) -> None:
    transfer = options.pop("transfer", "pq")
    timing = options.pop("timing", Timing(Fraction(24)))
    coding = options.pop("coding", CALM[codec])
    planes = signal_to_planes(signal)
    with HdrVideoWriter(path, timing, signal.shape[:2], transfer, coding, **options) as video:
        for _ in range(count):
            video.write(planes)


def ramp(height: int = 32, width: int = 256) -> np.ndarray:
    row = np.linspace(0, 1, width, dtype=np.float32)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def probe(path: Path, *what: str) -> dict[str, Any]:
    if shutil.which("ffprobe") is None:
        pytest.skip("needs ffprobe")
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-of", "json", *what, str(path)], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [
            (p.pts * p.time_base, bytes(p)) for p in container.demux(stream)
            if p.size and p.pts is not None and p.time_base is not None
        ]  # fmt: skip


def write_source(path: Path, codec: str = "aac", timecode: str | None = None, layout: str = "mono") -> Path:
    """A tiny video of variable frame rate with sound."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 12800)
        if timecode:
            video.metadata["timecode"] = timecode
        audio: Any = container.add_stream(codec, rate=48000)
        audio.layout = layout
        for i, time in enumerate(VFR):
            frame: Any = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 30 * i, np.uint8), format="rgb24")
            frame.pts, frame.time_base = int(time * 12800), Fraction(1, 12800)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        wave = (0.3 * np.sin(np.arange(1024) / 9)).astype(np.float32)
        for k in range(12):
            form = audio.codec_context.format.name
            samples = wave[None] if form == "fltp" else (wave * 32767).astype(np.int16)[None]
            samples = samples if layout == "mono" else samples.repeat(2, axis=1)
            sound: Any = av.AudioFrame.from_ndarray(samples, format=form, layout=layout)
            sound.sample_rate, sound.pts = 48000, 1024 * k
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    return path


# --- what players read ---


@pytest.mark.parametrize("codec", ["hevc", "av1"])
@pytest.mark.parametrize(("transfer", "name"), [("pq", "smpte2084"), ("hlg", "arib-std-b67")])
def test_ffprobe_reads_the_colour_tags(tmp_path: Path, codec: str, transfer: str, name: str) -> None:
    levels = LEVELS if transfer == "pq" else None
    write_signal(tmp_path / "v.mp4", ramp(48, 64), codec=codec, transfer=transfer, levels=levels)
    found = probe(tmp_path / "v.mp4", "-show_streams", "-show_frames")
    stream, frames = found["streams"][0], [f for f in found["frames"] if f["media_type"] == "video"]
    assert stream["codec_name"] == codec
    assert stream["codec_tag_string"] == {"hevc": "hvc1", "av1": "av01"}[codec]
    assert stream["profile"] == {"hevc": "Main 10", "av1": "Main"}[codec]
    assert len(frames) == 3
    for place in (stream, *frames):
        assert place["pix_fmt"] == "yuv420p10le"
        assert place["color_primaries"] == "bt2020"
        assert place["color_transfer"] == name
        assert place["color_space"] == "bt2020nc"
        assert place["color_range"] == "tv"
        assert place["chroma_location"] == "topleft"
    kinds = {data["side_data_type"]: data for data in frames[0].get("side_data_list", [])}
    if transfer == "hlg":
        assert not {"Mastering display metadata", "Content light level metadata"} & set(kinds)
        return
    light, master = kinds["Content light level metadata"], kinds["Mastering display metadata"]
    assert (light["max_content"], light["max_average"]) == (1234, 88)
    value = {key: float(Fraction(text)) for key, text in master.items() if "/" in str(text)}
    assert value["max_luminance"] == pytest.approx(2000, rel=1e-3)
    assert value["min_luminance"] == pytest.approx(0.0001, abs=5e-5)
    points = ("red_x", "red_y", "green_x", "green_y", "blue_x", "blue_y", "white_point_x", "white_point_y")
    expected = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290)
    np.testing.assert_allclose([value[p] for p in points], expected, atol=1e-4)


def test_our_own_reader_reads_them(tmp_path: Path) -> None:
    write_signal(tmp_path / "v.mp4", ramp(48, 64), levels=LEVELS, comment="made from nothing")
    reader = VideoReader(tmp_path / "v.mp4")
    assert (reader.transfer, reader.primaries, reader.matrix) == ("pq", "bt2020", "bt2020")
    assert (reader.bits, reader.full_range, reader.siting) == (10, False, "topleft")
    assert read_comment(tmp_path / "v.mp4") == "made from nothing"
    assert read_comment(tmp_path / "none.mp4") is None


# --- code values ---


@pytest.mark.parametrize(
    "coding", [HdrCoding("hevc", crf=4, threads=1), HdrCoding("av1", crf=4, threads=1)], ids=["hevc", "av1"]
)
@pytest.mark.parametrize("width", [256, 640])
def test_a_grey_ramp_survives_within_one_code(tmp_path: Path, coding: HdrCoding, width: int) -> None:
    signal = ramp(width=width)
    write_signal(tmp_path / "v.mp4", signal, coding=coding, levels=LEVELS)
    expected = signal_to_planes(signal)
    assert expected[0].min() == 64
    assert expected[0].max() == 940
    for frame in VideoReader(tmp_path / "v.mp4").planes():
        for got, want in zip(frame.planes, expected, strict=True):
            assert np.abs(got.astype(int) - want).max() <= 1


def test_light_of_a_grey_ramp_comes_back(tmp_path: Path) -> None:
    """From linear values over PQ, HEVC and back: steps of the 10-bit scale, nothing else."""
    linear = np.geomspace(1e-3, 1, 256, dtype=np.float32)
    image = np.broadcast_to(linear[None, :, None], (32, 256, 3))
    light = DisplayMap("bt709", 1600).light(image)
    write_signal(tmp_path / "v.mp4", pq_signal(light), coding=HdrCoding("hevc", crf=4, threads=1), levels=LEVELS)
    signal = torch.from_numpy(next(iter(VideoReader(tmp_path / "v.mp4")))).double()
    np.testing.assert_allclose(eotf_pq(signal).numpy()[8:-8], light[8:-8], rtol=0.03)


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (18, 34), (32, 48), (64, 48)])
@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_small_and_odd_sizes(tmp_path: Path, size: tuple[int, int], codec: str) -> None:
    # x265's look-ahead overruns its buffers at some of these widths; repeated, so that damage shows
    for _ in range(3):
        write_signal(tmp_path / "v.mp4", np.full((*size, 3), 0.5, np.float32), codec=codec, levels=LEVELS)
    reader = VideoReader(tmp_path / "v.mp4")
    assert reader.size == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    np.testing.assert_allclose(next(iter(reader)), 0.5, atol=2 / 876)


# --- time and sound ---


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_variable_times_and_audio_packets_are_the_sources(tmp_path: Path, codec: str) -> None:
    source = write_source(tmp_path / "s.mp4")
    timing, sound = Timing(Fraction(25), VFR), Sound(source)
    write_signal(tmp_path / "v.mp4", ramp(48, 64), len(VFR), codec, timing=timing, sound=sound, levels=LEVELS)
    assert VideoReader(tmp_path / "v.mp4").frame_times() == VFR
    assert packets(tmp_path / "v.mp4", "audio") == packets(source, "audio")
    found = probe(tmp_path / "v.mp4", "-show_frames", "-select_streams", "v")
    got = [float(frame["best_effort_timestamp_time"]) for frame in found["frames"]]
    np.testing.assert_allclose(got, [float(t) for t in VFR], atol=1e-6)


def test_the_preview_keeps_them_too(tmp_path: Path) -> None:
    source = write_source(tmp_path / "s.mp4")
    with VideoWriter(tmp_path / "v.mp4", 25, (48, 64), times=VFR, sound=Sound(source)) as video:
        for _ in VFR:
            video.write(np.zeros((48, 64, 3), np.uint8))
    assert VideoReader(tmp_path / "v.mp4").frame_times() == VFR
    assert packets(tmp_path / "v.mp4", "audio") == packets(source, "audio")


def test_sound_of_a_part_begins_with_it(tmp_path: Path) -> None:
    source = write_source(tmp_path / "s.mp4")
    start, stop = Fraction(2, 25), Fraction(5, 25)
    sound = Sound(source, start, stop)
    write_signal(tmp_path / "v.mp4", ramp(48, 64), timing=Timing(Fraction(25)), sound=sound, levels=LEVELS)
    inside = [(t - start, data) for t, data in packets(source, "audio") if start <= t < stop]
    got = packets(tmp_path / "v.mp4", "audio")
    assert [data for _, data in got] == [data for _, data in inside]
    np.testing.assert_allclose([float(t) for t, _ in got], [float(t) for t, _ in inside], atol=2 / 48000)


def test_containers_are_checked_before_work(tmp_path: Path) -> None:
    source = write_source(tmp_path / "s.mkv", "pcm_s16le")
    check_container(tmp_path / "v.mkv", "libx265", Sound(source))
    check_container(tmp_path / "v.webm", "libsvtav1", None)
    with pytest.raises(InputError, match=r"v\.mov: \.mov cannot hold libsvtav1"):
        check_container(tmp_path / "v.mov", "libsvtav1", None)
    with pytest.raises(InputError, match=r"\.mov cannot hold the input's flac audio"):
        check_container(tmp_path / "v.mov", "libx265", Sound(write_source(tmp_path / "f.mkv", "flac")))
    with pytest.raises(InputError, match=r"cannot hold libx265"):
        check_container(tmp_path / "v.webm", "libx265", None)
    with pytest.raises(InputError, match=r"pcm_s16le audio.*--no-audio"):
        check_container(tmp_path / "v.webm", "libsvtav1", Sound(source))
    with pytest.raises(InputError, match=r"found '.avi'"):
        check_container(tmp_path / "v.avi", "libx265", None)
    write_source(tmp_path / "unnamed.avi", "pcm_s16le", layout="stereo")  # AVI does not name the channels of PCM
    with pytest.raises(InputError, match=r"\.mp4 does not take the input's audio \(pcm_s16le\).*--no-audio"):
        check_container(tmp_path / "v.mp4", "libx265", Sound(tmp_path / "unnamed.avi"))
    check_container(tmp_path / "v.mov", "libx265", Sound(tmp_path / "unnamed.avi"))
    with pytest.raises(InputError, match=r"none\.mp4: cannot read its audio"):
        check_container(tmp_path / "v.mp4", "libx265", Sound(tmp_path / "none.mp4"))


def test_timecode_of_a_source(tmp_path: Path) -> None:
    assert read_timecode(write_source(tmp_path / "s.mov", timecode="10:20:30:05")) == "10:20:30:05"
    assert read_timecode(write_source(tmp_path / "s.mp4")) is None


def test_time_bases_are_exact() -> None:
    assert Timing(Fraction(30000, 1001)).time_base == Fraction(1001, 30000)
    mixed = Timing(Fraction(25), (Fraction(0), Fraction(1, 24), Fraction(1, 10)))
    assert mixed.time_base == Fraction(1, 120)
    assert [mixed.stamp(i) for i in range(3)] == [0, 5, 12]
    assert [mixed.duration(i) for i in range(3)] == [5, 7, 5]
    with pytest.raises(InputError, match="rise"):
        Timing(Fraction(25), (Fraction(1), Fraction(1)))
    with pytest.raises(InputError, match="positive"):
        Timing(Fraction(0))


# --- whole files or none ---


@pytest.mark.parametrize("limit", [0, 1000, 20000])
@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_disk_full_is_one_error_and_leaves_nothing(
    tmp_path: Path,
    codec: str,
    limit: int,
    full_disk: Callable[[int], AbstractContextManager[None]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = write_source(tmp_path / "s.mp4")
    noise = np.random.default_rng(0).random((96, 128, 3)).astype(np.float32)
    coding = HdrCoding(codec, crf=1, threads=1)
    with full_disk(limit), pytest.raises(OutputError, match=r"v\.mp4"):
        write_signal(tmp_path / "v.mp4", noise, 6, coding=coding, sound=Sound(source), levels=LEVELS)
    assert [p.name for p in tmp_path.iterdir()] == ["s.mp4"]
    assert capfd.readouterr().err == ""


def test_nothing_is_left_after_an_exception(tmp_path: Path) -> None:
    def stopped() -> None:
        with HdrVideoWriter(tmp_path / "v.mp4", Timing(Fraction(24)), (32, 32), "pq", CALM["hevc"]) as video:
            video.write(signal_to_planes(ramp(32, 32)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(tmp_path.iterdir()) == []


def test_values_are_checked(tmp_path: Path) -> None:
    for arguments, expected in (
        (("vp9",), "codec"),
        (("hevc", 60), "crf: expected 0 to 51"),
        (("av1", 0), "crf: expected 1 to 63"),
        (("hevc", None, "8"), "encoder preset"),
        (("av1", None, "fast"), "encoder preset"),
    ):
        with pytest.raises(InputError, match=expected):
            HdrCoding(*arguments)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="light levels"):
        LightLevels(100, 200, 1000)
    with pytest.raises(InputError, match="at least 16x16"):
        HdrVideoWriter(tmp_path / "v.mp4", Timing(Fraction(24)), (8, 64), "pq", CALM["hevc"])
    with pytest.raises(InputError, match="transfer"):
        HdrVideoWriter(tmp_path / "v.mp4", Timing(Fraction(24)), (32, 64), "srgb", CALM["hevc"])
    assert [mastering_peak_for(x) for x in (5, 1000, 1000.5, 9000, 20000)] == [1000, 1000, 2000, 10000, 10000]
    assert LightLevels(0.2, 0.1, 1000).codes == (1, 1)


# --- from EXR files ---


def write_frames(folder: Path, count: int = 4, size: tuple[int, int] = (48, 64)) -> tuple[Path, ...]:
    """Grey frames with one bright patch that grows; 1.0 is the saturation."""
    folder.mkdir(exist_ok=True)
    paths = []
    for i in range(count):
        image = np.full((*size, 3), 0.05, np.float32)
        image[:16, : 16 * (i + 1)] = 1.0
        paths.append(folder / f"f.{i:06d}.exr")
        write_exr(paths[-1], image)
    return tuple(paths)


def clip_of(paths: tuple[Path, ...], **more: Any) -> FrameClip:
    return FrameClip(paths, "bt709", 1600.0, Timing(Fraction(24)), 1.0, **more)


def test_light_levels_are_those_of_the_frames(tmp_path: Path) -> None:
    clip = clip_of(write_frames(tmp_path / "e"))
    max_cll, max_fall = measure_light(clip.frames, display_map(clip, None), no_report)
    share = 16 * 64 / (48 * 64)
    assert max_cll == pytest.approx(1600, rel=1e-3)
    assert max_fall == pytest.approx(1600 * share + 80 * (1 - share), rel=1e-3)
    max_cll, _ = measure_light(clip.frames, display_map(clip, 1000), no_report)
    assert max_cll == pytest.approx(1000, rel=1e-3)


def test_hdr10_and_hlg_show_the_same_light(tmp_path: Path) -> None:
    clip = clip_of(write_frames(tmp_path / "e"))
    coding = HdrCoding("hevc", crf=4, threads=1)
    made = write_hdr10(tmp_path / "pq.mp4", clip, coding, 1000, no_report)
    assert made.levels is not None
    assert made.levels.mastering_peak == 1000
    write_hlg(tmp_path / "hlg.mp4", clip, coding, no_report)
    light = []
    for name, eotf in (("pq", eotf_pq), ("hlg", eotf_hlg)):
        frames = list(VideoReader(tmp_path / f"{name}.mp4"))
        assert len(frames) == 4
        signal = torch.from_numpy(frames[1]).permute(2, 0, 1).double()
        light.append(eotf(signal).permute(1, 2, 0).numpy())
    flat = np.array([light[0][8, 8], light[0][40, 40]])
    np.testing.assert_allclose(flat, np.array([[1000] * 3, [80] * 3]), rtol=0.03)
    np.testing.assert_allclose(np.array([light[1][8, 8], light[1][40, 40]]), flat, rtol=0.05)


def test_videos_are_kept_until_something_changes(tmp_path: Path) -> None:
    paths = write_frames(tmp_path / "e")
    clip, coding = clip_of(paths), CALM["av1"]
    target, preview = tmp_path / "v.mp4", tmp_path / "p.mp4"

    def again(**changes: Any) -> tuple[bool, bool]:
        arguments: dict[str, Any] = {"clip": clip, "coding": coding, "peak": None} | changes
        made = write_hdr10(target, arguments["clip"], arguments["coding"], arguments["peak"], no_report)
        return made.kept, not write_preview(preview, arguments["clip"], no_report)

    assert again() == (False, False)
    content = target.read_bytes()
    assert again() == (True, True)
    assert target.read_bytes() == content
    assert again(peak=500) == (False, True)
    assert again(coding=HdrCoding("av1", crf=40, threads=1)) == (False, True)
    assert again(clip=clip_of(paths[:3])) == (False, False)
    write_exr(paths[0], np.zeros((48, 64, 3), np.float32))
    assert again(clip=clip_of(paths[:3])) == (False, False)
    assert sum(1 for _ in VideoReader(target)) == 3
    target.write_bytes(target.read_bytes()[:100])
    assert again(clip=clip_of(paths[:3])) == (False, True)


def test_a_missing_frame_is_named(tmp_path: Path) -> None:
    paths = write_frames(tmp_path / "e")
    paths[2].write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"f\.000002\.exr"):
        write_hdr10(tmp_path / "v.mp4", clip_of(paths), CALM["av1"], None, no_report)
    assert not (tmp_path / "v.mp4").exists()


def test_what_an_edit_list_cuts_away_stays_away_but_for_the_last_packet() -> None:
    def packet(stream: int, at: int, cut: bool) -> SimpleNamespace:
        return SimpleNamespace(stream=SimpleNamespace(index=stream), at=at, is_discard=cut)

    packets = [packet(stream, at, cut=at < 3 or at == 6) for at in range(7) for stream in (0, 1)]
    assert [(p.stream.index, p.at) for p in _without_cut(packets)] == [
        *((0, 2), (0, 3), (1, 2), (1, 3)),
        *((stream, at) for at in (4, 5) for stream in (0, 1)),
    ]
