"""Frames to and from a GPU beside its work: pinned memory and a stream of its own. On a CPU nothing moves.

The next frame is uploaded while the present one is computed (double buffering: the pipeline takes frames ahead of the
frame that is being computed).
"""

from __future__ import annotations

import torch
from torch import Tensor


class DeviceCopies:
    """Copies between a device and the computer's memory.

    Args:
        device: where tensors are computed with.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def upload(self, x: Tensor) -> Tensor:
        """Bring a tensor to the device; on a GPU the copy may still be under way (see `arrived`)."""
        if self._stream is None or x.device.type != "cpu":
            return x.to(self.device)
        # The copy lies in memory of the copying stream, which may take it back when the tensor is dropped. The pipeline
        # drops a frame only after `download` has waited for all that was computed from it.
        with torch.cuda.stream(self._stream):
            return x.pin_memory().to(self.device, non_blocking=True)

    def arrived(self) -> None:
        """Make what the calling thread computes next wait for the uploads so far."""
        if self._stream is not None:
            torch.cuda.current_stream(self.device).wait_stream(self._stream)

    def download(self, x: Tensor) -> Tensor:
        """Bring a tensor back; returns when it is there. On a GPU through pinned memory, other streams go on."""
        if self._stream is None:
            return x.cpu()
        target = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
        target.copy_(x, non_blocking=True)
        torch.cuda.current_stream(self.device).synchronize()
        return target
