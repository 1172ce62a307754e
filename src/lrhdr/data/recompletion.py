"""A sample cache with another interpolator's frames: windows and truth stay, `interpolated` is made anew.

A voting network learns its interpolator's habits; with a new interpolator it wants samples made with that, and the
scenes need not be rendered again. The interpolator sees the stored squares only: near the border it has less to go by
than in use.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from lrhdr.checks import InputError
from lrhdr.data.cache_files import MANIFEST, is_cache, read_manifest, shard_path
from lrhdr.data.generated import CachedSamples, count_in
from lrhdr.data.shards import for_each_shard
from lrhdr.interpolate import complete_window, get_interpolator
from lrhdr.io.atomic import make_folder, write_bytes
from lrhdr.radiometry import to_codes


def _recomplete_shard(source: str, target: str, name: str, number: int, first: int, count: int) -> int:
    samples = CachedSamples(source)
    interpolator = get_interpolator(name)
    with safe_open(str(shard_path(Path(source), number)), framework="pt") as shard:
        tensors = {key: shard.get_tensor(key) for key in shard.keys()}  # noqa: SIM118 (not a mapping)
        metadata = shard.metadata()
    frames = []
    for index in range(first, first + count):
        sample = samples[index]
        frames.append(to_codes(complete_window(sample.window[None], sample.exposures[None], interpolator)[0]))
    tensors["interpolated"] = torch.stack(frames).contiguous()
    write_bytes(shard_path(Path(target), number), save(tensors, metadata=metadata))
    return count


def recomplete_cache(
    source: Path | str,
    target: Path | str,
    interpolator: str,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Copy a cache with frames of another interpolator; an interrupted run goes on where it was.

    Args:
        source: a cache made by `build_cache`.
        target: the new cache; made if missing.
        interpolator: name, as `get_interpolator` takes it.
        workers: processes.
        progress: called with (samples done, samples in all).

    Returns:
        `target`.

    Raises:
        InputError: no cache at `source`, another or a damaged one at `target`, or an unknown interpolator.
        WeightsError: the interpolator's weights are missing.
        OutputError: a file cannot be written.
    """
    old, new = Path(source), Path(target)
    get_interpolator(interpolator)
    samples = CachedSamples(old)
    manifest: dict[str, Any] = json.loads(json.dumps(samples.manifest))
    manifest["config"] = manifest.get("config", {}) | {"interpolator": interpolator}
    make_folder(new)
    if is_cache(new) and read_manifest(new) != manifest:
        raise InputError(f"{new}: expected an empty folder or an unfinished copy of {old}, found another cache")
    write_bytes(new / MANIFEST, json.dumps(manifest, indent=1).encode())

    def finished(number: int, length: int) -> bool:
        return count_in(shard_path(new, number)) == length

    job = partial(_recomplete_shard, str(old), str(new), interpolator)
    for_each_shard(samples.shard_lengths, finished, job, workers=workers, progress=progress)
    return new
