"""`lrhdr train-interpolator`: train the compact frame interpolator."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, add_command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "train-interpolator", run, "Train the compact frame interpolator, or go on with a run."
    )
    parser.add_argument("config", metavar="CONFIG", help="TOML file; its keys are those of InterpolationTrainConfig")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.allocator import keep_memory
    from lrhdr.interpolation_training import load_interpolation_config, train_interpolator

    keep_memory()  # every step asks for the same blocks
    print(train_interpolator(load_interpolation_config(options.config), progress=lambda line: print(line, flush=True)))
