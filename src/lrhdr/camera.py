"""A physical camera: scene radiance to one gamma-encoded LDR frame, with the sensor's noise, clipping and rounding.

Electrons collected are `radiance * exposure * full_well`, so radiance 1.0 at exposure 1 just saturates. Photon (shot)
noise is Poisson, read noise is Gaussian, the well clips, the result is divided by the well, encoded with `x^(1/gamma)`
and rounded to the bit depth. Model and vocabulary: EMVA 1288; Hasinoff et al., "Noise-optimal capture for high dynamic
range photography", CVPR 2010.

The HDR-video field trains with a simpler noise; it is kept as `noise="field"` so that results can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.randomness import numpy_generator

Demosaicing = Literal["none", "bilinear", "malvar"]

_SAYABLE: dict[str, Callable[[str], Any]] = {
    "full_well_e": float,
    "read_noise_e": float,
    "bit_depth": int,
    "demosaicing": str,
}

# Green at red or blue; red at a green between two reds of its row (transposed: of its column); red at blue. Blue
# likewise.
_MALVAR = (
    torch.tensor(
        [
            [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]],
            [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]],
            [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]],
        ]
    )
    / 8.0
)

# Below this mean count a Gaussian is visibly wrong (skewed, negative); above it the two agree to the eye.
_POISSON_BELOW_E = 10.0


@dataclass(frozen=True)
class CameraConfig:
    """What kind of camera.

    Attributes:
        full_well_e: electrons at saturation *at the ISO in use*: 20,000 and more for a clean base ISO, under 1,000 for
            a phone at high ISO. Signal-to-noise ratio at saturation is its square root.
        read_noise_e: standard deviation of the read noise, in electrons.
        bit_depth: bits per channel of the stored LDR frame, 1 to 16; 0 stores it unrounded.
        gamma: encoding exponent; `ldr_to_radiance` must use the same one.
        noise: "sensor" (shot and read noise), "field" (Gaussian of `field_sigma` on radiance, before the exposure, on
            frames with exposure <= `field_max_exposure`), or "none".
        field_sigma: standard deviation of the field's noise, in radiance (public training code of the field: 1e-3).
        field_max_exposure: longest relative exposure that gets the field's noise (their code names 1 and 4).
        demosaicing: how the sensor's noise comes out of a colour filter array: "none" (a sensor for each colour),
            "bilinear", or "malvar" (Malvar, He, Cutler, ICASSP 2004: linear filters of 5 x 5, whose colour differences
            are smoother, as those of raw converters are). The picture itself is demosaiced without loss.
    """

    full_well_e: float = 8000.0
    read_noise_e: float = 2.5
    bit_depth: int = 8
    gamma: float = 2.2
    noise: Literal["sensor", "field", "none"] = "sensor"
    field_sigma: float = 1e-3
    field_max_exposure: float = 4.0
    demosaicing: Demosaicing = field(default="none", repr=False)  # lrhdr-bench's content hash holds a camera's repr

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: a value outside its range.
        """
        if not self.full_well_e > 0 or self.read_noise_e < 0 or self.field_sigma < 0:
            raise ValueError(f"expected full_well_e > 0 and noise >= 0, found {self}")
        if not 0 <= self.bit_depth <= 16:
            raise ValueError(f"expected bit_depth 0 to 16, found {self.bit_depth}")
        if not self.gamma > 0:
            raise ValueError(f"expected gamma > 0, found {self.gamma}")
        if self.noise not in ("sensor", "field", "none"):
            raise ValueError(f"expected noise 'sensor', 'field' or 'none', found {self.noise!r}")
        if self.demosaicing not in get_args(Demosaicing):
            raise ValueError(f"expected demosaicing {', '.join(get_args(Demosaicing))}, found {self.demosaicing!r}")

    @classmethod
    def parse(cls, words: Iterable[str]) -> CameraConfig:
        """The default camera with some of `full_well_e`, `read_noise_e`, `bit_depth`, `demosaicing` said otherwise.

        Args:
            words: "field=value" each.

        Raises:
            InputError: another field, or a value that it cannot have.
        """
        given: dict[str, Any] = {}
        for word in words:
            name, equals, value = word.partition("=")
            if name not in _SAYABLE or not equals:
                raise InputError(f"camera: expected FIELD=VALUE with one of {', '.join(_SAYABLE)}, found {word!r}")
            try:
                given[name] = _SAYABLE[name](value)
            except ValueError:
                raise InputError(f"camera: expected a number for {name}, found {value!r}") from None
        try:
            return cls(**given)
        except ValueError as error:
            raise InputError(f"camera: {error}") from None

    def describe(self) -> str:
        """In words: "full well 8000 e, read noise 2.5 e, 8 bits"."""
        text = f"full well {self.full_well_e:g} e, read noise {self.read_noise_e:g} e, {self.bit_depth} bits"
        return text if self.demosaicing == "none" else f"{text}, demosaicing {self.demosaicing}"

    @classmethod
    def sample(
        cls, generator: torch.Generator, read_noise_e: tuple[float, float] = (1.0, 6.0), bayer_share: float = 0.0
    ) -> CameraConfig:
        """Draw a camera between a clean one at base ISO and a phone at high ISO.

        Ranges chosen by us: full well log-uniform in 800..40,000 e (signal-to-noise ratio 29 to 46 dB at saturation);
        8 bits in three of four cases, else 10 or 16.

        Args:
            generator: where the numbers come from.
            read_noise_e: range of the read noise, drawn log-uniform.
            bayer_share: share of cameras with a colour filter array; half of them with either way of demosaicing.
        """
        rng = numpy_generator(generator)
        least, most = read_noise_e
        return cls(
            full_well_e=float(math.exp(rng.uniform(math.log(800.0), math.log(40_000.0)))),
            read_noise_e=float(math.exp(rng.uniform(math.log(least), math.log(most)))),
            bit_depth=int(rng.choice([8, 10, 16], p=[0.75, 0.10, 0.15])),
            demosaicing=str(rng.choice(["bilinear", "malvar"])) if rng.random() < bayer_share else "none",  # type: ignore[arg-type]
        )


