"""The steerable pyramid with four orientations (Simoncelli and Freeman, ICIP 1995) in its convolution form.

An image is split into a high-pass residual, levels of four oriented bands at full, half, quarter, ... size, and a
low-pass residual. The filters are the design "sp3" of Karasaridis and Simoncelli (ICASSP 1996); their taps are as
published with pyrtools (MIT licence, copyright (c) 2016 LabForComputationalVision). Borders are mirrored about the edge
pixel. Convolutions run in the Fourier domain on the mirrored image, where all filters share one transform.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# One octant of each isotropic filter: row i holds the taps at (i, 0), (i, 1), ..., (i, i) from the centre.
_HIGH_OCTANT = (
    (0.7303866148,),
    (-0.1554141641, -0.079501636326),
    (-0.0093812197447, 0.0078046298586, 0.013962360099),
    (0.0073032598011, 0.0053632198833, -0.0027556000277, -0.0063222697936),
    (-0.0051014497876, -0.0045751798898, -0.0031295299996, -0.00049274001503, 0.0012960999738),
    (-0.00083368999185, 0.00033578000148, 0.0021145299543, 0.0022253401112, 0.0014050999889, 0.0011793200392),
    (
        *(0.0019755100366, 0.0022892199922, 0.0025626500137, 0.0021750701126, 0.0015874400269, 0.00077435001731),
        -0.00032734998967,
    ),
    (
        *(0.0020898699295, 0.0020687500946, 0.0019235999789, 0.0015450799838, 0.00088387000142, -3.7829999201e-05),
        *(-0.00062596000498, -0.000404839986),
    ),
)
_FIRST_LOW_OCTANT = (
    (0.4376249909,),
    (0.181160301, 0.043813198805),
    (-0.032971370965, -0.037694871426, -0.007061290089),
    (0.0011076199589, 0.0082244202495, 0.0075227199122, 0.0029215801042),
    (0.0025240099058, -0.00050337001448, -0.001601260039, -0.0013542800443, -8.7009997515e-05),
)
_LOW_OCTANT = (
    (0.2120374441,),
    (0.1773651242, 0.1445499808),
    (0.090580143034, 0.068065837026, 0.021906599402),
    (0.014385120012, 0.0039556599222, -0.011091699824, -0.020229380578),
    (-0.016485679895, -0.017508180812, -0.018847439438, -0.012604200281, -0.0035306399222),
    (-0.0096372198313, -0.0090569201857, -0.0074316998944, -0.0017774800071, 0.0031846798956, 0.0031757799443),
    (
        *(0.00055381999118, 0.0022212199401, 0.0041121998802, 0.0030809799209, 0.0037613599561, 0.0021605400834),
        0.0014607800404,
    ),
    (
        *(0.0055893999524, 0.0042872801423, 0.0028898599558, 0.0023255399428, -0.00013688000035, 0.00056215998484),
        *(-0.00058146001538, 0.00044606000301),
    ),
    (
        *(0.001261999947, -0.00042019999819, -0.00025168000138, -0.0015970399836, -0.00080063997302),
        *(-0.00012434000382, -0.00067714002216, 0.00012078000145, -4.3500000174e-05),
    ),
)
# The band that answers to vertical edges: rows 0..4 (the rest mirrors them), columns -4..-1 (odd about column 0).
_VERTICAL = (
    (0.01417945046, 0.0085267601535, 0.053605638444, -0.1768419296),
    (0.013955879956, -0.0028760801069, 0.039442278445, -0.1105690673),
    (0.012316980399, -0.0058724298142, 0.0082581602037, -0.022522680461),
    (0.0044451598078, 0.004456540104, -0.0037740699481, -0.00036522001028),
    (-0.00081125000725, 0.0039103501476, 0.0013462699717, 0.00074700999539),
)
# A diagonal band: above its main diagonal, down to the other diagonal about which it is mirrored; odd about the first.
_DIAGONAL = (
    (
        *(0.00082846998703, 5.7109999034e-05, -4.0110000555e-05, -0.0046670897864, -0.0080871898681, -0.014807609841),
        *(-0.0086204400286, 0.0031221499667),
    ),
    (0.00097479997203, 0.0069718998857, 0.002086560009, -0.002329879906, 0.0044814897701, -0.014917500317),
    (0.012145539746, 0.024427289143, -0.050797060132, -0.032785870135),
    (0.1510555595, 0.082495503128),
)
ORIENTATIONS = 4
_BAND_SIZE = 9
# A level is split again while both sides are at least as long as the low-pass filter.
_LOW_SIZE = 2 * len(_LOW_OCTANT) - 1
SMALLEST_SIDE = _LOW_SIZE


def _isotropic(octant: tuple[tuple[float, ...], ...]) -> Tensor:
    radius = len(octant) - 1
    taps = torch.empty(2 * radius + 1, 2 * radius + 1, dtype=torch.float64)
    for i in range(-radius, radius + 1):
        for j in range(-radius, radius + 1):
            near, far = sorted((abs(i), abs(j)))
            taps[radius + i, radius + j] = octant[far][near]
    return taps


def _oriented() -> Tensor:
    """The four band filters, (4, 9, 9)."""
    half = _BAND_SIZE // 2
    left = torch.tensor(_VERTICAL, dtype=torch.float64)
    left = torch.cat((left.flip(0)[:-1], left))
    vertical = torch.cat((left, torch.zeros(_BAND_SIZE, 1, dtype=torch.float64), -left.flip(1)), dim=1)
    upper = torch.zeros(_BAND_SIZE, _BAND_SIZE, dtype=torch.float64)
    for i in range(half):
        for j in range(i + 1, _BAND_SIZE - i):
            upper[i, j] = upper[_BAND_SIZE - 1 - j, _BAND_SIZE - 1 - i] = _DIAGONAL[i][j - i - 1]
    diagonal = upper - upper.T
    return torch.stack((vertical, diagonal, -vertical.T, diagonal.flip(1)))


def _split_filters() -> list[Tensor]:
    """High-pass and low-pass of the first split."""
    return [_isotropic(_HIGH_OCTANT), _isotropic(_FIRST_LOW_OCTANT)]


def _level_filters() -> list[Tensor]:
    """The four bands of a level and the low-pass that leads to the next."""
    return [*_oriented(), _isotropic(_LOW_OCTANT)]


def _fast_length(n: int) -> int:
    """The next length whose only prime factors are 2, 3 and 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def _response(taps: Tensor, size: tuple[int, int]) -> Tensor:
    """Frequency response of correlation with a small odd filter, (H, W / 2 + 1) complex128."""
    radius = taps.shape[0] // 2
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64, device=taps.device) * (2.0 * math.pi)
    y = torch.fft.fftfreq(size[0], dtype=torch.float64, device=taps.device)
    x = torch.fft.rfftfreq(size[1], dtype=torch.float64, device=taps.device)
    ones = torch.ones((), dtype=torch.float64, device=taps.device)
    return torch.polar(ones, y[:, None] * offsets) @ taps.to(torch.complex128) @ torch.polar(ones, offsets[:, None] * x)


