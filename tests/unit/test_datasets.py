"""Loaders of published data sets: each reads back the tree that the test wrote, and refuses a broken one."""

import shutil

import numpy as np
import pytest
import torch

import trees
from lrhdr.checks import InputError
from lrhdr.data.cinematic import load_cinematic
from lrhdr.data.deephdrvideo import PARTS, load_deephdrvideo
from lrhdr.data.labelled import LabelledClip, LabelledDataset
from lrhdr.data.labelled_folder import load_labelled_folder, match_names
from lrhdr.data.realhdrv import load_realhdrv
from lrhdr.data.recognise import LOADERS, open_labelled
from lrhdr.data.tog13 import load_tog13, read_affine


def check_round_trip(clip: LabelledClip, written: trees.Written) -> None:
    """Values and order are those that were written."""
    assert len(clip) == len(written.codes)
    for i, codes in enumerate(written.codes):
        ldr = clip.ldr(i)
        assert ldr.dtype == torch.float32
        assert np.array_equal(np.rint(ldr.permute(1, 2, 0).numpy() * 65535).astype(np.uint16), codes)
    assert clip.labelled == tuple(written.truths)
    for i, truth in written.truths.items():
        assert np.array_equal(clip.truth(i).permute(1, 2, 0).numpy(), truth)


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_cinematic(tmp_path):
    written = trees.write_cinematic(tmp_path)
    found = load_cinematic(tmp_path)
    assert [(c.group, c.name) for c in found.clips] == [
        ("cinematic-2exp", "POKER"),
        ("cinematic-2exp", "CAROUSEL"),
        ("cinematic-3exp", "POKER"),
        ("cinematic-3exp", "CAROUSEL"),
    ]
    for clip in found.clips:
        check_round_trip(clip, written[clip.schedule.n_exposures, clip.name])
    assert found.clips[0].schedule.relative == (1.0, 8.0)
    assert found.clips[2].schedule.relative == (1.0, 4.0, 16.0)
    assert found.clips[0].labelled == (2, 3, 4, 5)
    assert found.clips[2].labelled == (3, 4)
    assert found.summary() == ("Cinematic Video: 4 scenes, 2 and 3 exposures, 32 frames of 24x20, 12 with ground truth")


def test_cinematic_broken(tmp_path):
    trees.write_cinematic(tmp_path, exposures=(2,))
    assert len(load_cinematic(tmp_path).clips) == 2
    folder = tmp_path / "Images" / "POKER_2expo"
    (folder / "POKER_0003.hdr").rename(folder / "x")
    with pytest.raises(InputError, match=r"POKER_0003\.hdr: expected the ground truth of frame 3") as error:
        load_cinematic(tmp_path)
    one_line(error)
    (folder / "x").rename(folder / "POKER_0003.hdr")
    (folder / "Exposures.txt").write_text("0 2 4")
    with pytest.raises(InputError, match=r"Exposures\.txt: expected 2 stops, found 3"):
        load_cinematic(tmp_path)
    (folder / "Exposures.txt").unlink()
    with pytest.raises(InputError, match=r"Exposures\.txt: expected the stops"):
        load_cinematic(tmp_path)
    (folder / "Exposures.txt").write_text("0 3")
    (folder / "POKER_0001.tif").unlink()
    with pytest.raises(InputError, match=r"POKER_0001\.tif: expected an image file, found nothing"):
        load_cinematic(tmp_path)
    trees.write_tiff(folder / "POKER_0001.tif", np.zeros((4, 6, 3), np.uint16))
    with pytest.raises(InputError, match=r"POKER_0001\.tif: found 6x4 pixels, expected 24x20 as in POKER_0000\.tif"):
        load_cinematic(tmp_path)
    (tmp_path / "scenes_2expo.txt").write_text("\n")
    with pytest.raises(InputError, match="empty file"):
        load_cinematic(tmp_path)
    (tmp_path / "scenes_2expo.txt").unlink()
    with pytest.raises(InputError, match=r"scenes_2expo\.txt or scenes_3expo\.txt, found neither"):
        load_cinematic(tmp_path)


