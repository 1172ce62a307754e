"""How results are scored, as frozen objects with names: which frames, against which truth, with what pasted over them.

Two numbers compare only where their protocol is the same, so its name and settings stand in every table and file:

- `all-frames`: every frame that has ground truth, the network's own output, nothing divided. What `lrhdr evaluate` does
  unless told otherwise.
- `network-only`: the same, but ground truth is divided as the field divides it.
- `field`: what the public test scripts of HDRFlow, NECHDR and F2HDR score: the reference frame pasted over the output
  wherever it is well exposed, and only frames far enough from the ends of a clip.
- `lrhdr-paper`: what the note on the LRHDR paper says: HDR-VDP-2 at 30 pixels per degree. The note names no paste, so
  the output is the network's own; frames and division are the field's (our choice).

HDR-VDP-2, PU21 and ColorVideoVDP judge light, not numbers: `Display` says how much light a radiance of 1.0 is and how
large a pixel looks. Those numbers are ours to choose, and part of every result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.metrics.hdrvdp2 import angular_resolution

PU21_PEAK = 100.0
"""Light whose PU21 code is the peak of PU21-PSNR and the range of PU21-SSIM, cd/m2: the white of a standard display, as
the authors of PU21 score (they round its code, 256.4, to 256)."""


@dataclass(frozen=True)
class Display:
    """The screen on which results are judged.

    Attributes:
        peak: light of radiance 1.0, cd/m2; brighter radiance is shown as this. 1000 is the peak for which most HDR10
            content is graded.
        black: light of radiance 0, cd/m2; 0.005 is the least that PU21 is defined for.
        pixels_per_degree: angular resolution for the eye; 30 is a 24 inch Full HD screen from 0.46 m.
        frames_per_second: at which clips are shown; matters to ColorVideoVDP, which sees flicker.
    """

    peak: float = 1000.0
    black: float = 0.005
    pixels_per_degree: float = 30.0
    frames_per_second: float = 24.0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: a peak outside (black, 10000], a negative black, or no positive resolution or rate.
        """
        if not 0.0 <= self.black < self.peak <= 10_000.0:
            raise InputError(
                f"display: expected a peak above {self.black:g} and up to 10000 cd/m2, found {self.peak:g}"
            )
        if not 0.0 < self.pixels_per_degree < float("inf"):
            raise InputError(f"display: expected pixels per degree above 0, found {self.pixels_per_degree:g}")
        if not 0.0 < self.frames_per_second < float("inf"):
            raise InputError(f"display: expected frames per second above 0, found {self.frames_per_second:g}")

    def light(self, radiance: Tensor) -> Tensor:
        """What the screen emits for linear radiance of any shape: cd/m2, from `black` to `peak`."""
        return (radiance.clamp(0.0, 1.0) * self.peak).clamp_min(self.black)


@dataclass(frozen=True)
class FieldScript:
    """What the field's public test script does with one data set.

    Attributes:
        divides: ground truth is divided by its maximum where that exceeds 1.
        margin: frames left out at each end of a clip beyond the N_e - 1 that have no whole window.
    """

    divides: bool = True
    margin: int = 0


FIELD_SCRIPTS: dict[str, FieldScript] = {
    "cinematic": FieldScript(divides=False, margin=1),
    "deephdrvideo": FieldScript(divides=True, margin=1),
    "realhdrv": FieldScript(divides=True, margin=0),
}
"""As read in the public code of HDRFlow (Cinematic, DeepHDRVideo) and F2HDR (Real-HDRV). Other sets get the default."""


