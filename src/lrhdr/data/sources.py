"""What training samples are made from: a folder of HDR stills and a folder of ordinary video, decoded once and kept.

- `hdr_dir/*.exr, *.hdr`: scene-linear; width = 2 x height means equirectangular panorama.
- `video_dir/*`: video files, and folders of JPEG or PNG frames (one video each).
"""

from __future__ import annotations

import fnmatch
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.footage import moving_frames, split_shots
from lrhdr.io.images import read_hdr, read_image
from lrhdr.io.sources import VIDEO_SUFFIXES
from lrhdr.io.video import VideoReader
from lrhdr.views import HdrSource, prepare_source

_STILLS = (".exr", ".hdr")
_FRAMES = (".jpg", ".jpeg", ".png")
_LONGEST_VIDEO = 2000


def _excluded(name: str, exclude: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in exclude)


class HdrLibrary:
    """The stills of a folder, read when first asked for.

    Args:
        folder: with `.exr` and `.hdr` files.
        exclude: shell patterns of file names (without suffix) to leave out.

    Raises:
        InputError: no such files.
    """

    def __init__(self, folder: Path, exclude: Sequence[str] = ()) -> None:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in _STILLS) if folder.is_dir() else []
        self._files = [p for p in files if not _excluded(p.stem, exclude)]
        if not self._files:
            raise InputError(f"{folder}: expected HDR stills ({', '.join(_STILLS)}), found none")
        self._loaded: dict[int, HdrSource] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """File names without suffix, sorted."""
        return tuple(p.stem for p in self._files)

    def __len__(self) -> int:
        """How many stills."""
        return len(self._files)

    def __getitem__(self, index: int) -> HdrSource:
        """A still, prepared.

        Raises:
            InputError: the file cannot be read.
        """
        if index not in self._loaded:
            self._loaded[index] = load_still(self._files[index])
        return self._loaded[index]


def load_still(path: Path) -> HdrSource:
    """Read one scene-linear still.

    Raises:
        InputError: the file cannot be read or holds no linear RGB.
    """
    return prepare_source(path.stem, read_hdr(path))


def _grey_frames(path: Path) -> Iterator[NDArray[np.float32]]:
    """Luma of every frame, (H, W), about 0 to 255: enough to find cuts and borders, without converting colours."""
    if path.is_dir():
        for file in _frame_files(path):
            yield read_image(file).mean(2) * np.float32(255.0)
        return
    reader = VideoReader(path)
    for frame in reader.planes():
        luma = frame.planes[0].astype(np.float32) * np.float32(255.0 / (2**frame.bits - 1))
        yield np.rot90(luma, reader.rotation // 90)


def _colour_frames(path: Path) -> Iterator[NDArray[np.float32]]:
    """Every frame, (H, W, 3), encoded, [0, 1]."""
    if path.is_dir():
        return (read_image(file) for file in _frame_files(path))
    return iter(VideoReader(path))


def _frame_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _FRAMES)


def _content_box(greys: Sequence[NDArray[np.float32]]) -> tuple[slice, slice]:
    """Rows and columns inside black borders (letterbox), from the luma of a few frames."""
    bright = np.max(np.stack(greys), 0)
    # 24: limited-range black is 16.
    rows = np.flatnonzero(np.percentile(bright, 95, axis=1) > 24)
    columns = np.flatnonzero(np.percentile(bright, 95, axis=0) > 24)
    height, width = bright.shape
    if len(rows) < height // 2 or len(columns) < width // 2:
        return slice(0, height), slice(0, width)  # a dark scene, not a border
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    # Two pixels more: the border's edge is blurred by compression.
    return (
        slice(top + 2 if top else 0, bottom - 2 if bottom < height else height),
        slice(left + 2 if left else 0, right - 2 if right < width else width),
    )


