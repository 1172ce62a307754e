"""Parts of a clip, reconstructed on their own in any order, are together the whole run, byte for byte."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from clips import Outcome

from lrhdr.io.images import read_exr, write_png
from lrhdr.io.video import VideoWriter
from lrhdr.run_options import RunOptions
from lrhdr.runs import run

Write = Callable[..., Path]
Split = Sequence[str]


def frames(count: int, exposures: Sequence[float], size: tuple[int, int] = (20, 32)) -> list[np.ndarray]:
    """8-bit frames in which no two moments look alike: a pattern that moves, under noise."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[: size[0], : size[1]]
    made = []
    for i in range(count):
        light = 0.5 * 2.0 ** (-5.0 * (0.5 + 0.5 * np.sin((x - 1.7 * i) / 4.0) * np.cos((y + i) / 5.0)))
        code = 255.0 * (light[..., None] * [1.0, 0.8, 0.6] * exposures[i % len(exposures)]).clip(0, 1) ** (1 / 2.2)
        made.append(np.rint(code + rng.normal(0, 1.5, code.shape)).clip(0, 255).astype(np.uint8))
    return made


@pytest.fixture
def moving_clip(tmp_path: Path) -> Write:
    def write(count: int, exposures: Sequence[float], video: bool = False) -> Path:
        images = frames(count, exposures)
        if video:
            path = tmp_path / "clip.mp4"
            with VideoWriter(path, 25, images[0].shape[:2]) as writer:
                for image in images:
                    writer.write(image)
            return path
        folder = tmp_path / "clip"
        folder.mkdir()
        for i, image in enumerate(images):
            write_png(folder / f"frame_{i:03d}.png", image)
        return folder

    return write


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a run but its record, by name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.exr"))}


def joined(clip: Path, folder: Path, options: RunOptions, split: Split) -> dict[str, bytes]:
    for part in split:
        run(str(clip), str(folder), RunOptions(**{**vars(options), "frames": part}))
    return files(folder)


NINE = [
    ("0:3", "3:6", "6:9"),
    ("4:9", "0:4"),
    ("8:9", "7:8", "6:7", "5:6", "4:5", "3:4", "2:3", "1:2", "0:1"),
    (":2", "2:7", "7:"),
]


@pytest.mark.parametrize("split", NINE)
@pytest.mark.parametrize("exposures", [(1.0, 8.0), (4.0, 1.0, 16.0)])
def test_any_split_is_the_whole(moving_clip: Write, tmp_path: Path, exposures: tuple[float, ...], split: Split) -> None:
    clip = moving_clip(9, exposures)
    stops = ",".join(f"{np.log2(e):g}" for e in exposures)
    options = RunOptions(
        method="completion", interpolator="dis", stops=stops, threads=1, inspect=False, fps="24", start_number=1001
    )
    run(str(clip), str(tmp_path / "whole"), options)
    whole = files(tmp_path / "whole")
    assert len(whole) == 9
    assert joined(clip, tmp_path / "parts", options, split) == whole


