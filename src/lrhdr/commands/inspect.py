"""`lrhdr inspect`: what a clip is, by its tags and by its pixels."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, add_command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "inspect", run, "Say what footage is: format, alternation, exposures, dropped frames."
    )
    parser.add_argument("input", metavar="INPUT", help="folder of frames, pattern of numbered frames, or a video file")
    parser.add_argument("--crf", metavar="NAME|FILE", help="response of the camera, as for reconstruct")
    parser.add_argument("--sidecar", metavar="FILE", help="also write what was found, for reconstruct --sidecar (JSON)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    import json

    from lrhdr.clip_setup import inspect_clip
    from lrhdr.progress import ProgressDisplay

    with ProgressDisplay() as progress:
        found = inspect_clip(options.input, crf=options.crf, sidecar=options.sidecar, progress=progress)
    print(json.dumps(found.to_dict(), indent=2) if options.json else found)
