"""The report of a run: a folder that opens from disk, with no network.

    report/
      index.html            the page
      data/frame-000012.js  one frame: result, votes, candidates made for its time
      data/input-000012.js  one input frame, shared by the frames around it
      data/stamp.json       what the data were made from; with another stamp they are made anew

Frames are written as they are computed, each file complete or absent, so a report survives an interruption like the run
itself. `sampling` says what is left out of long clips and large frames, and with which precision the rest is stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.colour import COLORSPACES, to_rec709
from lrhdr.io.atomic import clear_stale, make_folder, output_error, write_bytes
from lrhdr.pictures import stops_label
from lrhdr.pipeline import HdrFrame
from lrhdr.viewer.manifest import SCALES, common, describe_candidates, setting_rows, versions
from lrhdr.viewer.packing import (
    block_mean,
    code_plane,
    header,
    log_error,
    log_plane,
    pack,
    share_plane,
    unwrap,
    wrap,
)
from lrhdr.viewer.page import build_page
from lrhdr.viewer.sampling import (
    BUDGET,
    FRAME_PRECISIONS,
    INPUT_SHARE,
    INPUT_STEPS,
    Allowance,
    Precision,
    Selection,
    select,
)
from lrhdr.viewer.statistics import clip_statistics, clipping, read_radiance

FORMAT = 2
"""Of the data files; part of the stamp."""

GAMMA = 2.2


@dataclass(frozen=True)
class ReportClip:
    """What a report has to know of a clip.

    Attributes:
        title: its name.
        size: (height, width) of its frames.
        exposures: relative exposures of one period, shortest = 1, of frame 0 onwards.
        gain: of the files over radiance (see `RunOptions.scale`).
        scale: "shortest" or "scene".
        colorspace: of the files, a name in `colour.COLORSPACES`. The page itself is in linear Rec. 709.
        primaries: of the reconstructed frames, a name in `colour.CHROMATICITIES`.
        rate: frames per second of the player.
        settings: the run's.
    """

    title: str
    size: tuple[int, int]
    exposures: tuple[float, ...]
    gain: float
    scale: str
    colorspace: str
    rate: float
    settings: Mapping[str, Any]
    primaries: str = "bt709"


def report_folder(folder: Path, title: str) -> Path:
    """Where a clip's report goes: `report` beside its frames, or `report-TITLE` where another clip's lies there."""
    plain = folder / "report"
    try:
        found = json.loads((plain / "data" / "stamp.json").read_text(encoding="utf-8"))["clip_name"]
    except (OSError, ValueError, KeyError, TypeError):
        return plain
    return plain if found == title else folder / f"report-{title}"


class ReportWriter:
    """Collects the frames of a report, and writes the page at the end.

    Args:
        folder: the report's, made if missing.
        clip: what is reported.
        indices: frames of the run.
        fresh: throw away the data of an earlier report in the folder.
        budget: bytes of pixel data.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(
        self, folder: Path, clip: ReportClip, indices: Sequence[int], *, fresh: bool = False, budget: int = BUDGET
    ) -> None:
        self.folder, self.clip = folder, clip
        self.selection: Selection = select(indices, clip.size, len(clip.exposures))
        reach = len(clip.exposures) - 1
        self._needed = sorted({k for i in self.selection.frames for k in range(max(0, i - reach), i + reach + 1)})
        self.data = folder / "data"
        make_folder(self.data)
        try:
            self._keep_or_clear(fresh)
        except OSError as error:
            raise output_error(folder, error) from error
        self._abouts = {i: about for i in self.selection.frames if (about := self._read(f"frame-{i:06d}"))}
        self._inputs = {k: about for k in self._needed if (about := self._read(f"input-{k:06d}"))}
        frames = len(self.selection.frames)
        self._frames = Allowance(budget * (1.0 - INPUT_SHARE), frames, len(FRAME_PRECISIONS))
        self._input_allowance = Allowance(budget * INPUT_SHARE, len(self._needed), len(INPUT_STEPS))
        self._wanted = {
            i
            for i in self.selection.frames
            if i not in self._abouts or any(k not in self._inputs for k in self._abouts[i]["window"])
        }
        for i in self._abouts.keys() - self._wanted:
            self._frames.spend(self._path(f"frame-{i:06d}").stat().st_size)
        for k in self._inputs:
            self._input_allowance.spend(self._path(f"input-{k:06d}").stat().st_size)

    def missing(self) -> set[int]:
        """Frames that have to be given to `add`: those of the report that are not on disk with all their inputs."""
        return set(self._wanted)

    def wants(self, index: int) -> bool:
        """Whether a frame has to be given to `add`."""
        return index in self._wanted

    def add(self, frame: HdrFrame) -> None:
        """Write one frame of the report.

        Args:
            frame: reconstructed with its maps.

        Raises:
            ValueError: it has no window.
            OutputError: it cannot be written.
        """
        if not frame.window:
            raise ValueError("report: expected a frame reconstructed with keep_maps")
        for k, ldr in zip(frame.window_indices, frame.window, strict=True):
            if k not in self._inputs:
                self._add_input(k, ldr)
        about = {
            "index": frame.index,
            "exposure": frame.exposure,
            "window": list(frame.window_indices),
            "exposures": list(frame.window_exposures),
            "candidates": 0 if frame.weights is None else len(frame.weights),
            "shares": None if frame.weights is None else [float(s) for s in frame.weights.mean(axis=(1, 2))],
        }
        name = f"frame-{frame.index:06d}"
        side, gain = self.selection.reduce, np.float32(self.clip.gain)
        # Through half floats, as the EXR file: the stated error is then against the file.
        primaries = self.clip.primaries
        radiance = to_rec709(frame.radiance, primaries) * gain
        result = block_mean(radiance.astype(np.float16).astype(np.float32), side)
        votes = None if frame.weights is None else block_mean(frame.weights.transpose(1, 2, 0), side)
        made = [] if frame.candidates is None else list(frame.candidates)[len(frame.window) :]
        first = len(frame.window)
        others = {f"candidate{first + j}": block_mean(to_rec709(x, primaries) * gain, side) for j, x in enumerate(made)}

        def encode(choice: int) -> bytes:
            precision = FRAME_PRECISIONS[choice]
            planes = {"result": log_plane(result, precision.result)}
            if votes is not None:
                planes["votes"] = share_plane(votes, precision.levels, precision.reduce)
            planes |= {key: log_plane(x, precision.candidate, precision.reduce) for key, x in others.items()}
            names = [*planes, *(f"window{j}" for j in range(first))]
            return wrap(name, pack(planes, about | {"precision": choice, "planes": names}, base="result"))

        write_bytes(self._path(name), self._frames.fit(encode))
        self._abouts[frame.index] = header(unwrap(self._path(name)))["about"]

    def finish(self, paths: Mapping[int, Path], progress: Callable[[int, int], None] | None = None) -> Path:
        """Read the files of the run back for the plots, and write the page.

        Args:
            paths: index to EXR file of every frame of the run, in order.
            progress: called with frames done and in all.

        Returns:
            The page.

        Raises:
            InputError: a frame cannot be read.
            OutputError: the page cannot be written.
        """
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, len(paths))

        rows = clip_statistics(paths.values(), COLORSPACES[self.clip.colorspace], step)
        path = self.folder / "index.html"
        write_bytes(path, build_page(self._manifest(paths, rows)))
        return path

    def _manifest(self, paths: Mapping[int, Path], rows: list[dict[str, Any]]) -> dict[str, Any]:
        clip, chosen = self.clip, self.selection
        height, width = (-(-s // chosen.reduce) for s in clip.size)
        samples = chosen.frames[:: max(1, len(chosen.frames) // 4)]
        settings = clip.settings
        method = str(settings.get("weights") or settings.get("method", ""))
        exposures = " and ".join(stops_label(e) for e in sorted(set(clip.exposures)))
        frames = f"{chosen.total} frame{'s' if chosen.total != 1 else ''} of {clip.size[1]} x {clip.size[0]}"
        sets: list[list[dict[str, Any]]] = []
        frames_about = []
        for i in chosen.frames:
            about = self._abouts[i]
            entries = describe_candidates(about["exposures"], about["candidates"])
            if entries not in sets:
                sets.append(entries)
            phase = min(range(len(clip.exposures)), key=lambda k: abs(clip.exposures[k] - about["exposure"]))
            more = {"set": sets.index(entries), "file": paths[i].name, "phase": phase}
            frames_about.append(about | more)
        return {
            **common(
                clip.title,
                f"{frames}, exposures {exposures}, {method}",
                "report",
                (height, width),
                (read_radiance(paths[i], COLORSPACES[clip.colorspace]) for i in samples),
            ),
            "scale": SCALES[clip.scale],
            "rate": clip.rate,
            "notice": self._notice(),
            "total": chosen.total,
            "sampled": chosen.sampled,
            "reduce": chosen.reduce,
            "gain": clip.gain,
            "frames": frames_about,
            "inputs": {str(k): about for k, about in sorted(self._inputs.items())},
            "candidateSets": sets,
            "precision": self._precision(),
            "series": {"frames": list(paths), "rows": rows},
            "settings": setting_rows(settings),
            "versions": versions(),
        }

    def _notice(self) -> str | None:
        lines = []
        if self.clip.colorspace != "lin_rec709":
            lines.append(f"The files are in {self.clip.colorspace}; colours and numbers here are linear Rec. 709.")
        if self.clip.primaries != "bt709":
            lines.append(f"Input frames are shown as they are, in {self.clip.primaries}.")
        return " ".join(lines) or None

    def _precision(self) -> dict[str, Any]:
        """The coarsest that was used."""
        used: Precision = FRAME_PRECISIONS[max(about["precision"] for about in self._abouts.values())]
        share, constant = log_error(used.result)
        candidate_share, candidate_constant = log_error(used.candidate)
        return {
            "result": [share, constant],
            "candidate": [candidate_share, candidate_constant],
            "votes": 1.0 / used.levels,
            "reduce": used.reduce,
            "input": max((about["step"] for about in self._inputs.values()), default=1) // 2,
        }

    def _add_input(self, index: int, ldr: NDArray[np.float32]) -> None:
        name, side = f"input-{index:06d}", self.selection.reduce
        small = ldr if side == 1 else block_mean(ldr.clip(0.0, 1.0) ** GAMMA, side) ** (1.0 / GAMMA)
        about = {"index": index, **clipping(ldr)}

        def encode(choice: int) -> bytes:
            step = INPUT_STEPS[choice]
            return wrap(name, pack({"input": code_plane(small, step)}, about | {"step": step}))

        write_bytes(self._path(name), self._input_allowance.fit(encode))
        self._inputs[index] = header(unwrap(self._path(name)))["about"]

    def _path(self, name: str) -> Path:
        return self.data / f"{name}.js"

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            about: dict[str, Any] = header(unwrap(self._path(name)))["about"]
        except InputError:
            return None
        return about

    def _keep_or_clear(self, fresh: bool) -> None:
        """Keep the data of the same run; throw away those of another, and those that this report does not show."""
        clear_stale(self.folder)
        clear_stale(self.data)
        stamp = self.data / "stamp.json"
        wanted = json.dumps(
            {"format": FORMAT, "clip_name": self.clip.title, "reduce": self.selection.reduce, **self.clip.settings},
            indent=1,
            default=str,
        )
        same = not fresh and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted
        keep = {f"frame-{i:06d}.js" for i in self.selection.frames} | {f"input-{k:06d}.js" for k in self._needed}
        for path in self.data.iterdir():
            if re.fullmatch(r"(frame|input)-\d{6,}\.js", path.name) and not (same and path.name in keep):
                path.unlink()
        if not same:
            write_bytes(stamp, wanted.encode())
