"""Settings of a training run that are not of their field's kind: one line that names the key."""

from __future__ import annotations

from typing import Any

import pytest

from lrhdr.checks import InputError, check_kinds
from lrhdr.training_config import config_from_dict

PATHS = {"data": "d", "output": "o"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"prior": "no"}, "model.prior: expected true or false, found 'no'"),
        ({"noise": 1}, "model.noise: expected true or false, found 1"),
        ({"alpha": "1.5"}, "model.alpha: expected a number, found '1.5'"),
        ({"fusion": "none"}, "fusion: expected 'entmax'"),
        ({"accr": "no"}, "model.accr: expected a table, found 'no'"),
        ({"accr": {"channels": 2.5}}, r"model.accr.channels: expected a whole number, found 2\.5"),
        ({"apswf": {"attention": "no"}}, "model.apswf.attention: expected true or false, found 'no'"),
        ({"apswf": {"widths": 8}}, "model.apswf.widths: expected a list, found 8"),
        ({"apswf": {"widths": [8.5, 16, 16, 16]}}, r"model.apswf.widths: expected a whole number, found 8\.5"),
        ({"apswf": {"blocks": [True, 1, 1]}}, "model.apswf.blocks: expected a whole number, found True"),
    ],
)
def test_switches_of_the_network_have_their_kind(model: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^training configuration: {message}") as caught:
        config_from_dict({**PATHS, "model": model}, "run.toml").model_config()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("absent", ["none", None])
def test_a_network_may_be_without_accr(absent: str | None) -> None:
    model = {"accr": absent, "alpha": 2, "apswf": {"widths": [4, 4, 4, 4]}}
    network = config_from_dict({**PATHS, "model": model}, "run.toml").model_config()
    assert (network.accr, network.alpha, network.apswf.widths) == (None, 2, (4, 4, 4, 4))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"extra_data": [3]}, "extra_data: expected text, found 3"),
        ({"loss": {"vote": "much"}}, "loss.vote: expected a number, found 'much'"),
        ({"model": 3}, "model: expected a table, found 3"),
    ],
)
def test_lists_and_tables_of_a_file_are_looked_into(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^run.toml: {message}"):
        config_from_dict(PATHS | values, "run.toml")


def test_kinds_go_by_the_defaults() -> None:
    defaults = {"a": (1,), "b": {"c": {"d": 0.5}}, "e": ()}
    check_kinds({"a": [2, 3], "b": {"c": {"d": 1, "more": "x"}}, "e": ["x", 3], "unknown": None}, defaults, "f")
    with pytest.raises(InputError, match=r"^f: b\.c\.d: expected a number, found True"):
        check_kinds({"b": {"c": {"d": True}}}, defaults, "f")
