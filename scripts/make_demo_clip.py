"""Make the bundled demo clip: 24 frames with two exposures, and ground truth, from a rendered scene.

    python scripts/make_demo_clip.py courtyard.exr

Needs, besides this package, the path tracer `mitsuba` (`pip install mitsuba==3.9.1`; use an environment of its own) and
the panorama `courtyard.exr` (Greg Zaal, CC0), which Debian's package `blender-data` carries:

    apt-get download blender-data
    dpkg-deb -x blender-data_*.deb blender-data
    # blender-data/usr/share/blender/datafiles/studiolights/world/courtyard.exr, license.txt beside it

Everything else in the picture is generated (`demo_clip/`). Each frame is path traced, denoised and kept in a cache
folder, so that a second run resumes. Then one factor brings the clip to the package's scale (1.0 =
saturation of the short exposure = a high percentile of the clip), a small sensor at a high ISO takes the frames
(`lrhdr.camera`), and the denoised render, clipped to [0, 1], is the truth of both. No motion blur: a frame is a moment.

The default renderer variant needs LLVM 17 or newer (`DRJIT_LIBLLVM_PATH` names the library); `--variant scalar_rgb`
needs nothing, is about three times slower and gives the same picture with other noise.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from demo_clip.denoise import DenoiseConfig, denoise
from demo_clip.png import encode_png
from demo_clip.props import FPS
from demo_clip.scene import HEIGHT, WIDTH, build
from numpy.typing import NDArray

from lrhdr.camera import CameraConfig, expose
from lrhdr.exposure import ExposureSchedule
from lrhdr.io.images import read_exr, write_exr
from lrhdr.metrics.psnr import psnr_mu
from lrhdr.radiometry import ldr_to_radiance

Image = NDArray[np.float32]

FRAMES = 24
STOPS = (0, 3)
SEED = 2026
TRUTH_FRAMES = (0, 6, 11, 16, 23)
"""Both exposures, the first and the last frame, and the pendulum at rest and in flight; a sixth would not fit."""

PERCENTILE = 99.5
"""Of all radiance values of the clip; it becomes 1.0."""

LENS_SIGMA = 0.7
"""Blur of lens and sensor, standard deviation in pixels: renders are sharper than any camera, and pack badly."""

CAMERA = CameraConfig(full_well_e=12000.0, read_noise_e=6.0, bit_depth=8)
"""41 dB at saturation, signal equal to noise at 1/1500 of it: a camera with its gain up (chosen by us)."""

TRUTH_LEVEL = 45.0
"""Compression level of the truth's lossy EXR (DWAA; 45 is its usual one)."""


@dataclass(frozen=True)
class RenderConfig:
    """How a frame is rendered.

    Attributes:
        variant: of the renderer.
        samples: paths per pixel and buffer; squares suit the sampler.
        buffers: independent renders per frame, for the denoiser; even, at least 4.
        feature_samples: camera rays per pixel for what is seen directly: lamps, the outside, surface features.
        depth: longest path, in bounces and the light.
        denoise: the denoiser's settings.
    """

    variant: str = "llvm_ad_rgb"
    samples: int = 16
    buffers: int = 4
    feature_samples: int = 64
    depth: int = 6
    denoise: DenoiseConfig = field(default_factory=DenoiseConfig)


def render_frame(mi: Any, panorama: Image, frame: int, config: RenderConfig, folder: Path) -> Image:
    """Render and denoise one frame.

    Args:
        mi: the renderer's module, with its variant set.
        panorama: what is outside, equirectangular radiance, (H, 2H, 3).
        frame: frame index.
        config: how.
        folder: for mesh files.

    Returns:
        Linear radiance, (360, 640, 3) float32.
    """
    scene = mi.load_dict(build(mi, folder, panorama, frame, SEED))
    paths = mi.load_dict({"type": "path", "max_depth": config.depth, "rr_depth": 4})
    direct = mi.load_dict({"type": "path", "max_depth": 1})
    first = mi.load_dict({"type": "aov", "aovs": "albedo:albedo,normal:sh_normal,depth:depth"})

    def take(integrator: Any, samples: int, seed: int) -> Image:
        # Equal seeds give equal camera rays, whatever the integrator does with them.
        image = mi.render(scene, integrator=integrator, spp=samples, seed=1000 * frame + seed)
        return np.array(image, dtype=np.float32)

    # What is seen directly (lamps, the outside) costs little: many samples, no denoising. The buffers hold the rest.
    seen = take(direct, config.feature_samples, 999)
    features = take(first, config.feature_samples, 999)
    n = config.samples
    buffers = np.stack([take(paths, n, k) - take(direct, n, k) for k in range(config.buffers)])
    guides = np.stack([take(first, n, k) for k in range(config.buffers)])
    return seen + denoise(np.maximum(buffers, 0.0), guides, features, config.denoise)


