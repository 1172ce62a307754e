"""Evaluation clips: HDR truth to be re-exposed and scored against. Deterministic, made when first asked for.

Three sets, each from a folder that the caller names:

- `generated_clips`: scenes rendered from HDR stills (exact truth, exact motion, three motion classes).
- `hdrvideo_clips`: real HDR video (PQ or HLG): real motion and real radiance, as noisy or soft as the source is.
- `video_clips`: ordinary video, linearised with one fixed highlight expansion: real motion, plausible radiance.

All radiance is linear Rec. 709, one scale factor per clip (`scale_to_saturation`), 1.0 = saturation of the shortest
exposure; the truth is clipped to [0, 1], beyond which no exposure can see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from lrhdr.camera import CameraConfig, expose
from lrhdr.checks import InputError
from lrhdr.colour import CHROMATICITIES, convert_primaries
from lrhdr.data.maker import generate_clip
from lrhdr.data.sources import HdrLibrary
from lrhdr.exposure import ExposureSchedule
from lrhdr.footage import highlight_rise
from lrhdr.io.sources import VIDEO_SUFFIXES
from lrhdr.io.video import VideoReader
from lrhdr.motion import MotionConfig
from lrhdr.randomness import torch_generator
from lrhdr.scenes import SceneConfig
from lrhdr.tonemap import mu_law
from lrhdr.transfer import eotf_gamma22, linearise

SATURATED_PERCENTILE = 99.5
"""Percentile of each clip's brightest channel that is sent to 1.0: small lamps and glints are beyond every exposure."""

MEDIAN_RANGE = (0.004, 0.125)
"""... but the median of the brightest channel stays in this range: no exposure meter would clip most of the picture in
a longer exposure of 8, nor leave most of it in the noise."""

LONGEST_SIDE = 960
"""Real video is reduced until its longer side is at most this, and at least by 2, which hides compression."""

SEGMENT_FRAMES = 12
"""Frames per clip of real video. Longer files give two clips, from these shares of their length on:"""
_SEGMENT_STARTS = (0.22, 0.5)

_HDR_TRANSFERS = ("pq", "hlg")

# Views of empty sky or pavement ask nothing of an HDR method: duller draws (standard deviation of T) are repeated.
_LEAST_CONTRAST = 0.12
_ATTEMPTS = 12
_SCENE_SEED = 2026

_MOTION_CLASSES = {
    "calm": SceneConfig(
        camera=MotionConfig(median_speed=1.0, still_share=1.0, tremor=0.0),
        objects=MotionConfig(median_speed=4.0, spread=0.5, still_share=0.0),
        blur_share=0.0,
        light_change_share=0.0,
    ),
    "medium": SceneConfig(
        camera=MotionConfig(median_speed=3.0, spread=0.4, still_share=0.0),
        objects=MotionConfig(median_speed=6.0, spread=0.5, still_share=0.0),
        blur_share=0.0,
        light_change_share=0.0,
    ),
    "fast": SceneConfig(
        camera=MotionConfig(median_speed=9.0, spread=0.4, still_share=0.0),
        objects=MotionConfig(median_speed=14.0, spread=0.4, still_share=0.0),
        blur_share=0.0,
        light_change_share=0.0,
    ),
}


@dataclass(eq=False)
class EvaluationClip:
    """A scene with its truth.

    Attributes:
        name: unique within its set.
        group: the set: "generated", "hdrvideo" or "video".
        make: returns the truth; called once, when `hdr` is first read.
        seed: of the camera noise; differs from clip to clip.
        note: what it is made from, for the record.
    """

    name: str
    group: str
    make: Callable[[], Tensor]
    seed: int
    note: str = ""
    _hdr: Tensor | None = field(default=None, repr=False)

    @property
    def hdr(self) -> Tensor:
        """The truth, (T, 3, H, W), linear in [0, 1], 1.0 = saturation of the shortest exposure."""
        if self._hdr is None:
            self._hdr = self.make()
        return self._hdr

    def release(self) -> None:
        """Forget the frames; they are made again when needed."""
        self._hdr = None

    def alternate(self, schedule: ExposureSchedule, camera: CameraConfig, seed: int = 0) -> Tensor:
        """What an alternating-exposure camera would have recorded.

        Args:
            schedule: exposure of each frame.
            camera: noise, clipping, bit depth.
            seed: of the whole evaluation; noise depends on it, the clip, and the schedule.

        Returns:
            (T, 3, H, W), gamma-encoded LDR in [0, 1].
        """
        ratio = round(1000 * schedule.ratio)
        generator = torch_generator(seed, self.seed, ratio, schedule.n_exposures, schedule.start)
        exposures = torch.tensor([schedule.exposure(t) for t in range(len(self.hdr))])
        return expose(self.hdr, exposures, camera, generator)


def scale_to_saturation(radiance: Tensor) -> Tensor:
    """Bring a clip to the package's scale with one factor, and clip it to what the shortest exposure can see.

    Args:
        radiance: (T, 3, H, W), linear, any scale, >= 0.

    Returns:
        (T, 3, H, W), in [0, 1]: `SATURATED_PERCENTILE` of the brightest channel over the whole clip is 1.0, unless its
        median would leave `MEDIAN_RANGE`.
    """
    brightest = radiance.amax(dim=1).flatten()
    position = max(1, round(SATURATED_PERCENTILE / 100.0 * brightest.numel()))
    median = float(brightest.median())
    white = max(float(brightest.kthvalue(position).values), median / MEDIAN_RANGE[1])
    if median > 0.0:
        white = min(white, median / MEDIAN_RANGE[0])
    return (radiance / white).clamp(0.0, 1.0) if white > 0.0 else torch.zeros_like(radiance)


