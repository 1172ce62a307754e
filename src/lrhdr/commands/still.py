"""`lrhdr still`: one EXR frame as a picture file."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, add_command, given


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "still", run, "Write an EXR frame as a picture: Ultra HDR JPEG, AVIF, Radiance, 16-bit PNG or TIFF."
    )
    parser.add_argument("frame", metavar="EXR", help="the frame")
    parser.add_argument(
        "-o", "--output", required=True, action="append", metavar="FILE",
        help=".jpg (Ultra HDR), .avif (PQ), .hdr (Radiance), .png or .tif (16 bits, tone-mapped); may be repeated",
    )  # fmt: skip
    parser.add_argument("--pq", action="store_true", help="write .png as HDR too (BT.2020, PQ)")
    parser.add_argument(
        "--exposure", type=float, metavar="EV", help="gain in stops (default: 0; tone-mapped pictures: from the frame)"
    )
    parser.add_argument("--look", metavar="LUT|VIEW", help="a .cube file or an OpenColorIO view, for tone-mapped ones")
    parser.add_argument(
        "--white-luminance", type=float, metavar="CD", help="cd/m² of the value 1.0 (default: the header's, or 203)"
    )
    parser.add_argument(
        "--peak-luminance", type=float, metavar="CD", help="cd/m² towards which HDR highlights bend (default: none)"
    )


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from pathlib import Path

    from lrhdr.stills import StillOptions, write_still

    chosen = StillOptions(**given(options, "white_luminance", "exposure", "peak_luminance", "look", "pq"))
    for output in options.output:
        print(f"{output}: {write_still(Path(options.frame), Path(output), chosen)}")
