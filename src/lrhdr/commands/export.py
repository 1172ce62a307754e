"""`lrhdr export`: the network as an ONNX file."""

from __future__ import annotations

import argparse

from lrhdr.commands.options import Commands, add_command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = add_command(
        commands, "export", run, "Write the network as an ONNX file, from code values to radiance (extra onnx)."
    )
    parser.add_argument("weights", metavar="WEIGHTS", help="bundled name or .safetensors file")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.onnx", help="file to write")
    parser.add_argument("--size", metavar="WxH", help="fix the frame's size (default: any multiples of 8)")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    import re
    from pathlib import Path

    from lrhdr.checks import InputError
    from lrhdr.export import OPSET, export_weights

    size = None
    if options.size:
        match = re.fullmatch(r"(\d+)x(\d+)", options.size)
        if not match:
            raise InputError(f"size: expected WxH in pixels, found {options.size!r}")
        size = int(match[2]), int(match[1])
    result = export_weights(options.weights, Path(options.output), size)
    shape = "any multiples of 8" if size is None else f"{size[1]}x{size[0]}"
    print(f"{result.path}: {result.name}, ONNX opset {OPSET}, {', '.join(result.inputs)} -> hdr, weights, candidates")
    print(f"frame size: {shape}")
