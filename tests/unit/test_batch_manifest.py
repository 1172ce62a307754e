"""`lrhdr.batch_manifest` and `lrhdr.shards`: rows to clips, clips to shards, shards to commands."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrhdr.batch_manifest import BatchClip, read_clips
from lrhdr.checks import InputError
from lrhdr.cli import build_parser
from lrhdr.commands.reconstruct import add_run_options
from lrhdr.io.images import write_png
from lrhdr.run_options import CHOICES, RunOptions
from lrhdr.shards import command, remaining, shard_options, split

ROWS = [
    {"input": "a", "stops": "0,3", "fps": "24", "aov": "votes", "hdr10": "v.mp4"},
    {"input": "b.mp4", "name": "bridge", "exposures": "1/1000,1/125", "start": "1", "tile": 256, "inspect": False},
]
TEXTS = {
    "clips.csv": "input,name,stops,exposures,fps,start,aov,hdr10,tile,inspect\n"
    'a,,"0,3",,24,,votes,v.mp4,,\nb.mp4,bridge,,"1/1000,1/125",,1,,,256,no\n',
    "clips.json": json.dumps(ROWS),
    "with-defaults.json": json.dumps({"defaults": {"fps": 24}, "clips": [ROWS[0], {**ROWS[1], "fps": "25"}]}),
    "clips.jsonl": "\n".join(map(json.dumps, ROWS)) + "\n\n",
    "clips.toml": '[[clip]]\ninput = "a"\nstops = [0, 3]\nfps = 24\naov = "votes"\nhdr10 = "v.mp4"\n'
    '[[clip]]\ninput = "b.mp4"\nname = "bridge"\nexposures = "1/1000,1/125"\nstart = 1\ntile = 256\ninspect = false\n',
}


def clips_of(tmp_path: Path, name: str, text: str, defaults: RunOptions | None = None) -> tuple[BatchClip, ...]:
    (tmp_path / name).write_text(text)
    return read_clips(str(tmp_path / name), str(tmp_path / "out"), defaults or RunOptions())


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_format_says_the_same(tmp_path: Path, name: str) -> None:
    a, b = clips_of(tmp_path, name, TEXTS[name])
    assert (a.name, a.input, a.output) == ("a", str(tmp_path / "a"), str(tmp_path / "out" / "a"))
    assert (a.options.stops, a.options.fps, a.options.aov) == ("0,3", "24", "votes")
    assert a.options.hdr10 == str(tmp_path / "out" / "a" / "v.mp4")
    assert (b.name, b.options.name, b.input) == ("bridge", "bridge", str(tmp_path / "b.mp4"))
    assert (b.options.exposures, b.options.start, b.options.tile) == ("1/1000,1/125", "1", 256)
    assert not b.options.inspect
    assert b.options.audio


def test_options_of_the_command_are_defaults_of_the_rows(tmp_path: Path) -> None:
    defaults = RunOptions(stops="0,3", threads=1, preview="{name}.mp4", sheet=str(tmp_path / "sheets" / "{name}.png"))
    text = 'input,exposures,colorspace\na,,\nb,"1/100,1/10",acescg\n'
    a, b = clips_of(tmp_path, "c.csv", text, defaults)
    assert (a.options.stops, a.options.exposures, a.options.colorspace) == ("0,3", None, "lin_rec709")
    assert (b.options.stops, b.options.exposures, b.options.colorspace) == (None, "1/100,1/10", "acescg")
    assert b.options.preview == str(tmp_path / "out" / "b" / "b.mp4")
    assert b.options.sheet == str(tmp_path / "sheets" / "b.png")


def test_exposures_of_a_row_replace_either_default(tmp_path: Path) -> None:
    text = '[defaults]\nstops = [0, 3]\n[[clip]]\ninput = "a"\n[[clip]]\ninput = "b"\nexposures = "1/100,1/10"\n'
    a, b = clips_of(tmp_path, "c.toml", text)
    assert (a.options.stops, a.options.exposures) == ("0,3", None)
    assert (b.options.stops, b.options.exposures) == (None, "1/100,1/10")


def test_a_report_in_a_table_is_a_switch_or_a_folder(tmp_path: Path) -> None:
    clips = clips_of(tmp_path, "c.csv", "input,report\na,no\nb,yes\nc,looks\n")
    out = tmp_path / "out"
    assert [clip.options.report for clip in clips] == [None, str(out / "b" / "report"), str(out / "c" / "looks")]


def test_files_of_a_row_lie_beside_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "curve.csv").write_text("x")
    row = json.dumps([{"input": "a", "crf": "curve.csv", "weights": "compact-2exp", "sidecar": "facts/a.json"}])
    (clip,) = clips_of(tmp_path, "c.json", row)
    assert clip.options.crf == str(tmp_path / "curve.csv")
    assert clip.options.weights == "compact-2exp"  # a name
    assert clip.options.sidecar == str(tmp_path / "facts" / "a.json")  # will be written


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "input,colour\na,b\n", "clip 1: unknown colour"),
        ("c.csv", "input,tile\na,big\n", "clip 1: tile: expected int, found 'big'"),
        ("c.csv", "input,inspect\na,maybe\n", "inspect: expected bool"),
        ("c.csv", "input,fps\na,24,25\n", "expected 2 columns"),
        ("c.csv", "name\nx\n", "expected 'input'"),
        ("c.csv", "input\n", "found no clip"),
        ("c.json", "{", "not a readable manifest"),
        ("c.json", "[1]", "clip 1: expected keys and values"),
        ("c.json", '{"clip": []}', "found clip"),
        ("c.json", '"a"', "expected a list of clips"),
        ("c.jsonl", '{"input": "a"}\nx\n', "not a readable manifest"),
        ("c.toml", "[[clip]\n", "not a readable manifest"),
        ("c.csv", "input,name\na,x\nb,X\n", "expected different names"),
        ("c.csv", "input,hdr10\na,/v.mp4\nb,/v.mp4\n", "/v.mp4: asked for by"),
        ("c.csv", "input,overwrite\na,yes\n", "unknown overwrite"),
        ("c.csv", 'input,stops,stops\na,"0,3","0,2"\n', "expected every column once, found stops twice"),
        ("c.json", '[{"input": "a", "scale": "Scene"}]', "clip 1: scale: expected shortest, scene, found 'Scene'"),
        ("c.json", '[{"input": "a", "colorspace": "rec2020"}]', "clip 1: colorspace: expected lin_rec709, "),
        ("c.json", '[{"input": "a", "compression": "zipp"}]', "clip 1: compression: expected zip, "),
        ("c.json", '[{"input": "a", "threads": 2.7}]', "clip 1: threads: expected int, found 2.7"),
        ("c.json", "[" * 100_000, "not a readable manifest"),
    ],
)
def test_manifests_that_make_no_sense(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        clips_of(tmp_path, name, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_choices_are_those_of_the_command_line() -> None:
    parser = argparse.ArgumentParser()
    add_run_options(parser)
    typed = {a.dest: tuple(a.choices) for a in parser._actions if a.choices and a.dest in CHOICES}
    assert {name: set(values) for name, values in typed.items()} == {n: set(v) for n, v in CHOICES.items()}


def test_a_report_of_a_row_lies_in_its_folder(tmp_path: Path) -> None:
    (clip,) = clips_of(tmp_path, "c.json", '[{"input": "a", "report": true}]')
    assert clip.options.report == str(Path(clip.output) / "report")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"c\.csv"):
        read_clips(str(tmp_path / "c.csv"), "out", RunOptions())


def test_a_folder_of_clips_and_one_that_is_a_clip(tmp_path: Path) -> None:
    root = tmp_path / "footage"
    for name in ("clip10", "clip2"):
        (root / name).mkdir(parents=True)
    (root / "walk.MP4").write_bytes(b"")
    (root / "notes.txt").write_text("")
    (root / ".cache").mkdir()
    found = read_clips(str(root), str(tmp_path / "out"), RunOptions())
    assert [clip.name for clip in found] == ["clip2", "clip10", "walk"]
    for i in range(2):
        write_png(root / "clip2" / f"{i}.png", np.zeros((4, 4, 3), np.uint8))
    (root / "clip2" / "proxies").mkdir()
    (one,) = read_clips(str(root / "clip2"), str(tmp_path / "out"), RunOptions())
    assert one.input == str(root / "clip2")
    (video,) = read_clips(str(root / "walk.MP4"), str(tmp_path / "out"), RunOptions())
    assert video.name == "walk"
    (root / "out" / "deeper").mkdir(parents=True)
    write_png(root / "out" / "deeper" / "x.png", np.zeros((4, 4, 3), np.uint8))
    found = read_clips(str(root), str(root / "out"), RunOptions())
    assert [clip.name for clip in found] == ["clip2", "clip10", "walk"]  # results are no footage
    (pattern,) = read_clips(str(root / "shot.%04d.png"), str(tmp_path / "out"), RunOptions())
    assert pattern.name == "shot"


@pytest.mark.parametrize("suffix", [".mp4", ".MOV", ".mpg", ".264", ".mxf", ".m2ts", ".y4m"])
def test_a_folder_of_videos_of_every_kind(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"walk{suffix}").write_bytes(b"")
    (clip,) = read_clips(str(tmp_path), str(tmp_path / "out"), RunOptions())
    assert clip.input == str(tmp_path / f"walk{suffix}")


@given(
    start=st.integers(0, 20),
    length=st.integers(1, 60),
    size=st.integers(1, 25),
    done=st.lists(st.tuples(st.integers(0, 90), st.integers(1, 30)), max_size=6),
)
def test_what_is_left_and_what_is_done_are_the_clip(
    start: int, length: int, size: int, done: list[tuple[int, int]]
) -> None:
    wanted = range(start, start + length)
    parts = [range(a, a + n) for a, n in done]
    left = remaining(wanted, parts, size)
    assert all(0 < len(part) <= size for part in left)
    frames = [i for part in left for i in part]
    assert frames == sorted(set(wanted) - {i for part in parts for i in part})


def test_splitting(tmp_path: Path) -> None:
    assert split(range(2, 9), 3) == [range(2, 5), range(5, 8), range(8, 9)]
    with pytest.raises(InputError, match="shard frames"):
        split(range(3), 0)


@pytest.mark.parametrize(
    "options",
    [
        RunOptions(),
        RunOptions(stops="-1.5,1.5", start="short", inspect=False, audio=False, composite=True, stabilise_window=True),
        RunOptions(exposures="1/1000,1/125", tile=256, threads=1, scale="scene", reference_white=100.0, padding=4),
        RunOptions(name="it's a clip", report="", hdr10="a b.mp4", codec="av1", encoder_crf=20.0, overwrite=True),
    ],
)
def test_a_command_says_what_the_options_are(options: RunOptions) -> None:
    words = command("in put", "out", options)
    assert words[0] == "lrhdr"
    parsed = vars(build_parser().parse_args(words[1:]))
    assert (parsed.pop("input"), parsed.pop("output"), parsed.pop("command")) == ("in put", "out", "reconstruct")
    parsed.pop("run")
    assert RunOptions(**parsed) == options


def test_a_shard_makes_nothing_of_the_whole_clip() -> None:
    options = RunOptions(
        preview="p.mp4", hdr10="h.mp4", hlg="g.mp4", sheet="s.png", report="", overwrite=True, fps="24"
    )
    assert shard_options(options, range(4, 8)) == RunOptions(fps="24", frames="4:8")
