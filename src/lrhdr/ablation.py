"""The ablation: train every row equally long from the same seeds, score all on the same held-out samples, make a table.

A run is one row with one seed: one process, one thread, its own folder under `<output>/runs`. A run whose result is
there is not done again; one that was interrupted goes on from its checkpoint.

Held-out samples are the last of the cache, which no run trains on. A border of `MARGIN` pixels is not scored: at the
edge of a stored sample flow has seen less than in use, and interpolation has not. Results say what data they are of,
so that runs on other data do not come into the same table.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import torch

from lrhdr._version import __version__
from lrhdr.ablation_rows import ROWS, row_config
from lrhdr.ablation_table import table
from lrhdr.baselines import BASELINES, oracle
from lrhdr.checks import InputError
from lrhdr.cost import measure_cost
from lrhdr.data.aligned import add_aligned
from lrhdr.data.cache_files import is_cache
from lrhdr.data.generated import CachedSamples
from lrhdr.data.training_data import CacheData
from lrhdr.evaluation_runs import score
from lrhdr.io.atomic import write_bytes
from lrhdr.metrics import psnr_mu, ssim_mu
from lrhdr.processes import process_pool
from lrhdr.training import train
from lrhdr.training_batches import steps_in_all
from lrhdr.training_config import TrainConfig, config_from_dict
from lrhdr.training_run import open_data
from lrhdr.weights import load_pretrained

MARGIN = 16
"""Pixels at each side of a held-out sample that are not scored."""

_WINDOW = 7
"""Pixels that SSIM needs between them."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ExternalSets:
    """A data set to score on as well, on top of the held-out samples.

    Attributes:
        data: its folder, as for `lrhdr evaluate`.
        sets: of a folder of sets, those to use; None for all.
        stops: alternations, for sets that are exposed here.
        frames: at most this many frames of each clip; None for all.
    """

    data: str
    sets: tuple[str, ...] | None = None
    stops: tuple[str, ...] = ("2", "3")
    frames: int | None = None


def ablate(
    base: TrainConfig,
    output: Path | str,
    *,
    rows: Sequence[str] | None = None,
    seeds: int = 2,
    workers: int = 1,
    external: ExternalSets | None = None,
    progress: Progress | None = None,
) -> str:
    """Run the ablation, or go on with it.

    Args:
        base: the full method's run; its `output` and `name` are not used. Seeds count up from its `seed`.
        output: folder for runs, `ablation.json` and `ablation.md`.
        rows: names out of `ROWS`; None for all.
        seeds: runs per row.
        workers: runs side by side, a process with one thread each.
        external: sets to score on as well.
        progress: called with (what, steps done, steps in all).

    Returns:
        The table, as Markdown.

    Raises:
        InputError: unknown rows, data missing or unfit, or a run in `output` that was made with other settings or data.
    """
    names = list(dict.fromkeys(rows if rows is not None else ROWS))
    if not names or seeds < 1 or workers < 1:
        raise InputError(f"ablation: expected rows, seeds >= 1, workers >= 1, found {names}, {seeds}, {workers}")
    folder = Path(output)
    data, steps = _check_data(base)
    # Seed by seed, so that a table of all rows is there as soon as can be.
    jobs = [
        row_config(base, name, seed=base.seed + k, output=str(folder / "runs" / f"{name}-seed{base.seed + k}"))
        for k in range(seeds)
        for name in names
    ]
    if any(config.model_config().aligned for config in jobs):
        for cache in (base.data, *filter(is_cache, base.extra_data)):
            add_aligned(cache, workers=workers, progress=lambda done, total: _tell(progress, "align", done, total))
    results = _run_all([_Job(asdict(config), steps, data, external) for config in jobs], workers, progress)
    baselines = _baselines(base, data, folder / "baselines.json")
    values = {
        "lrhdr": __version__,
        "base": {**_comparable(asdict(base)), "steps": steps},
        "data": Path(base.data).name,
        "folders": data,
        "margin": MARGIN,
        "held_out": base.validation,
        "baselines": baselines,
        "runs": results,
    }
    write_bytes(folder / "ablation.json", (json.dumps(values, indent=1) + "\n").encode())
    text = table(values)
    write_bytes(folder / "ablation.md", text.encode())
    return text


