"""The files of a run: names, the record that guards a resume, writing in a thread, headers.

Every EXR file is complete or absent (written under another name, then renamed), so what is there can be kept.
"""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from lrhdr._version import __version__
from lrhdr.checks import InputError
from lrhdr.colour import CHROMATICITIES, COLORSPACES, conversion_matrix
from lrhdr.io.atomic import clear_stale, make_folder, make_parent, output_error, write_bytes
from lrhdr.io.exr import encode_exr_layers
from lrhdr.io.images import read_exr_header, write_exr
from lrhdr.timecode import Timecode

INTEROP_IDS = {
    "lin_rec709": "lin_rec709_scene",
    "lin_rec2020": "lin_rec2020_scene",
    "acescg": "lin_ap1_scene",
    "ap0": "lin_ap0_scene",
}
"""Names of the Color Interop Forum for the delivery spaces, which OpenEXR 3.4 and OpenImageIO 3.1 know."""

_QUEUED = 3  # frames that wait to be written, at most


@dataclass(frozen=True)
class ClipFiles:
    """Names of the files of one run.

    Attributes:
        folder: where they lie.
        name: their stem.
        start_number: number of frame 0.
        padding: digits of the numbers, at least.
    """

    folder: Path
    name: str
    start_number: int
    padding: int = 6

    @property
    def record(self) -> Path:
        """The file that holds the run's settings."""
        return self.folder / f"{self.name}.lrhdr.json"

    def path(self, index: int) -> Path:
        """The EXR file of an input frame."""
        return self.folder / f"{self.name}.{self.number(index)}.exr"

    def layers_path(self, index: int) -> Path:
        """The EXR file of an input frame's layers (see `lrhdr.aov`), in a folder of its own."""
        return self.folder / "aov" / f"{self.name}_aov.{self.number(index)}.exr"

    def number(self, index: int) -> str:
        """The number in the file names of an input frame."""
        return f"{index + self.start_number:0{self.padding}d}"

    def is_complete(self, index: int, layers: str = "") -> bool:
        """Whether a frame is there; files are renamed into place when they are whole, so a readable header is proof.

        Args:
            index: of the input frame.
            layers: the layers that its second file must hold ("" for none is needed).
        """
        if _header(self.path(index)) is None:
            return False
        if not layers:
            return True
        header = _header(self.layers_path(index))
        return header is not None and header.get("lrhdr:layers") == layers

    def existing(self) -> list[Path]:
        """Files that carry this clip's name, whatever their number; frames and layers."""
        found = []
        for folder, stem in ((self.folder, self.name), (self.folder / "aov", f"{self.name}_aov")):
            pattern = re.compile(re.escape(stem) + r"\.\d+\.exr")
            found += [p for p in folder.iterdir() if pattern.fullmatch(p.name)] if folder.is_dir() else []
        return found


def _header(path: Path) -> dict[str, Any] | None:
    try:
        return read_exr_header(path) if path.is_file() else None
    except InputError:
        return None


def open_folder(
    clip: ClipFiles, settings: dict[str, Any], *, overwrite: bool, wanted: Collection[int] | None = None
) -> None:
    """Make the folder, or take up the run in it; several parts of one run may do so at the same time.

    Args:
        clip: the names of its files.
        settings: what the run's frames depend on.
        overwrite: throw away earlier frames: all that other settings made; of those that these settings made, the
            wanted ones, because the others may be another part's.
        wanted: frames of this part of the run; None for all.

    Raises:
        InputError: the folder holds frames that other settings made, and `overwrite` is off.
        OutputError: the folder or its run file cannot be written.
    """
    make_folder(clip.folder)
    try:
        for folder in (clip.folder, clip.folder / "aov"):
            clear_stale(folder)
        record = (json.dumps(settings, indent=2) + "\n").encode()
        same = clip.record.is_file() and clip.record.read_bytes() == record
        existing = clip.existing()
        if existing and overwrite:
            if same and wanted is not None:
                ours = {path for i in wanted for path in (clip.path(i), clip.layers_path(i))}
                existing = [path for path in existing if path in ours]
            for path in existing:
                path.unlink(missing_ok=True)
        elif existing:
            _check_settings(clip.record, settings, len(existing))
    except OSError as error:
        raise output_error(clip.folder, error) from error
    if not same:
        write_bytes(clip.record, record)


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
        if set(different) <= {"weights", "weights_sha256"} and "weights" in different:
            advice = f"--weights {earlier['weights']} goes on with them; or {advice}"
        changes = ", ".join(f"{key} was {earlier.get(key)!r}, is {settings[key]!r}" for key in different[:2])
        raise InputError(f"{record.parent}: holds {count} frames made with other settings ({changes}); {advice}")


