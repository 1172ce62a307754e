"""The one entrance for a clip: a folder of frames, a numbered sequence, or a video file.

    folder/                  every image in it, in natural order (frame2 before frame10); one kind of file only
    shot.%04d.png, shot.####.png, shot.@@@@.png      the files on disk that fit the pattern
    clip.mp4                 anything that FFmpeg decodes

Images are PNG, TIFF, JPEG, EXR, HDR and, with the extra `raw`, DNG and makers' raw formats.

Headers of all images are read when a source is opened, so that wrong sizes, wrong kinds and holes in the numbering are
reported before work starts; pixels are decoded one frame at a time while iterating.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.io.images import FRAME_SUFFIXES, LDR_GAMMA, read_info, read_ldr
from lrhdr.io.metadata import natural_key, read_exposures_file, stops_from_tags
from lrhdr.io.raw import RAW_SUFFIXES, raw_info, read_raw, white_balance_of
from lrhdr.io.video import VideoReader

VIDEO_SUFFIXES = frozenset(
    {".264", ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mts", ".mxf", ".ts", ".webm", ".y4m"}
)
"""What counts as a video where a folder is searched for them; a file that is named may be any that FFmpeg decodes."""

_PATTERN = re.compile(r"%\d*d|[#@]+")


class FrameSource(ABC):
    """A clip whose frames can be read in order, as often as needed; `source[a:b]` is a part of it, read when iterated.

    Attributes:
        name: the clip's name (of its folder or file, without suffix).
        n_frames: how many frames iteration gives.
        fps: frames per second; None where unknown.
        size: (height, width).
        exposures_stops: stops of one period, beginning with the first frame; None where the clip does not say.
        exposures_problem: why what the clip says of its exposures cannot be used; None where that is no matter.
        is_linear: whether the files hold linear light (float images, raw), which is encoded on reading: a response
            curve has nothing to say about them.
        primaries: of its RGB, a name of `VideoReader.primaries`; "unspecified" where the clip does not say.
        lossy: whether the files are in a codec that loses detail, or may (`VideoReader.lossy`, JPEG).
        audio: the file whose audio belongs to the clip; None where there is none. It runs on the clock of `times`.
    """

    name: str
    n_frames: int
    fps: Fraction | None
    size: tuple[int, int]
    exposures_stops: tuple[float, ...] | None
    exposures_problem: str | None = None
    is_linear: bool = False
    audio: Path | None = None
    primaries: str = "unspecified"
    lossy: bool = False

    def be_like(self, whole: FrameSource) -> None:
        """Take over what another source says of itself; for sources that show its frames in another way."""
        self.name, self.n_frames, self.fps, self.size = whole.name, whole.n_frames, whole.fps, whole.size
        self.exposures_stops, self.exposures_problem = whole.exposures_stops, whole.exposures_problem
        self.is_linear = whole.is_linear
        self.audio, self.primaries, self.lossy = whole.audio, whole.primaries, whole.lossy

    @abstractmethod
    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.float32]]:
        """Read a range of frames.

        Args:
            start: index of the first one.
            stop: index after the last one; None for the end.

        Yields:
            (H, W, 3) float32 in [0, 1], gamma-encoded R'G'B'.

        Raises:
            InputError: a frame cannot be read; the message names it.
        """

    def coded_frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.float32]]:
        """Read a range of frames as their files have them, before any response curve; arguments as in `frames`."""
        return self.frames(start, stop)

    def thin_frames(self, step: int) -> Iterator[NDArray[np.float32]]:
        """Read all frames at every `step`-th pixel, for statistics; sources may do so faster than by `frames`.

        Args:
            step: 1 or more.

        Yields:
            (ceil(H / step), ceil(W / step), 3) float32, as in `frames`; chroma may be up to a pixel off.

        Raises:
            InputError: see `frames`.
        """
        return (frame[::step, ::step] for frame in self.frames())

    def times(self) -> tuple[Fraction, ...] | None:
        """When each frame is shown.

        Returns:
            Seconds, ascending, `n_frames` of them; the first need not be 0. None where the clip has no time stamps.

        Raises:
            InputError: the file cannot be read.
        """
        return None

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Read all frames from the first; see `frames`."""
        return self.frames()

    def __len__(self) -> int:
        """How many frames there are."""
        return self.n_frames

    def __getitem__(self, part: slice) -> FrameSource:
        """A contiguous part of the clip, as a source of its own; its period of exposures begins with its first frame.

        Raises:
            InputError: no frame lies in it, or a step other than 1.
        """
        start, stop, step = part.indices(self.n_frames)
        if step != 1 or start >= stop:
            raise InputError(f"{self.name}: expected a contiguous part of frames 0:{self.n_frames}, found {part}")
        return _Part(self, start, stop)


