"""`lrhdr interpolate`: one frame between two."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import INTERPOLATORS, Commands, add_command, add_compute, given


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "interpolate", run, "Make the frame between two frames of one exposure.")
    parser.add_argument("first", metavar="A", help="earlier frame (PNG, TIFF, JPEG, EXR)")
    parser.add_argument("second", metavar="B", help="later frame, of the same kind and size")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="result: .png, .tif or .exr")
    parser.add_argument("--fraction", type=float, default=0.5, help="time of the result, from 0 (A) to 1 (B)")
    parser.add_argument("--interpolator", choices=INTERPOLATORS, default="dis", help="how to make it")
    parser.add_argument("--gain", type=float, default=1.0, help="gain in linear light to see motion in dark frames")
    add_compute(parser)


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.pairs import interpolate_files

    keywords = given(options, "fraction", "interpolator", "gain", "threads", "device")
    result = interpolate_files(options.first, options.second, options.output, **keywords)
    height, width = result.size
    print(f"{result.path}: {width}x{height}, fraction {result.fraction:g}, by {result.interpolator}")
