"""`lrhdr.io.sources`: folders, patterns and video files become the same kind of clip, or one clear error."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lrhdr.checks import InputError
from lrhdr.io.images import write_exr, write_png
from lrhdr.io.recoded import RecodedSource
from lrhdr.io.sources import FrameSource, open_frames
from lrhdr.io.video import VideoWriter
from lrhdr.response import named_curve


def image(index: int, size: tuple[int, int] = (6, 9)) -> np.ndarray:
    """A frame that tells its own index."""
    return np.full((*size, 3), 10 * index, np.uint8)


def folder_of(path: Path, names: list[str]) -> Path:
    path.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        write_png(path / name, image(index))
    return path


def video_of(path: Path, count: int) -> Path:
    with VideoWriter(path, Fraction(24), (16, 24), crf=0) as writer:
        for index in range(count):
            writer.write(image(index, (16, 24)))
    return path


def indices(source: FrameSource) -> list[int]:
    return [round(float(frame.mean()) * 255 / 10) for frame in source]


def test_folder_in_natural_order(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "clip", [f"f{n}.png" for n in range(8, 12)])
    (folder / ".hidden.png").write_text("not an image")
    (folder / "notes.txt").write_text("hello")
    (folder / "truth").mkdir()
    source = open_frames(folder)
    assert (source.name, source.n_frames, len(source), source.fps, source.size) == ("clip", 4, 4, None, (6, 9))
    assert indices(source) == [0, 1, 2, 3]
    assert indices(source) == [0, 1, 2, 3]  # a second time
    frame = next(iter(source))
    assert frame.dtype == np.float32
    assert frame.shape == (6, 9, 3)
    assert source.exposures_stops is None


def test_exposures_of_a_folder_and_of_its_parts(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "clip", [f"{n}.png" for n in range(6)])
    (folder / "Exposures.txt").write_text("0\n2\n4\n")
    source = open_frames(folder)
    assert source.exposures_stops == (0, 2, 4)
    part = source[1:5]
    assert part.n_frames == 4
    assert part.exposures_stops == (2, 4, 0)
    assert indices(part) == [1, 2, 3, 4]
    assert indices(part[1:]) == [2, 3, 4]
    assert part[1:].exposures_stops == (4, 0, 2)
    assert indices(source[-2:]) == [4, 5]
    assert [round(float(f.mean()) * 25.5) for f in source.frames(2, 4)] == [2, 3]
    for bad in (slice(3, 3), slice(0, 6, 2), slice(9, 12)):
        with pytest.raises(InputError, match="0:6"):
            source[bad]


def test_reading_is_lazy_and_the_bad_frame_is_named(tmp_path: Path) -> None:
    for n in range(4):
        tifffile.imwrite(tmp_path / f"f{n}.tif", image(n, (40, 40)), photometric="rgb", compression="zlib")
    data = (tmp_path / "f2.tif").read_bytes()
    start = data.index(b"\x78\x9c")  # the first compressed strip
    (tmp_path / "f2.tif").write_bytes(data[:start] + b"\0\0\0\0" + data[start + 4 :])
    frames = iter(open_frames(tmp_path))
    assert [round(float(next(frames).mean()) * 25.5) for _ in range(2)] == [0, 1]
    with pytest.raises(InputError, match=r"f2\.tif.*damaged.*expected"):
        next(frames)


def test_truncated_png_is_found_before_work_starts(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "clip", ["a0.png", "a1.png", "a2.png"])
    (folder / "a1.png").write_bytes((folder / "a1.png").read_bytes()[:-20])
    with pytest.raises(InputError, match=r"a1\.png.*truncated"):
        open_frames(folder)


def test_size_change_names_both(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "clip", ["a0.png", "a1.png"])
    write_png(folder / "a2.png", image(2, (6, 8)))
    with pytest.raises(InputError, match=r"a2\.png: found 8x6.*expected 9x6.*a0\.png"):
        open_frames(folder)


def test_file_replaced_after_opening(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "clip", ["a0.png", "a1.png"])
    source = open_frames(folder)
    write_png(folder / "a1.png", image(1, (4, 4)))
    with pytest.raises(InputError, match=r"a1\.png: found 4x4"):
        list(source)


def test_mixed_kinds_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "clip", ["a0.png", "a1.png"])
    tifffile.imwrite(folder / "a2.tif", image(2), photometric="rgb")
    with pytest.raises(InputError, match=r"2 \.png.*1 \.tif|1 \.tif.*2 \.png"):
        open_frames(folder)
    assert indices(open_frames(folder / "a%d.png")) == [0, 1]


def test_same_kind_spelled_differently_is_accepted(tmp_path: Path) -> None:
    for index, suffix in enumerate(("tif", "TIFF")):
        tifffile.imwrite(tmp_path / f"a{index}.{suffix}", image(index), photometric="rgb")
    assert indices(open_frames(tmp_path)) == [0, 1]


@pytest.mark.parametrize("pattern", ["shot.%04d.png", "shot.####.png", "shot.@@@@.png"])
def test_patterns(tmp_path: Path, pattern: str) -> None:
    folder = folder_of(tmp_path / "clip", [f"shot.{n:04d}.png" for n in range(999, 1002)] + ["other.png"])
    (folder / "Exposures.txt").write_text("0 3")
    source = open_frames(folder / pattern)
    assert indices(source) == [0, 1, 2]
    assert source.name == "shot"
    assert source.exposures_stops == (0, 3)


def test_pattern_of_numbers_alone_takes_the_folders_name(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "clip", ["0001.png", "0002.png"])
    assert open_frames(folder / "%04d.png").name == "clip"


def test_lost_frame_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "clip", [f"f{n:03d}.png" for n in (1, 2, 3, 5, 6)])
    for path in (folder, folder / "f%03d.png"):
        with pytest.raises(InputError, match=r"no frame number 4 between f001\.png and f006\.png"):
            open_frames(path)


def test_other_numberings_are_accepted(tmp_path: Path) -> None:
    assert len(open_frames(folder_of(tmp_path / "even", [f"{n}.png" for n in (0, 2, 4, 6)]))) == 4
    assert len(open_frames(folder_of(tmp_path / "time", [f"{n}.png" for n in (20260101120000, 20260101120033)]))) == 2
    assert len(open_frames(folder_of(tmp_path / "pairs", [f"{n}.png" for n in (0, 1, 4, 5, 8, 9)]))) == 6
    assert len(open_frames(folder_of(tmp_path / "words", ["a.png", "b.png", "d.png"]))) == 3


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "raw").mkdir()
    for n in range(2):
        (tmp_path / "raw" / f"{n}.dng").write_bytes(b"II*\0")
    (tmp_path / "one.dng").write_bytes(b"II*\0")
    write_png(tmp_path / "one.png", image(0))
    (tmp_path / "text.mp4").write_text("hello")
    cases = {
        "missing": "found nothing",
        "missing.%04d.png": "no files of that pattern",
        "empty": "no frames",
        "raw": "no readable raw image|rawpy",
        "one.dng": "one frame",
        "one.png": "one frame",
        "text.mp4": "cannot decode",
    }
    for name, words in cases.items():
        with pytest.raises(InputError, match=words) as caught:
            open_frames(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_what_shows_a_clip_in_another_way_says_all_of_it(tmp_path: Path) -> None:
    whole = open_frames(folder_of(tmp_path / "c", [f"{i}.png" for i in range(4)]))
    values = {
        "name": "n", "fps": Fraction(24), "exposures_stops": (0.0, 3.0), "exposures_problem": "p", "is_linear": True,
        "audio": tmp_path / "a.wav", "primaries": "bt2020", "size": whole.size, "n_frames": 4, "lossy": True,
    }  # fmt: skip
    assert set(values) == set(FrameSource.__annotations__)
    for key, value in values.items():
        setattr(whole, key, value)
    for shown, changes in ((RecodedSource(whole, named_curve("bt709")), {}), (whole[1:3], {"n_frames": 2})):
        for key, value in {**values, **changes, "exposures_stops": shown.exposures_stops}.items():
            assert getattr(shown, key) == value, key
    assert whole[1:3].exposures_stops == (3.0, 0.0)


def test_two_takes_in_one_folder_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "c", ["A_0000.png", "A_0001.png", "B_0005.png", "B_0006.png"])
    with pytest.raises(InputError, match=r"found frames of 2 clips \(A_\* and B_\*\).*such as .*A_####\.png"):
        open_frames(folder)
    assert open_frames(folder / "A_####.png").n_frames == 2


@pytest.mark.parametrize(
    "names",
    [
        ["a.png", "b.png", "c.png"],
        ["a1.png", "b1.png", "c1.png"],
        ["0001_short.png", "0002_long.png", "0003_short.png", "0004_long.png"],
        [f"A001_10_00_{i // 24:02d}_{i % 24:02d}.png" for i in range(12, 32)],
        ["take_20261130_235959.png", "take_20261201_000001.png"],
    ],
)
def test_names_of_many_kinds_are_one_clip(tmp_path: Path, names: list[str]) -> None:
    assert open_frames(folder_of(tmp_path / "c", names)).n_frames == len(names)


def test_the_counter_need_not_be_the_last_number(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "c", [f"f{i:04d}_v2.png" for i in range(9) if i != 5])
    with pytest.raises(InputError, match="found no frame number 5"):
        open_frames(folder)


def test_linear_exr_frames_are_encoded(tmp_path: Path) -> None:
    for n in range(2):
        write_exr(tmp_path / f"{n}.exr", np.full((4, 4, 3), 0.25 * (n + 1), np.float32))
    frames = list(open_frames(tmp_path))
    np.testing.assert_allclose([f.mean() for f in frames], [0.25 ** (1 / 2.2), 0.5 ** (1 / 2.2)], atol=1e-5)


def test_nan_frame_is_named_when_reached(tmp_path: Path) -> None:
    for n in range(3):
        linear = np.full((4, 4, 3), 0.5, np.float32)
        linear[1, 1, 1] = np.nan if n == 1 else 0.5
        tifffile.imwrite(tmp_path / f"{n}.tif", linear, photometric="rgb")
    frames = iter(open_frames(tmp_path))
    next(frames)
    with pytest.raises(InputError, match=r"1\.tif.*NaN"):
        next(frames)


def test_video(tmp_path: Path) -> None:
    source = open_frames(video_of(tmp_path / "clip.mp4", 7))
    assert (source.name, source.n_frames, source.fps, source.size) == ("clip", 7, 24, (16, 24))
    assert source.exposures_stops is None
    assert indices(source) == indices(source) == list(range(7))
    assert indices(source[2:5]) == [2, 3, 4]
    assert indices(source[5:]) == [5, 6]


def test_video_that_ends_early_is_an_error(tmp_path: Path) -> None:
    source = open_frames(video_of(tmp_path / "clip.mp4", 3))
    video_of(tmp_path / "clip.mp4", 2)  # what it claimed when it was opened is no longer true
    with pytest.raises(InputError, match=r"clip\.mp4: found 2 decodable frames, expected 3"):
        list(source)


def test_times_and_audio_of_a_clip_and_its_part(tmp_path: Path) -> None:
    source = open_frames(video_of(tmp_path / "clip.mp4", 4))
    assert source.audio is None
    assert source.times() == tuple(Fraction(n, 24) for n in range(4))
    assert source[1:3].times() == (Fraction(1, 24), Fraction(2, 24))
    assert open_frames(folder_of(tmp_path / "stills", ["0.png", "1.png"])).times() is None
