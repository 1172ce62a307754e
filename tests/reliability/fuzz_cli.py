"""The command line with any options: every command but those that serve pages or compute for long by design.

`app` and `view` serve until Ctrl-C, `demo` reconstructs the bundled clip, `weights fetch` needs a network: these are
left out. Options that ask for work (counts, sizes, workers) get small values and junk, all others absurd values too.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import fuzz_seeds as seeds
import numpy as np
from fuzz_targets import Target
from hypothesis import strategies as st

from lrhdr.checks import InputError

LEFT_OUT = {"app", "view", "demo"}
_WORK = {
    "count", "size", "height", "width", "frames", "workers", "seeds", "worst", "n_exposures", "shard_frames", "retries",
    "exposures", "task_cores", "task_gpus", "padding", "port",
}  # fmt: skip
_OUTPUTS = {
    "output", "out_dir", "target", "sidecar", "preview", "hdr10", "hlg", "sheet", "report", "plot", "onnx", "pt2",
}  # fmt: skip
_JUNK = [
    "",
    " ",
    "x",
    "-",
    "--",
    "nan",
    "inf",
    "-1",
    "0",
    "1e9",
    "a,b",
    "../x",
    "\u00e9\u4e2d",
    "%d",
    "{}",
    "{0}",
    "%(x)s",
    "\x7f",
    "a" * 300,
]
_SMALL = ["-1", "0", "1", "2", "3", "x", "1.5", ""]
_WHOLE = [*_SMALL, "7", "64", "1000000000", str(2**31), str(2**63), str(10**30)]
_REAL = ["-1", "0", "0.5", "1", "2", "100", "nan", "inf", "-inf", "1e308", "1e-308", "x", ""]
_TEXTS = {
    "stops": ["0,3", "0,2,4", "3,0", "0,0", "0", "0,100", "-50,50", "0;3"],
    "exposures": ["1/1000,1/125", "1,8", "1e-6,1e3", "1/0,1", "1"],
    "start": ["0", "1", "2", "short", "long", "middle", "-1"],
    "frames": ["0:2", ":", "1:", ":1", "3:1", "-1:2", "0:99999999999999999999"],
    "fps": ["24", "30000/1001", "0", "1/0", "1e9", "-24"],
    "timecode": ["01:00:00:00", "01:00:00;00", "99:99:99:99", "x"],
    "crf": ["srgb", "slog3", "linear", "gamma2.2", "x"],
    "aov": ["votes", "votes,candidates,confidence", "x", ","],
    "weights": ["compact-2exp", "compact-9exp", "x"],
    "metrics": ["psnr_t", "x"],
    "methods": ["merge", "reference", "x"],
    "device": ["cpu", "cuda", "meta", "x", "cpu:0", "cuda:99"],
    "name": ["clip", "../../x", "..", "a/b", ".x"],
    "look": ["x", "sRGB - Display/x"],
}  # fmt: skip


class CliTarget(Target):
    """A command line; its inputs lie in `in`, its outputs belong into `out`."""

    def __init__(self, folder: Path) -> None:
        import lightning_fabric  # noqa: F401  (makes folders of PyTorch's compiler: before the guard looks)

        from lrhdr.cli import build_parser

        super().__init__(folder, "notes.txt", [b"notes"])
        self.folder = folder
        self._inputs = self._write_inputs(folder / "in")
        self._outputs = [
            "out/a",
            "out/b/c",
            "out/a.mp4",
            "out/a.mkv",
            "out/a.png",
            "out/a.json",
            "out/a.exr",
            "out/a.jpg",
        ]
        self._state = self._seen()
        commands = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
        strategies = [
            self._line(name, parser) for name, parser in commands.choices.items() if name not in LEFT_OUT | {"weights"}
        ]
        importing = st.sampled_from(self._inputs).map(lambda p: ["weights", "import", "film", p])
        junk = st.lists(st.sampled_from([*_JUNK, *commands.choices, "--help", "--version", "-o"]), max_size=4)
        self.cases = st.one_of(*strategies, importing, junk.filter(lambda words: not LEFT_OUT & set(words)))
        self.example = ["reconstruct", "in/clip", "-o", "out/a", "--method", "merge", "--threads", "1"]
        os.chdir(folder)

    def _write_inputs(self, place: Path) -> list[str]:
        png = seeds.png_files(place)[0]
        for i in range(4):
            (place / "clip").mkdir(exist_ok=True)
            (place / "clip" / f"f{i}.png").write_bytes(png)
            (place / "frames").mkdir(exist_ok=True)
            (place / "frames" / f"f.{i:06d}.exr").write_bytes(seeds.exr_files(place)[0])
        (place / "clip" / "Exposures.txt").write_text("0 3")
        (place / "empty").mkdir()
        (place / "clip.mp4").write_bytes(seeds.video_files(place)[0])
        (place / "bad.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
        (place / "bad.json").write_text(json.dumps({"frames": 3}))
        (place / "bad.pth").write_bytes(b"\x80\x02}q\x00.")
        (place / "bad.toml").write_text('data = "in/empty"\noutput = "out/run"\nsteps = 1\n')
        (place / "bad.csv").write_text("input,stops\nclip,x\n")
        np.save(place / "curve.npy", np.linspace(0.0, 1.0, 9))
        names = [
            "clip",
            "frames",
            "frames/f.000001.exr",
            "clip/f0.png",
            "clip/f%d.png",
            "clip/f#.png",
            "empty",
            "clip.mp4",
        ]
        names += ["bad.safetensors", "bad.json", "bad.pth", "bad.toml", "bad.csv", "curve.npy", "notes.txt", "missing"]
        return [*(f"in/{name}" for name in names), "/dev/null"]

    def _value(self, action: argparse.Action) -> st.SearchStrategy[str]:
        dest = action.dest
        if action.choices is not None:
            return st.sampled_from([*map(str, action.choices), "x"])
        if dest in _OUTPUTS:
            return st.sampled_from(self._outputs)
        if action.type is int or dest == "seed":
            return st.sampled_from(_SMALL if dest in _WORK else _WHOLE)
        if action.type is float:
            return st.sampled_from(_SMALL if dest in _WORK else _REAL)
        return st.one_of(
            st.sampled_from(_TEXTS.get(dest, ["x"])), st.sampled_from(self._inputs), st.sampled_from(_JUNK)
        )

    def _line(self, name: str, parser: argparse.ArgumentParser) -> st.SearchStrategy[list[str]]:
        positional = [a for a in parser._actions if not a.option_strings]
        optional = [a for a in parser._actions if a.option_strings and a.dest != "help"]
        required = [a for a in optional if a.required]

        @st.composite
        def line(draw: st.DrawFn) -> list[str]:
            words = [name]
            for action in positional:
                words.append(draw(st.sampled_from(self._inputs) if action.choices is None else self._value(action)))
            chosen = draw(st.lists(st.sampled_from(optional), max_size=4)) if optional else []
            chosen += [a for a in required if a not in chosen and draw(st.integers(0, 19))]
            # Defaults of outputs are folders beside the caller; here everything goes to one folder.
            chosen += [a for a in optional if a.dest in _OUTPUTS and a.default is not None and a not in chosen]
            if name in ("reconstruct", "batch") and draw(st.integers(0, 3)):
                words += ["--method", "merge"]  # most of the time the cheap one
            if name == "batch":
                words += ["--dry-run"]
            if name == "bench":  # makes a whole benchmark, whatever it is asked
                words += ["--height", draw(st.sampled_from(["0", "-1", "x"]))]
            if name == "evaluate":
                words += ["--methods", "reference", "--frames", "1", "--no-plots", "--worst", "0"]
            for action in chosen:
                words.append(draw(st.sampled_from(action.option_strings)))
                if action.nargs == 0 or words[-1].startswith("--no-"):
                    continue
                words.append(draw(self._value(action)))
            return words

        return line()

    def _seen(self) -> dict[str, tuple[int, int]]:
        """Everything in the folder but the output: size and time of change."""
        found = {}
        for path in self.folder.rglob("*"):
            if self.output not in (path, *path.parents) and path.name != "case.txt" and path.is_file():
                found[str(path)] = (path.stat().st_size, path.stat().st_mtime_ns)
        return found

    def prepare(self, case: Any) -> None:
        """Nothing: inputs are there."""

    def run(self, case: Any) -> None:
        """Run the command line in this process."""
        from lrhdr.cli import main

        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main(list(case))
            except SystemExit as stop:  # --help and --version
                status = int(stop.code or 0)
        said = err.getvalue()
        assert "Traceback" not in said, said
        assert "internal error" not in said, said
        errors = [line for line in said.splitlines() if line.startswith("lrhdr: error: ")]
        assert status in (0, 1, 2, 3), status
        if status == 0:
            assert not errors, said
            return
        assert len(errors) == 1 or (status == 2 and "usage:" in out.getvalue()), (status, said)
        assert not re.search(r"[\x00-\x08\x0b-\x1f]", errors[0] if errors else ""), errors
        raise InputError(f"refused with status {status}")

    def check(self, case: Any) -> None:
        """No input was changed, nothing appeared outside the output folder."""
        assert self._seen() == self._state, case
