"""lrhdr-bench: a benchmark that anyone can make from a seed, with exact truth and known motion; no download.

24 clips of 7 frames, 384x256: every combination of

- two exposures (0 and 3 EV) and three (0, 2 and 4 EV), the shortest first;
- motion: `static`, `slow`, `fast`, `very-fast`, by pixels per frame (`MOTION_CLASSES`);
- noise: `clean`, `iso-mid`, `iso-high` (`NOISE_CLASSES`), in the package's camera model.

A clip is a camera that pans, turns and zooms over a picture, with two textured objects and in every second clip a lamp
that move in front of it, without motion blur. Pictures are procedural (`lrhdr.procedural`) or the package's own
rendered demo; with a folder of HDR stills they come from there, and the result is another benchmark (notes say which).

What is drawn depends on (seed, clip) only. `BENCH_VERSION` names the definition; `content_hash` says in one word
whether two machines made the same clips. Change anything that moves the hash, and the version must change too: a test
holds the hash of a small slice.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lrhdr.camera import CameraConfig
from lrhdr.data.evaluation import EvaluationClip, scale_to_saturation
from lrhdr.data.sources import HdrLibrary, load_still
from lrhdr.exposure import ExposureSchedule
from lrhdr.layers import Layer, encode_log, random_mask
from lrhdr.motion import Pose
from lrhdr.procedural import PROCEDURAL
from lrhdr.randomness import numpy_generator, torch_generator
from lrhdr.scene_flow import scene_flow
from lrhdr.scenes import Scene
from lrhdr.tonemap import mu_law
from lrhdr.views import HdrSource, prepare_source, random_view

BENCH_VERSION = "1"
BENCH_SEED = 1
BENCH_SIZE = (256, 384)
BENCH_FRAMES = 7
ALTERNATIONS: tuple[tuple[float, ...], ...] = ((0.0, 3.0), (0.0, 2.0, 4.0))

NOISE_CLASSES: dict[str, CameraConfig] = {
    "clean": CameraConfig(full_well_e=30_000.0, read_noise_e=2.0, bit_depth=10),
    "iso-mid": CameraConfig(full_well_e=6_000.0, read_noise_e=2.5, bit_depth=8),
    "iso-high": CameraConfig(full_well_e=1_200.0, read_noise_e=3.5, bit_depth=8),
}
"""Signal-to-noise ratio at saturation 45, 38 and 31 dB."""

# The rendered still that comes with the package, for every seventh clip where it is large enough.
_DEMO = Path(__file__).parents[1] / "assets" / "demo" / "truth" / "frame_000011.exr"
_KINDS = (*PROCEDURAL, "demo")
_PICTURE = (2.5, 2.5)  # procedural pictures are so much larger than the frames
_LEAST_CONTRAST = 0.1  # standard deviation of T
_ATTEMPTS = 24


@dataclass(frozen=True)
class MotionClass:
    """How things move, in pixels per frame at the benchmark's size.

    Attributes:
        camera: range of the camera's speed.
        objects: range of the objects' speed.
        flow: range in which the 95th percentile of the length of the true flow must lie; other draws are repeated.
    """

    camera: tuple[float, float]
    objects: tuple[float, float]
    flow: tuple[float, float]


MOTION_CLASSES: dict[str, MotionClass] = {
    "static": MotionClass((0.0, 0.0), (0.0, 0.0), (0.0, 0.0)),
    "slow": MotionClass((0.3, 1.2), (1.0, 2.5), (0.5, 3.0)),
    "fast": MotionClass((2.5, 5.0), (6.0, 11.0), (3.0, 12.0)),
    "very-fast": MotionClass((7.0, 13.0), (18.0, 28.0), (12.0, 36.0)),
}
"""An interpolated frame spans two frames of motion with two exposures, three with three."""


@dataclass(frozen=True)
class SteadyPath:
    """Constant velocity with a little acceleration, turn and zoom; the identity in the middle of the clip.

    Attributes:
        velocity: (x, y), pixels per frame.
        acceleration: (x, y), pixels per frame squared.
        turn: radians per frame.
        zoom: ln of the scale per frame.
        middle: time of the identity.
    """

    velocity: tuple[float, float]
    acceleration: tuple[float, float]
    turn: float
    zoom: float
    middle: float

    def __call__(self, time: float) -> Pose:
        """The pose at a time in frames."""
        t = time - self.middle
        dx, dy = (v * t + 0.5 * a * t * t for v, a in zip(self.velocity, self.acceleration, strict=True))
        return Pose(dx, dy, self.turn * t, self.zoom * t)


def _draw_path(rng: np.random.Generator, speeds: tuple[float, float], radius: float, middle: float) -> SteadyPath:
    """A path at a speed of the range, mostly level, as in real footage."""
    speed = float(rng.uniform(*speeds))
    heading = float(rng.normal(0.0, 0.35)) + math.pi * int(rng.integers(0, 2))
    bend = [0.03 * speed * float(v) for v in rng.standard_normal(2)]
    turn, zoom = (0.06 * speed / radius * float(v) for v in rng.standard_normal(2))
    velocity = (speed * math.cos(heading), speed * math.sin(heading))
    return SteadyPath(velocity, (bend[0], bend[1]), turn, zoom, middle)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a clip.

    Attributes:
        index: position in the benchmark.
        seed: of the benchmark.
        motion: name of a motion class.
        size: (H, W).
        n_frames: length.
        stills: HDR stills to use instead of the procedural pictures.
    """

    index: int
    seed: int
    motion: str
    size: tuple[int, int]
    n_frames: int
    stills: HdrLibrary | None = field(default=None, compare=False, repr=False)

    @property
    def kind(self) -> str:
        """What the background is: a kind of procedural picture, "demo", or the name of a still."""
        if self.stills is not None:
            return self.stills.names[self.index % len(self.stills)]
        # 3 is prime to the number of kinds: each motion class meets most of them.
        kind = _KINDS[3 * self.index % len(_KINDS)]
        return "room" if kind == "demo" and self.motion == "very-fast" else kind

    def _background(self) -> HdrSource:
        if self.stills is not None:
            return self.stills[self.index % len(self.stills)]
        if self.kind == "demo":
            return load_still(_DEMO)
        return _procedural(self.kind, self.size, self.seed, self.index, 0)

    def scene(self) -> Scene:
        """Draw the scene. Draws that leave the motion class or show little are repeated; the last one is kept."""
        background = self._background()
        other = background
        if self.stills is not None:
            other = self.stills[(self.index + 1) % len(self.stills)]
        elif self.kind != "clutter":
            other = _procedural("clutter", self.size, self.seed, self.index, 1)
        low, high = MOTION_CLASSES[self.motion].flow
        unit = self.size[0] / BENCH_SIZE[0]
        for attempt in range(_ATTEMPTS):
            rng = numpy_generator(torch_generator(self.seed, self.index, attempt))
            scene = self._draw((background, other), rng)
            middle = self.n_frames // 2
            flow = scene_flow(scene, self.size, float(middle - 1), float(middle)).flow
            fastest = float(flow.norm(dim=0).flatten().quantile(0.95)) / unit
            contrast = float(mu_law(scale_to_saturation(scene.render(self.size, float(middle), 0.0)[None])).std())
            if low - 1e-3 <= fastest <= high + 1e-3 and contrast >= _LEAST_CONTRAST:
                break
        return scene

    def _draw(self, sources: Sequence[HdrSource], rng: np.random.Generator) -> Scene:
        classes = MOTION_CLASSES[self.motion]
        height, width = self.size
        unit, middle = height / BENCH_SIZE[0], 0.5 * (self.n_frames - 1)

        def speeds(of: tuple[float, float]) -> tuple[float, float]:
            return of[0] * unit, of[1] * unit

        path = _draw_path(rng, speeds(classes.camera), 0.5 * math.hypot(*self.size), middle)
        ends = [path(t) for t in (0.0, float(self.n_frames - 1))]
        margin = max(max(abs(p.dx), abs(p.dy)) for p in ends) + 0.03 * width
        view = random_view(sources[0], self.size, rng, margin)
        layers = []
        for number in range(2):
            side = max(round(float(rng.uniform(0.3, 0.6)) * min(self.size)), 12)
            texture = random_view(sources[(self.index + number) % 2], (side, side), rng).render((side, side))
            level = float(texture.mean(0).median().clamp_min(1e-3))
            radiance = texture * (2.0 ** float(rng.uniform(-2.5, 3.5)) / level)
            rgba = torch.cat((encode_log(radiance)[None], random_mask(rng, side)), 1)
            layers.append(self._layer(rgba, _draw_path(rng, speeds(classes.objects), 0.5 * side, middle), rng))
        if self.index % 2:
            side = max(round(0.09 * min(self.size)), 9)
            rgba = torch.cat((encode_log(torch.full((1, 3, side, side), 120.0)), _disc(side)), 1)
            layers.append(self._layer(rgba, _draw_path(rng, speeds(classes.objects), 0.5 * side, middle), rng))
        return Scene(view, path, tuple(layers), 0.0, tuple(dict.fromkeys(s.name for s in sources)))

    def _layer(self, rgba: Tensor, path: SteadyPath, rng: np.random.Generator) -> Layer:
        """Place a layer so that it is inside the frame in the middle of the clip."""
        height, width = self.size
        centre = (float(rng.uniform(-0.3, 0.3)) * width, float(rng.uniform(-0.3, 0.3)) * height)
        return Layer(rgba, centre, 1.0, float(rng.normal(0.0, 0.3)), path, (0.0, 1.0, 0.0, 0.0), (0.0, 0.0))


