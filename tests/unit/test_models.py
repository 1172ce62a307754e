import dataclasses

import pytest
import torch

from lrhdr.checks import InputError
from lrhdr.exposure import ExposureSchedule
from lrhdr.models.accr import ACCRConfig, RepresentationMapper
from lrhdr.models.apswf import APSWFConfig
from lrhdr.models.eic import EIC
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig
from lrhdr.models.prior import prior_logits
from lrhdr.nn.triplet_attention import TripletAttention
from lrhdr.radiometry import ldr_to_radiance, radiance_to_ldr

TINY = {
    "accr": ACCRConfig(channels=4, context=4, mapper_hidden=4, decoder_hidden=4),
    "apswf": APSWFConfig(widths=(4, 4, 6, 8)),
}


def inputs(n: int, size: int = 16, batch: int = 2, start: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    exposures = ExposureSchedule.from_stops([2.0 * i for i in range(n)], start).window_exposures(0)
    e = torch.tensor([exposures] * batch)
    return torch.rand(batch, 2 * n - 1, 3, size, size), torch.rand(batch, n - 1, 3, size, size), e


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("fusion", ["entmax", "softmax", "dense"])
def test_shapes_ranges_and_votes(n, fusion):
    model = LRHDR(LRHDRConfig(n_exposures=n, fusion=fusion, **TINY)).eval()
    output = model(*inputs(n))
    k = 4 * n - 2
    assert output.hdr.shape == (2, 3, 16, 16)
    assert output.weights.shape == output.logits.shape == (2, k, 16, 16)
    assert output.candidates.shape == output.candidates_mu.shape == (2, k, 3, 16, 16)
    assert output.calibrated.shape == (2, n, 3, 16, 16)
    assert torch.allclose(output.weights.sum(dim=1), torch.ones(2, 16, 16), atol=1e-5)
    assert output.weights.min() >= 0
    assert output.hdr.min() >= 0
    assert output.hdr.max() <= 1 + 1e-6
    assert torch.isfinite(output.hdr).all()
    mixed = (output.weights[:, :, None] * output.candidates).sum(dim=1)
    assert torch.allclose(mixed, output.hdr, atol=1e-6)


@pytest.mark.parametrize("start", [0, 1, 2])
def test_candidates_are_gamma_of_the_frames_in_the_documented_order(start):
    window, between, exposures = inputs(3, start=start)
    output = LRHDR(LRHDRConfig(n_exposures=3, **TINY)).eval()(window, between, exposures)
    assert torch.allclose(output.candidates[:, :5], ldr_to_radiance(window, exposures))
    # interpolated frame k comes from the pair at offsets -k and N_e - k
    assert torch.allclose(output.candidates[:, 5], ldr_to_radiance(between[:, 0], exposures[:, 1]))
    assert torch.allclose(output.candidates[:, 6], ldr_to_radiance(between[:, 1], exposures[:, 0]))
    # untrained, calibration passes the frames through
    assert torch.allclose(output.candidates[:, 7], output.candidates[:, 2], atol=1e-5)
    assert torch.allclose(output.candidates[:, 8:], output.candidates[:, 5:7], atol=1e-5)


def test_the_ablation_switches_are_fields_of_the_configuration():
    base = LRHDR(LRHDRConfig(accr=None, apswf=TINY["apswf"])).eval()
    output = base(*inputs(2))
    assert output.weights.shape[1] == 4
    assert output.calibrated.shape[1] == 0
    plain = dataclasses.replace(TINY["accr"], encoder="plain", mapper="none", cue_domain="linear")
    names = dict(LRHDR(LRHDRConfig(accr=plain, apswf=TINY["apswf"])).named_parameters())
    assert not any("mapper" in name or "hf1" in name for name in names)
    without = LRHDR(LRHDRConfig(prior=False, **TINY)).eval()(*inputs(2))
    assert torch.equal(without.logits, torch.zeros_like(without.logits))  # heads start at zero


def test_every_parameter_learns_and_gradients_are_finite_at_black_and_white():
    model = LRHDR(LRHDRConfig(**TINY))
    with torch.no_grad():
        for parameter in model.parameters():  # leave the zero start, where some gradients vanish by design
            parameter.add_(0.05 * torch.randn_like(parameter))
    window, between, exposures = inputs(2)
    window[:, :, :, :4] = 0.0
    window[:, :, :, 4:8] = 1.0
    output = model(window, between, exposures)
    (output.candidates_mu.square().mean() + output.hdr.square().mean() + output.logits.square().mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_one_network_serves_both_polarities():
    model = LRHDR(LRHDRConfig(**TINY)).eval()
    for start in (0, 1):
        assert torch.isfinite(model(*inputs(2, start=start)).hdr).all()


def test_refuses_what_does_not_fit():
    model = LRHDR(LRHDRConfig(**TINY))
    window, between, exposures = inputs(2)
    with pytest.raises(InputError, match="window: expected shape"):
        model(window[:, :2], between, exposures)
    with pytest.raises(InputError, match="interpolated: expected shape"):
        model(window, between.expand(-1, 2, -1, -1, -1), exposures)
    with pytest.raises(InputError, match="exposures: expected shape"):
        model(window, between, exposures[:, :2])
    with pytest.raises(InputError, match="multiples of 8"):
        model(window[..., :15], between[..., :15], exposures)


def test_configuration_round_trips_and_refuses_nonsense():
    for n in (2, 3):
        for name in ("compact", "paper"):
            config = LRHDRConfig.preset(name, n)
            assert LRHDRConfig.from_dict(config.to_dict()) == config
    no_accr = LRHDRConfig(accr=None)
    assert LRHDRConfig.from_dict(no_accr.to_dict()) == no_accr
    assert no_accr.n_candidates == 4
    for bad in (
        lambda: LRHDRConfig(n_exposures=1),
        lambda: LRHDRConfig(fusion="mean"),
        lambda: LRHDRConfig(alpha=1.0),
        lambda: LRHDRConfig.preset("huge"),
        lambda: LRHDRConfig.from_dict({"depth": 3}),
        lambda: LRHDRConfig.from_dict({"accr": {"depth": 3}}),
        lambda: ACCRConfig(encoder="vit"),
        lambda: ACCRConfig(mapper="flow"),
        lambda: ACCRConfig(cue_domain="log"),
        lambda: ACCRConfig(channels=0),
        lambda: APSWFConfig(widths=(1, 2, 3)),
    ):
        with pytest.raises(ValueError, match=r"expected|unknown|unexpected"):
            bad()


def test_gate_of_eic_is_a_sigmoid_of_the_log_exposure():
    eic = EIC(4, 4)
    e = torch.tensor([1.0, 8.0])
    expected = torch.sigmoid(eic.gate_weight * torch.log(e + 1e-8) + eic.gate_bias)
    assert torch.allclose(eic.gate(e).flatten(), expected)
    assert eic(torch.rand(2, 6, 8, 12), e).shape == (2, 4, 4, 6)


def test_mapper_starts_as_the_identity():
    features = torch.randn(1, 4, 5, 5)
    assert torch.equal(RepresentationMapper(4, 6)(features, torch.randn(1, 3, 10, 10)), features)


def test_triplet_attention_agrees_with_its_permuted_definition():
    attention = TripletAttention().eval()
    x = torch.randn(2, 5, 6, 7)

    def branch(gate, t):  # gate over axes 2 and 3 of t, pooled over axis 1
        z = torch.cat((t.amax(1, keepdim=True), t.mean(1, keepdim=True)), dim=1)
        return t * torch.sigmoid(gate.norm(gate.conv(z)))

    hw = branch(attention.gate_hw, x)
    cw = branch(attention.gate_cw, x.permute(0, 2, 1, 3)).permute(0, 2, 1, 3)
    ch = branch(attention.gate_ch, x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert torch.allclose(attention(x), (hw + cw + ch) / 3, atol=1e-6)


def test_prior_prefers_the_longest_unclipped_frame_and_the_reference_over_ghosts():
    radiance = torch.full((1, 1, 3, 16, 16), 0.02)
    exposures = torch.tensor([[8.0, 1.0, 8.0]])
    window = radiance_to_ldr(radiance.expand(-1, 3, -1, -1, -1), exposures)
    between = window[:, :1]

    def logits(window, between):
        return prior_logits(window, exposures, between, torch.tensor([[8.0]]), calibrated=True)

    still = logits(window, between)[0, :, 8, 8]
    assert still[3] == still[5] == 0.0  # the interpolated long frame and what is calibrated from it
    assert still.max().item() == 0.0
    moved = logits(window, radiance_to_ldr(radiance[:, 0] * 4, 8.0)[:, None])[0, :, 8, 8]
    assert moved[1] > moved[3] + 4 / 3  # the ghosting long frame loses to the reference by a decisive margin
    clipped = torch.ones_like(between)
    assert logits(window, clipped)[0, 3, 8, 8] < -4 / 3
    everything = logits(torch.ones_like(window), clipped)[0, :, 8, 8]
    assert everything.argmax().item() in (1, 4)  # where all is clipped, the shortest exposure knows most


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("interpolated", [True, False])
def test_aligned_neighbours_are_candidates_after_the_interpolated(n, interpolated):
    config = LRHDRConfig(n, accr=None, apswf=TINY["apswf"], fusion="dense", interpolated=interpolated, aligned=True)
    model = LRHDR(config).eval()
    window, between, exposures = inputs(n)
    aligned = torch.rand(2, 2 * n - 2, 3, 16, 16)
    output = model(window, between, exposures, aligned=aligned)
    assert output.candidates.shape[1] == output.weights.shape[1] == config.n_candidates
    own = torch.cat((exposures[:, : n - 1], exposures[:, n:]), dim=1)
    assert torch.allclose(output.candidates[:, -(2 * n - 2) :], ldr_to_radiance(aligned, own))
    with pytest.raises(InputError, match="needs the neighbours aligned"):
        model(window, between, exposures)
    with pytest.raises(InputError, match="aligned: expected shape"):
        model(window, between, exposures, aligned=aligned[:, :1])


def test_aligned_neighbours_beside_accr_leave_its_frames_where_they_were():
    torch.manual_seed(0)
    model = LRHDR(LRHDRConfig(aligned=True, **TINY)).eval()
    window, between, exposures = inputs(2)
    output = model(window, between, exposures, aligned=torch.rand(2, 2, 3, 16, 16))
    assert output.candidates.shape[1] == 8
    # untrained, calibration passes the reference and the interpolated frame through, and so does their prior
    for calibrated, source in ((6, 1), (7, 3)):
        assert torch.allclose(output.candidates[:, calibrated], output.candidates[:, source], atol=1e-5)
        assert torch.equal(output.logits[:, calibrated], output.logits[:, source])
    with pytest.raises(ValueError, match="interpolated"):
        LRHDRConfig(interpolated=False, aligned=True, **TINY)
    with pytest.raises(ValueError, match="interpolated"):
        LRHDRConfig(accr=None, interpolated=False)
