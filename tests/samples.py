"""Sample caches that the tests write themselves, and a network small enough to be trained on them."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from lrhdr.training_config import TrainConfig

TINY = {
    "accr": {"channels": 4, "context": 4, "mapper_hidden": 4, "decoder_hidden": 4, "decoder_blocks": 1},
    "apswf": {"widths": [4, 4, 4, 4]},
}


def write_cache(folder: Path, count: int = 6, size: int = 24, bad: bool = False, n_exposures: int = 2) -> Path:
    """A cache of noise in the format of `lrhdr.data.generated`."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(3)

    def codes(*shape: int) -> torch.Tensor:
        return torch.randint(0, 65536, shape, generator=generator, dtype=torch.int32).to(torch.uint16)

    target = torch.rand(count, 3, size, size, generator=generator).half()
    if bad:
        target[:] = float("nan")
    frames = 2 * n_exposures - 1
    stops = [[8.0 ** ((first + i) % n_exposures) for i in range(frames)] for first in range(2)]
    tensors = {
        "window": codes(count, frames, 3, size, size),
        "interpolated": codes(count, n_exposures - 1, 3, size, size),
        "exposures": torch.tensor((stops * count)[:count]),
        "target": target,
    }
    save_file(tensors, folder / "shard-00000.safetensors", metadata={"tags": json.dumps([{}] * count)})
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "shard_size": count}))
    return folder


def train_config(folder: Path, count: int = 6, **settings: Any) -> TrainConfig:
    """A short run on such a cache; both lie in `folder`."""
    common = {"output": str(folder / "run"), "model": TINY, "batch": 2, "crop": 16, "warmup": 2, "log_every": 1}
    return TrainConfig(data=str(write_cache(folder / "data", count=count)), **{**common, **settings})
