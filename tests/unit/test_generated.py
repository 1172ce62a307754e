import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lrhdr.camera import CameraConfig
from lrhdr.checks import InputError
from lrhdr.data.base import Sample, crop_and_augment, reverse_time
from lrhdr.data.generated import CachedSamples, GenerationConfig, build_cache, generate_clip
from lrhdr.data.maker import SampleMaker, option_defaults, with_options
from lrhdr.data.sources import HdrLibrary, VideoLibrary, load_footage, load_still, sample_footage
from lrhdr.detail import DetailConfig
from lrhdr.exposure import interpolation_pairs
from lrhdr.interpolate import complete_window, get_interpolator
from lrhdr.io.exr import write_exr
from lrhdr.randomness import torch_generator
from lrhdr.scenes import SceneConfig
from lrhdr.synthesis import SynthesisConfig

SIZE, CONTEXT = 32, 8
CONFIG = GenerationConfig(size=SIZE, real_video_share=0.5, context=CONTEXT, interpolator="average")


def texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    coarse = rng.uniform(0, 1, (height // 8, width // 8, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """hdr/: a panorama and two photographs; video/: one folder of 24 moving frames with a black border and a cut."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    (root / "hdr").mkdir()
    for name, shape in (("pano", (64, 128)), ("photo", (72, 80)), ("secret_photo", (72, 80))):
        write_exr(root / "hdr" / f"{name}.exr", np.exp(4 * texture(rng, *shape)).astype(np.float32), {})
    (root / "hdr" / "notes.txt").write_text("not an image")
    folder = root / "video" / "walk"
    folder.mkdir(parents=True)
    for shot, start in ((0, 0), (1, 12)):
        wide = (texture(np.random.default_rng(shot), 64, 160) * (1.0 if shot else 0.4) * 255).astype(np.uint8)
        for t in range(12):
            frame = np.zeros((80, 96, 3), np.uint8)
            frame[8:72] = wide[:, 3 * t : 3 * t + 96]
            cv2.imwrite(str(folder / f"{start + t:03d}.png"), frame)
    return root


def build(tree: Path, out: Path, *, config: GenerationConfig = CONFIG, **changes: object) -> Path:
    """A cache; changes are arguments of `build_cache` or options of `with_options`."""
    options = {name: changes.pop(name) for name in option_defaults().keys() & changes.keys()}
    arguments = {"count": 5, "seed": 3, "shard_size": 2, "exclude": ("secret*",), **changes}
    return build_cache(tree / "hdr", tree / "video", out, config=with_options(config, options), **arguments)


@pytest.fixture(scope="module")
def cache(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tree, tmp_path_factory.mktemp("cache"))


def equal(a: Sample, b: Sample) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_samples_have_the_promised_layout(cache: Path) -> None:
    samples = CachedSamples(cache)
    assert len(samples) == 5
    kinds = set()
    for i in range(5):
        s = samples[i]
        assert s.window.shape == (3, 3, SIZE, SIZE)
        assert s.interpolated.shape == (1, 3, SIZE, SIZE)
        assert s.exposures.shape == (3,)
        assert s.target.shape == (3, SIZE, SIZE)
        assert all(x.dtype == torch.float32 for x in s)
        assert all(bool(torch.isfinite(x).all()) for x in s)
        for x in (s.window, s.interpolated, s.target):
            assert 0.0 <= float(x.min()) <= float(x.max()) <= 1.0
        assert float(s.exposures.min()) == 1.0
        assert float(s.exposures[0]) == float(s.exposures[2]) != float(s.exposures[1])
        tags = samples.tags(i)
        assert tags["exposures"] == s.exposures.tolist()
        assert not any("secret" in name for name in tags["sources"])
        kinds.add(tags["kind"])
    assert len(kinds) > 1
    with pytest.raises(IndexError):
        samples[5]


def test_truth_explains_the_window(cache: Path) -> None:
    """The reference frame is the truth exposed, up to noise and rounding."""
    samples = CachedSamples(cache)
    for i in range(5):
        s = samples[i]
        expected = (s.target * s.exposures[1]).clamp(0, 1) ** (1 / 2.2)
        assert float((s.window[1] - expected).abs().median()) < 0.05
        assert torch.corrcoef(torch.stack((s.window[1].flatten(), expected.flatten())))[0, 1] > 0.9


def test_interpolated_frames_are_those_of_the_window(tree: Path) -> None:
    config = GenerationConfig(size=SIZE, context=0, interpolator="average", n_exposures=3, real_video_share=0.0)
    sample, _ = SampleMaker(HdrLibrary(tree / "hdr"), None, config, 1).make(0)
    again = complete_window(sample.window[None], sample.exposures[None], get_interpolator("average"))[0]
    torch.testing.assert_close(again, sample.interpolated)


def test_same_settings_same_samples_whatever_the_order(tree: Path, cache: Path, tmp_path: Path) -> None:
    other = CachedSamples(build(tree, tmp_path / "again", shard_size=5))
    first = CachedSamples(cache)
    assert all(equal(first[i], other[i]) for i in range(5))
    changed = CachedSamples(build(tree, tmp_path / "seed", seed=4, count=1))
    assert not equal(first[0], changed[0])


def test_workers_make_the_same_samples(tree: Path, cache: Path, tmp_path: Path) -> None:
    seen = []
    build(tree, tmp_path / "two", workers=2, progress=lambda done, count: seen.append((done, count)))
    first, other = CachedSamples(cache), CachedSamples(tmp_path / "two")
    assert all(equal(first[i], other[i]) for i in range(5))
    assert seen[-1] == (5, 5)


def test_interrupted_and_grown_caches_are_continued(tree: Path, cache: Path, tmp_path: Path) -> None:
    out = build(tree, tmp_path / "c", count=3)
    kept = (out / "shard-00000.safetensors").stat().st_mtime_ns
    (out / "shard-00001.safetensors").write_bytes(b"torn")
    made: list[int] = []
    build(tree, out, progress=lambda done, count: made.append(done))
    assert made == [3, 4, 5]
    assert (out / "shard-00000.safetensors").stat().st_mtime_ns == kept
    assert not list(out.glob(".*"))
    first, grown = CachedSamples(cache), CachedSamples(out)
    assert all(equal(first[i], grown[i]) for i in range(5))
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["count"] == 5
    assert manifest["stills"] == ["pano", "photo"]
    assert manifest["videos"] == ["walk"]


def test_a_larger_cache_stays_as_it_is(tree: Path, tmp_path: Path) -> None:
    out = build(tree, tmp_path / "c", count=4)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    made: list[int] = []
    build(tree, out, count=3, progress=lambda done, _count: made.append(done))
    assert not made
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_cache_of_other_settings_is_not_mixed(tree: Path, cache: Path) -> None:
    with pytest.raises(InputError, match=r"other settings.*seed"):
        build(tree, cache, seed=99)


def test_a_cache_of_a_version_that_knew_fewer_settings_is_continued(tree: Path, tmp_path: Path) -> None:
    out = build(tree, tmp_path / "c", count=1)
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["config"]["recorded_share"], manifest["config"]["synthesis"]["read_noise_e"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert len(CachedSamples(build(tree, out, count=2))) == 2
    with pytest.raises(InputError, match="config differ"):
        build(tree, out, count=2, recorded_share=0.5)


def test_all_of_the_configuration_counts(tree: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, size=24, n_exposures=3, real_video_share=0.125, detail=DetailConfig(grain_share=0.75))
    out = build_cache(tree / "hdr", None, tmp_path / "c", count=1, seed=0, config=config)
    assert CachedSamples(out)[0].window.shape == (5, 3, 24, 24)
    written = json.loads((out / "manifest.json").read_text())["config"]
    assert written == json.loads(json.dumps(asdict(config)))


def test_three_exposures(tree: Path, tmp_path: Path) -> None:
    out = build(tree, tmp_path / "n3", n_exposures=3, count=2)
    s = CachedSamples(out)[0]
    assert s.window.shape == (5, 3, SIZE, SIZE)
    assert s.interpolated.shape == (2, 3, SIZE, SIZE)
    assert len(set(s.exposures.tolist())) == 3


def test_still_share_stops_the_camera(tree: Path, tmp_path: Path) -> None:
    quiet = replace(
        CONFIG,
        scene=SceneConfig(max_layers=0, light_change_share=0.0),
        detail=DetailConfig(grain_share=0.0),
        synthesis=SynthesisConfig(camera=CameraConfig(noise="none", bit_depth=0), exposure_error_share=0.0),
    )
    settings = {"config": quiet, "count": 4, "real_video_share": 0.0}

    def moving(share: float) -> int:
        samples = CachedSamples(build(tree, tmp_path / f"{share}", still_share=share, **settings))
        pairs = [(samples[i].window[0], samples[i].window[2]) for i in range(len(samples))]
        return sum(not torch.allclose(before, after, atol=1e-3) for before, after in pairs)

    assert moving(1.0) == 0
    assert moving(0.0) == 4


def test_recorded_samples_show_the_same_scenes(tree: Path, tmp_path: Path) -> None:
    plain = CachedSamples(build(tree, tmp_path / "plain", count=2, real_video_share=0.0))
    recorded = CachedSamples(build(tree, tmp_path / "recorded", count=2, real_video_share=0.0, recorded_share=1.0))
    for i in range(2):
        assert plain[i].window.shape == recorded[i].window.shape
        assert not torch.equal(plain[i].window, recorded[i].window)
        assert "recording" in recorded.tags(i)
        assert "recording" not in plain.tags(i)
        ratio = (recorded[i].target / plain[i].target.clamp_min(1e-6))[plain[i].target < 0.9]
        assert float(ratio.std() / ratio.mean()) < 0.02  # the scale is drawn too


def test_cameras_are_drawn_from_the_range_that_is_asked_for(tree: Path, tmp_path: Path) -> None:
    settings = {"count": 2, "real_video_share": 0.0}
    samples = [
        CachedSamples(build(tree, tmp_path / name, read_noise=e, bayer_share=share, **settings))
        for name, e, share in (("a", (1.0, 1.0), 0.0), ("b", (400.0, 400.0), 0.0), ("c", (400.0, 400.0), 1.0))
    ]
    assert len({float(s[0].window.std()) for s in samples}) == 3
    with pytest.raises(InputError, match="read noise"):
        build(tree, tmp_path / "bad", read_noise=(2.0, 1.0), **settings)


def test_cache_travels_to_other_processes(cache: Path) -> None:
    samples = CachedSamples(cache)
    first = samples[0]
    assert equal(first, pickle.loads(pickle.dumps(samples))[0])


def test_missing_things_are_named(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.json"):
        CachedSamples(tmp_path)
    with pytest.raises(InputError, match="found none"):
        build_cache(tmp_path / "nowhere", None, tmp_path / "x", count=1, seed=0)
    with pytest.raises(InputError, match="found none"):
        VideoLibrary(tmp_path)
    with pytest.raises(InputError, match="count"):
        build(tree, tmp_path / "y", count=0)
    with pytest.raises(InputError, match="seed: expected 0 or more, found -1"):
        build(tree, tmp_path / "y", seed=-1)
    assert not (tmp_path / "y").exists()
    with pytest.raises(InputError, match="seed: expected 0 or more, found -1"):
        torch_generator(3, -1)
    (tmp_path / "bad.exr").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"bad\.exr"):
        HdrLibrary(tmp_path)[0]


def test_featureless_sources_are_refused(tmp_path: Path) -> None:
    write_exr(tmp_path / "grey.exr", np.ones((32, 32, 3), np.float32), {})
    bare = SceneConfig(max_layers=0)
    config = GenerationConfig(size=16, context=0, interpolator="average", real_video_share=0.0, scene=bare)
    with pytest.raises(InputError, match="contrast"):
        SampleMaker(HdrLibrary(tmp_path), None, config, 0).make(0)


def test_footage_leaves_out_border_and_cut(tree: Path) -> None:
    footage = load_footage(tree / "video" / "walk", short_side=40, minimum=32)
    assert [len(s) for s in footage.shots] == [12, 12]
    for shot in footage.shots:
        assert shot.dtype == np.uint8
        assert shot.shape[1:3] == (40, 64)  # 80x96 less a border of 8 + 2 above and below, times 2 / 3
        assert float(shot[:, :2].max(3).mean()) > 20
    assert all(e > 1 for e in footage.energy)


def test_footage_samples_fit(tree: Path) -> None:
    footage = load_footage(tree / "video" / "walk", short_side=40, minimum=32)
    rng = np.random.default_rng(0)
    for _ in range(30):
        frames = sample_footage(footage, 3, (44, 36), rng, (32, 32))
        assert frames is not None
        assert 32 <= frames.shape[1] <= 44
        assert 32 <= frames.shape[2] <= 36
    assert sample_footage(footage, 13, (32, 32), rng, (32, 32)) is None
    assert sample_footage(footage, 3, (64, 64), rng, (64, 64)) is None


def test_generated_clips_are_deterministic(tree: Path) -> None:
    sources = [load_still(tree / "hdr" / "pano.exr"), load_still(tree / "hdr" / "photo.exr")]
    a = generate_clip(sources, 4, (24, 40), torch_generator(1))
    assert a.shape == (4, 3, 24, 40)
    assert torch.equal(a, generate_clip(sources, 4, (24, 40), torch_generator(1)))
    assert not torch.equal(a, generate_clip(sources, 4, (24, 40), torch_generator(2)))
    assert float(a.min()) >= 0.0


def numbered(n: int = 3, size: int = 12) -> Sample:
    """Every pixel of every part says where it is, so that parts that go different ways are caught."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    place = torch.stack([c * 0.3 + (y * size + x) / (4.0 * size * size) for c in range(3)])
    frames = 2 * n - 1
    return Sample(
        torch.stack([place + 10 * t for t in range(frames)]),
        torch.stack([place + 1000 * k for k in range(1, n)]),
        torch.tensor([2.0 ** (t % n) for t in range(frames)]),
        place,
    )


def test_augmentation_moves_all_parts_together() -> None:
    seen = set()
    for seed in range(40):
        s = crop_and_augment(numbered(), 8, torch_generator(seed))
        assert s.target.shape == (3, 8, 8)
        # 10 * t is added to frame t: taking it off (whatever the direction of time) leaves the target.
        times = torch.round((s.window - s.target).mean((1, 2, 3)) / 10)
        torch.testing.assert_close(
            s.window - 10 * times.view(-1, 1, 1, 1), s.target.expand(5, 3, 8, 8), atol=1e-4, rtol=0
        )
        ks = torch.round((s.interpolated - s.target).mean((1, 2, 3)) / 1000)
        assert times.tolist() in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0])
        forward = times.tolist()[0] == 0
        assert ks.tolist() == ([1, 2] if forward else [2, 1])
        assert s.exposures.tolist() == [2.0 ** (t % 3) for t in times.tolist()]
        assert all(x.is_contiguous() for x in s)
        seen.add((forward, float(s.target[0, 0, 0]) < 0.3, float(s.target[0, 0, 1] - s.target[0, 0, 0]) > 0))
    assert len(seen) > 5
    assert equal(
        crop_and_augment(numbered(), 8, torch_generator(1)), crop_and_augment(numbered(), 8, torch_generator(1))
    )


def test_reversed_time_is_what_interpolating_the_reversed_window_gives() -> None:
    window = torch.rand(5, 3, 20, 20)
    exposures = torch.tensor([1.0, 4.0, 16.0, 1.0, 4.0])
    interpolator = get_interpolator("average")
    sample = Sample(
        window, complete_window(window[None], exposures[None], interpolator)[0], exposures, torch.zeros(3, 20, 20)
    )
    backwards = reverse_time(sample)
    again = complete_window(backwards.window[None], backwards.exposures[None], interpolator)[0]
    torch.testing.assert_close(again, backwards.interpolated)
    pairs = interpolation_pairs(3)
    assert [backwards.exposures[a] for a, _, _ in pairs] == [backwards.exposures[b] for _, b, _ in pairs]


def test_crop_larger_than_the_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 13x13"):
        crop_and_augment(numbered(), 13, torch_generator(0))


def test_options_change_their_settings_only() -> None:
    config = replace(CONFIG, scene=SceneConfig(max_layers=0))
    assert with_options(config, dict.fromkeys(option_defaults())) == config
    assert with_options(GenerationConfig(), option_defaults()) == GenerationConfig()
    changed = with_options(config, {"still_share": 0.75, "read_noise": [2.0, 9.0], "size": None})
    camera = replace(config.scene.camera, still_share=0.75)
    expected = replace(
        config, scene=replace(config.scene, camera=camera), synthesis=SynthesisConfig(read_noise_e=(2, 9))
    )
    assert changed == expected
    for bad in ({"size": 4}, {"still_share": 2.0}, {"grain_share": -1.0}, {"bayer_share": 1.5}):
        with pytest.raises(InputError, match="synthesize: "):
            with_options(config, bad)


@pytest.mark.parametrize("bad", [{"size": 4}, {"n_exposures": 1}, {"context": -1}, {"real_video_share": 1.1}])
def test_config_refuses(bad: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        GenerationConfig(**bad)