@dataclass(frozen=True)
class _Job:
    """A run to be trained and scored: all that a worker process needs.

    Attributes:
        config: of the run, as plain values.
        steps: that it takes.
        data: what it is trained on, see `_check_data`.
        external: sets to score on as well.
    """

    config: dict[str, Any]
    steps: int
    data: list[dict[str, Any]]
    external: ExternalSets | None


def _check_data(base: TrainConfig) -> tuple[list[dict[str, Any]], int]:
    """Open the data before anything is trained.

    Returns:
        Of every folder, the number of samples to train on and a cache's identity; and the steps that a run takes.

    Raises:
        InputError: data missing, or nothing in it that could be scored.
    """
    if base.validation < 1:
        raise InputError(f"ablation: validation: expected 1 sample or more to score, found {base.validation}")
    height, width = CacheData(base.data, base.validation).fixed(0).target.shape[-2:]
    least = 2 * MARGIN + _WINDOW
    if min(height, width) < least:
        raise InputError(
            f"{base.data}: found samples of {width}x{height} pixels to score, expected at least {least}x{least}, of "
            f"which {MARGIN} at each side are left out"
        )
    data = open_data(base, aligned=False)
    folders = (base.data, *base.extra_data)
    record = [
        {"samples": size, "identity": CachedSamples(folder).identity if is_cache(folder) else ""}
        for folder, size in zip(folders, data.sizes, strict=True)
    ]
    return record, steps_in_all(base, len(data))


