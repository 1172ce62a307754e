"""The command line: parse, call, exit code. Every option has the name of the keyword that it feeds.

Exit status: 0 done; 1 an error of the machine (memory, reading, a worker that died) or of ours ("internal error"); 2 an
input or option that cannot be used; 3 a result that cannot be written; 130 stopped with Ctrl-C. Errors are one line on
standard error; `LRHDR_DEBUG=1` adds the traceback.

The commands are in `lrhdr.commands`, a file each.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from typing import NoReturn

from lrhdr._version import __version__
from lrhdr.checks import LrhdrError, OutputError
from lrhdr.commands import (
    ablate,
    app,
    batch,
    bench,
    calibrate,
    compare,
    demo,
    encode,
    evaluate,
    export,
    info,
    inspect,
    interpolate,
    recomplete,
    reconstruct,
    report,
    still,
    synthesize,
    train,
    train_interpolator,
    view,
    weights,
)
from lrhdr.commands.options import Help

COMMANDS = (
    reconstruct,
    batch,
    view,
    report,
    app,
    inspect,
    calibrate,
    encode,
    still,
    demo,
    info,
    evaluate,
    compare,
    bench,
    export,
    train,
    ablate,
    synthesize,
    train_interpolator,
    recomplete,
    interpolate,
    weights,
)
"""In the order of the help."""


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with an option."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message} (see {self.prog} --help)")


class _UsageError(LrhdrError):
    """An option that is unknown, missing or not of its type."""


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
    name = ""
    try:
        options = parser.parse_args(arguments)
        name = options.command or ""
        if options.command is None:
            parser.print_help()
            return 2
        command: Callable[[argparse.Namespace], None] = options.run
        command(options)
        sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        return _fail(_stopped(name, "--overwrite" in (sys.argv[1:] if arguments is None else arguments)), 130, "")
    except BrokenPipeError:
        # The reader of our output went away (`lrhdr info | head`): not an error, but nothing more can be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OutputError as error:
        return _fail(str(error), 3)
    except LrhdrError as error:
        return _fail(str(error), 2)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            return _fail(_out_of_memory(name), 1)
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 1)
    except MemoryError:
        return _fail(_out_of_memory(name), 1)
    except BrokenExecutor:
        return _fail(
            "a worker process died (killed, or out of memory); what is finished is kept, the same command goes on from "
            "here; fewer --workers need less memory",
            1,
        )
    except Exception as error:
        # PyTorch, OpenCV and the system's loader have no type of their own for a failed allocation on the CPU.
        if re.search(r"allocate|out of memory|insufficient memory|failed to map segment", str(error), re.IGNORECASE):
            return _fail(_out_of_memory(name), 1)
        if isinstance(error, SystemError) and "exception" in str(error):  # "error return without exception set"
            return _fail(f"a library failed without a reason, as it does when memory runs out; {_less(name)}", 1)
        return _fail(f"{type(error).__name__}: {error} (LRHDR_DEBUG=1 shows where)", 1, "internal error: ")


_GO_ON = {"reconstruct", "batch", "evaluate", "train", "train-interpolator", "ablate", "synthesize", "recomplete"}
"""Commands that go on where they were stopped."""


def _stopped(command: str, overwriting: bool) -> str:
    if command not in _GO_ON:
        return "stopped"
    again = "the same command without --overwrite" if overwriting else "the same command"
    return f"stopped; what is finished is kept, {again} goes on from here"


def _out_of_memory(command: str) -> str:
    return f"out of memory; {_less(command)}"


def _less(command: str) -> str:
    less = {
        "train": "a smaller batch or crop, or a larger accumulate, in the configuration needs less",
        "ablate": "fewer --workers need less",
        "train-interpolator": "a smaller batch or crop in the configuration needs less",
        "synthesize": "fewer --workers or a smaller --size need less",
        "recomplete": "fewer --workers need less",
        "reconstruct": "--tile 512 needs less",
        "evaluate": "smaller frames need less",
    }
    return less.get(command, "smaller frames or fewer --workers need less")


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
        formatter_class=Help,
    )
    parser.add_argument("--version", action="version", version=f"lrhdr {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND", parser_class=_Parser)
    for command in COMMANDS:
        command.add(commands)
    return parser