def _shot_noise(mean_e: Tensor, generator: torch.Generator) -> Tensor:
    """Draw electron counts with mean `mean_e` (>= 0): Poisson where few, Gaussian with equal variance where many."""
    counts = mean_e + mean_e.sqrt() * torch.randn(mean_e.shape, generator=generator, dtype=mean_e.dtype)
    few = mean_e < _POISSON_BELOW_E
    counts[few] = torch.poisson(mean_e[few], generator=generator)
    return counts


def _colour_sites(height: int, width: int) -> Tensor:
    """Where a Bayer array sees red, green, blue: (3, H, W) of 0 and 1, red at the top left."""
    down, across = torch.arange(height)[:, None] % 2, torch.arange(width)[None] % 2
    return torch.stack(((down == 0) & (across == 0), down != across, (down == 1) & (across == 1))).float()


def _demosaic(noise: Tensor, how: Demosaicing) -> Tensor:
    """See `noise` (..., 3, H, W) through a Bayer array and bring every pixel its three colours back."""
    height, width = noise.shape[-2:]
    sites = _colour_sites(height, width)
    seen = (noise * sites).reshape(-1, 3, height, width)
    if how == "bilinear":
        cross = torch.tensor([[0.0, 1.0, 0.0], [1.0, 4.0, 1.0], [0.0, 1.0, 0.0]]) / 4.0
        square = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 4.0
        padded = F.pad(seen, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, torch.stack((square, cross, square))[:, None], groups=3).reshape(noise.shape)
    mosaic = F.pad(seen.sum(dim=1, keepdim=True), (2, 2, 2, 2), mode="reflect")
    filters = torch.cat((_MALVAR, _MALVAR[1:2].mT))[:, None]
    green, in_row, diagonal, in_column = F.conv2d(mosaic, filters).unbind(dim=1)
    at_green = sites[1].bool()
    red_row = (torch.arange(height) % 2 == 0)[:, None]
    red = torch.where(red_row, in_row, in_column).where(at_green, diagonal)
    blue = torch.where(red_row, in_column, in_row).where(at_green, diagonal)
    full = torch.stack((red, green, blue), dim=1)
    return torch.where(sites.bool(), seen, full).reshape(noise.shape)


def expose(radiance: Tensor, exposure: Tensor | float, config: CameraConfig, generator: torch.Generator) -> Tensor:
    """Take a picture of every image in `radiance`.

    Args:
        radiance: linear, (..., C, H, W) on the CPU, >= 0 (below is taken as 0); 1.0 saturates exposure 1.
        exposure: relative exposure > 0: a number, or a tensor whose axes are the leading axes of `radiance`.
        config: the camera.
        generator: where the noise comes from; not touched with `noise="none"`.

    Returns:
        Gamma-encoded LDR in [0, 1], float32, same shape; multiples of 1 / (2^bit_depth - 1).

    Raises:
        ValueError: an exposure <= 0.
    """
    scene = radiance.float().clamp_min(0.0)
    e = torch.as_tensor(exposure, dtype=torch.float32)
    if not bool((e > 0).all()):
        raise ValueError(f"expected exposures > 0, found {exposure}")
    e = e.reshape(e.shape + (1,) * (scene.ndim - e.ndim))
    if config.noise == "sensor":
        # Nothing beyond twice the well can come back below it by chance; the bound keeps suns from overflowing.
        mean_e = (scene * e).clamp_max(2.0) * config.full_well_e
        read = torch.randn(scene.shape, generator=generator) * config.read_noise_e
        collected = _shot_noise(mean_e, generator) + read
        if config.demosaicing != "none":
            collected = mean_e + _demosaic(collected - mean_e, config.demosaicing)
        linear = collected / config.full_well_e
    elif config.noise == "field":
        noise = torch.randn(scene.shape, generator=generator) * config.field_sigma
        linear = (scene + torch.where(e <= config.field_max_exposure, noise, torch.zeros_like(noise))) * e
    else:
        linear = scene * e
    ldr = linear.clamp(0.0, 1.0) ** (1.0 / config.gamma)
    if config.bit_depth == 0:
        return ldr
    levels = float(2**config.bit_depth - 1)
    return torch.round(ldr * levels) / levels
