"""`lrhdr bench`: write lrhdr-bench to disk, for other methods."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, add_command, seed


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "bench", run, "Write lrhdr-bench (LDR frames and ground truth) to disk.")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the clips")
    parser.add_argument("--hdr-dir", metavar="DIR", help="HDR stills to make it from (default: built-in pictures)")
    parser.add_argument("--seed", type=seed, default=1, help="another seed is another benchmark")
    parser.add_argument("--height", type=int, default=256, help="of the frames; speeds scale with it")
    parser.add_argument("--width", type=int, default=384, help="of the frames")
    parser.add_argument("--frames", type=int, default=7, help="per clip")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.bench_files import write_bench
    from lrhdr.progress import ProgressDisplay

    keywords = {k: v for k, v in vars(options).items() if k not in ("command", "run")}
    with ProgressDisplay(unit="clips") as progress:
        print(f"written: {write_bench(**keywords, progress=progress)}")
