"""`lrhdr.transfer`: golden values, inverses, safe gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lrhdr import transfer
from lrhdr.checks import InputError

SIGNALS = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
LUMINANCES = (0.0, 0.005, 0.1, 1.0, 100.0, 203.0, 1000.0, 10000.0)

# Golden values: colour-science 0.4.7 (eotf_sRGB, eotf_ST2084, eotf_inverse_ST2084, oetf_inverse_BT2100_HLG and
# oetf_inverse_BT2020 with 12 bits, whose α = 1.0993 is 3e-6 from the exact one).
DECODED = {
    "srgb": (0.0, 7.7399380805e-4, 0.01002282557, 0.05087608817, 0.214041140482, 0.522521554, 0.7874122894, 1.0),
    "pq": (0.0, 0.0023101391237, 0.324565591464, 5.15417600983, 92.2457089941, 983.377855587, 3905.64465283, 10000.0),
    "hlg": (0.0, 3.333333333e-5, 0.003333333333, 0.02083333333, 0.08333333333, 0.2649625604, 0.5818375910, 1.0),
    "bt709": (0.0, 0.002222222222, 0.02248951849, 0.07825576663, 0.2597208271, 0.5636229361, 0.8090116931, 1.0),
}  # fmt: skip
PQ_SIGNALS = (
    7.30955902578e-7, 0.01507639904, 0.06233686566, 0.1499457321, 0.5080784215, 0.5806888810, 0.7518270962, 1.0
)  # fmt: skip

PAIRS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "srgb": (transfer.eotf_srgb, transfer.oetf_srgb),
    "pq": (transfer.eotf_pq, transfer.oetf_pq),
    "hlg": (transfer.oetf_hlg_inverse, transfer.oetf_hlg),
}
CURVES = {
    "gamma22": transfer.eotf_gamma22,
    "bt709": transfer.eotf_bt709,
    **{f"{name}-{what}": curve for name, pair in PAIRS.items() for what, curve in zip("de", pair, strict=True)},
}


def tensor(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("name", sorted(DECODED))
def test_decoding_against_colour_science(name: str) -> None:
    got = transfer.linearise(tensor(SIGNALS), name)
    torch.testing.assert_close(
        got, tensor(DECODED[name]), rtol=1e-5 if name == "bt709" else 1e-7, atol=3e-6 * (name == "bt709")
    )


def test_pq_encoding_against_colour_science() -> None:
    torch.testing.assert_close(transfer.oetf_pq(tensor(LUMINANCES)), tensor(PQ_SIGNALS), rtol=1e-9, atol=1e-15)


def test_hlg_display_against_colour_science() -> None:
    """`eotf_BT2100_HLG` of colour-science for three colours, at 1000 cd/m² and at 500 with a black of 0.05."""
    signal = tensor([[0.75, 0.75, 0.75], [0.9, 0.5, 0.1], [0.2, 0.8, 0.6]]).T.reshape(3, 1, 3)
    for peak, black, expected in (
        (1000, 0.0, (203.152145938, 203.152145938, 203.152145938, 425.655077172, 60.964188258, 2.43856753032,
                     10.0516796233, 258.416517995, 96.4932934232)),
        (500, 0.05, (124.117447836, 124.117447836, 124.117447836, 263.088138246, 39.0305357816, 2.19222679483,
                     7.21907815257, 158.668065257, 60.3677420948)),
    ):  # fmt: skip
        got = transfer.eotf_hlg(signal, peak, black).reshape(3, 3).T.flatten()
        torch.testing.assert_close(got, tensor(expected), rtol=1e-6, atol=0)


def test_reference_levels() -> None:
    """BT.2408: HDR reference white, 203 cd/m², is 58 % PQ and 75 % HLG on a 1000 cd/m² display."""
    assert transfer.oetf_pq(tensor(203.0)).item() == pytest.approx(0.58, abs=0.001)
    assert transfer.eotf_hlg(torch.full((3, 1, 1), 0.75)).mean().item() == pytest.approx(203, abs=0.5)
    assert transfer.eotf_bt709(tensor(0.409)).item() == pytest.approx(0.18, abs=0.001)


@pytest.mark.parametrize("name", sorted(PAIRS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_encode_undoes_decode(name: str, dtype: torch.dtype) -> None:
    decode, encode = PAIRS[name]
    signal = torch.linspace(0.001, 1, 4001, dtype=dtype)
    back = encode(decode(signal))
    assert back.dtype == dtype
    torch.testing.assert_close(back, signal, atol=2e-6 if dtype == torch.float32 else 1e-7, rtol=0)


@pytest.mark.parametrize("name", sorted(CURVES))
def test_curves_rise_and_do_not_jump(name: str) -> None:
    top = transfer.PQ_PEAK if name == "pq-e" else 1.0
    values = CURVES[name](torch.linspace(0, top, 20001, dtype=torch.float64))
    steps = values.diff()
    assert (steps[1:] > 0).all()
    assert (steps[2:] <= 1.05 * steps[1:-1].max()).all()


@pytest.mark.parametrize("name", sorted(CURVES))
def test_gradients_are_finite_everywhere(name: str) -> None:
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor([-1.0, 0.0, 1e-30, 1e-14, 1e-6, 0.5, 1.0, 1.5], dtype=dtype, requires_grad=True)
        y = CURVES[name](x)
        y.sum().backward()
        assert x.grad is not None
        assert torch.isfinite(y).all()
        assert torch.isfinite(x.grad).all()
        assert x.grad[0] == 0
        assert y[0] == y[1]


@pytest.mark.parametrize("name", sorted(CURVES))
def test_gradcheck(name: str) -> None:
    x = torch.tensor([0.011, 0.2, 0.37, 0.6, 0.93], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(CURVES[name], (x,))


def test_hlg_display_gradient_is_finite_at_black() -> None:
    signal = torch.zeros(3, 2, 2, requires_grad=True)
    transfer.eotf_hlg(signal).sum().backward()
    assert signal.grad is not None
    assert torch.isfinite(signal.grad).all()


@settings(max_examples=50, deadline=None)
@given(st.floats(0.0, 10000.0))
def test_pq_round_trip_of_luminance(luminance: float) -> None:
    """To 1e-4 relative; near black the float64 signal itself resolves about 1e-9 cd/m²."""
    back = transfer.eotf_pq(transfer.oetf_pq(tensor(luminance))).item()
    assert back == pytest.approx(luminance, rel=1e-4, abs=1e-6)


def test_ranges_and_names() -> None:
    assert transfer.eotf_pq(tensor([-1.0, 2.0])).tolist() == [0.0, 10000.0]
    torch.testing.assert_close(transfer.linearise(tensor([-0.5, 0.3]), "linear"), tensor([0.0, 0.3]))
    torch.testing.assert_close(transfer.linearise(tensor(0.5), "gamma28"), tensor(0.5**2.8))
    torch.testing.assert_close(transfer.linearise(tensor(0.5), "gamma22"), tensor(0.5**2.2))
    torch.testing.assert_close(transfer.linearise(tensor(SIGNALS), "unspecified"), transfer.eotf_bt709(tensor(SIGNALS)))
    with pytest.raises(InputError, match="slog"):
        transfer.linearise(tensor(0.5), "slog")
    with pytest.raises(InputError, match="axis -3"):
        transfer.eotf_hlg(torch.zeros(4, 1, 1))
    with pytest.raises(InputError, match="black"):
        transfer.eotf_hlg(torch.zeros(3, 1, 1), peak=100, black=200)
