"""The command line: parse, call, exit code. Every option has the name of the keyword that it feeds.

Exit status: 0 done; 1 an error of the machine or of ours; 2 an input or option that cannot be used; 3 a result that
cannot be written; 130 stopped with Ctrl-C. Errors are one line on standard error; `LRHDR_DEBUG=1` adds the traceback.

PyTorch and everything that needs it are imported when a command runs, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from lrhdr._version import __version__
from lrhdr.checks import LrhdrError, OutputError

# Spelled out, because the registries import PyTorch; a test holds them equal.
METHODS = ("lrhdr", "reference", "merge", "flow", "completion")
INTERPOLATORS = ("average", "dis", "dis-guided")
EVALUATION_SETS = ("generated", "hdrvideo", "video")


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with an option."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message} (see {self.prog} --help)")


class _UsageError(LrhdrError):
    """An option that is unknown, missing or not of its type."""


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows real defaults, and none for switches and for options that have nothing to show."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False or action.required:
            return action.help
        return super()._get_help_string(action)


def entry() -> NoReturn:
    """The installed command."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: command line without the program's name; `sys.argv` when not given.

    Returns:
        The exit status.
    """
    parser = build_parser()
    try:
        options = parser.parse_args(arguments)
        if options.command is None:
            parser.print_help()
            return 2
        command: Callable[[argparse.Namespace], None] = options.run
        command(options)
        sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        return _fail("stopped; finished frames are complete, the same command goes on from here", 130, "")
    except BrokenPipeError:
        # The reader of our output went away (`lrhdr info | head`): not an error, but nothing more can be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OutputError as error:
        return _fail(str(error), 3)
    except LrhdrError as error:
        return _fail(str(error), 2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 1)
    except MemoryError:
        return _fail("out of memory; --tile 512 needs less", 1)
    except RuntimeError as error:
        # PyTorch has no type of its own for a failed allocation on the CPU.
        if "allocate" in str(error) or "out of memory" in str(error):
            return _fail("out of memory; --tile 512 needs less", 1)
        raise


def _fail(message: str, status: int, kind: str = "error: ") -> int:
    if os.environ.get("LRHDR_DEBUG"):
        traceback.print_exc()
    print(f"lrhdr: {kind}{' '.join(message.split())}", file=sys.stderr)
    return status


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = _Parser(
        prog="lrhdr",
        description="HDR video from footage whose frames alternate between exposures.",
        epilog="lrhdr COMMAND --help explains a command.",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"lrhdr {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND", parser_class=_Parser)

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, formatter_class=_Help)
        command.set_defaults(run=run)
        return command

    _add_reconstruct(add("reconstruct", _reconstruct, "Turn a folder of frames or a video into HDR frames (OpenEXR)."))
    demo = add("demo", _demo, "Reconstruct the bundled clip, with preview, contact sheet and scores.")
    demo.add_argument("-o", "--output", default="lrhdr-demo", metavar="DIR", help="folder for everything")
    _add_method(demo)
    _add_compute(demo)
    info = add("info", _info, "Show sizes of the presets and the record of weights.")
    info.add_argument(
        "weights", nargs="*", help="bundled names or .safetensors files; all bundled ones if none is given"
    )
    info.add_argument("--height", type=int, default=720, help="frame height for the multiply-adds")
    info.add_argument("--width", type=int, default=1280, help="frame width for the multiply-adds")
    _add_evaluate(add("evaluate", _evaluate, "Score the network and the baselines against ground truth."))
    train = add("train", _train, "Train a network, or go on with a run that was stopped.")
    train.add_argument("config", metavar="CONFIG", help="TOML file; its keys are the fields of TrainConfig")
    _add_synthesize(add("synthesize", _synthesize, "Make training samples from HDR stills and ordinary video."))
    return parser


def _add_reconstruct(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="INPUT", help="folder of frames (PNG, TIFF, JPEG), or a video file")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder for the EXR frames")
    what = parser.add_argument_group("exposures (without these: Exposures.txt in the folder, or EXIF)")
    what.add_argument("--exposures", metavar="S,S", help="exposure times of one period in seconds, as 1/1000,1/125")
    what.add_argument("--stops", metavar="EV,EV", help="exposures of one period in stops, as 0,3")
    what.add_argument(
        "--start", default="0", help="which of them the first frame has: its position from 0, or 'short' or 'long'"
    )
    _add_method(parser)
    parser.add_argument("--composite", action="store_true", help="paste the reference where it is well exposed")
    result = parser.add_argument_group("result")
    result.add_argument(
        "--scale",
        choices=("shortest", "scene"),
        default="shortest",
        help="1.0 is the saturation of the shortest exposure, or (scene) the white of the longest",
    )
    result.add_argument("--compression", choices=("zip", "piz", "dwaa", "none"), default="zip", help="of the EXR files")
    result.add_argument("--name", help="stem of the file names (default: the input's name)")
    result.add_argument("--start-number", type=int, default=0, metavar="N", help="number of the first frame's file")
    result.add_argument("--frames", metavar="A:B", help="only these frames, counted from 0, B excluded")
    result.add_argument("--fps", help="frame rate, as 24 or 30000/1001 (default: the input's)")
    result.add_argument("--preview", metavar="FILE", help="also write a tone-mapped preview video (MP4)")
    result.add_argument("--sheet", metavar="FILE", help="also write a contact sheet (PNG)")
    result.add_argument("--overwrite", action="store_true", help="replace the frames of an earlier run in the folder")
    _add_compute(parser)
    parser.add_argument(
        "--tile", type=int, metavar="PX", help="work in tiles of this side, for frames too big for memory"
    )


def _add_method(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("method")
    group.add_argument("--method", choices=METHODS, default="lrhdr", help="the network, or a baseline")
    group.add_argument(
        "--weights", metavar="NAME|FILE", help="bundled name or .safetensors (default: compact-Nexp for N exposures)"
    )
    group.add_argument(
        "--interpolator",
        choices=INTERPOLATORS,
        help="frame interpolator (default: the one the weights were trained with)",
    )


def _add_compute(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, metavar="N", help="compute threads (default: all cores)")
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1, ...")


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, metavar="DIR", help="folder with hdr_val, hdrvideo_val, video_val")
    parser.add_argument("-o", "--output", default="lrhdr-evaluation", metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--sets", nargs="+", choices=EVALUATION_SETS, help="sets of clips (default: all that are there)"
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="what to compare")
    parser.add_argument(
        "--weights", nargs="+", metavar="NAME|FILE", help="of the network (default: compact-Nexp for N exposures)"
    )
    parser.add_argument(
        "--stops", nargs="+", default=("2", "3"), metavar="EV", help="alternations: 3 for 0 and 3 EV, or 0,2,4"
    )
    parser.add_argument(
        "--interpolator", choices=INTERPOLATORS, help="for all (default: the one that the weights were trained with)"
    )
    parser.add_argument("--frames", type=int, metavar="N", help="at most this many frames of each clip (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the camera noise")
    parser.add_argument("--composite", action="store_true", help="paste the reference, as the field's scripts do")
    _add_compute(parser)


def _add_synthesize(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument("--workers", type=int, default=1, help="processes")


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names}


def _reconstruct(options: argparse.Namespace) -> None:
    from lrhdr.progress import ProgressDisplay
    from lrhdr.run_options import RunOptions
    from lrhdr.runs import run, summary

    values = {k: v for k, v in vars(options).items() if k not in ("command", "run", "input", "output")}
    with ProgressDisplay() as progress:
        result = run(options.input, options.output, RunOptions(**values), progress)
    print(summary(result))


def _demo(options: argparse.Namespace) -> None:
    from lrhdr.demo import run_demo
    from lrhdr.demo import summary as demo_summary
    from lrhdr.progress import ProgressDisplay
    from lrhdr.run_options import RunOptions

    chosen = RunOptions(**_given(options, "method", "weights", "interpolator", "threads", "device"))
    with ProgressDisplay() as progress:
        result = run_demo(options.output, chosen, progress)
    print(demo_summary(result))


def _info(options: argparse.Namespace) -> None:
    from lrhdr.cost import describe

    print(describe(options.weights, options.height, options.width))


def _evaluate(options: argparse.Namespace) -> None:
    from lrhdr.evaluation_runs import score, summary
    from lrhdr.progress import ProgressDisplay

    keywords = {k: v for k, v in vars(options).items() if k not in ("command", "run")}
    with ProgressDisplay(unit="frames") as progress:
        result = score(**keywords, progress=progress)
    print(summary(result, options.output))


def _train(options: argparse.Namespace) -> None:
    from lrhdr.training import train
    from lrhdr.training_config import load_config

    print(train(load_config(options.config), progress=print))


def _synthesize(options: argparse.Namespace) -> None:
    from lrhdr.data.generated import build_cache
    from lrhdr.progress import ProgressDisplay

    names = ("hdr_dir", "video_dir", "out_dir", "count", "seed", "size", "n_exposures", "workers")
    keywords = _given(options, *names, "exclude", "real_video_share")
    with ProgressDisplay(unit="samples") as progress:
        print(build_cache(**keywords, progress=lambda done, total: progress("synthesize", done, total)))
