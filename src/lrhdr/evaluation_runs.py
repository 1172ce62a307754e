"""`lrhdr evaluate`: choose clips and methods, score them, write what was measured.

Results are one JSON file with every number and how it was made, one Markdown file with the tables, and pictures: scores
frame by frame, and the frames where a method did worst. What is measured is kept after every clip in `unfinished.json`:
the same command, started again after a stop, goes on from there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lrhdr._version import __version__
from lrhdr.baselines import BASELINES
from lrhdr.camera import CameraConfig
from lrhdr.checks import InputError
from lrhdr.data.bench import BenchClip
from lrhdr.data.labelled import LabelledClip
from lrhdr.data.recording import RECORDINGS
from lrhdr.evaluation import Progress, evaluate
from lrhdr.evaluation_drawing import draw_plots, draw_worst
from lrhdr.evaluation_sources import find_source, select
from lrhdr.io.atomic import make_folder, write_bytes
from lrhdr.judges import DEFAULT_METRICS
from lrhdr.pipeline import DEFAULT_INTERPOLATOR, NETWORK, set_threads
from lrhdr.protocols import DEFAULT_PROTOCOL, Display, get_protocol
from lrhdr.score_tables import markdown
from lrhdr.scores import Evaluation
from lrhdr.takes import Clip, schedules
from lrhdr.weights import WeightsRecord, bundled_names, default_weights, load_pretrained

UNFINISHED = "unfinished.json"
PICTURES = "pictures"

COMPOSITES = {"off": False, "on": True, "both": "both"}


def score(
    dataset: Path | str | None,
    output: Path | str,
    *,
    data: Path | str | None = None,
    sets: Sequence[str] | None = None,
    clips: Sequence[str] | None = None,
    exposures: int | None = None,
    methods: Sequence[str] | None = None,
    weights: Sequence[str] | None = None,
    predictions: Sequence[str] | None = None,
    protocol: str = DEFAULT_PROTOCOL,
    composite: str | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    peak: float = Display.peak,
    pixels_per_degree: float = Display.pixels_per_degree,
    frames_per_second: float = Display.frames_per_second,
    stops: Sequence[str] = ("2", "3"),
    interpolator: str | None = None,
    bounds: bool = True,
    frames: int | None = None,
    seed: int = 0,
    camera: Sequence[str] = (),
    recording: str = "none",
    device: str = "cpu",
    quality: str = "best",
    precision: str = "auto",
    threads: int | None = None,
    worst: int = 3,
    plots: bool = True,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Evaluation:
    """Score methods on evaluation clips and write `evaluation.json`, `evaluation.md` and pictures.

    Lists (methods, metrics, ...) may hold several names in one word, separated by commas.

    Args:
        dataset: folder of a data set that is known, or of sets.
        output: folder for the results, made if missing.
        data: folder of sets, instead of `dataset`.
        sets: names of sets; None for all that the folder holds.
        clips: names of clips, with * and ?; None for all.
        exposures: only clips and alternations with this many exposures.
        methods: "lrhdr" for the network, and names of baselines; None for all, or none where `predictions` are given.
        weights: bundled names or files, each a row of its own; None for `compact-<N>exp` of N exposures, or with a
            recording, `compact-<N>exp-recorded`.
        predictions: folders with results of other methods, each a row of its own: "DIR" or "NAME=DIR".
        protocol: how to score; see `lrhdr.protocols`.
        composite: "off", "on" or "both"; None for what the protocol says.
        metrics: names of `lrhdr.judges.JUDGES`.
        peak: light of radiance 1.0 on the display that metrics of light assume, cd/m2.
        pixels_per_degree: of that display.
        frames_per_second: at which it shows clips.
        stops: alternations of made footage: "3" for 0 and 3 EV, "0,2,4" for a period of its own (one word each).
        interpolator: its name; None for the one that the weights were trained with, all of them.
        bounds: also score the oracles.
        frames: at most this many frames of each clip; None for all.
        seed: of the camera noise.
        camera: of sets, "field=value" where it differs from the default one (`CameraConfig.parse`).
        recording: name of `lrhdr.data.recording.RECORDINGS`: what happens to made footage after the sensor.
        device: where to compute.
        quality: of the reconstruction, "best" or "fast", as in `lrhdr reconstruct`.
        precision: of its convolutions, likewise.
        threads: compute threads; None leaves them.
        worst: draw the worst frame of this many clips of each set, for networks and predictions (for all methods where
            there are none); 0 for no such sheets. These frames are reconstructed once more.
        plots: draw the first metric frame by frame.
        progress: called after every frame.
        say: called with one line on what was found.

    Returns:
        The evaluation that was written.

    Raises:
        InputError: an unknown or broken data set, unknown sets, methods, metrics or stops, a network for another number
            of exposures, or predictions that do not fit.
        WeightsError: weights missing or damaged.
        OutputError: the results cannot be written.
    """
    rules, screen = get_protocol(protocol), Display(peak, Display.black, pixels_per_degree, frames_per_second)
    if composite is not None and composite not in COMPOSITES:
        raise InputError(f"composite: expected {', '.join(COMPOSITES)}, found {composite!r}")
    if frames is not None and frames < 1:
        raise InputError(f"frames: expected 1 or more, found {frames}")
    if recording not in RECORDINGS:
        raise InputError(f"recording: expected {', '.join(RECORDINGS)}, found {recording!r}")
    if worst < 0:
        raise InputError(f"worst: expected 0 or more, found {worst}")
    source = find_source(dataset, data, sets)
    if say:
        say(source.summary)
    todo, alternations, unlabelled = select(source, [parse_alternation(text) for text in stops], clips, exposures)
    if say and unlabelled:
        say(f"without ground truth, so not scored: {', '.join(c.name for c in unlabelled)}")
    for clip in todo if camera else ():
        if isinstance(clip, LabelledClip | BenchClip):
            raise InputError(f"camera: expected sets, found {clip.group}/{clip.name}, which has a camera of its own")
    outside = parse_predictions(predictions or ())
    names = _words(methods) if methods is not None else [] if outside else [NETWORK, *BASELINES]
    if NETWORK in names and not weights:
        weights = _default_weights(_counts(todo, alternations), recorded=recording != "none")
    chosen, records = _methods(names, weights or (), outside)
    if say and records:
        made_for = {chosen[name].config.n_exposures for name in records}
        for count in _counts(todo, alternations):
            if count not in made_for:
                say(f"no weights for {count} exposures: networks are not scored on those clips")
    trained_with = {r.interpolator for r in records.values()} or {DEFAULT_INTERPOLATOR}
    if interpolator is None and len(trained_with) > 1:
        pairs = ", ".join(f"{name} with {record.interpolator}" for name, record in records.items())
        raise InputError(f"interpolator: expected one for all methods, found weights that were trained {pairs}")
    folder = Path(output)
    make_folder(folder)
    if threads is not None:
        set_threads(threads)
    extra: dict[str, Any] = {
        "weights": {name: record.sha256 for name, record in records.items()},
        "datasets": source.datasets,
    }
    measure: dict[str, Any] = {
        "protocol": rules.name,
        "metrics": _words(metrics),
        "composite": None if composite is None else COMPOSITES[composite],
        "stops": alternations,
        "interpolator": interpolator or trained_with.pop(),
        "bounds": bounds,
        "frames": frames,
        "seed": seed,
        "camera": CameraConfig.parse(camera) if camera else None,
        "recording": None if recording == "none" else RECORDINGS[recording],
        "device": device,
        "quality": quality,
        "precision": precision,
        "display": screen,
        "predictions": outside,
    }
    request = _request(measure, extra, list(chosen), todo)
    unfinished = folder / UNFINISHED

    def keep_so_far(result: Evaluation) -> None:
        content = {"request": request, "evaluation": result.to_dict()}
        write_bytes(unfinished, json.dumps(content).encode())

    result = evaluate(
        chosen,
        todo,
        **measure,
        progress=progress,
        done=_unfinished(unfinished, request),
        after_take=keep_so_far,
    )
    result.settings.update(extra)
    result.write_json(folder / "evaluation.json")
    write_bytes(folder / "evaluation.md", (markdown(result) + "\n").encode())
    if plots:
        draw_plots(result, folder / PICTURES)
    if worst:
        draw_worst(result, worst, chosen, todo, measure, folder / PICTURES, progress)
    unfinished.unlink(missing_ok=True)
    return result


def _words(names: Sequence[str]) -> list[str]:
    """Names that were given one by one or with commas, each once."""
    return list(dict.fromkeys(word for name in names for word in name.replace(",", " ").split()))


def _methods(
    names: Sequence[str],
    weights: Sequence[str],
    outside: dict[str, Path],
) -> tuple[dict[str, Any], dict[str, WeightsRecord]]:
    """The methods to run by the names of their rows, and the records of the networks among them."""
    unknown = [m for m in names if m != NETWORK and m not in BASELINES]
    if unknown:
        raise InputError(f"methods: expected {', '.join((NETWORK, *BASELINES))}, found {unknown[0]!r}")
    chosen: dict[str, Any] = {}
    records: dict[str, WeightsRecord] = {}
    if NETWORK in names:
        for name_or_path in weights:
            model, record = load_pretrained(name_or_path)
            name = record.name if record.name not in chosen else str(name_or_path)
            chosen[name], records[name] = model, record
    chosen |= {name: BASELINES[name] for name in names if name != NETWORK}
    twice = next((name for name in outside if name in chosen), None)
    if twice:
        raise InputError(f"predictions: {twice!r} is the name of a method, expected another (NAME=DIR)")
    return chosen, records


def _counts(clips: Sequence[Clip], alternations: Sequence[tuple[float, ...]]) -> list[int]:
    """The numbers of exposures that occur."""
    return sorted({len(s) for clip in clips for s in schedules(clip, alternations)})


def _default_weights(counts: Sequence[int], *, recorded: bool) -> list[str]:
    """The bundled weights for some numbers of exposures.

    Raises:
        InputError: there are none for any of them.
    """
    names = [default_weights(n, recorded=recorded) for n in counts]
    found = [name for name in names if name in bundled_names()]
    if not found:
        shown = " or ".join(str(n) for n in counts)
        raise InputError(
            f"weights: found none bundled for {shown} exposures, expected --weights FILE, or --methods without "
            f"{NETWORK}"
        )
    return found


def parse_predictions(texts: Sequence[str]) -> dict[str, Path]:
    """Folders of results by the names of their rows: "DIR" is called after its folder, "NAME=DIR" is NAME.

    Raises:
        InputError: not a folder, or two of one name.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, _, rest = text.partition("=")
        named = bool(rest) and not Path(text).is_dir()
        folder = Path(rest if named else text)
        name = name if named else folder.resolve().name
        if not folder.is_dir():
            raise InputError(
                f"{folder}: expected a folder of results, found {'a file' if folder.exists() else 'nothing'}"
            )
        if name in found:
            raise InputError(f"predictions: found {name!r} twice, expected different names (NAME=DIR)")
        found[name] = folder
    return found


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


