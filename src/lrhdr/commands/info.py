"""`lrhdr info`: networks and weights."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, add_command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "info", run, "Show sizes of the presets and the record of weights.")
    parser.add_argument(
        "weights", nargs="*", help="bundled names or .safetensors files; presets and all bundled ones if none is given"
    )
    parser.add_argument("--height", type=int, default=720, help="frame height for the multiply-adds")
    parser.add_argument("--width", type=int, default=1280, help="frame width for the multiply-adds")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.cost import describe

    print(describe(options.weights, options.height, options.width))
