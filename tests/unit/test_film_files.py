"""FILM's weights from all four layouts, and what is said about files that do not fit."""

import pickle
import re
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from film_files import CONFIG, as_modules, literal_snappy, state, write_saved_model
from safetensors.torch import save_file

from lrhdr.cache import cached_interpolators, interpolator_file
from lrhdr.checks import InputError, WeightsError
from lrhdr.cli import main
from lrhdr.interpolate import get_interpolator
from lrhdr.interpolate.stored import read_stored
from lrhdr.interpolator_weights import describe_cached, import_film
from lrhdr.io.snappy import decompress
from lrhdr.io.torchscript import read_torchscript


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LRHDR_CACHE", str(tmp_path / "cache"))


def safetensors_file(path, tensors, half=True):
    """The port's safetensors: other names for the layers inside a pair, half floats."""
    renamed = {re.sub(r"\.0\.(weight|bias)$", r".conv.\1", name): value for name, value in tensors.items()}
    save_file({k: (v.half() if half else v).contiguous() for k, v in renamed.items()}, path)
    return path


def torchscript_file(path, tensors, half=False):
    module = as_modules(tensors)
    torch.jit.script(module.half() if half else module).save(str(path))
    return path


def state_dict_file(path, tensors, wrap=False):
    named = {f"module.{k}": v for k, v in tensors.items()} if wrap else tensors
    torch.save({"state_dict": named} if wrap else named, path)
    return path


LAYOUTS = {
    "safetensors": lambda folder, s: safetensors_file(folder / "film_net.safetensors", s),
    "torchscript": lambda folder, s: torchscript_file(folder / "film_net_fp32.pt", s),
    "torchscript fp16": lambda folder, s: torchscript_file(folder / "film_net_fp16.pt", s, half=True),
    "state dict": lambda folder, s: state_dict_file(folder / "film.pth", s),
    "wrapped state dict": lambda folder, s: state_dict_file(folder / "film.pth", s, wrap=True),
    "SavedModel": lambda folder, s: write_saved_model(folder / "saved_model", s),
    "SavedModel, Snappy, prefix": lambda folder, s: write_saved_model(
        folder / "saved_model", s, snappy=True, prefix="film/", half=True
    ),
    "variables folder": lambda folder, s: write_saved_model(folder / "saved_model", s) / "variables",
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_give_the_same_network(layout, tmp_path):
    tensors = state()
    path = import_film(LAYOUTS[layout](tmp_path, tensors))
    record, stored = read_stored(path)
    assert record.architecture == "film"
    assert record.config["filters"] == CONFIG.filters
    assert tuple(record.config["flow_filters"]) == CONFIG.flow_filters
    assert len(record.source_sha256) == 64
    assert stored.keys() == tensors.keys()
    for name, value in tensors.items():
        assert torch.equal(stored[name].float(), value), name
    interpolator = get_interpolator("film")
    assert interpolator.name == "film"
    loaded = interpolator.network.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in tensors.items())
    assert next(iter(loaded.values())).dtype == torch.float32


def test_a_name_of_ones_own(tmp_path):
    path = import_film(state_dict_file(tmp_path / "f.pt", state()), "my-film.2")
    assert path == interpolator_file("my-film.2")
    assert cached_interpolators() == ["my-film.2"]
    assert get_interpolator("my-film.2").name == "my-film.2"
    assert "my-film.2: film, " in describe_cached(path)
    with pytest.raises(InputError, match=r"average, .*my-film\.2.*found 'film9'"):
        get_interpolator("film9")
    for bad in ("../up", "", ".hidden", "a b"):
        with pytest.raises(InputError, match="expected a name of letters"):
            import_film(tmp_path / "f.pt", bad)


MISSING = "predict_flow._predictors.1._convs.3.0.bias"


