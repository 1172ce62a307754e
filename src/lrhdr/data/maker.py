"""Making training samples, one by one, and longer clips for evaluation, from HDR stills and ordinary video.

Sample `index` depends on (seed, index) and the configuration only, not on what was made before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.data.base import Sample
from lrhdr.data.recording import RecordingConfig, record, window_order
from lrhdr.data.sources import HdrLibrary, VideoLibrary, sample_footage
from lrhdr.detail import DetailConfig, random_detail
from lrhdr.exposure import ExposureSchedule
from lrhdr.footage import LinearisationConfig, linearise_video
from lrhdr.interpolate import complete_window, get_interpolator
from lrhdr.randomness import numpy_generator, torch_generator
from lrhdr.scenes import SceneConfig, generate_scene, overlay_layers
from lrhdr.synthesis import SynthesisConfig, sample_schedule, synthesize
from lrhdr.tonemap import mu_law
from lrhdr.views import HdrSource

# Featureless draws are repeated; with ordinary sources one in ten is.
_ATTEMPTS = 12


@dataclass(frozen=True)
class GenerationConfig:
    """What samples are made of.

    Attributes:
        size: side of the stored samples, pixels.
        n_exposures: N_e >= 2.
        real_video_share: share of the samples made from ordinary video, the rest from stills.
        layers_on_video_share: share of those that get generated moving layers on top.
        context: samples are made and interpolated this much larger (both axes) and then cropped to the middle, so that
            motion estimation sees what is around, as it does in use.
        interpolator: name of the frozen interpolator.
        scene: what happens in generated scenes.
        linearisation: how ordinary video becomes HDR.
        detail: which clips are sharpened, and get grain, before they are exposed.
        synthesis: exposures and camera.
        recorded_share: share of the samples whose frames go through a camera's noise reduction and a codec.
        least_contrast: samples whose truth has a smaller standard deviation in the T domain are drawn again.
        least_level: ... or a smaller mean.
        least_detail: ... or a smaller mean difference of neighbouring pixels.
    """

    size: int = 256
    n_exposures: int = 2
    real_video_share: float = 0.45
    layers_on_video_share: float = 0.2
    context: int = 64
    interpolator: str = "compact"
    scene: SceneConfig = field(default_factory=SceneConfig)
    linearisation: LinearisationConfig = field(default_factory=LinearisationConfig)
    detail: DetailConfig = field(default_factory=DetailConfig)
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    recorded_share: float = 0.0
    least_contrast: float = 0.05
    least_level: float = 0.12
    least_detail: float = 0.004

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a value outside its range.
        """
        if self.size < 16 or self.n_exposures < 2 or self.context < 0:
            found = f"{self.size}, {self.n_exposures}, {self.context}"
            raise ValueError(f"expected size >= 16, n_exposures >= 2, context >= 0, found {found}")
        shares = (self.real_video_share, self.layers_on_video_share, self.recorded_share)
        if not all(0 <= share <= 1 for share in shares):
            found = ", ".join(f"{share}" for share in shares)
            raise ValueError(f"expected shares in [0, 1], found {found}")


_OPTIONS = {
    "size": "size",
    "n_exposures": "n_exposures",
    "real_video_share": "real_video_share",
    "grain_share": "detail.grain_share",
    "still_share": "scene.camera.still_share",
    "recorded_share": "recorded_share",
    "read_noise": "synthesis.read_noise_e",
    "bayer_share": "synthesis.bayer_share",
    "interpolator": "interpolator",
}
"""Options of `lrhdr synthesize`, and the settings that they are."""


def option_defaults() -> dict[str, Any]:
    """What options of `lrhdr synthesize` that are settings are when they are not given."""
    config = GenerationConfig()
    return {name: reduce(getattr, place.split("."), config) for name, place in _OPTIONS.items()}


def with_options(config: GenerationConfig, options: Mapping[str, Any]) -> GenerationConfig:
    """Settings with some changed.

    Args:
        config: the settings.
        options: by the names of `option_defaults`; None leaves a setting as it is.

    Raises:
        InputError: a value outside its range.
    """
    try:
        for name, value in options.items():
            if value is not None:
                config = _replaced(config, _OPTIONS[name].split("."), value)
    except ValueError as error:
        raise InputError(f"synthesize: {error}") from None
    return config


def _replaced(config: Any, place: Sequence[str], value: object) -> Any:
    name, *rest = place
    if rest:
        value = _replaced(getattr(config, name), rest, value)
    return replace(config, **{name: tuple(value) if isinstance(value, list) else value})


def _centre_crop(x: Tensor, size: int) -> Tensor:
    top, left = (x.shape[-2] - size) // 2, (x.shape[-1] - size) // 2
    return x[..., top : top + size, left : left + size]


