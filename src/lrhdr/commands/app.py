"""`lrhdr app`: try it in the browser."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, add_command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "app", run, "Drop a clip into a page on this machine and reconstruct a few frames.")
    parser.add_argument("--port", type=int, metavar="N", help="port on 127.0.0.1 (default: one that is free)")
    parser.add_argument("--no-browser", action="store_true", help="only say the address")


def run(options: argparse.Namespace) -> None:
    """Run it until Ctrl-C."""
    import tempfile
    from pathlib import Path

    from lrhdr.viewer.app import build_app

    with tempfile.TemporaryDirectory(prefix="lrhdr-app-") as folder:
        build_app(Path(folder)).launch(
            server_name="127.0.0.1",
            server_port=options.port,
            inbrowser=not options.no_browser,
            share=False,
            allowed_paths=[folder],
        )