@pytest.mark.parametrize("layout", ["safetensors", "state dict", "SavedModel"])
def test_what_is_missing_is_listed(layout, tmp_path):
    tensors = state()
    del tensors[MISSING], tensors["fuse.output_conv.weight"]
    with pytest.raises(WeightsError, match=rf"2 missing: {re.escape(MISSING)}, fuse\.output_conv\.weight$"):
        import_film(LAYOUTS[layout](tmp_path, tensors))
    assert cached_interpolators() == []


def test_wrong_shapes_and_unexpected_tensors_are_listed(tmp_path):
    tensors = state()
    tensors["fuse.convs.2.1.0.weight"] = torch.zeros(4, 5, 3, 3)
    tensors["fuse.extra"] = torch.zeros(2)
    other = r"1 of another shape: fuse\.convs\.2\.1\.0\.weight \(4, 5, 3, 3\) instead of \(.*\)"
    with pytest.raises(WeightsError, match=rf"{other}; 1 unexpected: fuse\.extra$"):
        import_film(state_dict_file(tmp_path / "f.pt", tensors))
    with pytest.raises(WeightsError, match=r"none of its 82 tensors is there, found other\.weight$"):
        import_film(state_dict_file(tmp_path / "f.pt", {"other.weight": torch.zeros(1)}))


def test_values_that_are_not_finite_are_refused(tmp_path):
    tensors = state()
    tensors["fuse.output_conv.bias"][1] = float("nan")
    with pytest.raises(WeightsError, match=r"not finite in fuse\.output_conv\.bias"):
        import_film(state_dict_file(tmp_path / "f.pt", tensors))


def test_depth_is_read_off_the_names(tmp_path):
    from lrhdr.interpolate.film import Film
    from lrhdr.interpolate.film_config import FilmConfig

    config = FilmConfig(
        filters=4, flow_filters=(2, 6), flow_convs=(1, 2), fusion_pyramid_levels=3, specialized_levels=1, sub_levels=2
    )
    torch.save(Film(config).state_dict(), tmp_path / "f.pt")
    record, _ = read_stored(import_film(tmp_path / "f.pt"))
    assert FilmConfig.from_dict(record.config) == config


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\3\4 cut off", b"\x80\x02}q\x00."])
def test_files_that_are_no_weights(content, tmp_path):
    path = tmp_path / "film.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"film\.pt: ") as caught:
        import_film(path)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match="found nothing"):
        import_film(tmp_path / "none.pt")
    with pytest.raises(WeightsError, match=r"expected a TensorFlow SavedModel"):
        import_film(tmp_path)


def test_damaged_saved_models(tmp_path):
    folder = write_saved_model(tmp_path / "m", state())
    index = folder / "variables" / "variables.index"
    data = folder / "variables" / "variables.data-00000-of-00001"
    whole, bytes_ = index.read_bytes(), data.read_bytes()
    for broken in (whole[:-1], whole[:60], whole[:200] + whole[260:]):
        index.write_bytes(broken)
        with pytest.raises(WeightsError, match=r"variables\.index: "):
            import_film(folder)
    index.write_bytes(whole)
    data.write_bytes(bytes_[:-10])
    with pytest.raises(WeightsError, match="ends too early"):
        import_film(folder)
    data.unlink()
    with pytest.raises(WeightsError, match=r"data-00000-of-00001 beside it"):
        import_film(folder)


class Evil:
    def __reduce__(self):
        return (sys.exit, (3,))


def archive(path, payload):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("film/code/__torch__.py", "raise SystemExit")
        file.writestr("film/data.pkl", pickle.dumps(payload, protocol=2))
    return path


def test_nothing_in_an_archive_is_run(tmp_path):
    with pytest.raises(WeightsError, match=r"found sys\.exit in the archive"):
        import_film(archive(tmp_path / "evil.pt", Evil()))
    plain = tmp_path / "evil.pth"
    plain.write_bytes(pickle.dumps({"a": Evil()}, protocol=2))
    with pytest.raises(WeightsError, match="file that is none"):
        import_film(plain)