@dataclass(frozen=True)
class Footage:
    """Frames of one video that are fit for use.

    Attributes:
        name: of the file, without suffix.
        shots: each (n, h, w, 3) uint8 RGB, downscaled, without cuts and repeats.
        energy: mean change per frame of each shot, grey levels (how much it moves).
    """

    name: str
    shots: tuple[NDArray[np.uint8], ...]
    energy: tuple[float, ...]


def load_footage(path: Path, *, short_side: int = 420, minimum: int = 256, max_frames: int = 120) -> Footage:
    """Decode a video, downscale it by at least 1.5 where its size allows, and keep usable spans of it.

    Args:
        path: a video file or a folder of frames.
        short_side: frames are brought to at most so many pixels on the shorter side.
        minimum: ... and to no fewer than this, as far as the video has them.
        max_frames: keep at most about so many frames, in spans of up to 30 spread over the video.

    Returns:
        The footage; no shots if nothing is usable.

    Raises:
        InputError: cannot be decoded.
    """
    # Two passes, the first in grey for cuts and borders: whole videos in colour do not fit in memory.
    thumbnails: list[NDArray[np.float32]] = []
    probes: list[NDArray[np.float32]] = []
    for i, luma in enumerate(itertools.islice(_grey_frames(path), _LONGEST_VIDEO)):
        thumbnails.append(np.asarray(cv2.resize(luma, (96, 54), interpolation=cv2.INTER_AREA), np.float32))
        if i % 50 == 0:
            probes.append(luma)
    if not thumbnails:
        return Footage(path.stem, (), ())
    box = _content_box(probes)
    grey = np.stack(thumbnails)
    spans = _spread_spans(grey, max_frames)
    wanted = {i for span in spans for i in span}
    chosen: dict[int, NDArray[np.uint8]] = {}
    for i, frame in enumerate(itertools.islice(_colour_frames(path), max(wanted, default=-1) + 1)):
        if i in wanted:
            chosen[i] = _downscale(frame[box], short_side, minimum)
    shots = tuple(np.stack([chosen[i] for i in span]) for span in spans)
    energy = tuple(float(np.abs(np.diff(grey[span], axis=0)).mean()) for span in spans)
    return Footage(path.stem, shots, energy)


