"""Odd and bad input: what the user sees. Each row of the table in docs/footage.md is one trial here, line for line."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
import pytest
from clips import Outcome, expose, scene
from PIL import Image

from lrhdr.io.images import read_exr, write_png
from lrhdr.io.yuv import quantise, rgb_to_yuv

Run = Callable[..., Outcome]
PAGE = Path(__file__).parents[2] / "docs" / "footage.md"
CHEAP = ("--method", "completion", "--threads", "1")
ALTERNATING = (1.0, 8.0, 1.0, 8.0, 1.0, 8.0)


class Trial(NamedTuple):
    """One row.

    Attributes:
        make: writes the input into a folder and returns what to give to the command.
        command: name and options.
        status: exit status.
        correct: whether the reconstruction must equal the scene.
    """

    make: Callable[[Path], Path]
    command: tuple[str, ...]
    status: int
    correct: bool = False


def shots(exposures: Sequence[float] = ALTERNATING, size: tuple[int, int] = (18, 32)) -> list[np.ndarray]:
    return [expose(scene(*size), e) for e in exposures]


def film(
    path: Path,
    frames: Sequence[np.ndarray],
    pix_fmt: str = "yuv444p",
    *,
    full: bool = False,
    pts: Sequence[int] | None = None,
    trc: int = 1,
    codec: str = "ffv1",
) -> Path:
    """Encode RGB frames without loss, 24 per second on a clock of 1/240 s."""
    bits = 10 if "10" in pix_fmt else 8
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=24)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, 240)
        tags = {"color_range": 2 if full else 1, "colorspace": 1, "color_trc": trc, "color_primaries": 1}
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for index, image in enumerate(frames):
            signals = rgb_to_yuv(image.astype(np.float32) / np.float32(255), "bt709")
            frame: Any = av.VideoFrame(image.shape[1], image.shape[0], pix_fmt)
            for number, (plane, signal) in enumerate(zip(frame.planes, signals, strict=True)):
                codes = quantise(signal, bits=bits, full_range=full, chroma=number > 0)
                rows = np.zeros((plane.height, plane.line_size // codes.itemsize), codes.dtype)
                rows[:, : codes.shape[1]] = codes
                plane.update(rows.tobytes())
            for name, value in tags.items():
                setattr(frame, name, value)
            frame.pts = pts[index] if pts else 10 * index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def folder_of(
    folder: Path, write: Callable[[Path, np.ndarray], object], frames: Sequence[np.ndarray], kind: str
) -> Path:
    folder = folder / "clip"
    folder.mkdir()
    for index, frame in enumerate(frames):
        write(folder / f"{index:03d}.{kind}", frame)
    return folder


def truncated(folder: Path) -> Path:
    path = film(folder / "clip.mp4", shots(size=(48, 64)), "yuv444p", codec="libx264")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    return path


def sound_alone(folder: Path) -> Path:
    with av.open(str(folder / "clip.mov"), "w") as container:
        stream: Any = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        for part in (frame, None):
            container.mux(stream.encode(part))
    return folder / "clip.mov"


def rotated(folder: Path) -> Path:
    """The display matrix of the track header (ISO 14496-12) is written into the file."""
    path = film(folder / "clip.mp4", [np.rot90(f).copy() for f in shots()], "yuv444p", codec="libx264")
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    data[start : start + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def with_alpha(path: Path, frame: np.ndarray) -> None:
    alpha = np.full((*frame.shape[:2], 1), 77, np.uint8)
    cv2.imwrite(str(path), np.concatenate([frame[..., ::-1], alpha], axis=2))


def linear_16_bit(folder: Path, stops: str) -> Path:
    clip = folder_of(folder, write_png, [], "png")
    for index, exposure in enumerate(ALTERNATING):
        write_png(clip / f"{index}.png", np.rint(65535 * (scene(18, 32) * exposure).clip(0, 1)).astype(np.uint16))
    if stops:
        (clip / "Exposures.txt").write_text(stops)
    return clip


def gap(folder: Path) -> Path:
    clip = folder_of(folder, write_png, shots(), "png")
    (clip / "003.png").unlink()
    return clip


def grey(path: Path, frame: np.ndarray) -> None:
    write_png(path, np.ascontiguousarray(frame[..., 0]))


def cmyk(path: Path, frame: np.ndarray) -> None:
    Image.fromarray(frame).convert("CMYK").save(path)


RECONSTRUCT = ("reconstruct", "-o", "OUT", *CHEAP)
TRIALS: dict[str, Trial] = {
    "truncated file": Trial(truncated, RECONSTRUCT, 2),
    "no video stream": Trial(sound_alone, RECONSTRUCT, 2),
    "one frame": Trial(lambda f: film(f / "clip.mkv", shots((1.0,))), (*RECONSTRUCT, "--stops", "0,3"), 2),
    "HDR video already": Trial(lambda f: film(f / "clip.mkv", shots(), trc=16), RECONSTRUCT, 2),
    "does not alternate": Trial(lambda f: film(f / "clip.mkv", shots((4.0,) * 6)), RECONSTRUCT, 2),
    "odd size": Trial(lambda f: film(f / "clip.mkv", shots(size=(21, 33))), RECONSTRUCT, 0),
    "10 bits, full range": Trial(
        lambda f: film(f / "clip.mkv", shots(), "yuv444p10le", full=True), ("inspect",), 0
    ),
    "rotated": Trial(rotated, ("inspect",), 0),
    "variable rate": Trial(
        lambda f: film(f / "clip.mkv", shots(), pts=[0, 10, 25, 35, 60, 70]), ("inspect",), 0
    ),
    "wrong exposures": Trial(
        lambda f: folder_of(f, write_png, shots(), "png"), (*RECONSTRUCT, "--exposures", "1/1000,1/250"), 0
    ),
    "wrong phase": Trial(
        lambda f: folder_of(f, write_png, shots(), "png"), (*RECONSTRUCT, "--stops", "0,3", "--start", "long"), 0
    ),
    "lost file": Trial(gap, RECONSTRUCT, 2),
    "dropped frame": Trial(
        lambda f: folder_of(f, write_png, shots((*ALTERNATING, *ALTERNATING[1:])), "png"),
        RECONSTRUCT, 0,
    ),
    "alpha channel": Trial(lambda f: folder_of(f, with_alpha, shots(), "png"), RECONSTRUCT, 0, True),
    "grey": Trial(lambda f: folder_of(f, grey, shots(), "png"), RECONSTRUCT, 0),
    "CMYK JPEG": Trial(lambda f: folder_of(f, cmyk, shots(), "jpg"), RECONSTRUCT, 2),
    "16-bit linear, not said": Trial(lambda f: linear_16_bit(f, "0 3"), RECONSTRUCT, 0),
    "16-bit linear, said": Trial(lambda f: linear_16_bit(f, ""), (*RECONSTRUCT, "--crf", "linear"), 0, True),
}  # fmt: skip


def line_of(result: Outcome, given: Path, name: str) -> str:
    """The line that the user sees first: an error, a warning, a note; of `inspect` the one that the trial is about."""
    spoken = [line for line in result.err.splitlines() if line.startswith("lrhdr: ")]
    if not spoken:
        words = {"10 bits, full range": "coding", "rotated": "coding", "variable rate": "clip:"}
        spoken = [line for line in result.out.splitlines() if line.startswith(words[name])]
    line = next((line for line in spoken if "breaks" in line), spoken[0])
    return line.replace(str(given), "INPUT")


@pytest.mark.parametrize("name", TRIALS)
def test_what_the_user_sees(lrhdr: Run, tmp_path: Path, name: str) -> None:
    trial = TRIALS[name]
    given = trial.make(tmp_path)
    command, *rest = (word.replace("OUT", str(tmp_path / "o")) for word in trial.command)
    result = lrhdr(command, given, *rest)
    assert result.status == trial.status, result
    assert "Traceback" not in result.err
    line = line_of(result, given, name)
    assert f"| {name} | `{line}` |" in PAGE.read_text(encoding="utf-8"), f"{PAGE}: | {name} | `{line}` |"
    if trial.status:
        assert len(result.err.splitlines()) == 1
        assert not (tmp_path / "o").exists()
    if trial.correct:
        frames = sorted((tmp_path / "o").glob("*.exr"))
        assert len(frames) == len(ALTERNATING)
        for path in frames:
            np.testing.assert_allclose(read_exr(path), scene(18, 32), atol=0.03)


def test_every_row_of_the_table_is_a_trial() -> None:
    part = PAGE.read_text(encoding="utf-8").split("## Odd and bad input")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")][1:]
    assert sorted(rows) == sorted(TRIALS)
