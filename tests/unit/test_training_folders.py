"""Training from folders as they are on disk: Vimeo-90K and MPI-Sintel trees of the tests; and the paper's recipe."""

import copy
import dataclasses
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lrhdr.checks import InputError
from lrhdr.data.base import Sample
from lrhdr.data.generated import CachedSamples
from lrhdr.data.sequences import SequenceConfig, SequenceData
from lrhdr.data.sintel import Sintel
from lrhdr.data.training_data import JoinedData, open_training_data
from lrhdr.data.vimeo90k import Vimeo90K
from lrhdr.footage import inverse_sigmoid_response
from lrhdr.interpolate import complete_window, get_interpolator
from lrhdr.interpolate.base import weights_digest
from lrhdr.interpolate.compact import CompactInterpolator
from lrhdr.radiometry import ldr_to_radiance
from lrhdr.randomness import torch_generator
from lrhdr.training import train
from lrhdr.training_config import TrainConfig, load_config
from lrhdr.weights import load_record
from samples import TINY, write_cache

CONFIGS = Path(__file__).parents[2] / "configs"


def write_frames(paths: list[Path], height: int, width: int, seed: int) -> None:
    """A smooth texture that moves by 2 px per frame; the level of the blue channel counts the frames."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 1, (height // 4, width // 4 + len(paths), 3)).astype(np.float32)
    wide = cv2.resize(coarse, (width + 2 * len(paths), height), interpolation=cv2.INTER_LINEAR)
    for t, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        frame = (wide[:, 2 * t : 2 * t + width] * 200 + 20).astype(np.uint8)
        frame[..., 0] = 30 * (t + 1)  # cv2 writes BGR
        cv2.imwrite(str(path), frame)


def write_vimeo(root: Path, train_clips: int = 4, test_clips: int = 0, size: tuple[int, int] = (40, 56)) -> Path:
    names = [f"{1 + i // 3:05d}/{1 + i % 3:04d}" for i in range(train_clips + test_clips)]
    for seed, name in enumerate(names):
        write_frames([root / "sequences" / name / f"im{i}.png" for i in range(1, 8)], *size, seed)
    (root / "sep_trainlist.txt").write_text("\n".join(names[:train_clips]) + "\n\n")
    if test_clips:
        (root / "sep_testlist.txt").write_text("\n".join(names[train_clips:]))
    return root


def write_sintel(root: Path, scenes: tuple[str, ...] = ("alley_1", "bamboo_2", "cave_4"), frames: int = 5) -> Path:
    for kind in ("clean", "final"):
        for seed, scene in enumerate(scenes):
            folder = root / "training" / kind / scene
            write_frames([folder / f"frame_{i:04d}.png" for i in range(1, frames + 1)], 40, 56, seed)
    return root


@pytest.fixture(scope="module")
def vimeo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vimeo(tmp_path_factory.mktemp("data") / "vimeo")


def equal(a: Sample, b: Sample) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


CONFIG = SequenceConfig(interpolator="average", validation_crop=32)


def test_vimeo_gives_random_subsets_in_order_both_ways(vimeo: Path):
    clips = Vimeo90K(vimeo, held_out=1)
    assert (len(clips), clips.held_out, clips.name) == (3, 1, "vimeo90k")
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        paths = clips.frames(1, 3, rng)
        assert {p.parent for p in paths} == {vimeo / "sequences" / "00001" / "0002"}
        seen.add(tuple(int(p.stem[2:]) for p in paths))
    assert all(a < b < c or a > b > c for a, b, c in seen)
    assert len(seen) > 55  # of 70: 35 subsets, two directions
    assert 25 < sum(s[0] < s[1] for s in seen) < 45
    assert [p.name for p in clips.fixed_frames(0, 3)] == ["im3.png", "im4.png", "im5.png"]
    assert [p.name for p in clips.fixed_frames(0, 5)] == [f"im{i}.png" for i in range(2, 7)]
    assert clips.fixed_frames(0, 3)[0].parent == vimeo / "sequences" / "00002" / "0001"  # the last of the list
    with pytest.raises(InputError, match="clips have 7 frames, expected 9"):
        clips.frames(0, 9, rng)


def test_vimeo_validates_on_its_test_list(tmp_path: Path):
    root = write_vimeo(tmp_path, 2, 3)
    clips = Vimeo90K(root, held_out=2)
    assert (len(clips), clips.held_out) == (2, 2)
    assert clips.fixed_frames(0, 3)[0].parent == root / "sequences" / "00001" / "0003"


def test_trees_that_cannot_be_used_are_refused_in_one_line(tmp_path: Path, vimeo: Path):
    with pytest.raises(InputError, match="expected more than 4 clips"):
        Vimeo90K(vimeo, held_out=4)
    broken = write_vimeo(tmp_path / "broken", 1)
    (broken / "sequences" / "00001" / "0001" / "im1.png").unlink()
    with pytest.raises(InputError, match=r"im1.png: no such file"):
        Vimeo90K(broken)
    (broken / "sep_trainlist.txt").write_text("rubbish\n")
    with pytest.raises(InputError, match="expected lines like 00001/0001, found 'rubbish'"):
        Vimeo90K(broken)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected a sample cache .* Vimeo-90K .* MPI-Sintel"):
        open_training_data([str(tmp_path / "empty")], 0, CONFIG)
    with pytest.raises(InputError, match="found 56x40 pixels, expected at least 64x64"):
        SequenceData(Vimeo90K(vimeo), CONFIG).draw(0, 64, torch_generator(0))
    with pytest.raises(InputError, match="found no scenes"):
        Sintel(tmp_path, 3)


def test_sintel_windows_and_held_out_scenes(tmp_path: Path):
    root = write_sintel(tmp_path)
    assert Sintel.is_at(root)
    assert not Vimeo90K.is_at(root)
    clips = Sintel(root, 3, held_out=2)
    assert len(clips) == 2 * 2 * 3  # two scenes, two passes, three windows of five frames
    rng = np.random.default_rng(0)
    windows = {tuple(clips.frames(i, 3, rng)) for i in range(len(clips)) for _ in range(20)}
    assert len(windows) == 24
    assert not any("cave_4" in str(p) for window in windows for p in window)
    for window in windows:
        numbers = [int(p.stem[-4:]) for p in window]
        assert numbers in ([numbers[0] + k for k in range(3)], [numbers[0] - k for k in range(3)])
    assert all("cave_4" in str(p) for p in clips.fixed_frames(1, 3))
    with pytest.raises(InputError, match="windows of 9 frames"):
        Sintel(root, 9)


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("synthesis", ["field", "ours"])
def test_samples_are_whole_and_depend_on_the_generator_alone(vimeo: Path, n: int, synthesis: str):
    config = dataclasses.replace(CONFIG, n_exposures=n, synthesis=synthesis, aligned=True)
    data = SequenceData(Vimeo90K(vimeo), config)
    sample = data.draw(2, 24, torch_generator(1, 2))
    t = 2 * n - 1
    assert sample.window.shape == (t, 3, 24, 24)
    assert sample.interpolated.shape == (n - 1, 3, 24, 24)
    assert sample.aligned.shape == (t - 1, 3, 24, 24)
    assert sample.target.shape == (3, 24, 24)
    assert all(0 <= float(x.min()) <= float(x.max()) <= 1 for x in (sample.window, sample.interpolated, sample.target))
    assert float(sample.exposures.min()) == 1.0
    again = pickle.loads(pickle.dumps(data))  # as in a worker
    again.draw(0, 24, torch_generator(9))
    assert equal(sample, again.draw(2, 24, torch_generator(1, 2)))
    assert not equal(sample, data.draw(2, 24, torch_generator(1, 3)))
    assert all(x.is_contiguous() for x in sample)


def test_the_reference_is_the_target_exposed_and_everything_is_in_one_place(vimeo: Path):
    """Without noise (an exposure of 8 has none) the reference explains the target; flips move all parts alike."""
    data = SequenceData(Vimeo90K(vimeo), dataclasses.replace(CONFIG, aligned=True))
    checked = 0
    for seed in range(24):
        sample = data.draw(seed % 4, 24, torch_generator(seed))
        if float(sample.exposures[1]) != 8.0:
            continue
        checked += 1
        seen = ldr_to_radiance(sample.window[1], 8.0)
        assert torch.allclose(seen, sample.target.clamp_max(1 / 8), atol=2e-6)
        # the interpolated frame is the average of the neighbours at the same place
        mean = sample.window[[0, 2]].mean(dim=0)
        assert torch.allclose(sample.interpolated[0], mean, atol=1e-6)
    assert checked >= 3


def test_field_frames_are_linearised_by_one_sigmoid(vimeo: Path):
    """The truth of a sample is, up to one factor, an inverse sigmoid of the file's pixels with n and sigma in range."""
    data = SequenceData(Vimeo90K(vimeo, held_out=1), dataclasses.replace(CONFIG, validation_crop=40))
    sample = data.fixed(0)
    path = vimeo / "sequences" / "00002" / "0001" / "im4.png"
    pixels = torch.from_numpy(cv2.imread(str(path))[..., ::-1].copy()).permute(2, 0, 1).float()[:, :, 8:48] / 255
    best = min(
        float((sample.target / sample.target.max() - x / x.max()).abs().max())
        for n in np.linspace(0.4, 0.9, 101)
        for s in np.linspace(0.4, 0.8, 41)
        for x in [inverse_sigmoid_response(pixels, float(n), float(s))]
    )
    assert best < 0.01
    assert equal(
        sample, SequenceData(Vimeo90K(vimeo, held_out=1), dataclasses.replace(CONFIG, validation_crop=40)).fixed(0)
    )