class _Grid:
    """The Fourier grid of a mirrored image of one size."""

    def __init__(self, filters: list[Tensor], image: Tensor) -> None:
        self.size = (image.shape[-2], image.shape[-1])
        self.margin = max(taps.shape[0] // 2 for taps in filters)
        self.padded = (_fast_length(self.size[0] + 2 * self.margin), _fast_length(self.size[1] + 2 * self.margin))
        self.responses = torch.stack([_response(taps.to(image.device), self.padded) for taps in filters])

    def forward(self, image: Tensor) -> Tensor:
        mirrored = F.pad(image, (self.margin,) * 4, mode="reflect")
        spectrum: Tensor = torch.fft.rfft2(mirrored, s=self.padded)
        return spectrum

    def inverse(self, spectrum: Tensor) -> Tensor:
        image: Tensor = torch.fft.irfft2(spectrum, s=self.padded)
        start = self.margin
        return image[..., start : start + self.size[0], start : start + self.size[1]]


def pyramid_height(size: tuple[int, int]) -> int:
    """Number of oriented levels of an image of (H, W)."""
    height, side = 0, min(size)
    while side >= _LOW_SIZE:
        height, side = height + 1, side // 2
    return height


def build_pyramid(image: Tensor) -> list[Tensor]:
    """Decompose an image.

    Args:
        image: (B, 1, H, W) float64, both sides at least `SMALLEST_SIDE`.

    Returns:
        High-pass (B, 1, H, W); then oriented levels (B, 4, h, w), the first at full size, each next one half as large
        (odd sizes rounded up); last the low-pass residual (B, 1, h, w).
    """
    grid = _Grid(_split_filters(), image)
    spectrum = grid.forward(image)
    high, low = (grid.inverse(spectrum * response) for response in grid.responses)
    bands = [high]
    for _ in range(pyramid_height((image.shape[-2], image.shape[-1]))):
        grid = _Grid(_level_filters(), low)
        spectrum = grid.forward(low)
        bands.append(grid.inverse(spectrum * grid.responses[:ORIENTATIONS]))
        low = grid.inverse(spectrum * grid.responses[ORIENTATIONS])[..., ::2, ::2]
    return [*bands, low]


def collapse_pyramid(bands: list[Tensor]) -> Tensor:
    """Reassemble what `build_pyramid` took apart (to about 1 %, the filters' own accuracy).

    Args:
        bands: as returned by `build_pyramid`.

    Returns:
        (B, 1, H, W) float64.
    """
    low = bands[-1]
    for band in reversed(bands[1:-1]):
        spread = torch.zeros_like(band[:, :1])
        spread[..., ::2, ::2] = low
        grid = _Grid(_level_filters(), band)
        # The synthesis filters are the analysis filters turned by half a turn: conjugate responses.
        spectrum = grid.forward(torch.cat((band, spread), dim=1)) * grid.responses.conj()
        low = grid.inverse(spectrum.sum(dim=1, keepdim=True))
    high = bands[0]
    grid = _Grid(_split_filters(), high)
    spectrum = grid.forward(torch.cat((high, low), dim=1)) * grid.responses.conj()
    return grid.inverse(spectrum.sum(dim=1, keepdim=True))