def render_clip(panorama_path: Path, cache: Path, config: RenderConfig) -> Image:
    """Render what the cache does not hold.

    Args:
        panorama_path: the panorama, EXR.
        cache: folder of rendered frames; made if missing.
        config: how to render; frames rendered with other settings or another version of the scene are not used.

    Returns:
        (24, 360, 640, 3) linear radiance.
    """
    names = ("__init__", "denoise", "props", "scene", "shapes", "stage", "textures")
    parts = [Path(__file__).parent / "demo_clip" / f"{name}.py" for name in names]
    key = hashlib.sha256(repr((config, SEED)).encode() + panorama_path.read_bytes())
    for part in parts:
        key.update(part.read_bytes())
    folder = cache / key.hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"radiance_{frame:06d}.npy" for frame in range(FRAMES)]
    missing = [frame for frame in range(FRAMES) if not files[frame].exists()]
    if missing:
        drjit: Any = importlib.import_module("drjit")
        mitsuba: Any = importlib.import_module("mitsuba")

        mitsuba.set_variant(config.variant)
        mitsuba.set_log_level(mitsuba.LogLevel.Error)
        drjit.set_thread_count(1)  # sums in a fixed order
        panorama = read_exr(panorama_path)
        for frame in missing:
            start, used = time.perf_counter(), time.process_time()
            with tempfile.TemporaryDirectory() as meshes:
                image = render_frame(mitsuba, panorama, frame, config, Path(meshes))
            partial = files[frame].with_name("partial.npy")
            np.save(partial, image)  # the renderer's own EXR writer waits for ever with one thread
            partial.replace(files[frame])
            took = f"{time.perf_counter() - start:.0f} s, {time.process_time() - used:.0f} s of processor"
            print(f"frame {frame:2d}: {took}", flush=True)
    return np.stack([np.load(file) for file in files])


def reference_alone(ldr: torch.Tensor, truth: torch.Tensor, schedule: ExposureSchedule) -> list[float]:
    """PSNR_T of every frame by itself, dB."""
    exposures = torch.tensor([schedule.exposure(i) for i in range(len(ldr))])
    return [float(v) for v in psnr_mu(ldr_to_radiance(ldr, exposures), truth)]


def write_clip(radiance: Image, output: Path, config: RenderConfig) -> None:
    """Expose the clip and write everything.

    Args:
        radiance: (24, 360, 640, 3), the renders.
        output: the folder of the clip; made if missing.
        config: how it was rendered, for the notes.
    """
    radiance = np.stack([cv2.GaussianBlur(frame, (0, 0), LENS_SIGMA) for frame in radiance])
    scale = float(np.percentile(radiance, PERCENTILE))
    scene = torch.from_numpy(np.ascontiguousarray((radiance / scale).transpose(0, 3, 1, 2)))
    schedule = ExposureSchedule.from_stops(STOPS)
    generator = torch.Generator().manual_seed(SEED)
    exposures = torch.tensor([schedule.exposure(i) for i in range(FRAMES)])
    ldr = expose(scene, exposures, CAMERA, generator)
    truth = scene.clamp(0.0, 1.0)

    (output / "truth").mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for index in range(FRAMES):
        codes = np.round(ldr[index].numpy().transpose(1, 2, 0) * 255).astype(np.uint8)
        files.append(output / f"frame_{index:06d}.png")
        files[-1].write_bytes(encode_png(codes))
    files.append(output / "Exposures.txt")
    files[-1].write_text("".join(f"{stop}\n" for stop in STOPS))
    errors = []
    for index in TRUTH_FRAMES:
        files.append(output / "truth" / f"frame_{index:06d}.exr")
        write_exr(files[-1], truth[index].numpy().transpose(1, 2, 0), _attributes(index), "dwaa")
        stored = torch.from_numpy(read_exr(files[-1]).transpose(2, 0, 1).copy())
        errors.append(float(psnr_mu(stored[None], truth[index][None])))
    alone = reference_alone(ldr, truth, schedule)
    clipped = [float((frame >= 1.0).any(0).float().mean()) for frame in ldr]
    notes = _notes(config, scale, alone, clipped, min(errors), files, output)
    (output / "README.md").write_text(notes)
    print(notes)