def test_interpolation_sees_around_the_crop(vimeo: Path):
    config = dataclasses.replace(CONFIG, interpolator="dis")
    sample = SequenceData(Vimeo90K(vimeo), config).draw(0, 16, torch_generator(4))
    alone = complete_window(sample.window[None], sample.exposures[None], get_interpolator("dis"))[0]
    assert alone.shape == sample.interpolated.shape
    assert not torch.equal(alone, sample.interpolated)


def test_interpolated_frames_are_kept_on_disk(vimeo: Path, tmp_path: Path, monkeypatch):
    config = dataclasses.replace(CONFIG, cache=str(tmp_path / "cache"))
    data = SequenceData(Vimeo90K(vimeo), config)
    first = data.draw(1, 24, torch_generator(7), "0/0000001-24")
    (file,) = (tmp_path / "cache").glob("vimeo90k-*/0/0000001-24-0000001.safetensors")
    free = SequenceData(Vimeo90K(vimeo), CONFIG).draw(1, 24, torch_generator(7))
    assert torch.allclose(first.interpolated, free.interpolated, atol=1 / 65535)

    def never(*_: object) -> None:
        raise AssertionError("interpolated again")

    with monkeypatch.context() as patch:
        patch.setattr("lrhdr.data.sequences.complete_window", never)
        assert equal(first, SequenceData(Vimeo90K(vimeo), config).draw(1, 24, torch_generator(7), "0/0000001-24"))
    file.write_bytes(file.read_bytes()[:20])
    assert equal(first, data.draw(1, 24, torch_generator(7), "0/0000001-24"))
    with pytest.raises(InputError, match="other settings"):
        SequenceData(Vimeo90K(vimeo), dataclasses.replace(config, synthesis="ours"))
    (settings,) = (tmp_path / "cache").glob("*/settings.json")
    settings.write_text(settings.read_text()[:20])
    with pytest.raises(InputError, match=r"settings\.json: damaged"):
        SequenceData(Vimeo90K(vimeo), config)


