"""The trainer of the compact interpolator: pairs from sample caches, loss in the T domain at the pair's exposure.

One process; small enough for a CPU core. What a step sees depends on (seed, step, slot) alone, so a run that was
stopped and started again gives the same weights as one that was not. The run's folder holds `last.pt`, `log.csv` and
`<name>.safetensors`, the moving average, as `lrhdr.interpolate.stored` reads it.

Frames are fetched as in use, along full-resolution flow from the reference. Loss: L1 of the result in the T domain,
0.005 log(MSE) per pair (so that every pair counts by its decibels), and 0.1 of the L1 of both frames fetched along the
refined flow, weighted by what the result uses of them; all weighted by `need`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from lrhdr._version import __version__
from lrhdr.checkpoint import load_checkpoint, save_checkpoint
from lrhdr.checks import InputError, LrhdrError, check_kinds
from lrhdr.data.generated import CachedSamples
from lrhdr.data.motion import CachedPairs, PairSample, add_motion
from lrhdr.interpolate.compact_net import CompactConfig, CompactNet, blend, stand_in, up_to
from lrhdr.interpolate.stored import BUNDLED, METADATA_KEY, StoredRecord, load_into, read_stored
from lrhdr.io.atomic import make_folder, replacing, write_bytes
from lrhdr.nn import widening
from lrhdr.radiometry import GAMMA
from lrhdr.tonemap import mu_law
from lrhdr.training_run import update_average

_BORDER = 8  # px of each crop or sample whose motion leaves it; no loss, no score there
_NEARLY_CLIPPED, _AROUND, _REST = 0.6, 4, 0.2  # of saturation (linear), px, weight elsewhere; see `need`; chosen by us
_LOG_FLOOR = 1e-5  # mean squared error below which a pair stops counting: 50 dB
_COLUMNS = ("step", "minutes", "lr", "loss", "psnr", "validation", "interpolated")


@dataclass(frozen=True)
class InterpolationTrainConfig:
    """Everything that a run depends on; read from TOML by `load_interpolation_config`.

    Attributes:
        data: caches made by `lrhdr synthesize`; motion is added where it lacks.
        shares: how often each cache is drawn from; all alike when empty.
        output: run folder.
        name: of the weights file.
        network: changes to `CompactConfig`.
        init_from: weights (of the bundled ones by name, or a file) to start from, also of a narrower network; "" for
            random ones.
        steps: optimiser steps in all.
        batch: pairs per step.
        crop: side of the square crops, px, a multiple of 4.
        lr: peak learning rate; linear warm-up, then a cosine to `lr_final`.
        lr_final: where the cosine ends.
        warmup: steps.
        weight_decay: of AdamW.
        clip_gradient: largest gradient norm; 0 for none.
        ema: decay of the moving average that is validated and saved.
        no_reference: share of pairs that are shown without their reference.
        same_frame: share of pairs whose second frame is the first, as at the ends of a video; both shares together are
            at most 1.
        seed: of initialisation, data order and augmentation.
        validation: samples held out from the end of each cache.
        validate_every: steps between validations (and checkpoints).
        log_every: steps between log lines.
        threads: torch threads.
    """

    data: tuple[str, ...]
    output: str
    name: str = "compact"
    shares: tuple[float, ...] = ()
    network: CompactConfig = field(default_factory=CompactConfig)
    init_from: str = ""
    steps: int = 6000
    batch: int = 4
    crop: int = 192
    lr: float = 1e-3
    lr_final: float = 5e-6
    warmup: int = 100
    weight_decay: float = 1e-4
    clip_gradient: float = 1.0
    ema: float = 0.998
    no_reference: float = 0.1
    same_frame: float = 0.05
    seed: int = 1
    validation: int = 128
    validate_every: int = 1000
    log_every: int = 50
    threads: int = 1

    def __post_init__(self) -> None:
        """Check the values (lists from a file become tuples).

        Raises:
            InputError: a value outside its range.
        """
        object.__setattr__(self, "data", tuple(self.data))
        object.__setattr__(self, "shares", tuple(self.shares) or (1.0,) * len(self.data))
        checks = {
            "data": len(self.data) > 0,
            "shares": len(self.shares) == len(self.data) and min(self.shares, default=0.0) > 0.0,
            "steps": self.steps >= 1,
            "batch": self.batch >= 1,
            "crop": self.crop > 2 * _BORDER and self.crop % CompactNet.MULTIPLE == 0,
            "lr": min(self.lr, self.lr_final) > 0.0,
            "ema": 0.0 <= self.ema < 1.0,
            "warmup": self.warmup >= 0,
            "weight_decay": self.weight_decay >= 0.0,
            "clip_gradient": self.clip_gradient >= 0.0,
            "seed": self.seed >= 0,
            "validate_every": self.validate_every >= 1,
            "log_every": self.log_every >= 1,
            "threads": self.threads >= 1,
            "no_reference": 0.0 <= self.no_reference <= 1.0,
            "same_frame": self.same_frame >= 0.0 and self.no_reference + self.same_frame <= 1.0,
            "validation": self.validation >= 1,
        }
        for name, fine in checks.items():
            if not fine:
                raise InputError(f"training configuration: {name} = {getattr(self, name)} is out of range")


def load_interpolation_config(path: str | os.PathLike[str]) -> InterpolationTrainConfig:
    """Read a TOML file whose keys are the fields of `InterpolationTrainConfig`.

    Raises:
        InputError: missing file, bad TOML, unknown keys, bad values.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such configuration file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not a readable TOML file ({error})") from None
    unknown = sorted(set(values) - {f.name for f in fields(InterpolationTrainConfig)})
    if unknown:
        raise InputError(f"{path}: unknown keys {unknown}")
    check_kinds(values, asdict(InterpolationTrainConfig(data=("",), output="")), str(path))
    try:
        if "network" in values:
            values["network"] = CompactConfig.from_dict(values["network"])
        return InterpolationTrainConfig(**values)
    except LrhdrError as error:
        raise InputError(f"{path}: {error}") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None


