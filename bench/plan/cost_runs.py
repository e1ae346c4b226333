"""The runs that a search under a latency waits for: measuring networks, and fitting predictors to that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from bench.plan.row_cost import MEASURED, RowCost, file_digest
from bench.records.run_info import RunInfo

PROTOCOL = {"rounds": 8, "calls": 3, "seed": 0}
"""As `dasbench measure-latency` has them where nothing is said."""


def cost_runs(
    cost: RowCost,
    space: str,
    network: Mapping[str, Any],
    common: Mapping[str, Any],
    add: Callable[..., RunInfo],
) -> tuple[RowCost, list[str]]:
    """A row's cost as its search's configuration has it, and the signatures of the runs that it waits for.

    A file counts by what it holds, not by where it lies. Where there is none, a run measures latencies and another one
    fits predictors to them: the same two for all seeds, and for all rows that ask for the same.

    Args:
        network, common: of the profile; how many images it trains on has no part in a latency.
        add: (phase, configuration, what every configuration has, ...) -> a run of the row.

    Raises:
        ConfigError: the file cannot be read.
    """
    if cost.on != "latency_ms":
        return cost, []
    if cost.file is not None:
        return replace(cost, file=file_digest(cost.file)), []
    measures = {**{name: getattr(cost, name) for name in ("device", *MEASURED)}, **PROTOCOL}
    alike: dict[str, Any] = {"precision": "fp32", "deterministic": True, "threads": cost.threads}
    alike = {**common, "data": {**common["data"], "train_images": None, "test_images": None}, **alike}
    unseeded = {"search_seed": None, "retrain_seed": None}
    collected = add("collect", {"space": space, "network": network, "latency": measures}, alike, **unseeded)
    needs = [collected.signature]
    fitted = add("fit", {"latency": {"run": collected.signature}}, alike, needs=needs, **unseeded)
    usual: dict[str, Any] = {each.name: each.default for each in fields(cost) if each.name in MEASURED}
    return replace(cost, **usual), [fitted.signature]