def test_kept_frames_are_those_of_their_own_clips_and_weights(vimeo: Path, tmp_path: Path, monkeypatch):
    config = dataclasses.replace(CONFIG, cache=str(tmp_path / "cache"))
    other = tmp_path / "other"
    shutil.copytree(vimeo, other)
    lists = other / "sep_trainlist.txt"
    lists.write_text("\n".join(reversed(lists.read_text().split())) + "\n")

    def drawn(root: Path, cache: bool, index: int = 0, key: str = "0/0000000-24") -> Sample:
        data = SequenceData(Vimeo90K(root), config if cache else CONFIG)
        return data.draw(index, 24, torch_generator(7), key)

    drawn(vimeo, True)
    for root, index, key in ((other, 0, "0/0000000-24"), (vimeo, 1, "0/0000000-24")):
        kept, made = drawn(root, True, index, key), drawn(root, False, index, key)
        assert torch.allclose(kept.interpolated, made.interpolated, atol=1 / 65535)
    monkeypatch.setattr("lrhdr.data.sequences.weights_digest", lambda _: "others")
    with pytest.raises(InputError, match=r"other settings \(weights differ"):
        drawn(vimeo, True)


def test_an_interpolators_digest_is_that_of_its_weights():
    compact = get_interpolator("compact")
    before = weights_digest(compact)
    assert before == weights_digest(get_interpolator("compact"))
    assert weights_digest(get_interpolator("average")) == ""
    changed = CompactInterpolator(copy.deepcopy(compact.network), "compact")
    with torch.no_grad():
        next(changed.network.parameters()).add_(1e-3)
    assert weights_digest(changed) != before


