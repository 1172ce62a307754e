"""What several commands share: how a command is declared, and the options on method and machine."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from lrhdr.cache import cached_interpolators

# Spelled out, because the registries import PyTorch; a test holds them equal.
METHODS = ("lrhdr", "reference", "mertens", "merge", "align", "flow", "completion")
BACKENDS = ("torch", "onnx", "compile")
QUALITIES = ("best", "fast")
PRECISIONS = ("auto", "fp32", "bf16")
EVALUATION_SETS = ("generated", "hdrvideo", "video", "bench")


class _InterpolatorNames(tuple[str, ...]):
    """Names to choose from. What the user imported into the cache counts too, but is looked up only when asked for."""

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in cached_interpolators()


INTERPOLATORS = _InterpolatorNames(
    ("average", "dis", "dis-guided", "compact", "film", "film-half", "film-quarter", "rife", "rife-tempered")
)
COLORSPACES = ("lin_rec709", "lin_rec2020", "acescg", "ap0")
INPUT_PRIMARIES = (
    "bt709", "bt2020", "display-p3", "dci-p3", "bt601-525", "bt601-625", "s-gamut3", "s-gamut3.cine", "v-gamut",
    "cinema-gamut", "arri-wide-gamut3", "aces-ap0", "aces-ap1",
)  # fmt: skip

Commands = argparse._SubParsersAction


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows real defaults, and none for switches and for options that have nothing to show."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False or action.required:
            return action.help
        return super()._get_help_string(action)


def add_command(
    commands: Commands[argparse.ArgumentParser], name: str, run: Callable[[argparse.Namespace], None], text: str
) -> argparse.ArgumentParser:
    """Declare a command.

    Args:
        commands: what `ArgumentParser.add_subparsers` returned.
        name: as typed.
        run: called with the parsed options.
        text: one sentence for the help.

    Returns:
        The command's parser, to add options to.
    """
    command = commands.add_parser(name, help=text, description=text, formatter_class=Help)
    command.set_defaults(run=run)
    return command


def add_method(parser: argparse.ArgumentParser) -> None:
    """Options that choose the method, its weights and interpolator."""
    group = parser.add_argument_group("method")
    group.add_argument("--method", choices=METHODS, default="lrhdr", help="the network, or a baseline")
    group.add_argument(
        "--weights",
        metavar="NAME|FILE",
        help="bundled name or .safetensors (default: compact-Nexp for N exposures; from lossy codecs "
        "compact-Nexp-recorded)",
    )
    group.add_argument(
        "--interpolator",
        choices=INTERPOLATORS,
        help="frame interpolator (default: the one the weights were trained with)",
    )


def add_compute(parser: argparse.ArgumentParser, threads: str = "in all (default: all free cores)") -> None:
    """Options on threads (the words say whose) and device."""
    parser.add_argument("--threads", type=int, metavar="N", help=f"compute threads {threads}")
    parser.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1, ...")


def add_encoder(group: argparse._ActionsContainer) -> None:
    """Options on videos to write and how they are encoded."""
    group.add_argument("--hdr10", metavar="FILE", help="write HDR10 (.mp4, .mov, .mkv; .webm is AV1)")
    group.add_argument("--hlg", metavar="FILE", help="write HLG")
    group.add_argument("--preview", metavar="FILE", help="write a tone-mapped SDR preview (H.264)")
    group.add_argument("--look", metavar="LUT|VIEW", help="a .cube file or an OpenColorIO view for the preview")
    group.add_argument(
        "--peak-luminance", type=float, metavar="CD", help="cd/m² towards which HDR10 highlights bend (default: none)"
    )
    group.add_argument("--codec", choices=("hevc", "av1"), help="of HDR10 and HLG (default: hevc)")
    group.add_argument(
        "--encoder-crf", type=float, metavar="N", help="their quality, lower is better (default: 14; AV1: 16)"
    )
    group.add_argument("--encoder-preset", metavar="P", help="their speed (default: x265 fast; SVT-AV1 8)")
    group.add_argument(
        "--audio", action=argparse.BooleanOptionalAction, default=True, help="pass the input's audio through"
    )


def seed(text: str) -> int:
    """The type of an option that is a seed.

    Raises:
        ArgumentTypeError: a negative number.
        ValueError: no whole number.
    """
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, found {value}")
    return value


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Some of the options as keywords."""
    return {name: getattr(options, name) for name in names}
