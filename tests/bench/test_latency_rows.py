"""Rows that search under a latency: measuring, fitting and searching as runs; times are by a formula."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.commands.run import print_plan
from bench.config import ConfigError
from bench.latency.dataset import DATA_NAME, read_data
from bench.latency.fit import fit
from bench.latency.fitted_file import load_cost, save_fit
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory
from bench.records.run_info import FITTED_NAME, RunInfo
from bench.run.one_run import DONE, FAILED, INTERRUPTED, execute
from bench.run.stop import StopFlag
from methods.architecture import Architecture
from methods.spaces.cell.supernet import derive_pairs
from tests.bench.fake_latency import FakeClock, additive, measured
from tests.bench.test_row_cost import CHAIN, SEARCH, SIZE, planned

LATENCY: dict[str, Any] = {"on": "latency_ms", "device": "cpu", "measurements": 50, "predictor": "table"}
SMALL = {"channels": 4, "cells": 3, "image_size": 8, "in_channels": 1}


def row(method: str = "gdas", **cost: Any) -> dict[str, Any]:
    return {"method": method, "options": {**SEARCH, **SIZE.get(method, {})}, "cost": {**LATENCY, **cost}}


@pytest.fixture(autouse=True)
def by_formula(monkeypatch: pytest.MonkeyPatch) -> list[FakeClock]:
    """The clocks that a run asked for."""
    made: list[FakeClock] = []

    def make(conditions: Any) -> FakeClock:
        made.append(FakeClock(additive(conditions.space)))
        return made[-1]

    monkeypatch.setattr("bench.latency.collect.Beside", make)
    monkeypatch.setattr("bench.run.phases.fit.fit", partial(fit, kinds=("table",)))  # learned ones take seconds
    return made


def done(tmp_path: Path, infos: list[RunInfo]) -> dict[str, RunDirectory]:
    """By phase, the runs before the training."""
    found = {}
    for info in (info for info in infos if info.phase != "train"):
        directory = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name)
        directory.create(info)
        assert execute(directory.path, "cpu") == DONE
        found[info.phase] = directory
    return found


def test_rows_and_seeds_share_what_was_measured(tmp_path: Path) -> None:
    rows = {"a": row(), "b": row(weight=1.0), "c": row(batch=8), "d": row("darts", predictor="mlp")}
    infos = planned(tmp_path, **rows)
    by_phase = {phase: [info for info in infos if info.phase == phase] for phase in ("collect", "fit", "search")}
    assert [info.rows for info in by_phase["collect"]] == [["a", "b", "d"], ["c"]]
    assert [len(by_phase["fit"]), len(by_phase["search"])] == [2, 4]
    assert by_phase["search"][0].needs == [by_phase["fit"][0].signature]
    both = plan(load_experiment(str(tmp_path / "mine.yaml")), "tiny", ["a"], [0, 1])
    assert [info.phase for info in both].count("collect") == 1


def test_the_plan_names_a_rows_own_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not that of the row which first asked for what both measure."""
    infos = planned(tmp_path, a=row(), b=row("msg_das"))
    print_plan(infos, infos)
    shown = {words[0]: words[1] for words in map(str.split, capsys.readouterr().out.splitlines()) if len(words) > 1}
    assert (shown["a"], shown["b"]) == ("gdas", "msg_das")


def test_a_row_measures_fits_and_searches_within_its_bound(tmp_path: Path) -> None:
    found = done(tmp_path, planned(tmp_path, mine=row(share=0.9)))
    result = found["search"].read_result()
    told = result["report"]["cost"]
    cost = load_cost(found["fit"].path / FITTED_NAME, "chain_xs", "table")
    assert told["met"]
    assert told["value"] == pytest.approx(cost.discrete(Architecture.load(found["search"].path)))
    assert told["value"] <= told["at_most"]
    assert told["beats"] == ["constant"]
    assert found["collect"].read_result()["metrics"]["networks"] > 50
    conditions = read_data(found["collect"].path / DATA_NAME).conditions
    assert (conditions.in_channels, conditions.image_size, conditions.classes) == (1, 8, 10)  # the digits'


OF_METHODS: dict[str, dict[str, Any]] = {
    "darts": {**SEARCH, "cells": 8},
    "pc_darts": {**SEARCH, "cells": 8, "arch_start_epoch": 1},
    "gdas": SEARCH,
    "proxylessnas": {**SEARCH, "cells": 8, "weight_epochs": 0, "arch_start_epoch": 1, "arch_every": 1},
    "surgenas": {**SEARCH, "cells": 8, "ordered_epochs": 1, "arch_start_epoch": 1},
    "random_sampling": CHAIN,
    "regularized_evolution": {**CHAIN, "samples": 2, "population": 1, "tournament": 1},
}


