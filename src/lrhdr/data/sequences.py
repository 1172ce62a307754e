"""Training samples made on the fly from folders of ordinary frames (Vimeo-90K, MPI-Sintel).

Per sample: choose frames, linearise them with one curve, flip, crop, permute colour channels, expose, interpolate.
With `synthesis="field"` every step is the field's (see `lrhdr.synthesis`); "ours" expands highlights and takes the
pictures with our camera model. The interpolator sees up to `CONTEXT` pixels around the crop, as far as the frame goes.

Everything that is random comes from the generator of the call: equal generators give equal samples, in any process.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.data.base import NO_FRAMES, Sample
from lrhdr.footage import LinearisationConfig, linearise_video
from lrhdr.interpolate import complete_window, get_interpolator
from lrhdr.interpolate.base import Interpolator, weights_digest
from lrhdr.interpolate.guided import align_window
from lrhdr.io.atomic import make_folder, make_parent, write_bytes
from lrhdr.io.images import read_image
from lrhdr.radiometry import codes_to_float, to_codes
from lrhdr.randomness import numpy_generator, torch_generator
from lrhdr.synthesis import SynthesisConfig, sample_schedule, synthesize

CONTEXT = 32
"""Pixels around a crop that the interpolator sees. Chosen by us: half of what made caches have."""

_FIXED = 77_001
"""Seed of held-out samples: the same in every run."""


class FrameClips(Protocol):
    """A data set of short clips on disk."""

    @property
    def name(self) -> str:
        """Short name, for records."""
        ...

    def __len__(self) -> int:
        """How many clips may be trained on."""
        ...

    @property
    def held_out(self) -> int:
        """How many are kept for validation."""
        ...

    @property
    def identity(self) -> str:
        """Digest of what the training clips are, in order: where they lie and their names."""
        ...

    def frames(self, index: int, count: int, rng: np.random.Generator) -> Sequence[Path]:
        """Choose `count` frames of training clip `index`."""
        ...

    def fixed_frames(self, number: int, count: int) -> Sequence[Path]:
        """The frames of held-out clip `number`, always the same."""
        ...


@dataclass(frozen=True)
class SequenceConfig:
    """How clips become samples.

    Attributes:
        n_exposures: N_e >= 2.
        synthesis: "field" or "ours".
        interpolator: name of the frozen interpolator.
        interpolate: do it here; otherwise samples come without interpolated frames.
        aligned: add the neighbours aligned by flow.
        validation_crop: side of held-out samples, px.
        cache: folder for interpolated frames; "" for none.
        seed: of the run whose frames are kept there.
    """

    n_exposures: int = 2
    synthesis: str = "field"
    interpolator: str = "dis-guided"
    interpolate: bool = True
    aligned: bool = False
    validation_crop: int = 256
    cache: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: unknown synthesis or fewer than two exposures.
        """
        if self.synthesis not in ("field", "ours"):
            raise ValueError(f"synthesis: expected 'field' or 'ours', found {self.synthesis!r}")
        if self.n_exposures < 2:
            raise ValueError(f"n_exposures: expected at least 2, found {self.n_exposures}")


