import dataclasses
import json
from pathlib import Path

import pytest
import torch

from lrhdr import ablation
from lrhdr.ablation import ExternalSets, ablate
from lrhdr.ablation_rows import ROWS, row_config
from lrhdr.ablation_table import spread
from lrhdr.checks import InputError
from lrhdr.cost import measure_cost
from lrhdr.training_config import TrainConfig, load_config
from samples import TINY, write_cache
from trees import write_folder


@pytest.fixture
def base(tmp_path: Path) -> TrainConfig:
    data = str(write_cache(tmp_path / "data", count=4, size=48))
    return TrainConfig(data=data, output="", model=TINY, steps=2, batch=1, crop=16, warmup=1, validation=2, log_every=1)


def test_rows_change_what_their_titles_say(base: TrainConfig):
    made = {name: row_config(base, name, seed=3, output="x") for name in ROWS}
    networks = {name: config.model_config() for name, config in made.items()}
    full = networks["full"]
    assert full == base.model_config()
    assert networks["base"] == dataclasses.replace(full, accr=None)
    assert networks["eic"].accr == dataclasses.replace(full.accr, mapper="none")
    assert networks["rm"] == networks["accr-loss"] == networks["no-vote-loss"] == full
    assert networks["plain-encoder"].accr == dataclasses.replace(full.accr, encoder="plain")
    assert networks["softmax"] == dataclasses.replace(full, fusion="softmax")
    assert networks["dense"] == dataclasses.replace(full, fusion="dense")
    assert networks["no-prior"] == dataclasses.replace(full, prior=False)
    flow = networks["dense-flow"]
    assert (flow.accr, flow.interpolated, flow.aligned, flow.fusion, flow.n_candidates) == (
        None,
        False,
        True,
        "dense",
        5,
    )
    assert networks["dense-flow-no-prior"] == dataclasses.replace(
        flow, prior=False, apswf=networks["dense-flow-no-prior"].apswf
    )
    assert (networks["flow-candidate"].aligned, networks["flow-candidate"].n_candidates) == (True, 6)
    losses = {name: (config.loss.accr, config.loss.accr_gradient, config.loss.vote) for name, config in made.items()}
    usual = losses["full"]
    assert usual == (base.loss.accr, base.loss.accr_gradient, base.loss.vote)
    assert losses["eic"] == losses["rm"] == (0.0, *usual[1:])
    assert losses["accr-loss"] == (usual[0], 0.0, usual[2])
    assert all(losses[name] == (*usual[:2], 0.0) for name in ("no-vote-loss", "dense", "dense-flow"))
    assert all(config.seed == 3 and config.steps == 2 for config in made.values())
    with pytest.raises(InputError, match="expected base, eic"):
        row_config(base, "nothing", seed=0, output="x")


def test_rows_of_equal_cost_cost_the_same_with_the_bundled_sizes():
    base = load_config(Path(__file__).parents[2] / "configs" / "ablation-2exp.toml")
    full = measure_cost(base.model_config()).macs
    for name in ("dense-flow", "base-wide"):
        macs = measure_cost(row_config(base, name, seed=0, output="x").model_config()).macs
        assert abs(macs / full - 1) < 0.03, name


