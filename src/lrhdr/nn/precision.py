"""Which arithmetic a machine is quick at."""

from __future__ import annotations

import torch


def bf16_is_fast() -> bool:
    """Whether this CPU multiplies bfloat16 (AVX-512 BF16 or AMX); without, bfloat16 is slower than float32."""
    tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(bool(test()) for test in tests if test is not None)