def test_cinematic_lists_may_leave_the_suffix_out(tmp_path):
    trees.write_cinematic(tmp_path, scenes=("POKER",), exposures=(2,))
    (tmp_path / "scenes_2expo.txt").write_text("POKER\n")
    assert load_cinematic(tmp_path).clips[0].name == "POKER"


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("n_exposures", [2, 3])
def test_deephdrvideo(static, n_exposures, tmp_path):
    name = next(k for k, v in PARTS.items() if v == ("static" if static else "dynamic", n_exposures))
    written = trees.write_deephdrvideo(tmp_path / name, static, n_exposures)
    found = load_deephdrvideo(tmp_path / name)
    assert [c.name for c in found.clips] == list(written)
    for clip in found.clips:
        assert clip.group == f"deephdrvideo-{'static' if static else 'dynamic'}-{n_exposures}exp"
        check_round_trip(clip, written[clip.name])
    # Labels above 1 stay what they are; dividing them is the protocol's business.
    assert float(found.clips[0].truth(n_exposures).max()) > 1.0
    assert f"{n_exposures} exposures" in found.summary()
    assert f"{2 * (2 * n_exposures + 1) if static else 2} with ground truth" in found.summary()


def test_deephdrvideo_whole_and_broken(tmp_path):
    for name, (kind, n) in PARTS.items():
        trees.write_deephdrvideo(tmp_path / name, kind == "static", n)
    assert len({c.group for c in load_deephdrvideo(tmp_path).clips}) == 4
    static = tmp_path / next(k for k, v in PARTS.items() if v == ("static", 2)) / "scene_000_ref_high"
    (static / "img_04.hdr").unlink()
    with pytest.raises(InputError, match=r"img_04\.hdr: expected the ground truth of frame 4, found nothing"):
        load_deephdrvideo(tmp_path)
    dynamic = tmp_path / next(k for k, v in PARTS.items() if v == ("dynamic", 2))
    scene = dynamic / "scene_000_ref_high"
    (scene / "img_hdr_list.txt").unlink()
    assert load_deephdrvideo(dynamic).clips[0].labelled == (2,)  # img_list.txt and <scene>.hdr do as well
    (scene / "img_hdr_list.txt").write_text("img_00.tif\n")
    with pytest.raises(InputError, match=r"expected rows 'image hdr', found 'img_00\.tif'"):
        load_deephdrvideo(dynamic)
    with pytest.raises(InputError, match=r"expected scene_all\.txt"):
        load_deephdrvideo(scene)


def test_realhdrv(tmp_path):
    written = trees.write_realhdrv(tmp_path / "Test_Compack_8frames_50scenes")
    found = load_realhdrv(tmp_path)
    assert [c.name for c in found.clips] == ["scene_2", "scene_10"]
    for clip in found.clips:
        short, long, mixed = written[clip.name]
        check_round_trip(clip, mixed)
        assert clip.schedule.relative == (8.0, 1.0)
        for i, other in enumerate((short[0], long[1], short[2], long[3])):
            assert np.array_equal(np.rint(clip.companion(i).permute(1, 2, 0).numpy() * 65535), other)
    flipped = load_realhdrv(tmp_path / "Test_Compack_8frames_50scenes", first="short").clips[0]
    assert flipped.schedule.relative == (1.0, 8.0)
    assert torch.equal(flipped.ldr(0), found.clips[0].companion(0))
    assert found.summary().startswith("Real-HDRV: 2 scenes, 2 exposures, 8 frames of 24x20, 8 with ground truth")


