import pytest
import torch

from lrhdr.radiometry import (
    codes_to_float,
    ldr_to_radiance,
    merge_weighted,
    radiance_to_ldr,
    saturation_confidence,
    store_codes,
    to_codes,
    well_exposedness,
)


def test_known_values():
    ldr = torch.full((1, 3, 1, 1), 0.5)
    assert ldr_to_radiance(ldr, 8.0)[0, 0, 0, 0].item() == pytest.approx(0.5**2.2 / 8)
    assert ldr_to_radiance(torch.ones(1, 3, 1, 1), 1.0).max() == 1.0  # saturation of the shortest exposure


def test_round_trip_and_exposure_axes():
    radiance = torch.rand(2, 4, 3, 5, 5) / 16
    exposures = torch.tensor([[1.0, 4.0, 16.0, 1.0], [2.0, 8.0, 2.0, 8.0]])
    ldr = radiance_to_ldr(radiance, exposures)
    assert torch.allclose(ldr_to_radiance(ldr, exposures), radiance, atol=1e-7)
    assert torch.allclose(ldr[1], radiance_to_ldr(radiance[1], exposures[1]))


def test_clips_like_a_sensor():
    assert radiance_to_ldr(torch.full((1, 3, 1, 1), 0.3), 8.0).max() == 1.0
    assert radiance_to_ldr(torch.full((1, 3, 1, 1), -0.1), 8.0).min() == 0.0


@pytest.mark.parametrize("value", [-0.1, 0.0, 1.0, 1.5])
def test_gradients_are_finite_at_the_edges(value):
    for function in (ldr_to_radiance, radiance_to_ldr):
        x = torch.full((1, 3, 2, 2), value, requires_grad=True)
        function(x, 2.0).sum().backward()
        assert torch.isfinite(x.grad).all()


def test_merging_unclipped_exposures_returns_the_radiance_whatever_the_exposures():
    radiance = torch.rand(2, 1, 3, 6, 6) * 0.05
    for exposures in ((1.0, 2.0), (1.0, 8.0), (1.0, 4.0, 16.0)):
        e = torch.tensor([exposures] * 2)
        ldr = radiance_to_ldr(radiance.expand(-1, len(exposures), -1, -1, -1), e)
        merged = merge_weighted(ldr_to_radiance(ldr, e), well_exposedness(ldr, e), torch.zeros(2, 3, 6, 6))
        assert torch.allclose(merged, radiance[:, 0], atol=1e-6)


def test_merge_falls_back_where_nothing_is_trusted():
    fallback = torch.full((1, 3, 2, 2), 0.7)
    merged = merge_weighted(torch.rand(1, 2, 3, 2, 2), torch.zeros(1, 2, 1, 2, 2), fallback)
    assert torch.equal(merged, fallback)


def test_saturation_is_decided_by_the_brightest_channel():
    ldr = torch.tensor([0.2, 0.5, 1.0]).view(1, 3, 1, 1)
    assert saturation_confidence(ldr).item() == 0.0
    assert saturation_confidence(ldr * 0.8).item() == 1.0
    assert well_exposedness(ldr * 0.8, 4.0).item() == 4.0


def test_half_precision_is_computed_in_float32():
    assert ldr_to_radiance(torch.full((1, 3, 1, 1), 0.01, dtype=torch.float16), 1.0).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_values_are_stored_as_the_nearest_codes(dtype):
    values = torch.tensor([0.0, 0.25, 0.499999, 1.0])
    stored = torch.empty(4, dtype=dtype)
    store_codes(values, stored)
    step = {torch.uint8: 1 / 255, torch.uint16: 1 / 65535, torch.float32: 0.0}[dtype]
    torch.testing.assert_close(codes_to_float(stored), values, atol=0.5001 * step, rtol=0.0)
    assert codes_to_float(stored)[[0, -1]].tolist() == [0.0, 1.0]


def test_codes_are_rounded_and_clamped():
    values = torch.tensor([[-0.5, 0.0, 0.4999 / 65535, 0.5001 / 65535], [1.0 / 3.0, 1.0 - 0.4 / 65535, 1.0, 7.0]]).T
    codes = to_codes(values)
    assert codes.dtype == torch.uint16
    assert codes.is_contiguous()
    assert codes.tolist() == [[0, 21845], [0, 65535], [0, 65535], [1, 65535]]
    assert to_codes(values, torch.uint8)[:, 1].tolist() == [85, 255, 255, 255]
    every = torch.arange(65536, dtype=torch.int32).to(torch.uint16)
    assert torch.equal(to_codes(codes_to_float(every)), every)