class ImageSequence(FrameSource):
    """Image files, one frame each.

    Attributes:
        files: in order.
        infos: their headers.
    """

    def __init__(self, files: Sequence[Path], name: str) -> None:
        """Read the headers of all files.

        Args:
            files: the frames in order, at least one.
            name: the clip's name.

        Raises:
            InputError: a header cannot be read, or the sizes differ.
        """
        self._raw = _kind(files[0]) in RAW_SUFFIXES
        infos = [raw_info(file) if self._raw else read_info(file) for file in files]
        for info in infos[1:]:
            if info.size != infos[0].size:
                found, expected = (f"{width}x{height}" for height, width in (info.size, infos[0].size))
                raise InputError(f"{info.path}: found {found} pixels, expected {expected} as in {infos[0].path.name}")
        self.files = tuple(files)
        self.infos = tuple(infos)
        self.is_linear = infos[0].is_linear
        self.lossy = files[0].suffix.lower() in (".jpg", ".jpeg")
        self._white_balance = white_balance_of(files[0]) if self._raw else None
        self.name = name
        self.n_frames = len(infos)
        self.fps = None
        self.size = infos[0].size
        self.exposures_stops, self.exposures_problem = None, None
        try:
            self.exposures_stops = read_exposures_file(files[0].parent) or stops_from_tags(infos)
        except InputError as error:  # no matter where exposures are typed
            self.exposures_problem = str(error)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.float32]]:
        """See `FrameSource.frames`."""
        for file in self.files[start:stop]:
            image = self._read(file)
            if image.shape[:2] != self.size:  # the file was replaced since its header was read
                found, expected = (f"{width}x{height}" for height, width in (image.shape[:2], self.size))
                raise InputError(f"{file}: found {found} pixels, expected {expected}")
            yield image

    def _read(self, file: Path) -> NDArray[np.float32]:
        if self._white_balance is None:
            return read_ldr(file)
        return np.power(read_raw(file, self._white_balance), np.float32(1 / LDR_GAMMA))


class VideoFile(FrameSource):
    """A video file.

    Attributes:
        reader: what decodes it; knows its tags.
    """

    def __init__(self, path: Path, *, data_levels: bool = False, allow_hdr: bool = False) -> None:
        """Open the file and count its frames.

        Args:
            path: the file.
            data_levels: as in `VideoReader`.
            allow_hdr: take PQ and HLG video too, to look at it; there is nothing in it to merge.

        Raises:
            InputError: it cannot be decoded, is truncated, or is HDR video already.
        """
        self.reader = VideoReader(path, data_levels=data_levels)
        if self.reader.transfer in ("pq", "hlg") and not allow_hdr:
            raise InputError(
                f"{path}: found {self.reader.transfer.upper()} (HDR) video, expected ordinary video to merge"
            )
        self.name = path.stem
        self.n_frames = self.reader.count_frames()
        self.fps = self.reader.fps
        self.size = self.reader.size
        self.exposures_stops = None
        self.audio = path if self.reader.has_audio else None
        self.primaries = self.reader.primaries
        self.lossy = self.reader.lossy

    def thin_frames(self, step: int) -> Iterator[NDArray[np.float32]]:
        """See `FrameSource.thin_frames`."""
        return islice(self.reader.thin_frames(step), self.n_frames)

    def times(self) -> tuple[Fraction, ...] | None:
        """See `FrameSource.times`."""
        times = self.reader.frame_times()
        return times if times is not None and len(times) == self.n_frames else None

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.float32]]:
        """See `FrameSource.frames`; frames before `start` are decoded, but not converted."""
        stop = self.n_frames if stop is None else min(stop, self.n_frames)
        count = start
        for frame in islice(self.reader.timed_frames(start), max(stop - start, 0)):
            yield frame.image
            count += 1
        if count < stop:
            raise InputError(f"{self.reader.path}: found {count} decodable frames, expected {self.n_frames}")


