"""`lrhdr app`: drop a clip, see what it is, reconstruct a few frames, look, download. A page by Gradio."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from lrhdr.baselines import BASELINES
from lrhdr.checks import InputError, LrhdrError
from lrhdr.pipeline import NETWORK
from lrhdr.viewer.sequence import Sequence
from lrhdr.viewer.server import ViewServer
from lrhdr.viewer.workbench import MAX_FRAMES, Workbench


def build_app(folder: Path) -> Any:
    """The page, a `gradio.Blocks` that is not launched yet.

    Args:
        folder: for clips and results.

    Raises:
        InputError: Gradio is not installed.
    """
    # No word to anybody else: the footage of a shoot is nobody's business. Read when Gradio is imported.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        import gradio as gr
    except ImportError as error:
        raise InputError("app: needs Gradio, which is not installed; pip install 'lrhdr[app]'") from error

    bench = Workbench(folder)
    servers: list[ViewServer] = []

    def take(files: list[str] | None) -> str:
        try:
            return bench.take(files or [])
        except LrhdrError as error:
            raise gr.Error(str(error)) from error

    def go(stops: str, start: str, first: float, count: float, method: str) -> tuple[str, list[str], str]:
        bar = gr.Progress()
        try:
            made = bench.reconstruct(
                stops=stops,
                start=start,
                first=int(first),
                count=int(count),
                method=method,
                progress=lambda what, done, total: bar((done, total), desc=what),
            )
            server = ViewServer(Sequence(made.frames))
        except LrhdrError as error:
            raise gr.Error(str(error)) from error
        for old in servers:
            old.shutdown()
            old.server_close()
        servers[:] = [server]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        files = [str(p) for p in (made.archive, made.hdr10) if p is not None]
        link = f'<p>{made.message} <a href="{server.address}" target="_blank" rel="noopener">Open the viewer</a></p>'
        return str(made.sheet), files, link

    with gr.Blocks(title="lrhdr") as page:
        gr.Markdown("# lrhdr\nHDR from footage whose frames alternate between exposures.")
        with gr.Row():
            with gr.Column():
                files = gr.File(file_count="multiple", label="Clip: one video, or numbered frames")
                found = gr.Textbox(label="What it is", lines=8, interactive=False)
            with gr.Column():
                stops = gr.Textbox(label="Exposures of one period in stops, as 0,3 (empty: as the clip says)")
                start = gr.Textbox(value="0", label="The first frame has: its place in the period, 'short' or 'long'")
                first = gr.Number(value=0, precision=0, label="First frame")
                count = gr.Slider(1, MAX_FRAMES, value=8, step=1, label="Frames")
                method = gr.Dropdown([NETWORK, *BASELINES], value=NETWORK, label="Method")
                button = gr.Button("Reconstruct", variant="primary")
        link = gr.HTML()
        sheet = gr.Image(label="Contact sheet", interactive=False)
        downloads = gr.File(label="EXR frames, HDR10 video", interactive=False)
        files.upload(take, files, found)
        button.click(go, [stops, start, first, count, method], [sheet, downloads, link])
    return page
