"""The house's rule: a file imports only lower floors, and on its own floor only what its row names."""

import ast
import functools
import re
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "lrhdr"
HOUSE = Path(__file__).parents[1] / "docs" / "architecture.md"

# module -> (floor, modules of its own floor that it may import); packages' __init__ count as their package
ROWS: dict[str, tuple[int, tuple[str, ...]]] = {
    # floor 0: pure maths
    "_version": (0, ()),
    "checks": (0, ()),
    "cache": (0, ("checks",)),
    "randomness": (0, ("checks",)),
    "processes": (0, ()),
    "transfer": (0, ("checks",)),
    "radiometry": (0, ("filters",)),
    "log_curves": (0, ("checks",)),
    "tonemap": (0, ("transfer",)),
    "colour": (0, ("checks",)),
    "warp": (0, ()),
    "filters": (0, ()),
    "noise": (0, ("radiometry",)),
    "chroma": (0, ()),
    "entmax": (0, ()),
    "agreement": (0, ("filters", "radiometry")),
    "allocator": (0, ()),
    "lanes": (0, ()),
    "strips": (0, ("filters", "radiometry", "tonemap")),
    # floor 1: time and camera
    "exposure": (1, ()),
    "brightness": (1, ()),
    "alternation": (1, ("brightness",)),
    "response": (1, ()),
    "levels": (1, ("brightness", "response")),
    "calibration": (1, ()),
    "motion": (1, ()),
    "layers": (1, ("motion",)),
    "views": (1, ("layers", "motion")),
    "scenes": (1, ("layers", "motion", "views")),
    "scene_flow": (1, ("motion", "scenes", "views")),
    "procedural": (1, ()),
    "footage": (1, ()),
    "detail": (1, ()),
    "camera": (1, ()),
    "frames": (1, ()),
    "display_light": (1, ()),
    "timecode": (1, ()),
    "synthesis": (1, ("camera", "exposure")),
    # floor 2: networks and judges
    "nn": (2, ()),
    "nn.fingerprint": (2, ()),
    "nn.widening": (2, ()),
    "nn.skeleton": (2, ()),
    "nn.precision": (2, ()),
    "nn.triplet_attention": (2, ()),
    "nn.blocks": (2, ("nn.triplet_attention",)),
    "nn.rows": (2, ("nn.blocks",)),
    "nn.attention_rows": (2, ("nn.blocks", "nn.rows", "nn.triplet_attention")),
    "interpolate": (
        2,
        (
            "interpolate.average",
            "interpolate.base",
            "interpolate.flow",
            "interpolate.guided",
            "interpolate.stored",
        ),
    ),
    "interpolate.base": (2, ()),
    "interpolate.average": (2, ("interpolate.base",)),
    "interpolate.flow": (2, ("interpolate.base",)),
    "interpolate.guided": (2, ("interpolate.flow",)),
    "interpolate.polish": (2, ("interpolate.flow", "nn.rows")),
    "interpolate.sampling": (2, ()),
    "interpolate.film_config": (2, ()),
    "interpolate.film": (2, ("interpolate.base", "interpolate.film_config", "interpolate.sampling")),
    "interpolate.film_names": (2, ("interpolate.film_config",)),
    "interpolate.rife": (2, ("interpolate.base", "interpolate.sampling")),
    "interpolate.compact_net": (2, ("interpolate.sampling", "nn.blocks")),
    "interpolate.compact_steps": (2, ("interpolate.compact_net", "interpolate.flow", "nn.blocks", "nn.rows")),
    "interpolate.compact": (
        2,
        (
            "interpolate.base",
            "interpolate.compact_net",
            "interpolate.compact_steps",
            "interpolate.flow",
            "interpolate.guided",
            "interpolate.polish",
            "nn.fingerprint",
        ),
    ),
    "interpolate.stored": (
        2,
        (
            "interpolate.base",
            "interpolate.compact",
            "interpolate.compact_net",
            "interpolate.film",
            "interpolate.film_config",
            "interpolate.rife",
            "nn.skeleton",
        ),
    ),
    "models": (2, ()),
    "models.eic": (2, ("nn.blocks",)),
    "models.accr": (2, ("models.eic", "nn.blocks")),
    "models.prior": (2, ()),
    "models.apswf": (2, ("nn.blocks",)),
    "models.lrhdr": (2, ("models.accr", "models.apswf", "models.prior")),
    "models.frame_rows": (2, ()),
    "models.prior_rows": (2, ("models.prior",)),
    "models.accr_rows": (2, ("models.accr", "models.eic", "models.frame_rows", "nn.rows")),
    "models.apswf_rows": (2, ("models.apswf", "nn.attention_rows", "nn.rows")),
    "models.candidate_rows": (2, ("models.frame_rows", "models.lrhdr", "models.prior_rows")),
    "models.streaming": (
        2,
        (
            "models",
            "models.accr",
            "models.accr_rows",
            "models.apswf_rows",
            "models.candidate_rows",
            "models.frame_rows",
            "models.lrhdr",
            "nn.fingerprint",
        ),
    ),
    "losses": (2, ("models.lrhdr",)),
    "metrics": (
        2,
        (
            "metrics.colorvideovdp",
            "metrics.ghost",
            "metrics.hdrvdp2",
            "metrics.hdrvqm",
            "metrics.meters",
            "metrics.psnr",
            "metrics.pu21",
            "metrics.ssim",
            "metrics.temporal",
            "metrics.warped",
        ),
    ),
    "metrics.psnr": (2, ()),
    "metrics.colorvideovdp": (2, ("metrics.psnr",)),
    "metrics.ssim": (2, ("metrics.psnr",)),
    "metrics.temporal": (2, ("metrics.psnr",)),
    "metrics.warped": (2, ("metrics.psnr",)),
    "metrics.ghost": (2, ("metrics.psnr",)),
    "metrics.meters": (2, ()),
    "metrics.bicubic": (2, ()),
    "metrics.steerable": (2, ()),
    "metrics.hdrvdp2_data": (2, ()),
    "metrics.hdrvqm_data": (2, ()),
    "metrics.hdrvqm": (2, ("metrics.bicubic", "metrics.hdrvqm_data", "metrics.psnr")),
    "metrics.hdrvdp2_vision": (2, ("metrics.hdrvdp2_data", "metrics.steerable")),
    "metrics.hdrvdp2": (
        2,
        (
            "metrics.bicubic",
            "metrics.hdrvdp2_data",
            "metrics.hdrvdp2_vision",
            "metrics.psnr",
            "metrics.steerable",
        ),
    ),
    "metrics.pu21": (2, ("metrics.psnr", "metrics.ssim")),
    "global_alignment": (2, ("interpolate.flow",)),
    "baselines": (2, ("global_alignment", "interpolate.flow", "interpolate.guided", "losses")),
    "stabilise": (2, ("global_alignment", "interpolate.flow")),
    "pictures": (2, ()),
    "curve_plot": (2, ()),
    # floor 3: the outside world
    "io": (3, ()),
    "io.atomic": (3, ()),
    "io.exr": (3, ("io.atomic",)),
    "io.images": (3, ("io.atomic", "io.exr")),
    "io.yuv": (3, ()),
    "io.planes": (3, ("io.yuv",)),
    "io.tags": (3, ()),
    "io.looks": (3, ()),
    "io.stills": (3, ("io.atomic",)),
    "io.encoder": (3, ("io.atomic",)),
    "io.video_writer": (3, ("io.encoder", "io.yuv")),
    "io.hdr_writer": (3, ("io.encoder", "io.video_writer", "io.yuv")),
    "io.video": (3, ("io.planes", "io.video_writer", "io.yuv")),
    "io.metadata": (3, ("io.images",)),
    "io.raw": (3, ("io.images",)),
    "io.curves": (3, ("io.atomic",)),
    "io.recoded": (3, ("io.sources",)),
    "io.sources": (3, ("io.images", "io.metadata", "io.raw", "io.video")),
    "io.snappy": (3, ()),
    "io.tensor_bundle": (3, ("io.snappy",)),
    "io.torchscript": (3, ()),
    "weights": (3, ("io.atomic",)),
    "interpolator_files": (3, ("io.tensor_bundle", "io.torchscript")),
    "interpolator_weights": (3, ("interpolator_files", "io.atomic")),
    "data": (3, ()),
    "data.base": (3, ()),
    "data.sources": (3, ("io.images", "io.sources", "io.video")),
    "data.recording": (3, ("io.encoder", "io.video", "io.video_writer")),
    "data.maker": (3, ("data.base", "data.recording", "data.sources")),
    "data.cache_files": (3, ()),
    "data.generated": (3, ("data.base", "data.cache_files", "data.maker", "data.sources", "io.atomic")),
    "data.sequences": (3, ("data.base", "io.atomic", "io.images")),
    "data.vimeo90k": (3, ()),
    "data.sintel": (3, ()),
    "data.training_data": (
        3,
        ("data.base", "data.cache_files", "data.generated", "data.sequences", "data.sintel", "data.vimeo90k"),
    ),
    "data.shards": (3, ()),
    "data.aligned": (3, ("data.generated", "data.shards", "io.atomic")),
    "data.motion": (3, ("data.base", "data.generated", "data.shards", "io.atomic")),
    "data.recompletion": (3, ("data.cache_files", "data.generated", "data.shards", "io.atomic")),
    "data.labelled": (3, ("io.images", "io.metadata")),
    "data.cinematic": (3, ("data.labelled",)),
    "data.deephdrvideo": (3, ("data.labelled",)),
    "data.realhdrv": (3, ("data.labelled", "io.metadata")),
    "data.tog13": (3, ("data.labelled", "io.images")),
    "data.labelled_folder": (3, ("data.labelled", "io.images", "io.metadata", "io.sources")),
    "data.recognise": (
        3,
        (
            "data.cinematic",
            "data.deephdrvideo",
            "data.labelled",
            "data.labelled_folder",
            "data.realhdrv",
            "data.tog13",
        ),
    ),
    "data.bench": (3, ("data.evaluation", "data.sources")),
    "data.evaluation": (3, ("data.maker", "data.sources", "io.sources", "io.video")),
    "protocols": (3, ()),
    "judges": (3, ("protocols",)),
    # floor 4: assemblies
    "tiling": (4, ()),
    "progress": (4, ()),
    "workers": (4, ()),
    "transfers": (4, ()),
    "export": (4, ()),
    "backends": (4, ("export",)),
    "pipeline": (4, ("backends", "tiling", "transfers", "workers")),
    "pairs": (4, ("pipeline",)),
    "report": (4, ("pipeline",)),
    "delivery": (4, ()),
    "aov": (4, ("pipeline",)),
    "sdr": (4, ()),
    "exr_clips": (4, ()),
    "stills": (4, ("exr_clips", "sdr")),
    "videos": (4, ("progress", "sdr")),
    "run_options": (4, ("backends", "pipeline")),
    "encode_runs": (4, ("exr_clips", "progress", "run_options", "run_videos")),
    "run_videos": (4, ("progress", "run_options", "videos")),
    "viewer": (4, ()),
    "viewer.packing": (4, ()),
    "viewer.sampling": (4, ()),
    "viewer.statistics": (4, ()),
    "viewer.manifest": (4, ("viewer.statistics",)),
    "viewer.page": (4, ()),
    "viewer.sequence": (4, ("aov", "clip_setup", "sidecar", "viewer.manifest", "viewer.packing")),
    "viewer.server": (4, ("viewer.page", "viewer.sequence")),
    "viewer.workbench": (4, ("inspection", "progress", "run_options", "runs")),
    "viewer.app": (4, ("pipeline", "viewer.sequence", "viewer.server", "viewer.workbench")),
    "viewer.compare": (
        4,
        (
            "viewer.manifest",
            "viewer.packing",
            "viewer.page",
            "viewer.sampling",
            "viewer.sequence",
            "viewer.statistics",
        ),
    ),
    "viewer.report_html": (
        4,
        ("pipeline", "viewer.manifest", "viewer.packing", "viewer.page", "viewer.sampling", "viewer.statistics"),
    ),
    "runs": (
        4,
        (
            "aov",
            "backends",
            "clip_setup",
            "delivery",
            "inspection",
            "parts",
            "pipeline",
            "progress",
            "report",
            "run_options",
            "run_videos",
            "shards",
            "viewer.report_html",
            "workers",
        ),
    ),
    "ledger": (4, ()),
    "shards": (4, ("run_options",)),
    "batch_manifest": (4, ("delivery", "run_options", "shards")),
    "batch_tasks": (
        4,
        ("batch_manifest", "clip_setup", "run_options", "run_videos", "runs", "shards", "sidecar"),
    ),
    "batch_workers": (4, ("batch_tasks",)),
    "batch_ray": (4, ("batch_tasks", "batch_workers")),
    "batch": (
        4,
        ("batch_manifest", "batch_tasks", "batch_workers", "ledger", "progress", "run_options", "shards"),
    ),
    "sidecar": (4, ()),
    "analysis": (4, ("progress",)),
    "inspection": (4, ("analysis", "progress")),
    "clip_setup": (4, ("analysis", "delivery", "inspection", "progress", "run_options", "sidecar")),
    "parts": (4, ("clip_setup", "pipeline")),
    "calibration_runs": (4, ("clip_setup",)),
    "demo": (4, ("progress", "run_options", "runs")),
    "cost": (4, ()),
    "checkpoint": (4, ()),
    "training_config": (4, ()),
    "training_batches": (4, ("training_config",)),
    "training_log": (4, ()),
    "training_run": (4, ("checkpoint", "training_batches", "training_config")),
    "training": (4, ("training_batches", "training_config", "training_log", "training_run")),
    "interpolation_training": (4, ("checkpoint", "training_run")),
    "ablation_rows": (4, ("cost", "training_config")),
    "ablation_table": (4, ("ablation_rows",)),
    "ablation": (
        4,
        (
            "ablation_rows",
            "ablation_table",
            "cost",
            "evaluation_runs",
            "training",
            "training_batches",
            "training_config",
            "training_run",
        ),
    ),
    "scores": (4, ()),
    "predictions": (4, ()),
    "takes": (4, ()),
    "bench_files": (4, ("progress",)),
    "comparison": (4, ("scores",)),
    "score_tables": (4, ("scores",)),
    "evaluation_pictures": (4, ("report", "scores", "scoring")),
    "score_plots": (4, ("scores",)),
    "scoring": (4, ("pipeline", "predictions", "scores", "takes")),
    "evaluation_sources": (4, ("takes",)),
    "evaluation": (4, ("backends", "pipeline", "scores", "scoring", "takes")),
    "evaluation_drawing": (4, ("evaluation", "evaluation_pictures", "score_plots", "scores", "takes")),
    "evaluation_runs": (
        4,
        (
            "evaluation",
            "evaluation_drawing",
            "evaluation_sources",
            "pipeline",
            "score_tables",
            "scores",
            "takes",
        ),
    ),
    # floor 5: the command line
    "commands": (5, ()),
    "commands.options": (5, ()),
    "commands.calibrate": (5, ("commands.options",)),
    "commands.batch": (5, ("commands.options", "commands.reconstruct")),
    "commands.bench": (5, ("commands.options",)),
    "commands.compare": (5, ("commands.options",)),
    "commands.demo": (5, ("commands.options",)),
    "commands.encode": (5, ("commands.options",)),
    "commands.evaluate": (5, ("commands.options",)),
    "commands.export": (5, ("commands.options",)),
    "commands.info": (5, ("commands.options",)),
    "commands.inspect": (5, ("commands.options",)),
    "commands.interpolate": (5, ("commands.options",)),
    "commands.reconstruct": (5, ("commands.options",)),
    "commands.still": (5, ("commands.options",)),
    "commands.synthesize": (5, ("commands.options",)),
    "commands.recomplete": (5, ("commands.options",)),
    "commands.train_interpolator": (5, ("commands.options",)),
    "commands.train": (5, ("commands.options",)),
    "commands.app": (5, ("commands.options",)),
    "commands.report": (5, ("commands.options",)),
    "commands.view": (5, ("commands.options",)),
    "commands.weights": (5, ("commands.options",)),
    "commands.ablate": (5, ("commands.options",)),
    "cli": (
        5,
        (
            "commands",
            "commands.ablate",
            "commands.batch",
            "commands.calibrate",
            "commands.bench",
            "commands.compare",
            "commands.demo",
            "commands.encode",
            "commands.evaluate",
            "commands.export",
            "commands.info",
            "commands.inspect",
            "commands.interpolate",
            "commands.options",
            "commands.reconstruct",
            "commands.still",
            "commands.synthesize",
            "commands.recomplete",
            "commands.train_interpolator",
            "commands.train",
            "commands.app",
            "commands.report",
            "commands.view",
            "commands.weights",
        ),
    ),
    "__main__": (5, ("cli",)),
}