@pytest.mark.parametrize(
    "changes",
    [
        {"stabilise_window": True},
        {"scale": "scene", "colorspace": "acescg", "compression": "piz"},
        {"composite": True, "timecode": "01:00:00:00", "exposures": "1/1000,1/125", "stops": None},
        {"start": "1"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_options_that_touch_every_frame(moving_clip: Write, tmp_path: Path, changes: dict[str, object]) -> None:
    clip = moving_clip(7, (1.0, 8.0))
    base = {"method": "completion", "interpolator": "average", "stops": "0,3", "fps": "25", "threads": 1}
    options = RunOptions(**{**base, "inspect": False, **changes})
    run(str(clip), str(tmp_path / "whole"), options)
    assert joined(clip, tmp_path / "parts", options, ("5:7", "0:2", "2:5")) == files(tmp_path / "whole")


def test_the_network_its_layers_and_tiles(moving_clip: Write, tiny_weights: Write, tmp_path: Path) -> None:
    clip = moving_clip(6, (1.0, 8.0))
    options = RunOptions(weights=str(tiny_weights()), stops="0,3", aov="votes,confidence", inspect=False, threads=1)
    run(str(clip), str(tmp_path / "whole"), options)
    whole = files(tmp_path / "whole")
    assert len(whole) == 12
    assert joined(clip, tmp_path / "parts", options, ("4:6", "0:1", "1:4")) == whole


def test_a_video_file_with_time_stamps_and_exposures_from_its_pixels(moving_clip: Write, tmp_path: Path) -> None:
    clip = moving_clip(24, (1.0, 8.0), video=True)
    sidecar = tmp_path / "clip.json"
    options = RunOptions(method="completion", interpolator="average", threads=1, sidecar=str(sidecar))
    run(str(clip), str(tmp_path / "whole"), options)  # looks at the clip once, and writes the sidecar
    looked: list[str] = []
    for part in ("0:5", "11:24", "5:11"):
        run(
            str(clip),
            str(tmp_path / "parts"),
            RunOptions(**{**vars(options), "frames": part}),
            progress=lambda what, _done, _total: looked.append(what),
        )
    assert set(looked) == {"reconstruct"}  # none looked again
    whole = files(tmp_path / "whole")
    assert len(whole) == 24
    assert files(tmp_path / "parts") == whole


def test_parts_without_a_sidecar_find_what_the_first_of_them_found(moving_clip: Write, tmp_path: Path) -> None:
    clip = moving_clip(24, (1.0, 8.0))
    options = RunOptions(method="completion", interpolator="average", threads=1)
    run(str(clip), str(tmp_path / "whole"), options)
    assert joined(clip, tmp_path / "parts", options, ("20:24", "0:20")) == files(tmp_path / "whole")


def test_breaks_of_the_alternation_inside_and_between_parts(moving_clip: Write, tmp_path: Path) -> None:
    clip = moving_clip(24, (1.0, 8.0))
    (clip / "frame_010.png").unlink()
    for old in sorted(clip.glob("*.png"))[10:]:
        old.rename(old.with_name(f"frame_{int(old.stem[-3:]) - 1:03d}.png"))
    options = RunOptions(method="completion", interpolator="average", threads=1)
    said: list[str] = []
    run(str(clip), str(tmp_path / "whole"), options, notify=said.append)
    assert any("2 parts are reconstructed" in line for line in said), said
    for split in (("0:10", "10:23"), ("9:12", "0:9", "12:23")):
        folder = tmp_path / split[0].replace(":", "-")
        assert joined(clip, folder, options, split) == files(tmp_path / "whole")


def test_two_processes_write_parts_into_one_folder_at_the_same_time(moving_clip: Write, tmp_path: Path) -> None:
    clip = moving_clip(12, (1.0, 8.0))
    base = [sys.executable, "-m", "lrhdr", "reconstruct", str(clip), "--stops", "0,3", "--method", "completion"]
    base += ["--threads", "1", "-o", str(tmp_path / "parts")]
    pair = [subprocess.Popen([*base, "--frames", part], stderr=subprocess.PIPE) for part in ("0:6", "6:12")]
    for process in pair:
        assert process.wait(120) == 0, process.stderr.read() if process.stderr else ""
        if process.stderr:
            process.stderr.close()
    options = RunOptions(method="completion", stops="0,3", threads=1)
    run(str(clip), str(tmp_path / "whole"), options)
    assert files(tmp_path / "parts") == files(tmp_path / "whole")
    records = [json.loads((tmp_path / name / "clip.lrhdr.json").read_text()) for name in ("parts", "whole")]
    assert records[0] == records[1]
    assert not list((tmp_path / "parts").glob(".*"))


def test_overwriting_a_part_leaves_the_other_parts(
    lrhdr: Callable[..., Outcome], moving_clip: Write, tmp_path: Path
) -> None:
    clip = moving_clip(6, (1.0, 8.0))
    command = ("reconstruct", clip, "-o", tmp_path / "o", "--stops", "0,3", "--method", "completion", "--threads", "1")
    assert lrhdr(*command).status == 0
    kept = tmp_path / "o" / "clip.000000.exr"
    stamp = kept.stat().st_mtime_ns
    again = lrhdr(*command, "--frames", "3:6", "--overwrite")
    assert "computed 3 in" in again.out
    assert kept.stat().st_mtime_ns == stamp
    # with other settings nothing of the earlier run may stay
    other = lrhdr(*command, "--frames", "3:6", "--overwrite", "--interpolator", "average")
    assert other.status == 0
    assert sorted(p.name for p in (tmp_path / "o").glob("*.exr")) == [f"clip.00000{i}.exr" for i in (3, 4, 5)]
    assert np.isfinite(read_exr(tmp_path / "o" / "clip.000003.exr")).all()
