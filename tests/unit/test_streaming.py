"""The streaming executor gives what `LRHDR.forward` gives, for every configuration that it takes."""

import threading
from dataclasses import replace

import pytest
import torch

from lrhdr.checks import InputError
from lrhdr.lanes import in_lanes, lane_bounds
from lrhdr.models import streaming
from lrhdr.models.accr import ACCRConfig
from lrhdr.models.apswf import APSWFConfig
from lrhdr.models.lrhdr import LRHDR, LRHDRConfig, LRHDROutput
from lrhdr.models.streaming import StreamingLRHDR, supports
from lrhdr.tiling import pad_to_multiple
from lrhdr.tonemap import mu_law

_SMALL = LRHDRConfig(
    accr=ACCRConfig(channels=6, context=10, mapper_hidden=6, decoder_hidden=8),
    apswf=APSWFConfig(widths=(4, 8, 12, 16)),
    noise=True,
)

_NEAR = 3e-5
"""In the T domain. These networks' random weights enlarge rounding more than trained ones do."""


def _network(config: LRHDRConfig) -> LRHDR:
    """A network in which every weight, bias and running statistic matters."""
    model = LRHDR(config)
    generator = torch.Generator().manual_seed(1)
    for x in (*model.parameters(), *(b for b in model.buffers() if b.dtype == torch.float32)):
        scale = x[0].numel() ** -0.5 if x.ndim > 1 else 0.1
        x.data.normal_(0.0, scale, generator=generator)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_var is not None
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    return model.eval()