def _request(measure: dict[str, Any], extra: dict[str, Any], methods: list[str], clips: Sequence[Clip]) -> str:
    """What an unfinished evaluation must have been asked for, to be gone on with."""
    # What was not asked for is left out: an evaluation that the version before began goes on.
    measure = {k: v for k, v in measure.items() if k not in ("recording", "camera") or v is not None}
    asked = [__version__, measure, extra, methods, [[c.group, c.name, c.note] for c in clips]]

    def plain(value: object) -> object:
        if isinstance(value, CameraConfig):
            return str(asdict(value))  # its repr does not hold all
        return str(value.resolve()) if isinstance(value, Path) else repr(value)

    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=plain).encode()).hexdigest()


def _unfinished(path: Path, request: str) -> Evaluation | None:
    """What an earlier run of the same request measured; None where there is none, or only a damaged one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Evaluation.from_dict(content["evaluation"]) if content["request"] == request else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def summary(result: Evaluation, output: Path | str) -> str:
    """The tables, and where the files are."""
    folder = Path(output)
    files = [
        folder / "evaluation.json",
        folder / "evaluation.md",
        *([folder / PICTURES] * (folder / PICTURES).is_dir()),
    ]
    return f"{markdown(result)}\nwritten: {', '.join(str(f) for f in files)}"