def test_folders_are_joined_and_recognised(vimeo: Path, tmp_path: Path):
    sintel = write_sintel(tmp_path / "sintel", ("alley_1",))
    data = open_training_data([str(vimeo), str(sintel)], 1, CONFIG)
    assert isinstance(data, JoinedData)
    assert (len(data), data.held_out, data.interpolator) == (3 + 6, 1, "average")
    assert equal(
        data.draw(4, 16, torch_generator(1)), SequenceData(Sintel(sintel, 3), CONFIG).draw(1, 16, torch_generator(1))
    )
    assert equal(
        data.draw(2, 16, torch_generator(1)), SequenceData(Vimeo90K(vimeo), CONFIG).draw(2, 16, torch_generator(1))
    )
    cache = write_cache(tmp_path / "cache")
    with pytest.raises(InputError, match="expected one interpolator for all folders, found average, dis"):
        open_training_data([str(vimeo), str(cache)], 1, CONFIG)


def test_a_folder_that_is_named_twice_is_drawn_from_twice_and_holds_out_the_same_samples(tmp_path: Path):
    cache = write_cache(tmp_path / "cache")
    one, two = (open_training_data([str(cache)] * n, 1, CONFIG) for n in (1, 2))
    assert (len(two), two.held_out) == (2 * len(one), 1)
    assert equal(one.fixed(0), two.fixed(0))
    for i in range(len(two)):
        assert equal(two.draw(i, 16, torch_generator(i)), one.draw(i % len(one), 16, torch_generator(i)))


