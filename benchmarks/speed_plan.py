"""Which rows `speed.py` measures: enough for every target, few enough for 25 minutes on two slow cores.

Networks (interpolation and network, without files) are timed at the two smaller sizes, in each backend that is
installed; `lrhdr reconstruct` end to end at all four, the two larger ones on all cores only and with few frames,
because a frame of 3840x2160 takes as long as 36 of 640x360. The yardstick runs in both memory layouts at the smallest
size and, for the same exposures and cores, in the faster of them at the others. `full` adds the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

Size = tuple[int, int]

SIZES: tuple[Size, ...] = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
MAIN: Size = (1280, 720)
"""The size of the targets: the slowest backends, float32 on request, and "fast" end to end are timed here only."""
LARGE = 1920 * 1080
"""Pixels above which only backend torch is measured: the others and the yardstick hold whole full-resolution maps."""
LAYOUTS = ("channels_last", "planar")
BACKENDS = ("torch", "onnx", "compile", "plain")
"""As of `lrhdr reconstruct`; "plain" is the network layer by layer over whole maps, for comparison only."""


class Way(NamedTuple):
    """How a network is run.

    Attributes:
        backend: in `BACKENDS`.
        quality: "best" or "fast".
        precision: "auto" or "fp32".
        at_once: frames at once where these are not the package's own choice.
    """

    backend: str
    quality: str = "best"
    precision: str = "auto"
    at_once: int | None = None


@dataclass(frozen=True)
class Scope:
    """What is to be measured.

    Attributes:
        sizes: (width, height) of the frames.
        exposures: numbers of exposures.
        cores: numbers of cores.
        backends: names in `BACKENDS` that can run here.
        frames: of an end-to-end clip.
        full: everything, at all sizes; takes hours on a slow machine.
    """

    sizes: Sequence[Size]
    exposures: Sequence[int]
    cores: Sequence[int]
    backends: Sequence[str]
    frames: int
    full: bool = False


@dataclass(frozen=True)
class Group:
    """Rows that take turns: of one size, number of exposures and number of cores.

    Attributes:
        size: (width, height).
        exposures: number of them.
        cores: number of them.
        rows: the ways to run our network.
        layouts: of the yardstick, to be measured if they are the faster one so far; empty for none.
    """

    size: Size
    exposures: int
    cores: int
    rows: tuple[Way, ...]
    layouts: tuple[str, ...]


@dataclass(frozen=True)
class EndToEnd:
    """One run of `lrhdr reconstruct`.

    Attributes:
        size: (width, height).
        exposures: number of them.
        cores: number of them.
        frames: of the clip.
        quality: "best" or "fast".
        precision: "auto" or "fp32".
    """

    size: Size
    exposures: int
    cores: int
    frames: int
    quality: str
    precision: str = "auto"


def _pixels(size: Size) -> int:
    return size[0] * size[1]


def _rows(scope: Scope, size: Size, exposures: int, cores: int) -> tuple[Way, ...]:
    large = _pixels(size) > LARGE
    rows: list[Way] = []
    if "torch" in scope.backends:
        rows += [Way("torch"), Way("torch", "fast")]
        if scope.full or size == MAIN:
            rows.append(Way("torch", precision="fp32"))
        if cores > 1 and not large and (scope.full or size == MAIN):  # what frames at once gain over threads in a frame
            rows.append(Way("torch", at_once=1))
    if "onnx" in scope.backends and not large:
        rows.append(Way("onnx"))
    # The compiler takes a minute per shape; layer by layer a frame takes twice as long.
    once = size == MAIN and exposures == min(scope.exposures) and cores == 1
    rows += [Way(name) for name in ("compile", "plain") if name in scope.backends and not large and once]
    return tuple(rows)


def network_groups(scope: Scope) -> list[Group]:
    """The rows without files, in order; the smallest size first, because it settles the yardstick's layout."""
    sizes = sorted(scope.sizes, key=_pixels)
    if not scope.full:
        sizes = [size for size in sizes if size in SIZES[:2]] or sizes[:1]
    groups = []
    for size in sizes:
        layouts = () if _pixels(size) > LARGE else LAYOUTS
        for exposures in scope.exposures:
            for cores in scope.cores:
                groups.append(Group(size, exposures, cores, _rows(scope, size, exposures, cores), layouts))
    return groups


def end_to_end_runs(scope: Scope) -> list[EndToEnd]:
    """The runs with files, in order."""
    runs = []
    for size in scope.sizes:
        larger = _pixels(size) > _pixels(MAIN)
        share = 3 if _pixels(size) > LARGE else 2 if larger else 1
        for exposures in scope.exposures:
            for cores in scope.cores:
                if larger and cores != max(scope.cores) and not scope.full:
                    continue
                frames = max(4, -(-scope.frames // share // cores) * cores)
                runs.append(EndToEnd(size, exposures, cores, frames, "best"))
                if size == MAIN:
                    runs.append(EndToEnd(size, exposures, cores, frames, "fast"))
                    runs.append(EndToEnd(size, exposures, cores, frames, "best", "fp32"))
    return runs
