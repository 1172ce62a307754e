import math

import pytest
import torch

from lrhdr.tonemap import display_tonemap, mu_law, mu_law_inverse


def test_known_values():
    x = torch.tensor([0.0, 0.001, 1.0])
    assert mu_law(x).tolist() == pytest.approx([0.0, math.log(6) / math.log(5001), 1.0])


def test_inverse_in_float64():
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)
    assert torch.allclose(mu_law_inverse(mu_law(x)), x, atol=1e-12)


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_gradients_are_finite(value):
    for function in (mu_law, mu_law_inverse, display_tonemap):
        x = torch.tensor([value], requires_grad=True)
        function(x).sum().backward()
        assert torch.isfinite(x.grad).all()


def test_display_map_is_monotone_and_bounded():
    y = display_tonemap(torch.linspace(0, 100, 1000))
    assert (y.diff() >= 0).all()
    assert y[0] == 0.0
    assert y[-1] <= 1.0
    assert torch.equal(display_tonemap(torch.tensor([0.1]), 1.0), display_tonemap(torch.tensor([0.2])))