def _window(n: int, height: int, width: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Structure, noise, black and clipped parts; all exposures of the schedule differ."""
    generator = torch.Generator().manual_seed(2)
    frames = torch.rand(batch, 3 * n - 2, 3, height, width, generator=generator)
    frames[..., : width // 2] = frames[..., : width // 2].mean(dim=(1, 2), keepdim=True)
    frames = (1.4 * frames - 0.2 + 0.02 * torch.randn(frames.shape, generator=generator)).clamp(0.0, 1.0)
    exposures = torch.tensor([4.0 ** (i % n) for i in range(2 * n - 1)])
    return frames[:, : 2 * n - 1], frames[:, 2 * n - 1 :], exposures.expand(batch, -1)


def _forward(model: LRHDR, window: torch.Tensor, between: torch.Tensor, *rest: torch.Tensor | None) -> LRHDROutput:
    """The plain network, padded and cropped as the pipeline does."""
    height, width = window.shape[-2:]
    exposures, noise, aligned = rest
    aligned = None if aligned is None else pad_to_multiple(aligned, 8)
    with torch.inference_mode():
        output: LRHDROutput = model(pad_to_multiple(window, 8), pad_to_multiple(between, 8), exposures, noise, aligned)
    return LRHDROutput(*(x[..., :height, :width] for x in output))


@pytest.mark.parametrize(
    ("config", "height", "width"),
    [
        (_SMALL, 64, 48),
        (replace(_SMALL, n_exposures=3), 72, 40),
        (replace(_SMALL, n_exposures=4), 16, 8),
        (_SMALL, 45, 51),
        (_SMALL, 5, 3),
        (replace(_SMALL, noise=False, prior=False), 40, 24),
        (replace(_SMALL, accr=None), 40, 24),
        (replace(_SMALL, aligned=True), 41, 24),
        (replace(_SMALL, accr=None, interpolated=False, aligned=True), 24, 24),
        (replace(_SMALL, fusion="softmax"), 24, 40),
        (replace(_SMALL, fusion="dense"), 24, 40),
        (replace(_SMALL, alpha=1.9), 24, 24),
        (replace(_SMALL, alpha=1.3), 24, 24),
        (replace(_SMALL, apswf=APSWFConfig(widths=(4, 8, 12, 16), blocks=(2, 1, 2), attention=False)), 48, 32),
    ],
)
@pytest.mark.parametrize("strip", [8, 32])
def test_streaming_equals_the_network(config: LRHDRConfig, height: int, width: int, strip: int) -> None:
    model = _network(config)
    window, between, exposures = _window(config.n_exposures, height, width)
    neighbours = [i for i in range(window.shape[1]) if i != config.n_exposures - 1]
    aligned = window[:, neighbours].flip(-1) if config.aligned else None
    noise = torch.tensor([0.013])
    expected = _forward(model, window, between, exposures, noise, aligned)
    found = StreamingLRHDR(model, strip=strip)(window, between, exposures, noise, aligned, maps=True)
    assert found.weights is not None
    assert found.candidates is not None
    assert found.hdr.shape == expected.hdr.shape
    torch.testing.assert_close(mu_law(found.hdr), mu_law(expected.hdr), rtol=0.0, atol=_NEAR)
    torch.testing.assert_close(found.weights, expected.weights, rtol=0.0, atol=1e-4)
    torch.testing.assert_close(mu_law(found.candidates), expected.candidates_mu, rtol=0.0, atol=_NEAR)


@pytest.mark.parametrize("n", [2, 3])
def test_the_preset_is_exact_too(n: int) -> None:
    model = _network(replace(LRHDRConfig.preset("compact", n), noise=True))
    window, between, exposures = _window(n, 56, 64)
    expected = _forward(model, window, between, exposures, None, None)
    found = StreamingLRHDR(model)(window, between, exposures)
    assert found.weights is None
    torch.testing.assert_close(mu_law(found.hdr), mu_law(expected.hdr), rtol=0.0, atol=_NEAR)


@pytest.mark.parametrize(
    ("config", "height", "width"),
    [
        (_SMALL, 136, 24),
        (replace(_SMALL, n_exposures=3), 200, 16),
        (_SMALL, 45, 51),
        (_SMALL, 5, 3),
        (replace(_SMALL, accr=None, prior=False), 72, 24),
        (replace(_SMALL, accr=ACCRConfig(6, 10, 6, 8, decoder_blocks=3)), 232, 16),
    ],
)
@pytest.mark.parametrize("lanes", [2, 3, 7])
def test_lanes_give_the_same(config: LRHDRConfig, height: int, width: int, lanes: int) -> None:
    model = _network(config)
    window, between, exposures = _window(config.n_exposures, height, width)
    run = StreamingLRHDR(model, strip=8)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = run(window, between, exposures, maps=True)
        torch.set_num_threads(lanes)
        for _ in range(2):  # a second frame does not see the first
            found = run(window, between, exposures, maps=True)
        assert torch.get_num_threads() == lanes
    finally:
        torch.set_num_threads(before)
    for one, other in zip(found, expected, strict=True):
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other, rtol=0.0, atol=2e-6)


def test_a_lane_that_fails_says_so() -> None:
    def fail() -> None:
        raise InputError("the second")

    done = []
    with pytest.raises(InputError, match="the second"):
        in_lanes([lambda: done.append(0), fail, lambda: done.append(2)])
    assert sorted(done) == [0, 2]
    assert lane_bounds(40, 3, 16) == [(0, 16), (16, 32), (32, 40)]
    assert lane_bounds(40, 2, 16) == [(0, 16), (16, 40)]
    assert lane_bounds(5, 4, 8) == [(0, 5)]


def test_a_second_frame_and_another_size_do_not_see_the_first() -> None:
    model = _network(_SMALL)
    run = StreamingLRHDR(model, strip=8)
    window, between, exposures = _window(2, 40, 24)
    first = run(window, between, exposures).hdr
    run(1.0 - window, between, exposures)
    run(*(x[..., :17, :19] for x in (window, between)), exposures)
    assert torch.equal(run(window, between, exposures).hdr, first)


def test_large_frames_hold_less_and_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _network(_SMALL)
    window, between, exposures = _window(2, 40, 24)
    expected = StreamingLRHDR(model, strip=8)(window, between, exposures).hdr
    monkeypatch.setattr(streaming, "KEEP_PIXELS", 100)
    run = StreamingLRHDR(model, strip=8)
    for _ in range(2):
        hdr = run(window, between, exposures).hdr
        # Calibrated frames are rounded to 16 bits.
        torch.testing.assert_close(mu_law(hdr), mu_law(expected), atol=2e-5, rtol=0.0)


def test_bfloat16_is_near_and_not_the_same() -> None:
    model = _network(_SMALL)
    window, between, exposures = _window(2, 40, 24)
    exact = StreamingLRHDR(model)(window, between, exposures, maps=True)
    short = StreamingLRHDR(model, "bf16")(window, between, exposures, maps=True)
    assert short.hdr.dtype == torch.float32
    assert exact.candidates is not None
    assert short.candidates is not None
    # What the convolutions do not make is untouched.
    assert torch.equal(short.candidates[:, :4], exact.candidates[:, :4])
    difference = (mu_law(short.hdr) - mu_law(exact.hdr)).abs()
    assert 0.0 < float(difference.mean()) < 0.01


@pytest.mark.parametrize(("dtype", "white"), [(torch.uint8, 255), (torch.uint16, 65535)])
def test_frames_may_be_a_list_of_integers(dtype: torch.dtype, white: int) -> None:
    model = _network(_SMALL)
    window, between, exposures = _window(2, 21, 24)
    codes = (window * white).round()
    frames = [x.to(torch.int32).to(dtype) for x in codes[0]]
    run = StreamingLRHDR(model)
    expected = run(codes / white, between, exposures, torch.tensor([0.01])).hdr
    found = run(frames, list(between[0]), exposures, torch.tensor([0.01])).hdr
    torch.testing.assert_close(mu_law(found), mu_law(expected), rtol=0.0, atol=1e-5)


def test_a_batch_is_its_frames() -> None:
    model = _network(_SMALL)
    window, between, exposures = _window(2, 24, 16, batch=2)
    run = StreamingLRHDR(model)
    both = run(window, between, exposures, maps=True)
    assert both.weights is not None
    assert both.weights.shape == (2, 6, 24, 16)
    for i in range(2):
        one = run(window[i : i + 1], between[i : i + 1], exposures[i : i + 1])
        assert torch.equal(both.hdr[i : i + 1], one.hdr)


def test_weights_that_change_in_place_are_followed() -> None:
    model = _network(_SMALL)
    run = StreamingLRHDR(model)
    window, between, exposures = _window(2, 24, 16)
    run(window, between, exposures)
    with torch.no_grad():
        model.apswf.head0.weight.mul_(-2.0)
    expected = _forward(model, window, between, exposures, None, None)
    torch.testing.assert_close(run(window, between, exposures).hdr, expected.hdr, rtol=0.0, atol=_NEAR)
    model.apswf.head0.weight.data.mul_(0.3)  # which no version counts
    expected = _forward(model, window, between, exposures, None, None)
    torch.testing.assert_close(run(window, between, exposures).hdr, expected.hdr, rtol=0.0, atol=_NEAR)


def test_threads_share_an_executor() -> None:
    model = _network(_SMALL)
    run = StreamingLRHDR(model, strip=8)
    window, between, exposures = _window(2, 48, 40)
    windows = [window, 1.0 - window, window.flip(-1)]
    expected = [run(w, between, exposures).hdr for w in windows]
    found: list[list[torch.Tensor]] = [[] for _ in windows]

    def work(i: int) -> None:
        found[i].extend(run(windows[i], between, exposures).hdr for _ in range(3))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(windows))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for results, one in zip(found, expected, strict=True):
        assert len(results) == 3
        assert all(torch.equal(x, one) for x in results)


def test_what_is_not_known_is_refused() -> None:
    full = LRHDR(replace(_SMALL, apswf=APSWFConfig(widths=(4, 8, 12, 16), attention_full=True)))
    plain = LRHDR(replace(_SMALL, accr=ACCRConfig(encoder="plain")))
    linear = LRHDR(replace(_SMALL, accr=ACCRConfig(cue_domain="linear")))
    assert supports(LRHDR(_SMALL))
    for model in (full, plain, linear):
        assert not supports(model)
        with pytest.raises(ValueError, match="not supported"):
            StreamingLRHDR(model)
    with pytest.raises(ValueError, match="fp16"):
        StreamingLRHDR(LRHDR(_SMALL), "fp16")
    with pytest.raises(ValueError, match="12"):
        StreamingLRHDR(LRHDR(_SMALL), strip=12)


def test_frames_that_do_not_fit_are_refused() -> None:
    run = StreamingLRHDR(LRHDR(_SMALL).eval())
    window, between, exposures = _window(2, 24, 16)
    with pytest.raises(InputError, match="window: expected 3 frames"):
        run(window[:, :2], between, exposures)
    with pytest.raises(InputError, match="interpolated: expected frames of shape"):
        run(window, between[..., :8], exposures)
    with pytest.raises(InputError, match="exposures: expected 3"):
        run(window, between, exposures[:, :2])
