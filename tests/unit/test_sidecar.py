"""`sidecar`: written and read back; a bad one is one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lrhdr.alternation import Alternation, Break
from lrhdr.checks import InputError
from lrhdr.sidecar import ClipFacts, clip_facts, read_sidecar, write_sidecar

FACTS = ClipFacts(
    40, (18, 32), "slog3", 0.0, 0.92, (1.0, 8.01), (0.0, 0.01), (Break(13, "dropped", 1),), True, "all fit"
)


def test_round_trip(tmp_path: Path) -> None:
    write_sidecar(tmp_path / "a.lrhdr.json", FACTS)
    assert read_sidecar(tmp_path / "a.lrhdr.json") == FACTS
    (tmp_path / "run.json").write_text(json.dumps({"weights": "x", "clip": FACTS.to_dict()}))
    assert read_sidecar(tmp_path / "run.json") == FACTS


def test_phases_count_the_breaks_in() -> None:
    assert [FACTS.phase(i) for i in (0, 1, 12, 13, 14)] == [0, 1, 0, 0, 1]
    three = ClipFacts(20, (4, 4), "x", exposures=(1, 4, 16), breaks=(Break(7, "repeated", 1), Break(10, "dropped", 2)))
    assert [three.phase(i) for i in (6, 7, 8, 9, 10, 11)] == [0, 0, 1, 2, 2, 0]


def test_facts_of_an_analysis_are_rounded() -> None:
    found = Alternation(2, "why", (1.0, 8.0123456), (0.0, 0.0123456))
    facts = clip_facts(9, (4, 6), "gamma2.2", found, 0.0612345678, 1.0)
    assert facts.exposures == (1.0, 8.0123)
    assert facts.uncertainty == (0.0, 0.0123)
    assert (facts.black, facts.certain, facts.reason) == (0.06123, True, "why")
    assert not clip_facts(9, (4, 6), "gamma2.2", Alternation(0, "few"), 0.0, 1.0).certain


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "other JSON"),
        ({"version": 2}, "version 2 of the sidecar, expected 1"),
        ({"exposures": [1.0]}, "at least two exposures"),
        ({"exposures": [1.0, 1.0]}, "different exposures"),
        ({"exposures": [1.0, -8.0]}, "above 0"),
        ({"exposures": "bright"}, "not a usable sidecar"),
        ({"uncertainty_stops": [0.1]}, "uncertainty"),
        ({"black": 0.7}, "black"),
        ({"saturation": None}, "not a usable sidecar"),
        ({"n_frames": 0}, "at least one frame"),
        ({"breaks": [{"index": 99, "kind": "dropped", "count": 1}]}, "inside the clip"),
        ({"breaks": [{"index": 3}]}, "no 'kind'"),
        ({"size": [4]}, "not a usable sidecar"),
    ],
)
def test_bad_values_are_one_line(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(FACTS.to_dict() | change))
    with pytest.raises(InputError, match=words) as caught:
        read_sidecar(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_sidecar(tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("exposures: 1, 8")
    (tmp_path / "list.json").write_text("[1, 8]")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    for name, words in (
        ("none.json", "found nothing"), ("text.json", "cannot be read"), ("list.json", "other JSON"),
        ("bytes.json", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            read_sidecar(tmp_path / name)
    record = FACTS.to_dict()
    del record["black"]
    (tmp_path / "less.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="no 'black'"):
        read_sidecar(tmp_path / "less.json")