@functools.cache
def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            names.update({module} | {f"{module}.{alias.name}" for alias in node.names})
    known = modules()
    inside = {name.removeprefix("lrhdr.") for name in names if name.startswith("lrhdr.")}
    return {name for name in inside if name in known}


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_only_what_its_floor_allows(name: str) -> None:
    assert name in ROWS, f"{name}: a new file needs a row in tests/test_layers.py"
    floor, beside = ROWS[name]
    for other in imports(modules()[name]) - {name}:
        assert other in ROWS, f"{name} imports {other}, which has no row"
        allowed = ROWS[other][0] < floor or other in beside
        assert allowed, f"{name} (floor {floor}) imports {other} (floor {ROWS[other][0]})"


def test_rows_name_only_files_that_exist() -> None:
    assert set(ROWS) <= set(modules())


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_row_allows_only_what_its_file_imports(name: str) -> None:
    floor, beside = ROWS[name]
    assert {other for other in beside if ROWS[other][0] != floor} == set(), f"{name}: no row is needed for lower floors"
    assert set(beside) - imports(modules()[name]) == set(), f"{name}: allowed but not imported"


def test_the_map_of_the_house_names_every_room() -> None:
    text = HOUSE.read_text(encoding="utf-8")
    rooms = {word.rstrip("/") for word in re.findall(r"`([a-z_0-9/]+)`", text)}
    files = {name for name in modules() if "." not in name and not name.startswith("_")}
    assert files - rooms == set(), "docs/architecture.md names every file of src/lrhdr"
