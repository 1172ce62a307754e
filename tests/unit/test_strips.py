"""The strips' arithmetic stands for that of the whole-frame functions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lrhdr.entmax import entmax
from lrhdr.filters import gaussian_blur
from lrhdr.radiometry import ldr_to_radiance
from lrhdr.strips import (
    blur_rows,
    deinterleave,
    entmax_rows,
    interleave,
    radiance_rows,
    shuffle_planar,
    tone_rows,
    unshuffle_interleave,
    untone_rows,
)
from lrhdr.tonemap import mu_law, mu_law_inverse


@pytest.mark.parametrize("exposure", [1.0, 8.0, 256.0])
def test_radiance_and_tone_of_every_code(exposure: float) -> None:
    codes = torch.arange(-5, 65546, dtype=torch.float32).view(1, 1, -1) / 65535.0
    radiance = np.empty(codes.shape, dtype=np.float32)
    radiance_rows(codes.numpy(), exposure, radiance)
    expected = ldr_to_radiance(codes, exposure)
    torch.testing.assert_close(torch.from_numpy(radiance), expected, rtol=2e-6, atol=1e-12)
    tone = np.empty_like(radiance)
    tone_rows(radiance, tone)
    torch.testing.assert_close(torch.from_numpy(tone), mu_law(expected), rtol=0.0, atol=1e-6)
    back = np.empty_like(tone)
    untone_rows(tone, back)
    torch.testing.assert_close(torch.from_numpy(back), mu_law_inverse(torch.from_numpy(tone)), rtol=2e-6, atol=1e-10)


@pytest.mark.parametrize(("sigma", "radius"), [(0.8, None), (0.7, 2), (1.6, 4)])
def test_blur_of_rows_with_a_halo_is_that_of_the_frame(sigma: float, radius: int | None) -> None:
    frame = torch.rand(1, 3, 30, 17, generator=torch.Generator().manual_seed(0))
    whole = gaussian_blur(frame, sigma, radius)
    reach = 3 if radius is None else radius
    strip = np.ascontiguousarray(frame[0, :, 10 - reach : 18 + reach].numpy())
    np.testing.assert_allclose(blur_rows(strip, sigma, radius), whole[0, :, 10:18].numpy(), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layouts_are_those_of_torch_and_back(dtype: torch.dtype) -> None:
    planar = torch.rand(3, 8, 10, generator=torch.Generator().manual_seed(0)).to(dtype)
    rows = torch.empty(8, 10, 3, dtype=dtype)
    interleave(planar, rows)
    assert torch.equal(rows, planar.permute(1, 2, 0))
    again = torch.empty_like(planar)
    deinterleave(rows, again)
    assert torch.equal(again, planar)
    wide = torch.zeros(4, 5, 20, dtype=dtype)
    unshuffle_interleave(planar, wide[..., 4:16])
    assert torch.equal(wide[..., 4:16], F.pixel_unshuffle(planar[None], 2)[0].permute(1, 2, 0))
    assert not wide[..., :4].any()
    assert not wide[..., 16:].any()
    assert torch.equal(shuffle_planar(wide[..., 4:16].contiguous()), planar)


@pytest.mark.parametrize("alpha", [1.3, 1.5, 1.75])
@pytest.mark.parametrize("count", [2, 6, 14])
def test_entmax_of_rows(alpha: float, count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    logits = torch.randn(count, 20, 30, generator=generator) * torch.tensor([0.0, 0.3, 2.0, 20.0]).repeat(5)[:, None]
    logits[:, 0] = 1.0  # all equal
    expected = entmax(logits.double(), alpha, dim=0)
    found = torch.from_numpy(entmax_rows(logits.numpy().copy(), alpha))
    torch.testing.assert_close(found.double(), expected, rtol=0.0, atol=2e-5)
    torch.testing.assert_close(found.sum(dim=0), torch.ones(20, 30))
    # Exact zeros: whatever the exact solution leaves out by more than rounding is left out.
    left_out = entmax(logits.double(), alpha, dim=0) == 0.0
    assert float((found[left_out] > 0.0).double().mean()) < 0.01
