"""`lrhdr calibrate`: a static bracket in, the camera's response curve out."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, add_command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "calibrate", run, "Estimate a camera's response curve from a still scene at several exposures."
    )
    parser.add_argument("frames", metavar="FRAMES", help="folder or pattern of images of one still scene")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the curve (JSON), for --crf")
    parser.add_argument(
        "--exposures", metavar="S,S,...", help="exposure time of each image in seconds (default: their EXIF data)"
    )
    parser.add_argument("--stops", metavar="EV,EV,...", help="the same in stops, as --stops=-3,0,3")
    parser.add_argument("--plot", metavar="FILE", help="picture of the curve (PNG; default: beside the output)")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.calibration_runs import calibrate_bracket, summary

    keywords = {name: getattr(options, name) for name in ("exposures", "stops", "plot")}
    print(summary(calibrate_bracket(options.frames, options.output, **keywords)))
