"""`lrhdr view`: what it serves equals the files, and nothing else can be had from it."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from viewer_clips import SIZE, frames, write_run

from lrhdr.aov import layers_of, parse_layers
from lrhdr.checks import InputError
from lrhdr.io.exr import encode_exr_layers
from lrhdr.io.images import read_hdr, write_exr
from lrhdr.viewer.sequence import Sequence, _Recent
from lrhdr.viewer.server import ViewServer
from packs import unpack

RECORD = {"exposures": [1.0, 8.0], "start": 0, "start_number": 0, "n_frames": 3, "fps": "25", "weights": "random"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with all layers, its record, a file beside the folder, and links that lead out."""
    folder = tmp_path / "run"
    made = frames(3)
    write_run(folder, made)
    (folder / "aov").mkdir()
    for f in made:
        layers = layers_of(f, parse_layers("votes,candidates,confidence"), lambda x: x)
        (folder / "aov" / f"shot_aov.{f.index:06d}.exr").write_bytes(encode_exr_layers(layers, {}))
    (folder / "shot.lrhdr.json").write_text(json.dumps(RECORD))
    write_exr(tmp_path / "secret.exr", np.full((*SIZE, 3), 0.25, np.float32))
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "shot.000003.exr").symlink_to(tmp_path / "secret.exr")
    (folder / "aov" / "shot_aov.000003.exr").symlink_to(tmp_path / "secret.exr")
    (folder / "notes.txt").write_text("not a frame")
    return folder


@pytest.fixture
def server(run: Path) -> Iterator[ViewServer]:
    with ViewServer(Sequence(run)) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(
    server: ViewServer, path: str, method: str = "GET", host: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{port}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body, {k.lower(): v for k, v in answer.getheaders()}


def test_frames_and_layers_are_those_of_the_files(server: ViewServer, run: Path) -> None:
    status, page, headers = ask(server, "/")
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    match = re.search(rb"var LRHDR = \{ manifest: (.*) \};</script>", page)
    assert match
    manifest = json.loads(match[1])
    assert [f["index"] for f in manifest["frames"]] == [0, 1, 2]  # not the link that leads out
    assert manifest["frames"][1]["exposure"] == 8.0
    assert manifest["frames"][1]["window"] == [0, 1, 2]
    assert manifest["rate"] == 25.0
    names = [e["name"] for e in manifest["candidateSets"][manifest["frames"][1]["set"]]]
    assert names[:3] == ["previous (0 EV)", "reference", "next (0 EV)"]
    made = frames(3)[1]
    assert made.weights is not None
    assert made.candidates is not None
    result = unpack(ask(server, "/data/result-1")[1])["result"].values()
    np.testing.assert_array_equal(result, read_hdr(run / "shot.000001.exr"))
    votes = unpack(ask(server, "/data/votes-1")[1])["votes"].values()
    np.testing.assert_array_equal(votes, made.weights.transpose(1, 2, 0).astype(np.float16))
    for k in range(6):
        stored = unpack(ask(server, f"/data/candidate{k}-1")[1])[f"candidate{k}"].values()
        np.testing.assert_array_equal(stored, made.candidates[k].astype(np.float16))
    assert unpack(ask(server, "/data/confidence-1")[1])["confidence"].codes.shape == (*SIZE, 1)


def test_layers_of_a_frame_are_decoded_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    kept = Sequence._read

    def counted(self: Sequence, path: Path, *kind: Any) -> Any:
        reads.append(path.name)
        return kept(self, path, *kind)

    monkeypatch.setattr(Sequence, "_read", counted)
    sequence = Sequence(run)
    names = ["votes", "confidence", *(f"candidate{k}" for k in range(6))]
    with ThreadPoolExecutor(4) as pool:
        packs = dict(zip(names, pool.map(lambda name: sequence.planes(1, name), names), strict=True))
    assert reads == ["shot_aov.000001.exr"]
    # A run that goes on writes its files again.
    file, other = (run / "aov" / f"shot_aov.{i:06d}.exr" for i in (1, 2))
    file.write_bytes(other.read_bytes())
    assert sequence.planes(1, "votes") == sequence.planes(2, "votes") != packs["votes"]
    file.unlink()
    with pytest.raises(InputError, match="is not there any more"):
        sequence.planes(1, "votes")


def test_few_layers_are_kept_but_those_of_the_last_frame() -> None:
    reads: list[str] = []

    def read(path: Path) -> dict[str, np.ndarray]:
        reads.append(path.name)
        return {"Y": np.zeros((4, 5), np.float16)}

    recent, a, b, c = _Recent(limit=80), *map(Path, "abc")
    for path in (a, b, a, b, c, b, a):  # two fit: a goes for c, and c for a
        assert recent.get(path, (0, 0), read)["Y"].shape == (4, 5)
    assert "".join(reads) == "abca"
    small = _Recent(limit=1)
    reads.clear()
    for path in (a, a, b, b, a):
        small.get(path, (0, 0), read)
    assert "".join(reads) == "aba"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/../secret.exr",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.exr",
        "/%252e%252e%252fsecret.txt",
        "/data/../secret.txt",
        "/data/..%2f..%2fsecret.exr",
        "/data/result-1/../../secret.txt",
        "/data/result-1%00.txt",
        "//etc/passwd",
        "/etc/passwd",
        "/data//etc/passwd",
        "/data/result-..",
        "/data/result-1?file=/etc/passwd",
        "/notes.txt",
        "/shot.lrhdr.json",
        "/shot.000000.exr",
        "\\..\\secret.txt",
        "http://127.0.0.1/../secret.txt",
    ],
)
def test_no_path_leads_to_a_file(server: ViewServer, path: str) -> None:
    status, body, _ = ask(server, path)
    assert status == 404
    assert body == b"no such frame"


