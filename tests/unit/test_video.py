"""`lrhdr.io.video`, `planes`, `video_writer`: exact codes, tags obeyed, damage reported, complete or absent."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from lrhdr.checks import InputError, OutputError
from lrhdr.io.tags import read_timecode
from lrhdr.io.video import VideoReader, VideoWriter
from lrhdr.io.yuv import quantise, rgb_to_yuv

HEIGHT, WIDTH = 16, 24
BT709 = {"colorspace": 1, "color_trc": 1, "color_primaries": 1, "color_range": 1}


def planes_for(pix_fmt: str, rng: np.random.Generator, size: tuple[int, int] = (HEIGHT, WIDTH)) -> list[np.ndarray]:
    """Random code planes in FFmpeg's order for one frame of a planar format."""
    bits = next((b for b in (10, 12, 16) if str(b) in pix_fmt.split("p")[-1] or f"gray{b}" in pix_fmt), 8)
    dtype = np.uint8 if bits == 8 else np.dtype("<u2")
    height, width = size
    shapes = [size] * (1 if pix_fmt.startswith("gray") else 3)
    if "420" in pix_fmt or "422" in pix_fmt:
        rows = -(-height // 2) if "420" in pix_fmt else height
        shapes[1:] = [(rows, -(-width // 2))] * 2
    return [rng.integers(0, 2**bits, shape).astype(dtype) for shape in shapes]


def av_frame(pix_fmt: str, planes: Sequence[np.ndarray], size: tuple[int, int]) -> Any:
    frame: Any = av.VideoFrame(size[1], size[0], pix_fmt)
    for plane, codes in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size // codes.itemsize), codes.dtype)
        rows[:, : codes.shape[1]] = codes
        plane.update(rows.tobytes())
    return frame


def encode(
    path: Path,
    frames: Sequence[Sequence[np.ndarray]],
    *,
    pix_fmt: str = "yuv420p",
    codec: str = "ffv1",
    size: tuple[int, int] = (HEIGHT, WIDTH),
    tags: dict[str, int] | None = None,
    pts: Sequence[int] | None = None,
    container_options: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> None:
    """Write given code planes with FFmpeg's lossless (or other) encoder."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(25))
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        stream.options = options or {}
        stream.codec_context.time_base = Fraction(1, 25)
        for tag, value in (tags or {}).items():
            setattr(stream.codec_context, tag, value)
        for index, planes in enumerate(frames):
            frame = av_frame(pix_fmt, planes, size)
            for tag, value in (tags or {}).items():
                setattr(frame, tag, value)
            frame.pts = pts[index] if pts else index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    "pix_fmt",
    [
        "yuv420p",
        "yuv422p",
        "yuv444p",
        "yuv420p10le",
        "yuv422p10le",
        "yuv444p12le",
        "gray",
        "gray10le",
        "gbrp",
        "gbrp10le",
    ],
)
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (15, 21)])
def test_codes_are_exact(tmp_path: Path, pix_fmt: str, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    frames = [planes_for(pix_fmt, rng, size) for _ in range(3)]
    path, codec = (tmp_path / "v.avi", "utvideo") if pix_fmt == "gbrp" else (tmp_path / "v.mkv", "ffv1")
    encode(path, frames, pix_fmt=pix_fmt, codec=codec, size=size)
    reader = VideoReader(path)
    assert reader.size == size
    decoded = list(reader.planes())
    assert len(decoded) == reader.count_frames() == 3
    for got, want in zip(decoded, frames, strict=True):
        order = (2, 0, 1) if pix_fmt.startswith("gbr") else range(len(want))
        for codes, index in zip(got.planes, order, strict=True):
            np.testing.assert_array_equal(codes, want[index])


def test_planar_rgb_is_exact(tmp_path: Path) -> None:
    planes = planes_for("gbrp", np.random.default_rng(0))
    encode(tmp_path / "v.avi", [planes], pix_fmt="gbrp", codec="utvideo")
    image = next(iter(VideoReader(tmp_path / "v.avi")))
    np.testing.assert_array_equal(np.round(image * 255), np.stack([planes[2], planes[0], planes[1]], -1))


def test_packed_rgb_is_exact(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    with av.open(str(tmp_path / "v.avi"), "w") as container:
        stream: Any = container.add_stream("rawvideo", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "bgr24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels[..., ::-1].copy(), format="bgr24")))
        container.mux(stream.encode(None))
    reader = VideoReader(tmp_path / "v.avi")
    np.testing.assert_array_equal(np.round(next(iter(reader)) * 255), pixels)
    assert reader.matrix is None


@pytest.mark.parametrize(("pix_fmt", "bits"), [("yuv444p", 8), ("yuv444p10le", 10)])
@pytest.mark.parametrize("color_range", [1, 2])
@pytest.mark.parametrize(("code", "matrix"), [(1, "bt709"), (6, "bt601"), (9, "bt2020")])
def test_tags_choose_matrix_and_range(
    tmp_path: Path, pix_fmt: str, bits: int, color_range: int, code: int, matrix: Any
) -> None:
    rgb = np.random.default_rng(0).random((HEIGHT, WIDTH, 3)).astype(np.float32)
    full = color_range == 2
    signals = rgb_to_yuv(rgb, matrix)
    planes = [quantise(s, bits=bits, full_range=full, chroma=i > 0) for i, s in enumerate(signals)]
    tags = {"colorspace": code, "color_range": color_range, "color_primaries": 9, "color_trc": 16}
    encode(tmp_path / "v.mkv", [planes], pix_fmt=pix_fmt, tags=tags)
    reader = VideoReader(tmp_path / "v.mkv")
    assert (reader.matrix, reader.full_range, reader.bits) == (matrix, full, bits)
    assert (reader.transfer, reader.primaries) == ("pq", "bt2020")
    assert np.abs(next(iter(reader)) - rgb).max() < 3.0 / (219 * 2 ** (bits - 8))


def test_untagged_video_is_bt601_and_limited_when_small(tmp_path: Path) -> None:
    red = [np.full((HEIGHT, WIDTH), code, np.uint8) for code in (81, 90, 240)]
    encode(tmp_path / "v.mkv", [red], pix_fmt="yuv444p")
    reader = VideoReader(tmp_path / "v.mkv")
    assert (reader.matrix, reader.full_range, reader.transfer) == ("bt601", False, "unspecified")
    np.testing.assert_allclose(next(iter(reader))[0, 0], [1, 0, 0], atol=0.006)


def test_unknown_matrix_is_refused_by_name(tmp_path: Path) -> None:
    planes = planes_for("yuv444p", np.random.default_rng(0))
    encode(tmp_path / "ictcp.mkv", [planes], pix_fmt="yuv444p", tags={"colorspace": 14})
    with pytest.raises(InputError, match=r"ictcp\.mkv.*14"):
        VideoReader(tmp_path / "ictcp.mkv")


def test_time_stamps_and_iterating_twice(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [planes_for("yuv420p", rng) for _ in range(4)]
    encode(tmp_path / "v.mkv", frames, pts=[0, 1, 5, 6])
    reader = VideoReader(tmp_path / "v.mkv")
    times = [float(frame.seconds) for frame in reader.timed_frames() if frame.seconds is not None]
    np.testing.assert_allclose(times, [0, 0.04, 0.2, 0.24], atol=1e-3)
    first, second = list(reader), list(reader)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal([frame.image for frame in reader.timed_frames(start=3)], first[3:])
    assert reader.fps == 25


@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)])
def test_rotation_is_applied(tmp_path: Path, matrix: tuple[int, int, int, int], turns: int) -> None:
    """The display matrix of the track header (ISO 14496-12) is written into the file: a b c d map (x, y)."""
    path = tmp_path / "v.mp4"
    encode(path, [planes_for("yuv420p", np.random.default_rng(0))], codec="libx264", options={"crf": "0"})
    upright = next(iter(VideoReader(path)))
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    reader = VideoReader(path)
    np.testing.assert_array_equal(next(iter(reader)), np.rot90(upright, turns))
    assert reader.size == np.rot90(upright, turns).shape[:2]
    assert reader.rotation == turns * 90


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "lossy"),
    [
        ("ffv1", "yuv420p", False),
        ("libx264", "yuv420p", True),
        ("mjpeg", "yuvj420p", True),
        ("prores_ks", "yuv422p10le", True),
    ],
)
def test_lossy_codecs_are_told_from_lossless_ones(codec: str, pix_fmt: str, lossy: bool, tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        for packet in stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")):
            container.mux(packet)
        container.mux(stream.encode(None))
    assert VideoReader(path).lossy is lossy


def test_mirrored_frames_are_refused_not_turned(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    encode(path, [planes_for("yuv420p", np.random.default_rng(0))], codec="libx264", options={"crf": "0"})
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    data[start : start + 36] = struct.pack(">9i", -1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"v\.mp4: found frames that are shown mirrored"):
        VideoReader(path)


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("hello")
    (tmp_path / "empty.mp4").write_text("")
    for name in ("missing.mp4", "text.mp4", "empty.mp4", "."):
        with pytest.raises(InputError, match=name.replace(".", r"\.") if len(name) > 1 else "folder") as caught:
            VideoReader(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_tags_that_are_no_utf8_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with VideoWriter(path, 24, (HEIGHT, WIDTH)) as writer:
        writer.write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    data = path.read_bytes()
    assert data[4:12] == b"ftypisom"
    path.write_bytes(data[:8] + b"\x80" + data[9:])
    assert len(list(VideoReader(path))) == 1
    assert VideoReader(path).count_frames() == 1
    assert read_timecode(path) is None


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream: Any = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 80), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(InputError, match="no video stream"):
        VideoReader(tmp_path / "a.wav")


def test_truncated_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [planes_for("yuv420p", rng) for _ in range(20)]
    options = {"movflags": "faststart"}  # the index comes first, so the file opens although its end is missing
    encode(tmp_path / "v.mp4", frames, codec="libx264", container_options=options, options={"crf": "0"})
    data = (tmp_path / "v.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"cut\.mp4.*expected the 20"):
        VideoReader(tmp_path / "cut.mp4").count_frames()


def test_damaged_frame_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [planes_for("yuv420p", rng) for _ in range(8)]
    encode(tmp_path / "v.mp4", frames, codec="libx264", options={"crf": "0", "g": "1"})
    sizes = []
    with av.open(str(tmp_path / "v.mp4")) as container:
        sizes = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray((tmp_path / "v.mp4").read_bytes())
    position, size = sizes[5]
    data[position + 4 : position + size] = bytes(rng.integers(0, 256, size - 4, dtype=np.uint8))
    (tmp_path / "bad.mp4").write_bytes(data)
    frames_read = iter(VideoReader(tmp_path / "bad.mp4"))
    with pytest.raises(InputError, match=r"bad\.mp4.*frame [3-6]\b"):
        list(frames_read)


# --- writing ---


def test_writer_round_trip_and_tags(tmp_path: Path) -> None:
    y, x = np.mgrid[0:32, 0:48] / 48.0
    images = [np.stack([x, y, 0.5 + 0 * x], -1).astype(np.float32) * (0.5 + 0.1 * k) for k in range(4)]
    with VideoWriter(tmp_path / "v.mp4", Fraction(30000, 1001), (32, 48), crf=1) as writer:
        for image in images:
            writer.write(image)
        assert not (tmp_path / "v.mp4").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]
    reader = VideoReader(tmp_path / "v.mp4")
    assert (reader.fps, reader.n_frames, reader.size) == (Fraction(30000, 1001), 4, (32, 48))
    assert (reader.matrix, reader.transfer, reader.primaries, reader.full_range) == ("bt709", "bt709", "bt709", False)
    assert reader.pixel_format == "yuv420p"
    for got, want in zip(reader, images, strict=True):
        assert np.abs(got - want)[1:-1, 1:-1].max() < 0.025


def test_writer_takes_bytes_and_clips_floats(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "v.mp4", 25, (16, 16), crf=0) as writer:
        writer.write(np.full((16, 16, 3), 255, np.uint8))
        writer.write(np.full((16, 16, 3), 7.0, np.float32))
    white = list(VideoReader(tmp_path / "v.mp4"))
    np.testing.assert_allclose(white, 1, atol=0.005)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 2)])
def test_writer_pads_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    with VideoWriter(tmp_path / "v.mp4", 25, size, crf=0) as writer:
        writer.write(np.full((*size, 3), 0.5, np.float32))
    reader = VideoReader(tmp_path / "v.mp4")
    assert reader.size == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    np.testing.assert_allclose(next(iter(reader)), 0.5, atol=0.005)


def test_writer_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="positive"):
        VideoWriter(tmp_path / "v.mp4", 0, (16, 16))
    with pytest.raises(OutputError, match="folder"):
        VideoWriter(tmp_path / "missing" / "v.mp4", 25, (16, 16))
    writer = VideoWriter(tmp_path / "v.mp4", 25, (16, 16))
    with pytest.raises(InputError, match="expected frames"):
        writer.write(np.zeros((16, 18, 3), np.float32))
    with pytest.raises(InputError, match="at least one frame"):
        writer.close()
    assert list(tmp_path.iterdir()) == []


def test_abort_and_exceptions_leave_nothing(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "v.mp4", 25, (16, 16))
    writer.write(np.zeros((16, 16, 3), np.uint8))
    writer.abort()

    def fail() -> None:
        with VideoWriter(tmp_path / "w.mp4", 25, (16, 16)) as second:
            second.write(np.zeros((16, 16, 3), np.uint8))
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_video_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, flushed = tmp_path / "v.mp4", list[int]()
    kept = os.fsync

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def sync(file: int) -> None:
        assert not target.exists()
        flushed.append(os.fstat(file).st_size)
        kept(file)

    def write() -> None:
        with VideoWriter(target, 25, (16, 16)) as writer:
            writer.write(np.zeros((16, 16, 3), np.uint8))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"v\.mp4: the disk is full"):
        write()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(os, "fsync", sync)
    write()
    assert flushed == [target.stat().st_size]


@pytest.mark.parametrize("limit", [0, 20, 1000, 20000])
def test_disk_full_is_one_error_and_leaves_nothing(
    tmp_path: Path,
    limit: int,
    full_disk: Callable[[int], AbstractContextManager[None]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    rng = np.random.default_rng(0)
    images = [rng.random((64, 80, 3)).astype(np.float32) for _ in range(10)]

    def write() -> None:
        with VideoWriter(tmp_path / "v.mp4", 25, (64, 80), crf=1) as writer:
            for image in images:
                writer.write(image)

    with full_disk(limit), pytest.raises(OutputError, match=r"v\.mp4"):
        write()
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""


def test_frame_times_are_those_of_the_decoded_frames(tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    rng = np.random.default_rng(2)
    pts = [0, 1, 3, 4, 9]
    # B-frames are stored out of order
    encode(
        path, [planes_for("yuv420p", rng) for _ in pts], codec="libx264", pts=pts, options={"bf": "2", "qp": "0"},
    )  # fmt: skip
    reader = VideoReader(path)
    assert reader.frame_times() == tuple(f.seconds for f in reader.timed_frames())
    assert not reader.has_audio
