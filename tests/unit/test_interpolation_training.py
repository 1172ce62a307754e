"""Training the compact interpolator: augmentation keeps motion true, runs resume exactly, files load again."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lrhdr.checkpoint import load_checkpoint, save_checkpoint
from lrhdr.checks import InputError, OutputError, WeightsError
from lrhdr.data.generated import CachedSamples
from lrhdr.data.motion import CachedPairs, PairSample, add_motion, motion_path
from lrhdr.data.recompletion import recomplete_cache
from lrhdr.interpolate import complete_window, get_interpolator
from lrhdr.interpolate.compact import CompactInterpolator, pair_motion
from lrhdr.interpolate.compact_net import CompactConfig, CompactNet
from lrhdr.interpolate.flow import to_arrays
from lrhdr.interpolate.sampling import fetch
from lrhdr.interpolate.stored import build_interpolator, read_stored
from lrhdr.interpolation_training import (
    InterpolationTrainConfig,
    augment,
    errors,
    load_interpolation_config,
    need,
    run_network,
    save_interpolator,
    train_interpolator,
    widened,
)
from samples import write_cache


def tiny(data: Path, output: Path, **changes: object) -> InterpolationTrainConfig:
    config = InterpolationTrainConfig(
        data=(str(data),),
        output=str(output),
        network=CompactConfig(widths=(4, 4, 4), fine=4, features=2),
        steps=4,
        batch=2,
        crop=32,
        warmup=1,
        validation=2,
        validate_every=2,
        log_every=1,
    )
    return replace(config, **changes)  # type: ignore[arg-type]


def moving_pair() -> PairSample:
    """A picture that moves by (3, 1) px per frame, with its exact motion."""
    generator = torch.Generator().manual_seed(1)
    wide = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 60, 72, generator=generator), 5, 1, 2)[0]
    frames = [wide[:, 4 + t : 52 + t, 4 + 3 * t : 52 + 3 * t] for t in range(3)]
    motion = torch.zeros(8, 24, 24)
    # content moves by (-3, -1): in the first frame it lies further right and down
    for channel, value in enumerate((1.5, 0.5, -1.5, -0.5, -3.0, -1.0, 1.0, 1.0)):
        motion[channel] = value
    one = torch.tensor(1.0)
    guided = torch.empty(4, 48, 48)
    guided[:] = 2.0 * motion[:4, :1, :1]
    half = torch.tensor(0.5)
    return PairSample(frames[0], frames[2], frames[1], motion, guided, half, one, one, one, frames[1] ** 2.2)


def test_augmented_motion_still_leads_from_the_reference_to_both_frames() -> None:
    pair = moving_pair()
    config = tiny(Path("x"), Path("y"), no_reference=0.0, same_frame=0.0)
    inner = (..., slice(6, -6), slice(6, -6))
    seen = set()
    for seed in range(40):
        made = augment(pair, config, torch.Generator().manual_seed(seed))
        seen.add(tuple(made.motion[:2, 0, 0].tolist()))
        for frame, flow in ((made.first, made.motion[:2]), (made.second, made.motion[2:4])):
            full = 2.0 * torch.nn.functional.interpolate(flow[None], scale_factor=2.0)
            fetched = fetch(frame[None], full)[0]
            torch.testing.assert_close(fetched[inner], made.reference[inner], atol=2e-3, rtol=0.0)
        torch.testing.assert_close(made.guided[:, 0, 0], 2.0 * made.motion[:4, 0, 0])
        assert float(errors(made.reference[None], _batched(made)).abs().max()) < 1e-3
    assert len(seen) == 8  # two signs per axis, two orders


def _batched(pair: PairSample) -> PairSample:
    return PairSample(*(x[None] for x in pair))


def test_a_share_of_pairs_has_no_reference_or_one_frame_twice() -> None:
    pair = moving_pair()
    config = tiny(Path("x"), Path("y"))
    alone = augment(pair, replace(config, no_reference=1.0, same_frame=0.0), torch.Generator().manual_seed(0))
    torch.testing.assert_close(alone.motion[0:2], -alone.fraction * alone.motion[4:6])
    torch.testing.assert_close(alone.guided[:, 8, 8], 2.0 * alone.motion[:4, 4, 4])
    same = augment(pair, replace(config, no_reference=0.0, same_frame=1.0), torch.Generator().manual_seed(0))
    assert torch.equal(same.first, same.second)
    assert torch.equal(same.guided[:2], same.guided[2:])
    assert float(same.motion[4:6].abs().max()) == 0.0


def test_training_fetches_frames_as_the_interpolator_does() -> None:
    """Along full-resolution flow, by cubic interpolation, of whatever gain."""
    seen = moving_pair()
    network = CompactNet(CompactConfig(widths=(4, 4, 4), fine=4, features=2)).eval()
    for conv in (network.out, network.g3):
        torch.nn.init.normal_(conv.weight, std=0.05, generator=torch.Generator().manual_seed(3))
    arrays = [to_arrays(x[None])[0] for x in (seen.first, seen.second, seen.reference)]
    pairs = []
    for gain in (1.0, 4.0):
        motion, guided = (torch.from_numpy(x) for x in pair_motion(*arrays, 0.5, gain, 1.0))
        pairs.append(seen._replace(motion=motion, guided=guided, gain=torch.tensor(gain)))
    batch = PairSample(*(torch.stack(parts) for parts in zip(*pairs, strict=True)))
    with torch.no_grad():
        trained, _ = run_network(network, batch)
    interpolator = CompactInterpolator(network)
    frames = seen.first[None], seen.second[None]
    for made, gain in zip(trained, (1.0, 4.0), strict=True):
        used = interpolator.complete(*frames, 0.5, gain=gain, reference=seen.reference[None], ratio=1.0)
        difference = (made.clamp(0.0, 1.0) - used[0])[:, 4:-4, 4:-4].abs()
        assert float(difference.mean()) < 5e-4, gain  # remap rounds places to 1/32 px


def test_what_a_merge_needs_counts_more() -> None:
    seen = moving_pair()
    target = torch.full_like(seen.target, 0.05)
    target[:, 20, 30] = 0.2
    pair = seen._replace(target=target, exposure=torch.tensor(1.0), ratio=torch.tensor(8.0))
    short = need(_batched(pair))[0, 0]
    assert float(short[20, 30]) == float(short[16, 34]) == 1.0  # the reference clips above 1/8
    assert float(short[20, 35]) == float(short[0, 0]) == pytest.approx(0.2)
    assert float(need(_batched(pair._replace(ratio=torch.tensor(0.125)))).min()) == 1.0


def test_a_run_may_start_from_weights(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", count=5, size=32)
    first = train_interpolator(tiny(cache, tmp_path / "first"))
    still = tiny(cache, tmp_path / "second", init_from=str(first), lr=1e-12, lr_final=1e-12, weight_decay=0.0)
    second = load_file(train_interpolator(still))
    for key, value in load_file(first).items():
        torch.testing.assert_close(second[key], value, atol=1e-6, rtol=0.0)
    wider = tiny(cache, tmp_path / "wider", init_from=str(first), network=CompactConfig((8, 4, 12), 6, 2), steps=1)
    assert tuple(load_file(train_interpolator(wider))["e3.0.conv1.weight"].shape) == (12, 12, 3, 3)
    with pytest.raises(InputError, match="no such weights file"):
        train_interpolator(tiny(cache, tmp_path / "third", init_from=str(tmp_path / "nothing.safetensors")))
    with pytest.raises(WeightsError, match=r"1 of another shape: g1\.weight"):
        train_interpolator(replace(wider, output=str(tmp_path / "other"), network=CompactConfig((8, 4, 12), 6, 3)))
    with pytest.raises(WeightsError, match="do not fit"):
        train_interpolator(tiny(cache, tmp_path / "fourth", init_from="compact"))


def test_a_wider_network_begins_as_the_narrower_one() -> None:
    """Channels that are new change nothing yet, and learn: they are looked at by weights that have a gradient."""
    torch.manual_seed(0)
    narrow, wide = CompactNet(CompactConfig((4, 4, 4), 4, 2)), CompactNet(CompactConfig((8, 4, 12), 6, 2))
    with torch.no_grad():
        for parameter in narrow.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    wide.load_state_dict(widened(wide, narrow.state_dict()))
    pair = _batched(moving_pair())
    (before, _), (after, loss) = (run_network(network, pair) for network in (narrow, wide))
    torch.testing.assert_close(after, before, atol=1e-6, rtol=0.0)
    loss.backward()
    assert wide.out.weight.grad is not None
    assert float(wide.out.weight.grad[:, 4:].abs().max()) > 0.0


def test_a_cache_gains_motion_once(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", count=3, size=32)
    with pytest.raises(InputError, match="expected the motion of 3 samples"):
        CachedPairs(cache)
    add_motion(cache)
    time = motion_path(cache, 0).stat().st_mtime_ns
    add_motion(cache)
    assert motion_path(cache, 0).stat().st_mtime_ns == time
    sample, pair = CachedSamples(cache)[1], CachedPairs(cache).pair(1, 0)
    frames = to_arrays(sample.window)
    # long, short, long: the pair is the window's longest exposure
    expected = torch.from_numpy(pair_motion(frames[0], frames[2], frames[1], 0.5, 1.0, 1 / 8)[0])
    torch.testing.assert_close(pair.motion, expected.half().float())
    halved = torch.nn.functional.avg_pool2d(0.5 * pair.guided[None], 2)[0]
    torch.testing.assert_close(halved, pair.motion[:4], atol=5e-3, rtol=0.0)


def test_stopped_and_resumed_is_not_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = write_cache(tmp_path / "cache", count=5, size=32)
    lines: list[str] = []
    whole = train_interpolator(tiny(cache, tmp_path / "whole"), progress=lines.append)
    assert any("validation" in line for line in lines)

    class Stop(Exception):
        pass

    def stop(line: str) -> None:
        if line.startswith("step 3"):
            raise Stop

    with pytest.raises(Stop):
        train_interpolator(tiny(cache, tmp_path / "parts"), progress=stop)
    resumed: list[str] = []
    parts = train_interpolator(tiny(cache, tmp_path / "parts"), progress=resumed.append)
    assert resumed[0] == "resuming at step 2 of 4"
    ours, theirs = load_file(whole), load_file(parts)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert len((tmp_path / "parts" / "log.csv").read_text().splitlines()) == 1 + 4 + 2
    with pytest.raises(InputError, match=r"other values of \['lr'\]"):
        train_interpolator(tiny(cache, tmp_path / "parts", lr=0.1))


def test_going_on_with_more_samples_is_refused(tmp_path: Path) -> None:
    one, two = (write_cache(tmp_path / name / "cache", count=count, size=32) for name, count in (("a", 4), ("b", 5)))
    train_interpolator(tiny(one, tmp_path / "run", steps=2))
    with pytest.raises(InputError, match=r"were \[4\], now there are \[5\]"):
        train_interpolator(tiny(two, tmp_path / "run", steps=2))
    checkpoint = tmp_path / "run" / "last.pt"
    older = load_checkpoint(checkpoint)
    del older["samples"]
    save_checkpoint(checkpoint, older)
    train_interpolator(tiny(two, tmp_path / "run", steps=2))  # of a version that did not count them


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (33, "found samples of 33x33 pixels, expected multiples of 4"),
        (28, "found samples of 28x28 pixels, expected at least 32x32 for the crop"),
    ],
)
def test_samples_of_an_unfit_size_are_refused_before_anything_is_added(tmp_path: Path, size: int, message: str) -> None:
    cache = write_cache(tmp_path / "cache", count=4, size=size)
    with pytest.raises(InputError, match=f"cache: {message}"):
        train_interpolator(tiny(cache, tmp_path / "run"))
    assert not list(cache.glob("motion-*"))


def test_saved_weights_make_an_interpolator_that_learned(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", count=5, size=32)
    path = train_interpolator(tiny(cache, tmp_path / "run"))
    interpolator = build_interpolator(path, "compact")
    frame = torch.full((1, 3, 32, 32), 0.5)
    torch.testing.assert_close(interpolator(frame, frame, 0.5), frame, atol=1e-5, rtol=0.0)
    untrained = CompactConfig(widths=(4, 4, 4), fine=4, features=2)
    assert interpolator.network.config == untrained  # type: ignore[attr-defined]
    assert float(interpolator.network.out.weight.detach().abs().sum()) > 0.0  # type: ignore[attr-defined]


def test_saved_weights_can_be_read_by_others(tmp_path: Path) -> None:
    path, network = tmp_path / "w.safetensors", CompactNet(CompactConfig((4, 4, 4), 4, 2))
    before = os.umask(0o022)
    try:
        save_interpolator(path, network, {"steps": 1}, {"validation": 30.0})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert torch.equal(read_stored(path)[1]["out.weight"], network.out.weight)
    with pytest.raises(OutputError, match="its folder does not exist"):
        save_interpolator(tmp_path / "none" / "w.safetensors", network, {}, {})


def test_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('data = ["a", "b"]\noutput = "o"\nnetwork = { fine = 12 }\n')
    config = load_interpolation_config(file)
    assert config.shares == (1.0, 1.0)
    assert config.network.fine == 12
    for text, message in (
        ('data = []\noutput = "o"\n', "data"),
        ('data = ["a"]\noutput = "o"\ncrop = 30\n', "crop = 30 is out of range"),
        ('data = ["a"]\noutput = "o"\nvalidate_every = 0\n', "validate_every = 0 is out of range"),
        ('data = ["a"]\noutput = "o"\nclip_gradient = -1.0\n', "clip_gradient = -1.0 is out of range"),
        ('data = ["a"]\noutput = "o"\nno_reference = -0.5\nsame_frame = 0.6\n', "no_reference = -0.5 is out of range"),
        ('data = ["a"]\noutput = "o"\nsame_frame = -0.05\n', "same_frame = -0.05 is out of range"),
        ('data = ["a"]\noutput = "o"\nno_reference = 0.5\nsame_frame = 0.6\n', "same_frame = 0.6 is out of range"),
        ('data = ["a"]\noutput = "o"\ndepth = 3\n', "unknown keys"),
        ("data = [", "not a readable TOML"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=message):
            load_interpolation_config(file)


def test_recompletion_changes_the_interpolated_frames_only(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", count=3, size=32)
    manifest = cache / "manifest.json"
    manifest.write_text('{"format": 1, "shard_size": 3, "config": {"interpolator": "average"}}')
    copy = recomplete_cache(cache, tmp_path / "copy", "dis")
    old, new = CachedSamples(cache), CachedSamples(copy)
    assert new.manifest["config"]["interpolator"] == "dis"
    for i in range(3):
        assert torch.equal(old[i].window, new[i].window)
        assert torch.equal(old[i].target, new[i].target)
        expected = complete_window(old[i].window[None], old[i].exposures[None], get_interpolator("dis"))[0]
        torch.testing.assert_close(new[i].interpolated, expected.clamp(0, 1), atol=1 / 65535, rtol=0.0)
    recomplete_cache(cache, copy, "dis")
    with pytest.raises(InputError, match="found another cache"):
        recomplete_cache(cache, copy, "average")
