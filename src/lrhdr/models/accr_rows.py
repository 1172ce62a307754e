"""ACCR on strips of rows: the arithmetic of `models/accr.py` without a full-resolution map, for inference.

ACCR is local: each value depends on a bounded field. Rows go down the chain of convolutions as they come, every
layer keeping the two or three rows that its next strip needs (`nn/rows.py`), so nothing is computed twice and nothing
but the result is ever whole. All exposures' paths run side by side, since each looks at the others.

What is folded: the gate α(e) into the weights of the detail branch, which then shares one convolution with the
context branch; the noise code into a bias; the 1 of `1 + K` into the mapper's.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lrhdr.models.accr import ACCR, BLURS
from lrhdr.models.eic import EIC
from lrhdr.models.frame_rows import FrameRows
from lrhdr.nn.rows import (
    RowBuffer,
    RowConv,
    advance,
    leaky_rows,
    pointwise,
    strips,
    upsample_rows,
    upsampled_ready,
)
from lrhdr.radiometry import store_codes
from lrhdr.strips import (
    blur_rows,
    halve_planar,
    interleave,
    shuffle_planar,
    unshuffle_interleave,
)

_HALO = max(radius for _, radius in BLURS)
"""Rows that the wider of the decoder's two blurs reaches."""

_CUES = 16
"""Channels of the cue at half resolution: 2x2 pixels of 3 channels, the mean of their squares, and one of zeros, as
layouts are changed by pairs of values."""

_BEHIND = 20
"""Rows at half resolution for which a map must be held beside the strip: the delays of all layers, with a margin."""


def supports(accr: ACCR) -> bool:
    """Whether this file knows the configuration."""
    config = accr.config
    return config.encoder == "eic" and config.mapper == "rm" and config.cue_domain == "mu"


def reach(accr: ACCR) -> int:
    """Rows on either side that a row of a calibrated frame depends on, or a few more; a multiple of 8."""
    return 2 * (_BEHIND + 2 * accr.config.decoder_blocks) // 8 * 8 + 8


def cues_of(tones: Tensor) -> Tensor:
    """What the other side has less what each path has, (N_e, 3, rows, W); the reference meets the others' mean."""
    cues = tones[:1] - tones
    torch.sub(tones[1:].mean(dim=0), tones[0], out=cues[0])
    return cues


