"""The rows of the ablation: what each takes away from the full method, as changes to a training configuration.

The first seven are the paper's table as far as its published summary tells what they are; where it does not, the row's
title says what it is here. Rows that replace a part by a cheaper one can be made as expensive as the full network by
widening the voting network (`equal_cost`), so that size does not decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lrhdr.checks import InputError
from lrhdr.cost import measure_cost
from lrhdr.losses import LossConfig
from lrhdr.models.lrhdr import LRHDRConfig
from lrhdr.training_config import TrainConfig, merged

_CLOSE = 0.25
"""Largest relative difference in cost that still counts as equal; tiny networks come in coarse steps."""


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        title: what it is, for the table.
        model: changes to `TrainConfig.model`.
        loss: changes to `TrainConfig.loss`.
        equal_cost: widen the voting network until a frame costs as much as with the full network.
    """

    title: str
    model: Mapping[str, Any] = field(default_factory=dict)
    loss: Mapping[str, float] = field(default_factory=dict)
    equal_cost: bool = False


_WITHOUT_ACCR: dict[str, Any] = {"accr": "none"}
_DENSE_FLOW: dict[str, Any] = {**_WITHOUT_ACCR, "interpolated": False, "aligned": True, "fusion": "dense"}

ROWS: dict[str, Row] = {
    "base": Row("Base: interpolated frames, APSWF, vote loss; no ACCR", _WITHOUT_ACCR),
    "eic": Row("+ EIC: calibrated frames without RM, without their loss", {"accr": {"mapper": "none"}}, {"accr": 0.0}),
    "rm": Row("+ RM", {}, {"accr": 0.0}),
    "accr-loss": Row("+ ACCR loss, its L1 alone", {}, {"accr_gradient": 0.0}),
    "full": Row("full"),
    "no-vote-loss": Row("full without vote loss", {}, {"vote": 0.0}),
    "plain-encoder": Row("a plain encoder in place of EIC", {"accr": {"encoder": "plain"}}),
    "base-wide": Row("Base, widened to the cost of the full network", _WITHOUT_ACCR, equal_cost=True),
    "softmax": Row("softmax in place of entmax", {"fusion": "softmax"}),
    "dense": Row("dense sigmoid weights in place of APSWF's vote, same candidates", {"fusion": "dense"}, {"vote": 0.0}),
    "dense-flow": Row(
        "align, then dense fusion: sigmoid weights over the frames and their flow-aligned neighbours",
        _DENSE_FLOW,
        {"vote": 0.0},
        equal_cost=True,
    ),
    "flow-candidate": Row(
        "flow-aligned neighbours in place of ACCR", {**_WITHOUT_ACCR, "aligned": True}, equal_cost=True
    ),
    "no-prior": Row("full without the physical prior", {"prior": False}),
    "dense-flow-no-prior": Row(
        "align, then dense fusion, without the physical prior", {**_DENSE_FLOW, "prior": False}, {"vote": 0.0}, True
    ),
}
"""Name to row, in the order of the table."""


def row_config(base: TrainConfig, name: str, *, seed: int, output: str) -> TrainConfig:
    """The training run of one row and seed.

    Args:
        base: the full method's run.
        name: of the row.
        seed: of initialisation, data order and augmentation.
        output: its folder.

    Returns:
        `base` with the row's changes; no validation on the way, since runs are scored at their end.

    Raises:
        InputError: unknown row, or a network that cannot be built or widened as far as needed.
    """
    if name not in ROWS:
        raise InputError(f"rows: expected {', '.join(ROWS)}, found {name!r}")
    row = ROWS[name]
    config = replace(
        base,
        name=f"{name}-seed{seed}",
        output=output,
        seed=seed,
        model=merged(base.model, row.model),
        loss=LossConfig(**{**asdict(base.loss), **row.loss}),
        validate_every=0,
    )
    if row.equal_cost:
        widths = _equal_cost_widths(config.model_config(), _probe(base.model_config()))
        config = replace(config, model=merged(config.model, {"apswf": {"widths": list(widths)}}))
    config.model_config()  # refuse what cannot be built before anything is trained
    return config


def _probe(config: LRHDRConfig) -> int:
    """Multiply-adds of a small frame: for ratios as good as a large one, and counted in one pass."""
    return measure_cost(config, 48, 48).macs


def _equal_cost_widths(config: LRHDRConfig, macs: int) -> tuple[int, int, int, int]:
    """The widths of the voting network, scaled by one factor, at which a probe costs `macs` or nearly so."""
    factor = 1.0
    tried: dict[tuple[int, int, int, int], float] = {}
    for _ in range(8):
        w0, w1, w2, w3 = (max(1, round(factor * w)) for w in config.apswf.widths)
        if (w0, w1, w2, w3) in tried:
            break
        cost = _probe(replace(config, apswf=replace(config.apswf, widths=(w0, w1, w2, w3))))
        tried[w0, w1, w2, w3] = abs(cost / macs - 1.0)
        if tried[w0, w1, w2, w3] < 0.01:
            break
        factor *= math.sqrt(macs / cost)  # nearly all of the cost grows with the square of the widths
    best = min(tried, key=lambda widths: tried[widths])
    if tried[best] > _CLOSE:
        raise InputError("ablation: no width of the voting network makes this row as expensive as the full network")
    return best
