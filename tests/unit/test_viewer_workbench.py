"""What the interactive demo does, without its page; and the page, where Gradio is installed."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from viewer_clips import frames

from lrhdr.checks import InputError, OutputError
from lrhdr.io.images import read_exr, write_png
from lrhdr.viewer.app import build_app
from lrhdr.viewer.workbench import Workbench


@pytest.fixture
def clip(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "given"
    folder.mkdir()
    made = frames(5, size=(64, 96))
    paths = []
    for f in made:
        paths.append(folder / f"shot_{f.index:03d}.png")
        write_png(paths[-1], np.rint(255.0 * f.window[1]).astype(np.uint8))
    return paths


def test_a_clip_is_kept_inspected_reconstructed_and_bundled(clip: list[Path], tmp_path: Path) -> None:
    bench = Workbench(tmp_path / "bench")
    found = bench.take(clip)
    assert "96" in found
    assert "64" in found
    made = bench.reconstruct(stops="0,3", first=1, count=3, method="merge")
    assert made.sheet.is_file()
    with zipfile.ZipFile(made.archive) as bundle:
        assert sorted(bundle.namelist()) == [f"result.{i:06d}.exr" for i in (1, 2, 3)]
    assert read_exr(made.frames / "result.000002.exr").shape == (64, 96, 3)
    assert (tmp_path / "bench" / "out" / "report" / "index.html").is_file()
    assert made.message.startswith("3 frames, ")
    assert made.hdr10 is not None
    assert made.hdr10.stat().st_size > 500
    # Another clip takes the place of the first.
    bench.take(clip[:4])
    assert bench.clip is not None
    assert len(list(bench.clip.iterdir())) == 4


def test_a_place_that_cannot_be_written_is_one_line(clip: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*clip: its folder is not a folder"):
        Workbench(tmp_path / "file").take(clip)


def test_what_cannot_be_used_is_refused(clip: list[Path], tmp_path: Path) -> None:
    bench = Workbench(tmp_path / "bench")
    with pytest.raises(InputError, match="expected a video or frames first"):
        bench.reconstruct()
    with pytest.raises(InputError, match="found 0 files"):
        bench.take([])
    with pytest.raises(InputError, match="found 6 files"):
        bench.take([*clip, tmp_path / "movie.mp4"])
    bench.take(clip)
    with pytest.raises(InputError, match="found 25 from 0"):
        bench.reconstruct(count=25)


def test_the_page_is_built_or_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match=r"pip install 'lrhdr\[app\]'"):
        build_app(tmp_path)
    monkeypatch.undo()
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("Gradio is not installed (pip install 'lrhdr[app]')")
    labels = {block.label for block in build_app(tmp_path).blocks.values() if getattr(block, "label", None)}
    assert {"What it is", "Contact sheet", "EXR frames, HDR10 video"} <= labels
