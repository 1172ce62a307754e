"""The compact interpolation network: six guesses at the missing frame, refined and voted on at half resolution.

Input, per pair of one exposure: both frames, the reference frame of another exposure at the wanted time, and motion at
half resolution (`interpolate/compact.py` makes it by DIS): reference to either frame, and the velocity between the two.
Stages:

1. At half resolution, both frames are fetched along the flow from the reference ("guided") and along the velocity
   ("between"). Copies have their shadows raised; those that are compared with the reference are matched in exposure.
2. A U-Net at 1/4, 1/8 and 1/16 mixes guided and between flow per pixel and corrects the mixture.
3. Two convolutions at half resolution see both frames fetched along the new flow, correct it once more, and vote.
4. At full resolution, both frames are fetched along three flows each (new, guided, between), and the six are averaged
   by the vote. Where all are right, six samples of two noisy frames are averaged; where one is, it is taken.

Sources: coarse-to-fine refinement of a given flow as in the residual flow networks (FILM, RIFE); the vote over several
warps of both frames is ours. What differs from the paper: its interpolator is FILM, without the reference.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrhdr.interpolate.sampling import fetch
from lrhdr.nn.blocks import ResidualBlock, conv3x3, leaky, zero_init
from lrhdr.radiometry import GAMMA

GUESSES = 6
"""first and second along the new flow, first and second guided, first and second between."""

FLOW_UNIT = 16.0  # half-resolution pixels brought to about 1
DIFFERENCE_GAIN = 4.0


@dataclass(frozen=True)
class CompactConfig:
    """Sizes.

    Attributes:
        widths: channels at 1/4, 1/8 and 1/16.
        fine: channels of the convolutions at half resolution.
        features: channels that go from 1/4 to half resolution.
    """

    widths: tuple[int, int, int] = (48, 64, 96)
    fine: int = 24
    features: int = 8

    def __post_init__(self) -> None:
        """Check the sizes (lists from a file become tuples).

        Raises:
            ValueError: not three widths, or one below 1.
        """
        object.__setattr__(self, "widths", tuple(self.widths))
        if len(self.widths) != 3 or min(*self.widths, self.fine, self.features) < 1:
            raise ValueError(f"compact: expected three widths and sizes from 1, found {self}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CompactConfig:
        """The inverse of `to_dict`.

        Raises:
            ValueError: unknown or unfitting values.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"compact: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for a record."""
        return asdict(self)


class CompactOutput(NamedTuple):
    """What the network says, at half resolution.

    Attributes:
        flows: (B, 6, 2, H/2, W/2), half-resolution pixels from the wanted time to the first and second frame in turn.
        votes: (B, 6, H/2, W/2), >= 0, sums to 1.
    """

    flows: Tensor
    votes: Tensor


def _gained(image: Tensor, gain: Tensor) -> Tensor:
    """Gamma-encoded (B, 3, H, W) after a gain (B,) in linear light, clipped at 1."""
    return (image * (gain ** (1.0 / GAMMA)).view(-1, 1, 1, 1)).clamp_max(1.0)


def _raised(image: Tensor, gain: Tensor) -> Tensor:
    """Shadows raised as by a gain (B,) in linear light, white kept: `k y / (1 + (k - 1) y)`."""
    k = (gain ** (1.0 / GAMMA)).view(-1, 1, 1, 1)
    return k * image / (1.0 + (k - 1.0) * image)


def _halve(image: Tensor) -> Tensor:
    return F.avg_pool2d(image, 2)


