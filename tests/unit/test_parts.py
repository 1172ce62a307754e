"""A clip in parts: one stream of frames, none of which is held while the next is made."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from lrhdr.alternation import Break
from lrhdr.checks import InputError
from lrhdr.clip_setup import Part, _parts
from lrhdr.exposure import ExposureSchedule
from lrhdr.parts import reconstruct_parts
from lrhdr.pipeline import HdrFrame
from lrhdr.sidecar import ClipFacts


def test_no_frame_is_held_while_the_next_is_made() -> None:
    alive: list[int] = []

    class Tool:
        def reconstruct(self, frames: object, schedule: object, *, skip: set[int], first: int) -> Iterator[HdrFrame]:
            made: list[weakref.ref[Any]] = []
            for i in range(first, 3):
                alive.append(sum(m() is not None for m in made))
                radiance = np.zeros((2, 2, 3), dtype=np.float32)
                made.append(weakref.ref(radiance))
                frame = HdrFrame(i, radiance, 1.0)
                del radiance
                yield frame
                del frame

    schedule = ExposureSchedule.from_stops((0.0, 3.0))
    source = SimpleNamespace(frames=lambda _start, _stop: None)
    parts = [Part(0, 3, schedule), Part(10, 13, schedule)]
    seen = []
    for frame in reconstruct_parts(cast(Any, Tool()), cast(Any, source), parts, range(20)):
        seen.append(frame.index)
        del frame
    assert seen == [0, 1, 2, 10, 11, 12]
    assert alive == [0] * 6


@pytest.mark.parametrize(("n_frames", "left"), [(9, [(2, 9)]), (4, [])])
def test_short_ends_are_left_out_where_anything_else_is_there(n_frames: int, left: list[tuple[int, int]]) -> None:
    schedule, said = ExposureSchedule.from_stops((0.0, 2.0, 4.0)), list[str]()
    facts = ClipFacts(n_frames, (8, 8), "gamma2.2", exposures=schedule.relative, breaks=(Break(2, "dropped", 1),))

    def parts(trim: bool) -> list[tuple[int, int]]:
        found = _parts("clip", schedule, facts, range(n_frames), said.append, "or not", trim)
        return [(p.start, p.stop) for p in found]

    if left:
        assert parts(trim=True) == left
        assert said[0].startswith("warning: frames 0 to 1 left out")
    else:
        with pytest.raises(InputError, match="found no part without a break"):
            parts(trim=True)
    with pytest.raises(InputError, match="frames 0 to 1 at an end of the clip"):
        parts(trim=False)
