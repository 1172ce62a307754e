import pytest
import torch

from lrhdr.entmax import entmax
from lrhdr.losses import LossConfig, accr_loss, gradient_loss, informed_weight, lrhdr_loss, oracle_index, vote_loss
from lrhdr.models.lrhdr import LRHDROutput
from lrhdr.tonemap import mu_law


def output_for(candidates: torch.Tensor, logits: torch.Tensor, n: int = 2) -> LRHDROutput:
    weights = entmax(logits)
    hdr = (weights[:, :, None] * candidates).sum(dim=1)
    return LRHDROutput(hdr, weights, logits, candidates, candidates[:, -n:], mu_law(candidates))


def test_perfect_output_costs_nothing():
    target = torch.rand(1, 3, 8, 8)
    candidates = target[:, None].expand(-1, 6, -1, -1, -1).clone()
    logits = torch.zeros(1, 6, 8, 8)
    logits[:, 0] = 10.0  # argmin takes the first of equals
    losses = lrhdr_loss(output_for(candidates, logits), target, LossConfig(), 1.75)
    assert losses.total.item() == pytest.approx(0.0, abs=1e-6)


def test_total_is_the_weighted_sum_of_its_parts():
    target = torch.rand(1, 3, 8, 8)
    output = output_for(torch.rand(1, 6, 3, 8, 8), torch.randn(1, 6, 8, 8))
    config = LossConfig()
    losses = lrhdr_loss(output, target, config, 1.75)
    assert (config.recon, config.accr, config.vote) == (1.0, 0.1, 0.5)  # the paper's
    expected = losses.recon + 0.1 * losses.accr + 0.5 * losses.vote
    assert losses.total.item() == pytest.approx(expected.item())
    assert losses.recon.item() == pytest.approx((mu_law(output.hdr) - mu_law(target)).abs().mean().item())
    off = lrhdr_loss(output, target, LossConfig(accr=0.0, vote=0.0), 1.75)
    assert off.total.item() == pytest.approx(losses.recon.item())
    assert off.vote.item() == 0.0
    log = lrhdr_loss(output, target, LossConfig(accr=0.0, vote=0.0, recon=0.0, recon_log=1.0), 1.75)
    mse = (mu_law(output.hdr) - mu_law(target)).square().mean()
    assert log.total.item() == pytest.approx(torch.log(mse + 1e-5).item())


def test_interpolated_path_counts_seven_tenths():
    target = torch.zeros(1, 3, 8, 8)
    calibrated = torch.stack((torch.full((1, 3, 8, 8), 0.1), torch.full((1, 3, 8, 8), 0.2)), dim=1)
    assert accr_loss(calibrated, target, LossConfig()).item() == pytest.approx(0.1 + 0.7 * 0.2)


def test_informed_calibration_ignores_ghosts_and_keeps_noise():
    target = torch.full((1, 3, 16, 16), 0.5)
    noise = 0.04 * torch.where(torch.rand(1, 1, 3, 16, 16) < 0.5, -1.0, 1.0)
    noisy, ghost = target[:, None] + noise, target[:, None] + 0.3
    config = LossConfig(accr_weighting="informed", accr_gradient=0.0)
    known = accr_loss(noisy, target, config, noisy).item()
    assert 0.5 * 0.04 < known < 0.04
    assert accr_loss(ghost, target, config, ghost).item() < 0.01 * 0.3
    weight = informed_weight(torch.cat((noisy, ghost), dim=1), target)
    assert weight.shape == (1, 2, 1, 16, 16)
    assert weight[:, 0].min() > 10 * weight[:, 1].max()


def test_gradient_loss_ignores_offsets_and_weights_its_scales():
    x = torch.rand(1, 3, 16, 16)
    assert gradient_loss(x + 0.3, x).item() == pytest.approx(0.0, abs=1e-6)
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    # slope 1 along x at full size, 2 at half, 4 at a quarter
    assert gradient_loss(ramp, torch.zeros_like(ramp)).item() == pytest.approx(1.0 + 0.5 * 2.0 + 0.25 * 4.0)
    assert gradient_loss(torch.rand(1, 3, 1, 1), torch.rand(1, 3, 1, 1)).item() == 0.0


def test_oracle_is_the_nearest_candidate():
    target = torch.full((1, 3, 2, 2), 0.5)
    candidates = torch.stack([torch.full((1, 3, 2, 2), v) for v in (0.1, 0.45, 0.9)], dim=1)
    index, distance = oracle_index(candidates, target)
    assert index.unique().tolist() == [1]
    assert distance[0, 1, 0, 0].item() == pytest.approx(3 * 0.05**2, rel=1e-4)


def test_vote_by_stake_is_silent_where_nothing_is_at_stake():
    target = torch.full((1, 3, 4, 4), 0.5)
    same = target[:, None].expand(-1, 6, -1, -1, -1)
    logits = torch.randn(1, 6, 4, 4)
    assert vote_loss(logits, same, target, 1.75, "stake").item() == 0.0
    assert vote_loss(logits, same, target, 1.75, "uniform").item() > 0.0
    spread = torch.stack([torch.full((1, 3, 4, 4), v) for v in (0.5, 0.0, 0.0, 0.0, 0.0, 0.0)], dim=1)
    stake, uniform = (vote_loss(logits, spread, target, 1.75, w).item() for w in ("stake", "uniform"))
    assert stake == pytest.approx(uniform)


def test_bad_settings_are_refused():
    for bad in ({"vote_weighting": "none"}, {"accr_weighting": "none"}, {"recon": -1.0}):
        with pytest.raises(ValueError, match="expected"):
            LossConfig(**bad)


def test_softmax_votes_are_taught_by_cross_entropy():
    logits = torch.randn(2, 4, 5, 5)
    candidates, target = torch.rand(2, 4, 3, 5, 5), torch.rand(2, 3, 5, 5)
    index, _ = oracle_index(candidates, target)
    expected = -torch.log_softmax(logits, 1).gather(1, index[:, None]).mean()
    assert torch.allclose(vote_loss(logits, candidates, target, 1.0, "uniform"), expected)