def _disc(side: int) -> Tensor:
    axis = (torch.arange(side, dtype=torch.float32) + 0.5) * (2.0 / side) - 1.0
    radius = (axis[:, None] ** 2 + axis[None] ** 2).sqrt()
    return ((0.8 - radius) * (0.5 * side)).clamp(0.0, 1.0)[None, None]


def _procedural(kind: str, size: tuple[int, int], seed: int, index: int, part: int) -> HdrSource:
    shape = (round(size[0] * _PICTURE[0]), round(size[1] * _PICTURE[1]))
    rng = numpy_generator(torch_generator(seed, index, 100 + part))
    return prepare_source(kind, PROCEDURAL[kind](rng, shape), panorama=False)


@dataclass(eq=False, kw_only=True)
class BenchClip(EvaluationClip):
    """A clip of the benchmark: an `EvaluationClip` that also knows its exposures, its camera and its motion.

    Attributes:
        make: not set: truth and motion are made together.
        recipe: what it is made from.
        stops: exposures of one period, stops.
        motion: name of its motion class.
        noise: name of its noise class.
    """

    make: Callable[[], Tensor] = field(init=False, repr=False)
    recipe: Recipe
    stops: tuple[float, ...]
    motion: str
    noise: str
    _flow: Tensor | None = field(default=None, repr=False)
    _visible: Tensor | None = field(default=None, repr=False)

    @property
    def camera(self) -> CameraConfig:
        """The camera that records it."""
        return NOISE_CLASSES[self.noise]

    @property
    def schedule(self) -> ExposureSchedule:
        """Exposure of each frame."""
        return ExposureSchedule.from_stops(self.stops)

    @property
    def hdr(self) -> Tensor:
        """The truth, (T, 3, H, W), linear in [0, 1], 1.0 = saturation of the shortest exposure."""
        self._build()
        assert self._hdr is not None
        return self._hdr

    @property
    def flow(self) -> Tensor:
        """True motion, (T - 1, 2, H, W), pixels, from each frame to the next."""
        self._build()
        assert self._flow is not None
        return self._flow

    @property
    def visible(self) -> Tensor:
        """(T - 1, 1, H, W), 1 where a pixel of a frame is seen in the next."""
        self._build()
        assert self._visible is not None
        return self._visible

    def release(self) -> None:
        """Forget frames and motion; they are made again when needed."""
        self._hdr = self._flow = self._visible = None

    def _build(self) -> None:
        if self._hdr is not None:
            return
        scene = self.recipe.scene()
        size, n_frames = self.recipe.size, self.recipe.n_frames
        frames = torch.stack([scene.render(size, float(t), 0.0) for t in range(n_frames)])
        steps = [scene_flow(scene, size, float(t), float(t + 1)) for t in range(n_frames - 1)]
        self._hdr = scale_to_saturation(frames)
        self._flow = torch.stack([s.flow for s in steps])
        self._visible = torch.stack([s.visible for s in steps])


