import entmax as oracle
import pytest
import torch

from lrhdr.entmax import entmax, entmax_loss


@pytest.mark.parametrize("candidates", [2, 6, 10, 14])
@pytest.mark.parametrize("alpha", [1.5, 1.75, 2.0])
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_agrees_with_the_bisection_of_the_entmax_package(candidates, alpha, scale):
    z = torch.randn(500, candidates, dtype=torch.float64) * scale
    expected = oracle.entmax_bisect(z, alpha, dim=1, n_iter=60)
    assert torch.allclose(entmax(z, alpha), expected, atol=1e-9)
    assert torch.allclose(entmax(z.float(), alpha).double(), expected, atol=2e-6)


def test_sums_to_one_with_exact_zeros_on_any_axis():
    z = torch.randn(2, 6, 5, 7) * 4
    p = entmax(z, dim=1)
    assert torch.allclose(p.sum(dim=1), torch.ones(2, 5, 7), atol=1e-6)
    assert (p == 0).any()
    assert (p >= 0).all()
    assert torch.allclose(entmax(z.movedim(1, 3), dim=3), p.movedim(1, 3))


def test_is_one_hot_from_a_margin_of_four_thirds():
    assert entmax(torch.tensor([[0.0, 4 / 3 + 1e-4, 0.0]]), 1.75).tolist() == [[0.0, 1.0, 0.0]]
    assert entmax(torch.tensor([[0.0, 4 / 3 - 1e-2, 0.0]]), 1.75)[0, 0] > 0


def test_equal_logits_share_equally_and_extremes_stay_finite():
    assert torch.allclose(entmax(torch.zeros(1, 6)), torch.full((1, 6), 1 / 6))
    p = entmax(torch.tensor([[1e30, -1e30, 0.0], [-1e4, -1e4, -1e4]]))
    assert torch.isfinite(p).all()
    assert p[0].tolist() == [1.0, 0.0, 0.0]


def test_gradients_in_float64():
    z = torch.randn(9, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: entmax(x, 1.75), z)
    target = torch.arange(9) % 6
    assert torch.autograd.gradcheck(lambda x: entmax_loss(x, target, 1.75), z)


def test_loss_agrees_with_the_entmax_package_and_its_gradient_is_p_minus_y():
    z = torch.randn(50, 6, dtype=torch.float64, requires_grad=True)
    target = torch.randint(6, (50,))
    loss = entmax_loss(z, target, 1.75)
    expected = oracle.EntmaxBisectLoss(alpha=1.75, n_iter=60, reduction="none")(z, target)
    assert torch.allclose(loss, expected, atol=1e-8)
    (grad,) = torch.autograd.grad(loss.sum(), z)
    one_hot = torch.nn.functional.one_hot(target, 6)
    assert torch.allclose(grad, entmax(z.detach(), 1.75) - one_hot, atol=1e-9)


def test_loss_is_zero_where_the_margin_decides():
    loss = entmax_loss(torch.tensor([[5.0, 0.0, 0.0]], requires_grad=True), torch.tensor([0]))
    assert loss.item() == 0.0


def test_stays_float32_under_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        p = entmax(torch.randn(4, 6, dtype=torch.bfloat16))
    assert p.dtype == torch.float32
    assert torch.allclose(p.sum(dim=1), torch.ones(4), atol=1e-6)


@pytest.mark.parametrize("alpha", [1.0, 0.5, 2.5])
def test_refuses_other_alphas(alpha):
    with pytest.raises(ValueError, match="alpha"):
        entmax(torch.zeros(1, 3), alpha)
    with pytest.raises(ValueError, match="alpha"):
        entmax_loss(torch.zeros(1, 3), torch.tensor([0]), alpha)
