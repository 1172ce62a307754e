"""RIFE 4.25, an optional interpolator (Huang et al., "Real-Time Intermediate Flow Estimation", ECCV 2022).

The published weights (MIT, `hzwer/Practical-RIFE`) are not ours: `lrhdr weights fetch rife` brings them into the user's
cache. Our own implementation of the network that they fit:

1. A head describes each frame with 4 channels at full size.
2. Five blocks, coarse to fine (scales 16, 8, 4, 2, 1): each sees both frames and heads, fetched along the flow so far,
   the time, the mask and 8 features of the block before, and the flow; it adds a residual to the flow from time t to
   both frames, and makes the mask and the features anew. A block works at a quarter of its scale.
3. The frames are fetched along the last flow and blended by the sigmoid of the last mask.

Two ways to blend. "published" is step 3 as it is. "tempered" is ours, for dark and noisy pairs: a learned mask that
takes one frame per pixel keeps that frame's noise, so where the two fetched frames agree they are averaged,
`mask' = a/2 + (1 - a) mask` with `a = exp(-(d / 0.04)^2)` and d the blurred difference; and motion is estimated on
copies with raised shadows, blurred a little. Both were measured (`docs/interpolators.md`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrhdr.filters import gaussian_blur
from lrhdr.interpolate.base import check_pair
from lrhdr.interpolate.sampling import fetch, pad_to_multiple, raise_shadows

SCALES = (16, 8, 4, 2, 1)
MULTIPLE = 64
"""Sides must be multiples of this: the coarsest block works at 1/64."""

_FEATURES = 8
_RESIDUAL_CONVS = 8
_SLOPE = 0.2

# Chosen by us, on real triplets at -3 EV (docs/interpolators.md).
_TEMPER_AT = 0.04
_TEMPER_BLUR = 1.5
_MOTION_BLUR = 1.0


@dataclass(frozen=True)
class RifeConfig:
    """Width of a RIFE network. The defaults are those of the published weights (5,664,776 parameters).

    Attributes:
        widths: channels of the five blocks, coarse to fine; even.
        head_filters: channels inside the head.
        head_features: channels that the head gives.
    """

    widths: tuple[int, ...] = (192, 128, 96, 64, 32)
    head_filters: int = 16
    head_features: int = 4

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: not five even widths from 2, or filters below 1.
        """
        object.__setattr__(self, "widths", tuple(self.widths))
        if len(self.widths) != len(SCALES) or any(w < 2 or w % 2 for w in self.widths):
            raise ValueError(f"rife: expected {len(SCALES)} even widths, found {self.widths}")
        if min(self.head_filters, self.head_features) < 1:
            raise ValueError(f"rife: expected filters from 1, found {self}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RifeConfig:
        """The inverse of `to_dict`.

        Raises:
            ValueError: unknown or unfitting values.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"rife: {error}") from None

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, tuple[int, ...]]) -> RifeConfig:
        """The network that tensors belong to; the published widths where a tensor that tells one is missing.

        Args:
            shapes: published name to shape.

        Raises:
            ValueError: widths that no such network has.
        """
        published = cls()

        def size(name: str, axis: int, default: int) -> int:
            shape = shapes.get(name, ())
            return shape[axis] if len(shape) == 4 else default

        return cls(
            tuple(size(f"block{i}.conv0.1.0.weight", 0, width) for i, width in enumerate(published.widths)),
            size("encode.cnn0.weight", 0, published.head_filters),
            size("encode.cnn3.weight", 1, published.head_features),
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for a record."""
        return asdict(self)


class RifeOutput(NamedTuple):
    """What the network returns.

    Attributes:
        flow_to_first: (B, 2, H, W), pixels, from time t to the first frame.
        flow_to_second: (B, 2, H, W), pixels, from time t to the second frame.
        mask: (B, 1, H, W) in (0, 1), the share of the first frame.
    """

    flow_to_first: Tensor
    flow_to_second: Tensor
    mask: Tensor


class _Head(nn.Module):
    def __init__(self, config: RifeConfig) -> None:
        super().__init__()
        wide = config.head_filters
        self.cnn0 = nn.Conv2d(3, wide, 3, 2, 1)
        self.cnn1 = nn.Conv2d(wide, wide, 3, 1, 1)
        self.cnn2 = nn.Conv2d(wide, wide, 3, 1, 1)
        self.cnn3 = nn.ConvTranspose2d(wide, config.head_features, 4, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        for conv in (self.cnn0, self.cnn1, self.cnn2):
            image = F.leaky_relu(conv(image), _SLOPE, inplace=True)
        return self.cnn3(image)  # type: ignore[no-any-return]


class _ResidualConv(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, 1, 1)
        self.beta = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv(x) * self.beta + x, _SLOPE, inplace=True)


class _Block(nn.Module):
    """Refines the flow at one scale."""

    def __init__(self, inputs: int, width: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        halves = (nn.Conv2d(inputs, width // 2, 3, 2, 1), nn.Conv2d(width // 2, width, 3, 2, 1))
        self.conv0 = nn.Sequential(*(nn.Sequential(conv, nn.LeakyReLU(_SLOPE, inplace=True)) for conv in halves))
        self.convblock = nn.Sequential(*(_ResidualConv(width) for _ in range(_RESIDUAL_CONVS)))
        # 4 flow, 1 mask, 8 features, four times each for the pixel shuffle.
        outputs = 4 * (4 + 1 + _FEATURES)
        self.lastconv = nn.Sequential(nn.ConvTranspose2d(width, outputs, 4, 2, 1), nn.PixelShuffle(2))

    def forward(self, x: Tensor, flow: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        size = (x.shape[-2], x.shape[-1])
        small = (size[0] // self.scale, size[1] // self.scale)
        x = _resize(x, small)
        if flow is not None:
            x = torch.cat((x, _resize(flow, small) / self.scale), dim=1)
        out = _resize(self.lastconv(self.convblock(self.conv0(x))), size)
        return out[:, :4] * self.scale, out[:, 4:5], out[:, 5:]


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(x.shape[-2:]) == tuple(size):
        # Bit for bit the same, and a fifth of the whole time at scale 1.
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


class Rife(nn.Module):
    """The network, with the published names. Sides must be multiples of `MULTIPLE`; `RifeInterpolator` takes any."""

    def __init__(self, config: RifeConfig) -> None:
        super().__init__()
        self.config = config
        first = 2 * 3 + 2 * config.head_features + 1
        later = first + 1 + _FEATURES + 4
        for i, (width, scale) in enumerate(zip(config.widths, SCALES, strict=True)):
            self.add_module(f"block{i}", _Block(first if i == 0 else later, width, scale))
        self.encode = _Head(config)

    def forward(self, first: Tensor, second: Tensor, fraction: float = 0.5) -> RifeOutput:
        """Estimate motion.

        Args:
            first: (B, 3, H, W), gamma-encoded in [0, 1].
            second: the later frame, same shape.
            fraction: the time that the flows start from, 0 = `first`, 1 = `second`.

        Returns:
            The flows and the mask.

        Raises:
            ValueError: sides that are no multiples of the grid.
        """
        if first.shape[-2] % MULTIPLE or first.shape[-1] % MULTIPLE:
            raise ValueError(f"rife: expected sides that are multiples of {MULTIPLE}, found {tuple(first.shape)}")
        heads = self.encode(first), self.encode(second)
        time = torch.full_like(first[:, :1], fraction)
        flow, mask, features = self._block(0)(torch.cat((first, second, *heads, time), dim=1), None)
        for i in range(1, len(SCALES)):
            # Frame and head of one side are fetched at once.
            seen = [
                fetch(torch.cat(pair, dim=1), part)
                for pair, part in zip(zip((first, second), heads, strict=True), flow.split(2, dim=1), strict=True)
            ]
            frames, described = [s[:, :3] for s in seen], [s[:, 3:] for s in seen]
            residual, mask, features = self._block(i)(torch.cat((*frames, *described, time, mask, features), 1), flow)
            flow = flow + residual
        return RifeOutput(flow[:, :2], flow[:, 2:], torch.sigmoid(mask))

    def _block(self, index: int) -> nn.Module:
        return self.get_submodule(f"block{index}")


class RifeInterpolator:
    """A RIFE network as an `Interpolator`: frozen, any size, any fraction."""

    def __init__(
        self, network: Rife, blending: Literal["published", "tempered"] = "published", name: str = "rife"
    ) -> None:
        """Freeze the network.

        Args:
            network: put in eval mode, without gradients.
            blending: see the module's docstring. "published" pays no heed to the gain.
            name: of the interpolator, for the record.
        """
        self.network = network.eval().requires_grad_(False)
        self.blending = blending
        self.name = name

    @torch.no_grad()
    def __call__(self, first: Tensor, second: Tensor, fraction: float, *, gain: float = 1.0) -> Tensor:
        """Interpolate; see `Interpolator` for the arguments.

        At fractions 0 and 1, and between two equal frames, the frame itself is returned.

        Raises:
            InputError: frames of the wrong layout or of different shapes, fraction or gain out of range.
        """
        check_pair(first, second, fraction, gain)
        if fraction == 0.0 or torch.equal(first, second):
            return first
        if fraction == 1.0:
            return second
        padded = [pad_to_multiple(frame.float(), MULTIPLE) for frame in (first, second)]
        inside = padded[0][1]
        frames = [frame for frame, _ in padded]
        network = self.network.to(first.device)
        tempered = self.blending == "tempered"
        seen = (
            [gaussian_blur(raise_shadows(f, gain), _MOTION_BLUR) for f in frames] if tempered and gain > 1 else frames
        )
        to_first, to_second, mask = network(*seen, fraction)
        fetched0, fetched1 = fetch(frames[0], to_first), fetch(frames[1], to_second)
        if tempered:
            mask = _temper(fetched0, fetched1, mask)
        made = torch.lerp(fetched1, fetched0, mask)
        return made[..., inside[0], inside[1]].clamp(0.0, 1.0).to(first.dtype)


def _temper(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Bring the mask to the plain average where two fetched frames agree."""
    difference = gaussian_blur(first - second, _TEMPER_BLUR).abs().mean(dim=1, keepdim=True)
    agree = torch.exp(-((difference / _TEMPER_AT) ** 2))
    return torch.lerp(mask, torch.full_like(mask, 0.5), agree)
