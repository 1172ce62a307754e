"""`CompactNet` for inference on a CPU: OpenCV fetches and resizes, PyTorch convolves, nothing is laid out twice.

`CompactNet.forward` is written for training: planar tensors, differentiable fetches. Half of its time on a CPU goes
into gathering and layouts. Here frames are fetched by `cv2.remap`, the half-resolution planes are interleaved once for
each of the two convolution stages, the fine stage and the full-resolution average run in strips. The result is that of
`CompactNet.forward` and `blend` (tested; on real frames of 1280x720 within 3e-5).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrhdr.interpolate.compact_net import DIFFERENCE_GAIN, FLOW_UNIT, GUESSES, CompactNet
from lrhdr.interpolate.flow import Array, pixel_grid
from lrhdr.lanes import in_lanes, lane_bounds, share_out
from lrhdr.nn.blocks import SLOPE, ResidualBlock
from lrhdr.nn.rows import RowBuffer, RowConv, advance, as_rows, pointwise, strips
from lrhdr.radiometry import GAMMA
from lrhdr.strips import deinterleave, exp_in_place, interleave, shuffle_planar, unshuffle_interleave

_STRIP = 16
"""Rows per strip at half resolution."""

Rows = Callable[[int, int], Array]
"""Makes some rows of a frame: first row and end to (rows, W, 3)."""


@dataclass(frozen=True)
class Halves:
    """What the network sees of one pair, at half resolution; arrays interleaved (h, w, 3) but the motion.

    Attributes:
        first: gamma-encoded in [0, 1].
        second: the later frame.
        reference: the frame of another exposure at the wanted time.
        motion: (8, h, w), see `CompactNet.forward`.
        fraction: time of the reference, 0 = first, 1 = second.
        gain: see `Interpolator`.
        ratio: exposure of the reference over that of the pair.
    """

    first: Array
    second: Array
    reference: Array
    motion: Array
    fraction: float
    gain: float
    ratio: float


def _in_lanes(work: Callable[[int, int], None], rows: int) -> None:
    """Share rows out among as many lanes as the caller has threads of PyTorch's: `work` gets first and end of some."""
    in_lanes([partial(work, *bound) for bound in lane_bounds(rows, torch.get_num_threads(), _STRIP)])


def _fetch(image: Array, flow: Array, grid: tuple[Array, Array]) -> Array:
    """`image` (h, w, C) at `p + flow(p)` for planar flow (2, h, w), borders replicated."""
    x, y = grid[0] + flow[0], grid[1] + flow[1]
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)


def _planar(image: Array, out: Tensor) -> None:
    """(h, w, 3) to planar (3, h, w), rounded to the type of `out`."""
    rows = torch.from_numpy(image)
    deinterleave(rows if out.dtype == rows.dtype else rows.to(out.dtype), out)


