"""`lrhdr interpolate` and `lrhdr weights`, through the command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import Outcome

from lrhdr.commands import options as command_options
from lrhdr.interpolate import INTERPOLATORS, get_interpolator
from lrhdr.interpolate.film import Film
from lrhdr.interpolate.film_config import FilmConfig
from lrhdr.io.exr import write_exr
from lrhdr.io.images import read_image, read_info, write_png

Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRHDR_CACHE", str(tmp_path / "cache"))


def pair(folder: Path, bits: int = 8, shift: int = 4) -> tuple[Path, Path, np.ndarray]:
    """Two frames of a scene that moves by `shift` pixels, and the frame half way, all as codes."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 8, 14, generator=generator)
    scene = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 1)[0]
    top, kind = (255, np.uint8) if bits == 8 else (65535, np.uint16)
    codes = (scene.permute(1, 2, 0).numpy() * top).round().astype(kind)
    views = [np.ascontiguousarray(codes[:, 20 - k : 84 - k]) for k in (0, shift // 2, shift)]
    paths = folder / f"a{bits}.png", folder / f"b{bits}.png"
    for path, view in zip(paths, (views[0], views[2]), strict=True):
        write_png(path, view)
    return *paths, views[1].astype(np.float32) / top


@pytest.mark.parametrize(("bits", "suffix"), [(8, ".png"), (16, ".png"), (8, ".tif"), (16, ".tiff")])
def test_integer_files(lrhdr: Run, tmp_path: Path, bits: int, suffix: str) -> None:
    first, second, middle = pair(tmp_path, bits)
    out = tmp_path / f"c{suffix}"
    result = lrhdr("interpolate", first, second, "-o", out)
    assert result.status == 0, result.err
    assert result.out.strip() == f"{out}: 64x64, fraction 0.5, by dis"
    assert read_info(out).sample == ("uint8" if bits == 8 else "uint16")
    error = np.abs(read_image(out) - middle)[8:-8, 8:-8]
    assert error.mean() < 0.01
    blurred = np.abs((read_image(first) + read_image(second)) / 2 - middle)[8:-8, 8:-8]
    assert error.mean() < 0.5 * blurred.mean()


def test_fraction_and_interpolator(lrhdr: Run, tmp_path: Path) -> None:
    first, second, _ = pair(tmp_path)
    out = tmp_path / "c.png"
    for fraction, file in ((0, first), (1, second)):
        given = ("--fraction", fraction, "--interpolator", "average", "--threads", 1)
        assert lrhdr("interpolate", first, second, "-o", out, *given).status == 0
        assert np.array_equal(read_image(out), read_image(file))


def test_linear_files_keep_values_above_one(lrhdr: Run, tmp_path: Path) -> None:
    image = np.full((20, 24, 3), 0.25, np.float32)
    image[5:10] = 6.0
    for name, gain in (("a", 1.0), ("b", 0.5)):
        write_exr(tmp_path / f"{name}.exr", image * gain)
    arguments = (tmp_path / "a.exr", tmp_path / "a.exr")
    assert lrhdr("interpolate", *arguments, "-o", tmp_path / "c.exr").status == 0
    np.testing.assert_allclose(read_image(tmp_path / "c.exr"), image, rtol=2e-3)
    # The average of two exposures of white, taken in gamma-encoded values.
    both = (tmp_path / "a.exr", tmp_path / "b.exr")
    assert lrhdr("interpolate", *both, "-o", tmp_path / "c.exr", "--interpolator", "average").status == 0
    expected = ((1 + 0.5 ** (1 / 2.2)) / 2) ** 2.2
    np.testing.assert_allclose(read_image(tmp_path / "c.exr"), image * expected, rtol=2e-3)
    assert lrhdr("interpolate", *both, "-o", tmp_path / "c.png", "--interpolator", "average").status == 0
    assert read_image(tmp_path / "c.png").max() == 1.0
    assert read_info(tmp_path / "c.png").sample == "uint16"


def test_mistakes_are_one_line(lrhdr: Run, tmp_path: Path) -> None:
    first, second, _ = pair(tmp_path)
    write_png(tmp_path / "small.png", np.zeros((9, 9, 3), np.uint8))
    write_exr(tmp_path / "l.exr", np.zeros((64, 64, 3), np.float32))
    out = tmp_path / "c.png"
    for arguments, message in (
        ((first, tmp_path / "none.png", "-o", out), "found nothing"),
        ((first, tmp_path / "small.png", "-o", out), "found 9x9 pixels, expected 64x64"),
        ((first, tmp_path / "l.exr", "-o", out), "found half samples, expected the kind of"),
        ((first, second, "-o", tmp_path / "c.jpg"), "expected a name ending in .png"),
        ((first, second, "-o", out, "--fraction", 2), "expected a fraction in [0, 1]"),
        ((first, second, "-o", out, "--gain", 0), "expected a positive gain"),
        ((first, second, "-o", out, "--interpolator", "rife"), "bring them once with 'lrhdr weights fetch rife'"),
        ((first, second, "-o", out, "--interpolator", "film"), "'lrhdr weights import film PATH'"),
        ((first, second, "-o", out, "--interpolator", "nothing"), "invalid choice: 'nothing'"),
        ((first, second, "-o", out, "--device", "cuda:99"), "cannot be used here"),
    ):
        result = lrhdr("interpolate", *arguments)
        assert result.status == 2, arguments
        assert result.err.count("\n") == 1
        assert message in result.err
    assert lrhdr("interpolate", first, second, "-o", tmp_path / "no" / "c.png").status == 3
    assert not out.exists()


def test_import_then_use(lrhdr: Run, tmp_path: Path) -> None:
    assert "no weights yet" in lrhdr("weights", "list").out
    torch.save(Film(FilmConfig(filters=2, flow_filters=(2, 2, 2, 2))).state_dict(), tmp_path / "w.pt")
    done = lrhdr("weights", "import", "film", tmp_path / "w.pt", "-o", "narrow")
    assert done.status == 0, done.err
    assert "narrow: film, " in done.out
    assert "narrow: film, " in lrhdr("weights", "list").out
    first, second, _ = pair(tmp_path)
    result = lrhdr("interpolate", first, second, "-o", tmp_path / "c.png", "--interpolator", "narrow")
    assert result.status == 0, result.err
    assert "by narrow" in result.out
    assert get_interpolator("narrow").name == "narrow"


def test_imports_that_fail_are_one_line(lrhdr: Run, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pt")
    for arguments, message in (
        (("film", tmp_path / "w.pt"), "none of its 82 tensors is there, found a"),
        (("film", tmp_path / "none"), "found nothing"),
        (("film", tmp_path / "w.pt", "-o", "../x"), "expected a name of letters"),
        (("rife", tmp_path / "w.pt"), "tensors do not fit the network"),
        (("dis", tmp_path / "w.pt"), "invalid choice"),
    ):
        result = lrhdr("weights", "import", *arguments)
        assert result.status == 2
        assert result.err.count("\n") == 1
        assert message in result.err
    assert lrhdr("weights").status == 2


def test_reconstruct_with_imported_weights(lrhdr: Run, write_clip: Callable[..., Path], tmp_path: Path) -> None:
    torch.save(Film(FilmConfig(filters=2, flow_filters=(2, 2, 2, 2))).state_dict(), tmp_path / "w.pt")
    assert lrhdr("weights", "import", "film", tmp_path / "w.pt").status == 0
    common = ("reconstruct", write_clip(count=3), "-o", tmp_path / "o", "--method", "completion")
    result = lrhdr(*common, "--interpolator", "film")
    assert result.status == 0, result.err
    assert len(list((tmp_path / "o").glob("*.exr"))) == 3


def test_names_of_the_command_line_are_those_of_the_registry() -> None:
    assert set(command_options.INTERPOLATORS) == set(INTERPOLATORS)
    assert "narrow" not in command_options.INTERPOLATORS
