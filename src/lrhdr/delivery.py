"""The files of a run: names, the record that guards a resume, writing in a thread, headers, the preview.

Every EXR file is complete or absent (written under another name, then renamed), so what is there can be kept.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lrhdr._version import __version__
from lrhdr.checks import InputError
from lrhdr.io.atomic import output_error, write_bytes
from lrhdr.io.images import read_exr, read_exr_header, write_exr
from lrhdr.io.video_writer import VideoWriter
from lrhdr.pictures import display, preview_exposure

REC_709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""Chromaticities of red, green, blue and white (ITU-R BT.709-6, item 1.3 and 1.4)."""

PREVIEW_SAMPLES = 8
"""Frames, spread over the clip, that set the preview's one exposure."""

Progress = Callable[[str, int, int], None]
"""(what is being done, steps done, steps in all)."""


@dataclass(frozen=True)
class ClipFiles:
    """Names of the files of one run.

    Attributes:
        folder: where they lie.
        name: their stem.
        start_number: number of frame 0.
    """

    folder: Path
    name: str
    start_number: int

    @property
    def record(self) -> Path:
        """The file that holds the run's settings."""
        return self.folder / f"{self.name}.lrhdr.json"

    def path(self, index: int) -> Path:
        """The EXR file of an input frame."""
        return self.folder / f"{self.name}.{index + self.start_number:06d}.exr"

    def is_complete(self, index: int) -> bool:
        """Whether a frame is there; files are renamed into place when they are whole, so a readable header is proof."""
        path = self.path(index)
        if not path.is_file():
            return False
        try:
            read_exr_header(path)
        except InputError:
            return False
        return True

    def existing(self) -> list[Path]:
        """Files in the folder that carry this clip's name, whatever their number."""
        pattern = re.compile(re.escape(self.name) + r"\.\d{6,}\.exr")
        return [p for p in self.folder.iterdir() if pattern.fullmatch(p.name)]


def open_folder(clip: ClipFiles, settings: dict[str, Any], *, overwrite: bool) -> None:
    """Make the folder, or take up the run in it.

    Raises:
        InputError: the folder holds frames that other settings made, and `overwrite` is off.
        OutputError: the folder or its run file cannot be written.
    """
    try:
        clip.folder.mkdir(parents=True, exist_ok=True)
        existing = clip.existing()
        if existing and overwrite:
            for path in existing:
                path.unlink()
        elif existing:
            _check_settings(clip.record, settings, len(existing))
    except OSError as error:
        raise output_error(clip.folder, error) from error
    write_bytes(clip.record, (json.dumps(settings, indent=2) + "\n").encode())


def _check_settings(record: Path, settings: dict[str, Any], count: int) -> None:
    advice = "use another folder, or --overwrite to replace them"
    try:
        earlier = json.loads(record.read_text(encoding="utf-8"))
        different = sorted(key for key in settings if earlier.get(key) != settings[key])
    except FileNotFoundError:
        raise InputError(f"{record.parent}: holds {count} frames of that name but no {record.name}; {advice}") from None
    except (ValueError, AttributeError):
        raise InputError(f"{record}: not a readable run file, its {count} frames cannot be trusted; {advice}") from None
    if different:
        changes = ", ".join(f"{key} was {earlier.get(key)!r}, is {settings[key]!r}" for key in different[:2])
        raise InputError(f"{record.parent}: holds {count} frames made with other settings ({changes}); {advice}")


@contextmanager
def frame_writer(pending: int = 3) -> Iterator[Callable[..., None]]:
    """Write EXR files in a thread, so that encoding overlaps computing.

    An error is raised at the next call or at the end. Frames that were handed over are written even when the body is
    interrupted.
    """
    queue: deque[Future[None]] = deque()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="lrhdr-write") as pool:

        def write(path: Path, image: NDArray[np.float32], attributes: dict[str, Any], compression: str) -> None:
            while len(queue) >= pending or (queue and queue[0].done()):
                queue.popleft().result()
            queue.append(pool.submit(write_exr, path, image, attributes, cast(Any, compression)))

        yield write
        while queue:
            queue.popleft().result()


def frame_attributes(
    exposure: float, *, seconds: float | None, rate: Fraction | None, scale: str, weights_name: str
) -> dict[str, Any]:
    """Header of one EXR file.

    Args:
        exposure: relative exposure of the input frame.
        seconds: its exposure time, where known; becomes OpenEXR's own `expTime`.
        rate: frames per second, where known; becomes OpenEXR's own `framesPerSecond`.
        scale: "shortest" or "scene".
        weights_name: of the weights or the baseline.

    Returns:
        What `write_exr` takes.
    """
    attributes: dict[str, Any] = {
        "chromaticities": REC_709,
        "software": f"lrhdr {__version__}",
        "lrhdr:version": __version__,
        "lrhdr:weights": weights_name,
        "lrhdr:scale": scale,
        "lrhdr:exposure": float(exposure),
        "lrhdr:exposureStops": math.log2(exposure),
    }
    if seconds is not None:
        attributes["expTime"] = float(seconds)
    if rate is not None:
        attributes["framesPerSecond"] = rate
    return attributes


def write_preview(path: Path, frames: Iterable[Path], rate: Fraction, report: Progress) -> None:
    """Encode EXR frames as a tone-mapped SDR video, with one exposure for the whole clip.

    Made from the files after the reconstruction, so that an interrupted and resumed run gives the same preview.

    Args:
        path: the video, written atomically.
        frames: EXR files in order.
        rate: frames per second.
        report: progress.

    Raises:
        InputError: a frame cannot be read.
        OutputError: the video cannot be written.
    """
    paths = list(frames)
    sample = [paths[i * len(paths) // PREVIEW_SAMPLES] for i in range(PREVIEW_SAMPLES)]
    exposure = preview_exposure(read_exr(p) for p in dict.fromkeys(sample))
    height, width = read_exr(paths[0]).shape[:2]
    make_parent(path)
    with VideoWriter(path, rate, (height, width)) as video:
        for i, frame in enumerate(paths):
            video.write(display(read_exr(frame), exposure))
            report("preview", i + 1, len(paths))


def make_parent(path: Path) -> None:
    """Make the folder of a file.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
