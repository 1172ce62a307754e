"""ColorVideoVDP through its package: the same number by another way into the package; refusals without it."""

import sys

import pytest
import torch

from lrhdr.checks import InputError
from lrhdr.metrics.colorvideovdp import colorvideovdp
from lrhdr.transfer import oetf_pq

DISPLAY = {"frames_per_second": 24.0, "peak": 1000.0, "black": 0.005, "pixels_per_degree": 30.0}

# torchvision from the package index is built against CUDA and fails to load beside a CPU build of PyTorch, for want of
# two operators that this metric does not use.
_SHIM = []


@pytest.fixture(scope="module")
def package():
    if "torchvision" not in sys.modules and not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _SHIM.append(library)
    try:
        import pycvvdp
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"ColorVideoVDP is not installed: {error}")
    return pycvvdp


def waves(frames: int = 4):
    """Smooth waves over ten stops that drift, and the same with a chirp of 10 %; light in cd/m2."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    grey = torch.stack([100 * 2 ** (3 * torch.sin((x + 3 * t) / 20) + 2 * torch.cos(y / 15)) for t in range(frames)])
    reference = grey[:, None] * torch.tensor([1.0, 0.8, 0.6]).view(1, 3, 1, 1)
    test = reference * (1 + 0.1 * torch.sin(x * y / 97))
    return test.clamp(0.005, 1000.0), reference.clamp(0.005, 1000.0)


def test_agrees_with_the_package_asked_in_pq_codes(package):
    test, reference = waves()
    ours = colorvideovdp(test, reference, **DISPLAY)
    photometry = package.vvdp_display_photo_eotf(
        Y_peak=1000.0, contrast=200_000.0, source_colorspace="BT.709-linear", EOTF="PQ"
    )
    geometry = package.vvdp_display_geometry([96, 64], ppd=30.0)
    metric = package.cvvdp(
        display_photometry=photometry, display_geometry=geometry, quiet=True, device=torch.device("cpu")
    )
    theirs, _ = metric.predict(oetf_pq(test), oetf_pq(reference), dim_order="FCHW", frames_per_second=24.0)
    assert ours == pytest.approx(float(theirs), abs=2e-3)
    assert ours < 8.0


def test_identical_is_ten_and_flicker_is_seen(package):
    test, reference = waves()
    assert colorvideovdp(reference, reference, **DISPLAY) == 10.0
    assert colorvideovdp(test[:1], reference[:1], **DISPLAY) < 9.0
    faint = 0.9 * reference + 0.1 * test
    blinking = faint.clone()
    blinking[1::2] = 1.03 * reference[1::2]
    assert colorvideovdp(blinking, reference, **DISPLAY) < colorvideovdp(faint, reference, **DISPLAY) < 10.0


def test_without_the_package_one_line_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycvvdp", None)
    image = torch.rand(1, 3, 16, 16)
    with pytest.raises(InputError, match=r"pip install 'lrhdr\[cvvdp\]'"):
        colorvideovdp(image, image, **DISPLAY)


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((1, 1, 16, 16), {}, "3 channels"),
        ((1, 3, 16, 16), {"black": 0.0}, "black"),
        ((1, 3, 16, 16), {"peak": 0.001}, "black"),
        ((1, 3, 16, 16), {"pixels_per_degree": 0.0}, "pixels per degree"),
        ((1, 3, 16, 16), {"frames_per_second": 0.0}, "frames per second"),
    ],
)
def test_refuses(shape, changes, message):
    image = torch.rand(shape)
    with pytest.raises(InputError, match=message):
        colorvideovdp(image, image, **{**DISPLAY, **changes})