def _attributes(index: int) -> dict[str, str | float | int | tuple[float, ...]]:
    rec709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
    return {
        "chromaticities": rec709,
        "framesPerSecond": float(FPS),
        "frame": index,
        "dwaCompressionLevel": TRUTH_LEVEL,
        "comments": "ground truth of the lrhdr demo clip; 1.0 = saturation of the short exposure; CC0",
    }


def _notes(
    config: RenderConfig,
    scale: float,
    alone: Sequence[float],
    clipped: Sequence[float],
    truth_db: float,
    files: Sequence[Path],
    output: Path,
) -> str:
    """The README of the clip's folder."""
    n = len(STOPS)
    polarity = [(float(np.mean(alone[k::n])), float(np.mean(clipped[k::n]))) for k in range(n)]
    size = sum(f.stat().st_size for f in files) / 1e6
    rows = "\n".join(
        f"| {stop:+d} EV | {db:.2f} | {100 * share:.1f} |" for stop, (db, share) in zip(STOPS, polarity, strict=True)
    )
    sums = "\n".join(f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(output)}" for f in files)
    return f"""# The demo clip

{FRAMES} frames of {WIDTH}x{HEIGHT} at {FPS} frames per second, 8-bit PNG, gamma 2.2, exposures alternating between
{STOPS[0]} and {STOPS[1]:+d} EV (short first), with ground truth for frames {", ".join(map(str, TRUTH_FRAMES))}.

It shows a work table at the window of a dim brick room: a slate and a colour chart in the shade, books, a candle, a
bare bulb and fairy lights, sun on the table, palms and sky outside. A brass pendulum swings (up to 14 pixels per
frame), a globe turns and a steel ball rolls slowly, leaves stir, the flame sways, and the camera moves to the left with
a hand's tremor.

Licence: CC0 1.0 (public domain dedication), frames and truth. The view outside and its light are `courtyard.exr` by
Greg Zaal, CC0, from Debian's package `blender-data`; everything else is generated by the script.

## How it was made

`python scripts/make_demo_clip.py courtyard.exr` (its docstring says how to get the panorama and the renderer).

- Path traced with mitsuba 3, variant `{config.variant}`: {config.buffers} x {config.samples} paths per pixel, at most
  {config.depth} deep, box filter; {config.feature_samples} rays per pixel for lamps and the outside, seen directly. No
  motion blur; the panorama is turned, squeezed around the window's axis and softened.
- Denoised by feature regression with non-local-means weights (`scripts/demo_clip/denoise.py`). The denoised render is
  the scene: frames and truth both come from it, after a lens blur of {LENS_SIGMA} pixels (standard deviation).
- Scale: divided by {scale:.4f}, the {PERCENTILE} percentile of the clip, so that 1.0 = saturation of the short
  exposure.
- Camera: `lrhdr.camera`, full well {CAMERA.full_well_e:g} e, read noise {CAMERA.read_noise_e:g} e,
  {CAMERA.bit_depth} bits, seed {SEED} (as for the textures).
- Truth: clipped to [0, 1], half float, EXR with lossy DWAA compression at level {TRUTH_LEVEL:g}: PSNR_T
  {truth_db:.1f} dB or better against the truth before compression, which takes some values up to 3 % above 1.

| reference frame | PSNR_T of the frame alone, dB | pixels with a clipped channel, % |
|---|---|---|
{rows}

Another processor, OpenCV (lettering, PNG) or LLVM may change last digits and so the checksums, not the picture.

## Checksums (SHA-256)

{size:.2f} MB in {len(files)} files.

```
{sums}
```
"""


def main() -> None:
    """Read the arguments, render, write."""
    parser = argparse.ArgumentParser(description="Make the bundled demo clip (see the module's docstring).")
    parser.add_argument("panorama", type=Path, help="courtyard.exr of Debian's blender-data")
    assets = Path(__file__).resolve().parents[1] / "src/lrhdr/assets/demo"
    parser.add_argument("--output", type=Path, default=assets, help="folder of the clip (default: %(default)s)")
    cache = Path(tempfile.gettempdir()) / "lrhdr-demo-clip"
    parser.add_argument("--cache", type=Path, default=cache, help="folder of rendered frames (default: %(default)s)")
    default = RenderConfig()
    parser.add_argument("--variant", default=default.variant, help="renderer variant (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=default.samples, help="per buffer (default: %(default)s)")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    config = RenderConfig(variant=given.variant, samples=given.samples)
    write_clip(render_clip(given.panorama, given.cache, config), given.output, config)


if __name__ == "__main__":
    main()
