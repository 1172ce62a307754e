"""Neighbours aligned by flow: that they are aligned, and how a cache keeps them."""

from pathlib import Path

import pytest
import torch

from lrhdr.checks import InputError
from lrhdr.data.aligned import add_aligned
from lrhdr.data.base import crop_and_augment, reverse_time
from lrhdr.data.generated import CachedSamples
from lrhdr.filters import gaussian_blur
from lrhdr.interpolate.guided import align_window
from samples import write_cache


def test_aligned_windows_follow_a_shift() -> None:
    """Neighbours of a moving picture, brought to the reference, agree with it better than where they stand."""
    generator = torch.Generator().manual_seed(5)
    wide = gaussian_blur(torch.rand(1, 3, 64, 96, generator=generator), 2.0)
    wide = (wide - wide.min()) / (wide.max() - wide.min()) * 0.8
    window = torch.stack([wide[..., 8 + 4 * t : 72 + 4 * t] for t in range(3)], dim=1)
    exposures = torch.tensor([[1.0, 1.5, 1.0]])
    window = (window**2.2 * (exposures / 1.5).view(1, 3, 1, 1, 1)) ** (1 / 2.2)
    aligned = align_window(window, exposures)
    assert aligned.shape == (1, 2, 3, 64, 64)
    wanted = window[:, 1] * (1 / 1.5) ** (1 / 2.2)
    inner = (..., slice(8, 56), slice(8, 56))
    for k, frame in ((0, 0), (1, 2)):
        before = (window[:, frame] - wanted)[inner].abs().mean()
        assert (aligned[:, k] - wanted)[inner].abs().mean() < 0.25 * before


def test_a_cache_gains_aligned_neighbours_and_stays_what_it_was(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", count=3)
    before = (cache / "shard-00000.safetensors").read_bytes()
    with pytest.raises(InputError, match="expected 3 samples of aligned neighbours"):
        CachedSamples(cache, aligned=True)
    assert CachedSamples(cache)[1].aligned.numel() == 0
    seen: list[tuple[int, int]] = []
    add_aligned(cache, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (3, 3)]
    assert (cache / "shard-00000.safetensors").read_bytes() == before
    sample = CachedSamples(cache, aligned=True)[1]
    expected = align_window(sample.window[None], sample.exposures[None])[0]
    assert torch.allclose(sample.aligned, expected, atol=1 / 65535)
    assert CachedSamples(cache)[1].aligned.numel() == 0
    time = (cache / "aligned-00000.safetensors").stat().st_mtime_ns
    add_aligned(cache)  # nothing left to do
    assert (cache / "aligned-00000.safetensors").stat().st_mtime_ns == time


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", count=2)
    add_aligned(cache)
    file = cache / "aligned-00000.safetensors"
    good = file.read_bytes()
    file.write_bytes(good[:100])
    add_aligned(cache)
    assert file.read_bytes() == good


def test_augmentation_moves_aligned_neighbours_with_the_rest(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", count=1)
    add_aligned(cache)
    sample = CachedSamples(cache, aligned=True)[0]
    # stands for alignment: the neighbours themselves, so that any way they part is seen
    sample = sample._replace(aligned=sample.window[[0, 2]])
    for seed in range(8):
        cut = crop_and_augment(sample, 16, torch.Generator().manual_seed(seed))
        assert torch.equal(cut.aligned, cut.window[[0, 2]])
    assert torch.equal(reverse_time(sample).aligned, sample.window[[2, 0]])
