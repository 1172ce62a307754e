"""The compact interpolator of our own: DIS motion, refined and voted on by a small network at half resolution.

The network is in `compact_net.py`, its inference on CPUs and the full-resolution average in `compact_steps.py`. This
file makes its motion input, brings any size to the network's grid, and puts the parts together.

Flow from the reference is searched at all resolutions up to the full one (quality "fast" and very large frames: up to
half of it, then polished); the network sees it halved, and the two guesses along it are
fetched along the unshrunken flow, in training too. Before the network was trained on it, full-resolution flow
gained 1.0 to 1.1 dB on real HDR video, 1.1 to 2.0 dB on generated clips and 1.1 to 1.4 dB on linearised video (T
domain, of the interpolated frame, 3 stops; one trial on a few frames per clip, made by hand). Frames are fetched with
cubic interpolation. Linear fetches of the shorter exposures took off noise in their shadows, where the HDR frame hardly
uses them, and blurred highlights, where it does: cubic gained the completion merge 0.4 to 0.7 dB on real HDR video, at
most 0.06 dB lost on generated clips (one frame per clip, before the network was trained on it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrhdr.interpolate.base import check_pair
from lrhdr.interpolate.compact_net import CompactNet, stand_in
from lrhdr.interpolate.compact_steps import CompactSteps, Halves, average
from lrhdr.interpolate.flow import (
    MIN_SIDE,
    Array,
    DISInterpolator,
    dis,
    intermediate,
    luminance8,
    one_cv2_thread,
    to_arrays,
)
from lrhdr.interpolate.guided import clipped_luminance8
from lrhdr.interpolate.polish import polish
from lrhdr.lanes import share_out
from lrhdr.nn.fingerprint import fingerprint
from lrhdr.radiometry import WHITE, codes_to_float

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]

FULL_PIXELS = 4_000_000
"""Pixels up to which the flow from the reference is searched at full resolution. Chosen by us, for memory: at 3840x2160
two such flows take 2 GB more. Larger frames have it searched up to half resolution and polished."""

_BAND = 128  # rows of half resolution for which rows of larger frames are held at once, when they are averaged


def _half(frame: Array) -> Array:
    size = (frame.shape[1] // 2, frame.shape[0] // 2)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _array(frame: Tensor, missing: tuple[int, int]) -> Array:
    """One frame (1, 3, H, W) as an array; borders repeated on all sides by the missing rows and columns."""
    array: Array = to_arrays(frame)[0]
    if not any(missing):
        return array
    (top, left), (rows, columns) = (m // 2 for m in missing), missing
    sides = top, rows - top, left, columns - left
    return np.asarray(cv2.copyMakeBorder(array, *sides, cv2.BORDER_REPLICATE), dtype=np.float32)


def _rows(frame: Tensor, missing: tuple[int, int], begin: int, end: int) -> Array:
    """Some rows of `_array`, without the others."""
    height = frame.shape[-2]
    top = missing[0] // 2
    inner = frame[..., min(max(begin - top, 0), height - 1) : min(max(end - top, 1), height), :]
    above, below = max(top - begin, 0), max(end - top - height, 0)
    array: Array = to_arrays(inner)[0]
    left = missing[1] // 2
    if not (above or below or missing[1]):
        return array
    sides = above, below, left, missing[1] - left
    return np.asarray(cv2.copyMakeBorder(array, *sides, cv2.BORDER_REPLICATE), dtype=np.float32)


def pair_motion(
    first: Array, second: Array, reference: Array | None, fraction: float, gain: float, ratio: float
) -> tuple[Array, Array | None]:
    """The network's motion input for one pair: flow from the reference at full resolution, halved; velocity at half.

    Args:
        first: (H, W, 3), gamma-encoded in [0, 1]; even sides from `MIN_SIDE` * 2.
        second: the later frame, same shape.
        reference: (H, W, 3), the frame of another exposure at the wanted time; None stands the velocity in for it.
        fraction: time of the reference, 0 = first, 1 = second.
        gain: see `Interpolator`.
        ratio: exposure of the reference over that of the pair.

    Returns:
        (8, H/2, W/2), as `CompactNet.forward` takes it; and the flow from the reference that was halved, (4, H, W), as
        `blend` takes it: to the first frame and to the second, pixels, x first; None without a reference.
    """
    halves = _half(first), _half(second)
    if reference is None:
        return _motion(*halves, None, fraction, gain), None
    guided = _guided(first, second, reference, ratio)
    motion = _motion(*halves, [_halved(x) for x in guided], fraction, gain)
    return motion, np.ascontiguousarray(np.concatenate(guided, axis=-1).transpose(2, 0, 1), dtype=np.float32)


def _halved(flow: Array) -> Array:
    """Full-resolution flow brought to half resolution, in half-resolution pixels."""
    return np.float32(0.5) * _half(flow)


def _guided(first: Array, second: Array, reference: Array, ratio: float) -> list[Array]:
    """DIS flow from the reference to either frame, (H, W, 2) each."""
    own = _matched(reference, 1.0 / ratio)
    return _reference_flows([(own, _matched(frame, ratio)) for frame in (first, second)], fast=False)


def _matched(frame: Array, ratio: float) -> NDArray[np.uint8]:
    """The copy of a frame on which flow to another one is estimated, `ratio` the exposure of that one over its own.

    The shorter of two exposures is gained, and clips where the longer does: both copies show the same.
    """
    return clipped_luminance8(frame, max(ratio, 1.0))


def _looked_at(
    pair: tuple[Tensor, Tensor], reference: Tensor | None, missing: tuple[int, int], ratio: float
) -> tuple[list[Array], list[NDArray[np.uint8]]]:
    """Halves of the pair and of the reference, and the copies of both on which the flow from it is estimated."""
    frames = pair if reference is None else (*pair, reference)
    halves: dict[int, Array] = {}
    copies: dict[int, NDArray[np.uint8]] = {}

    def look(i: int) -> None:
        array = _array(frames[i], missing)
        halves[i] = _half(array)
        if reference is not None:
            copies[i] = _matched(array, ratio if i < 2 else 1.0 / ratio)

    share_out([partial(look, i) for i in range(len(frames))])
    return [halves[i] for i in sorted(halves)], [copies[i] for i in sorted(copies)]


def _reference_flows(pairs: Sequence[Pair], *, fast: bool) -> list[Array]:
    """Flow of several pairs of full-resolution copies; see `CompactInterpolator` for `fast`."""
    if fast or pairs[0][0].size > FULL_PIXELS:
        return _flows(pairs, lambda a, b: polish(a, b, dis(a, b, sparse=True)))
    return _flows(pairs, lambda a, b: dis(a, b, sparse=True, full=True))


def _flows(pairs: Sequence[Pair], search: Callable[..., Array]) -> list[Array]:
    """Flow of several pairs of 8-bit copies, in lanes (`lrhdr.lanes`)."""
    found: dict[int, Array] = {}

    def estimate(index: int) -> None:
        found[index] = search(*pairs[index])

    share_out([partial(estimate, i) for i in range(len(pairs))])
    return [found[i] for i in range(len(pairs))]


def _motion(first: Array, second: Array, guided: list[Array] | None, fraction: float, gain: float) -> Array:
    """The network's input from half-resolution frames and flow, or without flow from a reference."""
    raised = luminance8(first, gain), luminance8(second, gain)
    flows = _flows([raised, raised[::-1]], partial(dis, sparse=True))
    velocity, seen0, seen1 = intermediate(flows[0], flows[1], fraction)
    if guided is None:
        guided = [np.float32(-fraction) * velocity, np.float32(1.0 - fraction) * velocity]
    layers = (*guided, velocity, seen0[..., None], seen1[..., None])
    return np.ascontiguousarray(np.concatenate(layers, axis=-1).transpose(2, 0, 1), dtype=np.float32)


