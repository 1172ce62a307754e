"""LRHDR: HDR video from LDR video whose frames alternate between exposures.

The public names are loaded on first use, so that ``import lrhdr`` and ``lrhdr --help`` do not pay for PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lrhdr._version import __version__

if TYPE_CHECKING:
    from lrhdr.backends import BackendChoice
    from lrhdr.checks import InputError, LrhdrError, OutputError, WeightsError
    from lrhdr.exposure import ExposureSchedule
    from lrhdr.io.exr import write_exr
    from lrhdr.io.sources import FrameSource, open_frames
    from lrhdr.models.lrhdr import LRHDR, LRHDRConfig, LRHDROutput
    from lrhdr.pipeline import HdrFrame, Reconstructor
    from lrhdr.weights import WeightsRecord, load_pretrained

_HOMES = {
    "BackendChoice": "lrhdr.backends",
    "ExposureSchedule": "lrhdr.exposure",
    "FrameSource": "lrhdr.io.sources",
    "HdrFrame": "lrhdr.pipeline",
    "InputError": "lrhdr.checks",
    "LRHDR": "lrhdr.models.lrhdr",
    "LRHDRConfig": "lrhdr.models.lrhdr",
    "LRHDROutput": "lrhdr.models.lrhdr",
    "LrhdrError": "lrhdr.checks",
    "OutputError": "lrhdr.checks",
    "Reconstructor": "lrhdr.pipeline",
    "WeightsError": "lrhdr.checks",
    "WeightsRecord": "lrhdr.weights",
    "load_pretrained": "lrhdr.weights",
    "open_frames": "lrhdr.io.sources",
    "write_exr": "lrhdr.io.exr",
}

__all__ = [
    "LRHDR",
    "BackendChoice",
    "ExposureSchedule",
    "FrameSource",
    "HdrFrame",
    "InputError",
    "LRHDRConfig",
    "LRHDROutput",
    "LrhdrError",
    "OutputError",
    "Reconstructor",
    "WeightsError",
    "WeightsRecord",
    "__version__",
    "load_pretrained",
    "open_frames",
    "write_exr",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module the first time that it is asked for."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lrhdr' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