@pytest.mark.long
@pytest.mark.parametrize("method", OF_METHODS)
def test_a_bound_and_a_device_are_all_that_a_row_has_to_say(tmp_path: Path, method: str) -> None:
    cost = {"on": "latency_ms", "at_most": 6, "device": "cpu"}
    found = done(tmp_path, planned(tmp_path, mine={"method": method, "options": OF_METHODS[method], "cost": cost}))
    told = found["search"].read_result()["report"]["cost"]
    assert told["met"]
    assert told["value"] <= told["at_most"] == 6
    assert told["predictor"] == "table"  # the best that was fitted
    assert "Fake" not in told["unit"]  # conditions are this machine's; only the clock is not


def test_measuring_goes_on_where_it_was_stopped(tmp_path: Path, by_formula: list[FakeClock]) -> None:
    info = planned(tmp_path, mine=row())[0]
    directory, stop = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name), StopFlag()
    directory.create(info)
    stop.reason = "a test"
    assert execute(directory.path, "cpu", stop) == INTERRUPTED
    assert by_formula[0].calls == 1
    assert execute(directory.path, "cpu") == DONE
    assert by_formula[1].calls == directory.read_result()["metrics"]["networks"] - 1


def fitted(tmp_path: Path, space: str = "chain_xs", **conditions: Any) -> Path:
    path = tmp_path / f"{space}.fitted.safetensors"
    data = measured(tmp_path / f"{space}.jsonl", space, 50, **{**SMALL, **conditions})
    save_fit(fit(data, ("table",)), path)
    return path


def of_file(path: Path, **cost: Any) -> dict[str, Any]:
    given = row(file=str(path), device="Fake CPU", **cost)
    del given["cost"]["measurements"]
    return given


def test_a_file_counts_by_its_content_and_each_run_keeps_a_copy(tmp_path: Path) -> None:
    path = fitted(tmp_path)
    (info,) = (info for info in planned(tmp_path, mine=of_file(path)) if info.phase == "search")
    moved = tmp_path / "elsewhere.fitted.safetensors"
    path.rename(moved)
    (same,) = (info for info in planned(tmp_path, mine=of_file(moved)) if info.phase == "search")
    assert same.signature == info.signature
    directory = done(tmp_path, [same])["search"]
    moved.unlink()
    assert (directory.path / FITTED_NAME).exists()


@pytest.mark.parametrize(
    ("space", "conditions", "cost", "said"),
    [
        ("nasbench201", {}, {}, "has latencies of nasbench201, not of chain_xs"),
        ("chain_xs", {"device": "Another CPU"}, {}, "was measured on Another CPU (cpu), not on 'Fake CPU'"),
        ("chain_xs", {}, {"predictor": "graph"}, "has no predictor 'graph'"),
        ("chain_xs", {"in_channels": 3}, {}, "networks of another size: image channels 3 instead of 1"),
        ("chain_xs", {"image_size": 32, "classes": 100}, {}, "image size 32 instead of 8, classes 100 instead of 10"),
    ],
)
def test_a_file_of_something_else_is_refused(
    tmp_path: Path, space: str, conditions: dict[str, Any], cost: dict[str, Any], said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    infos = planned(tmp_path, mine=of_file(fitted(tmp_path, space, **conditions), **cost))
    (info,) = (info for info in infos if info.phase == "search")
    directory = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name)
    directory.create(info)
    assert execute(directory.path, "cpu") == FAILED
    assert said in capsys.readouterr().err


def test_gdas_has_its_own_rule_read_by_the_predictor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def load(*arguments: object, **named: Any) -> None:
        given.update(named)
        raise ConfigError("seen")

    monkeypatch.setattr("bench.run.phases.heeded.load_cost", load)
    cells = {**of_file(fitted(tmp_path, "darts_cell")), "options": {"channels": 8, "cells": 3, "batch_size": 16}}
    (info,) = (info for info in planned(tmp_path, mine=cells) if info.phase == "search")
    directory = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name)
    directory.create(info)
    assert execute(directory.path, "cpu") == FAILED
    assert given["relaxed"].derive is derive_pairs
    assert given["network"].settings.in_channels == 1


def test_a_cell_that_no_measured_network_has_is_refused_before_anything_runs(tmp_path: Path) -> None:
    fixed = {"method": "gdas", "options": {"reduction": "fixed", "channels": 16}, "cost": LATENCY}
    with pytest.raises(ConfigError, match=r"row 'mine': reduction=fixed .* leave reduction at searched"):
        planned(tmp_path, mine=fixed)
    assert planned(tmp_path, mine={**fixed, "cost": {"on": "macs", "weight": 0.1}})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the latencies .*nothing.* measure-latency"):
        planned(tmp_path, mine=of_file(tmp_path / "nothing"))


def test_a_device_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("it is there")
    info = planned(tmp_path, mine=row(device="cuda"))[0]
    directory = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name)
    directory.create(info)
    assert execute(directory.path, "cpu") == FAILED
    said = capsys.readouterr().err
    assert "a row's cost is measured on device 'cuda', which this machine has not" in said
    assert "name another 'device' in the row's cost" in said
