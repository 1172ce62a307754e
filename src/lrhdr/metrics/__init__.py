"""Quality measures, one idea a file; functional, with the data range as an explicit argument.

- `psnr`, `psnr_mu`: peak signal-to-noise ratio, also in the T domain (PSNR_T).
- `ssim`, `ssim_mu`: structural similarity with the field's window, also in the T domain (SSIM_T).
- `flicker`, `flicker_error`: change from frame to frame.
- `ghost_share`: where a result is worse than a well-exposed reference frame alone.
- `Meters`: running means by key.
"""

from lrhdr.metrics.ghost import ghost_share
from lrhdr.metrics.meters import Meters
from lrhdr.metrics.psnr import psnr, psnr_mu
from lrhdr.metrics.ssim import ssim, ssim_mu
from lrhdr.metrics.temporal import flicker, flicker_error

__all__ = ["Meters", "flicker", "flicker_error", "ghost_share", "psnr", "psnr_mu", "ssim", "ssim_mu"]
