"""What is fuzzed: how a case becomes a file, what reads it, and what must hold of a result."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import fuzz_seeds as seeds
import numpy as np
import torch
from hypothesis import strategies as st
from mutation import json_values, mutated, near_json
from safetensors.torch import save

from lrhdr.models.lrhdr import LRHDR, LRHDRConfig

Read = Callable[[Path], object]


class Target:
    """A reader, or several, of one file.

    Attributes:
        cases: strategy of the file's contents.
        example: a valid one.
        output: the only folder that may be written to.
    """

    def __init__(self, folder: Path, name: str, files: Sequence[bytes], *reads: Read) -> None:
        self.path = folder / "in" / name
        self.path.parent.mkdir(exist_ok=True)
        self.output = folder / "out"
        self.output.mkdir(exist_ok=True)
        self.cases: st.SearchStrategy[Any] = mutated(files)
        self.example: Any = files[0]
        self._reads = reads
        self.prepare(self.example)

    def prepare(self, case: Any) -> None:
        """Write the file; not watched."""
        self.path.write_bytes(case)

    def run(self, case: Any) -> None:
        """Read it; every reader gets its turn. Raises the error of the last one when all refuse."""
        from lrhdr.checks import LrhdrError

        refusals: list[LrhdrError] = []
        for read in self._reads:
            try:
                read(self.path)
            except LrhdrError as error:
                refusals.append(error)
        if len(refusals) == len(self._reads):
            raise refusals[-1]

    def check(self, case: Any) -> None:
        """What must hold afterwards."""


class RecordTarget(Target):
    """A reader of a file that carries a record: the record is changed, then stored in the file."""

    def __init__(self, folder: Path, name: str, record: Any, store: Callable[[Any], bytes], *reads: Read) -> None:
        self._store = store
        super().__init__(folder, name, [store(record)], *reads)
        values = st.one_of(*[near_json(record)] * 4, json_values).map(store)
        self.cases = st.one_of(values, values, values, mutated([store(record)]))


class TextTarget(Target):
    """Functions of a text that a person types."""

    def __init__(self, folder: Path, texts: Sequence[str], *functions: Callable[[str], object]) -> None:
        super().__init__(folder, "unused", [b""], *[self._of(function) for function in functions])
        signs = st.text(alphabet="0123456789-+.,:;/eE naif\n\t%#_x ", max_size=24)
        near = mutated([text.encode() for text in texts]).map(lambda data: data.decode("utf-8", "replace"))
        self.cases = st.one_of(signs, signs, near, st.text(max_size=40))
        self.example = texts[0]
        self.text = ""

    def _of(self, function: Callable[[str], object]) -> Read:
        return lambda _path: function(self.text)

    def prepare(self, case: Any) -> None:
        self.text = case if isinstance(case, str) else ""


def _frames_fit(images: Iterable[np.ndarray], most: int = 4) -> None:
    for image, _ in zip(images, range(most), strict=False):
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert np.isfinite(image).all()
        assert image.min() >= 0.0
        assert image.max() <= 1.0


def _image(suffix: str, files: Callable[[Path], list[bytes]]) -> Callable[[Path], Target]:
    from lrhdr.io.images import read_exr_header, read_hdr, read_info, read_ldr

    def hdr(path: Path) -> None:
        if suffix != ".tif" or read_info(path).is_linear:
            assert np.isfinite(read_hdr(path)).all()

    reads: list[Read] = [read_info, lambda path: _frames_fit([read_ldr(path)])]
    if suffix in (".exr", ".hdr", ".pfm", ".tif"):
        reads.append(hdr)
    if suffix == ".exr":
        reads.append(read_exr_header)
    return lambda folder: Target(folder, f"case{suffix}", files(folder), *reads)


def _dng(folder: Path) -> Target:
    from lrhdr.io.raw import raw_info, read_raw, white_balance_of

    def develop(path: Path) -> None:
        _frames_fit([read_raw(path, white_balance_of(path))])

    return Target(folder, "case.dng", seeds.dng_files(folder), raw_info, develop)


def _video(folder: Path) -> Target:
    from lrhdr.io.sources import VideoFile
    from lrhdr.io.tags import read_comment, read_timecode

    def frames(path: Path) -> None:
        source = VideoFile(path, allow_hdr=True)
        _frames_fit(source.frames())
        _frames_fit(source.thin_frames(3))
        source.times()

    def tags(path: Path) -> None:
        read_timecode(path)  # neither refuses: what cannot be read says nothing
        read_comment(path)
        frames(path)

    return Target(folder, "case.mp4", seeds.video_files(folder), tags)


def _clip(folder: Path) -> Target:
    """A folder of frames whose second frame is the case."""
    from lrhdr.io.sources import open_frames

    files = seeds.png_files(folder)
    target = Target(folder, "b.png", files, lambda path: _frames_fit(open_frames(path.parent).frames()))
    (target.path.parent / "a.png").write_bytes(files[0])
    return target


def _exposures(folder: Path) -> Target:
    from lrhdr.exposure import ExposureSchedule
    from lrhdr.io.metadata import read_exposures_file

    def schedule(path: Path) -> None:
        stops = read_exposures_file(path.parent)
        if stops is not None:
            relative = ExposureSchedule.from_stops(stops).relative
            assert all(np.isfinite(relative))
            assert min(relative) == 1.0

    files = [
        b"0 3",
        b"0\n2\n4\n",
        "\ufeff0,3".encode(),
        b"-1.5 1.5",
        b"0 0.001",
        b"1e400 0",
        b"nan inf",
        b"0x10 2",
        b"1_0 2",
    ]
    return Target(folder, "Exposures.txt", files, schedule)


def _typed(folder: Path) -> Target:
    from lrhdr.exposure import ExposureSchedule
    from lrhdr.io.metadata import parse_exposure_list, parse_stops
    from lrhdr.run_options import file_stem, parse_range, parse_rate
    from lrhdr.timecode import parse_timecode, timecode_base

    def seconds(text: str) -> None:
        relative = ExposureSchedule.from_seconds(parse_exposure_list(text)).relative
        assert all(np.isfinite(relative))

    def stops(text: str) -> None:
        assert all(np.isfinite(ExposureSchedule.from_stops(parse_stops(text)).relative))

    def part(text: str) -> None:
        assert len(parse_range(text, 100)) >= 1

    def rate(text: str) -> None:
        found = parse_rate(text)
        assert found is not None
        timecode_base(found)

    def stem(text: str) -> None:
        name = file_stem(text)
        assert "/" not in name
        assert not name.startswith(".")

    texts = ["1/1000,1/125", "0,3", "3:9", "30000/1001", "01:02:03;04", "clip", "1e-300,1e300", "1/3e9,4"]
    times = (lambda text: parse_timecode(text, Fraction(24)), lambda text: parse_timecode(text, Fraction(30000, 1001)))
    return TextTarget(folder, texts, seconds, stops, part, rate, stem, *times)


def _as_json(record: Any) -> bytes:
    return json.dumps(record).encode("utf-8", "surrogatepass")


def _sidecar(folder: Path) -> Target:
    from lrhdr.alternation import Break
    from lrhdr.sidecar import ClipFacts, read_sidecar

    facts = ClipFacts(
        20, (32, 48), "gamma2.2", 0.01, 0.99, (1.0, 8.0), (0.01, 0.01), (Break(5, "dropped", 1),), True, "measured"
    )

    def read(path: Path) -> None:
        found = read_sidecar(path)
        assert found.n_frames >= 1
        if found.exposures:
            assert 0 <= found.phase(7) < len(found.exposures)

    return RecordTarget(folder, "case.json", facts.to_dict(), _as_json, read)


def _evaluation(folder: Path) -> Target:
    from lrhdr.comparison import compare, text
    from lrhdr.scores import Evaluation

    frame = {
        "group": "g", "clip": "c", "stops": [0.0, 2.0], "reference": "short", "boundary": False, "method": "merge",
        "composite": False, "seconds": 0.1,
    }  # fmt: skip
    clip = {
        "group": "g", "clip": "c", "stops": [0.0, 2.0], "method": "merge", "composite": False,
        "interpolation_seconds": 0.1, "flicker": 0.03,
    }  # fmt: skip
    record = {
        "settings": {"protocol": {"name": "all-frames"}, "metrics": ["psnr_t"], "seed": 0},
        "frames": [{**frame, "index": i, "psnr_t": 30.0 + i} for i in range(3)],
        "clips": [clip],
    }

    def read(path: Path) -> None:
        found = Evaluation.read_json(path)
        found.means()
        text(compare(found, found, metrics=["psnr_t"]), 0)

    return RecordTarget(folder, "case.json", record, _as_json, read)


def _run_record(folder: Path) -> Target:
    """The record of an earlier run in the output folder."""
    from lrhdr.delivery import ClipFiles, open_folder

    settings = {"version": "1", "fps": "24", "clip": {"n_frames": 3}, "exposures": [1.0, 8.0]}

    def take_up(path: Path) -> None:
        clip = ClipFiles(path.parent.parent / "out", "case", 0)
        clip.record.write_bytes(path.read_bytes())
        clip.path(0).write_bytes(b"")
        open_folder(clip, settings, overwrite=False)

    return RecordTarget(folder, "case.lrhdr.json", settings, _as_json, take_up)


def _toml(value: Any, name: str = "") -> str:
    """A table as TOML; what TOML has no word for becomes text."""
    lines, tables = [], []
    for key, inner in value.items():
        if isinstance(inner, dict):
            tables.append((key, inner))
        else:
            lines.append(f"{json.dumps(key)} = {_toml_value(inner)}")
    for key, inner in tables:
        here = f"{name}.{json.dumps(key)}" if name else json.dumps(key)
        lines += [f"[{here}]", _toml(inner, here)]
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(k)} = {_toml_value(v)}' for k, v in value.items())}}}"
    if isinstance(value, float):
        return str(value).replace("Infinity", "inf")
    return json.dumps(value) if value is not None else '"none"'


def _as_toml(record: Any) -> bytes:
    text = _toml(record) if isinstance(record, dict) else _toml_value(record)
    return text.encode("utf-8", "surrogatepass")


def _train_config(folder: Path) -> Target:
    from lrhdr.ablation_rows import ROWS, row_config
    from lrhdr.training_config import TrainConfig, load_config

    record = asdict(TrainConfig(data="d", output="o", model={"accr": {"channels": 4}, "prior": False}))
    record = json.loads(json.dumps(record))

    def read(path: Path) -> None:
        config = load_config(path)
        config.model_config()
        row_config(config, next(iter(ROWS)), seed=1, output="o")

    return RecordTarget(folder, "case.toml", record, _as_toml, read)


def _interpolation_config(folder: Path) -> Target:
    from lrhdr.interpolation_training import InterpolationTrainConfig, load_interpolation_config

    record = json.loads(json.dumps(asdict(InterpolationTrainConfig(data=("d",), output="o"))))
    return RecordTarget(folder, "case.toml", record, _as_toml, load_interpolation_config)


_TINY = {
    "accr": {"channels": 4, "context": 4, "mapper_hidden": 4, "decoder_hidden": 4, "decoder_blocks": 1},
    "apswf": {"widths": [4, 4, 4, 4]},
}


def _stored(state: dict[str, torch.Tensor], key: str) -> Callable[[Any], bytes]:
    return lambda record: save(state, metadata={key: json.dumps(record)})


def _weights(folder: Path) -> Target:
    from lrhdr.weights import WeightsRecord, load_pretrained

    torch.manual_seed(0)
    model = LRHDR(LRHDRConfig.from_dict(_TINY))
    record = json.loads(json.dumps(asdict(WeightsRecord("tiny", model.config.to_dict()))))
    del record["sha256"]

    def read(path: Path) -> None:
        found, known = load_pretrained(path)
        assert all(torch.isfinite(value).all() for value in found.state_dict().values())
        assert len(known.sha256) == 64

    return RecordTarget(folder, "case.safetensors", record, _stored(model.state_dict(), "lrhdr"), read)


def _interpolator(folder: Path) -> Target:
    from lrhdr.interpolate.compact_net import CompactConfig, CompactNet
    from lrhdr.interpolate.stored import METADATA_KEY, StoredRecord, build_interpolator
    from lrhdr.interpolator_files import read_film_file, read_named_tensors

    network = CompactNet(CompactConfig((2, 2, 2), 2, 2))
    record = asdict(StoredRecord("compact", network.config.to_dict(), "x", "0" * 64, "MIT", "0"))
    record = json.loads(json.dumps(record))
    return RecordTarget(
        folder, "case.safetensors", record, _stored(network.state_dict(), METADATA_KEY),
        lambda path: build_interpolator(path, "case"), read_film_file, read_named_tensors,
    )  # fmt: skip


def _saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def _checkpoint(folder: Path) -> Target:
    from lrhdr.checkpoint import load_checkpoint
    from lrhdr.interpolator_files import read_film_file, read_named_tensors

    state = {"step": 3, "minutes": 0.5, "config": {}, "model": {"a": torch.ones(2)}, "optimiser": {}, "scores": {}}
    files = [_saved(state), _saved(list(state)), _saved({"step": "x", "model": 3}), _saved({"a": torch.ones(3)})]
    return Target(folder, "case.pt", files, load_checkpoint, read_film_file, read_named_tensors)


def _cache(folder: Path) -> Target:
    """A cache of training samples: its shard is the case."""
    from lrhdr.data.generated import CachedSamples
    from samples import write_cache

    cache = write_cache(folder / "cache", 2, 16)
    shard = (cache / "shard-00000.safetensors").read_bytes()
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / "manifest.json").write_bytes((cache / "manifest.json").read_bytes())

    def read(path: Path) -> None:
        found = CachedSamples(path.parent)
        for index in range(min(len(found), 2)):
            found[index]
            found.tags(index)

    return Target(folder, "shard-00000.safetensors", [shard], read)


def _cache_manifest(folder: Path) -> Target:
    from lrhdr.data.generated import CachedSamples
    from samples import write_cache

    write_cache(folder / "in", 2, 16)
    record = {"format": 1, "shard_size": 2, "count": 2, "seed": 0, "config": {"interpolator": "dis"}, "stills": ["a"]}

    def read(path: Path) -> None:
        CachedSamples(path.parent)[0]

    return RecordTarget(folder, "manifest.json", record, _as_json, read)


def _zip(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


class _Archive(Target):
    """A TorchScript archive: whole, or with a changed pickle inside, whose checksum then fits."""

    def __init__(self, folder: Path) -> None:
        import warnings

        from lrhdr.io.torchscript import is_torchscript, read_torchscript

        warnings.simplefilter("ignore")
        module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.Linear(2, 2))
        torch.jit.script(module).save(str(folder / "seed.pt"))
        whole = (folder / "seed.pt").read_bytes()
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        pickled = next(name for name in parts if name.endswith("data.pkl"))
        super().__init__(folder, "case.pt", [whole], read_torchscript)
        is_torchscript(self.path)
        inside = mutated([parts[pickled]]).map(lambda data: _zip({**parts, pickled: data}))
        self.cases = st.one_of(inside, inside, self.cases)


def _bundle(folder: Path) -> Target:
    """A TensorFlow SavedModel: its index is the case."""
    from lrhdr.io.tensor_bundle import read_saved_model

    files = [_index(snappy=False), _index(snappy=True)]
    target = Target(folder, "variables.index", files, lambda path: read_saved_model(path.parent))
    (target.path.parent / "variables.data-00000-of-00001").write_bytes(_DATA)
    return target


_VALUES = np.arange(6, dtype="<f4").tobytes()


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


_GRAPH = _field(1, _field(2, _field(2, b"conv/kernel") + _field(3, b"variables/0")))
_TEXT = _varint(len(_GRAPH)) + b"\1\2\3\4" + _GRAPH
_DATA = _VALUES + _TEXT


def _index(*, snappy: bool) -> bytes:
    shape = _field(2, _field(1, 2)) + _field(2, _field(1, 3))
    entries = {
        b"": _field(1, 1),
        b"_CHECKPOINTABLE_OBJECT_GRAPH": _field(1, 7) + _field(4, len(_VALUES)) + _field(5, len(_TEXT)),
        b"variables/0": _field(1, 1) + _field(2, shape) + _field(5, len(_VALUES)),
    }
    out = bytearray()

    def block(items: list[tuple[bytes, bytes]]) -> bytes:
        body = b"".join(_varint(0) + _varint(len(k)) + _varint(len(v)) + k + v for k, v in items)
        body += struct.pack("<II", 0, 1)
        if snappy:
            body = _varint(len(body)) + bytes([61 << 2]) + struct.pack("<H", len(body) - 1) + body
        handle = _varint(len(out)) + _varint(len(body))
        out.extend(body + bytes([int(snappy)]) + b"\0\0\0\0")
        return handle

    data = block(sorted(entries.items()))
    meta = block([])
    footer = meta + block([(b"variables/0", data)])
    return bytes(out) + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def _snappy(folder: Path) -> Target:
    from lrhdr.io.snappy import decompress

    files = [bytes([20, 3 << 2]) + b"abcd" + bytes([(8 - 4) << 2 | 1, 4]) + bytes([(8 - 1) << 2 | 2, 3, 0]),
             bytes([7, 0]) + b"x" + bytes([5 << 2 | 3, 1, 0, 0, 0])]  # fmt: skip
    return Target(folder, "case", files, lambda path: decompress(path.read_bytes()))


def _curve(suffix: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        from lrhdr.io.curves import load_curve

        table = np.linspace(0.0, 1.0, 16)[:, None].repeat(3, 1) ** 2.2
        read: Read = lambda path: load_curve(str(path))  # noqa: E731 (a reader among others)
        if suffix == ".json":
            record = {
                "format": "lrhdr-response", "version": 1, "red": table[:, 0].tolist(), "green": table[:, 1].tolist(),
                "blue": table[:, 2].tolist(),
            }  # fmt: skip
            return RecordTarget(folder, "case.json", record, _as_json, read)
        if suffix == ".npy":
            files = []
            for array in (table, table[:, 0], table.astype(np.float32)):
                stream = io.BytesIO()
                np.save(stream, array)
                files.append(stream.getvalue())
            return Target(folder, "case.npy", files, read)
        if suffix == ".mat":
            from scipy.io import savemat

            stream = io.BytesIO()
            savemat(stream, {"crf": table}, do_compression=False)
            return Target(folder, "case.mat", [stream.getvalue()], read)
        text = "\n".join(" ".join(f"{x:.4f}" for x in row) for row in table).encode()
        return Target(folder, "case.csv", [text, text.replace(b" ", b","), b"# a curve\n" + text], read)

    return make


def _look(folder: Path) -> Target:
    import PyOpenColorIO

    from lrhdr.io.looks import load_look

    corners = [f"{r} {g} {b}" for b in (0, 1) for g in (0, 1) for r in (0, 1)]
    cube = "\n".join(["LUT_3D_SIZE 2", *corners]).encode()
    ramp = b"LUT_1D_SIZE 3\n0 0 0\n0.4 0.4 0.4\n1 1 1\n"
    image = np.linspace(0, 1, 12, dtype=np.float32).reshape(2, 2, 3)

    def read(path: Path) -> None:
        PyOpenColorIO.ClearAllCaches()  # which know a file by its name
        load_look(str(path)).apply(image)

    return Target(folder, "case.cube", [cube, ramp], read)


class _Faulty(Target):
    """Breaks a promise, to show that the worker notices."""

    def __init__(self, folder: Path, act: Callable[[Path], object]) -> None:
        self._act = act
        super().__init__(folder, "case", [b"abc"], lambda path: None)

    def run(self, case: Any) -> None:
        if case != self.example:
            self._act(self.path)


def _divide(_: Path) -> object:
    return 1 // 0


def _sleep(_: Path) -> None:
    import time

    time.sleep(30)


def _batch(folder: Path) -> Target:
    """Manifests of all kinds, and the ledger of an interrupted batch."""
    from lrhdr.batch_manifest import read_clips
    from lrhdr.ledger import read_ledger
    from lrhdr.run_options import RunOptions

    record = {
        "defaults": {"method": "merge"},
        "clips": [{"input": "a", "stops": "0,3"}, {"input": "b.mp4", "tile": 64}],
    }
    row = {"event": "frames", "clip": "a", "frames": [0, 64]}

    def manifest(suffix: str) -> Read:
        def read(path: Path) -> None:
            other = path.parent.parent / "out" / f"case{suffix}"
            other.write_bytes(path.read_bytes())
            read_ledger(other)  # never refuses: a line that was cut off is work to be done again
            for clip in read_clips(str(other), str(path.parent.parent / "out"), RunOptions()):
                assert Path(clip.output).parent == (path.parent.parent / "out").absolute(), clip

        return read

    def store(value: Any) -> bytes:
        return _as_toml({"clip": value["clips"]}) if _is_toml(value) else _as_json(value)

    def _is_toml(value: Any) -> bool:
        return isinstance(value, dict) and isinstance(value.get("clips"), list) and len(value["clips"]) == 1

    target = RecordTarget(
        folder, "case", record, store, manifest(".json"), manifest(".toml"), manifest(".csv"), manifest(".jsonl"),
    )  # fmt: skip
    csv = b'input,stops,tile\na,"0,3",64\nb.mp4,"0,2",\n'
    lines = json.dumps(row).encode() + b"\n" + json.dumps({"input": "a", "stops": "0,3"}).encode()
    target.cases = st.one_of(target.cases, target.cases, mutated([csv, lines]))
    return target


def _cli(folder: Path) -> Target:
    from fuzz_cli import CliTarget

    return CliTarget(folder)


TARGETS: dict[str, Callable[[Path], Target]] = {
    "png": _image(".png", seeds.png_files),
    "jpeg": _image(".jpg", seeds.jpeg_files),
    "tiff": _image(".tif", seeds.tiff_files),
    "exr": _image(".exr", seeds.exr_files),
    "hdr": _image(".hdr", lambda folder: seeds.radiance_files(folder)[:1]),
    "pfm": _image(".pfm", lambda folder: seeds.radiance_files(folder)[1:]),
    "dng": _dng,
    "video": _video,
    "clip": _clip,
    "exposures": _exposures,
    "typed": _typed,
    "sidecar": _sidecar,
    "run-record": _run_record,
    "evaluation": _evaluation,
    "batch": _batch,
    "train-config": _train_config,
    "interpolation-config": _interpolation_config,
    "weights": _weights,
    "interpolator": _interpolator,
    "checkpoint": _checkpoint,
    "cache": _cache,
    "cache-manifest": _cache_manifest,
    "torchscript": _Archive,
    "tensor-bundle": _bundle,
    "snappy": _snappy,
    "curve-json": _curve(".json"),
    "curve-npy": _curve(".npy"),
    "curve-mat": _curve(".mat"),
    "curve-text": _curve(".csv"),
    "look": _look,
    "cli": _cli,
    "stray-write": lambda folder: _Faulty(folder, lambda path: path.with_name("elsewhere").write_bytes(b"x")),
    "stray-error": lambda folder: _Faulty(folder, _divide),
    "memory": lambda folder: _Faulty(folder, lambda path: bytearray(2**33)),
    "hang": lambda folder: _Faulty(folder, _sleep),
}
