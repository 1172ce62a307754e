"""Quality measures, one idea a file; functional, with the data range as an explicit argument.

- `psnr`, `psnr_mu`: peak signal-to-noise ratio, also in the T domain (PSNR_T).
- `ssim`, `ssim_mu`: structural similarity with the field's window, also in the T domain (SSIM_T).
- `hdrvdp2`: HDR-VDP-2.2.1, visibility of differences and quality, of light in cd/m2; `angular_resolution` of a display.
- `hdrvqm`: HDR-VQM, quality of video, of light in cd/m2.
- `colorvideovdp`: ColorVideoVDP through its authors' package (extra `cvvdp`).
- `psnr_pu21`, `ssim_pu21`: PSNR and SSIM of perceptually uniform codes of light, `pu21_encode`, `pu21_decode`.
- `flicker`, `still_flicker`, `flicker_error`: change of the result, of its still parts, of its error, frame to frame.
- `warped_error`, `warped_error_change`: the same along known motion.
- `ghost_share`: where a result is worse than a well-exposed reference frame alone.
- `Meters`: running means by key.
"""

from lrhdr.metrics.colorvideovdp import colorvideovdp
from lrhdr.metrics.ghost import ghost_share
from lrhdr.metrics.hdrvdp2 import VisibleDifference, angular_resolution, hdrvdp2
from lrhdr.metrics.hdrvqm import VideoQuality, hdrvqm
from lrhdr.metrics.meters import Meters
from lrhdr.metrics.psnr import psnr, psnr_mu
from lrhdr.metrics.pu21 import psnr_pu21, pu21_decode, pu21_encode, ssim_pu21
from lrhdr.metrics.ssim import ssim, ssim_mu
from lrhdr.metrics.temporal import StillFlicker, flicker, flicker_error, still_flicker
from lrhdr.metrics.warped import warped_error, warped_error_change

__all__ = [
    "Meters",
    "StillFlicker",
    "VideoQuality",
    "VisibleDifference",
    "angular_resolution",
    "colorvideovdp",
    "flicker",
    "flicker_error",
    "ghost_share",
    "hdrvdp2",
    "hdrvqm",
    "psnr",
    "psnr_mu",
    "psnr_pu21",
    "pu21_decode",
    "pu21_encode",
    "ssim",
    "ssim_mu",
    "ssim_pu21",
    "still_flicker",
    "warped_error",
    "warped_error_change",
]
