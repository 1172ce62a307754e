"""FILM, the paper's frozen interpolator (Reda et al., "FILM: Frame Interpolation for Large Motion", ECCV 2022).

Stages, for two frames and a time t between them:

1. Features: each level of an image pyramid goes through one shared extractor, which halves and deepens `sub_levels`
   times. Level i of the feature pyramid joins what levels i, i-1, ... gave at that size, so that from level
   `specialized_levels` on all levels have the same channels ("scale-agnostic") and share the flow predictor.
2. Flow: from the coarsest level, flow is doubled, the other frame's features are fetched along it, and a predictor adds
   a residual. Both directions.
3. Fusion: images and features of the finest `fusion_pyramid_levels` are fetched to time t (backward flow times t reads
   the first frame, forward flow times 1 - t the second), joined with the flows, and decoded from coarse to fine.

Names of all parameters are those of the public PyTorch port, so that its state dicts load as they are (`film_names`).

What differs from the published code: any width and depth (`FilmConfig`); any fraction if the weights were trained for
it (`any_fraction`; the published ones know 0.5 only, and are applied again and again); motion may be estimated on
copies with raised shadows (`gain`); sizes that do not fit the grid are padded with repeated borders instead of black;
the last layer of each flow predictor starts at zero, so that an untrained network fetches without motion.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrhdr.interpolate.base import check_pair
from lrhdr.interpolate.film_config import FilmConfig
from lrhdr.interpolate.sampling import fetch, pad_to_multiple, raise_shadows

SLOPE = 0.2
"""Of the leaky ReLU, everywhere."""

MIDPOINT_DEPTH = 3
"""How often midpoints are taken of midpoints for a fraction other than 0.5: to the nearest eighth, which is 0.04 of the
interval away at worst for thirds. Chosen by us: each further level costs another pass for half the error."""


class FilmOutput(NamedTuple):
    """What the network returns.

    Attributes:
        frame: (B, 3, H, W), not clamped.
        flow_to_first: (B, 2, H, W), pixels, from time t to the first frame.
        flow_to_second: (B, 2, H, W), pixels, from time t to the second frame.
    """

    frame: Tensor
    flow_to_first: Tensor
    flow_to_second: Tensor


def _conv(inputs: int, outputs: int, size: int = 3, *, active: bool = True) -> nn.Sequential:
    """A convolution that keeps the size (a 2x2 one needs one row and column more), alone or with a leaky ReLU."""
    conv = nn.Conv2d(inputs, outputs, size, padding=1 if size == 3 else 0)
    return nn.Sequential(conv, nn.LeakyReLU(SLOPE, inplace=True)) if active else nn.Sequential(conv)


class _SubExtractor(nn.Module):
    """Describes one image at several sizes, two convolutions each."""

    def __init__(self, config: FilmConfig) -> None:
        super().__init__()
        widths = [config.filters << i for i in range(config.sub_levels)]
        inputs = [3, *widths[:-1]]
        pairs = zip(inputs, widths, strict=True)
        self.convs = nn.ModuleList(nn.Sequential(_conv(i, width), _conv(width, width)) for i, width in pairs)

    def forward(self, image: Tensor, levels: int) -> list[Tensor]:
        features = []
        for level in range(levels):
            if level:
                image = F.avg_pool2d(image, 2)
            image = self.convs[level](image)
            features.append(image)
        return features


class _Extractor(nn.Module):
    """The scale-agnostic feature pyramid of an image pyramid, finest level first."""

    def __init__(self, config: FilmConfig) -> None:
        super().__init__()
        self.sub_levels = config.sub_levels
        self.extract_sublevels = _SubExtractor(config)

    def forward(self, images: list[Tensor]) -> list[Tensor]:
        described = [
            self.extract_sublevels(image, min(len(images) - i, self.sub_levels)) for i, image in enumerate(images)
        ]
        return [
            torch.cat([described[i - j][j] for j in range(min(i, self.sub_levels - 1) + 1)], dim=1)
            for i in range(len(images))
        ]


class _FlowPredictor(nn.Module):
    """A flow residual from two sets of features."""

    def __init__(self, channels: int, filters: int, convs: int) -> None:
        super().__init__()
        wide = [_conv(2 * channels if i == 0 else filters, filters) for i in range(convs)]
        last = _conv(filters // 2, 2, 1, active=False)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        before = filters if convs else 2 * channels
        self._convs = nn.ModuleList([*wide, _conv(before, filters // 2, 1), last])

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        features = torch.cat((own, other), dim=1)
        for conv in self._convs:
            features = conv(features)
        return features


class _FlowEstimator(nn.Module):
    """Coarse-to-fine flow between two feature pyramids."""

    def __init__(self, config: FilmConfig) -> None:
        super().__init__()
        levels = range(config.specialized_levels + 1)
        built = [
            _FlowPredictor(config.feature_channels(i), config.flow_filters[i], config.flow_convs[i]) for i in levels
        ]
        self._predictor = built[-1]
        # Coarse to fine, as in the port whose names these are.
        self._predictors = nn.ModuleList(reversed(built[:-1]))

    def _at(self, level: int) -> nn.Module:
        own = len(self._predictors)
        return self._predictors[own - 1 - level] if level < own else self._predictor

    def forward(self, own: list[Tensor], other: list[Tensor]) -> list[Tensor]:
        """Flow at every level, finest first: where the content of `own` lies in `other`."""
        flow = self._at(len(own) - 1)(own[-1], other[-1])
        flows = [flow]
        for level in reversed(range(len(own) - 1)):
            size = own[level].shape[-2:]
            flow = F.interpolate(2.0 * flow, size=size, mode="bilinear", align_corners=False)
            flow = flow + self._at(level)(own[level], fetch(other[level], flow))
            flows.insert(0, flow)
        return flows


class _Fusion(nn.Module):
    """Decodes what was fetched to time t, coarse to fine."""

    def __init__(self, config: FilmConfig) -> None:
        super().__init__()
        levels = config.fusion_pyramid_levels
        # Two images, two sets of features, two flows.
        fetched = [2 * (3 + config.feature_channels(i)) + 4 for i in range(levels)]
        self.convs = nn.ModuleList()
        below = fetched[-1]
        for level in reversed(range(levels - 1)):
            width = config.fusion_filters(level)
            self.convs.append(
                nn.ModuleList(
                    [
                        _conv(below, width, 2, active=False),
                        _conv(fetched[level] + width, width),
                        _conv(width, width),
                    ]
                )
            )
            below = width
        self.output_conv = nn.Conv2d(below, 3, 1)

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        decoded = pyramid[-1]
        for level, group in zip(reversed(range(len(pyramid) - 1)), self.convs, strict=True):
            join, *convolve = group.children()
            decoded = F.interpolate(decoded, size=pyramid[level].shape[-2:], mode="nearest")
            decoded = join(F.pad(decoded, (0, 1, 0, 1)))
            decoded = torch.cat((pyramid[level], decoded), dim=1)
            for conv in convolve:
                decoded = conv(decoded)
        colour: Tensor = self.output_conv(decoded)
        return colour


class Film(nn.Module):
    """The network. Sides must be multiples of `config.multiple`; `FilmInterpolator` takes any."""

    def __init__(self, config: FilmConfig) -> None:
        super().__init__()
        self.config = config
        self.extract = _Extractor(config)
        self.predict_flow = _FlowEstimator(config)
        self.fuse = _Fusion(config)

    def forward(
        self, first: Tensor, second: Tensor, fraction: float = 0.5, *, motion: tuple[Tensor, Tensor] | None = None
    ) -> FilmOutput:
        """Make the frame at a fraction of the way.

        Args:
            first: (B, 3, H, W), gamma-encoded in [0, 1].
            second: the later frame, same shape.
            fraction: time of the result, 0 = `first`, 1 = `second`.
            motion: copies of the two frames to estimate flow on instead.

        Returns:
            The frame and the flows that it was made with.

        Raises:
            ValueError: sides that are no multiples of the grid.
        """
        multiple = self.config.multiple
        if first.shape[-2] % multiple or first.shape[-1] % multiple:
            raise ValueError(f"film: expected sides that are multiples of {multiple}, found {tuple(first.shape)}")
        pyramids = [self._pyramid(first), self._pyramid(second)]
        features = [self.extract(images) for images in pyramids]
        seen = features if motion is None else [self.extract(self._pyramid(copy)) for copy in motion]
        levels = self.config.fusion_pyramid_levels
        to_first = [fraction * flow for flow in self.predict_flow(seen[1], seen[0])[:levels]]
        to_second = [(1.0 - fraction) * flow for flow in self.predict_flow(seen[0], seen[1])[:levels]]
        fetched = [
            [fetch(torch.cat(both, dim=1), flow) for *both, flow in zip(*levels_of, strict=False)]
            for levels_of in zip(pyramids, features, (to_first, to_second), strict=True)
        ]
        joined = [torch.cat(parts, dim=1) for parts in zip(*fetched, to_first, to_second, strict=True)]
        return FilmOutput(self.fuse(joined), to_first[0], to_second[0])

    def _pyramid(self, image: Tensor) -> list[Tensor]:
        """Images from the finest, each the 2x2 averages of the one before."""
        images = [image]
        for _ in range(self.config.pyramid_levels - 1):
            images.append(F.avg_pool2d(images[-1], 2))
        return images


class FilmInterpolator:
    """A FILM network as an `Interpolator`: frozen, any size, any fraction.

    Weights that know only 0.5 reach other fractions by midpoints of midpoints, to the nearest multiple of
    `2^-MIDPOINT_DEPTH`. With a gain above 1 the flows are estimated on copies with raised shadows, which costs a second
    pass of the extractor; the frame itself is made from the frames as they are.
    """

    def __init__(self, network: Film, name: str = "film") -> None:
        """Freeze the network.

        Args:
            network: put in eval mode, without gradients.
            name: of the interpolator, for the record.
        """
        self.network = network.eval().requires_grad_(False)
        self.name = name

    @torch.no_grad()
    def __call__(self, first: Tensor, second: Tensor, fraction: float, *, gain: float = 1.0) -> Tensor:
        """Interpolate; see `Interpolator` for the arguments.

        At fractions 0 and 1, and between two equal frames, the frame itself is returned.

        Raises:
            InputError: frames of the wrong layout or of different shapes, fraction or gain out of range.
        """
        check_pair(first, second, fraction, gain)
        if torch.equal(first, second):
            return first
        if fraction in (0.0, 1.0) or self.network.config.any_fraction:
            return self._once(first, second, fraction, gain)
        steps = 2**MIDPOINT_DEPTH
        wanted, low, high = round(fraction * steps), 0, steps
        while wanted not in (low, high):
            middle = self._once(first, second, 0.5, gain)
            if 2 * wanted <= low + high:
                second, high = middle, (low + high) // 2
            else:
                first, low = middle, (low + high) // 2
        return first if wanted == low else second

    def _once(self, first: Tensor, second: Tensor, fraction: float, gain: float) -> Tensor:
        if fraction in (0.0, 1.0):
            return first if fraction == 0.0 else second
        padded = [pad_to_multiple(frame.float(), self.network.config.multiple) for frame in (first, second)]
        inside = padded[0][1]
        frames = [frame for frame, _ in padded]
        motion = (raise_shadows(frames[0], gain), raise_shadows(frames[1], gain)) if gain > 1.0 else None
        network = self.network.to(first.device)
        made: Tensor = network(frames[0], frames[1], fraction, motion=motion).frame
        return made[..., inside[0], inside[1]].clamp(0.0, 1.0).to(first.dtype)
