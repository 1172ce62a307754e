"""Pictures of an evaluation: scores frame by frame, and the frames where methods did worst.

The worst frames are chosen from the finished scores and reconstructed once more: nothing has to be kept while an
evaluation runs, and one that was stopped and went on has all its sheets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from lrhdr.baselines import BASELINES
from lrhdr.evaluation import FrameKey, Progress, evaluate
from lrhdr.evaluation_pictures import WorstFrames, write_sheets
from lrhdr.io.atomic import make_folder
from lrhdr.judges import JUDGES
from lrhdr.score_plots import write_plots
from lrhdr.scores import Evaluation
from lrhdr.takes import Clip


def draw_plots(result: Evaluation, folder: Path) -> list[Path]:
    """Plot the first of the metrics that frames have, frame by frame.

    Args:
        result: what was measured.
        folder: for the plots, made if missing.

    Returns:
        The files; none where no frame has a finite score.

    Raises:
        OutputError: a plot cannot be written.
    """
    judge = next((j for j in JUDGES.values() if any(j.name in r.metrics for r in result.frames)), None)
    if judge is None:
        return []
    make_folder(folder)
    return write_plots(result.frames, folder, judge.name, judge.label)


def worst_frames(result: Evaluation, count: int, methods: Collection[str]) -> set[FrameKey]:
    """The frames that sheets show: of each set, alternation, composite and method, of the clips with the lowest PSNR_T.

    Args:
        result: what was measured, with `psnr_t`; nothing is chosen without it.
        count: clips; of each its worst frame.
        methods: names of methods.

    Returns:
        (group, clip, stops, index).
    """
    lowest: dict[tuple[str, tuple[float, ...], bool, str], dict[str, tuple[float, int]]] = {}
    for r in result.frames:
        if r.method in methods and "psnr_t" in r.metrics:
            clips = lowest.setdefault((r.group, r.stops, r.composite, r.method), {})
            found = r.metrics["psnr_t"], r.index
            clips[r.clip] = min(clips.get(r.clip, found), found)
    return {
        (key[0], clip, key[1], index)
        for key, clips in lowest.items()
        for clip, (_, index) in sorted(clips.items(), key=lambda item: item[1])[:count]
    }


def draw_worst(
    result: Evaluation,
    count: int,
    chosen: Mapping[str, Any],
    clips: Sequence[Clip],
    measure: dict[str, Any],
    folder: Path,
    progress: Progress | None,
) -> None:
    """Reconstruct the worst frames once more, and draw them.

    Sheets are made of networks and predictions; of the baselines where there are none of these.

    Args:
        result: what was measured, with `psnr_t`; nothing is drawn without it.
        count: clips per sheet.
        chosen: the methods, as given to `evaluate`.
        clips: the clips, as given to `evaluate`.
        measure: further keywords of `evaluate`, `predictions` among them.
        folder: for the sheets, made if missing.
        progress: called after every frame.

    Raises:
        OutputError: a sheet cannot be written.
    """
    names = [*chosen, *measure["predictions"]]
    # The reference alone fails where it is clipped or noisy: a sheet of it shows nothing new.
    methods = [n for n in names if n not in BASELINES] or [n for n in names if n != "reference"] or names
    wanted = worst_frames(result, count, methods)
    if not wanted:
        return
    # Without the alternations that only baselines were run on: networks refuse those. A set's own are not among them.
    stops = [s for s in measure["stops"] if tuple(s) in {key[2] for key in wanted}] or measure["stops"]
    kept = WorstFrames(count, methods)
    evaluate(
        {name: method for name, method in chosen.items() if name in methods},
        [clip for clip in clips if any((clip.group, clip.name) == key[:2] for key in wanted)],
        **{**measure, "metrics": ("psnr_t", "ssim_t"), "bounds": False, "stops": stops},
        progress=(lambda what, done, total: progress(f"worst frames: {what}", done, total)) if progress else None,
        keep=kept,
        only=wanted,
    )
    make_folder(folder)
    write_sheets(kept, folder)
