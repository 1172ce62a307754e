"""Shared settings of the tests: one thread (the suite shares its machine) and fixed seeds."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _calm() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