@contextmanager
def frame_writer() -> Iterator[Callable[..., None]]:
    """Write files in a thread, so that encoding overlaps computing.

    Gives a function that takes another function and its arguments, to be called in order. An error is raised at the
    next call or at the end. Frames that were handed over are written even when the body is interrupted.
    """
    queue: deque[Future[None]] = deque()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="lrhdr-write") as pool:

        def write(function: Callable[..., None], *arguments: Any) -> None:
            while len(queue) >= _QUEUED or (queue and queue[0].done()):
                queue.popleft().result()
            queue.append(pool.submit(function, *arguments))

        yield write
        while queue:
            queue.popleft().result()


@dataclass(frozen=True)
class FrameStyle:
    """How radiance becomes the values and the header of a clip's EXR files.

    Attributes:
        colorspace: a name in `colour.COLORSPACES`.
        scale: "shortest" or "scene".
        gain: factor from radiance (1.0 = saturation of the shortest exposure) to the values.
        white_luminance: cd/m² of the value 1.0; becomes OpenEXR's `whiteLuminance`.
        compression: of the files.
        rate: frames per second, where known; becomes OpenEXR's `framesPerSecond`.
        weights_name: of the weights or the baseline.
        source_primaries: of the radiance, a name in `colour.CHROMATICITIES`.
        precision: of the convolutions, "fp32" or "bf16".
    """

    colorspace: str
    scale: str
    gain: float
    white_luminance: float
    compression: str
    rate: Fraction | None
    weights_name: str
    source_primaries: str = "bt709"
    precision: str = "fp32"

    def values(self, radiance: NDArray[np.float32]) -> NDArray[np.float32]:
        """Radiance, (H, W, 3), as it is stored, maybe itself; colours outside a narrower space become negative."""
        target = COLORSPACES[self.colorspace]
        if target == self.source_primaries:
            return radiance if self.gain == 1.0 else radiance * np.float32(self.gain)
        matrix = conversion_matrix(self.source_primaries, target) * self.gain
        return np.asarray(cv2.transform(radiance, matrix.astype(np.float32)), np.float32)

    def attributes(
        self, exposure: float, *, seconds: float | None = None, timecode: Timecode | None = None
    ) -> dict[str, Any]:
        """Header of one file.

        Args:
            exposure: relative exposure of the input frame.
            seconds: its exposure time, where known; becomes OpenEXR's `expTime`.
            timecode: its time code, where it has one.

        Returns:
            What `encode_exr` takes.
        """
        attributes: dict[str, Any] = {
            "chromaticities": tuple(CHROMATICITIES[COLORSPACES[self.colorspace]]),
            "colorInteropID": INTEROP_IDS[self.colorspace],
            "whiteLuminance": float(self.white_luminance),
            "software": f"lrhdr {__version__}",
            "lrhdr:version": __version__,
            "lrhdr:weights": self.weights_name,
            "lrhdr:precision": self.precision,
            "lrhdr:scale": self.scale,
            "lrhdr:saturation": float(self.gain),
            "lrhdr:exposure": float(exposure),
            "lrhdr:exposureStops": math.log2(exposure),
        }
        if seconds is not None:
            attributes["expTime"] = float(seconds)
        if self.rate is not None:
            attributes["framesPerSecond"] = self.rate
        if timecode is not None:
            attributes["timeCode"] = timecode
        return attributes

    def write(self, path: Path, radiance: NDArray[np.float32], attributes: dict[str, Any]) -> None:
        """Write a frame; see `write_exr` for what it raises."""
        write_exr(path, self.values(radiance), attributes, cast(Any, self.compression))

    def write_layers(self, path: Path, layers: dict[str, NDArray[np.float32]], attributes: dict[str, Any]) -> None:
        """Write a frame's layers; lossless, whatever the frames' own compression is."""
        lossless = "zip" if self.compression == "dwaa" else self.compression
        make_parent(path)
        write_bytes(path, encode_exr_layers(layers, attributes, cast(Any, lossless)))