class CompactSteps:
    """The network's inference, with its weights copied.

    Args:
        network: in eval mode, on the CPU.
        dtype: of the convolutions and of the maps between them; flow, fetches and votes are float32 in any case.
    """

    def __init__(self, network: CompactNet, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        self.convs = {
            name: RowConv(m, dtype, multiple=8 if name == "g3" else 1)
            for name, m in network.named_modules()
            if isinstance(m, nn.Conv2d)
        }
        self.blocks = {name: self._names(name, m) for name, m in network.named_children()}
        self.code = network.code
        self.features = network.config.features

    @staticmethod
    def _names(name: str, module: nn.Module) -> list[str]:
        """Names of the residual blocks that a child consists of."""
        if isinstance(module, ResidualBlock):
            return [name]
        return [f"{name}.{i}" for i, _ in module.named_children()]

    def _conv(self, name: str, x: Tensor, bias: Tensor | None = None) -> Tensor:
        conv = self.convs[name]
        return F.conv2d(x, conv.weight, conv.bias if bias is None else bias, conv.stride, conv.reach)

    def _run(self, name: str, x: Tensor) -> Tensor:
        """The residual blocks of a child, in place."""
        for block in self.blocks[name]:
            inside = F.leaky_relu_(self._conv(f"{block}.conv1", x), SLOPE)
            x += self._conv(f"{block}.conv2", inside)
            F.leaky_relu_(x, SLOPE)
        return x

    def _coarse(self, planes: Tensor, code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`CompactNet._coarse` of planar (25, h, w): (6, h, w) of flow, votes (6, h, w), and (features, h, w)."""
        first = self.convs["inp"]
        bias = first.bias + self.code(code)[0].to(self.dtype)
        high, wide = planes.shape[1] // 2, planes.shape[2] // 2
        sink = RowBuffer(high, wide, len(bias), dtype=self.dtype)

        def enter(begin: int, end: int) -> None:
            source, own = RowBuffer(high, wide, 4 * len(planes), _STRIP + 4, self.dtype), sink.lane(begin)
            source.reset(max(begin - 1, 0))
            last = min(end + 1, high)  # the convolution looks one row beyond
            for start, stop in strips(last, _STRIP, source.end):
                unshuffle_interleave(planes[:, 2 * start : 2 * stop], source.extend(stop - start))
                advance(first, source, own, bias=bias)
                source.drop(first.needs(own.end))

        _in_lanes(enter, high)
        sink.fill()
        x1 = self._run("e1", sink.image(0, high))
        x2 = self._run("e2", F.leaky_relu_(self._conv("d2", x1), SLOPE))
        x3 = self._run("e3", F.leaky_relu_(self._conv("d3", x2), SLOPE))
        for finer, up, block, coarser in ((x2, "u2", "f2", x3), (x1, "u1", "f1", x2)):
            finer += F.interpolate(self._conv(up, coarser), size=finer.shape[-2:], mode="bilinear", align_corners=False)
            self._run(block, finer)
        flow, votes = self._enlarged("out", x1, (6, GUESSES), torch.float32)
        (features,) = self._enlarged("ofeat", x1, (self.features,), self.dtype)
        return flow, votes, features

    def _enlarged(self, name: str, x: Tensor, parts: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
        """A 1x1 convolution and `pixel_shuffle` by 2, planar, in strips; its channels in parts that are freed alone."""
        conv, rows = self.convs[name], as_rows(x)
        size = 2 * rows.shape[0], 2 * rows.shape[1]
        out = [torch.empty(count, *size, dtype=dtype) for count in parts]

        def enlarge(begin: int, end: int) -> None:
            for start, stop in strips(end, _STRIP, begin):
                made = torch.split(shuffle_planar(pointwise(conv, rows[start:stop])), list(parts))
                for part, plane in zip(made, out, strict=True):
                    plane[:, 2 * start : 2 * stop] = part

        _in_lanes(enlarge, len(rows))
        return out

    def __call__(self, seen: Halves) -> tuple[Array, Array]:
        """Estimate motion and votes.

        Returns:
            The refined flows to the first and the second frame, (4, h, w), half-resolution pixels, x first; and the
            votes, (6, h, w), which sum to 1.
        """
        height, width = seen.first.shape[:2]
        grid = pixel_grid(height, width)
        k = np.float32(seen.gain ** (1.0 / GAMMA))
        frames = seen.first, seen.second
        raised: dict[int, Array] = {}

        def raise_shadows(i: int) -> None:
            raised[i] = k * frames[i] / (np.float32(1.0) + (k - np.float32(1.0)) * frames[i])

        share_out([partial(raise_shadows, i) for i in (0, 1)])
        up = np.float32(max(seen.ratio, 1.0) ** (1.0 / GAMMA))
        matched = np.minimum(seen.reference * np.float32(max(1.0 / seen.ratio, 1.0) ** (1.0 / GAMMA)), np.float32(1.0))
        guided = seen.motion[:4]
        velocity = seen.motion[4:6]
        between = np.concatenate((np.float32(-seen.fraction) * velocity, np.float32(1.0 - seen.fraction) * velocity))
        x = torch.empty(25, height, width, dtype=self.dtype)
        _planar(matched, x[12:15])
        mean = np.full((1, 3), 1.0 / 3.0, dtype=np.float32)
        grey = torch.from_numpy(cv2.transform(matched, mean))
        del matched

        def differ(i: int) -> None:
            gained = np.minimum(_fetch(frames[i], guided[2 * i : 2 * i + 2], grid) * up, np.float32(1.0))
            difference = torch.from_numpy(np.asarray(cv2.transform(gained, mean), dtype=np.float32))
            x[15 + i] = difference.view(height, width).sub_(grey).mul_(DIFFERENCE_GAIN)

        def along(i: int, flow: Array, out: Tensor) -> None:
            _planar(_fetch(raised[i % 2], flow, grid), out[3 * i : 3 * i + 3])

        given = guided[:2], guided[2:], between[:2], between[2:]
        share_out(
            [*(partial(along, i, flow, x) for i, flow in enumerate(given)), partial(differ, 0), partial(differ, 1)]
        )
        for i, plane in enumerate(seen.motion[:6]):  # one at a time: large frames are short of memory here
            x[17 + i] = torch.from_numpy(plane) * (1.0 / FLOW_UNIT)
        x[23:25] = torch.from_numpy(seen.motion[6:8])
        numbers = np.log2(seen.ratio) / 3.0, np.log2(seen.gain) / 3.0, seen.fraction - 0.5
        out, votes, features = self._coarse(x, torch.tensor([numbers], dtype=torch.float32))
        # Of `forward`: gate * guided + (1 - gate) * between + correction.
        gates = torch.sigmoid_(out[:2].mul_(2.0))
        flows = torch.from_numpy(between).view(2, 2, height, width)
        flows = torch.lerp(flows, torch.from_numpy(guided).view(2, 2, height, width), gates[:, None])
        flows += out[2:6].view(2, 2, height, width).mul_(2.0)
        del out, gates
        z = torch.empty(6, height, width, dtype=self.dtype)
        share_out([partial(along, i, flows[i].numpy(), z) for i in (0, 1)])
        groups = (z, x[12:15], x[:12], features, x[23:25], x[15:17])
        refined = flows.view(4, height, width)
        self._fine(groups, refined, votes)
        return refined.numpy(), votes.numpy()

    def _fine(self, groups: tuple[Tensor, ...], flows: Tensor, votes: Tensor) -> None:
        """The convolutions at half resolution on planes (C, h, w) side by side: flows corrected, votes made shares."""
        _in_lanes(partial(self._fine_rows, groups, flows, votes), flows.shape[1])

    def _fine_rows(self, groups: tuple[Tensor, ...], flows: Tensor, votes: Tensor, begin: int, end: int) -> None:
        """`_fine` for some rows."""
        _, height, width = flows.shape
        first, second, last = (self.convs[name] for name in ("g1", "g2", "g3"))
        widths = (sum(len(g) for g in groups), len(first.bias), len(second.bias))
        source, middle, sink = (RowBuffer(height, width, c, _STRIP + 8, self.dtype) for c in widths)
        # Three convolutions look three rows beyond these.
        for reach, buffer in ((3, source), (2, middle), (1, sink)):
            buffer.reset(max(begin - reach, 0))
        given = begin
        for start, stop in strips(min(end + 3, height), _STRIP, source.end):
            interleave(torch.cat([g[:, start:stop] for g in groups]), source.extend(stop - start))
            advance(first, source, middle)
            source.drop(first.needs(middle.end))
            advance(second, middle, sink)
            middle.drop(second.needs(sink.end))
            ready = min(last.ready(sink), end)
            if ready > given:
                rows = last(sink, given, ready)[..., : 4 + GUESSES].float()
                planes = torch.empty(rows.shape[2], ready - given, width)
                deinterleave(rows, planes)
                flows[:, given:ready] += planes[:4]
                shares = planes[4:]
                shares += votes[:, given:ready]
                shares *= 2.0
                shares -= shares.amax(dim=0)
                exp_in_place(shares.numpy())
                torch.div(shares, shares.sum(dim=0), out=votes[:, given:ready])
                sink.drop(last.needs(ready))
                given = ready


def average(
    frames: tuple[Rows, Rows],
    flows: list[Array | None],
    votes: Array,
    guided: list[Array] | None,
    out: Array,
    band: int | None = None,
) -> None:
    """Fetch both full frames along three flows each, by cubic interpolation, and average them by the votes, in strips.

    Strips are shared out among as many lanes (`lrhdr.lanes`) as the caller has threads of PyTorch's.

    Args:
        frames: first and second, (H, W, 3), by rows.
        flows: six planar flows in turn, (2, H/2, W/2), half-resolution pixels; None where `guided` is taken.
        votes: (6, H/2, W/2).
        guided: flow to the first and to the second frame, (H, W, 2), full resolution; None where there is none.
        out: (3, H, W), receives the average, in [0, 1].
        band: rows at half resolution for which rows of the frames are held at once; None holds whole frames.
    """
    height = out.shape[1]
    if band is None:
        whole: dict[int, Array] = {}

        def read(i: int) -> None:
            whole[i] = frames[i](0, height)

        share_out([partial(read, i) for i in (0, 1)])
        frames = (lambda a, b: whole[0][a:b], lambda a, b: whole[1][a:b])
    _in_lanes(partial(_average, frames, flows, votes, guided, out, band), height // 2)


def _reach(
    flows: list[Array | None], guided: list[Array] | None, which: int, half: int, rows: range
) -> tuple[int, int]:
    """First row and end of what half-resolution rows, of `half`, fetch from the first (0) or second (1) frame."""
    near = slice(max(rows.start - 1, 0), min(rows.stop + 1, half))
    reach = [2.0 * flow[1][near] for flow in flows[which::2] if flow is not None]
    if guided is not None:
        reach.append(guided[which][2 * rows.start : 2 * rows.stop, :, 1])
    first = 2 * rows.start + min(float(r.min()) for r in reach)
    last = 2 * rows.stop + max(float(r.max()) for r in reach)
    # A cubic takes two rows more on each side; where it leaves the frame, the outermost row is repeated.
    begin = min(max(math.floor(first) - 2, 0), 2 * half - 1)
    return begin, min(max(math.ceil(last) + 3, begin + 1), 2 * half)


def _average(
    frames: tuple[Rows, Rows],
    flows: list[Array | None],
    votes: Array,
    guided: list[Array] | None,
    out: Array,
    band: int | None,
    begin: int,
    end: int,
) -> None:
    """`average` for some rows of half resolution."""
    height = out.shape[1]
    for start, stop in strips(end, band or end - begin, begin):
        rows = range(start, stop)
        reach = [(0, height) if band is None else _reach(flows, guided, i, height // 2, rows) for i in (0, 1)]
        held = [(read(*bound), bound[0]) for read, bound in zip(frames, reach, strict=True)]
        _average_band(held, flows, votes, guided, out, start, stop)


def _average_band(
    held: list[tuple[Array, int]],
    flows: list[Array | None],
    votes: Array,
    guided: list[Array] | None,
    out: Array,
    begin: int,
    end: int,
) -> None:
    """`average` for some rows of half resolution, from rows of both frames that begin at a row of the frame each."""
    height, width = out.shape[1:]
    half = height // 2
    across = np.arange(width, dtype=np.float32)
    small = [p for f in flows if f is not None for p in f]
    total = np.empty((2 * min(_STRIP, half), width, 3), dtype=np.float32)
    for start, stop in strips(end, _STRIP, begin):
        # One row more on both sides: what is doubled from it alone is cut off, and at the borders it repeats.
        rows = np.clip(np.arange(start - 1, stop + 1), 0, half - 1)
        planes = np.stack([p[rows] for p in (*small, *votes)])
        count = len(rows)
        enlarged = cv2.resize(planes.reshape(-1, width // 2), (width, 2 * count * len(planes)))
        doubled: Array = np.asarray(enlarged.reshape(len(planes), 2 * count, width)[:, 2:-2], dtype=np.float32)
        doubled[: len(small)] *= np.float32(2.0)
        shares = doubled[len(small) :]
        down = np.arange(2 * start, 2 * stop, dtype=np.float32)[:, None]
        grid = np.stack(np.broadcast_arrays(across, down), axis=-1)
        inner = total[: 2 * (stop - start)]
        inner[:] = 0.0
        taken = 0
        for i in range(GUESSES):
            places: tuple[Array, Array | None]
            frame, first = held[i % 2]
            if flows[i] is None:
                assert guided is not None
                both = guided[i % 2][2 * start : 2 * stop] + grid
                if first:
                    both[..., 1] -= first
                places = both, None
            else:
                x, y = doubled[taken], doubled[taken + 1]
                x += across
                y += down
                if first:  # after the sum: what is fetched is then that of the whole frame, bit for bit
                    y -= first
                places = x, y
                taken += 2
            mode, border = cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
            fetched = cv2.remap(frame, *places, mode, borderMode=border)  # type: ignore[arg-type]
            cv2.accumulateProduct(fetched, cv2.merge([shares[i]] * 3), inner)
        torch.from_numpy(inner).clamp_(0.0, 1.0)
        for plane, target in zip(cv2.split(inner), out[:, 2 * start : 2 * stop], strict=True):
            target[:] = plane
