"""Make the pictures of README and docs from the demo's own output: the contact sheet, and the report in a browser.

    lrhdr demo -o out/demo
    python scripts/make_pictures.py out/demo docs/images

Needs Chromium and playwright (`pip install 'lrhdr[browser]'`). A second run, of the completion merge, is made for the
picture of the comparison, or taken from `--baseline`. Every picture stays under 400 KB.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from lrhdr.demo import BASELINE, CLIP
from lrhdr.io.atomic import write_bytes
from lrhdr.run_options import RunOptions
from lrhdr.runs import run
from lrhdr.viewer.compare import write_comparison

LIMIT = 400_000
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