def _tell(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress:
        progress(what, done, total)


def _one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _run_all(jobs: list[_Job], workers: int, progress: Progress | None) -> list[dict[str, Any]]:
    total = sum(job.steps for job in jobs)
    steps = [_steps_done(job) for job in jobs]
    _tell(progress, "ablation", sum(steps), total)
    if workers == 1:

        def advance(number: int, _what: str, done: int, _total: int) -> None:
            steps[number] = done
            _tell(progress, "ablation", sum(steps), total)

        results = []
        for number, job in enumerate(jobs):
            results.append(_run(job, partial(advance, number)))
            advance(number, "", job.steps, job.steps)
        return results
    with process_pool(workers, _one_thread) as pool:
        futures = [pool.submit(_run, job) for job in jobs]
        pending: set[Future[dict[str, Any]]] = set(futures)
        while pending:
            done, pending = wait(pending, timeout=2.0, return_when=FIRST_COMPLETED)
            _tell(progress, "ablation", sum(map(_steps_done, jobs)), total)
            for future in done:
                future.result()  # an error ends the ablation at once
    return [future.result() for future in futures]


def _steps_done(job: _Job) -> int:
    """How far a run is, from its log: of one that was stopped, or is at work in another process."""
    folder = Path(job.config["output"])
    if (folder / "result.json").is_file():
        return job.steps
    try:
        with (folder / "log.csv").open(newline="", encoding="utf-8") as file:
            return max((int(row["step"]) for row in csv.DictReader(file)), default=0)
    except (OSError, ValueError, TypeError):
        return 0  # not there yet, or in the middle of a line


def _run(job: _Job, advance: Progress | None = None) -> dict[str, Any]:
    """Train one run, score it, and store the result; what is stored already is read."""
    config, external = config_from_dict(job.config, "ablation"), job.external
    folder = Path(config.output)
    path = folder / "result.json"
    result: dict[str, Any] = {}
    if path.is_file():
        result = json.loads(path.read_text(encoding="utf-8"))
        if _comparable(result["config"]) != _comparable(job.config):
            raise InputError(f"{folder}: holds a run with other settings; use another output folder")
        if result.get("data", job.data) != job.data:  # older results do not say
            raise InputError(f"{folder}: holds a run on other data; use another output folder")
    if not result:
        weights = train(config, progress=advance)
        model, record = load_pretrained(weights)
        cost = measure_cost(model.config)
        result = {
            "row": config.name.rpartition("-seed")[0],
            "seed": config.seed,
            "config": _comparable(job.config),
            "data": job.data,
            "minutes": record.training["minutes"],
            "parameters": cost.parameters,
            "gmac": cost.macs / 1e9,
            "samples": _score_samples(config),
        }
        write_bytes(path, (json.dumps(result, indent=1) + "\n").encode())
    wanted = {**json.loads(json.dumps(asdict(external))), "data": Path(external.data).name} if external else None
    if external and result.get("external_settings") != wanted:
        evaluation = score(
            external.data,
            folder / "evaluation",
            sets=external.sets,
            methods=("lrhdr",),
            weights=[str(folder / f"{config.name}.safetensors")],
            composite="off",
            metrics=("psnr_t", "ssim_t"),
            bounds=False,
            stops=external.stops,
            frames=external.frames,
            worst=0,
            plots=False,
        )
        result["external"] = evaluation.means()
        result["external_settings"] = wanted
        write_bytes(path, (json.dumps(result, indent=1) + "\n").encode())
    return result


def _comparable(config: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration without paths and what does not shape the result."""
    plain: dict[str, Any] = json.loads(json.dumps(config))
    for key in ("data", "extra_data", "output", "log_every", "checkpoint_minutes", "threads"):
        plain.pop(key, None)
    return plain


@torch.inference_mode()
def _score_samples(config: TrainConfig) -> dict[str, list[float]]:
    """Scores of a trained run on every held-out sample."""
    model, _ = load_pretrained(Path(config.output) / f"{config.name}.safetensors")
    samples = CacheData(config.data, config.validation, aligned=model.config.aligned)
    inner = (..., slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    scores: dict[str, list[float]] = {"psnr_t": [], "ssim_t": [], "oracle": [], "in_use": [], "reference_exposure": []}
    for number in range(config.validation):
        sample = samples.fixed(number)
        parts = (sample.window[None], sample.interpolated[None], sample.exposures[None])
        output = model(*parts, aligned=sample.aligned[None])
        target = sample.target[None][inner]
        hdr = output.hdr[inner]
        scores["psnr_t"].append(float(psnr_mu(hdr, target)))
        scores["ssim_t"].append(float(ssim_mu(hdr, target)))
        scores["oracle"].append(float(psnr_mu(oracle(output.candidates[inner], target), target)))
        scores["in_use"].append(float((output.weights[inner] > 0.0).float().sum(dim=1).mean()))
        scores["reference_exposure"].append(float(sample.exposures[len(sample.exposures) // 2]))
    return scores


def _baselines(config: TrainConfig, data: list[dict[str, Any]], path: Path) -> dict[str, dict[str, float]]:
    """Scores of what needs no training, kept in a file from one start to the next."""
    wanted = {
        "lrhdr": __version__,
        "data": data[0],
        "held_out": config.validation,
        "margin": MARGIN,
        "names": list(BASELINES),
    }
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["of"] == wanted:
            kept: dict[str, dict[str, float]] = found["scores"]
            return kept
    scores = _baseline_scores(config)
    write_bytes(path, (json.dumps({"of": wanted, "scores": scores}, indent=1) + "\n").encode())
    return scores


@torch.inference_mode()
def _baseline_scores(config: TrainConfig) -> dict[str, dict[str, float]]:
    """Mean scores of what needs no training, on the same samples."""
    samples = CacheData(config.data, config.validation)
    inner = (..., slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    sums: dict[str, dict[str, list[float]]] = {name: {"psnr_t": [], "ssim_t": []} for name in BASELINES}
    for number in range(config.validation):
        sample = samples.fixed(number)
        target = sample.target[None][inner]
        for name, method in BASELINES.items():
            hdr = method(sample.window[None], sample.interpolated[None], sample.exposures[None])[inner]
            sums[name]["psnr_t"].append(float(psnr_mu(hdr, target)))
            sums[name]["ssim_t"].append(float(ssim_mu(hdr, target)))
    return {name: {key: statistics.fmean(values) for key, values in both.items()} for name, both in sums.items()}
