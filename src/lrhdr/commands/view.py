"""`lrhdr view`: look at a sequence of linear frames in the browser."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, add_command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "view", run, "Look at EXR frames and their layers in the browser, from this machine."
    )
    parser.add_argument("path", metavar="PATH", help="folder of EXR frames (as from reconstruct), or one file")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="port on 127.0.0.1, 0 for any that is free")
    parser.add_argument("--no-browser", action="store_true", help="only say the address")


def run(options: argparse.Namespace) -> None:
    """Run it until Ctrl-C."""
    import webbrowser
    from pathlib import Path

    from lrhdr.viewer.sequence import Sequence
    from lrhdr.viewer.server import ViewServer

    with ViewServer(Sequence(Path(options.path)), options.port) as server:
        print(f"{server.address}  (Ctrl-C ends it)", flush=True)
        if not options.no_browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
