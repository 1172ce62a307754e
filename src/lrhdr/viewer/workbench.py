"""What the interactive demo does with a clip that somebody drops: keep it, inspect it, reconstruct a few frames.

Nothing here knows of the page that calls it (`app`); everything stays in one folder.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lrhdr.checks import InputError, LrhdrError
from lrhdr.inspection import inspect
from lrhdr.io.atomic import output_error
from lrhdr.io.images import FRAME_SUFFIXES
from lrhdr.io.sources import open_frames
from lrhdr.progress import Progress
from lrhdr.run_options import RunOptions
from lrhdr.runs import run

MAX_FRAMES = 24
"""Frames that one reconstruction may have: enough to look at."""


@dataclass(frozen=True)
class Reconstructed:
    """What a reconstruction left.

    Attributes:
        frames: folder of the EXR frames, for the viewer.
        sheet: the contact sheet.
        archive: the EXR frames as a zip file.
        hdr10: the clip as HDR10 video; None where it could not be made.
        message: how it went.
    """

    frames: Path
    sheet: Path
    archive: Path
    hdr10: Path | None
    message: str


class Workbench:
    """One clip at a time.

    Args:
        folder: where everything is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clip: Path | None = None

    def take(self, files: Sequence[str | Path]) -> str:
        """Keep the files of a clip, and say what they are.

        Args:
            files: one video, or frames.

        Returns:
            What `lrhdr inspect` says.

        Raises:
            InputError: nothing, or a mixture.
            OutputError: the files cannot be kept.
        """
        paths = [Path(f) for f in files]
        frames = [p for p in paths if p.suffix.lower() in FRAME_SUFFIXES]
        if not paths or (frames and len(frames) < len(paths)) or (not frames and len(paths) > 1):
            raise InputError(f"clip: expected one video, or frames of one kind, found {len(paths)} files")
        target = self.folder / "clip"
        shutil.rmtree(target, ignore_errors=True)
        try:
            target.mkdir(parents=True)  # not of an earlier clip whose files could not be removed
            for path in paths:
                shutil.copyfile(path, target / path.name)
        except OSError as error:
            raise output_error(target, error) from error
        self.clip = target if frames else target / paths[0].name
        return str(inspect(str(self.clip)))

    def reconstruct(
        self,
        *,
        stops: str = "",
        start: str = "0",
        first: int = 0,
        count: int = 8,
        method: str = "lrhdr",
        weights: str | None = None,
        progress: Progress | None = None,
    ) -> Reconstructed:
        """Reconstruct a few frames of the clip.

        Args:
            stops: exposures of one period in stops, "0,3"; empty for what the clip says of itself.
            start: which of them the first frame of the clip has, as in `RunOptions`.
            first: index of the first frame.
            count: frames, at most `MAX_FRAMES`.
            method: as in `RunOptions`.
            weights: as in `RunOptions`.
            progress: as in `run`.

        Raises:
            InputError: no clip, or one that cannot be used like this.
        """
        if self.clip is None:
            raise InputError("clip: expected a video or frames first, found nothing")
        if not 1 <= count <= MAX_FRAMES or first < 0:
            raise InputError(f"frames: expected 1 to {MAX_FRAMES} from 0 or later, found {count} from {first}")
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        options = RunOptions(
            stops=stops.strip() or None,
            start=start.strip() or "0",
            method=method,
            weights=weights,
            frames=f"{first}:{first + count}",
            name="result",
            # Frames do not say their rate, and a video needs one; it is part of the run from the start.
            fps=None if open_frames(self.clip).fps else "24",
            sheet=str(out / "sheet.png"),
            report=str(out / "report"),
            aov="votes,candidates,confidence" if method == "lrhdr" else None,
        )
        result = run(str(self.clip), str(out / "frames"), options, progress)
        message = f"{len(result.frames)} frames, {result.seconds / max(1, result.written):.2f} s each."
        hdr10: Path | None = out / "result.mp4"
        try:
            # The frames are there already: this encodes them and computes nothing anew.
            run(
                str(self.clip),
                str(out / "frames"),
                replace(options, sheet=None, report=None, hdr10=str(hdr10)),
                progress,
            )
        except LrhdrError as error:
            hdr10, message = None, f"{message} No HDR10 video: {error}"
        archive = out / "result-exr.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as bundle:
            for path in result.frames:
                bundle.write(path, path.name)
        return Reconstructed(out / "frames", out / "sheet.png", archive, hdr10, message)