class _Part(FrameSource):
    """A contiguous part of another source."""

    def __init__(self, whole: FrameSource, start: int, stop: int) -> None:
        self._whole, self._start = whole, start
        self.be_like(whole)
        self.n_frames = stop - start
        stops = whole.exposures_stops
        phase = start % len(stops) if stops else 0
        self.exposures_stops = stops[phase:] + stops[:phase] if stops else None

    def times(self) -> tuple[Fraction, ...] | None:
        times = self._whole.times()
        return None if times is None else times[self._start : self._start + self.n_frames]

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.float32]]:
        stop = self.n_frames if stop is None else min(stop, self.n_frames)
        return self._whole.frames(self._start + start, self._start + stop)

    def coded_frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.float32]]:
        stop = self.n_frames if stop is None else min(stop, self.n_frames)
        return self._whole.coded_frames(self._start + start, self._start + stop)


def open_frames(path: str | os.PathLike[str], *, data_levels: bool = False, allow_hdr: bool = False) -> FrameSource:
    """Open a clip.

    Args:
        path: a folder of frames, a pattern of numbered frames (`shot.%04d.png`, `shot.####.png`), or a video file.
        data_levels: for video, as in `VideoReader`.
        allow_hdr: for video, as in `VideoFile`.

    Returns:
        The clip, its frames not yet read.

    Raises:
        InputError: missing, empty, frames of different kinds or sizes, a hole in the numbering, a single image, or
            something that cannot be decoded. The message says what was found and what was expected.
    """
    given = Path(path)
    if given.is_dir():
        files = _folder_frames(given)
        return ImageSequence(files, given.resolve().name)
    if given.is_file():
        suffix = given.suffix.lower()
        if suffix in FRAME_SUFFIXES | RAW_SUFFIXES:
            raise InputError(f"{given}: found one frame, expected a folder of frames, a pattern, or a video file")
        return VideoFile(given, data_levels=data_levels, allow_hdr=allow_hdr)
    if _PATTERN.search(given.name):
        return ImageSequence(
            _pattern_frames(given), _PATTERN.sub("", given.stem).rstrip("._- ") or given.resolve().parent.name
        )
    raise InputError(f"{given}: found nothing, expected a folder of frames or a video file")


def input_files(path: str | os.PathLike[str]) -> list[Path]:
    """The files that a clip's frames are read from, links followed; nothing is opened, and nothing need be there."""
    given = Path(path)
    if given.is_file():
        return [given.resolve()]
    try:
        if given.is_dir():
            return [p.resolve() for p in given.iterdir() if p.suffix.lower() in FRAME_SUFFIXES | RAW_SUFFIXES]
        if _PATTERN.search(given.name):
            return [p.resolve() for p in _pattern_frames(given)]
    except (OSError, InputError):  # opening it will say so
        pass
    return []