@pytest.mark.parametrize("spelling", ["absolute", "detour", "link"])
def test_held_out_samples_are_not_trained_on_under_another_spelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
):
    cache = write_cache(tmp_path / "cache")
    (tmp_path / "x").mkdir()
    (tmp_path / "link").symlink_to(cache, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    other = {"absolute": str(cache), "detour": "x/../cache", "link": "link"}[spelling]
    data = open_training_data(["cache", other], 2, CONFIG)
    assert len(data) == 2 * (6 - 2)
    drawn = [data.draw(i, 16, torch_generator(i)) for i in range(len(data))]
    alone = open_training_data(["cache"], 2, CONFIG)
    assert all(equal(drawn[i], alone.draw(i % 4, 16, torch_generator(i))) for i in range(len(data)))


def test_folders_whose_samples_do_not_fit_together_are_refused(vimeo: Path, tmp_path: Path):
    cache, three = write_cache(tmp_path / "cache"), write_cache(tmp_path / "three", n_exposures=3)
    with pytest.raises(InputError, match="three: found samples of 3 exposures, expected 2"):
        open_training_data([str(cache), str(three)], 1, CONFIG)
    device = dataclasses.replace(CONFIG, interpolator="dis", interpolate=False)
    with pytest.raises(InputError, match=r"cache: its samples have .* expected interpolate = 'loader'"):
        open_training_data([str(vimeo), str(cache)], 1, device)
    assert len(open_training_data([str(cache), str(cache)], 1, device)) == 10
    assert len(open_training_data([str(three)], 1, dataclasses.replace(CONFIG, n_exposures=3))) == 5


def test_a_cache_whose_sides_are_no_multiples_of_eight_is_validated_in_the_middle(tmp_path: Path):
    cache = write_cache(tmp_path / "cache", size=27)
    data = open_training_data([str(cache)], 1, CONFIG)
    whole, held_out = CachedSamples(cache)[5], data.fixed(0)
    assert held_out.window.shape == (3, 3, 24, 24)
    for part, given in zip(held_out, whole, strict=True):
        assert torch.equal(part, given[..., 1:25, 1:25] if given.numel() and given.ndim > 1 else given)
    assert all(x.is_contiguous() for x in held_out)
    base = TrainConfig(
        data=str(cache), output=str(tmp_path / "run"), model=TINY, steps=1, batch=1, crop=16, validation=1,
        tensorboard=False,
    )  # fmt: skip
    assert load_record(train(base)).scores["validation"]["psnr"] > 0.0


def test_interpolating_beside_the_network_gives_what_the_loader_gives(vimeo: Path, tmp_path: Path):
    base = TrainConfig(
        data=str(vimeo), output=str(tmp_path / "a"), model=TINY, epochs=1, batch=3, crop=16, validation=1,
        interpolator="average", tensorboard=False,
    )  # fmt: skip
    a = load_record(train(base))
    b = load_record(train(dataclasses.replace(base, output=str(tmp_path / "b"), interpolate="device")))
    assert a.interpolator == b.interpolator == "average"
    assert a.scores["validation"]["psnr"] == pytest.approx(b.scores["validation"]["psnr"], abs=1e-3)


@pytest.mark.parametrize("name", ["paper-2exp", "paper-3exp"])
def test_the_papers_recipe_takes_two_steps_and_validates(name: str, tmp_path: Path):
    """The preset as committed, but for paths, crop, length, and the interpolator, whose weights nobody ships."""
    root = write_vimeo(tmp_path / "vimeo", 16, 2, size=(32, 40))
    config = load_config(
        CONFIGS / f"{name}.toml",
        {
            "data": str(root), "extra_data": [], "output": str(tmp_path / "run"), "epochs": 1, "crop": 16, "workers": 0,
            "threads": 1, "validation": 1, "interpolator": "average", "log_every": 1,
        },
    )  # fmt: skip
    assert (config.batch, config.lr, config.lr_accr, config.lr_final) == (8, 1e-4, 1e-5, 1e-6)
    assert (config.loss.recon, config.loss.accr, config.loss.vote) == (1.0, 0.1, 0.5)
    assert (config.loss.vote_weighting, config.loss.accr_weighting, config.loss.recon_log) == ("uniform", "uniform", 0)
    assert load_config(CONFIGS / f"{name}.toml").epochs == 300
    lines: list[str] = []
    record = load_record(train(config, report=lines.append))
    assert record.training["steps_done"] == 2
    assert record.config["n_exposures"] == int(name[6])
    assert any(line.startswith("validation PSNR_T") for line in lines)
    assert record.scores["validation"]["psnr"] > 5
