"""`lrhdr ablate`: what each part of the method brings."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import EVALUATION_SETS, Commands, add_command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "ablate", run, "Train the method with parts taken away or replaced, equally long, and compare."
    )
    parser.add_argument("config", metavar="CONFIG", help="TOML file of the full method's run, as for train")
    parser.add_argument("-o", "--output", default="lrhdr-ablation", metavar="DIR", help="folder for runs and tables")
    parser.add_argument(
        "--rows", nargs="+", metavar="ROW", help="which rows (default: all; an unknown name lists them)"
    )
    parser.add_argument("--seeds", type=int, default=2, metavar="N", help="runs per row")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="runs side by side, one thread each")
    group = parser.add_argument_group("a data set to score on, besides the samples held out of the training data")
    group.add_argument("--data", metavar="DIR", help="its folder, as for evaluate")
    group.add_argument("--sets", nargs="+", choices=EVALUATION_SETS, help="sets of clips (default: all that are there)")
    group.add_argument(
        "--stops", nargs="+", default=("2", "3"), metavar="EV", help="alternations, as for evaluate (default: 2 3)"
    )
    group.add_argument("--frames", type=int, metavar="N", help="at most this many frames of each clip (default: all)")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.ablation import ExternalSets, ablate
    from lrhdr.progress import ProgressDisplay
    from lrhdr.training_config import load_config

    external = None
    if options.data:
        sets = tuple(options.sets) if options.sets else None
        external = ExternalSets(options.data, sets, tuple(options.stops), options.frames)
    config = load_config(options.config)
    keywords = {name: getattr(options, name) for name in ("rows", "seeds", "workers")}
    with ProgressDisplay(unit="steps") as progress:
        text = ablate(config, options.output, **keywords, external=external, progress=progress)
    print(text)