def test_links_out_of_the_folder_are_not_followed(server: ViewServer, run: Path, tmp_path: Path) -> None:
    assert ask(server, "/data/result-3")[0] == 404
    # A frame that becomes such a link while the server runs is refused when it is asked for.
    (run / "shot.000002.exr").unlink()
    (run / "shot.000002.exr").symlink_to(tmp_path / "secret.exr")
    status, body, _ = ask(server, "/data/result-2")
    assert status == 422
    assert b"outside" in body
    (run / "link").symlink_to(tmp_path)
    assert ask(server, "/link/secret.txt")[0] == 404


def test_folders_of_nothing_but_links_out_are_refused(tmp_path: Path) -> None:
    write_exr(tmp_path / "secret.exr", np.ones((4, 4, 3), np.float32))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.0001.exr").symlink_to(tmp_path / "secret.exr")
    with pytest.raises(InputError, match="found none"):
        Sequence(tmp_path / "run")


def test_only_this_machine_may_ask_and_only_to_read(server: ViewServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    port = server.server_address[1]
    assert ask(server, "/", host="evil.example")[0] == 403
    assert ask(server, "/data/result-0", host=f"evil.example:{port}")[0] == 403
    assert ask(server, "/", host=f"localhost:{port}")[0] == 200
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(server, "/", method)[0] == 501
    status, body, headers = ask(server, "/data/result-0", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0


@pytest.mark.parametrize(
    "path", ["/data/result-99", "/data/votes9-0", "/data/candidate6-0", "/data/window0-0", "/data/x"]
)
def test_what_is_not_there_is_not_found(server: ViewServer, path: str) -> None:
    assert ask(server, path)[0] == 404


def test_damaged_frames_say_so_and_the_others_stay(server: ViewServer, run: Path) -> None:
    whole = (run / "shot.000001.exr").read_bytes()
    (run / "shot.000001.exr").write_bytes(whole[: len(whole) // 2])
    status, body, _ = ask(server, "/data/result-1")
    assert status == 422
    assert body.startswith(b"shot.000001.exr: ")
    assert ask(server, "/data/result-0")[0] == 200


def test_a_frame_that_is_gone_says_so(server: ViewServer, run: Path) -> None:
    (run / "shot.000001.exr").unlink()
    status, body, _ = ask(server, "/data/result-1")
    assert (status, body) == (422, b"shot.000001.exr: is not there any more")


def test_long_numbers_infinite_values_and_odd_records(tmp_path: Path) -> None:
    image = np.ones((*SIZE, 3), np.float32)
    image[0, 0] = np.inf
    with OpenEXR.File({"lrhdr:saturation": "much"}, {"RGB": image}) as file:
        file.write(str(tmp_path / "s.20240101123456.exr"))
    odd = {**RECORD, "start_number": "x", "n_frames": None, "weights": 3}
    (tmp_path / "s.lrhdr.json").write_text(json.dumps(odd))
    sequence = Sequence(tmp_path)
    assert sequence.manifest()["gain"] == 1.0
    with ViewServer(sequence) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        number = sequence.frames[0].index
        assert number == 20240101123456
        assert ask(server, f"/data/result-{number}")[0] == 200
        server.shutdown()
        thread.join()
    (tmp_path / "s.20240101123456.exr").rename(tmp_path / f"s.{10**17}.exr")
    assert [f.index for f in Sequence(tmp_path).frames] == [0]


def test_sequences_without_a_record_and_single_files(tmp_path: Path) -> None:
    made = frames(2)
    write_run(tmp_path / "frames", made)
    inside = Sequence(tmp_path)  # the demo leaves its frames in such a folder
    assert [f.path.name for f in inside.frames] == ["shot.000000.exr", "shot.000001.exr"]
    assert inside.manifest()["frames"][1] == {"index": 1, "file": "shot.000001.exr", "planes": ["result"]}
    single = Sequence(tmp_path / "frames" / "shot.000001.exr")
    assert [f.index for f in single.frames] == [1]
    (tmp_path / "odd").mkdir()
    for name in ("b.exr", "a.exr"):
        write_exr(tmp_path / "odd" / name, made[0].radiance)
    assert [f.index for f in Sequence(tmp_path / "odd").frames] == [0, 1]


def test_values_that_are_no_numbers_are_shown_not_refused(tmp_path: Path) -> None:
    image = np.ones((3, 4, 3), np.float16)
    image[1, 2] = [np.nan, np.inf, -1.0]
    OpenEXR.File({"type": OpenEXR.scanlineimage}, {"RGB": image}).write(str(tmp_path / "a.0001.exr"))
    values = unpack(Sequence(tmp_path).planes(1, "result"))["result"].values()
    assert np.isnan(values[1, 2, 0])
    assert list(values[1, 2, 1:]) == [65504.0, -1.0]
    assert Sequence(tmp_path).manifest()["size"] == [3, 4]


@pytest.mark.parametrize(
    ("make", "message"), [("missing", "found nothing"), ("empty", "found none"), ("text", "found none")]
)
def test_what_cannot_be_viewed_says_why(tmp_path: Path, make: str, message: str) -> None:
    path = tmp_path / make
    if make == "empty":
        path.mkdir()
    elif make == "text":
        path.write_text("hello")
    with pytest.raises(InputError, match=message):
        Sequence(path)


def test_a_taken_port_is_one_line(server: ViewServer, run: Path) -> None:
    with pytest.raises(InputError, match=r"port \d+: cannot be used"):
        ViewServer(Sequence(run), server.server_address[1])