def test_a_program_without_an_end_is_refused(tmp_path):
    loop = (
        b"\x80\x02c__torch__.a\nM\nq\x00)\x81q\x01}q\x02X\x01\x00\x00\x00mq\x03h\x01sb."  # a module that holds itself
    )
    with zipfile.ZipFile(tmp_path / "loop.pt", "w") as file:
        file.writestr("film/code/__torch__.py", "")
        file.writestr("film/data.pkl", loop)
    with pytest.raises(WeightsError, match="cannot be read"):
        import_film(tmp_path / "loop.pt")


@pytest.mark.parametrize("name", ["rife", "dis", "average"])
def test_names_of_other_interpolators_are_not_taken(name, tmp_path):
    with pytest.raises(InputError, match="another interpolator"):
        import_film(state_dict_file(tmp_path / "f.pt", state()), name)


def test_a_list_names_damaged_files_and_goes_on(tmp_path, capsys):
    path = import_film(state_dict_file(tmp_path / "f.pt", state()))
    path.with_name("bad.safetensors").write_bytes(b"x")
    path.with_name("my own.safetensors").write_bytes(b"x")
    assert main(["weights", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert sum("film, " in line for line in lines) == 1
    assert sum("not a readable weights file" in line for line in lines) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_views_share_a_storage(tmp_path):
    module = as_modules({"a.b": torch.arange(12.0).view(3, 4), "c": torch.arange(6.0).view(2, 3).t().contiguous().t()})
    torch.jit.script(module).save(str(tmp_path / "m.pt"))
    read = read_torchscript(tmp_path / "m.pt")
    assert read.keys() == {"a.b", "c"}
    assert torch.equal(read["a.b"], torch.arange(12.0).view(3, 4))
    assert torch.equal(read["c"], torch.arange(6.0).view(2, 3))


def test_snappy_literals_and_copies():
    assert decompress(literal_snappy(bytes(range(256)) * 3)) == bytes(range(256)) * 3
    # 20 bytes: literal "abcd", copy of 8 from 4 back (one-byte offset), copy of 8 from 3 back (two-byte offset).
    data = bytes([20, 3 << 2]) + b"abcd" + bytes([(8 - 4) << 2 | 1, 4]) + bytes([(8 - 1) << 2 | 2, 3, 0])
    assert decompress(data) == b"abcdabcdabcdbcdbcdbc"
    # A copy with a four-byte offset, and one that overlaps itself.
    assert decompress(bytes([7, 0]) + b"x" + bytes([5 << 2 | 3, 1, 0, 0, 0])) == b"xxxxxxx"
    for bad in (bytes([5, 0]) + b"x", bytes([3, 0]) + b"x" + bytes([1, 9]), b"\xff", bytes([9, 8 << 2]) + b"x"):
        with pytest.raises(InputError, match="found"):
            decompress(bad)


def test_snappy_of_another_writer():
    cramjam = pytest.importorskip("cramjam", reason="an oracle for Snappy is not installed")
    data = b"variables/1/.ATTRIBUTES/VARIABLE_VALUE variables/12/.ATTRIBUTES/VARIABLE_VALUE" * 50
    assert decompress(bytes(cramjam.snappy.compress_raw(data))) == data


def test_a_damaged_cache_says_so(tmp_path):
    path = import_film(state_dict_file(tmp_path / "f.pt", state()))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="not a readable weights file"):
        get_interpolator("film")
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="no record"):
        get_interpolator("film")


def test_an_archive_said_to_lie_on_several_disks_is_no_program(tmp_path: Path) -> None:
    from lrhdr.io.torchscript import is_torchscript

    locator = b"PK\x06\x07" + bytes(12) + b"\x02\x00\x00\x00"  # of two disks
    file = tmp_path / "x.pt"
    file.write_bytes(bytes(56) + locator + b"PK\x05\x06" + bytes(18))
    assert not is_torchscript(file)
