"""The yardstick of the speed benchmark costs what its model is published to cost."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch


def load() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "yardstick.py"
    spec = importlib.util.spec_from_file_location("yardstick", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("n_exposures", [2, 3])
def test_costs_what_is_published(n_exposures: int) -> None:
    yardstick = load()
    parameters, macs = yardstick.count(n_exposures, 64, 64)
    known = yardstick.PUBLISHED[n_exposures]
    assert parameters == pytest.approx(known["parameters"], rel=0.02)
    assert macs / 64**2 / 1e3 == pytest.approx(known["gmac_per_megapixel"], rel=0.02)


def test_layouts_agree() -> None:
    yardstick = load()
    window, exposures = torch.rand(1, 3, 3, 32, 48), torch.tensor([[1.0, 8.0, 1.0]])
    with torch.inference_mode():
        a, b = (yardstick.build(2, layout)(window, exposures) for layout in yardstick.LAYOUTS)
    assert a.shape == (1, 3, 32, 48)
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