@dataclass(frozen=True)
class Protocol:
    """One way to score.

    Attributes:
        name: as in `--protocol`.
        composite: whether the reference is pasted over the result where it is well exposed
            (`lrhdr.frames.composite_with_reference`); a command can ask for both and gets two tables.
        divide: "never", or "field": as the field's script for the data set does (`FIELD_SCRIPTS`).
        frames: "labelled": every frame with ground truth; "field": those that the field's script scores.
        crop: pixels left out at each border. No script of the field crops; the setting is for results that have
            borders.
        vdp_input: what HDR-VDP-2 is given: "rgb-bt.709": the display's light; "srgb-display": the linear values as if
            they were sRGB pixels of a 1 to 100 cd/m2 screen, as Chen et al. (ICCV 2021) published.
        vdp_pixels_per_degree: of HDR-VDP-2; None for the display's, or, with "srgb-display", that of a 24 inch screen
            with the frame's number of pixels, seen from 0.5 m (Chen et al.; 25.5 for 1536x813).
    """

    name: str
    composite: bool = False
    divide: Literal["never", "field"] = "never"
    frames: Literal["labelled", "field"] = "labelled"
    crop: int = 0
    vdp_input: Literal["rgb-bt.709", "srgb-display"] = "rgb-bt.709"
    vdp_pixels_per_degree: float | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: a value outside its range.
        """
        for value, allowed in (
            (self.divide, ("never", "field")),
            (self.frames, ("labelled", "field")),
            (self.vdp_input, ("rgb-bt.709", "srgb-display")),
        ):
            if value not in allowed:
                raise InputError(f"protocol {self.name}: expected {' or '.join(allowed)}, found {value!r}")
        if self.crop < 0:
            raise InputError(f"protocol {self.name}: expected a crop of 0 or more pixels, found {self.crop}")

    def scored(self, dataset: str, n_frames: int, n_exposures: int, labelled: Sequence[int]) -> tuple[int, ...]:
        """The frames of a clip that are scored.

        Args:
            dataset: kind of data set.
            n_frames: length of the clip.
            n_exposures: N_e.
            labelled: frames with ground truth.

        Returns:
            Some of `labelled`, in their order.
        """
        if self.frames == "labelled":
            return tuple(labelled)
        margin = n_exposures - 1 + FIELD_SCRIPTS.get(dataset, FieldScript()).margin
        return tuple(i for i in labelled if margin <= i < n_frames - margin)

    def normalise(self, truth: Tensor, dataset: str) -> Tensor:
        """Ground truth as it is compared.

        Args:
            truth: (3, H, W), linear, the file's scale.
            dataset: kind of data set.

        Returns:
            The same, or divided by its maximum.
        """
        if self.divide == "field" and FIELD_SCRIPTS.get(dataset, FieldScript()).divides:
            highest = float(truth.max())
            return truth / highest if highest > 1.0 else truth
        return truth

    def cropped(self, image: Tensor) -> Tensor:
        """An image (..., H, W) without the border that is not scored.

        Raises:
            InputError: nothing would be left.
        """
        if not self.crop:
            return image
        if min(image.shape[-2:]) <= 2 * self.crop:
            raise InputError(f"protocol {self.name}: nothing is left of {tuple(image.shape[-2:])} without the border")
        return image[..., self.crop : -self.crop, self.crop : -self.crop]

    def pixels_per_degree(self, size: tuple[int, int], display: Display) -> float:
        """Angular resolution for HDR-VDP-2.

        Args:
            size: (height, width) of what is scored, without the border: the screen shows whole frames.
            display: the screen.
        """
        if self.vdp_pixels_per_degree is not None:
            return self.vdp_pixels_per_degree
        if self.vdp_input != "srgb-display":
            return display.pixels_per_degree
        return angular_resolution(24.0, (size[0] + 2 * self.crop, size[1] + 2 * self.crop), 0.5)

    def settings(self) -> dict[str, Any]:
        """Everything that makes numbers comparable, as plain values."""
        return asdict(self)

    def describe(self) -> str:
        """One line for tables."""
        truth = "truth as it is" if self.divide == "never" else "truth divided by its maximum where the field does"
        frames = "every frame with truth" if self.frames == "labelled" else "the field's frames"
        crop = f", {self.crop} px of border left out" if self.crop else ""
        return f"protocol `{self.name}`: {frames}, {truth}{crop}"


PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol("all-frames"),
        Protocol("network-only", divide="field"),
        Protocol("field", composite=True, divide="field", frames="field", vdp_input="srgb-display"),
        Protocol("lrhdr-paper", divide="field", frames="field", vdp_input="srgb-display", vdp_pixels_per_degree=30.0),
    )
}
"""By name."""

DEFAULT_PROTOCOL = "default"
"""Stands for `all-frames`."""


def get_protocol(name: str) -> Protocol:
    """A protocol by name; "default" is `all-frames`.

    Raises:
        InputError: unknown.
    """
    chosen = "all-frames" if name == DEFAULT_PROTOCOL else name
    if chosen not in PROTOCOLS:
        raise InputError(f"protocol: expected {', '.join((DEFAULT_PROTOCOL, *PROTOCOLS))}, found {name!r}")
    return PROTOCOLS[chosen]