def augment(pair: PairSample, config: InterpolationTrainConfig, generator: torch.Generator) -> PairSample:
    """Random crop, flips, transposition, channel order, time reversal; sometimes no reference, or one frame twice.

    Args:
        pair: unbatched.
        config: crop and shares.
        generator: where the numbers come from; nine draws and a permutation whatever they are.

    Returns:
        The pair, (crop, crop) px.

    Raises:
        InputError: the samples are smaller than the crop.
    """
    draw = torch.rand(9, generator=generator).tolist()
    order = torch.randperm(3, generator=generator)
    height, width = pair.target.shape[-2:]
    if min(height, width) < config.crop:
        raise InputError(f"crop: expected samples of at least {config.crop} px, found {height}x{width}")
    # Whole steps of the network's grid keep motion at half resolution in place.
    step = CompactNet.MULTIPLE
    top = int(draw[0] * ((height - config.crop) // step + 1)) * step
    left = int(draw[1] * ((width - config.crop) // step + 1)) * step

    def crop(x: Tensor, scale: int = 1) -> Tensor:
        size = config.crop // scale
        x = x[..., top // scale : top // scale + size, left // scale : left // scale + size]
        axes = [axis for axis, chance in ((-1, draw[2]), (-2, draw[3])) if chance < 0.5]
        x = x.flip(axes) if axes else x
        return x.transpose(-1, -2) if draw[4] < 0.5 else x

    first, second, reference, target = (crop(x) for x in (pair.first, pair.second, pair.reference, pair.target))
    motion, guided = crop(pair.motion, 2).clone(), crop(pair.guided).clone()
    if draw[4] < 0.5:
        motion, guided = motion[[1, 0, 3, 2, 5, 4, 6, 7]], guided[[1, 0, 3, 2]]
    # After a transposition the axis that was flipped is the other one.
    for flip, axis in ((draw[2] < 0.5, 0), (draw[3] < 0.5, 1)):
        if flip:
            turned = 1 - axis if draw[4] < 0.5 else axis
            motion[turned:6:2] *= -1.0
            guided[turned::2] *= -1.0
    if draw[5] < 0.5:
        first, second, reference, target = (x[order] for x in (first, second, reference, target))
    fraction, ratio = pair.fraction, pair.ratio
    if draw[6] < 0.5:
        first, second, fraction = second, first, 1.0 - fraction
        motion = torch.cat((motion[2:4], motion[0:2], -motion[4:6], motion[[7, 6]]))
        guided = torch.cat((guided[2:], guided[:2]))
    if draw[7] < config.no_reference:
        motion[0:2], motion[2:4] = -fraction * motion[4:6], (1.0 - fraction) * motion[4:6]
        guided = 2.0 * up_to(motion[None, :4], first)[0]
        reference = stand_in(first[None], second[None], motion[None], fraction[None])[0]
        ratio = torch.ones_like(ratio)
    elif draw[7] < config.no_reference + config.same_frame:
        second = first
        motion = torch.cat((motion[0:2], motion[0:2], torch.zeros_like(motion[4:6]), torch.ones_like(motion[6:8])))
        guided = torch.cat((guided[:2], guided[:2]))
    parts = first, second, reference, motion, guided, fraction, pair.gain, ratio, pair.exposure, target
    return PairSample(*(x.contiguous() for x in parts))


def errors(prediction: Tensor, pair: PairSample) -> Tensor:
    """Difference to the truth in the T domain, as the HDR merge sees it, (B, 3, H, W).

    The truth is clipped where the pair's exposure clips: an interpolated frame cannot know more.
    """
    exposure = pair.exposure.view(-1, 1, 1, 1)
    radiance = prediction.clamp(0.0, 1.0) ** GAMMA / exposure
    return mu_law(radiance) - mu_law(torch.minimum(pair.target, 1.0 / exposure))


def need(pair: PairSample) -> Tensor:
    """What an HDR frame needs of each pixel of an interpolated frame, (B, 1, H, W) in (0, 1]; ours.

    Of a pair that is shorter than its reference: the places where the reference clips or nearly does, and a few pixels
    around them; of the rest, which the reference shows with less noise, a fifth. Everything of a longer pair.
    """
    exposure = (pair.exposure * pair.ratio).view(-1, 1, 1, 1)
    bright = (pair.target.amax(dim=1, keepdim=True) * exposure > _NEARLY_CLIPPED).float()
    around = F.max_pool2d(bright, 2 * _AROUND + 1, stride=1, padding=_AROUND)
    shorter = (pair.ratio > 1.0).view(-1, 1, 1, 1)
    return torch.where(shorter, _REST + (1.0 - _REST) * around, torch.ones_like(around))


def run_network(network: CompactNet, pair: PairSample) -> tuple[Tensor, Tensor]:
    """The interpolated frames (B, 3, H, W) of a batch, and the training loss (scalar)."""
    output = network(pair.first, pair.second, pair.reference, pair.motion, pair.fraction, pair.gain, pair.ratio)
    made = blend(pair.first, pair.second, output, pair.guided)
    inside = slice(_BORDER // 2, -(_BORDER // 2))
    needed = need(pair)
    error, share = errors(made.frame, pair)[..., inside, inside], needed[..., inside, inside]
    squares = (share * error.square()).mean(dim=(1, 2, 3)) / share.mean(dim=(1, 2, 3))
    loss = (share * error.abs()).mean() + 0.005 * torch.log(squares + _LOG_FLOOR).mean()
    for i, frame in enumerate(made.refined):
        vote = made.votes[:, i : i + 1].detach()
        loss = loss + 0.1 * (needed * errors(frame, pair).abs() * (vote + 0.1)).mean()
    return made.frame, loss


def _batch(pairs: list[PairSample]) -> PairSample:
    return PairSample(*(torch.stack(parts) for parts in zip(*pairs, strict=True)))


def _draw(caches: list[CachedPairs], config: InterpolationTrainConfig, step: int) -> PairSample:
    drawn = []
    for slot in range(config.batch):
        generator = torch.Generator().manual_seed((config.seed * 1_000_003 + step) * 4096 + slot)
        cache = caches[int(torch.multinomial(torch.tensor(config.shares), 1, generator=generator))]
        index = int(torch.randint(len(cache) - config.validation, (), generator=generator))
        which = int(torch.randint(len(cache.pairs), (), generator=generator))
        drawn.append(augment(cache.pair(index, which), config, generator))
    return _batch(drawn)


def _held_out(caches: list[CachedPairs], config: InterpolationTrainConfig) -> Iterator[tuple[PairSample, Tensor]]:
    """Held-out pairs, and what the cache's own interpolator made of them."""
    for cache in caches:
        for index in range(len(cache) - config.validation, len(cache)):
            for which in range(len(cache.pairs)):
                yield _batch([cache.pair(index, which)]), cache.samples[index].interpolated[which][None]


@torch.no_grad()
def validate_interpolation(
    network: CompactNet, caches: list[CachedPairs], config: InterpolationTrainConfig
) -> dict[str, float]:
    """Mean PSNR_T (dB) over held-out pairs, of the network and of the interpolator that the cache was made with.

    Keys: "validation", "interpolated", both for pairs that are shorter and longer than their reference, and both
    weighted by `need`.
    """
    network.eval()
    inside = slice(_BORDER, -_BORDER)
    sums: dict[str, list[float]] = {}
    for pair, made in _held_out(caches, config):
        own, _ = run_network(network, pair)
        kind = "short" if float(pair.ratio) > 1.0 else "long"
        share = need(pair)[..., inside, inside]
        for name, frame in (("validation", own), ("interpolated", made)):
            squares = errors(frame, pair)[..., inside, inside].square()
            plain, weighted = float(squares.mean()), float((share * squares).mean() / share.mean())
            for key, mse in ((name, plain), (f"{name}_{kind}", plain), (f"{name}_needed", weighted)):
                sums.setdefault(key, []).append(-10.0 * math.log10(max(mse, 1e-12)))
    return {key: sum(values) / len(values) for key, values in sorted(sums.items())}


def _rate(step: int, config: InterpolationTrainConfig) -> float:
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    progress = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.lr_final + (config.lr - config.lr_final) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def save_interpolator(path: Path, network: CompactNet, settings: dict[str, Any], scores: dict[str, float]) -> None:
    """Write weights as `lrhdr.interpolate.stored.read_stored` reads them; the run's settings stand in the metadata.

    Raises:
        OutputError: the file cannot be written.
    """
    record = StoredRecord(
        architecture="compact",
        config=network.config.to_dict(),
        source="lrhdr train-interpolator",
        source_sha256=hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
        licence="Apache-2.0",
        version=__version__,
    )
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    metadata = {METADATA_KEY: record.to_json(), "training": json.dumps({**settings, "scores": scores})}
    write_bytes(path, save(state, metadata=metadata))  # `save_file` leaves files that only their owner may read


def widened(network: CompactNet, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a narrower network of the same shape, put into those of a wider one: it gives the same result.

    The channels that are new start as `network` has them, and nothing that was there looks at them yet. Tensors that do
    not fit (`features` must be the same) are handed on as they are, for `load_into` to name.

    Args:
        network: the wider one, as initialised.
        tensors: of the narrower one.

    Returns:
        Tensors of the wider network's shapes.
    """
    made = dict(tensors)
    for name, fresh in network.state_dict().items():
        given = tensors.get(name)
        if given is None or given.ndim != fresh.ndim or any(given.shape[i] > n for i, n in enumerate(fresh.shape)):
            continue
        if name in ("inp.weight", "g1.weight") and given.shape[1] != fresh.shape[1]:  # they look at several things
            continue
        made[name] = widening.widened(fresh, given)
    return made


def _start_from(network: CompactNet, source: str) -> None:
    """Give a network the weights of a file, or of a bundled one by its name; those of a narrower one are widened.

    Raises:
        InputError: no such file.
        WeightsError: damaged, or of another network.
    """
    bundled = BUNDLED / f"{source}.safetensors"
    path = bundled if bundled.is_file() else Path(source)
    if not path.is_file():
        raise InputError(f"init_from = {source!r}: no such weights file")
    load_into(network, widened(network, read_stored(path)[1]), str(path))


def _check_cache(folder: str, config: InterpolationTrainConfig) -> None:
    """Refuse a cache that cannot be trained on, before motion is added to it.

    Raises:
        InputError: no cache, too few samples, or samples of an unfit size.
    """
    samples = CachedSamples(folder)
    if len(samples) <= config.validation:
        raise InputError(f"{folder}: found {len(samples)} samples, expected more than {config.validation} held out")
    height, width = samples[0].target.shape[-2:]
    found = f"{folder}: found samples of {width}x{height} pixels, expected"
    if height % CompactNet.MULTIPLE or width % CompactNet.MULTIPLE:
        raise InputError(f"{found} multiples of {CompactNet.MULTIPLE}")
    if min(height, width) < config.crop:
        raise InputError(f"{found} at least {config.crop}x{config.crop} for the crop")


def train_interpolator(config: InterpolationTrainConfig, *, progress: Callable[[str], None] | None = None) -> Path:
    """Train, or go on from the checkpoint in the output folder.

    Args:
        config: the run. Resuming with another configuration (other than folders, threads and log intervals), or with
            more or fewer samples, is refused.
        progress: called with one line of text per log line.

    Returns:
        The saved weights, `<output>/<name>.safetensors`.

    Raises:
        InputError: data missing or unfit, or a checkpoint of another configuration.
        OutputError: a file cannot be written.
        LrhdrError: the loss stopped being finite.
    """
    say = progress or (lambda _line: None)
    torch.set_num_threads(config.threads)
    for folder in config.data:
        _check_cache(folder, config)
    for folder in config.data:
        add_motion(folder)
    caches = [CachedPairs(folder) for folder in config.data]
    samples = [len(cache) for cache in caches]
    torch.manual_seed(config.seed)
    network = CompactNet(config.network)
    if config.init_from:
        _start_from(network, config.init_from)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = CompactNet(config.network)
    average.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=config.weight_decay)
    output = Path(config.output)
    make_folder(output)
    checkpoint, target = output / "last.pt", output / f"{config.name}.safetensors"
    wanted = json.loads(json.dumps(asdict(replace(config, output="", threads=1, log_every=1, validate_every=1))))
    wanted["data"] = [Path(folder).name for folder in config.data]
    step, minutes, rows = 0, 0.0, []
    if checkpoint.is_file():
        state = load_checkpoint(checkpoint)
        try:
            if state["config"] != wanted:
                differing = [key for key in wanted if state["config"].get(key) != wanted[key]]
                raise InputError(f"{checkpoint}: made with other values of {differing}; use another output folder")
            if state.get("samples", samples) != samples:  # older checkpoints do not say
                raise InputError(
                    f"{checkpoint}: made with other data: samples, folder by folder, were {state['samples']}, now "
                    f"there are {samples}; use another output folder or restore them"
                )
            network.load_state_dict(state["model"])
            average.load_state_dict(state["average"])
            optimiser.load_state_dict(state["optimiser"])
            step, minutes, rows = int(state["step"]), float(state["minutes"]), list(state["rows"])
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise InputError(f"{checkpoint}: not a checkpoint of this run ({reason})") from None
        say(f"resuming at step {step} of {config.steps}")
    began, first = time.monotonic(), step

    def save(scores: dict[str, float]) -> None:
        spent = minutes + (time.monotonic() - began) / 60.0
        state = {"step": step, "minutes": spent, "config": wanted, "samples": samples, "rows": rows}
        parts = {"model": network, "average": average, "optimiser": optimiser}
        save_checkpoint(checkpoint, state | {key: part.state_dict() for key, part in parts.items()})
        _write_log(output / "log.csv", rows)
        save_interpolator(target, average, wanted | {"steps_done": step, "minutes": round(spent, 1)}, scores)

    total, count = 0.0, 0
    while step < config.steps:
        network.train()
        for group in optimiser.param_groups:
            group["lr"] = _rate(step, config)
        pair = _draw(caches, config, step)
        made, loss = run_network(network, pair)
        if not torch.isfinite(loss):
            raise LrhdrError(f"training: the loss is {float(loss.detach())} at step {step} (seed {config.seed})")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if config.clip_gradient:
            torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_gradient)
        optimiser.step()
        step += 1
        update_average(average, network, min(config.ema, step / (step + 10.0)))
        total, count = total + float(errors(made.detach(), pair).square().mean()), count + 1
        last = step == config.steps
        if step % config.log_every == 0 or last:
            spent = minutes + (time.monotonic() - began) / 60.0
            row: dict[str, Any] = {"step": step, "minutes": round(spent, 3), "lr": _rate(step - 1, config)}
            row |= {"loss": float(loss.detach()), "psnr": -10.0 * math.log10(max(total / count, 1e-12))}
            rows.append(row)
            total, count = 0.0, 0
            rate = (step - first) / max(1e-9, time.monotonic() - began)
            left = (config.steps - step) / rate / 60.0
            say(f"step {step}/{config.steps}  PSNR_T {row['psnr']:.2f} dB  {rate:.2f} steps/s  {left:.0f} min left")
        if step % config.validate_every == 0 or last:
            scores = validate_interpolation(average, caches, config)
            rows.append({"step": step, **{key: scores[key] for key in ("validation", "interpolated")}})
            say("validation " + "  ".join(f"{key} {value:.2f} dB" for key, value in scores.items()))
            save(scores)
    return target


def _write_log(path: Path, rows: list[dict[str, Any]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
