"""Video files in, through PyAV.

Frames are decoded to planes and converted here (`planes`, `yuv`), with the matrix and range that the file's tags name;
FFmpeg's own conversion to RGB is off by up to 1.2 codes of 255 and is never used. What comes out is nonlinear R'G'B' in
[0, 1] of the file's own transfer function and primaries (`VideoReader.transfer`, `.primaries`): SDR video is
gamma-encoded as usual, PQ and HLG video wants `transfer.py` to become linear.

Decisions where a file leaves something open: no matrix tag: BT.2020 if the primaries say so, else BT.601 below 720 rows
and BT.709 above; no range tag: limited, but full for grey; chroma siting (which PyAV does not tell): "topleft" for the
BT.2020 matrix, "centre" for JPEG and MPEG-1, else "left". Rotation tags are applied. Interlaced video is not
deinterlaced, pixels are taken as square, alpha is dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.io.planes import Planes, planes_of, planes_to_rgb, thin_planes
from lrhdr.io.video_writer import VideoWriter
from lrhdr.io.yuv import Matrix, Siting, matrix_of

__all__ = ["TimedFrame", "VideoReader", "VideoWriter"]

_TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "bt709",  # BT.601 has the curve of BT.709
    7: "smpte240m",
    8: "linear",
    13: "srgb",
    14: "bt709",  # BT.2020, 10 bits: the same curve
    15: "bt709",  # BT.2020, 12 bits
    16: "pq",
    18: "hlg",
}
_PRIMARIES = {1: "bt709", 5: "bt601-625", 6: "bt601-525", 7: "bt601-525", 9: "bt2020", 11: "dci-p3", 12: "display-p3"}
_CENTRE_SITED = frozenset({"mjpeg", "mpeg1video"})


class TimedFrame(NamedTuple):
    """A decoded frame and its time.

    Attributes:
        seconds: presentation time from the file's time stamps; None where it has none.
        image: (H, W, 3) float32, nonlinear R'G'B' in [0, 1].
    """

    seconds: Fraction | None
    image: NDArray[np.float32]


class VideoReader:
    """A video file as an iterable of frames; every iteration starts from the first frame.

    The first frame is decoded on construction: its tags are the ones that count.

    Attributes:
        path: the file.
        width: columns, after rotation.
        height: rows, after rotation.
        fps: frames per second; None where unknown. A nominal rate: see `timed_frames` for variable ones.
        pixel_aspect: width over height of a pixel, as it should be shown.
        n_frames: the number of frames that the container claims; None where it does not say. `count_frames` is sure.
        pixel_format: FFmpeg's name of the decoded format.
        bits: significant bits of a code.
        full_range: whether all codes are in use.
        matrix: the colour matrix in use, None for RGB and grey.
        siting: the chroma siting in use.
        transfer: "bt709", "srgb", "gamma22", "gamma28", "smpte240m", "linear", "pq", "hlg" or "unspecified".
        primaries: "bt709", "bt601-525", "bt601-625", "bt2020", "display-p3", "dci-p3" or "unspecified".
        rotation: counter-clockwise degrees by which frames are turned for display: 0, 90, 180 or -90.
        has_audio: whether the file has an audio stream.
        lossy: whether its codec loses detail, or may: H.264 without loss is not told from others.
        data_levels: as given.
    """

    def __init__(self, path: str | os.PathLike[str], *, data_levels: bool = False) -> None:
        """Open a video file.

        Args:
            path: the file.
            data_levels: give codes divided by the largest code, for camera log curves (see `planes_to_rgb`).

        Raises:
            InputError: missing, without video, of an unsupported pixel format or colour matrix, or its first frame
                cannot be decoded.
        """
        self.path = Path(path)
        self.data_levels = data_levels
        if not self.path.is_file():
            found = "a folder" if self.path.is_dir() else "nothing"
            raise InputError(f"{self.path}: expected a video file, found {found}")
        frame: Any = next(self._decode(), None)
        if frame is None:
            raise InputError(f"{self.path}: found no video frame, expected at least one")
        with _reported(self.path, "its first frame"), _open(self.path) as container:
            stream: Any = container.streams.video[0]
            self.n_frames: int | None = stream.frames or None
            rate = stream.guessed_rate or stream.average_rate
            self.fps: Fraction | None = Fraction(rate) if rate else None
            aspect = stream.sample_aspect_ratio
            self.pixel_aspect = Fraction(aspect) if aspect else Fraction(1)
            codec = stream.codec_context.name
            self.lossy: bool = stream.codec_context.codec.lossy
            self.has_audio = bool(container.streams.audio)
        self.pixel_format: str = frame.format.name
        if _is_mirrored(frame):
            raise InputError(f"{self.path}: found frames that are shown mirrored, expected upright or turned ones")
        self.rotation: int = _quarter_turns(frame.rotation) * 90
        self._coded = (frame.height, frame.width)
        turned = self.rotation in (90, -90)
        self.height, self.width = self._coded[::-1] if turned else self._coded
        self.transfer = _TRANSFERS.get(frame.color_trc, "unspecified")
        self.primaries = _PRIMARIES.get(frame.color_primaries, "unspecified")
        try:
            planes = planes_of(frame)
            self.bits, self.full_range = planes.bits, planes.full_range
            self.matrix: Matrix | None = None
            if planes.kind == "yuv":
                self.matrix = matrix_of(frame.colorspace, height=frame.height, primaries=frame.color_primaries)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error
        self.siting: Siting = "left"
        if self.matrix == "bt2020":
            self.siting = "topleft"
        elif codec in _CENTRE_SITED:
            self.siting = "centre"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), after rotation."""
        return self.height, self.width

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Decode the frames in order, from the first.

        Yields:
            (H, W, 3) float32, nonlinear R'G'B' in [0, 1], upright.

        Raises:
            InputError: a frame is damaged or changes its size or format; the message names its index.
        """
        return (frame.image for frame in self.timed_frames())

    def timed_frames(self, start: int = 0) -> Iterator[TimedFrame]:
        """Decode the frames with their times.

        Args:
            start: index of the first frame to give; earlier ones are decoded (they may be needed) but not converted.

        Yields:
            One `TimedFrame` per frame.

        Raises:
            InputError: see `__iter__`.
        """
        for index, frame in enumerate(self._decode()):
            if index >= start:
                seconds = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
                yield TimedFrame(seconds, self._convert(frame, index))

    def thin_frames(self, step: int) -> Iterator[NDArray[np.float32]]:
        """Decode the frames to every `step`-th pixel, for statistics: several times faster than whole frames.

        Args:
            step: 1 or more.

        Yields:
            (ceil(H / step), ceil(W / step), 3) float32, as in `__iter__`.

        Raises:
            InputError: see `__iter__`.
        """
        for index, frame in enumerate(self._decode()):
            yield self._convert(frame, index, step)

    def planes(self) -> Iterator[Planes]:
        """Decode the frames to their code values, not rotated.

        Yields:
            One `Planes` per frame.

        Raises:
            InputError: see `__iter__`.
        """
        return (planes_of(frame) for frame in self._decode())

    def count_frames(self) -> int:
        """Count the frames: cheaply where the container's packets confirm its claim, else by decoding all of them.

        Returns:
            How many frames iteration will give.

        Raises:
            InputError: the file holds fewer frames than its index lists (it is truncated), or a frame is damaged.
        """
        shown = total = 0
        with _reported(self.path, "its packets"), _open(self.path) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size:
                    total += 1
                    shown += not packet.is_discard  # an edit list leaves it out
            indexed = "mp4" in container.format.name  # the claim is the length of the file's own sample table
        if self.n_frames == total:
            return shown
        if indexed and self.n_frames is not None and total < self.n_frames:
            raise InputError(
                f"{self.path}: found {total} frames, expected the {self.n_frames} of its index (truncated?)"
            )
        return sum(1 for _ in self._decode())

    def frame_times(self) -> tuple[Fraction, ...] | None:
        """Presentation times of the frames, from the packets' time stamps; nothing is decoded.

        Returns:
            Seconds, ascending, one per frame that iteration gives; None where a frame has no time stamp (raw streams).

        Raises:
            InputError: the packets cannot be read.
        """
        times: list[Fraction] = []
        with _reported(self.path, "its packets"), _open(self.path) as container:
            for packet in container.demux(container.streams.video[0]):
                if not packet.size or packet.is_discard:
                    continue
                if packet.pts is None or packet.time_base is None:
                    return None
                times.append(packet.pts * packet.time_base)
        # Packets come in the order of decoding; two frames at one time cannot be told apart.
        return tuple(sorted(times)) if len(set(times)) == len(times) else None

    def _decode(self) -> Iterator[Any]:
        index = 0
        with _reported(self.path, "the file"), _open(self.path) as container:
            if not container.streams.video:
                raise InputError(f"{self.path}: found no video stream, expected one")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            frames = container.decode(stream)
            while True:
                with _reported(self.path, f"frame {index}"):
                    frame = next(frames, None)
                if frame is None:
                    return
                if frame.is_corrupt:
                    raise InputError(f"{self.path}: found damaged data in frame {index}, expected a decodable frame")
                yield frame
                index += 1

    def _convert(self, frame: Any, index: int, step: int = 1) -> NDArray[np.float32]:
        found = (frame.height, frame.width, frame.format.name)
        if found != (*self._coded, self.pixel_format):
            expected = f"{self._coded[1]}x{self._coded[0]} {self.pixel_format}"
            raise InputError(f"{self.path}: frame {index} is {found[1]}x{found[0]} {found[2]}, expected {expected}")
        planes = planes_of(frame) if step == 1 else thin_planes(planes_of(frame), step)
        image = planes_to_rgb(planes, self.matrix, self.siting, data_levels=self.data_levels)
        return np.ascontiguousarray(np.rot90(image, self.rotation // 90))


def _quarter_turns(degrees: float) -> int:
    """The nearest whole number of quarter turns, -1 to 2."""
    turns = round(degrees / 90) % 4
    return turns - 4 if turns == 3 else turns


def _is_mirrored(frame: Any) -> bool:
    """Whether the display matrix of a frame mirrors it, which `frame.rotation` does not tell."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(np.float64)
            return bool(a * d - b * c < 0.0)
    return False


def _open(path: Path) -> av.container.InputContainer:
    # Tags that are no UTF-8 (old cameras, other systems' programs) must not keep the frames from being read.
    return av.open(str(path.absolute()), metadata_errors="replace")


@contextmanager
def _reported(path: Path, what: str) -> Iterator[None]:
    """Turn FFmpeg's and the system's errors on reading into an `InputError`."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: cannot decode {what}: {reason}") from error
