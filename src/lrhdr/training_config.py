"""What a training run depends on: `TrainConfig`, read from TOML."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from lrhdr.checks import InputError, LrhdrError
from lrhdr.losses import LossConfig
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on; read from TOML by `load_config`.

    Attributes:
        data: folder made by `lrhdr synthesize`.
        output: run folder: checkpoint, weights, log.
        name: name of the weights in their record.
        preset: network size, "compact" or "paper".
        n_exposures: N_e of the samples and the network.
        model: changes to the preset (keys of `LRHDRConfig`; nested for `accr`, `apswf`).
        loss: loss weights.
        steps: optimiser steps in all.
        batch: samples per step, over all processes.
        crop: side of the square crops, px, a multiple of 8.
        lr: peak learning rate of the voting network.
        lr_accr: peak learning rate of ACCR.
        lr_final: where the cosine ends.
        warmup: steps of linear warm-up.
        weight_decay: of AdamW.
        clip_gradient: largest gradient norm; 0 for none.
        ema: decay of the moving average of the weights that is validated and saved.
        seed: of initialisation, data order and augmentation.
        validation: samples held out from the end of the data.
        validate_every: steps between validations; 0 for none.
        log_every: steps between log lines.
        checkpoint_minutes: minutes between checkpoints.
        init_from: weights (name or file) to start from; "" for random ones.
        threads: torch threads per process; 0 leaves torch's choice.
        precision: Fabric's precision ("32-true", "bf16-mixed" on GPUs).
    """

    data: str
    output: str
    name: str = "compact-2exp"
    preset: str = "compact"
    n_exposures: int = 2
    model: dict[str, Any] = field(default_factory=dict)
    loss: LossConfig = field(default_factory=LossConfig)
    steps: int = 1000
    batch: int = 8
    crop: int = 128
    lr: float = 1e-3
    lr_accr: float = 1e-3
    lr_final: float = 1e-6
    warmup: int = 100
    weight_decay: float = 1e-4
    clip_gradient: float = 1.0
    ema: float = 0.999
    seed: int = 0
    validation: int = 64
    validate_every: int = 500
    log_every: int = 20
    checkpoint_minutes: float = 3.0
    init_from: str = ""
    threads: int = 1
    precision: str = "32-true"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: a value outside its range.
        """
        checks = {
            "steps": self.steps >= 1,
            "batch": self.batch >= 1,
            "crop": self.crop >= 16 and self.crop % LRHDR.MULTIPLE == 0,
            "validation": self.validation >= 0,
            "ema": 0.0 <= self.ema < 1.0,
            "lr": min(self.lr, self.lr_accr, self.lr_final) > 0.0,
        }
        for name, fine in checks.items():
            if not fine:
                raise InputError(f"training configuration: {name} = {getattr(self, name)} is out of range")

    def model_config(self) -> LRHDRConfig:
        """The preset with this run's changes.

        Raises:
            InputError: unknown preset or field.
        """
        try:
            values = LRHDRConfig.preset(self.preset, self.n_exposures).to_dict()
            changed = merged(values, self.model)
            return LRHDRConfig.from_dict({key: None if value == "none" else value for key, value in changed.items()})
        except ValueError as error:
            raise InputError(f"training configuration: {error}") from None


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with `changes` laid over it; tables are merged, everything else is replaced."""
    result = dict(values)
    for key, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if nested else value
    return result


def load_config(path: str | os.PathLike[str], overrides: dict[str, Any] | None = None) -> TrainConfig:
    """Read a TOML file whose keys are the fields of `TrainConfig`.

    Args:
        path: the file.
        overrides: values that replace the file's.

    Raises:
        InputError: missing file, bad TOML, unknown keys, bad values.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such configuration file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not a readable TOML file ({error})") from None
    values.update(overrides or {})
    return config_from_dict(values, str(path))


def config_from_dict(values: dict[str, Any], name: str) -> TrainConfig:
    """Build a `TrainConfig` from plain values.

    Raises:
        InputError: unknown or missing keys, bad values.
    """
    known = {f.name for f in fields(TrainConfig)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise InputError(f"{name}: unknown keys {unknown}")
    given = dict(values)
    try:
        if isinstance(given.get("loss"), dict):
            given["loss"] = LossConfig(**given["loss"])
        return TrainConfig(**given)
    except LrhdrError as error:
        raise InputError(f"{name}: {error}") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {error}") from None
