"""What a training run depends on: `TrainConfig`, read from TOML."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lrhdr.checks import InputError, LrhdrError, check_kinds
from lrhdr.losses import LossConfig
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
"""Fabric's names of what the trainer can do: weights stay in float32."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on; read from TOML by `load_config`.

    Attributes:
        data: what to train on: a folder made by `lrhdr synthesize`, or Vimeo-90K septuplets or MPI-Sintel as they are
            on disk (`lrhdr.data.training_data`).
        extra_data: further folders, trained on together with the first.
        output: run folder: checkpoint, weights, log.
        name: name of the weights in their record.
        preset: network size, "compact" or "paper".
        n_exposures: N_e of the samples and the network.
        model: changes to the preset (keys of `LRHDRConfig`; nested for `accr`, `apswf`).
        loss: loss weights.
        steps: optimiser steps in all.
        epochs: passes through the data; above 0 it replaces `steps`, and every pass takes each sample once.
        variants: with epochs: the random choices of a sample (exposures, noise, crop) repeat after so many epochs, so
            that what is made of it can be stored; 0 never repeats them.
        accumulate: batches are worked through in so many parts, whose gradients are added: less memory, the same
            optimiser steps (batch statistics are those of the parts).
        workers: processes per training process that prepare samples; 0 prepares them in between steps.
        synthesis: how folders of frames become samples: "field" (the field's protocol) or "ours" (our camera model).
        interpolator: of folders of frames; a cache has its own.
        interpolate: where that is done: "loader" (by whoever prepares samples) or "device" (with the training, for
            interpolators that run on a GPU).
        interpolation_cache: folder in which its results are kept; "" for none. Needs `variants`.
        tone_perturbation: g: the voting network sees the reference under a random gamma exp(U(-g, g)) per channel;
            candidates stay clean. 0 switches it off; the field uses 0.7.
        tensorboard: write a TensorBoard log too, where it is installed.
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
        precision: Fabric's precision: "32-true", "bf16-mixed" (convolutions in bfloat16) or "16-mixed" (GPUs).
    """

    data: str
    output: str
    extra_data: tuple[str, ...] = ()
    name: str = "compact-2exp"
    preset: str = "compact"
    n_exposures: int = 2
    model: dict[str, Any] = field(default_factory=dict)
    loss: LossConfig = field(default_factory=LossConfig)
    steps: int = 1000
    epochs: int = 0
    variants: int = 0
    accumulate: int = 1
    workers: int = 0
    synthesis: str = "field"
    interpolator: str = "compact"
    interpolate: str = "loader"
    interpolation_cache: str = ""
    tone_perturbation: float = 0.0
    tensorboard: bool = True
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
        object.__setattr__(self, "extra_data", tuple(self.extra_data))
        checks = {
            "steps": self.steps >= 1,
            "epochs": self.epochs >= 0,
            "variants": self.variants >= 0 and (self.epochs > 0 or self.variants == 0),
            "accumulate": self.accumulate >= 1,
            "workers": self.workers >= 0,
            "synthesis": self.synthesis in ("field", "ours"),
            "interpolate": self.interpolate in ("loader", "device"),
            "interpolation_cache": not self.interpolation_cache or (self.variants > 0 and self.interpolate == "loader"),
            "tone_perturbation": self.tone_perturbation >= 0.0,
            "warmup": self.warmup >= 0,
            "batch": self.batch >= 1,
            "log_every": self.log_every >= 1,
            "validate_every": self.validate_every >= 0,
            "threads": self.threads >= 0,
            "seed": self.seed >= 0,
            "weight_decay": self.weight_decay >= 0.0,
            "clip_gradient": self.clip_gradient >= 0.0,
            "checkpoint_minutes": self.checkpoint_minutes >= 0.0,
            "precision": self.precision in PRECISIONS,
            "crop": self.crop >= 16 and self.crop % LRHDR.MULTIPLE == 0,
            "validation": self.validation >= 0,
            "ema": 0.0 <= self.ema < 1.0,
            "lr": min(self.lr, self.lr_accr, self.lr_final) > 0.0,
        }
        if not checks.pop("interpolation_cache"):
            raise InputError(
                "training configuration: interpolation_cache: expected it with variants above 0 and with interpolate = "
                "'loader'"
            )
        for name, fine in checks.items():
            if not fine:
                raise InputError(f"training configuration: {name} = {getattr(self, name)} is out of range")

    def model_config(self) -> LRHDRConfig:
        """The preset with this run's changes.

        Raises:
            InputError: unknown preset or field, or a value that is not of its field's kind.
        """
        without_accr = self.model.get("accr", {}) in ("none", None)
        given = {key: value for key, value in self.model.items() if key != "accr" or not without_accr}
        try:
            values = LRHDRConfig.preset(self.preset, self.n_exposures).to_dict()
            check_kinds({"model": given}, {"model": values}, "training configuration")
            return LRHDRConfig.from_dict(merged(values, {**given, "accr": None} if without_accr else given))
        except InputError:
            raise
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
    """Read a TOML file whose keys are the fields of `TrainConfig`, or a `config.json` that a run saved.

    Args:
        path: the file; `.json` is read as JSON.
        overrides: values that replace the file's.

    Raises:
        InputError: missing file, bad TOML or JSON, unknown keys, bad values.
    """
    kind = "JSON" if Path(path).suffix == ".json" else "TOML"
    try:
        text = Path(path).read_text(encoding="utf-8")
        values = json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(f"{path}: no such configuration file") from None
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not a readable {kind} file ({error})") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a table of settings, found {type(values).__name__}")
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
    check_kinds(values, asdict(TrainConfig(data="", output="", extra_data=("",))), name)
    given = dict(values)
    try:
        if isinstance(given.get("loss"), dict):
            given["loss"] = LossConfig(**given["loss"])
        return TrainConfig(**given)
    except LrhdrError as error:
        raise InputError(f"{name}: {error}") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {error}") from None
