"""`lrhdr synthesize`: training samples."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import INTERPOLATORS, Commands, Help, add_command, given, seed


class _Help(Help):
    """Shows the defaults of the settings; only then are they, and PyTorch, imported."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        from lrhdr.data.maker import option_defaults

        default = option_defaults().get(action.dest)
        return super()._get_help_string(action) if default is None else f"{action.help} (default: {default})"


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(commands, "synthesize", run, "Make training samples from HDR stills and ordinary video.")
    parser.formatter_class = _Help
    parser.add_argument("--hdr-dir", required=True, metavar="DIR", help="folder of HDR stills")
    parser.add_argument("--video-dir", metavar="DIR", help="folder of ordinary video")
    parser.add_argument("--out-dir", required=True, metavar="DIR", help="folder for the samples")
    parser.add_argument("--count", type=int, required=True, help="number of samples")
    parser.add_argument("--seed", type=seed, default=0, help="of the whole set")
    parser.add_argument("--size", type=int, help="side of the samples in pixels")
    parser.add_argument("--n-exposures", type=int, help="exposures of one period")
    parser.add_argument(
        "--exclude", nargs="*", default=[], metavar="PATTERN", help="source names to leave out, as 'blender_*'"
    )
    parser.add_argument("--real-video-share", type=float, help="share of samples made from video")
    parser.add_argument("--grain-share", type=float, help="share of samples with grain in their truth")
    parser.add_argument("--still-share", type=float, help="share of samples from stills whose camera stands still")
    parser.add_argument(
        "--recorded-share", type=float, help="share of samples that go through noise reduction and a codec"
    )
    parser.add_argument("--read-noise", type=float, nargs=2, metavar="E", help="least and most read noise, electrons")
    parser.add_argument("--bayer-share", type=float, help="share of cameras with a colour filter array")
    parser.add_argument("--interpolator", choices=INTERPOLATORS, help="for missing frames")
    parser.add_argument("--workers", type=int, default=1, help="processes")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.data.generated import build_cache
    from lrhdr.data.maker import GenerationConfig, option_defaults, with_options
    from lrhdr.pipeline import set_threads
    from lrhdr.progress import ProgressDisplay

    config = with_options(GenerationConfig(), given(options, *option_defaults()))
    keywords = given(options, "hdr_dir", "video_dir", "out_dir", "count", "seed", "workers", "exclude")
    set_threads(1)  # as the workers have: on a busy machine two threads wait for each other
    with ProgressDisplay(unit="samples") as progress:
        print(build_cache(**keywords, config=config, progress=lambda *done: progress("synthesize", *done)))
