"""Any published architecture can be a row: one short training of each on the digits (`make test-long`)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory
from bench.run.one_run import DONE, execute
from methods.genotypes import published, published_names

LEARNING = {
    "data": {"train_images": 640, "test_images": 300},
    "network": {"channels": 8, "cells": 5},
    "recipe_changes": {"epochs": 5, "batch_size": 32, "drop_path": 0.1, "augmentation": "crop"},
}
RUNNING = {
    "data": {"train_images": 96, "test_images": 60},
    "network": {"channels": 8, "cells": 5},
    "recipe_changes": {"epochs": 1, "batch_size": 32},
}


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in published_names() if published(name).space != "dlsr"])
def test_it_is_trained_as_a_row(tmp_path: Path, name: str) -> None:
    """Networks of a size of their own only run; what noise stands in the way of may learn little."""
    architecture = published(name)
    small = architecture.space in ("darts_cell", "general_cell")
    profile = {"description": "digits", "search_seeds": [0], "retrain_seeds": [0], "recipe": "plain-cifar"}
    experiment = {
        "description": "published rows",
        "dataset": "digits",
        "rows": {name: {"published": name}},
        "profiles": {"short": profile | (LEARNING if small else RUNNING)},
    }
    path = tmp_path / "rows.yaml"
    path.write_text(yaml.safe_dump(experiment))
    (info,) = plan(load_experiment(str(path)), "short")
    directory = RunDirectory(tmp_path / "runs" / "rows-short" / info.name)
    directory.create(info)
    assert execute(directory.path, "cpu") == DONE
    result = directory.read_result()
    assert result is not None
    costs, error = result["costs"], result["metrics"]["test_error"]
    print(f"{name}: test error {error:.1f} %, {costs['params']:,} parameters, {costs['macs']:,} MACs")
    assert costs["params_training"] >= costs["params"] > 0
    assert json.loads((directory.path / "architecture.json").read_text())["digest"] == architecture.digest
    assert error < 60 or not small or name == "RandomNAS_S4"
