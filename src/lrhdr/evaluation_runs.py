"""`lrhdr evaluate`: choose clips and methods, score them, write what was measured.

The data folder holds `hdr_val` (HDR stills, from which clips are rendered), `hdrvideo_val` (PQ or HLG video) and
`video_val` (ordinary video); what is there is used. Results are one JSON file with every number and how it was made,
and one Markdown file with the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lrhdr.baselines import BASELINES
from lrhdr.checks import InputError
from lrhdr.data.evaluation import EvaluationClip, generated_clips, hdrvideo_clips, video_clips
from lrhdr.evaluation import Progress, evaluate
from lrhdr.io.atomic import output_error, write_bytes
from lrhdr.pipeline import DEFAULT_INTERPOLATOR, NETWORK, set_threads
from lrhdr.scores import Evaluation
from lrhdr.weights import load_pretrained

SETS: dict[str, tuple[str, Callable[[Path], list[EvaluationClip]]]] = {
    "generated": ("hdr_val", generated_clips),
    "hdrvideo": ("hdrvideo_val", hdrvideo_clips),
    "video": ("video_val", video_clips),
}
"""Name of a set to its folder and the function that makes its clips."""


def score(
    data: Path | str,
    output: Path | str,
    *,
    sets: Sequence[str] | None = None,
    methods: Sequence[str] = (NETWORK, *BASELINES),
    weights: Sequence[str] | None = None,
    stops: Sequence[str] = ("2", "3"),
    interpolator: str | None = None,
    frames: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    threads: int | None = None,
    composite: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Score methods on evaluation clips and write `evaluation.json` and `evaluation.md`.

    Args:
        data: folder that holds the sets' folders.
        output: folder for the results, made if missing.
        sets: names of sets; None for all that the folder holds.
        methods: "lrhdr" for the network, and names of baselines.
        weights: bundled names or files, each a row of its own; None for `compact-<N>exp` of N exposures.
        stops: alternations: "3" for 0 and 3 EV, "0,2,4" for a period of its own.
        interpolator: its name; None for the one that the (first) weights were trained with.
        frames: at most this many frames of each clip; None for all.
        seed: of the camera noise.
        device: where to compute.
        threads: compute threads; None leaves them.
        composite: paste the reference, as the field's test scripts do.
        progress: called after every frame.

    Returns:
        The evaluation that was written.

    Raises:
        InputError: unknown or missing sets, methods or stops, or a network for another number of exposures.
        WeightsError: weights missing or damaged.
        OutputError: the results cannot be written.
    """
    alternations = [parse_alternation(text) for text in stops]
    clips = find_clips(Path(data), sets)
    unknown = [m for m in methods if m != NETWORK and m not in BASELINES]
    if unknown:
        raise InputError(f"methods: expected {', '.join((NETWORK, *BASELINES))}, found {unknown[0]!r}")
    chosen: dict[str, Any] = {}
    records = {}
    if NETWORK in methods:
        exposures = len(alternations[0])
        for name_or_path in weights or [f"compact-{exposures}exp"]:
            model, record = load_pretrained(name_or_path)
            name = record.name if record.name not in chosen else str(name_or_path)
            chosen[name], records[name] = model, record
    chosen |= {name: BASELINES[name] for name in methods if name != NETWORK}
    trained_with = next((r.interpolator for r in records.values()), DEFAULT_INTERPOLATOR)
    folder = Path(output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
    if threads is not None:
        set_threads(threads)
    result = evaluate(
        chosen,
        clips,
        stops=alternations,
        interpolator=interpolator or trained_with,
        frames=frames,
        seed=seed,
        device=device,
        composite=composite,
        progress=progress,
    )
    result.settings["weights"] = {name: record.sha256 for name, record in records.items()}
    result.write_json(folder / "evaluation.json")
    write_bytes(folder / "evaluation.md", (result.markdown() + "\n").encode())
    return result


def find_clips(data: Path, sets: Sequence[str] | None = None) -> list[EvaluationClip]:
    """The clips of the sets in a data folder.

    Args:
        data: folder that holds the sets' folders.
        sets: names of sets; None for all that the folder holds.

    Raises:
        InputError: unknown sets, or a folder that is missing or has nothing usable in it.
    """
    names = [name for name, (folder, _) in SETS.items() if (data / folder).is_dir()] if sets is None else list(sets)
    if not names:
        folders = ", ".join(folder for folder, _ in SETS.values())
        raise InputError(f"{data}: expected at least one of the folders {folders}, found none")
    clips: list[EvaluationClip] = []
    for name in names:
        if name not in SETS:
            raise InputError(f"sets: expected {', '.join(SETS)}, found {name!r}")
        folder, make = SETS[name]
        if not (data / folder).is_dir():
            raise InputError(f"{data / folder}: expected a folder, found nothing")
        clips += make(data / folder)
    return clips


def parse_alternation(text: str) -> tuple[float, ...]:
    """Stops of one period: "3" is 0 and 3 EV, "0,2,4" is itself.

    Raises:
        InputError: not a number.
    """
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        raise InputError(f"stops: expected 3 (for 0 and 3 EV) or 0,2,4, found {text!r}") from None
    return values if len(values) > 1 else (0.0, values[0])


def summary(result: Evaluation, output: Path | str) -> str:
    """The tables, and where the files are."""
    return f"{result.markdown()}\nwritten: {Path(output) / 'evaluation.json'}, {Path(output) / 'evaluation.md'}"
