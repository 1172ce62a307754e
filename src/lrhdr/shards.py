"""Shards: parts of a clip that any machine can reconstruct on its own, and the command that does so.

A shard needs nothing of the others: it reads the frames that its windows reach (N_e - 1 on either side), and writes
files whose names, numbers and headers are those of the whole run. Results of any split are the whole run's, byte for
byte (`tests/integration/test_shards.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace

from lrhdr.checks import InputError
from lrhdr.run_options import RunOptions

WHOLE_CLIP = ("preview", "hdr10", "hlg", "sheet", "report")
"""Results that are made of all frames, once, after the last shard."""

_OF_VIDEOS = ("look", "peak_luminance", "codec", "encoder_crf", "encoder_preset")


def check_size(size: int) -> None:
    """Check the size of shards.

    Raises:
        InputError: below 1 frame.
    """
    if size < 1:
        raise InputError(f"shard frames: expected 1 or more, found {size}")


def split(wanted: range, size: int) -> list[range]:
    """Cut a range of frames into shards.

    Args:
        wanted: frames of the clip.
        size: frames per shard; the last may have fewer.

    Raises:
        InputError: a size below 1.
    """
    check_size(size)
    return [range(first, min(first + size, wanted.stop)) for first in range(wanted.start, wanted.stop, size)]


def remaining(wanted: range, done: Iterable[range], size: int) -> list[range]:
    """What is left of a clip, as shards.

    Args:
        wanted: frames of the clip.
        done: shards that are done, of whatever size.
        size: frames per shard of what is left.

    Raises:
        InputError: a size below 1.
    """
    shards, at = [], wanted.start
    for part in [*sorted(done, key=lambda r: r.start), range(wanted.stop, wanted.stop)]:
        stop = min(part.start, wanted.stop)
        if stop > at:
            shards += split(range(at, stop), size)
        at = max(at, part.stop)
    return shards


def shard_options(options: RunOptions, part: range) -> RunOptions:
    """The options of one shard: those of the clip, without what is made of all frames."""
    cleared = dict.fromkeys((*WHOLE_CLIP, *_OF_VIDEOS))
    return replace(options, frames=f"{part.start}:{part.stop}", overwrite=False, **cleared)  # type: ignore[arg-type]


def command(source: str, output: str, options: RunOptions) -> list[str]:
    """The command line of a run.

    Args:
        source: the clip.
        output: folder of its frames.
        options: of the run.

    Returns:
        Words, beginning with "lrhdr"; options that have their default are left out.
    """
    words = ["lrhdr", "reconstruct", source, "-o", output]
    for field in fields(options):
        value = getattr(options, field.name)
        if value == field.default:
            continue
        flag = "--" + field.name.replace("_", "-")
        if value is True:
            words.append(flag)
        elif value is False:
            words.append(f"--no-{field.name.replace('_', '-')}")
        elif field.name == "report" and value == "":
            words.append(flag)
        else:
            # With "=", so that values such as "-1,2" are not taken for options.
            words.append(f"{flag}={value}")
    return words