def _folder_frames(folder: Path) -> list[Path]:
    """The frames of a folder in natural order; hidden files and other kinds of file are passed over."""
    try:
        visible = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({error.strerror})") from error
    kinds_of_frame = FRAME_SUFFIXES | RAW_SUFFIXES
    files = sorted((p for p in visible if p.suffix.lower() in kinds_of_frame), key=natural_key)
    if not files:
        raise InputError(f"{folder}: found no frames, expected images: {', '.join(sorted(kinds_of_frame))}")
    kinds = Counter(_kind(p) for p in files)
    if len(kinds) > 1:
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        raise InputError(
            f"{folder}: found {listed} files, expected one kind (a pattern such as "
            f"{folder}/{_pattern_of(files[0])} picks one)"
        )
    several = _several_clips(files)
    if several:
        listed = " and ".join(f"{text}*" for text in several[:3])
        first = next(p for p in files if re.match(r"\D*", p.stem)[0] == several[0])  # type: ignore[index]
        raise InputError(
            f"{folder}: found frames of {len(several)} clips ({listed}), expected one (a pattern such as "
            f"{folder}/{_pattern_of(first)} picks one)"
        )
    _check_numbers(files)
    return files


def _pattern_of(file: Path) -> str:
    """The pattern of numbered files that one of them fits."""
    return re.sub(r"\d+(?=\D*$)", lambda m: "#" * len(m[0]), file.stem) + file.suffix


def _pattern_frames(pattern: Path) -> list[Path]:
    """The files on disk that fit a pattern of numbered frames, in order."""
    # Imported here: its parser takes a third of a second, and only patterns need it.
    from fileseq.constants import PAD_STYLE_HASH1
    from fileseq.exceptions import FileSeqException
    from fileseq.filesequence import FileSequence

    try:
        found = FileSequence.findSequenceOnDisk(str(pattern), strictPadding=True, pad_style=PAD_STYLE_HASH1)
    except (FileSeqException, OSError) as error:
        raise InputError(f"{pattern}: found no files of that pattern, expected numbered frames") from error
    files = [Path(name) for name in found]
    _check_numbers(files)
    return files


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    return {".jpeg": ".jpg", ".tiff": ".tif"}.get(suffix, suffix)


def _numbers(names: Sequence[str]) -> list[int] | None:
    """The numbers that count frames; None where it is not one number that differs, as in time codes and dates."""
    parts = [re.split(r"(\d+)", name) for name in names]
    if len({tuple(p[::2]) for p in parts}) != 1:
        return None
    differing = [k for k in range(1, len(parts[0]), 2) if len({p[k] for p in parts}) > 1]
    return [int(p[differing[0]]) for p in parts] if len(differing) == 1 else None


def _several_clips(files: Sequence[Path]) -> list[str]:
    """What the names of different clips in one folder begin with; empty where they are one clip's.

    A clip has at least two numbered frames; what counts is the text before the first digit.
    """
    begins = Counter(m[1] for m in (re.match(r"(\D*)\d", path.stem) for path in files) if m)
    found = sorted(text for text, count in begins.items() if count > 1)
    return found if len(found) > 1 else []


def _check_numbers(files: Sequence[Path]) -> None:
    """Refuse a hole in consecutive numbering: the exposures after it would be taken for each other."""
    found = _numbers([path.stem for path in files])
    if found is None:
        return
    numbers = sorted(set(found))
    gaps = [later - earlier for earlier, later in pairwise(numbers)]
    step = min(gaps, default=1)
    holes = sum(gap // step - 1 for gap in gaps)
    # A few holes in a regular numbering are lost frames; many, or none, are a person's own choice of frames.
    if holes == 0 or 4 * holes > len(numbers) or any(gap % step for gap in gaps):
        return
    missing = sorted(set(range(numbers[0], numbers[-1], step)) - set(numbers))
    shown = ", ".join(str(n) for n in missing[:5]) + (", ..." if len(missing) > 5 else "")
    raise InputError(
        f"{files[0].parent}: found no frame number {shown} between {files[0].name} and {files[-1].name}, expected "
        "all frames (a lost frame shifts the exposures of those after it)"
    )