def test_realhdrv_broken(tmp_path):
    trees.write_realhdrv(tmp_path)
    (tmp_path / "scene_2" / "Input_1" / "frame_01.tif").unlink()
    with pytest.raises(InputError, match=r"Input_1/frame_01\.tif: expected it as .*Input_0/frame_01\.tif is there"):
        load_realhdrv(tmp_path)
    shutil.rmtree(tmp_path / "scene_2" / "Input_1")
    with pytest.raises(InputError, match=r"Input_1: expected frame_00\.tif"):
        load_realhdrv(tmp_path)
    shutil.rmtree(tmp_path / "scene_2")
    (tmp_path / "scene_10" / "GT" / "GT_frame_02.hdr").unlink()
    with pytest.raises(InputError, match=r"GT_frame_02\.hdr: expected an image file, found nothing"):
        load_realhdrv(tmp_path)
    with pytest.raises(InputError, match="expected first 'long' or 'short'"):
        load_realhdrv(tmp_path, first="middle")
    with pytest.raises(InputError, match="found none"):
        load_realhdrv(tmp_path / "scene_10")


def test_tog13(tmp_path):
    pytest.importorskip("scipy", reason="reads .mat files")
    written, curve = trees.write_tog13(tmp_path / "t")
    found = load_tog13(tmp_path / "t")
    assert [(c.group, c.name) for c in found.clips] == [
        ("tog13-2exp", "Fire-2Exp-3Stop"),
        ("tog13-3exp", "Dog-3Exp-2Stop"),
    ]
    assert found.summary().endswith("no ground truth")
    for clip in found.clips:
        assert clip.labelled == ()
        for i, codes in enumerate(written[clip.name].codes):
            linear = np.stack([curve[codes[..., c], c] for c in range(3)], axis=-1) / curve.max()
            assert np.allclose(clip.ldr(i).permute(1, 2, 0).numpy(), linear ** (1 / 2.2), atol=1e-6)
    affine = read_affine(found.clips[1].frames[2], 3)
    assert affine.shape == (4, 2, 3)
    assert affine[1].tolist() == [[1, 0, 3], [0, 1, -1]]
    with pytest.raises(InputError, match=r"002_match\.txt: expected 2 rows of 6 numbers, found 4 rows"):
        read_affine(found.clips[1].frames[2], 2)


def test_tog13_broken(tmp_path):
    savemat = pytest.importorskip("scipy.io", reason="reads .mat files").savemat
    trees.write_tog13(tmp_path / "t")
    crf = tmp_path / "t" / "BaslerCRF.mat"
    savemat(crf, {"BaslerCRF": np.zeros((256, 3))})
    with pytest.raises(
        InputError, match=r"BaslerCRF\.mat: expected 65536 x 3 finite numbers, found float64 \(256, 3\)"
    ):
        load_tog13(tmp_path / "t")
    savemat(crf, {"other": np.zeros((65536, 3))})
    with pytest.raises(InputError, match="expected the variable BaslerCRF, found other"):
        load_tog13(tmp_path / "t")
    crf.write_bytes(b"x" * 300)
    with pytest.raises(InputError, match="expected a MATLAB file"):
        load_tog13(tmp_path / "t")
    crf.unlink()
    with pytest.raises(InputError, match="response curve, found nothing"):
        load_tog13(tmp_path / "t")


@pytest.mark.parametrize("truth", ["truth", "GT", ""])
def test_folder(truth, tmp_path):
    written = trees.write_folder(tmp_path / "clip", truth=truth)
    found = load_labelled_folder(tmp_path / "clip")
    check_round_trip(found.clips[0], written)
    assert (found.clips[0].group, found.clips[0].name) == ("folder-2exp", "clip")


def test_folder_of_folders(tmp_path):
    for name in ("b10", "b2"):
        trees.write_folder(tmp_path / name)
    trees.write_folder(tmp_path / "c", stops=(0.0, 2.0, 4.0))
    found = load_labelled_folder(tmp_path)
    assert [(c.group, c.name) for c in found.clips] == [
        ("folder-2exp", "b2"),
        ("folder-2exp", "b10"),
        ("folder-3exp", "c"),
    ]


