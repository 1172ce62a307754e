"""lrhdr-bench on disk: what is written is what is scored, and goes on after a stop."""

import json

import pytest
import torch

import lrhdr.bench_files
from lrhdr.bench_files import write_bench
from lrhdr.checks import InputError
from lrhdr.data.bench import bench_clips, content_hash
from lrhdr.data.labelled_folder import load_labelled_folder

SMALL = {"height": 24, "width": 36, "frames": 3}


@pytest.fixture(autouse=True)
def _few_clips(monkeypatch):
    """Two of the 24, of both numbers of exposures: they are slow to make."""
    monkeypatch.setattr(lrhdr.bench_files, "bench_clips", lambda *a, **k: bench_clips(*a, **k)[::21])


@pytest.fixture
def written(tmp_path):
    return write_bench(tmp_path / "bench", **SMALL)


def test_the_definition(written):
    definition = json.loads(written.read_text())
    assert definition["size"] == [24, 36]
    assert len(definition["hash"]) == 16
    assert definition["hash"] == content_hash(bench_clips(size=(24, 36), n_frames=3)[::21])
    assert [c["motion"] for c in definition["clips"].values()] == ["static", "very-fast"]
    assert {c.parent.name for c in written.parent.glob("*/*")} == {"bench-2exp", "bench-3exp"}


def test_the_files_are_the_clips(written):
    for group in ("bench-2exp", "bench-3exp"):
        found = {c.name: c for c in load_labelled_folder(written.parent / group).clips}
        for clip in [c for c in bench_clips(size=(24, 36), n_frames=3) if c.group == group and c.name in found]:
            stored = found[clip.name]
            assert stored.schedule == clip.schedule
            ldr = clip.alternate(clip.schedule, clip.camera)
            for i in range(3):
                assert torch.allclose(stored.ldr(i), ldr[i], atol=1e-5)
                assert torch.allclose(stored.truth(i), clip.hdr[i], rtol=1e-3, atol=1e-6)


def test_it_goes_on_and_notices_another_request(written):
    first = next((written.parent / "bench-2exp").iterdir())
    before = (first / "frame_000001.png").read_bytes()
    (first / "frame_000001.png").unlink()
    write_bench(written.parent, **SMALL)
    assert not (first / "frame_000001.png").exists()  # complete clips are not looked into
    (first / "clip.json").unlink()
    write_bench(written.parent, **SMALL)
    assert (first / "frame_000001.png").read_bytes() == before


@pytest.mark.parametrize("change", [{"height": 8}, {"frames": 2}])
def test_refusals(change, tmp_path):
    with pytest.raises(InputError, match="bench: expected at least 16x16 pixels and 3 frames"):
        write_bench(tmp_path, **{**SMALL, **change})