class _Path:
    """The maps of one exposure."""

    def __init__(self, accr: ACCR, height: int, width: int, strip: int, dtype: torch.dtype) -> None:
        config = accr.config
        high, wide, room = height // 2, width // 2, strip // 2 + _BEHIND + 2 * config.decoder_blocks

        def half(channels: int) -> RowBuffer:
            return RowBuffer(high, wide, channels, room, dtype)

        self.pixels = RowBuffer(height, width, 6, strip + 4, dtype)
        self.unshuffled = half(24)
        self.cues = half(_CUES)
        self.near = half(config.channels)
        self.far = RowBuffer(high // 2, wide // 2, config.context, room, dtype)
        self.wide = RowBuffer(high // 2, wide // 2, config.channels, room, dtype)
        self.branches = half(2 * config.channels)
        self.mapped_from = half(config.channels + _CUES)
        self.hidden = half(config.mapper_hidden)
        self.decoded_from = half(config.channels + 12)
        self.body = [half(config.decoder_hidden) for _ in range(config.decoder_blocks + 1)]
        self.inside = [half(config.decoder_hidden) for _ in range(config.decoder_blocks)]
        self.decoded = 0

    def reset(self) -> None:
        """Start a new frame."""
        self.decoded = 0  # rows that left the decoder, at half resolution
        for buffer in self._buffers():
            buffer.reset()

    def _buffers(self) -> list[RowBuffer]:
        every = [self.pixels, self.unshuffled, self.cues, self.near, self.far, self.wide, self.branches]
        return [*every, self.mapped_from, self.hidden, self.decoded_from, *self.body, *self.inside]


class AccrRows:
    """Calibrate the frames of one window, strip by strip.

    Args:
        accr: the network, for which `supports` holds.
        height: of the padded frames, a multiple of 8.
        width: of the padded frames, a multiple of 8.
        paths: N_e.
        strip: rows per strip, a multiple of 4.
        dtype: of the convolutions and the maps between them.
    """

    def __init__(self, accr: ACCR, height: int, width: int, paths: int, strip: int, dtype: torch.dtype) -> None:
        encoder, mapper, decoder = accr.encoder, accr.mapper, accr.decoder
        assert isinstance(encoder, EIC)
        assert mapper is not None
        self.encoder, self.decoder = encoder, decoder
        self.height, self.width, self.strip, self.dtype = height, width, strip, dtype
        self.channels = accr.config.channels
        self.paths = [_Path(accr, height, width, strip, dtype) for _ in range(paths)]
        self.lf1, self.lf2, self.lf3, self.lf4, self.hf1 = (
            RowConv(x, dtype) for x in (encoder.lf1, encoder.lf2, encoder.lf3, encoder.lf4, encoder.hf1)
        )
        c = self.channels
        weight = mapper.conv1.weight.detach()
        none = torch.zeros_like(weight[:, : c + _CUES - weight.shape[1]])
        self.map1 = RowConv(mapper.conv1, dtype, weight=torch.cat((weight, none), dim=1))
        assert mapper.conv2.bias is not None
        one = torch.cat((torch.ones(c), torch.zeros(c)))
        self.map2 = RowConv(mapper.conv2, dtype, bias=mapper.conv2.bias.detach() + one)
        self.first, self.last = RowConv(decoder.first, dtype), RowConv(decoder.last, dtype)
        self.blocks = [(RowConv(b.conv1, dtype), RowConv(b.conv2, dtype)) for b in decoder.body]  # type: ignore[arg-type]

    def _combined(self, exposure: float) -> RowConv:
        """`lf5(a) + α(e) hf2(b)` as one convolution of (a, b)."""
        low, high = self.encoder.lf5, self.encoder.hf2
        assert low.bias is not None
        assert high.bias is not None
        gate = self.encoder.gate(torch.tensor([exposure])).detach()
        weight = torch.cat((low.weight, gate * high.weight), dim=1)
        return RowConv(low, self.dtype, weight=weight, bias=low.bias + gate.flatten() * high.bias)

    def run(
        self,
        frames: FrameRows,
        exposures: list[float],
        code: Tensor | None,
        out: Tensor,
        kept: tuple[int, int] | None = None,
    ) -> None:
        """Calibrate.

        Args:
            frames: N_e frames, the reference first; rows 0 to H are taken.
            exposures: of the frames, relative.
            code: (1, 1), `noise_code`; None for a network without it.
            out: (N_e, 3, rows kept, W), float32 or uint16 (65535 = 1), planar: receives the calibrated frames in the T
                domain.
            kept: rows from and to that are wanted; all when not given. Rows up to `reach(...)` from a cut through a
                frame are not what they are in the whole frame.
        """
        kept = (0, self.height) if kept is None else kept
        first_bias = self.first.bias
        if self.decoder.noise is not None:
            assert code is not None
            first_bias = (self.decoder.first.bias + self.decoder.noise(code)[0]).detach().to(self.dtype)
        combined = [self._combined(e) for e in exposures]
        for path in self.paths:
            path.reset()
        finished = 0
        for start, stop in strips(self.height, self.strip):
            self._admit(frames, exposures, start, stop)
            residuals = [
                self._advance(path, convolution, first_bias)
                for path, convolution in zip(self.paths, combined, strict=True)
            ]
            if residuals[0] is None:
                continue
            end = finished + residuals[0].shape[1]
            first, last = max(finished, kept[0]), min(end, kept[1])
            if last > first:
                inner = [x[:, first - finished : last - finished] for x in residuals if x is not None]
                self._finish(frames, exposures, inner, out[:, :, first - kept[0] : last - kept[0]], first, last)
            finished = end
        assert finished == self.height

    def _admit(self, frames: FrameRows, exposures: list[float], start: int, stop: int) -> None:
        """Bring new rows of the frames into the first maps of the paths."""
        rows, half = stop - start, (stop - start) // 2
        both = torch.empty(len(frames), 6, rows, self.width)  # LDR and tones of each frame
        frames.light(start, stop, exposures, ldr=both[:, :3], tone=both[:, 3:])
        cues = cues_of(both[:, 3:])
        squares = torch.zeros(_CUES - 12, half, self.width // 2)
        for path, pixels, cue in zip(self.paths, both.to(self.dtype), cues, strict=True):
            interleave(pixels, path.pixels.extend(rows))
            unshuffle_interleave(pixels, path.unshuffled.extend(half))
            target = path.cues.extend(half)
            unshuffle_interleave(cue.to(self.dtype), target[..., :12])
            halve_planar(cue.square_().numpy(), squares[:3].numpy())
            interleave(squares.to(self.dtype), target[..., 12:])

    def _advance(self, path: _Path, combined: RowConv, first_bias: Tensor) -> Tensor | None:
        """Send what is there down one path; the decoder's new rows, (6, rows, W) planar, or None."""
        c = self.channels
        advance(self.lf1, path.pixels, path.near)
        path.pixels.drop(self.lf1.needs(path.near.end))
        advance(self.lf2, path.near, path.far)
        start, stop = path.wide.end, self.lf3.ready(path.far)
        if stop > start:
            far = self.lf3(path.far, start, stop)
            leaky_rows(far, far)
            path.wide.extend(stop - start).copy_(pointwise(self.lf4, far))
            path.far.drop(self.lf3.needs(stop))
        start = path.branches.end
        stop = min(path.near.end, upsampled_ready(path.wide), self.hf1.ready(path.unshuffled)) // 2 * 2
        if stop > start:
            target = path.branches.extend(stop - start)
            torch.add(path.near.rows(start, stop), upsample_rows(path.wide, start, stop), out=target[..., :c])
            detail = self.hf1(path.unshuffled, start, stop)
            torch.mul(detail[..., :c], detail[..., c:], out=target[..., c:])
            path.wide.drop(stop // 2 - 1)
        path.near.drop(min(self.lf2.needs(path.far.end), path.branches.end))
        start, stop = path.mapped_from.end, combined.ready(path.branches)
        if stop > start:
            target = path.mapped_from.extend(stop - start)
            target[..., :c] = combined(path.branches, start, stop)
            target[..., c:] = path.cues.rows(start, stop)
            path.branches.drop(combined.needs(stop))
            path.cues.drop(stop)
        advance(self.map1, path.mapped_from, path.hidden)
        start, stop = path.decoded_from.end, self.map2.ready(path.hidden)
        if stop > start:
            target = path.decoded_from.extend(stop - start)
            factors = self.map2(path.hidden, start, stop)
            features = path.mapped_from.rows(start, stop)[..., :c]
            torch.addcmul(factors[..., c:], factors[..., :c], features, out=target[..., :c])
            target[..., c:] = path.unshuffled.rows(start, stop)[..., 12:]
            path.hidden.drop(self.map2.needs(stop))
        path.mapped_from.drop(min(self.map1.needs(path.hidden.end), path.decoded_from.end))
        path.unshuffled.drop(min(self.hf1.needs(path.branches.end), path.decoded_from.end))
        advance(self.first, path.decoded_from, path.body[0], bias=first_bias)
        path.decoded_from.drop(self.first.needs(path.body[0].end))
        for i, (conv1, conv2) in enumerate(self.blocks):
            source, inside, sink = path.body[i], path.inside[i], path.body[i + 1]
            advance(conv1, source, inside)
            start, stop = sink.end, conv2.ready(inside)
            if stop > start:
                rows = conv2(inside, start, stop)
                rows += source.rows(start, stop)
                leaky_rows(rows, sink.extend(stop - start))
                inside.drop(conv2.needs(stop))
            source.drop(min(conv1.needs(inside.end), sink.end))
        start, stop = path.decoded, self.last.ready(path.body[-1])
        if stop <= start:
            return None
        path.decoded = stop
        residual = self.last(path.body[-1], start, stop)
        path.body[-1].drop(self.last.needs(stop))
        return shuffle_planar(residual.float())

    def _finish(
        self, frames: FrameRows, exposures: list[float], residuals: list[Tensor], out: Tensor, start: int, stop: int
    ) -> None:
        """Apply the decoder's output to rows `start` to `stop` and clamp: the same rows of the calibrated frames."""
        tone = torch.empty(len(frames), 3, stop - start + 2 * _HALO, self.width)
        frames.light(start - _HALO, stop + _HALO, exposures, tone=tone)
        inner = tone[:, :, _HALO:-_HALO]
        cues = cues_of(inner)
        for i, (residual, own) in enumerate(zip(residuals, inner, strict=True)):
            free, gates = residual[:3], residual[3:]
            for gate, (sigma, radius) in zip(gates[:-1], BLURS, strict=True):
                around = tone[i, :, _HALO - radius : tone.shape[2] - (_HALO - radius)]
                blurred = blur_rows(np.ascontiguousarray(around.numpy()), sigma, radius)
                free.addcmul_(gate, torch.from_numpy(blurred) - own)
            free.addcmul_(gates[-1], cues[i])
            free.add_(own)
            store_codes(free.clamp_(0.0, 1.0), out[i])