class CompactInterpolator(DISInterpolator):
    """Makes a missing exposure at the time of the reference; see the module's docstring.

    Without a reference (a plain call) the network is shown the mean of both frames, moved along their velocity.

    Args:
        network: with weights; put into eval mode.
        name: recorded beside every result.
        fast: search the flow from the reference up to half resolution and polish it, as for frames above `FULL_PIXELS`.
        half: compute the convolutions in bfloat16, on a CPU.
    """

    takes_codes = True
    """Frames may be uint8 or uint16 as a file held them; the result is float32."""

    def __init__(self, network: CompactNet, name: str = "compact", *, fast: bool = False, half: bool = False) -> None:
        self.network = network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.name = name
        self.fast, self.half = fast, half
        self._steps: CompactSteps | None = None
        self._key: tuple[Any, ...] = ()

    def tuned(self, *, fast: bool, half: bool) -> CompactInterpolator:
        """The same with these ways of saving time as well; see the class."""
        return CompactInterpolator(self.network, self.name, fast=self.fast or fast, half=self.half or half)

    def __call__(self, first: Tensor, second: Tensor, fraction: float, *, gain: float = 1.0) -> Tensor:
        """Interpolate without a reference; see `Interpolator` for the arguments.

        Raises:
            InputError: frames of the wrong layout or of different shapes, fraction or gain out of range.
        """
        return self._make(first, second, fraction, gain, None, 1.0)

    def complete(
        self, first: Tensor, second: Tensor, fraction: float, *, gain: float, reference: Tensor, ratio: float
    ) -> Tensor:
        """Make the frame of this pair's exposure at the time of the reference; see `GuidedInterpolator`.

        Raises:
            InputError: frames of the wrong layout or of different shapes, fraction or gain out of range.
        """
        return self._make(first, second, fraction, gain, reference, ratio)

    @torch.no_grad()
    def _make(
        self, first: Tensor, second: Tensor, fraction: float, gain: float, reference: Tensor | None, ratio: float
    ) -> Tensor:
        check_pair(first, second, fraction, gain, codes=WHITE)
        integers = first.dtype in WHITE
        if min(first.shape[-2:]) < 2 * MIN_SIDE:
            return DISInterpolator.__call__(self, codes_to_float(first), codes_to_float(second), fraction, gain=gain)
        height, width = first.shape[-2:]
        missing = -height % CompactNet.MULTIPLE, -width % CompactNet.MULTIPLE
        made = torch.empty(len(first), 3, height + missing[0], width + missing[1])
        with one_cv2_thread():
            for i, target in enumerate(made.numpy()):
                one = slice(i, i + 1)
                own = None if reference is None else reference[one]
                self._make_one((first[one], second[one]), own, missing, fraction, gain, ratio, target)
        if any(missing):
            top, left = missing[0] // 2, missing[1] // 2
            made = made[..., top : top + height, left : left + width].contiguous()
        return made.to(first.device) if integers else made.to(first)

    def _make_one(
        self,
        pair: tuple[Tensor, Tensor],
        reference: Tensor | None,
        missing: tuple[int, int],
        fraction: float,
        gain: float,
        ratio: float,
        out: Array,
    ) -> None:
        """Make one frame into `out`, planar (3, H, W), from frames (1, 3, h, w) that lack `missing` rows and columns.

        Arrays of full frames are made when they are needed and not held beside the network: they are the peak.
        """
        halves, copies = _looked_at(pair, reference, missing, ratio)
        guided = None
        if reference is not None:
            guided = _reference_flows([(copies[2], copies[i]) for i in (0, 1)], fast=self.fast)
        del copies
        small = None if guided is None else [_halved(flow) for flow in guided]
        motion = _motion(halves[0], halves[1], small, fraction, gain)
        del small
        if reference is None:
            halves.append(_half(self._stand_in(_array(pair[0], missing), _array(pair[1], missing), motion, fraction)))
        refined, votes = self._estimate(Halves(halves[0], halves[1], halves[2], motion, fraction, gain, ratio))
        halves.clear()
        between = [np.float32(-fraction) * motion[4:6], np.float32(1.0 - fraction) * motion[4:6]]
        along = [motion[:2], motion[2:4]] if guided is None else [None, None]
        del motion
        flows = [refined[:2], refined[2:], *along, *between]
        first, second = (partial(_rows, frame, missing) for frame in pair)
        average((first, second), flows, votes, guided, out, _BAND if out[0].size > FULL_PIXELS else None)

    def _estimate(self, seen: Halves) -> tuple[Array, Array]:
        """Refined flows (4, H/2, W/2) and votes (6, H/2, W/2); on the CPU by OpenCV and strips."""
        device = next(self.network.parameters()).device
        if device.type == "cpu":
            key = fingerprint(self.network)
            if self._steps is None or self._key != key:
                dtype = torch.bfloat16 if self.half else torch.float32
                self._steps, self._key = CompactSteps(self.network, dtype), key
            return self._steps(seen)

        def batch(array: Array) -> Tensor:
            # The network halves frames by averaging 2x2 pixels: repeated, they come back as they are.
            image = torch.from_numpy(array).permute(2, 0, 1)[None].to(device)
            return image.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

        numbers = (
            torch.tensor([x], dtype=torch.float32, device=device) for x in (seen.fraction, seen.gain, seen.ratio)
        )
        motion = torch.from_numpy(seen.motion)[None].to(device)
        output = self.network(batch(seen.first), batch(seen.second), batch(seen.reference), motion, *numbers)
        return output.flows[0, :2].flatten(0, 1).cpu().numpy(), output.votes[0].cpu().numpy()

    @staticmethod
    def _stand_in(first: Array, second: Array, motion: Array, fraction: float) -> Array:
        """`compact_net.stand_in` of arrays."""
        a, b = (torch.from_numpy(x).permute(2, 0, 1)[None] for x in (first, second))
        shown = to_arrays(stand_in(a, b, torch.from_numpy(motion)[None], torch.tensor([fraction])))
        return np.asarray(shown[0], dtype=np.float32)
