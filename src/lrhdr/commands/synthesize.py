"""`lrhdr synthesize`: training samples."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import INTERPOLATORS, Commands, add_command, given


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "synthesize", run, "Make training samples from HDR stills and ordinary video.")
    parser.add_argument("--hdr-dir", required=True, metavar="DIR", help="folder of HDR stills")
    parser.add_argument("--video-dir", metavar="DIR", help="folder of ordinary video")
    parser.add_argument("--out-dir", required=True, metavar="DIR", help="folder for the samples")
    parser.add_argument("--count", type=int, required=True, help="number of samples")
    parser.add_argument("--seed", type=int, default=0, help="of the whole set")
    parser.add_argument("--size", type=int, default=256, help="side of the samples in pixels")
    parser.add_argument("--n-exposures", type=int, default=2, help="exposures of one period")
    parser.add_argument(
        "--exclude", nargs="*", default=[], metavar="PATTERN", help="source names to leave out, as 'blender_*'"
    )
    parser.add_argument("--real-video-share", type=float, default=0.45, help="share of samples made from video")
    parser.add_argument("--grain-share", type=float, default=0.15, help="share of samples with grain in their truth")
    parser.add_argument(
        "--still-share", type=float, default=0.2, help="share of samples from stills whose camera stands still"
    )
    parser.add_argument(
        "--recorded-share", type=float, default=0.0, help="share of samples that go through noise reduction and a codec"
    )
    parser.add_argument(
        "--read-noise",
        type=float,
        nargs=2,
        default=(1.0, 6.0),
        metavar="E",
        help="least and most read noise, electrons",
    )
    parser.add_argument("--bayer-share", type=float, default=0.0, help="share of cameras with a colour filter array")
    parser.add_argument("--interpolator", choices=INTERPOLATORS, default="compact", help="for missing frames")
    parser.add_argument("--workers", type=int, default=1, help="processes")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.data.generated import build_cache
    from lrhdr.pipeline import set_threads
    from lrhdr.progress import ProgressDisplay

    names = ("hdr_dir", "video_dir", "out_dir", "count", "seed", "size", "n_exposures", "workers")
    keywords = given(options, *names, "exclude", "real_video_share", "grain_share", "still_share", "interpolator")
    keywords |= given(options, "recorded_share", "bayer_share")
    keywords["read_noise_e"] = tuple(options.read_noise)
    set_threads(1)  # as the workers have: on a busy machine two threads wait for each other
    with ProgressDisplay(unit="samples") as progress:
        print(build_cache(**keywords, progress=lambda done, total: progress("synthesize", done, total)))