def test_folder_broken(tmp_path):
    folder = tmp_path / "clip"
    trees.write_folder(folder)
    trees.write_rgbe(folder / "truth" / "frame_009.hdr", np.ones((20, 24, 3)))
    with pytest.raises(InputError, match=r"frame_009\.hdr: belongs to no frame, expected a name such as frame_000"):
        load_labelled_folder(folder)
    (folder / "truth" / "frame_009.hdr").rename(folder / "truth" / "x_001.hdr")
    with pytest.raises(InputError, match=r"a second file for frame frame_001 beside frame_001\.hdr"):
        load_labelled_folder(folder)
    trees.write_rgbe(folder / "truth" / "x_001.hdr", np.ones((20, 20, 3)))
    (folder / "truth" / "frame_001.hdr").unlink()
    with pytest.raises(InputError, match=r"x_001\.hdr: found 20x20 pixels, expected 24x20"):
        load_labelled_folder(folder)
    shutil.rmtree(folder / "truth")
    assert load_labelled_folder(folder).clips[0].labelled == ()
    (folder / "truth").mkdir()
    with pytest.raises(InputError, match="expected ground truth"):
        load_labelled_folder(folder)
    (folder / "GT").mkdir()
    with pytest.raises(InputError, match="expected one folder of ground truth"):
        load_labelled_folder(folder)


def test_names_match_by_stem_before_number(tmp_path):
    files = [tmp_path / "GT_frame_02.hdr", tmp_path / "frame_00.exr", tmp_path / "mask.exr"]
    names = [f"frame_{i:02d}" for i in range(3)]
    assert match_names(files, names) == ({0: files[1], 2: files[0]}, [files[2]])


def test_every_kind_is_recognised(tmp_path):
    trees.write_cinematic(tmp_path / "cinematic", scenes=("A",))
    trees.write_deephdrvideo(tmp_path / "deephdrvideo", static=False)
    trees.write_realhdrv(tmp_path / "realhdrv")
    trees.write_folder(tmp_path / "folder")
    for kind in LOADERS.keys() - {"tog13"}:
        assert {c.dataset for c in open_labelled(tmp_path / kind).clips} == {kind}
    (tmp_path / "empty").mkdir()
    for path, message in (("empty", "found no data set that is known"), ("none", "found nothing")):
        with pytest.raises(InputError, match=message):
            open_labelled(tmp_path / path)


def test_tog13_is_recognised(tmp_path):
    pytest.importorskip("scipy", reason="reads .mat files")
    trees.write_tog13(tmp_path / "t")
    assert {c.dataset for c in open_labelled(tmp_path / "t").clips} == {"tog13"}


def test_clips_check_themselves(tmp_path):
    trees.write_folder(tmp_path / "clip")
    (clip,) = load_labelled_folder(tmp_path / "clip").clips
    common = {"dataset": "folder", "group": "g", "name": "n", "size": clip.size}
    with pytest.raises(InputError, match="found ground truth of frame 7"):
        LabelledClip(frames=clip.frames, stops=(0.0, 3.0), truths={7: clip.frames[0]}, **common)
    with pytest.raises(InputError, match="found 1 frame, expected at least 2"):
        LabelledClip(frames=clip.frames[:1], stops=(0.0, 3.0), truths={}, **common)
    with pytest.raises(InputError, match="one companion per frame"):
        LabelledClip(frames=clip.frames, stops=(0.0, 3.0), truths={}, companions=clip.frames[:1], **common)
    with pytest.raises(InputError, match="second exposure"):
        clip.companion(0)
    with pytest.raises(InputError, match="found scene clip twice"):
        LabelledDataset("Folder", tmp_path, (clip, clip))
    trees.write_tiff(clip.frames[2], np.zeros((4, 4, 3), np.uint16))
    with pytest.raises(InputError, match=r"frame_002\.tif: found 4x4 pixels, expected 24x20"):
        clip.ldr(2)
