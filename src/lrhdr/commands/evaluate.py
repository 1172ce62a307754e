"""`lrhdr evaluate`: scores against ground truth."""

from __future__ import annotations

import argparse
import sys

from lrhdr.commands.options import (
    EVALUATION_SETS,
    INTERPOLATORS,
    METHODS,
    PRECISIONS,
    QUALITIES,
    Commands,
    add_command,
    add_compute,
    seed,
)

# Spelled out, because the registries import PyTorch; a test holds them equal.
PROTOCOLS = ("default", "all-frames", "network-only", "field", "lrhdr-paper")
DEFAULT_METRICS = ("psnr_t", "ssim_t", "psnr_l", "ssim_l", "pu21_psnr", "ghosts", "flicker")
METRICS = (
    *("psnr_t", "ssim_t", "psnr_l", "ssim_l", "ssim_t_gaussian", "ssim_l_gaussian", "pu21_psnr", "pu21_ssim"),
    *("hdrvdp2", "cvvdp", "hdrvqm", "ghosts", "flicker", "still_flicker", "warped_error"),
)
RECORDINGS = ("none", "jpeg", "h264", "denoised-h264")
PEAK, PIXELS_PER_DEGREE, FRAMES_PER_SECOND = 1000.0, 30.0, 24.0


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "evaluate", run, "Score the network and the baselines against ground truth.")
    what = parser.add_argument_group("what to score on")
    what.add_argument(
        "dataset",
        nargs="?",
        metavar="DATASET",
        help="bench, or a folder: Cinematic Video, DeepHDRVideo, Real-HDRV, clips with Exposures.txt and truth, sets",
    )
    what.add_argument("--data", metavar="DIR", help="folder with hdr_val, hdrvideo_val, video_val")
    what.add_argument("--sets", nargs="+", choices=EVALUATION_SETS, help="sets of clips (default: all that are there)")
    what.add_argument("--clips", nargs="+", metavar="NAME", help="only these clips or scenes; * and ? stand for others")
    what.add_argument("--exposures", type=int, metavar="N", help="only clips with N exposures")
    what.add_argument("--frames", type=int, metavar="N", help="at most this many frames of each clip (default: all)")
    what.add_argument(
        "--stops",
        nargs="+",
        default=("2", "3"),
        metavar="EV",
        help="alternations of sets: 3 for 0 and 3 EV, or 0,2,4 (default: 2 3)",
    )
    what.add_argument("--seed", type=seed, default=0, help="of the camera noise of sets")
    what.add_argument(
        "--camera",
        nargs="+",
        default=(),
        metavar="FIELD=VALUE",
        help="of sets: full_well_e=8000 read_noise_e=2.5 (electrons) bit_depth=8 demosaicing=none|bilinear|malvar",
    )
    what.add_argument(
        "--recording",
        choices=RECORDINGS,
        default="none",
        help="what happens to frames of sets and of bench after the sensor (default: none)",
    )

    method = parser.add_argument_group("methods")
    method.add_argument(
        "--methods",
        "--method",
        nargs="+",
        metavar="NAME",
        help=f"some of {', '.join(METHODS)} (default: all; none with --predictions)",
    )
    method.add_argument(
        "--weights", nargs="+", metavar="NAME|FILE", help="of the network (default: compact-Nexp for N exposures)"
    )
    method.add_argument(
        "--interpolator", choices=INTERPOLATORS, help="for all (default: the one that the weights were trained with)"
    )
    method.add_argument(
        "--quality", choices=QUALITIES, default="best", help="of the reconstruction, as in lrhdr reconstruct"
    )
    method.add_argument("--precision", choices=PRECISIONS, default="auto", help="of its convolutions, likewise")
    method.add_argument(
        "--predictions", nargs="+", metavar="DIR", help="folders of EXR or HDR results of other methods; NAME=DIR"
    )
    method.add_argument(
        "--bounds",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also score the best candidate of every pixel, chosen with the truth",
    )

    judge = parser.add_argument_group("how to score")
    judge.add_argument(
        "--protocol", choices=PROTOCOLS, default="default", help="frames, division and paste; default is all-frames"
    )
    judge.add_argument(
        "--composite",
        nargs="?",
        const="on",
        choices=("off", "on", "both"),
        help="paste the reference where it is well exposed (default: as the protocol says)",
    )
    judge.add_argument(
        "--metrics", nargs="+", default=DEFAULT_METRICS, metavar="NAME", help=f"some of {', '.join(METRICS)}"
    )
    judge.add_argument(
        "--peak", type=float, default=PEAK, metavar="CD/M2", help="light of radiance 1.0 for metrics that judge light"
    )
    judge.add_argument(
        "--pixels-per-degree", type=float, default=PIXELS_PER_DEGREE, metavar="N", help="resolution for the eye"
    )
    judge.add_argument(
        "--frames-per-second", type=float, default=FRAMES_PER_SECOND, metavar="N", help="at which clips are shown"
    )

    parser.add_argument("-o", "--output", default="lrhdr-evaluation", metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--worst", type=int, default=3, metavar="N", help="draw the worst frame of the N worst clips; 0 for none"
    )
    parser.add_argument(
        "--plots", action=argparse.BooleanOptionalAction, default=True, help="draw the scores frame by frame"
    )
    add_compute(parser)


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.evaluation_runs import score, summary
    from lrhdr.progress import ProgressDisplay

    keywords = {k: v for k, v in vars(options).items() if k not in ("command", "run")}
    with ProgressDisplay(unit="frames") as progress:
        result = score(**keywords, progress=progress, say=lambda line: print(line, file=sys.stderr))
    print(summary(result, options.output))
