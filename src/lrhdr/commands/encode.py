"""`lrhdr encode`: videos of EXR frames that are there already."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, add_command, add_encoder


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "encode", run, "Make HDR10, HLG and SDR videos of EXR frames.")
    parser.add_argument("frames", metavar="FRAMES", help="folder or pattern of EXR frames")
    add_encoder(parser)
    parser.add_argument("--source", metavar="VIDEO", help="the footage of the frames, for its time stamps and audio")
    parser.add_argument("--fps", help="frame rate (default: the source's, else the headers', else 24)")
    parser.add_argument(
        "--white-luminance", type=float, metavar="CD", help="cd/m² of the value 1.0 (default: the headers', or 203)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="of the encoder (default: its own choice)")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.encode_runs import EncodeOptions, encode_frames
    from lrhdr.progress import ProgressDisplay
    from lrhdr.run_videos import video_lines

    values = {k: v for k, v in vars(options).items() if k not in ("command", "run", "frames")}
    with ProgressDisplay() as progress:
        videos = encode_frames(options.frames, EncodeOptions(**values), progress, progress.say)
    print("\n".join(video_lines(videos)))
