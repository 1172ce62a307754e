"""One training run: networks, optimiser, data and how far it is; one step, one validation, one checkpoint.

Mixed precision is for the networks' convolutions: Fabric's autocast covers their forward pass only, where radiometry,
prior and entmax see float32, and losses are computed outside of it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lrhdr.checkpoint import load_checkpoint, save_checkpoint
from lrhdr.checks import InputError, LrhdrError
from lrhdr.data.base import Sample, TrainingData
from lrhdr.data.sequences import SequenceConfig
from lrhdr.data.training_data import open_training_data
from lrhdr.interpolate import complete_window, get_interpolator
from lrhdr.io.atomic import clear_stale, make_folder, write_bytes
from lrhdr.losses import Losses, lrhdr_loss, oracle_index
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.nn.widening import widened
from lrhdr.radiometry import ldr_to_radiance
from lrhdr.tonemap import mu_law
from lrhdr.training_batches import batch_item, slots_of, steps_in_all
from lrhdr.training_config import TrainConfig
from lrhdr.weights import WeightsRecord, load_pretrained, save_weights

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def learning_rate_factor(step: int, config: TrainConfig, peak: float) -> float:
    """Linear warm-up, then a cosine to `lr_final`; as a factor of `peak`."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = (step - config.warmup) / max(1, config.steps - config.warmup)
    floor = min(1.0, config.lr_final / peak)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of parameters and buffers, in place."""
    for ours, theirs in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if ours.is_floating_point():
            ours.lerp_(theirs.detach(), 1.0 - decay)
        else:
            ours.copy_(theirs)


@torch.no_grad()
def validate(model: LRHDR, samples: Iterable[Sample]) -> dict[str, float]:
    """PSNR_T (dB, mean over samples) of the network, of the reference alone and of the oracle candidate.

    Args:
        model: the network; left in eval mode.
        samples: batches of one, on the network's device.
    """
    model.eval()
    sums, count = {"psnr": 0.0, "reference": 0.0, "oracle": 0.0}, 0
    for sample in samples:
        output = model(sample.window, sample.interpolated, sample.exposures, aligned=sample.aligned)
        target = mu_law(sample.target)
        centre = sample.window.shape[1] // 2
        reference = mu_law(ldr_to_radiance(sample.window[:, centre], sample.exposures[:, centre]))
        choice, distance = oracle_index(output.candidates_mu, target)
        errors = {
            "psnr": (mu_law(output.hdr) - target).square().mean(),
            "reference": (reference - target).square().mean(),
            "oracle": distance.gather(1, choice[:, None]).mean() / 3.0,
        }
        for key, error in errors.items():
            sums[key] += -10.0 * math.log10(max(float(error), 1e-12))
        count += 1
    return {key: value / max(1, count) for key, value in sums.items()}


def _optimiser(model: LRHDR, config: TrainConfig) -> tuple[torch.optim.AdamW, list[float]]:
    groups = [{"params": list(model.apswf.parameters()), "lr": config.lr}]
    peaks = [config.lr]
    if model.accr is not None:
        groups.append({"params": list(model.accr.parameters()), "lr": config.lr_accr})
        peaks.append(config.lr_accr)
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay), peaks


def _record(
    config: TrainConfig, interpolator: str, step: int, minutes: float, scores: dict[str, float]
) -> WeightsRecord:
    paths = ("data", "output", "init_from", "interpolation_cache")
    training = {**asdict(config), **{key: Path(getattr(config, key)).name for key in paths}}
    training["extra_data"] = [Path(name).name for name in config.extra_data]
    training.update(steps_done=step, minutes=round(minutes, 1))
    return WeightsRecord(
        name=config.name,
        config=config.model_config().to_dict(),
        interpolator=interpolator,
        training=training,
        scores={"validation": scores},
    )


def start_from(weights: str, network: LRHDRConfig) -> LRHDR:
    """Load weights to go on from. A network that hears the noise level, or has wider layers, starts as the one loaded.

    Wider may be: the voting network at full resolution (`apswf.widths[0]`), ACCR's mapper and decoder inside.

    Args:
        weights: bundled name or file.
        network: the configuration to train.

    Raises:
        InputError: another network.
        WeightsError: missing or damaged file.
    """
    model = load_pretrained(weights)[0]
    if model.config == network:
        return model
    if not _grows_into(model.config, network):
        raise InputError(f"{weights}: its network differs from this run's configuration")
    grown = LRHDR(network)
    # The layers that take the noise level start at zero.
    grown.load_state_dict(_widened(model, grown), strict=False)
    return grown


def _grows_into(small: LRHDRConfig, large: LRHDRConfig) -> bool:
    """Whether `large` is `small`, or differs in what `start_from` can add only."""
    if small.accr is not None and large.accr is not None:
        wider = ("mapper_hidden", "decoder_hidden")
        if any(getattr(small.accr, name) > getattr(large.accr, name) for name in wider):
            return False
        small = replace(small, accr=replace(small.accr, **{name: getattr(large.accr, name) for name in wider}))
    if small.apswf.widths[0] > large.apswf.widths[0] or (small.noise and not large.noise):
        return False
    if small.apswf.attention_full and small.apswf.widths[0] != large.apswf.widths[0]:
        return False  # attention there pools over the features, new ones too
    widths = (large.apswf.widths[0], *small.apswf.widths[1:])
    return replace(small, noise=large.noise, apswf=replace(small.apswf, widths=widths)) == large


def _widened(small: LRHDR, large: LRHDR) -> dict[str, Tensor]:
    """The weights of `small` in the shapes of `large`: new channels start at random, and nothing looks at them yet."""
    made = {}
    fresh = large.state_dict()
    for name, given in small.state_dict().items():
        if name.startswith("apswf.noise."):  # the biases of two layers, one after the other
            first = small.config.apswf.widths[0]
            made[name] = torch.cat((widened(fresh[name][: large.config.apswf.widths[0]], given[:first]), given[first:]))
        else:
            made[name] = widened(fresh[name], given)
    return made


def open_data(config: TrainConfig, *, aligned: bool) -> TrainingData:
    """What a run draws from.

    Args:
        config: the run.
        aligned: with the neighbours aligned to the reference.

    Raises:
        InputError: a folder is missing, is no training data, or does not fit the run or the other folders.
    """
    sequences = SequenceConfig(
        n_exposures=config.model_config().n_exposures,
        synthesis=config.synthesis,
        interpolator=config.interpolator,
        interpolate=config.interpolate == "loader",
        aligned=aligned,
        cache=config.interpolation_cache,
        seed=config.seed,
    )
    return open_training_data((config.data, *config.extra_data), config.validation, sequences)


class TrainingRun:
    """A training run: networks, optimiser, data, and how far it is."""

    def __init__(self, config: TrainConfig, fabric: Fabric, say: Callable[[str], None]) -> None:
        self.fabric, self.say = fabric, say
        self.rank, self.world = fabric.global_rank, fabric.world_size
        if config.batch % (self.world * config.accumulate):
            raise InputError(
                f"training configuration: batch = {config.batch} cannot be dealt evenly to {self.world} processes "
                f"in {config.accumulate} parts"
            )
        network = config.model_config()
        self.data = open_data(config, aligned=network.aligned)
        self.config = config = replace(config, steps=steps_in_all(config, len(self.data)))
        self.interpolator = get_interpolator(config.interpolator) if config.interpolate == "device" else None
        self.output = Path(config.output)
        self.checkpoint = self.output / "last.pt"
        self.target = self.output / f"{config.name}.safetensors"
        torch.manual_seed(config.seed)
        self.bare = start_from(config.init_from, network) if config.init_from else LRHDR(network)
        self.bare.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = LRHDR(network).to(fabric.device)
        self.average.load_state_dict(self.bare.state_dict())
        self.optimiser, self.peaks = _optimiser(self.bare, config)
        # Of the last validation, and of the best so far; a resumed run must not forget them.
        self.scores: dict[str, float] = {}
        self.best: dict[str, float] = {}
        # First to the device, then what was saved: an optimiser's state goes to where its weights are then.
        self.model, self.wrapped = fabric.setup(self.bare, self.optimiser)
        self.step, minutes = self._restore() if self.checkpoint.is_file() else (0, 0.0)
        self._agree()
        if self.step:
            say(f"resuming at step {self.step} of {config.steps}")
        self.start = time.monotonic() - minutes * 60.0  # as if the earlier processes of this run had been this one

    def _restore(self) -> tuple[int, float]:
        """Load the checkpoint.

        Returns:
            Steps and minutes that it has behind it.

        Raises:
            InputError: damaged, of another run, or of other data.
        """
        state = load_checkpoint(self.checkpoint)
        try:
            _check_samples(state.get("samples"), self._samples(), self.checkpoint)
            _check_resume(state["config"], asdict(self.config), self.checkpoint)
            self.bare.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            if state.get("precision"):
                self.fabric.strategy.precision.load_state_dict(state["precision"])
            self.scores, self.best = dict(state.get("scores", {})), dict(state.get("best", {}))
            return int(state["step"]), float(state["minutes"])
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise InputError(f"{self.checkpoint}: not a checkpoint of this run ({reason})") from None

    def _samples(self) -> dict[str, Any]:
        """How many samples the run draws from, as a checkpoint says it: they shape the order of all."""
        return {"folders": list(self.data.sizes), "held_out": self.data.held_out}

    def _agree(self) -> None:
        """Check that all processes go on from the same step.

        Raises:
            InputError: some have the checkpoint and others have not: the folder is not the same on all nodes.
        """
        if self.world == 1:
            return
        steps = self.fabric.all_gather(torch.tensor(self.step, device=self.fabric.device))
        assert isinstance(steps, torch.Tensor)
        found = steps.flatten().tolist()
        if len(set(found)) > 1:
            raise InputError(
                f"{self.checkpoint}: processes found it at steps {found}, expected one step; to go on, the output "
                "folder must be the same for all nodes"
            )

    @property
    def minutes(self) -> float:
        """Time spent on the run so far."""
        return (time.monotonic() - self.start) / 60.0

    def prepare_folder(self) -> None:
        """Make the run's folder, take away what a killed process left half written, and store the configuration.

        Raises:
            OutputError: it cannot be written.
        """
        make_folder(self.output)
        clear_stale(self.output)
        write_bytes(self.output / "config.json", json.dumps(asdict(self.config), indent=1).encode())

    def save(self) -> None:
        """Write checkpoint and weights (the first process does)."""
        if self.rank != 0:
            return
        state = {
            "step": self.step,
            "minutes": self.minutes,
            "config": json.loads(json.dumps(asdict(self.config))),
            "samples": self._samples(),
            "model": self.bare.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),  # the scale of the loss, where there is one
            "scores": self.scores,
            "best": self.best,
        }
        save_checkpoint(self.checkpoint, state)
        self.save_average(self.target)

    def save_average(self, path: Path) -> None:
        """Write the moving average as weights."""
        record = _record(self.config, self.data.interpolator, self.step, self.minutes, self.scores)
        save_weights(path, self.average, record)

    def advance(self, parts: list[Sample]) -> Losses:
        """Take one optimiser step.

        Args:
            parts: the step's batches.

        Returns:
            The losses, means over the parts (of this process).

        Raises:
            LrhdrError: loss or gradient is not finite. Nothing was changed.
        """
        config = self.config
        self.model.train()
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * learning_rate_factor(self.step, config, peak)
        self.wrapped.zero_grad(set_to_none=True)
        # No random layers today; if one comes, it is reproducible too.
        torch.manual_seed((config.seed * 1_000_003 + self.step) * 4096 + self.rank)
        seen: list[Losses] = []
        for number, part in enumerate(parts):
            batch = self.to_device(part)
            with self.fabric.no_backward_sync(self.model, enabled=number + 1 < len(parts)):
                shown = batch.shown if batch.shown.numel() else None
                output = self.model(
                    batch.window, batch.interpolated, batch.exposures, aligned=batch.aligned, shown=shown
                )
                losses = lrhdr_loss(output, batch.target, config.loss, self.bare.config.vote_alpha)
                if not torch.isfinite(losses.total):
                    raise self._not_finite(f"the loss is {float(losses.total.detach())}", number)
                self.fabric.backward(losses.total / len(parts))
            seen.append(Losses(*(x.detach() for x in losses)))
        norm = torch.nn.utils.get_total_norm(p.grad for p in self.bare.parameters() if p.grad is not None)
        if not torch.isfinite(norm) and config.precision != "16-mixed":  # whose loss scaling skips such steps itself
            raise self._not_finite(f"the gradient's norm is {float(norm)}", None)
        if config.clip_gradient:
            self.fabric.clip_gradients(
                self.model, self.wrapped, max_norm=config.clip_gradient, error_if_nonfinite=False
            )
        self.wrapped.step()
        self.step += 1
        # A young average would remember the random start: its memory grows with the step.
        update_average(self.average, self.bare, min(config.ema, self.step / (self.step + 10.0)))
        return Losses(*(torch.stack(values).mean() for values in zip(*seen, strict=True)))

    def over_processes(self, losses: Losses) -> Losses:
        """Means over all processes, which have equal shares of a batch: the losses of the whole batch.

        Every process has to call it.
        """
        if self.world == 1:
            return losses
        means = self.fabric.all_reduce(torch.stack(list(losses)), reduce_op="mean")
        assert isinstance(means, torch.Tensor)
        return Losses(*means)

    def in_any_process(self, flag: bool) -> bool:
        """Whether a flag is set in any process: all stop at the same step, or the others would wait for those gone.

        Every process has to call it.
        """
        if self.world == 1:
            return flag
        most = self.fabric.all_reduce(torch.tensor(float(flag), device=self.fabric.device), reduce_op="max")
        return bool(most)

    def to_device(self, sample: Sample) -> Sample:
        """A batch where the network is, completed there if that is where it is done."""
        batch = Sample(*(x.to(self.fabric.device, non_blocking=True) for x in sample))
        if self.interpolator is not None and not batch.interpolated.numel():
            frames = complete_window(batch.window, batch.exposures, self.interpolator)
            batch = batch._replace(interpolated=frames.clamp(0.0, 1.0))
        return batch

    def validate(self) -> dict[str, float]:
        """Score the moving average on the held-out samples; keep it if it is the best so far."""
        held_out = (self.data.fixed(number) for number in range(self.data.held_out))
        self.scores = validate(self.average, (self.to_device(_as_batch(sample)) for sample in held_out))
        if self.scores["psnr"] > self.best.get("psnr", -math.inf):
            self.best = {"psnr": self.scores["psnr"], "step": float(self.step)}
            self.save_average(self.output / f"{self.config.name}-best.safetensors")
        return self.scores

    def _not_finite(self, what: str, part: int | None) -> LrhdrError:
        parts = range(self.config.accumulate) if part is None else (part,)
        slots = [slot for number in parts for slot in slots_of(self.config, self.rank, self.world, number)]
        indices = [batch_item(self.config, len(self.data), self.step, slot).index for slot in slots]
        kept = f"; {self.checkpoint} is kept as it was" if self.checkpoint.is_file() else ""
        return LrhdrError(
            f"training: {what} at step {self.step} (seed {self.config.seed}, slots {slots}, samples {indices}){kept}"
        )


def _as_batch(sample: Sample) -> Sample:
    return Sample(*(x[None] for x in sample))


_MAY_CHANGE = {
    *("data", "extra_data", "output", "init_from", "interpolation_cache", "threads", "workers"),
    *("log_every", "validate_every", "checkpoint_minutes", "tensorboard"),
}
"""Settings that another start of a run may change: they do not shape the weights."""


def _check_resume(saved: dict[str, Any], wanted: dict[str, Any], path: Path) -> None:
    """Refuse to go on with another configuration; a field that the checkpoint's version did not have had its default.

    Raises:
        InputError: a field that shapes the result differs.
    """
    plain = json.loads(json.dumps(wanted))
    defaults = json.loads(json.dumps(asdict(TrainConfig(data="", output=""))))
    before = {**defaults, **saved}
    differing = [key for key in plain if key not in _MAY_CHANGE and before[key] != plain[key]]
    if differing:
        raise InputError(f"{path}: made with other values of {differing}; use another output folder or restore them")


def _check_samples(saved: dict[str, Any] | None, found: dict[str, Any], path: Path) -> None:
    """Refuse to go on with more or fewer samples; where they lie may change. Older checkpoints do not say their number.

    Raises:
        InputError: numbers differ.
    """
    if saved is not None and saved != found:
        before, now = (f"{x['folders']} to train on and {x['held_out']} held out" for x in (saved, found))
        raise InputError(
            f"{path}: made with other data: samples, folder by folder, were {before}, now there are {now}; use another "
            "output folder or restore them"
        )
