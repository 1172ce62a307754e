"""Make the pictures of README and docs: the demo's contact sheet, the report in a browser, and recorded footage.

    lrhdr demo -o out/demo
    python scripts/make_pictures.py out/demo docs/images

Needs Chromium and playwright (`pip install 'lrhdr[browser]'`). A second run, of the completion merge, is made for the
picture of the comparison, or taken from `--baseline`; `recorded.jpg` is a frame of lrhdr-bench. All stay under
400 KB.
"""

from __future__ import annotations

import argparse
import io
import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from lrhdr.baselines import completion
from lrhdr.data.bench import bench_clips
from lrhdr.data.recording import RECORDINGS, record
from lrhdr.demo import BASELINE, CLIP
from lrhdr.exposure import ExposureSchedule
from lrhdr.interpolate import complete_window, get_interpolator
from lrhdr.io.atomic import write_bytes
from lrhdr.run_options import RunOptions
from lrhdr.runs import run
from lrhdr.tonemap import mu_law
from lrhdr.viewer.compare import write_comparison
from lrhdr.weights import load_pretrained

LIMIT = 400_000
BENCH_CLIP, BENCH_FRAME = "static-iso-mid-room", 2
BENCH_PART = slice(40, 200), slice(60, 280)
WAIT = 300_000  # ms; drawing in software on a busy machine takes its time

REPORT = (
    # name, address after "#", window
    ("report", "frame=11&left=input1&right=result&ev=1&split=46&pixel=432,118", (1280, 800)),
    ("report-votes", "frame=11&left=result&right=votes&ev=2&split=36&pixel=300,150", (1280, 1010)),
    ("report-clipping", "frame=11&layout=single&right=clipping&ev=2", (1280, 720)),
    ("report-narrow", "frame=11&left=input1&right=result&ev=1", (390, 800)),
)
COMPARISON = (("report-compare", "frame=11&layout=split&left=error-run0&right=error-run1&ev=2", (1280, 900)),)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path, help="what lrhdr demo wrote")
    parser.add_argument("output", type=Path, help="folder for the pictures")
    parser.add_argument("--baseline", type=Path, help="frames of the baseline on the demo clip")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    save(recorded(), options.output / "recorded.jpg")
    sheet = options.demo / "sheet.png"
    if sheet.is_file():
        save(Image.open(sheet).convert("RGB"), options.output / "demo.jpg")
    with tempfile.TemporaryDirectory() as scratch:
        baseline = options.baseline or Path(scratch) / BASELINE
        if options.baseline is None:
            run(str(CLIP), str(baseline), RunOptions(method=BASELINE, name="demo"))
        comparison = write_comparison(
            [options.demo / "frames", baseline], Path(scratch) / "comparison", truth=CLIP / "truth"
        )
        shoot(options.demo / "report" / "index.html", REPORT, options.output)
        shoot(comparison, COMPARISON, options.output)


def recorded() -> Image.Image:
    """Part of a frame of lrhdr-bench after H.264: a merge, weights for clean and for recorded footage, the truth."""
    clip = next(c for c in bench_clips() if c.name == BENCH_CLIP)  # the first has two exposures
    schedule = ExposureSchedule.from_stops(clip.stops)
    footage = record(clip.alternate(schedule, clip.camera), RECORDINGS["h264"])
    window = slice(BENCH_FRAME - 1, BENCH_FRAME + 2)
    frames = footage[None, window]
    exposures = torch.tensor([[schedule.exposure(t) for t in range(window.start, window.stop)]])
    panels = []
    with torch.inference_mode():
        between = complete_window(frames, exposures, get_interpolator("compact"))
        results = {"completion merge": completion(frames, between, exposures)}
        for name in ("compact-2exp", "compact-2exp-recorded"):
            results[name] = load_pretrained(name)[0](frames, between, exposures).hdr
        results["truth"] = clip.hdr[None, BENCH_FRAME]
        for name, hdr in results.items():
            tones = mu_law(hdr[0])
            error = float((tones - mu_law(clip.hdr[BENCH_FRAME])).square().mean())
            score = "" if name == "truth" else f", {-10.0 * math.log10(error):.1f} dB"
            part = (tones[:, BENCH_PART[0], BENCH_PART[1]].permute(1, 2, 0).numpy() * 255.0).clip(0, 255)
            picture = Image.fromarray(part.round().astype(np.uint8))
            picture = picture.resize((3 * picture.width, 3 * picture.height), Image.Resampling.NEAREST)
            ImageDraw.Draw(picture).text((9, 6), f"{name}{score}", "white", ImageFont.load_default(20), stroke_width=3,
                                         stroke_fill="black")  # fmt: skip
            panels.append(picture)
    sheet = Image.new("RGB", (2 * panels[0].width + 6, 2 * panels[0].height + 6), "white")
    for i, panel in enumerate(panels):
        sheet.paste(panel, (i % 2 * (panel.width + 6), i // 2 * (panel.height + 6)))
    return sheet


def shoot(page: Path, shots: Sequence[tuple[str, str, tuple[int, int]]], output: Path) -> None:
    """Take pictures of a page in a headless browser."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as tool:
        arguments = ["--no-sandbox", "--enable-unsafe-swiftshader", "--use-angle=swiftshader"]
        browser: Any = tool.chromium.launch(executable_path=chromium, args=arguments)
        for name, place, (width, height) in shots:
            tab = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1.5)
            tab.goto(f"{page.resolve().as_uri()}#{place}")
            tab.wait_for_function("document.documentElement.dataset.drawn !== undefined", timeout=WAIT)
            picture = Image.open(io.BytesIO(tab.screenshot(timeout=WAIT))).convert("RGB")
            tab.close()
            save(picture, output / f"{name}.jpg")
        browser.close()


def save(picture: Image.Image, path: Path) -> None:
    """Write a JPEG with full colour resolution at the highest quality that stays under the limit."""
    for quality in (92, 88, 84, 80, 75, 70):
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=quality, subsampling=0, optimize=True)
        if stream.tell() < LIMIT:
            break
    write_bytes(path, stream.getvalue())


if __name__ == "__main__":
    main()
