"""Camera log curves: recorded code value to scene-linear light.

Input is the code value divided by the largest code (CV / 1023 for 10 bits), as the makers' papers define it; output is
scene reflectance (0.18 = mid grey, 0.9 = white card), which exceeds 1 in highlights. Codes below the curve's black give
small negative light. Computed in float64, because a power of ten of a float32 costs digits.

Sources (constants as printed there):
    slog3   Sony, "Technical Summary for S-Gamut3.Cine/S-Log3 and S-Gamut3/S-Log3", 2014
    vlog    Panasonic, "V-Log/V-Gamut Reference Manual", rev. 1.0, 2014
    clog3   Canon, "Canon Log Gamma Curves, Description of the Canon Log, Canon Log 2 and Canon Log 3 Gamma Curves",
            version 1.2, 2020
    logc3   ARRI, "ALEXA Log C Curve, Usage in VFX", 2012: SUP 3.x, EI 800, linear scene exposure factor
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lrhdr.checks import InputError

SLOG3_CUT = 171.2102946929 / 1023
VLOG_B, VLOG_C, VLOG_D = 0.00873, 0.241514, 0.598206
VLOG_CUT = 0.181
CLOG3_SLOPE = 14.98325
CLOG3_SCALE = 0.36726845
LOGC3_CUT, LOGC3_A, LOGC3_B = 0.010591, 5.555556, 0.052272
LOGC3_C, LOGC3_D, LOGC3_E, LOGC3_F = 0.247190, 0.385537, 5.367655, 0.092809


def decode_slog3(signal: Tensor) -> Tensor:
    """S-Log3 to scene light.

    Args:
        signal: CV / 1023.

    Returns:
        Reflectance, same shape and type; 0.18 at code 420.
    """
    v = signal.double()
    log = 10.0 ** ((v * 1023 - 420) / 261.5) * (0.18 + 0.01) - 0.01
    line = (v * 1023 - 95) * 0.01125000 / (171.2102946929 - 95)
    return torch.where(v >= SLOG3_CUT, log, line).to(signal.dtype)


def decode_vlog(signal: Tensor) -> Tensor:
    """V-Log to scene light.

    Args:
        signal: CV / 1023.

    Returns:
        Reflectance, same shape and type; 0.18 at code 433.
    """
    v = signal.double()
    log = 10.0 ** ((v - VLOG_D) / VLOG_C) - VLOG_B
    return torch.where(v < VLOG_CUT, (v - 0.125) / 5.6, log).to(signal.dtype)


def decode_clog3(signal: Tensor) -> Tensor:
    """Canon Log 3 (version 1.2) to scene light.

    Args:
        signal: CV / 1023.

    Returns:
        Reflectance (0.9 times the paper's relative light), same shape and type; 0.18 at code 351.
    """
    v = signal.double()
    below = -(10.0 ** ((0.12783901 - v) / CLOG3_SCALE) - 1) / CLOG3_SLOPE
    middle = (v - 0.12512219) / 1.9754798
    above = (10.0 ** ((v - 0.12240537) / CLOG3_SCALE) - 1) / CLOG3_SLOPE
    light = torch.where(v < 0.097465473, below, torch.where(v <= 0.15277891, middle, above))
    return (0.9 * light).to(signal.dtype)


def decode_logc3(signal: Tensor) -> Tensor:
    """ARRI Log C (version 3, EI 800) to scene light.

    Args:
        signal: CV / 1023.

    Returns:
        Reflectance, same shape and type; 0.18 at code 400.
    """
    v = signal.double()
    log = (10.0 ** ((v - LOGC3_D) / LOGC3_C) - LOGC3_B) / LOGC3_A
    line = (v - LOGC3_F) / LOGC3_E
    return torch.where(v > LOGC3_E * LOGC3_CUT + LOGC3_F, log, line).to(signal.dtype)


LOG_CURVES: dict[str, Callable[[Tensor], Tensor]] = {
    "slog3": decode_slog3,
    "vlog": decode_vlog,
    "clog3": decode_clog3,
    "logc3": decode_logc3,
}


def decode_log(signal: Tensor, name: str) -> Tensor:
    """Decode a camera's log signal by the name of its curve.

    Args:
        signal: CV / 1023, in [0, 1].
        name: "slog3", "vlog", "clog3" or "logc3".

    Returns:
        Scene reflectance, same shape and type.

    Raises:
        InputError: another name.
    """
    if name not in LOG_CURVES:
        raise InputError(f"log curve: expected one of {', '.join(LOG_CURVES)}, found {name!r}")
    return LOG_CURVES[name](signal)
