import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lrhdr.checks import OutputError, WeightsError
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.weights import WeightsRecord, bundled_names, load_pretrained, load_record, save_weights


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    config = LRHDRConfig.preset("compact")
    path = tmp_path / "mine.safetensors"
    save_weights(path, LRHDR(config), WeightsRecord("mine", config.to_dict(), training={"steps": 1}))
    return path


def test_round_trip(saved: Path):
    model, record = load_pretrained(saved)
    assert (record.name, record.training, len(record.sha256)) == ("mine", {"steps": 1}, 64)
    assert not model.training
    assert load_record(saved) == record
    state = load_file(saved)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert sorted(p.name for p in saved.parent.iterdir()) == ["mine.safetensors"]  # no temporary left


def test_every_bundled_file_loads():
    assert "compact-2exp" in bundled_names()
    for name in bundled_names():
        model, record = load_pretrained(name)
        assert record.name == name
        assert sum(p.numel() for p in model.parameters()) > 1000


def test_loading_in_threads_leaves_the_warnings_of_the_program_alone():
    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(load_pretrained, ["compact-2exp"] * 8))
    assert warnings.filters == before


def test_clear_errors(saved: Path, tmp_path: Path):
    with pytest.raises(WeightsError, match="found neither"):
        load_pretrained("no-such-weights")
    pickle = tmp_path / "old.pth"
    torch.save({}, pickle)
    with pytest.raises(WeightsError, match="pickled checkpoints are not opened"):
        load_pretrained(pickle)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(saved.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="not a readable weights file"):
        load_pretrained(broken)
    bare = tmp_path / "bare.safetensors"
    save_file({"a": torch.zeros(1)}, bare)
    with pytest.raises(WeightsError, match="no lrhdr record"):
        load_pretrained(bare)


def test_strict_about_shapes_and_values(saved: Path, tmp_path: Path):
    _, record = load_pretrained(saved)
    metadata = {"lrhdr": json.dumps({"name": record.name, "config": record.config})}
    state = load_file(saved)
    short = tmp_path / "short.safetensors"
    save_file({k: v for k, v in state.items() if "stem" not in k}, short, metadata)
    with pytest.raises(WeightsError, match="do not fit"):
        load_pretrained(short)
    nan = tmp_path / "nan.safetensors"
    save_file({**state, "apswf.stem.bias": torch.full_like(state["apswf.stem.bias"], float("nan"))}, nan, metadata)
    with pytest.raises(WeightsError, match="not finite"):
        load_pretrained(nan)
    other = tmp_path / "other.safetensors"
    save_file(state, other, {"lrhdr": json.dumps({"name": "x", "config": {"depth": 1}})})
    with pytest.raises(WeightsError, match="unknown keys"):
        load_pretrained(other)


def test_unwritable_place(saved: Path, tmp_path: Path):
    model, record = load_pretrained(saved)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        save_weights(tmp_path / "file" / "w.safetensors", model, record)
