"""ColorVideoVDP: visible difference of colour video, in just-objectionable-difference units (JOD).

The metric of Mantiuk, Hanji, Ashraf, Asano and Chapiro (ACM TOG 43(4), 2024), computed by the authors' package `cvvdp`
(`pip install 'lrhdr[cvvdp]'`). It models colour vision, adaptation and flicker; 10 is identical, each unit less means
that 75 % of observers would prefer the reference once more.

The display is stated by the caller: `peak` and `black` in cd/m2 and the angular resolution, in a dark room without
reflections. Input is the light itself, BT.709 primaries; it is clipped to what the display can show.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lrhdr.checks import InputError
from lrhdr.metrics.psnr import check_images


def _package() -> Any:
    """The authors' package.

    Raises:
        InputError: not installed, or one of its own dependencies does not load.
    """
    try:
        import pycvvdp
    except ImportError as error:
        raise InputError(f"ColorVideoVDP needs the package cvvdp: pip install 'lrhdr[cvvdp]' ({error})") from error
    except RuntimeError as error:
        # torchvision built for another PyTorch fails while it is imported.
        first = str(error).splitlines()[0]
        raise InputError(
            f"ColorVideoVDP needs a torchvision that fits PyTorch {torch.__version__}; install both from one place "
            f"({first})"
        ) from error
    return pycvvdp


@torch.no_grad()
def colorvideovdp(
    test: Tensor,
    reference: Tensor,
    *,
    frames_per_second: float,
    peak: float,
    black: float,
    pixels_per_degree: float,
) -> float:
    """Compare a clip with its reference.

    Args:
        test: (T, 3, H, W), light in cd/m2, linear, BT.709 primaries, >= 0; T = 1 is an image.
        reference: same shape.
        frames_per_second: of the clip, > 0.
        peak: of the display, cd/m2.
        black: of the display, cd/m2; at least 0.005.
        pixels_per_degree: angular resolution, > 0.

    Returns:
        Quality in JOD: 10 for identical clips, lower for worse ones.

    Raises:
        InputError: the package is missing, shapes or channels that do not fit, or a display or rate out of range.
    """
    check_images(test, reference)
    if test.shape[1] != 3:
        raise InputError(f"ColorVideoVDP: expected 3 channels, found shape {tuple(test.shape)}")
    if not 0.005 <= black < peak or not pixels_per_degree > 0.0 or not frames_per_second > 0.0:
        raise InputError(
            "ColorVideoVDP: expected 0.005 <= black < peak, pixels per degree > 0 and frames per second > 0, found "
            f"{black:g}, {peak:g}, {pixels_per_degree:g}, {frames_per_second:g}"
        )
    package = _package()
    # "linear" clips to the display's black and peak and adds the reflected light of the room, here none.
    photometry = package.vvdp_display_photo_eotf(
        Y_peak=peak, contrast=peak / black, source_colorspace="BT.709-linear", EOTF="linear", E_ambient=0.0
    )
    geometry = package.vvdp_display_geometry([test.shape[-1], test.shape[-2]], ppd=pixels_per_degree)
    metric = package.cvvdp(
        display_photometry=photometry, display_geometry=geometry, quiet=True, device=test.device, heatmap=None
    )
    images = [x.float() for x in (test, reference)]
    if len(test) == 1:
        quality, _ = metric.predict(*(x[0] for x in images), dim_order="CHW")
    else:
        quality, _ = metric.predict(*images, dim_order="FCHW", frames_per_second=frames_per_second)
    return float(quality)
