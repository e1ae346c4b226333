"""Scores by trainings shorter than a retraining: the search's own recipe, and a cost that counts in powers of ten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.config import ConfigError
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from methods.architecture import Architecture
from methods.parts.costs.preference import Preference


def test_proxies_have_their_own_epochs_and_retrainings_the_recipes() -> None:
    runs = plan(load_experiment("autoshrink-cifar10"), "quick")
    searches = [run for run in runs if run.phase == "search" and run.label in ("autoshrink", "random-search")]
    assert [run.config["recipe"]["epochs"] for run in searches] == [2, 2]
    assert {run.config["recipe"]["epochs"] for run in runs if run.phase == "train"} == {5}
    assert not any("evaluator" in run.config for run in runs)


def test_without_epochs_nothing_changes() -> None:
    experiment = load_experiment("autoshrink-cifar10")
    quick = replace(experiment.profiles["quick"], evaluation={"proxy": {"epochs": 5}})
    none = replace(experiment.profiles["quick"], evaluation={})
    found = [
        {run.signature for run in plan(replace(experiment, profiles={"quick": profile}), "quick")}
        for profile in (quick, none)
    ]
    assert found[0] == found[1]


def test_a_power_of_ten_costs_the_weight() -> None:
    class Fixed:
        name, unit, told = "macs", "", {}

        def discrete(self, architecture: Architecture) -> float:
            return float(architecture.genotype["macs"])

    asked = Preference(Fixed(), rule="log10", weight=10.0, reference=1e6)  # type: ignore[arg-type]
    assert asked.told(Architecture("x", {"macs": 10**6}), 80.0) == pytest.approx(80.0)
    assert asked.told(Architecture("x", {"macs": 10**7}), 80.0) == pytest.approx(70.0)
    assert asked.told(Architecture("x", {"macs": 10**5}), 80.0) == pytest.approx(90.0)


def test_a_loss_has_no_points_a_decade(tmp_path: object) -> None:
    from pathlib import Path

    import yaml

    path = Path(str(tmp_path)) / "mine.yaml"
    cost = {"on": "macs", "objective": "log10", "reference": 1e6}
    rows = {"darts": {"method": "darts", "cost": cost}}
    path.write_text(yaml.safe_dump({"dataset": "digits", "rows": rows, "profiles": {"quick": {}}}))
    with pytest.raises(ConfigError, match="log10 is of the scores of a sampling search"):
        load_experiment(str(path))
