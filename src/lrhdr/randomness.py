"""Random numbers without global state: the package's one bridge between torch and numpy generators.

Public functions take a `torch.Generator`. Code that draws many single numbers (camera paths, layers) derives a numpy
generator from it, which is faster for scalars and as reproducible.
"""

from __future__ import annotations

import numpy as np
import torch

from lrhdr.checks import InputError


def torch_generator(*key: int) -> torch.Generator:
    """Make a generator from a key such as (seed, index), so that item `index` does not depend on the items before it.

    Args:
        key: integers >= 0. Keys that differ in any place give independent streams (numpy's `SeedSequence` hashes them).

    Returns:
        A CPU generator.

    Raises:
        InputError: a negative number, as a seed may be.
    """
    if min(key) < 0:
        raise InputError(f"seed: expected 0 or more, found {min(key)}")
    words = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0]) & (2**63 - 1))


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """Derive a numpy generator, advancing the torch generator by one draw."""
    seed = int(torch.randint(0, 2**62, (), generator=generator, device=generator.device).item())
    return np.random.default_rng(seed)
