"""`lrhdr recomplete`: training samples with another interpolator's frames."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import INTERPOLATORS, Commands, add_command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "recomplete", run, "Copy training samples with frames of another interpolator.")
    parser.add_argument("source", metavar="CACHE", help="folder made by lrhdr synthesize")
    parser.add_argument("-o", "--target", required=True, metavar="DIR", help="folder for the copy")
    parser.add_argument("--interpolator", choices=INTERPOLATORS, default="compact", help="that makes the frames")
    parser.add_argument("--workers", type=int, default=1, help="processes")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.data.recompletion import recomplete_cache
    from lrhdr.pipeline import set_threads
    from lrhdr.progress import ProgressDisplay

    set_threads(1)  # as the workers have: on a busy machine two threads wait for each other
    with ProgressDisplay(unit="samples") as progress:
        print(
            recomplete_cache(
                options.source,
                options.target,
                options.interpolator,
                workers=options.workers,
                progress=lambda done, total: progress("recomplete", done, total),
            )
        )