class SampleMaker:
    """Makes samples one by one.

    Args:
        stills: HDR stills.
        videos: ordinary video; None makes everything from stills.
        config: what to make.
        seed: of the whole set.
    """

    def __init__(self, stills: HdrLibrary, videos: VideoLibrary | None, config: GenerationConfig, seed: int) -> None:
        self._stills = stills
        self._videos = videos
        self._config = config
        self._seed = seed
        self._interpolator = get_interpolator(config.interpolator)

    def _pick_stills(self, count: int, generator: torch.Generator) -> list[HdrSource]:
        picks = torch.randint(0, len(self._stills), (count,), generator=generator).tolist()
        return [self._stills[i] for i in picks]

    def _footage_clip(
        self, n_frames: int, size: tuple[int, int], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Any]] | None:
        assert self._videos is not None
        config = self._config
        rng = numpy_generator(generator)
        footage = self._videos[int(rng.integers(0, len(self._videos)))]
        frames = sample_footage(footage, n_frames, size, rng, (config.size, config.size))
        if frames is None:
            return None
        encoded = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255.0
        clip = linearise_video(encoded, config.linearisation, generator)
        tags: dict[str, Any] = {"kind": "video", "sources": [footage.name]}
        if rng.random() < config.layers_on_video_share:
            sources = self._pick_stills(2, generator)
            clip = overlay_layers(clip, sources, config.scene, generator)
            tags = {"kind": "video+layers", "sources": [footage.name, *(s.name for s in sources)]}
        return clip, tags

    def _scene_clip(
        self, schedule: ExposureSchedule, n_frames: int, size: tuple[int, int], generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Any]]:
        sources = self._pick_stills(3, generator)
        scene = generate_scene(sources, size, self._config.scene, generator, origin=n_frames // 2)
        clip = render_alternating(scene.render, n_frames, size, schedule)
        kind = "panorama" if sources[0].panorama else "photograph"
        return clip, {"kind": kind, "sources": list(scene.names)}

    def _attempt(self, generator: torch.Generator) -> tuple[Sample, dict[str, Any]] | None:
        config = self._config
        n = config.n_exposures
        n_frames = 2 * n - 1
        schedule = sample_schedule(n, config.synthesis, generator)
        size = (config.size + config.context, config.size + config.context)
        real = self._videos is not None and float(torch.rand((), generator=generator)) < config.real_video_share
        made = (
            self._footage_clip(n_frames, size, generator)
            if real
            else self._scene_clip(schedule, n_frames, size, generator)
        )
        if made is None:
            return None
        clip, sharpened, grain = random_detail(made[0], config.detail, generator)
        recording = None
        if config.recorded_share > 0.0 and float(torch.rand((), generator=generator)) < config.recorded_share:
            recording = RecordingConfig.sample(generator)
        order, before = (None, 0) if recording is None else window_order(n_frames)
        ldr, truth = synthesize(clip, schedule, config.synthesis, generator, order=order)
        if recording is not None:
            ldr = record(ldr, recording)[before : before + n_frames]
        target = _centre_crop(truth[n - 1], config.size)
        tone = mu_law(target)
        detail = float((tone[..., 1:] - tone[..., :-1]).abs().mean())
        if float(tone.std()) < config.least_contrast or float(tone.mean()) < config.least_level:
            return None
        if detail < config.least_detail:
            return None
        exposures = torch.tensor([schedule.exposure(t) for t in range(n_frames)])
        with torch.no_grad():
            interpolated = complete_window(ldr[None], exposures[None], self._interpolator)[0]
        sample = Sample(_centre_crop(ldr, config.size), _centre_crop(interpolated, config.size), exposures, target)
        tags = {"sharpened": sharpened, "grain": grain, "exposures": exposures.tolist()}
        if recording is not None:
            tags["recording"] = asdict(recording)
        return sample, made[1] | tags

    def make(self, index: int) -> tuple[Sample, dict[str, Any]]:
        """Make sample `index`.

        Returns:
            The sample, and tags (kind, sources, exposures).

        Raises:
            InputError: nothing usable after several draws (only featureless sources).
        """
        generator = torch_generator(self._seed, index)
        for _ in range(_ATTEMPTS):
            made = self._attempt(generator)
            if made is not None:
                return made
        raise InputError(f"sample {index}: {_ATTEMPTS} draws gave nothing with contrast; are the sources featureless?")


def render_alternating(
    render: Callable[[tuple[int, int], float, float], Tensor],
    n_frames: int,
    size: tuple[int, int],
    schedule: ExposureSchedule,
) -> Tensor:
    """Render frames 0 .. n_frames - 1, each with its own exposure's share of the motion blur.

    Args:
        render: `Scene.render`.
        n_frames: how many.
        size: (H, W).
        schedule: exposures.

    Returns:
        (T, 3, H, W), linear.
    """
    longest = max(schedule.relative)
    return torch.stack([render(size, float(t), schedule.exposure(t) / longest) for t in range(n_frames)])


def generate_clip(
    sources: Sequence[HdrSource],
    n_frames: int,
    size: tuple[int, int],
    generator: torch.Generator,
    *,
    config: SceneConfig | None = None,
) -> Tensor:
    """Generate an HDR clip without motion blur, for evaluation and demonstration.

    Args:
        sources: prepared stills (`load_still`): the first is the background, layers are cut from all.
        n_frames: length.
        size: (H, W).
        generator: where the numbers come from; the same state gives the same clip.
        config: what may happen; the defaults of training when not given.

    Returns:
        (T, 3, H, W), linear, median about 1, unscaled (see `lrhdr.synthesis.scale_clip`).
    """
    scene = generate_scene(sources, size, config or SceneConfig(), generator, origin=n_frames / 2)
    return torch.stack([scene.render(size, float(t), 0.0) for t in range(n_frames)])
