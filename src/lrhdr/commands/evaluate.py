"""`lrhdr evaluate`: scores against ground truth."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import EVALUATION_SETS, INTERPOLATORS, METHODS, Commands, add_command, add_compute


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "evaluate", run, "Score the network and the baselines against ground truth.")
    parser.add_argument("--data", required=True, metavar="DIR", help="folder with hdr_val, hdrvideo_val, video_val")
    parser.add_argument("-o", "--output", default="lrhdr-evaluation", metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--sets", nargs="+", choices=EVALUATION_SETS, help="sets of clips (default: all that are there)"
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="what to compare")
    parser.add_argument(
        "--weights", nargs="+", metavar="NAME|FILE", help="of the network (default: compact-Nexp for N exposures)"
    )
    parser.add_argument(
        "--stops", nargs="+", default=("2", "3"), metavar="EV", help="alternations: 3 for 0 and 3 EV, or 0,2,4"
    )
    parser.add_argument(
        "--interpolator", choices=INTERPOLATORS, help="for all (default: the one that the weights were trained with)"
    )
    parser.add_argument("--frames", type=int, metavar="N", help="at most this many frames of each clip (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the camera noise")
    parser.add_argument("--composite", action="store_true", help="paste the reference, as the field's scripts do")
    add_compute(parser)


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.evaluation_runs import score, summary
    from lrhdr.progress import ProgressDisplay

    keywords = {k: v for k, v in vars(options).items() if k not in ("command", "run")}
    with ProgressDisplay(unit="frames") as progress:
        result = score(**keywords, progress=progress)
    print(summary(result, options.output))