def test_ablation_trains_scores_and_goes_on_where_it_was(base: TrainConfig, tmp_path: Path, monkeypatch):
    out = tmp_path / "out"
    seen: list[tuple[str, int, int]] = []
    text = ablate(base, out, rows=["full", "dense-flow"], seeds=2, progress=lambda *state: seen.append(state))
    values = json.loads((out / "ablation.json").read_text())
    assert [(run["row"], run["seed"]) for run in values["runs"]] == [
        ("full", 0), ("dense-flow", 0), ("full", 1), ("dense-flow", 1)
    ]  # fmt: skip
    assert all(len(run["samples"]["psnr_t"]) == 2 for run in values["runs"])
    assert seen[-1] == ("ablation", 8, 8)
    assert (out / "ablation.md").read_text() == text
    assert "`dense-flow`" in text
    assert "±" in text
    assert "completion | not trained" in text
    assert str(tmp_path) not in (out / "ablation.json").read_text()

    def nothing(*_args: object, **_keywords: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(ablation, "train", nothing)
    monkeypatch.setattr(ablation, "_baseline_scores", nothing)
    again = ablate(base, out, rows=["full", "dense-flow"], seeds=2)
    assert again == text
    with pytest.raises(InputError, match="other settings"):
        ablate(dataclasses.replace(base, lr=1e-4), out, rows=["full"], seeds=1)


def test_progress_is_told_by_the_run_itself(base: TrainConfig, tmp_path: Path, monkeypatch):
    """Every step counts, whatever is logged, and logs are looked at once."""
    looked, seen = [], []
    look = ablation._steps_done
    monkeypatch.setattr(ablation, "_steps_done", lambda job: looked.append(job) or look(job))
    sparse = dataclasses.replace(base, steps=3, log_every=100)
    ablate(sparse, tmp_path / "out", rows=["full"], seeds=2, progress=lambda *state: seen.append(state))
    assert list(dict.fromkeys(seen)) == [("ablation", done, 6) for done in range(7)]
    assert len(looked) == 2


def test_runs_on_other_data_are_not_put_into_one_table(base: TrainConfig, tmp_path: Path):
    out = tmp_path / "out"
    ablate(base, out, rows=["full"], seeds=1)
    (run,) = json.loads((out / "ablation.json").read_text())["runs"]
    assert [folder["samples"] for folder in run["data"]] == [2]
    grown = write_cache(tmp_path / "grown", count=5, size=48)
    seeded = write_cache(tmp_path / "seeded", count=4, size=48)
    manifest = json.loads((seeded / "manifest.json").read_text())
    (seeded / "manifest.json").write_text(json.dumps(manifest | {"seed": 7}))
    for other in (
        dataclasses.replace(base, data=str(grown)),
        dataclasses.replace(base, data=str(seeded)),
        dataclasses.replace(base, extra_data=(str(grown),)),
    ):
        with pytest.raises(InputError, match="full-seed0: holds a run on other data; use another output folder"):
            ablate(other, out, rows=["full"], seeds=1)
    (tmp_path / "data").rename(tmp_path / "moved")
    ablate(dataclasses.replace(base, data=str(tmp_path / "moved")), out, rows=["full"], seeds=1)
    path = out / "runs" / "full-seed0" / "result.json"
    del run["data"]
    path.write_text(json.dumps({**run, "config": {**run["config"], "extra_data": []}}))  # of an older version
    ablate(dataclasses.replace(base, data=str(tmp_path / "moved")), out, rows=["full"], seeds=1)


def test_data_that_cannot_be_scored_are_refused_before_anything_is_trained(base: TrainConfig, tmp_path: Path):
    (tmp_path / "frames").mkdir()
    small = write_cache(tmp_path / "small", size=36)
    out = tmp_path / "out"
    for change, message in (
        ({"validation": 0}, "validation: expected 1 sample or more to score, found 0"),
        ({"data": str(small)}, "small: found samples of 32x32 pixels to score, expected at least 39x39"),
        ({"data": str(tmp_path / "frames")}, "frames: expected a sample cache"),
        ({"validation": 4}, "found 4 samples, expected more than 4"),
    ):
        with pytest.raises(InputError, match=message):
            ablate(dataclasses.replace(base, **change), out, rows=["full"], seeds=1)
    assert not out.exists()


def test_sides_need_not_be_multiples_of_eight_and_passes_become_steps(base: TrainConfig, tmp_path: Path):
    odd = write_cache(tmp_path / "odd", count=5, size=50)
    base = dataclasses.replace(base, data=str(odd), epochs=2, steps=1000)
    seen: list[tuple[str, int, int]] = []
    text = ablate(base, tmp_path / "out", rows=["full"], seeds=1, progress=lambda *state: seen.append(state))
    assert text.startswith("6 steps, batch 1, crop 16")
    assert seen[0] == ("ablation", 0, 6)
    assert seen[-1] == ("ablation", 6, 6)


def test_further_data_is_aligned_too(base: TrainConfig, tmp_path: Path):
    more = write_cache(tmp_path / "more")
    ablate(dataclasses.replace(base, extra_data=(str(more),)), tmp_path / "out", rows=["flow-candidate"], seeds=1)
    assert list(more.glob("aligned-*.safetensors"))
    (tmp_path / "frames").mkdir()  # no cache: what it is, is the trainer's to say
    with pytest.raises(InputError, match="Vimeo"):
        ablate(
            dataclasses.replace(base, extra_data=(str(tmp_path / "frames"),)),
            tmp_path / "s",
            rows=["flow-candidate"],
            seeds=1,
        )


def test_scores_leave_the_border_out(base: TrainConfig, tmp_path: Path, monkeypatch):
    """The stored score is that of the network on the inner part of the held-out samples."""
    ablate(base, tmp_path / "out", rows=["full"], seeds=1)
    run = json.loads((tmp_path / "out" / "runs" / "full-seed0" / "result.json").read_text())
    from lrhdr.data.generated import CachedSamples
    from lrhdr.metrics import psnr_mu
    from lrhdr.weights import load_pretrained

    model, _ = load_pretrained(tmp_path / "out" / "runs" / "full-seed0" / "full-seed0.safetensors")
    for k, index in enumerate((2, 3)):
        sample = CachedSamples(base.data)[index]
        with torch.no_grad():
            hdr = model(sample.window[None], sample.interpolated[None], sample.exposures[None]).hdr
        inner = (..., slice(16, 32), slice(16, 32))
        assert run["samples"]["psnr_t"][k] == pytest.approx(
            float(psnr_mu(hdr[inner], sample.target[None][inner])), abs=1e-4
        )


@pytest.mark.slow
def test_workers_give_what_one_process_gives(base: TrainConfig, tmp_path: Path):
    ablate(base, tmp_path / "one", rows=["full"], seeds=1)
    ablate(base, tmp_path / "two", rows=["full"], seeds=1, workers=2)
    one, two = (json.loads((tmp_path / d / "ablation.json").read_text())["runs"][0]["samples"] for d in ("one", "two"))
    assert one == two


def test_spread():
    assert spread([], 2) == ""
    assert spread([1.0], 2) == "1.00"
    assert spread([1.0, 2.0], 2) == "1.50 ± 0.50"
    assert spread([1.0, 2.0], 1, sign=True) == "+1.5 ± 0.5"


def test_runs_are_scored_on_a_data_set_too_without_training_again(base: TrainConfig, tmp_path: Path, monkeypatch):
    write_folder(tmp_path / "clip", n_frames=4)
    ablate(base, tmp_path / "out", rows=["full"], seeds=1)

    def nothing(*_args: object, **_keywords: object) -> None:
        raise AssertionError("done again")

    monkeypatch.setattr(ablation, "train", nothing)
    external = ExternalSets(str(tmp_path / "clip"))
    text = ablate(base, tmp_path / "out", rows=["full"], seeds=1, external=external)
    run = json.loads((tmp_path / "out" / "ablation.json").read_text())["runs"][0]
    (row,) = run["external"]
    assert row["method"] == "full-seed0"
    assert f"{row['psnr_t_all']:.2f}" in text.split("PSNR_T on the evaluation sets: clip.")[1]
    monkeypatch.setattr(ablation, "score", nothing)
    assert ablate(base, tmp_path / "out", rows=["full"], seeds=1, external=external) == text
