"""Results of other methods: found by name, refused in one line, scored like any method."""

import numpy as np
import pytest
import torch

import trees
from lrhdr.baselines import BASELINES
from lrhdr.checks import InputError
from lrhdr.data.labelled_folder import load_labelled_folder
from lrhdr.evaluation import evaluate
from lrhdr.io.exr import write_exr
from lrhdr.predictions import find_predictions, read_prediction

NAMES = [f"frame_{i:03d}" for i in range(4)]


def write(folder, names, size=(20, 24), value=0.25):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_exr(folder / f"{name}.exr", np.full((*size, 3), value, np.float32))


def find(root, scored=range(4), alone=False, folders=("clip",)):
    return find_predictions(root, "set", folders, NAMES, scored, (20, 24), alone)


@pytest.mark.parametrize("place", ["set/clip", "clip"])
def test_places(place, tmp_path):
    write(tmp_path / place, NAMES)
    assert list(find(tmp_path)) == [0, 1, 2, 3]
    assert find(tmp_path, scored=(2,)) == {2: tmp_path / place / "frame_002.exr"}


def test_the_folder_itself_for_one_clip(tmp_path):
    write(tmp_path, ["out_0", "out_1", "out_02", "out_003"])
    assert find(tmp_path, alone=True)[2] == tmp_path / "out_02.exr"
    with pytest.raises(InputError, match=r"expected the results in set/clip or clip, found neither"):
        find(tmp_path)


def test_missing_and_surplus_in_one_line(tmp_path):
    write(tmp_path / "clip", [*NAMES[:1], "extra", "frame_017"])
    with pytest.raises(InputError) as error:
        find(tmp_path)
    message = str(error.value)
    assert "no result for 3 of 4 frames (frame_001, frame_002, frame_003)" in message
    assert "2 files of no frame (extra.exr, frame_017.exr)" in message
    assert "\n" not in message


def test_another_size(tmp_path):
    write(tmp_path / "clip", NAMES)
    write(tmp_path / "clip", NAMES[2:3], size=(24, 20))
    with pytest.raises(InputError, match=r"frame_002\.exr: found 20x24 pixels, expected 24x20"):
        find(tmp_path)


def test_negative_values_count_as_zero(tmp_path):
    write(tmp_path / "clip", NAMES, value=-0.5)
    assert torch.equal(read_prediction(tmp_path / "clip" / "frame_000.exr"), torch.zeros(1, 3, 20, 24))


def test_they_score_like_the_method_that_made_them(tmp_path):
    trees.write_folder(tmp_path / "data" / "clip", n_frames=4)
    found = load_labelled_folder(tmp_path / "data")
    kept = {}

    def keep(record, parts):
        if record.method == "completion":
            kept[record.index] = parts.hdr.permute(1, 2, 0).numpy()

    common = {"interpolator": "average", "composite": "both"}
    own = evaluate({"completion": BASELINES["completion"]}, found.clips, **common, keep=keep)
    (tmp_path / "other").mkdir()
    for index, hdr in kept.items():
        write_exr(tmp_path / "other" / f"{index}.exr", hdr)
    other = evaluate({}, found.clips, **common, predictions={"other": tmp_path / "other"})
    assert {r.method for r in other.frames} == {"other"}  # nothing to interpolate for, so no oracle
    before = {r.frame: r.metrics for r in own.frames if r.method == "completion"}
    for record in other.frames:
        for name in ("ssim_t", "psnr_l"):  # half floats
            assert record.metrics[name] == pytest.approx(before[record.frame][name], rel=2e-3)
    assert {r.composite for r in other.frames} == {False, True}
