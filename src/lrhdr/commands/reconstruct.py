"""`lrhdr reconstruct`: frames or video in, HDR frames out."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import (
    BACKENDS,
    COLORSPACES,
    INPUT_PRIMARIES,
    PRECISIONS,
    QUALITIES,
    Commands,
    add_command,
    add_compute,
    add_encoder,
    add_method,
)


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "reconstruct", run, "Turn a folder of frames or a video into HDR frames (OpenEXR).")
    parser.add_argument("input", metavar="INPUT", help="folder of frames, pattern (shot.%%04d.png), or a video file")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the EXR frames")
    add_run_options(parser)


def add_run_options(parser: argparse.ArgumentParser, *, batch: bool = False) -> None:
    """Options on how clips are reconstructed: the fields of `RunOptions`; with `batch`, of many clips and workers."""
    what = parser.add_argument_group("exposures (without these: Exposures.txt in the folder, EXIF, or the pixels)")
    what.add_argument("--exposures", metavar="S,S", help="exposure times of one period in seconds, as 1/1000,1/125")
    what.add_argument("--stops", metavar="EV,EV", help="exposures of one period in stops, as 0,3")
    what.add_argument(
        "--start", default="0", help="which of them the first frame has: its position from 0, or 'short' or 'long'"
    )
    what.add_argument(
        "--crf", metavar="NAME|FILE",
        help="response of the camera: gamma2.2 (default), srgb, bt709, linear, slog3, vlog, clog3, logc3, or a file of "
        "lrhdr calibrate, .mat, .npy, .csv",
    )  # fmt: skip
    what.add_argument(
        "--sidecar", metavar="FILE", help="what is known of the clip: read if it is there, else written (JSON)"
    )
    what.add_argument(
        "--inspect",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="look at all frames first: exposures, black, saturation, dropped frames",
    )
    add_method(parser)
    parser.add_argument(
        "--stabilise-window", action="store_true", help="hand-held clip: first align the neighbours as a whole"
    )
    parser.add_argument("--composite", action="store_true", help="paste the reference where it is well exposed")
    result = parser.add_argument_group("result")
    result.add_argument(
        "--scale",
        choices=("shortest", "scene"),
        default="shortest",
        help="1.0 is the saturation of the shortest exposure, or (scene) the white of the longest",
    )
    result.add_argument("--compression", choices=("zip", "piz", "dwaa", "none"), default="zip", help="of the EXR files")
    name_help = argparse.SUPPRESS if batch else "stem of the file names (default: the input's name)"
    result.add_argument("--name", help=name_help)
    result.add_argument("--start-number", type=int, default=0, metavar="N", help="number of the first frame's file")
    result.add_argument("--padding", type=int, default=6, metavar="N", help="digits of the numbers, at least")
    result.add_argument(
        "--primaries", choices=INPUT_PRIMARIES, metavar="NAME",
        help=f"of the input's RGB (default: its tags', or bt709): {', '.join(INPUT_PRIMARIES)}",
    )  # fmt: skip
    result.add_argument("--colorspace", choices=COLORSPACES, default="lin_rec709", help="of the EXR files")
    result.add_argument("--timecode", metavar="HH:MM:SS:FF", help="of the first frame (default: the input's, or N)")
    result.add_argument(
        "--aov", metavar="LAYERS", help="also write EXR layers to DIR/aov: votes,candidates,confidence or some of them"
    )
    result.add_argument("--frames", metavar="A:B", help="only these frames, counted from 0, B excluded")
    result.add_argument("--fps", help="frame rate, as 24 or 30000/1001 (default: the input's)")
    result.add_argument("--sheet", metavar="FILE", help="also write a contact sheet (PNG)")
    result.add_argument(
        "--report",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="also write a report to look at in a browser (to DIR/report, or FOLDER)",
    )
    result.add_argument("--overwrite", action="store_true", help="replace the frames of an earlier run in the folder")
    videos = parser.add_argument_group("videos (with the input's time stamps and audio)")
    add_encoder(videos)
    videos.add_argument(
        "--reference-white", type=float, default=203.0, metavar="CD", help="cd/m² of the anchor's white (BT.2408)"
    )
    videos.add_argument(
        "--anchor",
        choices=("short", "middle", "long"),
        help="exposure whose white is reference white (default: the longest of two, the middle one of three)",
    )
    add_compute(parser, "of a worker (default: 1)" if batch else "in all (default: all free cores)")
    parser.add_argument(
        "--at-once",
        type=int,
        metavar="N",
        help="frames computed at once, sharing the threads (default: by cores, memory)",
    )
    parser.add_argument(
        "--backend", choices=BACKENDS, default="torch", help="what runs the network; onnx needs the extra onnx"
    )
    parser.add_argument(
        "--quality",
        choices=QUALITIES,
        default="best",
        help="fast: a cheaper search for motion (what it costs: docs/speed.md)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="of the convolutions; auto: bf16 on CPUs that have it, which changes PSNR by hundredths of a dB",
    )
    parser.add_argument(
        "--tile", type=int, metavar="PX", help="work in tiles of this side (GPUs with little memory; not exact)"
    )


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.progress import ProgressDisplay
    from lrhdr.run_options import RunOptions
    from lrhdr.runs import run, summary

    values = {k: v for k, v in vars(options).items() if k not in ("command", "run", "input", "output")}
    with ProgressDisplay() as progress:
        result = run(options.input, options.output, RunOptions(**values), progress, progress.say)
    print(summary(result))
