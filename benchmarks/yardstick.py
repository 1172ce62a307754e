"""The yardstick: a network of HDRFlow's published layer sizes, with random weights, to time against.

HDRFlow (Xu et al., "HDRFlow: Real-Time HDR Video Reconstruction with Large Motions", CVPR 2024) is the field's
real-time network. Its weights are not needed to know what it costs, so this file builds layers of the same sizes and
in the same order from the published description (Apache-2.0 repository OpenImagingLab/HDRFlow; read, not copied):

- flow network at 1/2, 1/4, 1/8, 1/16 (bottleneck blocks; pooled frames join at 1/4 and below; depthwise 7x7, 9x9 and
  11x11 at 1/16), back up to 1/4, three 5x5 convolutions to one flow per neighbour, enlarged by 4;
- neighbours warped along the flows, all frames linearised;
- fusion U-Net at 1/2, 1/4, 1/8 and one sigmoid weight per frame at full resolution; weighted mean.

Batch normalisation is folded into the convolutions, as anybody does who wants speed: the yardstick is at its best.
Counted: 94.5 GMAC per megapixel for two exposures, 189.6 for three, as published.

    python benchmarks/yardstick.py            # parameters and multiply-adds, beside the published ones
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

PUBLISHED = {
    2: {"parameters": 3.27e6, "gmac_per_megapixel": 94.5},
    3: {"parameters": 5.33e6, "gmac_per_megapixel": 189.6},
}
"""Of the authors' code: parameters, and multiply-adds as counted for a 1-megapixel frame."""

LAYOUTS = {"channels_last": torch.channels_last, "planar": torch.contiguous_format}
"""Ways to lay tensors out; which one is faster depends on the machine."""

