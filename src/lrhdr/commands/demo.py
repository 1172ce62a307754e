"""`lrhdr demo`: the main job on the bundled clip."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, add_command, add_compute, add_method, given


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "demo", run, "Reconstruct the bundled clip, with preview, contact sheet and scores.")
    parser.add_argument("-o", "--output", default="lrhdr-demo", metavar="DIR", help="folder for everything")
    add_method(parser)
    add_compute(parser)


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.demo import run_demo
    from lrhdr.demo import summary as demo_summary
    from lrhdr.progress import ProgressDisplay
    from lrhdr.run_options import RunOptions

    chosen = RunOptions(**given(options, "method", "weights", "interpolator", "threads", "device"))
    with ProgressDisplay() as progress:
        result = run_demo(options.output, chosen, progress)
    print(demo_summary(result))
