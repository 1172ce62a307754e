"""The cache of generated training samples: built once, continued when interrupted, read through memory maps.

A cache is a folder:

- `manifest.json`: settings, seed, names of the sources.
- `shard-00000.safetensors`, ...: `shard_size` samples each (the last may hold fewer); the metadata entry "tags" says
  what each was made of. Tensors: `window` (n, T, 3, S, S) uint16, LDR * 65535; `interpolated` (n, N_e - 1, 3, S, S)
  uint16; `exposures` (n, T) float32, relative; `target` (n, 3, S, S) float16, linear radiance in [0, 1].
- `aligned-00000.safetensors`, ...: optional (`lrhdr.data.aligned`).

Sample `index` depends on the settings and (seed, index) only, not on the number of workers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lrhdr._version import __version__
from lrhdr.checks import InputError
from lrhdr.data.base import NO_FRAMES, Sample
from lrhdr.data.cache_files import FORMAT, MANIFEST, is_cache, read_manifest, shard_files, shard_path
from lrhdr.data.maker import GenerationConfig, SampleMaker, generate_clip
from lrhdr.data.sources import HdrLibrary, VideoLibrary
from lrhdr.io.atomic import clear_stale, make_folder, write_bytes
from lrhdr.processes import process_pool
from lrhdr.radiometry import codes_to_float, to_codes

__all__ = [
    "CachedSamples",
    "GenerationConfig",
    "SampleMaker",
    "aligned_path",
    "build_cache",
    "count_in",
    "generate_clip",
]


@dataclass(frozen=True)
class _Job:
    """All that a worker process needs."""

    hdr_dir: str
    video_dir: str | None
    out_dir: str
    exclude: tuple[str, ...]
    seed: int
    config: GenerationConfig

    def maker(self) -> SampleMaker:
        least = self.config.size + self.config.context
        videos = VideoLibrary(Path(self.video_dir), self.exclude, least) if self.video_dir else None
        return SampleMaker(HdrLibrary(Path(self.hdr_dir), self.exclude), videos, self.config, self.seed)


def aligned_path(folder: Path, number: int) -> Path:
    """The file of aligned neighbours that belongs to shard `number`."""
    return folder / f"aligned-{number:05d}.safetensors"


def _write_shard(maker: SampleMaker, folder: Path, number: int, indices: range, progress: Callable[[], None]) -> None:
    made = []
    for index in indices:
        made.append(maker.make(index))
        progress()
    samples = [m[0] for m in made]
    tensors = {
        "window": torch.stack([to_codes(s.window) for s in samples]),
        "interpolated": torch.stack([to_codes(s.interpolated) for s in samples]),
        "exposures": torch.stack([s.exposures for s in samples]).float(),
        "target": torch.stack([s.target.half() for s in samples]),
    }
    # Stacked video frames keep the decoder's channels-last strides, which safetensors refuses.
    tensors = {name: x.contiguous() for name, x in tensors.items()}
    write_bytes(shard_path(folder, number), save(tensors, metadata={"tags": json.dumps([m[1] for m in made])}))


def count_in(path: Path, tensor: str = "target") -> int:
    """How many samples a file holds; 0 where it is missing or damaged."""
    if not path.is_file():
        return 0
    try:
        with safe_open(str(path), framework="pt") as shard:
            return int(shard.get_slice(tensor).get_shape()[0])
    except SafetensorError:
        return 0


def _checked_length(file: Path, folder: Path) -> int:
    """How many samples a shard holds, after checking that its tensors belong together.

    Raises:
        InputError: a damaged shard, or one of another layout.
    """
    try:
        with safe_open(str(file), framework="pt") as shard:
            shapes = {
                k: tuple(shard.get_slice(k).get_shape()) for k in ("window", "interpolated", "exposures", "target")
            }
            tags = json.loads((shard.metadata() or {})["tags"])
        count, frames = shapes["exposures"]
        _, _, height, width = shapes["target"]
        fits = (
            shapes["target"] == (count, 3, height, width)
            and shapes["window"] == (count, frames, 3, height, width)
            and shapes["interpolated"] == (count, frames // 2, 3, height, width)
            and isinstance(tags, list)
            and len(tags) == count
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{file}: damaged ({reason}); remove it, and the same command makes it again") from None
    if not fits:
        raise InputError(f"{folder}: expected shards of samples, found {file.name} of another layout")
    return int(count)


_worker_maker: SampleMaker | None = None


def _start_worker(job: _Job) -> None:
    """Set up a worker process: one thread (two processes on two cores beat four threads), its own source caches."""
    global _worker_maker
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _worker_maker = job.maker()


def _worker_shard(folder: str, number: int, indices: range) -> int:
    assert _worker_maker is not None
    _write_shard(_worker_maker, Path(folder), number, indices, lambda: None)
    return len(indices)


def build_cache(
    hdr_dir: Path | str,
    video_dir: Path | str | None,
    out_dir: Path | str,
    *,
    count: int,
    seed: int,
    config: GenerationConfig | None = None,
    shard_size: int = 64,
    workers: int = 1,
    exclude: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Make `count` samples and store them. An interrupted or smaller cache with the same settings is continued.

    A larger one stays as it is.

    Args:
        hdr_dir: folder of HDR stills.
        video_dir: folder of ordinary video, or None.
        out_dir: the cache; made if missing.
        count: how many samples.
        seed: of the whole set.
        config: what they are made of; the defaults when not given.
        shard_size: samples per file.
        workers: processes. Each keeps its own decoded sources (about 2 GB with 18 videos).
        exclude: shell patterns of source names to leave out.
        progress: called with (samples done, count).

    Returns:
        `out_dir`.

    Raises:
        InputError: no sources, a number out of range, or `out_dir` holds a cache made with other settings, or a damaged
            one.
        OutputError: a file cannot be written.
    """
    if count < 1 or shard_size < 1 or workers < 1:
        raise InputError(f"expected count, shard_size, workers >= 1, found {count}, {shard_size}, {workers}")
    if seed < 0:
        raise InputError(f"seed: expected 0 or more, found {seed}")
    config = config or GenerationConfig()
    folder = Path(out_dir)
    job = _Job(str(hdr_dir), str(video_dir) if video_dir else None, str(folder), tuple(exclude), seed, config)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "seed": seed,
        "shard_size": shard_size,
        "config": json.loads(json.dumps(asdict(config))),
        "stills": list(HdrLibrary(Path(hdr_dir), exclude).names),
        "videos": list(VideoLibrary(Path(video_dir), exclude).names) if video_dir else [],
    }
    make_folder(folder)
    clear_stale(folder)
    _write_manifest(folder, manifest, count)
    shards = [
        (number, range(first, min(first + shard_size, count)))
        for number, first in enumerate(range(0, count, shard_size))
    ]
    todo = [(n, r) for n, r in shards if count_in(shard_path(folder, n)) < len(r)]
    done = count - sum(len(r) for _, r in todo)

    def advance(by: int = 1) -> None:
        nonlocal done
        done += by
        if progress:
            progress(done, count)

    if workers == 1:
        maker = job.maker()
        for number, indices in todo:
            _write_shard(maker, folder, number, indices, advance)
        return folder
    with process_pool(workers, _start_worker, (job,)) as pool:
        futures = [pool.submit(_worker_shard, str(folder), number, indices) for number, indices in todo]
        for future in as_completed(futures):
            advance(future.result())
    return folder


