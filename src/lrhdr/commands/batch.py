"""`lrhdr batch`: many clips, or a very long one, over many workers."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from lrhdr.commands.options import Commands, add_command
from lrhdr.commands.reconstruct import add_run_options

_OWN = ("engine", "workers", "address", "task_cores", "task_gpus", "shard_frames", "retries", "dry_run", "prepare")


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "batch", run, "Reconstruct many clips, in shards, over worker processes or a Ray cluster; goes on."
    )
    parser.add_argument(
        "input", metavar="MANIFEST|FOLDER|CLIP",
        help="manifest (.csv, .json, .jsonl, .toml; see docs/scale.md), folder of clips, or one clip",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="folder in which every clip gets its own, and the ledger"
    )
    work = parser.add_argument_group("workers")
    work.add_argument("--engine", choices=("local", "ray"), default="local", help="processes here, or Ray tasks")
    work.add_argument(
        "--workers", type=int, metavar="N", help="processes, or cores of a local Ray (default: all free cores)"
    )
    work.add_argument("--address", help="Ray cluster to join, as auto or HOST:6379 (default: a local one)")
    work.add_argument("--task-cores", type=float, default=1.0, metavar="N", help="ray: cores of a task")
    work.add_argument(
        "--task-gpus", type=float, metavar="N", help="ray: GPUs of a task (default: 1 with --device cuda, else 0)"
    )
    work.add_argument("--shard-frames", type=int, default=64, metavar="N", help="frames of a shard")
    work.add_argument("--retries", type=int, default=2, metavar="N", help="further tries where a worker dies")
    work.add_argument(
        "--dry-run", action="store_true", help="print the shards that are left as commands; write nothing"
    )
    work.add_argument(
        "--prepare", action="store_true", help="look at the clips, write what was found, then print as --dry-run does"
    )
    add_run_options(parser, batch=True)


def run(options: argparse.Namespace) -> None:
    """Run it."""
    import shlex
    import sys
    from functools import partial
    from pathlib import Path

    from lrhdr.batch import LEDGER, find_todo, run_batch, survey, with_one_thread
    from lrhdr.batch_manifest import read_clips
    from lrhdr.batch_workers import Engine, LocalEngine
    from lrhdr.checks import InputError
    from lrhdr.ledger import read_ledger
    from lrhdr.progress import ProgressDisplay
    from lrhdr.run_options import RunOptions
    from lrhdr.shards import check_size, command, shard_options
    from lrhdr.workers import free_cores

    values = {k: v for k, v in vars(options).items() if k not in ("command", "run", "input", "output", *_OWN)}
    clips = with_one_thread(read_clips(options.input, options.output, RunOptions(**values)))
    check_size(options.shard_frames)
    if options.workers is not None and options.workers < 1:
        raise InputError(f"workers: expected 1 or more, found {options.workers}")
    workers = options.workers or free_cores()
    engine: Callable[[], Engine] = partial(LocalEngine, workers)
    if options.engine == "ray":
        from lrhdr.batch_ray import RayEngine

        gpus = options.task_gpus if options.task_gpus is not None else float(options.device.startswith("cuda"))
        engine = partial(RayEngine, options.address, workers, cpus=options.task_cores, gpus=gpus)
    elif options.address or options.task_gpus is not None:
        raise InputError(f"{'address' if options.address else 'task gpus'}: expected --engine ray with it")

    failed: dict[str, str] = {}
    if not options.dry_run:
        with ProgressDisplay() as progress:
            result = run_batch(
                clips,
                options.output,
                engine,
                shard_frames=options.shard_frames,
                retries=options.retries,
                overwrite=options.overwrite,
                prepare_only=options.prepare,
                progress=progress,
                notify=progress.say,
            )
        failed = result.failed
    if options.dry_run or options.prepare:
        states = survey(clips)
        # --overwrite throws away what earlier runs made; a run that prepared has done so already.
        entries = () if options.overwrite and options.dry_run else read_ledger(Path(options.output) / LEDGER)
        find_todo(states, entries, options.shard_frames)
        if options.dry_run:
            failed = {state.clip.name: state.failure for state in states if state.failure is not None}
        left = [(state.clip, part) for state in states if state.failure is None and state.clip.name not in failed
                for part in state.todo]  # fmt: skip
        for clip, part in left:
            print(shlex.join(command(clip.input, clip.output, shard_options(clip.options, part))))
        frames = sum(len(part) for _, part in left)
        print(f"lrhdr: {len(left)} shards, {frames} frames, {len(clips)} clips", file=sys.stderr)
    else:
        done = result.clips - len(failed)
        print(f"{done} of {result.clips} clips, {result.frames} frames: {options.output}")
        print(f"computed {result.written} frames now")
    if failed:
        for name, reason in failed.items():
            print(f"lrhdr: {name}: {reason}", file=sys.stderr)
        raise InputError(f"{len(failed)} of {len(clips)} clips failed: {', '.join(failed)}")
