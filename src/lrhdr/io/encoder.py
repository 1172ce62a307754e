"""A video file being written: planes in, container out, complete or absent; time stamps and audio of the source kept.

Shared by the SDR preview (`video_writer`) and the HDR deliveries (`hdr_writer`). Colour conversion is done by these, so
that FFmpeg gets code values and changes none.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

import av
import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError, OutputError
from lrhdr.io.atomic import clear_stale, flush, output_error, temporary_name

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""FFmpeg's container by suffix."""

_TRIED = 1000  # packets of audio in which every stream is looked for
_LARGEST_TIME_BASE = 2**31 - 1  # FFmpeg's rationals, and the time scale of MP4


@dataclass(frozen=True)
class Timing:
    """When frames are shown.

    Attributes:
        rate: frames per second, nominal where `times` are given.
        times: presentation times in seconds, ascending, one per frame; None for a constant rate from 0.
    """

    rate: Fraction
    times: tuple[Fraction, ...] | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: a rate that is not positive, or times that do not rise.
        """
        if self.rate <= 0:
            raise InputError(f"video: expected a positive rate, found {self.rate} frames/s")
        if self.times is not None and any(b <= a for a, b in pairwise(self.times)):
            raise InputError("video: expected frame times that rise")

    @property
    def time_base(self) -> Fraction:
        """The unit of the time stamps: the largest one in which every time is a whole number."""
        if self.times is None:
            return 1 / self.rate
        denominator = 1
        for time in self.times:
            denominator = math.lcm(denominator, time.denominator)
            if denominator > _LARGEST_TIME_BASE:  # clocks that do not fit together: a microsecond is near enough
                return Fraction(1, 1_000_000)
        return Fraction(1, denominator)

    def stamp(self, index: int) -> int:
        """Time stamp of a frame, in units of `time_base`."""
        return index if self.times is None else round(self.times[index] / self.time_base)

    def duration(self, index: int) -> int:
        """How long a frame is shown, in units of `time_base`; the last one for a frame of the nominal rate."""
        if self.times is not None and index + 1 < len(self.times):
            return self.stamp(index + 1) - self.stamp(index)
        return max(1, round(1 / self.rate / self.time_base))


@dataclass(frozen=True)
class Sound:
    """Audio to pass through, packet by packet, unchanged.

    Attributes:
        path: a file whose audio streams are taken, all of them.
        start: seconds on the file's clock that become 0; earlier packets are left out. None keeps the clock.
        stop: seconds on the file's clock from which packets are left out; None keeps all.
    """

    path: Path
    start: Fraction | None = None
    stop: Fraction | None = None


class StreamSettings(NamedTuple):
    """How the video stream is encoded.

    Attributes:
        codec: FFmpeg's encoder.
        pix_fmt: planar format of 8 or 10 bits.
        options: of the encoder.
        colour: H.273 codes (primaries, transfer, matrix).
        tag: four-character code of the stream; None for the container's own.
    """

    codec: str
    pix_fmt: str
    options: Mapping[str, str]
    colour: tuple[int, int, int]
    tag: str | None = None


class Encoder:
    """A video file of limited-range Y'CbCr 4:2:0.

    It has a temporary name until `close`. Used as a context manager it closes on success and aborts on an exception.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        timing: Timing,
        size: tuple[int, int],
        stream: StreamSettings,
        *,
        sound: Sound | None = None,
        comment: str | None = None,
    ) -> None:
        """Start a file.

        Args:
            path: the final name; its folder must exist. The suffix chooses the container; MP4 for unknown ones.
            timing: when frames are shown.
            size: (height, width) of every frame as encoded, both even.
            stream: how they are encoded.
            sound: audio to pass through.
            comment: kept in the file's metadata (see `tags.read_comment`).

        Raises:
            InputError: a size that is not positive and even, or audio that cannot be read.
            OutputError: the file cannot be created, or the container cannot hold this video or audio.
        """
        if min(size) < 1 or size[0] % 2 or size[1] % 2:
            raise InputError(f"video: expected an even size above 0, found {size}")
        self.path = Path(path)
        self.n_frames = 0
        self._timing = timing
        self._settings = stream
        self._size = size
        self._temporary = temporary_name(self.path)
        clear_stale(self.path.parent, (self.path.name,))
        self._audio: _AudioCopy | None = None
        container = CONTAINERS.get(self.path.suffix.lower(), "mp4")
        with self._failing():
            self._sink = _Sink(self._temporary)
            options = {"movie_timescale": str(self._clock())} if container in ("mp4", "mov") else {}
            self._container: Any = cast(Any, av.open(self._sink, "w", format=container, options=options))
            if comment is not None:
                self._container.metadata["comment"] = comment
            self._stream: Any = self._container.add_stream(stream.codec, rate=timing.rate)
            self._stream.height, self._stream.width = size
            self._stream.pix_fmt = stream.pix_fmt
            self._stream.options = dict(stream.options)
            self._stream.codec_context.time_base = timing.time_base
            self._stream.time_base = timing.time_base
            if stream.tag:
                self._stream.codec_context.codec_tag = stream.tag
            self._tag(self._stream.codec_context)
            if sound is not None:
                self._audio = _AudioCopy(sound, self._container, self.path)

    def put(self, planes: Sequence[NDArray[np.unsignedinteger[Any]]]) -> None:
        """Append a frame.

        Args:
            planes: codes of Y' (H, W), Cb and Cr (H / 2, W / 2), uint8 or uint16 as the pixel format wants.

        Raises:
            OutputError: the disk is full or the like; the file is then gone.
        """
        frame: Any = av.VideoFrame(self._size[1], self._size[0], self._settings.pix_fmt)
        for plane, codes in zip(frame.planes, planes, strict=True):
            rows = np.zeros((plane.height, plane.line_size // codes.itemsize), codes.dtype)
            rows[:, : codes.shape[1]] = codes
            plane.update(rows.data)
        self._tag(frame)
        frame.pts = self._timing.stamp(self.n_frames)
        frame.duration = self._timing.duration(self.n_frames)
        frame.time_base = self._timing.time_base
        with self._failing():
            self._mux(self._stream.encode(frame))
        self.n_frames += 1

    def close(self) -> None:
        """Finish the file and give it its name.

        Raises:
            InputError: no frame was written.
            OutputError: it cannot be finished; nothing is left behind.
        """
        if self.n_frames == 0:
            self.abort()
            raise InputError(f"{self.path}: a video needs at least one frame, found none")
        with self._failing():
            self._mux(self._stream.encode(None))
            if self._audio is not None:
                self._audio.copy_until(None)
                self._audio.close()
            self._container.close()
            self._sink.close()
            self._sink.check()
            flush(self._temporary)
            self._temporary.replace(self.path)

    def abort(self) -> None:
        """Give up: remove what was written."""
        for attribute in ("_audio", "_container", "_sink"):
            with suppress(Exception):  # on the way out of a failure: the first error is the one to report
                getattr(self, attribute).close()
        with suppress(OSError):
            self._temporary.unlink()

    def __enter__(self) -> Self:
        """Return the encoder itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, or abort when the body raised."""
        if kind is None:
            self.close()
        else:
            self.abort()

    def _clock(self) -> int:
        """Units per second for the offset between streams in MP4; its default of 1000 would round time stamps."""
        denominator = self._timing.time_base.denominator
        fine = math.lcm(denominator, 48000)  # most audio counts in this
        return fine if fine <= _LARGEST_TIME_BASE else denominator

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            time = None if packet.dts is None or packet.time_base is None else packet.dts * packet.time_base
            self._container.mux_one(packet)
            if self._audio is not None and time is not None:
                self._audio.copy_until(time)
        self._sink.check()

    def _tag(self, target: Any) -> None:
        """Set the colour tags of a codec context or frame; limited range is 1 (MPEG)."""
        target.color_primaries, target.color_trc, target.colorspace = self._settings.colour
        target.color_range = 1

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn a failure into an `OutputError` and remove the temporary file."""
        try:
            yield
        except (OSError, av.FFmpegError) as error:
            self.abort()
            # FFmpeg's errors are partly OSErrors too; one that the sink kept is the cause of the others.
            kept: Any = getattr(getattr(self, "_sink", None), "error", None)
            if kept is None and isinstance(error, OSError) and not isinstance(error, av.FFmpegError):
                kept = error
            if kept is not None:
                raise output_error(self.path, kept) from error
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error
        except BaseException:  # Ctrl-C too, anywhere in the work
            self.abort()
            raise


_NOT_IN_MOV = frozenset({"av1", "libsvtav1", "libaom-av1", "flac", "opus", "libopus", "truehd"})
"""What FFmpeg lists for QuickTime files, because MP4 holds it, and then refuses to write there."""


def check_container(path: str | os.PathLike[str], codec: str, sound: Sound | None) -> None:
    """Refuse what a container cannot hold, before hours of work.

    Args:
        path: the file to be written.
        codec: FFmpeg's name of the encoder.
        sound: audio to pass through.

    Raises:
        InputError: an unknown suffix, or a container that does not take the video or the audio.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in CONTAINERS:
        raise InputError(f"{path}: expected a file ending in {', '.join(CONTAINERS)}, found {suffix or 'no suffix'!r}")
    with av.open(os.devnull, "w", format=CONTAINERS[suffix]) as container:
        supported: set[str] = set(container.supported_codecs)
    if suffix == ".mov":
        supported -= _NOT_IN_MOV
    if codec not in supported:
        raise InputError(f"{path}: {suffix} cannot hold {codec} video; expected .mp4 or .mkv")
    if sound is None:
        return
    with _reading(sound.path), av.open(str(sound.path.absolute()), metadata_errors="replace") as source:
        names = [stream.codec_context.name for stream in source.streams.audio if stream.codec_context is not None]
    for name in names:
        if name not in supported:
            raise InputError(
                f"{path}: {suffix} cannot hold the input's {name} audio; expected another suffix (.mkv holds most), or "
                "--no-audio"
            )
    try:
        _try_audio(sound.path, CONTAINERS[suffix])
    except (ValueError, av.FFmpegError):  # such as PCM whose channels have no names, in MP4
        raise InputError(
            f"{path}: {suffix} does not take the input's audio ({', '.join(names)}); expected another suffix (.mov and "
            ".mkv hold most), or --no-audio"
        ) from None


def _try_audio(source_path: Path, container: str) -> None:
    """Write the first audio packet of every stream to nowhere: some audio is refused only when a file is closed."""
    with _reading(source_path):
        source = av.open(str(source_path.absolute()), metadata_errors="replace")
    with source:
        streams, first = source.streams.audio, dict[int, Any]()
        with _reading(source_path):
            for packet in islice(source.demux(*streams) if streams else (), _TRIED):
                if packet.dts is not None:
                    first.setdefault(packet.stream_index, packet)
                if len(first) == len(streams):
                    break
        sink: Any = av.open(os.devnull, "w", format=container)
        try:
            targets = {stream.index: sink.add_stream_from_template(stream) for stream in streams}
            for index, packet in first.items():
                packet.stream = targets[index]
                sink.mux_one(packet)
        finally:
            sink.close()


def _without_cut(packets: Iterable[Any]) -> Iterator[Any]:
    """Packets without those that an edit list cuts away, but for the last before a kept one: it primes the decoder."""
    primers: dict[int, Any] = {}
    for packet in packets:
        if packet.is_discard:
            primers[packet.stream.index] = packet
            continue
        if packet.stream.index in primers:
            yield primers.pop(packet.stream.index)
        yield packet


def first_sound(path: Path) -> Fraction | None:
    """When the audio of a file begins, in seconds on its clock; None where there is none, or it has no time stamps.

    Raises:
        InputError: it cannot be read.
    """
    first: dict[int, Fraction] = {}
    with _reading(path), av.open(str(path.absolute()), metadata_errors="replace") as source:
        streams: Any = source.streams.audio
        for packet in islice(_without_cut(source.demux(*streams)) if streams else (), _TRIED):
            if packet.size and packet.pts is not None:
                first.setdefault(packet.stream_index, packet.pts * packet.time_base)
            if len(first) == len(streams):
                break
    return min(first.values(), default=None)


class _AudioCopy:
    """Copies the audio packets of a file, as far as they are due."""

    def __init__(self, sound: Sound, container: Any, target: Path) -> None:
        self._sound, self._container = sound, container
        with _reading(sound.path):
            self._source: Any = av.open(str(sound.path.absolute()), metadata_errors="replace")
        try:
            self._streams = {s.index: container.add_stream_from_template(s) for s in self._source.streams.audio}
        except (ValueError, av.FFmpegError) as error:
            self._source.close()
            raise OutputError(f"cannot write {target}: its container does not take the input's audio") from error
        self._packets: Iterator[Any] = self._due()
        self._next: Any = next(self._packets, None)

    def copy_until(self, time: Fraction | None) -> None:
        """Write the packets up to a time of the output; None for all."""
        while self._next is not None:
            packet, seconds = self._next
            if time is not None and seconds > time:
                return
            self._container.mux_one(packet)
            self._next = next(self._packets, None)

    def close(self) -> None:
        self._source.close()

    def _due(self) -> Iterator[tuple[Any, Fraction]]:
        start, stop = self._sound.start, self._sound.stop
        if not self._streams:
            return
        with _reading(self._sound.path):
            for packet in _without_cut(self._source.demux(list(self._source.streams.audio))):
                if not packet.size or packet.pts is None:
                    continue
                seconds = packet.pts * packet.time_base
                if (start is not None and seconds < start) or (stop is not None and seconds >= stop):
                    continue
                if start is not None:
                    shift = round(start / packet.time_base)
                    packet.pts -= shift
                    packet.dts = None if packet.dts is None else packet.dts - shift
                    seconds -= start
                packet.stream = self._streams[packet.stream_index]
                yield packet, seconds


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn errors on reading the audio into an `InputError` that names its file."""
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path}: cannot read its audio: {error.strerror or error}") from error


class _Sink:
    """A file for FFmpeg to write to, which keeps the first error instead of raising it.

    FFmpeg reports a failed write late or not at all, and PyAV prints exceptions that it cannot pass on.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self._guarded(lambda: self._file.write(data))
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._guarded(lambda: self._file.seek(offset, whence))
        return self.tell()

    def tell(self) -> int:
        return self._guarded(self._file.tell)

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        self._guarded(self._file.close)

    def check(self) -> None:
        """Raise the error that was kept."""
        if self.error is not None:
            raise self.error

    def _guarded(self, action: Callable[[], int | None]) -> int:
        if self.error is None:
            try:
                return action() or 0
            except OSError as error:
                self.error = error
        with suppress(OSError):
            self._file.close()
        return 0