MULTIPLE = 16
"""Sides of a frame must be multiples of this."""


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, slope: float = 0.0) -> nn.Sequential:
    """Convolution (normalisation folded in) and a rectifier."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.LeakyReLU(slope, inplace=True))


def _grow(inputs: int, outputs: int, slope: float = 0.0) -> nn.Sequential:
    """Transposed 4x4 convolution that doubles the sides, and a rectifier."""
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(slope, inplace=True))


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = outputs // 4
        self.branch = nn.Sequential(_conv(inputs, inner, 1), _conv(inner, inner, 3, stride), _conv(inner, outputs, 1))
        self.skip = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.skip(x) + self.branch(x))


class _Flow(nn.Module):
    """Frames at matched exposure, (B, C, H, W), to flows, (B, 2 neighbours, H / 4, W / 4)."""

    WIDTHS = (64, 128, 256)

    def __init__(self, inputs: int, flows: int, head: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_conv(inputs, 32, 7, 2), _Bottleneck(32, 32, 1), _Bottleneck(32, 32, 1))
        before = (32, *self.WIDTHS[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(_Bottleneck(a, b, 2), _Bottleneck(b, b, 1)) for a, b in zip(before, self.WIDTHS, strict=True)
        )
        self.pooled = nn.ModuleList(_conv(inputs, w) for w in self.WIDTHS)
        self.joined = nn.ModuleList(nn.Sequential(_conv(2 * w, w, 1), _conv(w, w)) for w in self.WIDTHS)
        self.large = nn.ModuleList(nn.Conv2d(256, 256, k, padding=k // 2, groups=256) for k in (7, 9, 11))
        self.merge = nn.Conv2d(3 * 256, 256, 1)
        self.up = nn.ModuleList((_grow(256, 128), _grow(128, 64)))
        self.back = nn.ModuleList(nn.Sequential(_conv(2 * w, w, 1), _conv(w, w)) for w in (128, 64))
        self.head = nn.Sequential(_conv(64, head, 5), _conv(head, head, 5), nn.Conv2d(head, 2 * flows, 5, padding=2))

    def forward(self, x: Tensor) -> Tensor:
        y, levels = self.first(x), []
        for i, (down, pooled, joined) in enumerate(zip(self.down, self.pooled, self.joined, strict=True)):
            y = joined(torch.cat((down(y), pooled(F.avg_pool2d(x, 4 << i))), dim=1))
            levels.append(y)
        y = F.relu(y + self.merge(torch.cat([conv(y) for conv in self.large], dim=1)))
        for up, back, level in zip(self.up, self.back, levels[-2::-1], strict=True):
            y = back(torch.cat((level, up(y)), dim=1))
        return self.head(y).clamp(-100.0, 100.0)


class _Fusion(nn.Module):
    """Frames and their radiance, (B, C, H, W), to one weight per frame, (B, K, H, W)."""

    def __init__(self, inputs: int, frames: int, width: int, last: int) -> None:
        super().__init__()
        w, s = width, 0.1
        self.level2 = nn.Sequential(_conv(inputs, w // 4, 3, 2, s), _conv(w // 4, w // 4, slope=s))
        self.level4 = nn.Sequential(_conv(w // 4, w // 2, 3, 2, s), _conv(w // 2, w // 2, slope=s))
        self.level8 = nn.Sequential(_conv(w // 2, w, 3, 2, s), _conv(w, w, slope=s))
        self.up = nn.ModuleList((_grow(w, w // 2, s), _grow(w // 2, last, s), _grow(last, 64, s)))
        self.back = nn.ModuleList((_conv(w, w // 2, slope=s), _conv(last + w // 4, last, slope=s)))
        self.head = nn.Conv2d(64, frames, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        half = self.level2(x)
        quarter = self.level4(half)
        y = self.up[0](self.level8(quarter))
        y = self.up[1](self.back[0](torch.cat((y, quarter), dim=1)))
        y = self.up[2](self.back[1](torch.cat((y, half), dim=1)))
        return torch.sigmoid(self.head(y))


class Yardstick(nn.Module):
    """A network that costs what HDRFlow costs.

    Args:
        n_exposures: 2 or 3.
        layout: how the convolutions' tensors lie in memory.
    """

    def __init__(self, n_exposures: int, layout: torch.memory_format = torch.channels_last) -> None:
        super().__init__()
        self.layout = layout
        neighbours = 2 * n_exposures - 2
        self.n_exposures = n_exposures
        seen = 9 * (n_exposures - 1)
        frames = 2 * neighbours + 1
        self.flow = _Flow(seen, neighbours, 64 if n_exposures == 2 else 128)
        self.fusion = _Fusion(6 * frames, frames, 128 * (n_exposures - 1), 64)

    def forward(self, window: Tensor, exposures: Tensor) -> Tensor:
        """Fuse a window.

        Args:
            window: (B, 2 N_e - 1, 3, H, W), gamma-encoded; H and W multiples of 16.
            exposures: (B, 2 N_e - 1), relative.

        Returns:
            (B, 3, H, W), linear. The weights are random, so the picture means nothing.
        """
        n = self.n_exposures
        centre = n - 1
        e = exposures[:, :, None, None, None]
        reference = window[:, centre]
        groups = []
        for k in range(n - 1):  # each other exposure: the frame before, the reference at that exposure, the frame after
            matched = (reference.pow(2.2) / e[:, centre] * e[:, k]).clamp(0.0, 1.0).pow(1.0 / 2.2)
            groups += [window[:, k], matched, window[:, k + n]]
        # Neighbours in the order of the flows: the pair of the first other exposure, the pair of the next, ...
        order = [i for k in range(n - 1) for i in (k, k + n)]
        packed = torch.cat(groups, dim=1).contiguous(memory_format=self.layout)
        flows = 4.0 * F.interpolate(self.flow(packed), scale_factor=4.0, mode="bilinear", align_corners=True)
        neighbours = [window[:, i] for i in order]
        warped = [_warp(x, flows[:, 2 * i : 2 * i + 2]) for i, x in enumerate(neighbours)]
        exposure = [e[:, centre], *(e[:, i] for i in order), *(e[:, i] for i in order)]
        frames = [reference, *warped, *neighbours]
        radiances = [x.pow(2.2) / own for x, own in zip(frames, exposure, strict=True)]
        inputs = torch.cat((*radiances, *frames), dim=1).contiguous(memory_format=self.layout)
        weights = self.fusion(inputs)
        total = sum(weights[:, i : i + 1] * radiance for i, radiance in enumerate(radiances))
        assert isinstance(total, Tensor)
        return total / (weights.sum(dim=1, keepdim=True) + 1e-10)


def _warp(image: Tensor, flow: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=image.device), torch.arange(width, device=image.device), indexing="ij"
    )
    place = torch.stack(
        (2.0 * (x + flow[:, 0]) / (width - 1) - 1.0, 2.0 * (y + flow[:, 1]) / (height - 1) - 1.0), dim=-1
    )
    return F.grid_sample(image, place, mode="bilinear", padding_mode="border", align_corners=True)


def build(n_exposures: int, layout: str = "channels_last") -> Yardstick:
    """The yardstick in eval mode, its weights drawn from a fixed seed.

    Args:
        n_exposures: 2 or 3.
        layout: a name in `LAYOUTS`.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Yardstick(n_exposures, LAYOUTS[layout])
    return model.to(memory_format=LAYOUTS[layout]).eval()  # type: ignore[call-overload, no-any-return]


def count(n_exposures: int, height: int = 256, width: int = 256) -> tuple[int, int]:
    """Parameters, and multiply-adds for a frame of this size, of convolutions and matrix products."""
    model, frames = build(n_exposures), 2 * n_exposures - 1
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.rand(1, frames, 3, height, width), torch.ones(1, frames))
    return sum(p.numel() for p in model.parameters()), int(counter.get_total_flops()) // 2


def main() -> None:
    print(f"{'exposures':>9}{'parameters':>12}{'published':>11}{'GMAC/MP':>9}{'published':>11}")
    for n, known in PUBLISHED.items():
        parameters, macs = count(n)
        print(
            f"{n:>9}{parameters / 1e6:>10.3f} M{known['parameters'] / 1e6:>9.2f} M"
            f"{macs / 256**2 / 1e3:>9.1f}{known['gmac_per_megapixel']:>11.1f}"
        )


if __name__ == "__main__":
    main()
