"""The metrics by name: what `--metrics` chooses from, and how each is given a result and its ground truth.

Frame judges give one number per frame. Others look at neighbouring frames, or at a clip as a whole, and give one number
per clip. Those that judge light (PU21, HDR-VDP-2, HDR-VQM, ColorVideoVDP) get it from the `Display`; the others work
on radiance, whose 1.0 is the saturation of the shortest exposure, or on T of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.metrics.colorvideovdp import colorvideovdp
from lrhdr.metrics.ghost import ghost_share
from lrhdr.metrics.hdrvdp2 import hdrvdp2
from lrhdr.metrics.hdrvqm import hdrvqm, moment_frames
from lrhdr.metrics.psnr import psnr, psnr_mu
from lrhdr.metrics.pu21 import psnr_pu21, ssim_pu21
from lrhdr.metrics.ssim import Window, ssim, true_range
from lrhdr.metrics.temporal import flicker_error, still_flicker
from lrhdr.metrics.warped import warped_error_change
from lrhdr.protocols import PU21_PEAK, Display, Protocol
from lrhdr.tonemap import mu_law


@dataclass(frozen=True, eq=False)
class JudgedFrame:
    """What a frame judge sees.

    Attributes:
        hdr: (1, 3, H, W), the result, linear.
        truth: (1, 3, H, W), as the protocol normalised it.
        reference: (1, 3, H, W), the gamma-encoded LDR frame itself.
        exposure: (1,), its relative exposure.
        protocol: how HDR-VDP-2 is asked.
        display: where the light comes from.
    """

    hdr: Tensor
    truth: Tensor
    reference: Tensor
    exposure: Tensor
    protocol: Protocol
    display: Display


@dataclass(frozen=True)
class Judge:
    """One metric.

    Attributes:
        name: as in `--metrics` and in files.
        label: heading of its column.
        digits: decimals in tables.
        higher_is_better: which way is good.
        by_reference: means are also given by the exposure of the reference frame.
        factor: what tables multiply by (100 for percent).
        frame: the function of a frame judge; None for others.
        clip: the function of a judge of whole clips, (result (T, 3, H, W), truth, display) to a number, or to None
            where the clip is too short; None for others.
        light: its number depends on the display.
    """

    name: str
    label: str
    digits: int
    higher_is_better: bool
    by_reference: bool = True
    factor: float = 1.0
    frame: Callable[[JudgedFrame], Tensor] | None = None
    clip: Callable[[Tensor, Tensor, Display], float | None] | None = None
    light: bool = False


def _ssim(tone_mapped: bool, window: Window) -> Callable[[JudgedFrame], Tensor]:
    """SSIM with the true frame's range, as the field's scripts have it, of T(H) or of H."""

    def score(x: JudgedFrame) -> Tensor:
        hdr, truth = (mu_law(x.hdr.double()), mu_law(x.truth.double())) if tone_mapped else (x.hdr, x.truth)
        return ssim(hdr, truth, true_range(truth), window)

    return score


def _pu21(function: Callable[..., Tensor]) -> Callable[[JudgedFrame], Tensor]:
    return lambda x: function(x.display.light(x.hdr), x.display.light(x.truth), peak_luminance=PU21_PEAK)


def _hdrvdp2(x: JudgedFrame) -> Tensor:
    size = (x.truth.shape[-2], x.truth.shape[-1])
    resolution = x.protocol.pixels_per_degree(size, x.display)
    if x.protocol.vdp_input == "srgb-display":
        test, truth = x.hdr.clamp(0.0, 1.0), x.truth.clamp(0.0, 1.0)
        return hdrvdp2(test, truth, encoding="srgb-display", pixels_per_degree=resolution).q
    test, truth = x.display.light(x.hdr), x.display.light(x.truth)
    return hdrvdp2(test, truth, encoding="rgb-bt.709", pixels_per_degree=resolution).q


def _cvvdp(hdr: Tensor, truth: Tensor, display: Display) -> float:
    return colorvideovdp(
        display.light(hdr),
        display.light(truth),
        frames_per_second=display.frames_per_second,
        peak=display.peak,
        black=display.black,
        pixels_per_degree=display.pixels_per_degree,
    )


def _hdrvqm(hdr: Tensor, truth: Tensor, display: Display) -> float | None:
    if len(hdr) <= moment_frames(display.frames_per_second):
        return None
    light, true_light = display.light(hdr), display.light(truth)
    return hdrvqm(light, true_light, frames_per_second=display.frames_per_second).normalised


JUDGES: dict[str, Judge] = {
    judge.name: judge
    for judge in (
        Judge("psnr_t", "PSNR_T", 2, True, frame=lambda x: psnr_mu(x.hdr, x.truth)),
        Judge("ssim_t", "SSIM_T", 4, True, frame=_ssim(True, "uniform")),
        Judge("psnr_l", "PSNR_L", 2, True, frame=lambda x: psnr(x.hdr, x.truth, data_range=1.0)),
        Judge("ssim_l", "SSIM_L", 4, True, frame=_ssim(False, "uniform")),
        Judge("ssim_t_gaussian", "SSIM_T 11x11", 4, True, frame=_ssim(True, "gaussian")),
        Judge("ssim_l_gaussian", "SSIM_L 11x11", 4, True, frame=_ssim(False, "gaussian")),
        Judge("pu21_psnr", "PU21-PSNR", 2, True, frame=_pu21(psnr_pu21), light=True),
        Judge("pu21_ssim", "PU21-SSIM", 4, True, frame=_pu21(ssim_pu21), light=True),
        Judge("hdrvdp2", "HDR-VDP-2 Q", 2, True, frame=_hdrvdp2, light=True),
        Judge("cvvdp", "ColorVideoVDP JOD", 3, True, by_reference=False, clip=_cvvdp, light=True),
        Judge("hdrvqm", "HDR-VQM", 4, True, by_reference=False, clip=_hdrvqm, light=True),
        Judge(
            "ghosts",
            "ghosts %",
            2,
            False,
            by_reference=False,
            factor=100.0,
            frame=lambda x: ghost_share(x.hdr, x.truth, x.reference, x.exposure),
        ),
        Judge("flicker", "flicker", 4, False, by_reference=False),
        Judge("still_flicker", "still flicker", 4, False, by_reference=False),
        Judge("warped_error", "warped error", 4, False, by_reference=False),
    )
}
"""By name, in the order of the tables."""

DEFAULT_METRICS = ("psnr_t", "ssim_t", "psnr_l", "ssim_l", "pu21_psnr", "ghosts", "flicker")
"""What is measured unless told otherwise: cheap, and of use to everybody."""


def choose_metrics(names: Sequence[str]) -> tuple[Judge, ...]:
    """Judges by name, each once, in the order of the tables.

    Raises:
        InputError: none, or an unknown name.
    """
    unknown = next((name for name in names if name not in JUDGES), None)
    if unknown is not None or not names:
        raise InputError(f"metrics: expected some of {', '.join(JUDGES)}, found {unknown or 'none'}")
    return tuple(judge for judge in JUDGES.values() if judge.name in names)


def judge_frame(judges: Sequence[Judge], frame: JudgedFrame) -> dict[str, float]:
    """Ask the frame judges among some judges.

    Args:
        judges: of any kind.
        frame: the result of one frame, its border already cropped.

    Returns:
        Metric name to number.
    """
    return {j.name: float(j.frame(frame)) for j in judges if j.frame is not None}


class ClipJudges:
    """Judges that need more than one frame: given a method's frames one by one, in order.

    Frames that follow each other are a run; a gap starts a new one. Judges of pairs look at frames `t, t + 1` of a run,
    and their values are means over the pixels that count in all pairs, as if the run had been given at once. Judges of
    clips get whole runs, and their values are means over runs, by length.
    """

    def __init__(self, judges: Sequence[Judge], display: Display) -> None:
        """Choose.

        Args:
            judges: of any kind; those of frames are passed over.
            display: for judges of light.
        """
        self._pairs = {j.name for j in judges} & {"flicker", "still_flicker", "warped_error"}
        self._clips = [j for j in judges if j.clip is not None]
        self._display = display
        self._last: tuple[int, Tensor, Tensor] | None = None
        self._sums: dict[str, list[tuple[float, float]]] = {}
        self._run: list[tuple[Tensor, Tensor]] = []

    def add(self, index: int, hdr: Tensor, truth: Tensor, motion: tuple[Tensor, Tensor] | None = None) -> None:
        """Give the next frame.

        Args:
            index: its position in the clip.
            hdr: (1, 3, H, W), the result.
            truth: (1, 3, H, W).
            motion: from the frame before to this one, where it is known: flow (1, 2, H, W) in pixels and visible
                (1, 1, H, W), as `lrhdr.metrics.warped` has them.
        """
        if not self._pairs and not self._clips:
            return
        if self._last is not None and self._last[0] == index - 1:
            self._pair(torch.cat((self._last[1], hdr)), torch.cat((self._last[2], truth)), motion)
        else:
            self._end_run()
        self._last = index, hdr, truth
        if self._clips:
            self._run.append((hdr, truth))

    def _pair(self, hdr: Tensor, truth: Tensor, motion: tuple[Tensor, Tensor] | None) -> None:
        if "flicker" in self._pairs:
            self._count("flicker", flicker_error(hdr, truth), 1.0)
        if "still_flicker" in self._pairs:
            still = still_flicker(hdr, truth)
            self._count("still_flicker", still.value, float(still.share))
        if "warped_error" in self._pairs and motion is not None:
            flow, visible = motion
            self._count("warped_error", warped_error_change(hdr, truth, flow, visible), float((visible > 0.5).sum()))

    def _end_run(self) -> None:
        if self._run:
            hdr, truth = (torch.cat(frames) for frames in zip(*self._run, strict=True))
            for judge in self._clips:
                assert judge.clip is not None, "chosen by that"
                value = judge.clip(hdr, truth, self._display)
                if value is not None:
                    self._count(judge.name, value, float(len(hdr)))
        self._run = []

    def _count(self, name: str, value: Tensor | float, weight: float) -> None:
        self._sums.setdefault(name, []).append((float(value) * weight, weight))

    def result(self) -> dict[str, float]:
        """Metric name to number; nothing where there was no pair, or no pixel that counts. Ends the last run."""
        self._end_run()
        totals = {n: (sum(v for v, _ in pairs), sum(w for _, w in pairs)) for n, pairs in self._sums.items()}
        return {name: value / weight for name, (value, weight) in totals.items() if weight > 0.0}


def check_available(judges: Sequence[Judge]) -> None:
    """Ask the judges of clips for one tiny image, so that a missing package is found before hours of work.

    Raises:
        InputError: a judge's package is missing.
    """
    tiny = torch.full((1, 3, 64, 64), 0.5)
    for judge in judges:
        if judge.clip is not None:
            judge.clip(tiny, tiny, Display())