def _completed(settings: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Settings with the defaults of those that are missing, at any depth."""
    given = {
        key: _completed(settings[key], value)
        if isinstance(value, dict) and isinstance(settings.get(key), dict)
        else settings.get(key, value)
        for key, value in defaults.items()
    }
    return settings | given


def _write_manifest(folder: Path, manifest: dict[str, Any], count: int) -> None:
    """Check an existing manifest against the settings, then write it.

    Raises:
        InputError: the folder holds a cache made with other settings, or a damaged manifest.
    """
    if is_cache(folder):
        found = read_manifest(folder)
        if "config" in found:  # of an older version: what it did not know had its default
            found["config"] = _completed(found["config"], json.loads(json.dumps(asdict(GenerationConfig()))))
        changed = [key for key, value in manifest.items() if found.get(key) != value]
        if changed:
            raise InputError(f"{folder}: holds a cache made with other settings ({', '.join(changed)} differ)")
        count = max(count, found.get("count", 0))
    write_bytes(folder / MANIFEST, json.dumps(manifest | {"count": count, "version": __version__}, indent=1).encode())


class CachedSamples:
    """A cache made by `build_cache`, read sample by sample through memory maps.

    Args:
        path: the cache's folder; shards that are complete when it is opened are seen.
        aligned: read the aligned neighbours too.

    Attributes:
        shard_lengths: shard number to samples in it.

    Raises:
        InputError: no cache there, no complete shard, or no aligned neighbours where they were asked for.
    """

    def __init__(self, path: Path | str, *, aligned: bool = False) -> None:
        folder = Path(path)
        self.manifest: dict[str, Any] = read_manifest(folder)
        shards = shard_files(folder)
        self._files = list(shards.values())
        self._where: list[tuple[int, int]] = []
        self.shard_lengths: dict[int, int] = {}
        for place, (number, file) in enumerate(shards.items()):
            length = _checked_length(file, folder)
            self._where.extend((place, i) for i in range(length))
            self.shard_lengths[number] = length
        if not self._where:
            raise InputError(f"{folder}: expected shards, found none")
        self._aligned = [aligned_path(folder, number) for number in self.shard_lengths] if aligned else []
        for file, length in zip(self._aligned, self.shard_lengths.values(), strict=False):
            if count_in(file, "aligned") != length:
                raise InputError(f"{file}: expected {length} samples of aligned neighbours (`lrhdr ablate` adds them)")
        self._open: dict[Path, Any] = {}

    @property
    def identity(self) -> str:
        """Digest of what decides what the samples are: seed, settings, and names of the sources."""
        decisive = [self.manifest.get(key) for key in ("seed", "config", "stills", "videos")]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()

    def __len__(self) -> int:
        """How many samples."""
        return len(self._where)

    def __getstate__(self) -> dict[str, Any]:
        """Open files do not travel to other processes."""
        return self.__dict__ | {"_open": {}}

    def _file(self, path: Path) -> Any:
        if path not in self._open:
            self._open[path] = safe_open(str(path), framework="pt")
        return self._open[path]

    def tags(self, index: int) -> dict[str, Any]:
        """What sample `index` was made of: kind, sources, exposures."""
        number, i = self._where[index]
        tags: list[dict[str, Any]] = json.loads(self._file(self._files[number]).metadata()["tags"])
        return tags[i]

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`, float32.

        Raises:
            IndexError: outside the cache.
        """
        number, i = self._where[index]
        shard = self._file(self._files[number])

        def ldr(name: str, file: Any = shard) -> Tensor:
            return codes_to_float(file.get_slice(name)[i])

        exposures: Tensor = shard.get_slice("exposures")[i]
        target: Tensor = shard.get_slice("target")[i]
        aligned = ldr("aligned", self._file(self._aligned[number])) if self._aligned else NO_FRAMES
        return Sample(ldr("window"), ldr("interpolated"), exposures.float(), target.float(), aligned)
