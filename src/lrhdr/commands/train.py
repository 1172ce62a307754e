"""`lrhdr train`: train a network."""

from __future__ import annotations

import argparse
import os

from lrhdr.commands.options import Commands, add_command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "train", run, "Train a network, or go on with a run that was stopped.")
    parser.add_argument("config", metavar="CONFIG", help="TOML file; its keys are the fields of TrainConfig")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.allocator import keep_memory
    from lrhdr.progress import ProgressDisplay
    from lrhdr.training import train
    from lrhdr.training_config import load_config

    config = load_config(options.config)
    keep_memory()  # every step asks for the same blocks
    with ProgressDisplay(unit="steps") as progress:
        path = train(config, progress=progress, report=lambda line: print(line, flush=True))
    if os.environ.get("RANK", "0") == "0":  # under torchrun every process gets here
        print(path)
