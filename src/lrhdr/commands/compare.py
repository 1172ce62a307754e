"""`lrhdr compare`: by how much one evaluation is better than another, with an interval."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, add_command, seed


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "compare", run, "Compare two evaluations frame by frame (B minus A).")
    parser.add_argument("a", metavar="A", help="evaluation.json of lrhdr evaluate, or its folder")
    parser.add_argument(
        "b", metavar="B", nargs="?", help="another one; without it, --methods names two rows of the first"
    )
    parser.add_argument(
        "--metric", nargs="+", default=("psnr_t",), metavar="NAME", help="metrics that both have (default: psnr_t)"
    )
    parser.add_argument(
        "--methods", nargs=2, metavar=("A", "B"), help="a row of each (default: the rows that correspond)"
    )
    parser.add_argument("--common", action="store_true", help="compare the frames that both have")
    parser.add_argument("--seed", type=seed, default=0, help="of the bootstrap")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    import json

    from lrhdr.checks import InputError
    from lrhdr.comparison import compare, text, to_plain
    from lrhdr.scores import Evaluation

    if options.b is None and options.methods is None:
        raise InputError("compare: expected a second file, or --methods with two rows of the first, found neither")
    a = Evaluation.read_json(options.a)
    b = a if options.b is None else Evaluation.read_json(options.b)
    methods = None if options.methods is None else (options.methods[0], options.methods[1])
    metrics = [word for name in options.metric for word in name.replace(",", " ").split()]
    found = compare(a, b, metrics=metrics, methods=methods, common=options.common, seed=options.seed)
    print(json.dumps(to_plain(found, options.seed), indent=1) if options.json else text(found, options.seed))
