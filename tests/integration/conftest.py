"""Clips that the tests write themselves, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import Outcome, expose, scene

from lrhdr.cli import main
from lrhdr.io.images import write_png
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.weights import WeightsRecord, save_weights


@pytest.fixture
def lrhdr(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command line in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return Outcome(status, out, err)

    return run


@pytest.fixture
def write_clip(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of PNG frames that alternate between exposures."""

    def write(
        name: str = "clip",
        count: int = 5,
        size: tuple[int, int] = (18, 32),
        exposures: tuple[float, ...] = (1.0, 8.0),
        stops_file: bool = True,
        bits: int = 8,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        radiance = scene(*size)
        for i in range(count):
            codes = expose(radiance, exposures[i % len(exposures)])
            write_png(folder / f"frame_{i:03d}.png", codes if bits == 8 else codes.astype(np.uint16) * 257)
        if stops_file:
            (folder / "Exposures.txt").write_text("\n".join(str(np.log2(e)) for e in exposures))
        return folder

    return write


@pytest.fixture
def tiny_weights(tmp_path: Path) -> Callable[..., Path]:
    """Random weights of the compact network."""

    def write(n_exposures: int = 2) -> Path:
        torch.manual_seed(1)
        model = LRHDR(LRHDRConfig.preset("compact", n_exposures))
        path = tmp_path / f"random-{n_exposures}.safetensors"
        save_weights(path, model, WeightsRecord(path.stem, model.config.to_dict(), interpolator="average"))
        return path

    return write