def _spread_spans(grey: NDArray[np.float32], max_frames: int) -> list[list[int]]:
    """Choose spans of 9 to 30 moving frames without a cut, together about `max_frames`, spread over the video."""
    kept = moving_frames(grey)
    spans: list[list[int]] = []
    for first, stop in split_shots(grey[kept], shortest=9):
        pieces = [kept[start : min(start + 30, stop)] for start in range(first, stop, 30)]
        spans.extend(piece for piece in pieces if len(piece) >= 9)
    count = max(1, max_frames // 30)
    if len(spans) <= count:
        return spans
    lengths = np.cumsum([len(s) for s in spans])
    picks = np.searchsorted(lengths, (np.arange(count) + 0.5) * lengths[-1] / count)
    return [spans[int(i)] for i in dict.fromkeys(picks.tolist())]


def _downscale(frame: NDArray[np.float32], short_side: int, minimum: int) -> NDArray[np.uint8]:
    """Bring an encoded frame to at most `short_side` and to two thirds of its size, but not below `minimum`."""
    shorter = min(frame.shape[:2])
    goal = min(max(minimum, min(short_side, round(shorter / 1.5))), shorter)
    height, width = (max(round(side * goal / shorter), goal) for side in frame.shape[:2])
    small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return np.rint(small.clip(0.0, 1.0) * 255.0).astype(np.uint8)


class VideoLibrary:
    """The videos of a folder, decoded when first asked for and kept downscaled (about 100 MB each).

    Args:
        folder: with video files or folders of frames.
        exclude: shell patterns of names (without suffix) to leave out.
        minimum: smallest side that the frames must keep, pixels.

    Raises:
        InputError: nothing in it.
    """

    def __init__(self, folder: Path, exclude: Sequence[str] = (), minimum: int = 320) -> None:
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        self._files = [
            p for p in entries if (p.is_dir() or p.suffix.lower() in VIDEO_SUFFIXES) and not _excluded(p.stem, exclude)
        ]
        if not self._files:
            raise InputError(f"{folder}: expected videos, found none")
        self._minimum = minimum
        self._loaded: dict[int, Footage] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """File names without suffix, sorted."""
        return tuple(p.stem for p in self._files)

    def __len__(self) -> int:
        """How many videos."""
        return len(self._files)

    def __getitem__(self, index: int) -> Footage:
        """The usable footage of one video.

        Raises:
            InputError: the file cannot be decoded.
        """
        if index not in self._loaded:
            path = self._files[index]
            self._loaded[index] = load_footage(path, short_side=max(420, self._minimum), minimum=self._minimum)
        return self._loaded[index]


def sample_footage(
    footage: Footage, n_frames: int, size: tuple[int, int], rng: np.random.Generator, least: tuple[int, int]
) -> NDArray[np.uint8] | None:
    """Cut a clip out of footage: a span, a frame skip for more motion, a zoom, and a crop that moves rather than not.

    Args:
        footage: from which.
        n_frames: length.
        size: (H, W) wanted.
        rng: where the numbers come from.
        least: (H, W) accepted where the footage has fewer pixels than `size`.

    Returns:
        (n_frames, h, w, 3) uint8 with least <= (h, w) <= size; None if no shot is long or large enough.
    """
    usable = [
        i
        for i, s in enumerate(footage.shots)
        if len(s) >= n_frames and s.shape[1] >= least[0] and s.shape[2] >= least[1]
    ]
    if not usable:
        return None
    odds = np.array([math.sqrt(footage.energy[i]) + 0.3 for i in usable])
    shot = footage.shots[usable[int(rng.choice(len(usable), p=odds / odds.sum()))]]
    longest_skip = (len(shot) - 1) // (n_frames - 1) if n_frames > 1 else 1
    skip = int(min(rng.choice([1, 2, 3, 4], p=[0.45, 0.27, 0.16, 0.12]), longest_skip))
    start = int(rng.integers(0, len(shot) - skip * (n_frames - 1)))
    frames = shot[start : start + skip * (n_frames - 1) + 1 : skip]
    if rng.random() < 0.5:
        frames = frames[::-1]
    height, width = frames.shape[1:3]
    smallest = max(least[0] / height, least[1] / width, min(1.0, max(size[0] / height, size[1] / width)))
    zoom = float(rng.uniform(smallest, 1.0)) if smallest < 1.0 else 1.0
    window_h = min(height, round(size[0] / zoom))
    window_w = min(width, round(size[1] / zoom))
    # Of a few places, mostly the ones with structure and motion: random crops of real video are often bare wall.
    places = [
        (int(rng.integers(0, height - window_h + 1)), int(rng.integers(0, width - window_w + 1))) for _ in range(5)
    ]
    grey = frames[[0, len(frames) // 2, -1]][:, ::4, ::4].mean(-1)
    scores = []
    for top, left in places:
        patch = grey[:, top // 4 : (top + window_h) // 4, left // 4 : (left + window_w) // 4]
        moving = float(np.abs(patch[1] - patch[0]).mean() + np.abs(patch[2] - patch[1]).mean())
        scores.append((2.0 + moving) * (1.0 + float(np.abs(np.diff(patch[1], axis=1)).mean())))
    weight = np.array(scores)
    top, left = places[int(rng.choice(len(places), p=weight / weight.sum()))]
    crop = frames[:, top : top + window_h, left : left + window_w]
    goal = (min(size[0], max(least[0], round(window_h * zoom))), min(size[1], max(least[1], round(window_w * zoom))))
    if (window_h, window_w) == goal:
        return np.ascontiguousarray(crop)
    return np.stack([cv2.resize(f, goal[::-1], interpolation=cv2.INTER_AREA) for f in crop])
