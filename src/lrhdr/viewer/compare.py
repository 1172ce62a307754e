"""`lrhdr report A B [C]`: runs side by side on the same frames, with scores and difference maps where there is truth.

All frames are brought to one scale before anything is compared: linear Rec. 709, 1.0 = saturation of the shortest
exposure (files of `--scale scene` say their factor in `lrhdr:saturation`, the run's record says the colour space).
Scores are those of `lrhdr.metrics` on the files at full size; the page holds a sample of the frames if there are many.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.colour import COLORSPACES
from lrhdr.io.atomic import make_folder, output_error, write_bytes
from lrhdr.io.images import LINEAR_SUFFIXES, read_exr_header
from lrhdr.metrics.psnr import psnr_mu
from lrhdr.metrics.ssim import ssim_mu
from lrhdr.metrics.temporal import flicker
from lrhdr.viewer.manifest import SCALES, common, setting_rows, versions
from lrhdr.viewer.packing import block_mean, log_error, log_plane, pack, wrap
from lrhdr.viewer.page import build_page
from lrhdr.viewer.sampling import BUDGET, MAX_FRAMES, MAX_PIXELS, Allowance, select
from lrhdr.viewer.sequence import Sequence as Frames
from lrhdr.viewer.statistics import read_radiance

STEPS = (1 / 512, 1 / 256, 1 / 128, 1 / 64, 1 / 32)
"""Of the stored radiance, from fine to coarse."""

MAX_RUNS = 3

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Run:
    """One of the runs that are compared.

    Attributes:
        id: in the page: "run0", "run1", ...
        name: for people.
        frames: its files.
    """

    id: str
    name: str
    frames: Frames

    def radiance(self, index: int) -> Image:
        """A frame in the common scale, (H, W, 3).

        Raises:
            InputError: it cannot be read.
        """
        path = self.frames.path(index)
        space = COLORSPACES.get(str(self.frames.record.get("colorspace", "lin_rec709")), "bt709")
        header = read_exr_header(path) if path.suffix.lower() == ".exr" else {}
        gain = float(header.get("lrhdr:saturation", 1.0))
        return np.asarray(read_radiance(path, space) / np.float32(gain), dtype=np.float32)


def write_comparison(
    paths: Sequence[Path],
    folder: Path,
    *,
    truth: Path | None = None,
    names: Sequence[str] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    budget: int = BUDGET,
) -> Path:
    """Compare runs, and write the report.

    Args:
        paths: one to three folders of frames, as `reconstruct` leaves them.
        folder: for the report, made if missing.
        truth: folder of EXR files whose names end in the frame's index, 1.0 = saturation of the shortest exposure.
        names: of the runs; those of their weights or methods if not given.
        progress: called after every frame.
        budget: bytes of pixel data.

    Returns:
        The page.

    Raises:
        InputError: runs without a common frame, of different sizes, or files that cannot be read.
        OutputError: the report cannot be written.
    """
    runs = _open(paths, names)
    targets = _truth(truth) if truth is not None else {}
    indices = sorted(set.intersection(*({f.index for f in run.frames.frames} for run in runs)))
    if not indices:
        raise InputError(f"{paths[0]} and {paths[-1]}: expected frames of the same numbers in all, found none")
    for run in runs:
        if run.frames.root.resolve() == folder.resolve():
            raise InputError(f"output: {folder} holds a run's frames; expected another place")
    scored = [i for i in indices if i in targets]
    size = runs[0].radiance(indices[0]).shape[:2]
    # Where there is truth for some frames only, a sample shows those.
    shown = select(scored if scored and len(indices) > MAX_FRAMES else indices, size, 1, MAX_FRAMES, MAX_PIXELS)
    data = folder / "data"
    make_folder(data)
    try:
        for path in data.iterdir():
            if re.fullmatch(r"(frame|input)-\d{6,}\.js", path.name):
                path.unlink()
    except OSError as error:
        raise output_error(folder, error) from error
    allowance = Allowance(budget, len(shown.frames), len(STEPS))
    rows: list[dict[str, Any]] = []
    coarsest = 0
    before: dict[str, torch.Tensor] = {}
    for done, index in enumerate(indices):
        images = {run.id: run.radiance(index) for run in runs}
        if index in targets:
            images["truth"] = read_radiance(targets[index])
        for key, image in images.items():
            if image.shape[:2] != size:
                found, expected = (f"{w}x{h}" for h, w in (image.shape[:2], size))
                raise InputError(f"frame {index} of {key}: found {found} pixels, expected {expected}")
        tensors = {key: torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))[None] for key, x in images.items()}
        rows.append({run.id: _score(run.id, tensors, before, index) for run in runs})
        before = tensors
        if index in shown.frames:
            small = {key: block_mean(x, shown.reduce) for key, x in images.items()}
            write_bytes(data / f"frame-{index:06d}.js", allowance.fit(partial(_pack, index, small)))
            coarsest = max(coarsest, allowance.last)
        if progress is not None:
            progress("compare", done + 1, len(indices))
    manifest = _manifest(runs, indices, scored, shown.reduce, list(shown.frames), rows, size)
    share, constant = log_error(STEPS[coarsest])
    manifest |= {"precision": {"result": [share, constant]}}
    page = folder / "index.html"
    write_bytes(page, build_page(manifest))
    return page


def _open(paths: Sequence[Path], names: Sequence[str] | None) -> list[Run]:
    if not 1 <= len(paths) <= MAX_RUNS:
        raise InputError(f"report: expected one to {MAX_RUNS} runs, found {len(paths)}")
    if names is not None and len(names) != len(paths):
        raise InputError(f"names: expected {len(paths)}, one for each run, found {len(names)}")
    found = [Frames(path) for path in paths]
    chosen = list(names or [str(f.record.get("weights") or f.root.name) for f in found])
    if len(set(chosen)) < len(chosen):
        chosen = [str(p) for p in paths]
    return [Run(f"run{k}", name, frames) for k, (name, frames) in enumerate(zip(chosen, found, strict=True))]


def _truth(folder: Path) -> dict[int, Path]:
    files = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in LINEAR_SUFFIXES] if folder.is_dir() else []
    found = {int(m[1]): p for p in files if (m := re.search(r"(\d+)$", p.stem))}
    if not found:
        raise InputError(f"{folder}: expected EXR files named by frame index, found none")
    return found


def _score(
    run: str, now: dict[str, torch.Tensor], before: dict[str, torch.Tensor], index: int
) -> dict[str, float | None]:
    truth = now.get("truth")
    change = float(flicker(torch.cat((before[run], now[run])))) if run in before else None
    if truth is None:
        return {"flicker": change}
    # JSON has no infinity: an exact result has no PSNR to plot.
    psnr = float(psnr_mu(now[run], truth))
    return {"psnr_t": psnr if np.isfinite(psnr) else None, "ssim_t": float(ssim_mu(now[run], truth)), "flicker": change}


def _pack(index: int, images: dict[str, NDArray[Any]], choice: int) -> bytes:
    planes = {key: log_plane(x, STEPS[choice]) for key, x in images.items()}
    return wrap(f"frame-{index:06d}", pack(planes, {"index": index}, base="run0"))


def _mean(rows: list[dict[str, Any]], run: str, key: str) -> float | None:
    values = [row[run][key] for row in rows if row[run].get(key) is not None]
    return float(np.mean(values)) if values else None


def _manifest(
    runs: list[Run],
    indices: list[int],
    scored: list[int],
    reduce: int,
    shown: list[int],
    rows: list[dict[str, Any]],
    size: tuple[int, ...],
) -> dict[str, Any]:
    height, width = (-(-s // reduce) for s in size[:2])
    with_truth = set(scored)
    columns = [("PSNR_T, dB", "psnr_t", 2, max), ("SSIM_T", "ssim_t", 4, max), ("change", "flicker", 5, None)]
    columns = [c for c in columns if any(_mean(rows, run.id, c[1]) is not None for run in runs)]
    means: dict[str, list[float | None]] = {c[1]: [_mean(rows, run.id, c[1]) for run in runs] for c in columns}
    table = []
    for k, run in enumerate(runs):
        cells: list[Any] = [run.name]
        for _, key, digits, best in columns:
            value = means[key][k]
            given = [v for v in means[key] if v is not None]
            cells.append(
                {
                    "text": "–" if value is None else f"{value:.{digits}f}",
                    "value": value,
                    "best": best is not None and len(runs) > 1 and value == best(given),
                }
            )
        table.append(cells)
    tables = [
        {
            "id": "means",
            "title": "Means",
            "heads": ["run", *(c[0] for c in columns)],
            "rows": table,
            "note": (
                f"PSNR_T and SSIM_T over the {len(scored)} frames with ground truth, of the files at full size. "
                if scored
                else "No ground truth. "
            )
            + "Change: mean |T(H) − T(H before)|, motion and flicker together.",
        }
    ]
    if scored:
        tables.append(
            {
                "id": "by-frame",
                "title": "PSNR_T by frame, dB",
                "heads": ["frame", *(run.name for run in runs)],
                "rows": [
                    [
                        index,
                        *(
                            {"text": "inf" if (v := row[run.id]["psnr_t"]) is None else f"{v:.2f}", "value": v}
                            for run in runs
                        ),
                    ]
                    for index, row in zip(indices, rows, strict=True)
                    if index in with_truth
                ],
                "note": "",
            }
        )
    settings = [[f"{run.name}: {label}", value] for run in runs for label, value in setting_rows(run.frames.record)]
    count = len(indices)
    return {
        **common(
            " and ".join(
                [", ".join(run.name for run in runs[:-1]), runs[-1].name] if len(runs) > 1 else [runs[0].name]
            ),
            f"{count} frame{'s' if count != 1 else ''} of {size[1]} x {size[0]}, "
            + (f"ground truth for {len(scored)}" if scored else "no ground truth"),
            "compare",
            (height, width),
            (runs[0].radiance(i) for i in shown[:: max(1, len(shown) // 4)]),
        ),
        "scale": SCALES["shortest"],
        "gain": 1.0,
        "rate": 24.0,
        "total": count,
        "sampled": len(shown) < count,
        "reduce": reduce,
        "truth": bool(scored),
        "runs": [{"id": run.id, "name": run.name} for run in runs],
        "frames": [
            {
                "index": i,
                "file": runs[0].frames.path(i).name,
                "planes": [*(run.id for run in runs), *(["truth"] if i in with_truth else [])],
            }
            for i in shown
        ],
        "tables": tables,
        "series": {"frames": indices, "rows": rows},
        "settings": settings,
        "versions": versions(),
    }
