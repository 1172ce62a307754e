"""Frame interpolators under one protocol, found by name, and the completion of a window with them.

Public names: `Interpolator`, `GuidedInterpolator`, `TunableInterpolator`, `AverageInterpolator`, `DISInterpolator`,
`GuidedDISInterpolator`, `INTERPOLATORS`, `get_interpolator`, `complete_window`, `complete_frames`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from lrhdr.cache import cached_interpolators
from lrhdr.checks import InputError, check_tensor
from lrhdr.exposure import interpolation_pairs
from lrhdr.interpolate.average import AverageInterpolator
from lrhdr.interpolate.base import GuidedInterpolator, Interpolator, TunableInterpolator
from lrhdr.interpolate.flow import DISInterpolator
from lrhdr.interpolate.guided import GuidedDISInterpolator
from lrhdr.interpolate.stored import load_bundled, load_stored
from lrhdr.radiometry import codes_to_float, store_codes

__all__ = [
    "INTERPOLATORS",
    "AverageInterpolator",
    "DISInterpolator",
    "GuidedDISInterpolator",
    "GuidedInterpolator",
    "Interpolator",
    "TunableInterpolator",
    "complete_frames",
    "complete_window",
    "get_interpolator",
]

_IMPORT = "bring them once with 'lrhdr weights import film PATH"
_FETCH = "bring them once with 'lrhdr weights fetch rife'"

INTERPOLATORS: dict[str, Callable[[], Interpolator]] = {
    "average": AverageInterpolator,
    "dis": DISInterpolator,
    "dis-guided": GuidedDISInterpolator,
    "compact": partial(load_bundled, "compact"),
    "film": partial(load_stored, "film", hint=f"{_IMPORT}'"),
    "film-half": partial(load_stored, "film-half", hint=f"{_IMPORT} -o film-half'"),
    "film-quarter": partial(load_stored, "film-quarter", hint=f"{_IMPORT} -o film-quarter'"),
    "rife": partial(load_stored, "rife", hint=_FETCH),
    "rife-tempered": partial(load_stored, "rife", as_name="rife-tempered", hint=_FETCH),
}
"""Name to constructor without arguments. Those with weights raise `WeightsError` while these are not in the cache."""


def get_interpolator(name: str) -> Interpolator:
    """Build an interpolator by its name.

    Args:
        name: one of `INTERPOLATORS`, or what weights in the cache were called when they were imported.

    Raises:
        InputError: unknown name; the message lists the known ones.
        WeightsError: its weights are not in the cache, or damaged.
    """
    if name in INTERPOLATORS:
        return INTERPOLATORS[name]()
    imported = cached_interpolators()
    if name in imported:
        return load_stored(name)
    known = sorted({*INTERPOLATORS, *imported})
    raise InputError(f"interpolator: expected one of {', '.join(known)}, found {name!r}")


@torch.no_grad()
def complete_window(window: Tensor | Sequence[Tensor], exposures: Tensor, interpolator: Interpolator) -> Tensor:
    """Make the frames that the window lacks: each non-reference exposure at the time of the reference.

    For k = 1 .. N-1 the pair at offsets -k and N-k is interpolated at fraction k / N from the first (`docs/method.md`).

    Args:
        window: (B, T, 3, H, W) with T = 2(N-1) + 1, gamma-encoded LDR in [0, 1], reference in the centre; or, if B = 1,
            T frames (3, H, W), which need not be copied into one tensor and may be uint8 or uint16.
        exposures: (B, T) relative, > 0.
        interpolator: how to make them. It is told the gain that brings the pair to the window's longest exposure, and
            a guided one is shown the reference.

    Returns:
        (B, N-1, 3, H, W), gamma-encoded LDR, in the order k = 1 .. N-1; exposure k is `exposures[:, N-1-k]`.

    Raises:
        InputError: a window whose length is even or below 3, or exposures that do not fit it.
    """
    if isinstance(window, Tensor):
        check_tensor(window, "window", ndim=5)
        columns = window.unbind(dim=1)
    else:
        columns = tuple(frame[None] for frame in window)
    return torch.stack(list(_completed(columns, exposures, interpolator)), dim=1)


@torch.no_grad()
def complete_frames(
    frames: Sequence[Tensor], exposures: Tensor, interpolator: Interpolator, *, codes: bool = False
) -> list[Tensor]:
    """As `complete_window` for one window, without copies.

    Args:
        frames: T frames (3, H, W).
        exposures: (1, T).
        interpolator: as there.
        codes: round them to uint16, which takes half of the memory.

    Returns:
        N-1 frames (3, H, W).

    Raises:
        InputError: as there.
    """
    found = []
    for made in _completed(tuple(frame[None] for frame in frames), exposures, interpolator):
        found.append(torch.empty(made[0].shape, dtype=torch.uint16) if codes else made[0])
        if codes:
            for plane, target in zip(made[0], found[-1], strict=True):
                store_codes(plane.clamp(0.0, 1.0), target)
        del made  # before the next is made
    return found


def _completed(columns: Sequence[Tensor], exposures: Tensor, interpolator: Interpolator) -> Iterator[Tensor]:
    """The missing frames, (B, 3, H, W) each, of frames (B, 3, H, W) in time order."""
    length, batch = len(columns), len(columns[0]) if columns else 0
    if length < 3 or length % 2 == 0:
        raise InputError(f"window: expected an odd number of frames from 3, found {length}")
    if tuple(exposures.shape) != (batch, length):
        raise InputError(f"exposures: expected shape {(batch, length)}, found {tuple(exposures.shape)}")
    if not getattr(interpolator, "takes_codes", False):
        columns = [codes_to_float(x) for x in columns]
    centre = length // 2
    for first, second, fraction in interpolation_pairs(centre + 1):
        gains = (exposures.amax(dim=1) / exposures[:, first]).tolist()
        ratios = (exposures[:, centre] / exposures[:, first]).tolist()
        # A batch may mix phases of the schedule; gain and ratio are numbers per call.
        alike = len(set(gains)) == 1 and len(set(ratios)) == 1
        parts = [slice(None)] if alike else [slice(i, i + 1) for i in range(batch)]
        rows = []
        for part, gain, ratio in zip(parts, gains, ratios, strict=False):
            pair = columns[first][part], columns[second][part]
            if isinstance(interpolator, GuidedInterpolator):
                reference = columns[centre][part]
                rows.append(interpolator.complete(*pair, fraction, gain=gain, reference=reference, ratio=ratio))
            else:
                rows.append(interpolator(*pair, fraction, gain=gain))
        made = rows[0] if len(rows) == 1 else torch.cat(rows)
        del rows
        yield made
        del made  # the caller may have freed it before the next is made