def up_to(x: Tensor, like: Tensor) -> Tensor:
    """`x` enlarged to the height and width of `like`, bilinear."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class CompactNet(nn.Module):
    """The network; see the module's docstring for the stages.

    Args:
        config: sizes.
    """

    MULTIPLE = 4
    """Height and width must be multiples of this."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        w1, w2, w3 = config.widths
        # four warps and the reference in colour, two differences, six flow components, two visibilities
        self.code = nn.Linear(3, w1)
        self.inp = conv3x3(4 * 25, w1)
        self.e1 = ResidualBlock(w1, attention=False)
        self.d2, self.e2 = conv3x3(w1, w2, stride=2), ResidualBlock(w2, attention=False)
        self.d3 = conv3x3(w2, w3, stride=2)
        self.e3 = nn.Sequential(ResidualBlock(w3, attention=False), ResidualBlock(w3, attention=False))
        self.u2, self.f2 = nn.Conv2d(w3, w2, 1), ResidualBlock(w2, attention=False)
        self.u1, self.f1 = nn.Conv2d(w2, w1, 1), ResidualBlock(w1, attention=False)
        # per half-resolution pixel: two mixing gates, two flow corrections, a vote
        self.out = zero_init(nn.Conv2d(w1, 4 * (2 + 4 + GUESSES), 1))
        self.ofeat = nn.Conv2d(w1, 4 * config.features, 1)
        self.g1 = conv3x3(21 + config.features + 4, config.fine)
        self.g2 = conv3x3(config.fine, config.fine)
        self.g3 = zero_init(conv3x3(config.fine, 4 + GUESSES))

    def forward(
        self,
        first: Tensor,
        second: Tensor,
        reference: Tensor,
        motion: Tensor,
        fraction: Tensor,
        gain: Tensor,
        ratio: Tensor,
    ) -> CompactOutput:
        """Estimate motion and votes.

        Args:
            first: (B, 3, H, W), gamma-encoded LDR in [0, 1]; H and W multiples of `MULTIPLE`.
            second: the later frame of the same exposure, same shape.
            reference: (B, 3, H, W), the frame of another exposure at the wanted time.
            motion: (B, 8, H/2, W/2): flow from the reference to the first (2), to the second (2), velocity from the
                first to the second at the wanted time (2), all in half-resolution pixels, x first; how well either
                frame sees each place (2), in [0, 1].
            fraction: (B,), time of the reference, 0 = first, 1 = second.
            gain: (B,), linear gain that brings the pair to the window's longest exposure.
            ratio: (B,), exposure of the reference over that of the pair.

        Returns:
            `CompactOutput`.
        """
        a, b, r = _halve(first), _halve(second), _halve(reference)
        raised = _raised(a, gain), _raised(b, gain)
        up = ratio.clamp_min(1.0)
        matched = _gained(r, (1.0 / ratio).clamp_min(1.0))
        guided = motion[:, :2], motion[:, 2:4]
        velocity, seen = motion[:, 4:6], motion[:, 6:8]
        t = fraction.view(-1, 1, 1, 1)
        between = -t * velocity, (1.0 - t) * velocity
        warps = [fetch(x, f) for x, f in zip((*raised, *raised), (*guided, *between), strict=True)]
        grey = matched.mean(dim=1, keepdim=True)
        differences = [
            DIFFERENCE_GAIN * (_gained(fetch(x, f), up).mean(dim=1, keepdim=True) - grey)
            for x, f in zip((a, b), guided, strict=True)
        ]
        x = torch.cat((*warps, matched, *differences, motion[:, :6] / FLOW_UNIT, seen), dim=1)
        out, features = self._coarse(x, torch.stack((torch.log2(ratio) / 3, torch.log2(gain) / 3, fraction - 0.5), 1))
        gates = torch.sigmoid(2.0 * out[:, :2])
        new = [
            gates[:, i : i + 1] * guided[i]
            + (1.0 - gates[:, i : i + 1]) * between[i]
            + 2.0 * out[:, 2 + 2 * i : 4 + 2 * i]
            for i in (0, 1)
        ]
        fetched = [fetch(x, f) for x, f in zip(raised, new, strict=True)]
        z = torch.cat((*fetched, matched, *warps, features, seen, *differences), dim=1)
        z = z.contiguous(memory_format=torch.channels_last)
        z = self.g3(leaky(self.g2(leaky(self.g1(z)))))
        new = [new[0] + z[:, :2], new[1] + z[:, 2:4]]
        votes = torch.softmax(2.0 * (out[:, 6:] + z[:, 4:]), dim=1)
        return CompactOutput(torch.stack((*new, *guided, *between), dim=1), votes)

    def _coarse(self, x: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """The U-Net: half-resolution input to half-resolution gates, corrections and votes, and features."""
        x = self.inp(F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last))
        x1 = self.e1(leaky(x + self.code(code)[:, :, None, None]))
        x2 = self.e2(leaky(self.d2(x1)))
        x3 = self.e3(leaky(self.d3(x2)))
        y2 = self.f2(x2 + up_to(self.u2(x3), x2))
        y1 = self.f1(x1 + up_to(self.u1(y2), x1))
        return F.pixel_shuffle(self.out(y1), 2), F.pixel_shuffle(self.ofeat(y1), 2)


class Blend(NamedTuple):
    """The interpolated frame, and what the training loss looks at.

    Attributes:
        frame: (B, 3, H, W).
        refined: first and second frame along the refined flow, each (B, 3, H, W).
        votes: (B, 6, H, W).
    """

    frame: Tensor
    refined: tuple[Tensor, Tensor]
    votes: Tensor


def blend(first: Tensor, second: Tensor, output: CompactOutput, guided: Tensor | None = None) -> Blend:
    """Fetch both frames along all flows, by cubic interpolation, and average by the votes; differentiable.

    Args:
        first: (B, 3, H, W).
        second: (B, 3, H, W).
        output: the network's, at half resolution.
        guided: (B, 4, H, W), flow from the reference to the first and to the second frame in pixels of the full
            resolution, in place of what the output has of it; None where there is none.

    Returns:
        `Blend`.
    """
    votes = up_to(output.votes, first)
    flows = 2.0 * up_to(output.flows.flatten(1, 2), first)
    if guided is not None:
        flows = torch.cat((flows[:, :4], guided, flows[:, 8:]), dim=1)
    fetched = [fetch(second if i % 2 else first, flows[:, 2 * i : 2 * i + 2], cubic=True) for i in range(GUESSES)]
    total = torch.zeros_like(first)
    for i, frame in enumerate(fetched):
        total = total + votes[:, i : i + 1] * frame
    return Blend(total, (fetched[0], fetched[1]), votes)


def stand_in(first: Tensor, second: Tensor, motion: Tensor, fraction: Tensor) -> Tensor:
    """What is shown as the reference where there is none: both frames moved along their velocity, averaged.

    Args:
        first: (B, 3, H, W).
        second: (B, 3, H, W).
        motion: (B, 8, H/2, W/2), see `CompactNet.forward`.
        fraction: (B,).

    Returns:
        (B, 3, H, W).
    """
    velocity = 2.0 * up_to(motion[:, 4:6], first)
    t = fraction.view(-1, 1, 1, 1)
    return 0.5 * (fetch(first, -t * velocity) + fetch(second, (1.0 - t) * velocity))
