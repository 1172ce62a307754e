"""Networks without values: to compare names and shapes before any memory is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _WithoutDraws(TorchFunctionMode):
    """Leaves out random initialisation: on the meta device it draws nothing, but imports PyTorch's compiler first."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


@contextmanager
def skeleton() -> Iterator[None]:
    """Modules built inside have parameters on the meta device: names and shapes only."""
    with torch.device("meta"), _WithoutDraws():
        yield
