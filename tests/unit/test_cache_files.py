"""Names of a sample cache's files, and manifests that are damaged: one line that names the folder, nothing touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lrhdr.checks import InputError
from lrhdr.data.cache_files import MANIFEST, is_cache, read_manifest, shard_files, shard_path
from lrhdr.data.generated import CachedSamples, build_cache
from lrhdr.data.recompletion import recomplete_cache
from lrhdr.io.exr import write_exr
from samples import write_cache

DAMAGED = {
    "empty": b"",
    "cut off": b'{"format": 1, "seed',
    "no text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "a list": b"[1]",
    "another format": b'{"format": 2}',
    "no format": b"{}",
    "config": b'{"format": 1, "config": 3}',
    "count": b'{"format": 1, "count": "all"}',
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_manifest_is_one_line(tmp_path: Path, damage: str) -> None:
    cache, out = write_cache(tmp_path / "cache", 2, 16), tmp_path / "out"
    write_exr(tmp_path / "still.exr", np.ones((32, 32, 3), np.float32), {})
    out.mkdir()
    (out / MANIFEST).write_bytes(DAMAGED[damage])
    for use in (
        lambda: read_manifest(out),
        lambda: CachedSamples(out),
        lambda: build_cache(tmp_path, None, out, count=1, seed=0),
        lambda: recomplete_cache(cache, out, "average"),
    ):
        with pytest.raises(InputError) as caught:
            use()
        assert str(caught.value).startswith(str(out))
        assert "\n" not in str(caught.value)
    assert [path.name for path in out.iterdir()] == [MANIFEST]
    assert (out / MANIFEST).read_bytes() == DAMAGED[damage]


def test_files_of_other_names_are_no_shards(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", 2, 16)
    assert is_cache(cache)
    assert not is_cache(tmp_path)
    assert not is_cache(tmp_path / "nowhere")
    for name in ("shard-1.safetensors", "shard-new.safetensors", "shard-.safetensors"):
        (cache / name).write_bytes(b"x")
    assert shard_files(cache) == {0: shard_path(cache, 0)}
    assert len(CachedSamples(cache)) == 2


def test_a_cache_without_a_configuration_is_recompleted(tmp_path: Path) -> None:
    copy = recomplete_cache(write_cache(tmp_path / "cache", 2, 16), tmp_path / "copy", "average")
    assert read_manifest(copy)["config"] == {"interpolator": "average"}
