import pytest
import torch

from lrhdr.filters import downsample2, gaussian_blur, gaussian_kernel1d, image_gradients, smoothstep
from lrhdr.warp import backward_warp, pixel_grid


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (64, 48)])
def test_zero_flow_changes_nothing(size):
    image = torch.rand(2, 3, *size)
    assert torch.equal(backward_warp(image, torch.zeros(2, 2, *size)), image)


def test_whole_pixel_flow_moves_by_whole_pixels_and_clamps_at_the_border():
    image = torch.rand(1, 3, 8, 9)
    flow = torch.zeros(1, 2, 8, 9)
    flow[:, 0] = 2.0
    flow[:, 1] = -1.0
    warped = backward_warp(image, flow)
    assert torch.equal(warped[..., 1:, :7], image[..., :7, 2:])
    assert torch.equal(warped[..., 0, 8], image[..., 0, 8])


def test_half_pixel_flow_averages_and_has_a_gradient():
    image = torch.rand(1, 1, 4, 4)
    flow = torch.full((1, 2, 4, 4), 0.5).requires_grad_()
    warped = backward_warp(image, flow)
    assert warped[0, 0, 0, 0].item() == pytest.approx(image[0, 0, :2, :2].mean().item(), abs=1e-6)
    warped.sum().backward()
    assert torch.isfinite(flow.grad).all()


def test_pixel_grid_is_x_then_y():
    grid = pixel_grid(2, 3, like=torch.zeros(1))
    assert grid[0, :, 1, 2].tolist() == [2.0, 1.0]


def test_blur_keeps_constants_and_mean():
    assert gaussian_kernel1d(1.3).sum().item() == pytest.approx(1.0)
    assert torch.allclose(gaussian_blur(torch.full((1, 2, 1, 5), 0.3), 1.0), torch.full((1, 2, 1, 5), 0.3))
    impulse = torch.zeros(1, 1, 21, 21)
    impulse[..., 10, 10] = 1.0
    blurred = gaussian_blur(impulse, 1.5)
    assert blurred.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert torch.allclose(blurred, blurred.transpose(2, 3))


def test_gradients_and_halving():
    x = torch.arange(6.0).view(1, 1, 1, 6)
    gx, gy = image_gradients(x)
    assert gx.unique().tolist() == [1.0]
    assert gy.numel() == 0
    assert downsample2(torch.ones(1, 1, 3, 5)).shape[-2:] == (2, 3)
    assert downsample2(torch.ones(1, 1, 3, 5)).unique().tolist() == [1.0]


def test_smooth_step_is_flat_at_its_ends():
    x = torch.tensor([-1.0, 0.0, 0.25, 0.5, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = smoothstep(x)
    assert y.tolist() == [0.0, 0.0, 0.15625, 0.5, 1.0, 1.0]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 1.125, 1.5, 0.0, 0.0]