def generated_clips(hdr_dir: Path | str, n_frames: int = 8, size: tuple[int, int] = (256, 384)) -> list[EvaluationClip]:
    """One clip per HDR still, motion classes taking turns (calm: still camera, moving objects; medium; fast).

    Args:
        hdr_dir: folder of HDR stills that nothing was trained on.
        n_frames: frames per clip.
        size: (H, W).

    Raises:
        InputError: no stills there.
    """
    library = HdrLibrary(Path(hdr_dir))

    def clip(index: int) -> EvaluationClip:
        kind = list(_MOTION_CLASSES)[index % len(_MOTION_CLASSES)]

        def make() -> Tensor:
            sources = [library[(index + k) % len(library)] for k in range(min(3, len(library)))]
            generator = torch_generator(_SCENE_SEED, index)
            for _ in range(_ATTEMPTS):
                made = scale_to_saturation(
                    generate_clip(sources, n_frames, size, generator, config=_MOTION_CLASSES[kind])
                )
                if float(mu_law(made).std()) >= _LEAST_CONTRAST:
                    break
            return made

        name = library.names[index]
        return EvaluationClip(f"{name}-{kind}", "generated", make, 1000 + index, f"{name}, {kind} motion")

    return [clip(i) for i in range(len(library))]


def _reduce(frame: Tensor) -> Tensor:
    """Reduce (3, H, W) linear light by the smallest whole factor from 2 that brings it to `LONGEST_SIDE`."""
    factor = max(2, -(-max(frame.shape[-2:]) // LONGEST_SIDE))
    return F.avg_pool2d(frame[None], factor)[0]


def _video_files(folder: Path) -> list[Path]:
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder}: expected video files ({', '.join(sorted(VIDEO_SUFFIXES))}), found none")
    return files


def _segments(n_frames: int, stride: int) -> list[int]:
    """First frames of the clips that a file gives."""
    if n_frames < 2 * SEGMENT_FRAMES * stride:
        return [0]
    return [int(share * n_frames) for share in _SEGMENT_STARTS]


def _read(path: Path, start: int, stride: int, decode: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """Every `stride`-th frame from `start` on, (3, H, W), decoded and reduced."""
    frames = VideoReader(path).timed_frames(start)
    for frame in islice(frames, 0, SEGMENT_FRAMES * stride, stride):
        yield _reduce(decode(torch.from_numpy(frame.image).permute(2, 0, 1)))


def _file_clips(
    path: Path, group: str, number: int, stride: int, decode: Callable[[Tensor], Tensor]
) -> list[EvaluationClip]:
    def clip(start: int, seed: int) -> EvaluationClip:
        def make() -> Tensor:
            return scale_to_saturation(torch.stack(list(_read(path, start, stride, decode))))

        name = f"{path.stem}-{start:03d}"
        return EvaluationClip(name, group, make, seed, f"{path.name}, from frame {start}, every {stride}")

    starts = _segments(VideoReader(path).count_frames(), stride)
    return [clip(start, 10 * number + k) for k, start in enumerate(starts)]


def hdrvideo_clips(folder: Path | str) -> list[EvaluationClip]:
    """Clips of consecutive frames from the PQ and HLG video of a folder; other files are left out.

    PQ is decoded to display light, HLG to scene light (no display curve), both to Rec. 709 clipped at 0.

    Raises:
        InputError: no video, or none that is tagged as PQ or HLG.
    """
    clips: list[EvaluationClip] = []
    for number, path in enumerate(_video_files(Path(folder))):
        reader = VideoReader(path)
        if reader.transfer not in _HDR_TRANSFERS:
            continue
        primaries = reader.primaries if reader.primaries in CHROMATICITIES else "bt2020"

        def decode(signal: Tensor, transfer: str = reader.transfer, primaries: str = primaries) -> Tensor:
            return convert_primaries(linearise(signal, transfer), primaries, "bt709").clamp_min(0.0)

        clips += _file_clips(path, "hdrvideo", 200 + number, 1, decode)
    if not clips:
        raise InputError(f"{folder}: expected video tagged as PQ or HLG, found none")
    return clips


def expand_highlights(encoded: Tensor, gain: float = 8.0, knee: float = 0.7) -> Tensor:
    """Linearise ordinary video (power 2.2) and give its highlights back a range that they may have had.

    Args:
        encoded: (..., 3, H, W), [0, 1].
        gain: of white.
        knee: as in `highlight_rise`.

    Returns:
        Linear, [0, gain]; continuous and, for grey, increasing.
    """
    rise = highlight_rise(encoded, knee)
    return eotf_gamma22(encoded.clamp(0.0, 1.0)) * (1.0 + (gain - 1.0) * rise.square() * (3.0 - 2.0 * rise))


def video_clips(folder: Path | str, stride: int = 2) -> list[EvaluationClip]:
    """Clips from the ordinary video of a folder, linearised by `expand_highlights`; every `stride`-th frame.

    Raises:
        InputError: no video there.
    """
    clips: list[EvaluationClip] = []
    for number, path in enumerate(_video_files(Path(folder))):
        clips += _file_clips(path, "video", 300 + number, stride, expand_highlights)
    return clips
