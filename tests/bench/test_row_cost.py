"""Rows that search under a cost: what their runs are, what they find, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.config import ConfigError
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory
from bench.records.run_info import RunInfo
from bench.run.one_run import DONE, execute
from methods.architecture import Architecture
from methods.parts.costs.counts import Built
from methods.spaces import NetworkSettings
from tests.bench.conftest import TINY

CHAIN: dict[str, Any] = {"space": "chain_xs"}
SEARCH: dict[str, Any] = {**CHAIN, "epochs": 2, "batch_size": 16, "channels": 16}
SIZE = {"darts": {"cells": 8}, "gdas": {}}
"""Of a supernet of cells, at its default: it says nothing of a chain's."""
BUILT = Built(10, NetworkSettings(4, 3, in_channels=1), 8)
"""What the tiny experiment's rows are retrained as: digits of 8 pixels."""


def planned(tmp_path: Path, **rows: Any) -> list[RunInfo]:
    content = yaml.safe_load(TINY.read_text())
    content["rows"] |= rows
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return plan(load_experiment(str(path)), "tiny", list(rows), [0])


def search(tmp_path: Path, row: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    """The search of a row, done: its directory and its result."""
    info = next(info for info in planned(tmp_path, mine=row) if info.phase == "search")
    directory = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name)
    directory.create(info)
    assert execute(directory.path, "cpu") == DONE
    return directory.path, directory.read_result()


def macs(path: Path) -> int:
    return BUILT.counts(Architecture.load(path)).macs


def test_a_row_without_a_cost_keeps_its_signature(tmp_path: Path) -> None:
    one, other = planned(tmp_path, a={"method": "darts"}, b={"method": "darts", "cost": {"on": "macs"}})[::2]
    assert "cost" not in one.config
    assert other.config["cost"]["objective"] == "sum"
    assert other.config["network"] == {"channels": 4, "cells": 3, "stem": "cifar"}
    assert one.signature != other.signature


@pytest.mark.parametrize("method", ["darts", "gdas"])
def test_a_gradient_search_keeps_its_bound_and_logs_both_costs(tmp_path: Path, method: str) -> None:
    bound = 60_000
    path, result = search(
        tmp_path, {"method": method, "options": SEARCH | SIZE[method], "cost": {"on": "macs", "at_most": bound}}
    )
    told = result["report"]["cost"]
    assert told["met"]
    assert told["value"] == macs(path) <= bound
    lines = [json.loads(line)["values"] for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert all({"cost/expected", "cost/discrete", "cost/weight"} <= set(values) for values in lines)
    assert lines[-1]["cost/weight"] >= 0


def test_a_bound_that_nothing_keeps_is_said(tmp_path: Path) -> None:
    row = {"method": "darts", "options": SEARCH | SIZE["darts"], "cost": {"on": "macs", "at_most": 10}}
    path, result = search(tmp_path, row)
    told = result["report"]["cost"]
    assert not told["met"]
    assert told["value"] == macs(path) > 10


@pytest.mark.parametrize("method", ["random_sampling", "regularized_evolution"])
def test_a_sampling_search_scores_nothing_above_its_bound(tmp_path: Path, method: str) -> None:
    bound = 90_000
    options: dict[str, Any] = {**CHAIN, "samples": 2}
    if method == "regularized_evolution":
        options |= {"population": 1, "tournament": 1}
    path, result = search(tmp_path, {"method": method, "options": options, "cost": {"on": "macs", "at_most": bound}})
    lines = [json.loads(line) for line in (path / "proposals.jsonl").read_text().splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert line["cost"] == BUILT.counts(Architecture(line["space"], line["genotype"])).macs <= bound
    assert result["report"]["cost"]["value"] == macs(path) <= bound


def test_one_random_sample_keeps_the_bound_too(tmp_path: Path) -> None:
    path, _ = search(
        tmp_path, {"method": "random_sampling", "options": CHAIN, "cost": {"on": "macs", "at_most": 90_000}}
    )
    assert macs(path) <= 90_000


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"method": "mgas", "cost": {"on": "macs"}}, "these gradient searches do: darts, fbnetv2, gdas"),
        ({"published": "DARTS_V2", "cost": {"on": "macs"}}, "'cost' is of a search"),
        ({"method": "darts", "cost": {"on": "latency_ms"}}, "a latency is one of a device; name it with 'device'"),
        ({"method": "darts", "cost": {"on": "latency_ms", "device": "phone"}}, "for another device name the 'file'"),
        ({"method": "darts", "cost": {"on": "macs", "device": "cpu"}}, "device is of a latency; macs is counted"),
        ({"method": "darts", "cost": {"on": "macs", "objective": "multiplier"}}, "say it with at_most"),
        ({"method": "darts", "cost": {"on": "macs", "objective": "none"}}, "without any part"),
        ({"method": "darts", "cost": {"on": "flops"}}, "'flops' is not possible"),
        ({"method": "darts", "cost": {"on": "macs", "at_most": 0}}, "at_most"),
        ({"method": "random_sampling", "cost": {"on": "macs"}}, "weighs costs against a 'reference'"),
        (
            {"method": "random_sampling", "cost": {"on": "macs", "at_most": 5, "objective": "multiplier"}},
            "has no loss for a multiplier",
        ),
        (
            {"method": "random_sampling", "match": {"row": "darts", "on": "params"}, "cost": {"on": "macs"}},
            "leave 'match' or 'cost' out",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_runs(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        planned(tmp_path, mine=row)
