"""The network as an ONNX file, for other programs and for ONNX Runtime.

The file holds everything from code values to radiance: linearisation, ACCR, the prior, the vote, α-entmax and the
weighted sum. What it leaves to its caller is the interpolation of the frames at the reference's time, the noise level
(`lrhdr.noise`), and padding to multiples of 8.

Inputs: `window` (1, 2 N_e - 1, 3, H, W) and `interpolated` (1, N_e - 1, 3, H, W), float32, gamma-encoded in [0, 1];
`exposures` (1, 2 N_e - 1), relative, shortest = 1; `noise` (1), standard deviation in code units, where the network
takes it. Outputs: `hdr` (1, 3, H, W), linear, 1.0 = saturation of the shortest exposure; `weights` (1, K, H, W);
`candidates` (1, K, 3, H, W). H and W are free multiples of 8, unless a size was fixed.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lrhdr._version import __version__
from lrhdr.checks import InputError
from lrhdr.io.atomic import make_parent, write_bytes
from lrhdr.models.lrhdr import LRHDR
from lrhdr.weights import WeightsRecord, load_pretrained

OPSET = 18
"""Version of ONNX's operators: ONNX Runtime from 1.14 (2023) runs it."""

_LARGEST = 2048  # times 8 pixels: the largest side


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        path: the file.
        name: of the weights.
        inputs: their names.
        size: (height, width) that the file is fixed to; None for any multiple of 8.
    """

    path: Path
    name: str
    inputs: tuple[str, ...]
    size: tuple[int, int] | None


class _Forward(nn.Module):
    """The network with the outputs of the file."""

    def __init__(self, model: LRHDR) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, window: Tensor, interpolated: Tensor, exposures: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        output = self.model(window, interpolated, exposures, noise)
        return output.hdr, output.weights, output.candidates


def export_weights(weights: str, path: Path, size: tuple[int, int] | None = None) -> Exported:
    """Export bundled weights, or a weights file.

    Args:
        weights: what `load_pretrained` takes.
        path: the ONNX file to write.
        size: (height, width) to fix; None leaves them free.

    Returns:
        What was written.

    Raises:
        WeightsError: the weights cannot be used.
        InputError: see `export_onnx`.
        OutputError: the file cannot be written.
    """
    model, record = load_pretrained(weights)
    export_onnx(model, path, size=size, record=record)
    inputs = ("window", "interpolated", "exposures", *(("noise",) if model.config.noise else ()))
    return Exported(path, record.name, inputs, size)


def export_onnx(
    model: LRHDR, path: Path, *, size: tuple[int, int] | None = None, record: WeightsRecord | None = None
) -> None:
    """Write a network as ONNX; see the module's docstring for inputs and outputs.

    Args:
        model: in eval mode, on the CPU.
        path: the file; its folder is made.
        size: (height, width) to fix, multiples of 8; None leaves them free.
        record: what is known of the weights, for the file's metadata.

    Raises:
        InputError: a package is missing, a size that is no multiple of 8, or a network that votes among aligned
            neighbours, which no caller outside has.
        OutputError: the file cannot be written.
    """
    onnx = _import_exporter()
    if model.config.aligned:
        raise InputError("export: expected a network without flow-aligned candidates, found one with them")
    step = model.MULTIPLE
    if size is not None and (min(size) < step or size[0] % step or size[1] % step):
        raise InputError(f"export: expected sides that are multiples of {step}, found {size[1]}x{size[0]}")
    height, width = size or (4 * step, 6 * step)
    frames, made = 2 * model.config.n_exposures - 1, model.config.n_exposures - 1
    names = ["window", "interpolated", "exposures"]
    # Values that are no constants of anything: an exporter may fold what it takes for one.
    example = [torch.rand(1, frames, 3, height, width), torch.rand(1, made, 3, height, width)]
    example.append(torch.tensor([[1.5 + i % (made + 1) for i in range(frames)]]))
    free: Any = None
    if size is None:
        sides = {
            3: step * torch.export.Dim("height_8", min=2, max=_LARGEST),
            4: step * torch.export.Dim("width_8", min=2, max=_LARGEST),
        }
        free = [sides, sides, None]
    if model.config.noise:
        names.append("noise")
        example.append(torch.tensor([0.01]))
        free = None if free is None else [*free, None]
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            _Forward(model).eval(),
            tuple(example),
            input_names=names,
            output_names=["hdr", "weights", "candidates"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=None if free is None else tuple(free),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    about = {"lrhdr": __version__, "n_exposures": str(model.config.n_exposures)}
    if record is not None:
        about |= {"weights": record.name, "sha256": record.sha256, "licence": record.licence}
        about["config"] = json.dumps(record.config)
    onnx.helper.set_model_props(proto, about)
    make_parent(path)
    write_bytes(path, proto.SerializeToString())


def _import_exporter() -> Any:
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch.onnx needs it)
    except ImportError as error:
        raise InputError(f"export: needs the package {error.name}: pip install 'lrhdr[onnx]'") from None
    return onnx


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on its own insides from the terminal."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def import_onnxruntime() -> Any:
    """The package onnxruntime.

    Raises:
        InputError: it is missing.
    """
    try:
        import onnxruntime
    except ImportError:
        raise InputError("backend onnx: needs the package onnxruntime: pip install 'lrhdr[onnx]'") from None
    return onnxruntime


def open_session(path: Path, threads: int) -> Any:
    """An ONNX Runtime session on the CPU.

    Args:
        path: an ONNX file.
        threads: compute threads per call; with one, each caller computes in its own thread.

    Raises:
        InputError: onnxruntime is missing, or cannot read the file.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own exceptions share no type of their own
        raise InputError(f"{path}: ONNX Runtime cannot use it ({str(error).splitlines()[0]})") from None
