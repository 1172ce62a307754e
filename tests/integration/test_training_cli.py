"""`lrhdr train` and `lrhdr ablate` through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import Outcome

from lrhdr._version import __version__
from lrhdr.cli import build_parser
from lrhdr.data.maker import option_defaults
from lrhdr.io.exr import write_exr
from samples import write_cache

GOLDEN = Path(__file__).parents[1] / "golden" / "cache-manifest.json"

SETTINGS = """
data = "{data}"
output = "{output}"
steps = 2
batch = 2
crop = 16
validation = 2
log_every = 1
[model]
accr = {{channels = 4, context = 4, mapper_hidden = 4, decoder_hidden = 4, decoder_blocks = 1}}
apswf = {{widths = [4, 4, 4, 4]}}
"""


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(SETTINGS.format(data=write_cache(tmp_path / "data", size=48), output=tmp_path / "run"))
    return path


def test_train_prints_its_weights_and_its_saved_configuration_runs_again(
    lrhdr: Callable[..., Outcome], run_file: Path, tmp_path: Path
) -> None:
    first = lrhdr("train", run_file)
    assert first.status == 0, first.err
    assert first.out.splitlines()[-1] == str(tmp_path / "run" / "compact-2exp.safetensors")
    assert "steps" in first.err  # the progress
    saved = tmp_path / "run" / "config.json"
    values = json.loads(saved.read_text())
    assert (values["steps"], values["lr"]) == (2, 1e-3)  # resolved: defaults are there too
    again = lrhdr("train", saved)
    assert again.status == 0
    assert "resuming at step 2 of 2" in again.out


def test_a_cache_that_the_version_before_began_goes_on(lrhdr: Callable[..., Outcome], tmp_path: Path) -> None:
    """The manifest is what the command wrote when `build_cache` had an argument for each of these options."""
    golden = json.loads(GOLDEN.read_text())
    rng, out = np.random.default_rng(0), tmp_path / "out"
    for folder in (tmp_path / "hdr", out):
        folder.mkdir()
    for name in golden["stills"]:
        blocks = 2.0 ** rng.uniform(-6, 3, (8, 16, 3))
        write_exr(tmp_path / "hdr" / f"{name}.exr", blocks.repeat(8, 0).repeat(8, 1).astype(np.float32), {})
    (out / "manifest.json").write_bytes(GOLDEN.read_bytes())
    options = (
        "--count", 1, "--seed", 5, "--size", 32, "--n-exposures", 3, "--real-video-share", 0.3, "--grain-share", 0.25,
        "--still-share", 0.4, "--recorded-share", 0.125, "--read-noise", 2, 9, "--bayer-share", 0.5,
        "--interpolator", "average",
    )  # fmt: skip
    made = lrhdr("synthesize", "--hdr-dir", tmp_path / "hdr", "--out-dir", out, *options)
    assert made.status == 0, made.err
    assert json.loads((out / "manifest.json").read_text()) == golden | {"version": __version__}
    other = lrhdr("synthesize", "--hdr-dir", tmp_path / "hdr", "--out-dir", out, *options, "--size", 48)
    assert other.status == 2
    assert "holds a cache made with other settings (config differ)" in other.err


def test_options_of_synthesize_have_the_defaults_of_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    parsed = vars(build_parser().parse_args(["synthesize", "--hdr-dir", "d", "--out-dir", "o", "--count", "1"]))
    assert {name: parsed[name] for name in option_defaults()} == dict.fromkeys(option_defaults())
    with pytest.raises(SystemExit):
        build_parser().parse_args(["synthesize", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for default in option_defaults().values():
        assert f"(default: {default})" in shown


def test_ablate_writes_a_table(lrhdr: Callable[..., Outcome], run_file: Path, tmp_path: Path) -> None:
    done = lrhdr("ablate", run_file, "-o", tmp_path / "out", "--rows", "full", "base", "--seeds", 1)
    assert done.status == 0, done.err
    assert (tmp_path / "out" / "ablation.md").read_text().strip() == done.out.strip()
    assert "| `base` | Base" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "none.toml"), "none.toml: no such configuration file"),
        (("ablate", "{run}", "--rows", "everything"), "rows: expected base, eic, rm"),
        (("ablate", "{run}", "--rows", "full", "--seeds", "0"), "seeds >= 1"),
    ],
)
def test_mistakes_give_one_line(
    lrhdr: Callable[..., Outcome], run_file: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = lrhdr(
        *(a.format(run=run_file) for a in arguments), *(("-o", tmp_path / "o") if "{run}" in arguments else ())
    )
    assert result.status == 2
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_a_folder_that_is_no_training_data(lrhdr: Callable[..., Outcome], run_file: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    run_file.write_text(SETTINGS.format(data=tmp_path / "nothing", output=tmp_path / "run"))
    result = lrhdr("train", run_file)
    assert result.status == 2
    assert "expected a sample cache (manifest.json), Vimeo-90K" in result.err.splitlines()[-1]
