"""The demo: reconstruct the clip that comes with the package, and score it against its ground truth.

The clip is `lrhdr/assets/demo`: PNG frames, `Exposures.txt`, and `truth/*.exr` (radiance, 1.0 = saturation of the
shortest exposure) for some frames, named by the frame's index.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lrhdr.checks import InputError
from lrhdr.io.images import read_exr
from lrhdr.io.sources import open_frames
from lrhdr.metrics.psnr import psnr_mu
from lrhdr.progress import Progress
from lrhdr.run_options import RunOptions, find_schedule
from lrhdr.runs import RunResult, build_reconstructor, run
from lrhdr.runs import summary as run_summary

CLIP = Path(__file__).parent / "assets" / "demo"
BASELINE = "completion"
"""What the network is compared with: the merge of the input with its interpolated frames."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo did.

    Attributes:
        run: the run's files.
        psnr_mu: PSNR_T in dB of the files on disk (half float), mean over the scored frames.
        baseline_psnr_mu: the same of the baseline.
        scored: indices of the frames with ground truth.
    """

    run: RunResult
    psnr_mu: float
    baseline_psnr_mu: float
    scored: tuple[int, ...]


def run_demo(output: str, options: RunOptions | None = None, progress: Progress | None = None) -> DemoResult:
    """Reconstruct the bundled clip with preview and contact sheet, and score it.

    Args:
        output: folder for everything.
        options: changes to the run; preview and sheet are added.
        progress: as in `run`.

    Returns:
        Files and scores.

    Raises:
        InputError: the clip is missing from the installation.
        WeightsError: the weights cannot be used.
        OutputError: something cannot be written.
    """
    if not CLIP.is_dir():
        raise InputError(f"{CLIP}: the demo clip is not part of this installation")
    given = options or RunOptions()
    folder = Path(output)
    chosen = RunOptions(
        method=given.method,
        weights=given.weights,
        interpolator=given.interpolator,
        threads=given.threads,
        device=given.device,
        name="demo",
        fps=given.fps or "12",
        preview=str(folder / "preview.mp4"),
        sheet=str(folder / "sheet.png"),
        report=str(folder / "report"),
        overwrite=True,  # the folder is the demo's own, and the time per frame is part of what it shows
    )
    result = run(str(CLIP), str(folder / "frames"), chosen, progress)
    truth = load_truth(CLIP / "truth")
    ours = {i: read_exr(result.frames[i]) for i in truth}
    source = open_frames(CLIP)
    schedule = find_schedule(source, str(CLIP), chosen)
    baseline, _, _ = build_reconstructor(RunOptions(method=BASELINE), schedule)
    skip = set(range(source.n_frames)) - set(truth)
    theirs: dict[int, NDArray[np.float32]] = {}
    for frame in baseline.reconstruct(source, schedule, skip=skip):
        theirs[frame.index] = frame.radiance
        if progress is not None:
            progress(f"score {BASELINE}", len(theirs), len(truth))
    return DemoResult(result, mean_psnr_mu(ours, truth), mean_psnr_mu(theirs, truth), tuple(sorted(truth)))


def load_truth(folder: Path) -> dict[int, NDArray[np.float32]]:
    """Ground truth frames by index.

    Args:
        folder: EXR files whose names end in the frame's index.

    Raises:
        InputError: no file, or one that cannot be read.
    """
    found = {int(m[1]): read_exr(p) for p in sorted(folder.glob("*.exr")) if (m := re.search(r"(\d+)$", p.stem))}
    if not found:
        raise InputError(f"{folder}: expected EXR files named by frame index, found none")
    return found


def mean_psnr_mu(predicted: Mapping[int, NDArray[np.float32]], truth: Mapping[int, NDArray[np.float32]]) -> float:
    """PSNR_T (μ = 5000) in dB, mean over the frames of `truth`; both are (H, W, 3) radiance."""
    scores = [float(psnr_mu(_tensor(predicted[i]), _tensor(target)).mean()) for i, target in truth.items()]
    return float(np.mean(scores))


def _tensor(image: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def summary(result: DemoResult) -> str:
    """What the demo did, for a terminal."""
    return (
        f"{run_summary(result.run)}\n"
        f"PSNR_T over {len(result.scored)} frames with ground truth: {result.psnr_mu:.2f} dB "
        f"({BASELINE} merge: {result.baseline_psnr_mu:.2f} dB)"
    )
