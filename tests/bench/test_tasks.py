"""An experiment's task: in the configuration of its runs where it is not classification, refused where it cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from bench.config import ConfigError
from bench.data.names import DATASET_TASKS
from bench.plan import tasks as tasks_module
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.plan.tasks import task_config
from methods.spaces.base import task_of_space
from methods.tasks import get_task, task_of
from tests.bench.conftest import TINY


def written(folder: Path, **more: Any) -> str:
    """The tiny experiment with other fields, without searches."""
    content = yaml.safe_load(TINY.read_text()) | {"rows": {"DARTS_V2": {"published": "DARTS_V2"}}} | more
    path = folder / "edited.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.fixture
def enlarging(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the digits and the networks of every space were for super-resolution."""
    monkeypatch.setattr(tasks_module, "DATASET_TASKS", {**DATASET_TASKS, "digits": "super_resolution"})
    monkeypatch.setattr(tasks_module, "task_of_space", lambda space: "super_resolution")


def test_without_a_task_networks_are_classifiers_and_no_configuration_says_so(tmp_path: Path) -> None:
    runs = [
        plan(load_experiment(path), "tiny")
        for path in (written(tmp_path), written(tmp_path, task="classification"), str(TINY))
    ]
    assert [info.signature for info in runs[0]] == [info.signature for info in runs[1]]
    assert all("task" not in info.config for each in runs for info in each)


@pytest.mark.parametrize(("said", "scale"), [("super_resolution", 2), ({"super_resolution": {"scale": 4}}, 4)])
def test_another_task_is_part_of_every_run(tmp_path: Path, enlarging: None, said: Any, scale: int) -> None:
    [info] = plan(load_experiment(written(tmp_path, task=said)), "tiny")
    assert info.config["task"] == {"name": "super_resolution", "scale": scale}
    assert task_of(info.config) == get_task("super_resolution", {"scale": scale})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("super_resolutoin", r"tiny\.task: unknown task 'super_resolutoin'; did you mean 'super_resolution'\?"),
        ({"super_resolution": {"scale": 3}}, r"tiny\.task\.super_resolution\.scale: 3 is not possible"),
        ({"super_resolution": {"factor": 2}}, r"tiny\.task\.super_resolution: unknown key 'factor'"),
        ({"super_resolution": {}, "classification": {}}, "a task is one name with its options"),
        ({"classification": {"scale": 2}}, r"tiny\.task\.classification: unknown key 'scale'"),
    ],
)
def test_what_is_no_task_is_told_once(said: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        task_config(said, "tiny.task")


def test_a_task_without_a_metric_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def unmeasured(name: str, options: Mapping[str, Any]) -> Any:
        from methods.tasks.base import require_metric

        return require_metric(SimpleNamespace(name=name))

    monkeypatch.setattr(tasks_module, "get_task", unmeasured)
    with pytest.raises(ConfigError, match=r"tiny\.task: task 'super_resolution' has no metric: .* `metric = Metric\("):
        task_config("super_resolution", "tiny.task")


def test_rows_of_another_task_are_not_transferred(tmp_path: Path, enlarging: None) -> None:
    rows = {"darts": {"transfer": {"experiment": "cifar10", "row": "darts", "profile": "quick"}}}
    with pytest.raises(ConfigError, match="cifar10 is of the task classification, not of super_resolution; name one"):
        load_experiment(written(tmp_path, task={"super_resolution": {"scale": 4}}, rows=rows))


def test_data_rows_and_recipes_are_of_the_task(
    tmp_path: Path, enlarging: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {"mixup": 0.2}
    profile = yaml.safe_load(TINY.read_text())["profiles"]["tiny"] | {"recipe_changes": recipe}
    with pytest.raises(
        ConfigError, match=r"recipe plain-cifar\*: the task super_resolution has no mixup; leave it at 0"
    ):
        load_experiment(written(tmp_path, task="super_resolution", profiles={"tiny": profile}))
    with pytest.raises(ConfigError, match="data set 'digits' is of the task super_resolution, not of classification"):
        load_experiment(written(tmp_path))
    monkeypatch.setattr(tasks_module, "task_of_space", task_of_space)
    with pytest.raises(ConfigError, match="networks of darts_cell are for classification, and the task is super_reso"):
        load_experiment(written(tmp_path, task="super_resolution"))
    monkeypatch.setattr(tasks_module, "DATASET_TASKS", DATASET_TASKS)
    with pytest.raises(ConfigError, match="data set 'digits' is of the task classification, not of super_resolution"):
        load_experiment(written(tmp_path, task="super_resolution"))
    profile["recipe_changes"] = {"hfen_weight": 0.2}
    with pytest.raises(ConfigError, match=r"the task classification has no hfen_weight; leave it at 0"):
        load_experiment(written(tmp_path, profiles={"tiny": profile}))