def bench_clips(
    folder: Path | str | None = None,
    *,
    seed: int = BENCH_SEED,
    size: tuple[int, int] = BENCH_SIZE,
    n_frames: int = BENCH_FRAMES,
) -> list[BenchClip]:
    """The clips of the benchmark; nothing is rendered until a clip's `hdr` or `flow` is read.

    Args:
        folder: HDR stills to make it from; None for the built-in pictures.
        seed: of everything. Results compare only where folder, seed, size and length are the same.
        size: (H, W); speeds scale with the height.
        n_frames: per clip, at least 2.

    Returns:
        24 clips: by alternation, then motion, then noise. `group` is "bench-2exp" or "bench-3exp".

    Raises:
        InputError: no stills in the folder.
    """
    stills = None if folder is None else HdrLibrary(Path(folder))
    clips: list[BenchClip] = []
    for stops in ALTERNATIONS:
        for motion in MOTION_CLASSES:
            for noise in NOISE_CLASSES:
                recipe = Recipe(len(clips), seed, motion, size, n_frames, stills)
                clips.append(
                    BenchClip(
                        name=f"{motion}-{noise}-{recipe.kind}",
                        group=f"bench-{len(stops)}exp",
                        seed=5000 + len(clips),
                        note=f"lrhdr-bench {BENCH_VERSION}, seed {seed}, {motion} motion, {noise}, {recipe.kind}",
                        recipe=recipe,
                        stops=stops,
                        motion=motion,
                        noise=noise,
                    )
                )
    return clips


def content_hash(clips: Iterable[BenchClip]) -> str:
    """One word for the content of clips: truth, motion, exposures and cameras; not the noise.

    The word is made of averages over 16 parts of each frame in 8-bit steps of T, and of the mean motion of each frame
    in steps of 1/64 pixel, so that the last bits of other processors do not change it. Two versions of the definition
    that differ by less have the same word.

    Args:
        clips: rendered one after another, and released.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256(BENCH_VERSION.encode())
    for clip in clips:
        digest.update(f"{clip.name} {clip.stops} {clip.camera} {tuple(clip.hdr.shape)}".encode())
        parts = F.adaptive_avg_pool2d(mu_law(clip.hdr.double()), 4)
        digest.update((parts * 255.0).round().to(torch.uint8).numpy().tobytes())
        moved = (clip.flow.double() * clip.visible).mean(dim=(-2, -1)) * 64.0
        digest.update((moved.round() + 0.0).to(torch.int32).numpy().tobytes())
        clip.release()
    return digest.hexdigest()[:16]
