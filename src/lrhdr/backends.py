"""Ways to run the network: PyTorch (streaming on CPUs), ONNX Runtime, torch.compile; and in which precision.

`prepare` takes an `LRHDR` and returns something that is called like it and gives the same result: within 1e-4 of its
radiance in precision "fp32" (tested). Several threads may call it at once.

- "torch", on a CPU: strips of rows that fit the cache (`models/streaming.py`), where the configuration is one that it
  knows; otherwise, and on a GPU, the network as it is, in channels_last.
- "onnx": ONNX Runtime (extra `onnx`) runs what `lrhdr export` writes; made once per weights, kept in the user's cache.
- "compile": torch.compile; needs a C++ compiler on a CPU, and on a GPU records CUDA graphs. The first frame of a size
  waits for the compiler.

Precision "bf16" computes the convolutions in bfloat16 and keeps radiometry, flow and vote in float32; "auto" takes it
where that is quick: on CPUs that multiply it, and, not measured, on GPUs with quality "fast". It changed the mean
PSNR_T of no evaluation set by more than 0.005 dB (docs/speed.md). Quality "fast" takes a cheaper search for motion,
where the interpolator has one (`TunableInterpolator`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lrhdr._version import __version__
from lrhdr.cache import cache_dir
from lrhdr.checks import InputError
from lrhdr.export import OPSET, export_onnx, import_onnxruntime, open_session
from lrhdr.models import streaming
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.models.streaming import StreamingLRHDR, supports
from lrhdr.nn.precision import bf16_is_fast

BACKENDS = ("torch", "onnx", "compile")
QUALITIES = ("best", "fast")
PRECISIONS = ("auto", *streaming.PRECISIONS)

_COMPILER = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")  # what torch.compile looks for

Notify = Callable[[str], None]


class BackendOutput(NamedTuple):
    """What a backend gives for one window.

    Attributes:
        hdr: (B, 3, H, W), linear radiance.
        weights: (B, K, H, W), the vote; None unless maps were asked for.
        candidates: (B, K, 3, H, W), linear radiance; None unless maps were asked for.
    """

    hdr: Tensor
    weights: Tensor | None
    candidates: Tensor | None


@dataclass(frozen=True)
class BackendChoice:
    """What to run a network with.

    Attributes:
        backend: a name in `BACKENDS`.
        quality: "best" or "fast" (a cheaper search for motion).
        precision: of the convolutions: "fp32", "bf16", or "auto", which depends on the machine.
    """

    backend: str = "torch"
    quality: str = "best"
    precision: str = "auto"

    def __post_init__(self) -> None:
        """Check the names.

        Raises:
            InputError: an unknown one, or two that do not go together.
        """
        for name, known in (("backend", BACKENDS), ("quality", QUALITIES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise InputError(f"{name}: expected one of {', '.join(known)}, found {getattr(self, name)!r}")
        if self.backend == "onnx" and self.precision == "bf16":
            raise InputError("precision: expected fp32 or auto with --backend onnx, found 'bf16'")

    def half(self, device: torch.device) -> bool:
        """Whether convolutions are computed in bfloat16 there."""
        if self.precision != "auto":
            return self.precision == "bf16"
        if device.type != "cpu":
            return self.quality == "fast"
        return self.backend == "torch" and bf16_is_fast()


def prepare(
    model: LRHDR, choice: BackendChoice, device: torch.device, threads: int = 1, notify: Notify | None = None
) -> Any:
    """Make a network ready to be called.

    Args:
        model: in eval mode; moved to the device.
        choice: backend and precision.
        device: where to compute.
        threads: compute threads per frame, for backends that keep their own.
        notify: called with each line that a person should read.

    Returns:
        Called as `LRHDR.forward`, with the keyword `maps` more (whether weights and candidates are wanted), it gives
        `hdr`, `weights` and `candidates`; it has the attributes `config` and `MULTIPLE`.

    Raises:
        InputError: a package or compiler is missing, or the device cannot do it.
    """
    say = notify or (lambda _line: None)
    if choice.backend == "onnx":
        if device.type != "cpu":
            raise InputError(f"backend: onnx runs on the CPU here, found --device {device}")
        return OnnxMethod(model, threads, say)
    # channels_last makes convolutions 1.5 times faster on CPUs, at no cost in accuracy; GPUs like it in half precision.
    model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    half = choice.half(device)
    if choice.precision == "bf16" and device.type == "cpu" and not bf16_is_fast():
        say("precision bf16: this CPU does not multiply bfloat16, fp32 is faster")
    if choice.backend == "torch" and supports(model):
        return StreamingLRHDR(model, "bf16" if half else "fp32")
    return TorchMethod(model, device, compiled=choice.backend == "compile", half=half)


class TorchMethod:
    """The network itself, compiled or not, in float32 or under autocast.

    Args:
        model: in eval mode, on its device.
        device: that device.
        compiled: by torch.compile.
        half: convolutions in bfloat16.

    Raises:
        InputError: `compiled`, and no C++ compiler for a CPU.
    """

    def __init__(self, model: LRHDR, device: torch.device, *, compiled: bool, half: bool) -> None:
        if compiled and device.type == "cpu" and not find_compiler():
            raise InputError(f"backend compile: found no C++ compiler ({_COMPILER}, or CXX), expected one")
        self.config = model.config
        self.MULTIPLE = model.MULTIPLE
        self._device = device
        self._half = half
        self._run: Callable[..., Any] = model
        if compiled:
            mode = "default" if device.type == "cpu" else "reduce-overhead"  # the latter records CUDA graphs
            self._run = torch.compile(model, dynamic=False, mode=mode)
        self._lock = threading.Lock() if compiled else None
        self._seen: set[tuple[int, ...]] = set()

    def __call__(
        self,
        window: Tensor,
        interpolated: Tensor,
        exposures: Tensor,
        noise: Tensor | None = None,
        aligned: Tensor | None = None,
        *,
        maps: bool = False,
    ) -> BackendOutput:
        """Run it; see `LRHDR.forward`."""
        arguments = (window, interpolated, exposures, noise, aligned)
        if self._lock is None or tuple(window.shape) in self._seen:
            return self._call(arguments, maps)
        with self._lock:  # the compiler works for one thread at a time
            output = self._call(arguments, maps)
            self._seen.add(tuple(window.shape))
        return output

    def _call(self, arguments: tuple[Tensor | None, ...], maps: bool) -> BackendOutput:
        try:
            with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._half):
                output = self._run(*arguments)
        except RuntimeError as error:
            # Known by the name of a class of its own or above: importing that would import the compiler.
            kinds = {kind.__name__ for kind in type(error).__mro__}
            if self._lock is None or "BackendCompilerFailed" not in kinds:
                raise
            reason = " ".join(str(error).split())
            raise InputError(f"backend compile: the compiler failed ({reason[:300]})") from None
        if not maps:
            return BackendOutput(output.hdr, None, None)
        return BackendOutput(output.hdr, output.weights, output.candidates)


class OnnxMethod:
    """The network in ONNX Runtime.

    Args:
        model: in eval mode, on the CPU.
        threads: compute threads per call.
        notify: called with a line when the network has to be exported first.

    Raises:
        InputError: a package is missing, or a configuration that is not exported.
    """

    def __init__(self, model: LRHDR, threads: int, notify: Notify) -> None:
        self.config: LRHDRConfig = model.config
        self.MULTIPLE = model.MULTIPLE
        import_onnxruntime()  # so that what `open_session` refuses below is the file
        path = cached_onnx(model)
        session: Any = None
        if path.is_file():
            with suppress(InputError):  # damaged: the cache may be made again at any time
                session = open_session(path, threads)
        if session is None:
            notify("backend onnx: exporting the network, once for these weights")
            export_onnx(model, path)
            session = open_session(path, threads)
        self._session = session

    def __call__(
        self,
        window: Tensor,
        interpolated: Tensor,
        exposures: Tensor,
        noise: Tensor | None = None,
        *,
        maps: bool = False,
    ) -> BackendOutput:
        """Run it, for one window; see `LRHDR.forward`."""
        inputs = {"window": window, "interpolated": interpolated, "exposures": exposures}
        if noise is not None:
            inputs["noise"] = noise
        names = ["hdr", "weights", "candidates"] if maps else ["hdr"]
        arrays = {name: tensor.float().cpu().numpy() for name, tensor in inputs.items()}
        outputs = [torch.from_numpy(array) for array in self._session.run(names, arrays)]
        return BackendOutput(*outputs) if maps else BackendOutput(outputs[0], None, None)


def cached_onnx(model: nn.Module) -> Path:
    """Where the exported network lies in the user's cache, or would: named by its weights, configuration and opset."""
    digest = hashlib.sha256(f"{__version__} {OPSET} {json.dumps(model.config.to_dict(), sort_keys=True)}".encode())  # type: ignore[operator, union-attr]
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return cache_dir() / "onnx" / f"{digest.hexdigest()[:32]}.onnx"


def find_compiler() -> str | None:
    """The C++ compiler that torch.compile would call; None where there is none."""
    own = os.environ.get("CXX")
    return shutil.which(own or _COMPILER)