class SequenceData:
    """`TrainingData` from clips on disk.

    Args:
        clips: where frames come from.
        config: what is made of them.

    Raises:
        InputError: the interpolation cache was made with other settings, or its record is damaged.
        OutputError: its folder cannot be made.
    """

    def __init__(self, clips: FrameClips, config: SequenceConfig) -> None:
        self._clips = clips
        self._config = config
        field = config.synthesis == "field"
        self._linearisation = LinearisationConfig.field() if field else LinearisationConfig()
        self._synthesis = SynthesisConfig.field() if field else SynthesisConfig()
        self._interpolator: Interpolator | None = None
        self._cache = _open_cache(Path(config.cache), clips, config) if config.cache else None

    @property
    def interpolator(self) -> str:
        """Its name."""
        return self._config.interpolator

    @property
    def held_out(self) -> int:
        """How many clips are kept for validation."""
        return self._clips.held_out

    @property
    def sizes(self) -> tuple[int, ...]:
        """See `TrainingData`."""
        return (len(self),)

    def __len__(self) -> int:
        """How many clips may be trained on."""
        return len(self._clips)

    def __getstate__(self) -> dict[str, Any]:
        """Interpolators do not travel to other processes; they are built again there."""
        return self.__dict__ | {"_interpolator": None}

    def draw(self, index: int, crop: int, generator: torch.Generator, key: str = "") -> Sample:
        """See `TrainingData`.

        Raises:
            InputError: a frame is missing or damaged, sizes differ, or the frames are smaller than the crop.
        """
        rng = numpy_generator(generator)
        paths = self._clips.frames(index, 2 * self._config.n_exposures - 1, rng)
        frames = _read(paths, crop)
        height, width = frames.shape[-2:]
        place = int(rng.integers(0, height - crop + 1)), int(rng.integers(0, width - crop + 1))
        flips = [axis for axis in (-1, -2) if rng.random() < 0.5]
        order = rng.permutation(3).tolist()
        # `key` is the sample's name among all data sets of the run; `index` says which clip of this one it is.
        return self._make(frames[:, order], place, crop, flips, generator, f"{key}-{index:07d}" if key else "")

    def fixed(self, number: int) -> Sample:
        """See `TrainingData`: the middle of the frames as they are; exposures and noise from a seed of its own."""
        paths = self._clips.fixed_frames(number, 2 * self._config.n_exposures - 1)
        frames = _read(paths, 8)
        height, width = frames.shape[-2:]
        side = min(self._config.validation_crop, height // 8 * 8, width // 8 * 8)
        place = (height - side) // 2, (width - side) // 2
        return self._make(frames, place, side, [], torch_generator(_FIXED, number), "")

    def _make(
        self,
        frames: Tensor,
        place: tuple[int, int],
        crop: int,
        flips: list[int],
        generator: torch.Generator,
        key: str,
    ) -> Sample:
        config = self._config
        n = config.n_exposures
        rows, top = _around(place[0], crop, frames.shape[-2])
        columns, left = _around(place[1], crop, frames.shape[-1])
        box = frames[..., rows, columns]
        if flips:
            box = box.flip(flips)
            left = box.shape[-1] - crop - left if -1 in flips else left
            top = box.shape[-2] - crop - top if -2 in flips else top
        inside = (..., slice(top, top + crop), slice(left, left + crop))
        linear = linearise_video(box.contiguous(), self._linearisation, generator)
        if config.synthesis == "field":
            linear = torch.floor(linear * 65535.0) / 65535.0  # the field keeps 16 bits, cut off
        schedule = sample_schedule(n, self._synthesis, generator)
        exposures = torch.tensor([schedule.exposure(t) for t in range(2 * n - 1)])
        metered = linear[n - 1][inside]
        ldr, truth = synthesize(linear, schedule, self._synthesis, generator, metered=metered)
        interpolated = NO_FRAMES
        if config.interpolate:
            interpolated = self._interpolate(ldr, exposures, inside, key)
        aligned = align_window(ldr[None], exposures[None])[0][inside] if config.aligned else NO_FRAMES
        parts = (ldr[inside], interpolated, exposures, truth[n - 1][inside], aligned)
        return Sample(*(part.contiguous() for part in parts))

    def _interpolate(self, ldr: Tensor, exposures: Tensor, inside: Any, key: str) -> Tensor:
        path = self._cache / f"{key}.safetensors" if self._cache and key else None
        if path is not None and path.is_file():
            try:
                return codes_to_float(load_file(path)["interpolated"])
            except (SafetensorError, KeyError):
                path.unlink()  # cut off by a crash: made again
        if self._interpolator is None:
            self._interpolator = get_interpolator(self._config.interpolator)
        frames = complete_window(ldr[None], exposures[None], self._interpolator)[0][inside]
        if path is None:
            return frames.clamp(0.0, 1.0)
        codes = to_codes(frames)
        make_parent(path)
        write_bytes(path, save({"interpolated": codes}))
        return codes_to_float(codes)  # what a later epoch will read


def _around(start: int, crop: int, length: int) -> tuple[slice, int]:
    """The crop with its context along one axis, and where the crop begins in it."""
    first, stop = max(0, start - CONTEXT), min(length, start + crop + CONTEXT)
    return slice(first, stop), start - first


def _read(paths: Sequence[Path], least: int) -> Tensor:
    """(T, 3, H, W), encoded, in [0, 1]."""
    frames = [torch.from_numpy(np.ascontiguousarray(read_image(path), np.float32)) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        if frame.shape != frames[0].shape:
            raise InputError(f"{path}: found {tuple(frame.shape)}, expected {tuple(frames[0].shape)} as in its clip")
    height, width = frames[0].shape[:2]
    if min(height, width) < least:
        raise InputError(f"{paths[0]}: found {width}x{height} pixels, expected at least {least}x{least}")
    return torch.stack(frames).permute(0, 3, 1, 2)


def _open_cache(folder: Path, clips: FrameClips, config: SequenceConfig) -> Path:
    """The folder of this data set's interpolated frames, after a check of what it was made with.

    Raises:
        InputError: it was made with other settings, or its record is damaged.
        OutputError: it cannot be made.
    """
    own = folder / f"{clips.name}-{clips.identity[:12]}"
    settings = {**asdict(config), "cache": "", "validation_crop": 0, "aligned": False}
    settings["weights"] = weights_digest(get_interpolator(config.interpolator))
    wanted = json.loads(json.dumps(settings))
    path = own / "settings.json"
    if path.is_file():
        try:
            found = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{path}: damaged ({error}); remove {own}, and its frames are made again") from None
        if found != wanted:
            changed = sorted(k for k in wanted if found.get(k) != wanted[k])
            raise InputError(f"{own}: interpolated frames were made with other settings ({', '.join(changed)} differ)")
    else:
        make_folder(own)
        write_bytes(path, (json.dumps(wanted, indent=1) + "\n").encode())
    return own
