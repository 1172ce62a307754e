"""`lrhdr report`: runs side by side in one page."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, add_command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "report", run, "Compare runs on the same frames: pictures, difference maps, scores, in one page."
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="one to three folders of EXR frames")
    parser.add_argument("-o", "--output", default="lrhdr-report", metavar="DIR", help="folder for the report")
    parser.add_argument("--truth", metavar="DIR", help="ground truth: EXR files named by frame index")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="of the runs (default: their weights or methods)")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from pathlib import Path

    from lrhdr.progress import ProgressDisplay
    from lrhdr.viewer.compare import write_comparison

    with ProgressDisplay() as progress:
        page = write_comparison(
            [Path(p) for p in options.runs],
            Path(options.output),
            truth=Path(options.truth) if options.truth else None,
            names=options.names,
            progress=progress,
        )
    print(f"report, for a browser: {page}")
