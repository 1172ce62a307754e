"""Reconstruct a clip whose alternation breaks: each part on its own, numbered as in the clip."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial

from lrhdr.clip_setup import Part
from lrhdr.io.sources import FrameSource
from lrhdr.pipeline import HdrFrame, Reconstructor


def reconstruct_parts(
    reconstructor: Reconstructor, source: FrameSource, parts: Sequence[Part], wanted: Collection[int]
) -> Iterator[HdrFrame]:
    """Reconstruct some frames of a clip; only frames that lie in one of their windows are decoded.

    Args:
        reconstructor: what computes.
        source: the whole clip.
        parts: its parts, in order.
        wanted: indices of the frames to reconstruct.

    Yields:
        One `HdrFrame` per wanted frame, in order, its indices those of the whole clip.

    Raises:
        InputError: a frame cannot be used, named by its index within its part.
    """
    for part in parts:
        inside = {i - part.start for i in wanted if part.start <= i < part.stop}
        if not inside:
            continue
        reach = part.schedule.n_exposures - 1
        first = max(0, min(inside) - reach)
        frames = source.frames(part.start + first, min(part.stop, part.start + max(inside) + reach + 1))
        skip = set(range(part.stop - part.start)) - inside
        # By map: a loop's variable would hold a frame while the next one is computed.
        yield from map(
            partial(_in_clip, part), reconstructor.reconstruct(frames, part.schedule, skip=skip, first=first)
        )


def _in_clip(part: Part, frame: HdrFrame) -> HdrFrame:
    """A frame of a part as one of the clip."""
    indices = tuple(i + part.start for i in frame.window_indices)
    return replace(frame, index=frame.index + part.start, window_indices=indices)


def parts_exposure(parts: Sequence[Part], index: int) -> float:
    """Exposure of a frame as its schedule states it (seconds, where those were given).

    Args:
        parts: of the clip.
        index: of the frame, in the clip.
    """
    part = next(p for p in parts if p.start <= index < p.stop)
    return part.schedule.exposures[part.schedule.phase(index - part.start)]
