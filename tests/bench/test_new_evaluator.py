"""An evaluator is two files; no other is changed for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import bench.plan.evaluations
import bench.run.evaluators
from bench.config import ConfigError
from bench.plan.evaluation import evaluator_names
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RunDirectory, RunInfo
from bench.run.one_run import DONE, execute
from bench.run.proposals import PROPOSALS_NAME
from tests.bench.conftest import TINY

OPTIONS = '''
"""Counts operations of one kind."""

from dataclasses import dataclass, field

from bench.config import ConfigError
from bench.plan.evaluation import Evaluation
from methods.domain import check, within


@dataclass(frozen=True)
class Options(Evaluation):
    name = "counting"
    sees_images = False
    operation: str
    worth: float = field(default=1.0, metadata=within("(0, 10]"))

    def refuse(self, space, method):
        if space != "darts_cell":
            raise ConfigError(f"{method} works in {space}, where nothing is counted")
'''
EVALUATOR = '''
"""Counts operations of one kind."""

from bench.run.evaluators.base import Scored


def make(task, options):
    return Counting(task, options)


class Counting:
    def __init__(self, task, options):
        self.kept, self.options = task.directory.checkpoints, options

    def prepare(self):
        return None

    def restored(self, number, scored):
        return scored

    def score(self, proposals):
        counts = [str(each.genotype).count(self.options.operation) for _, each in proposals]
        return [Scored(self.options.worth * count, None, None, None) for count in counts]
'''


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both files, in folders that are looked in beside ours."""
    for package, text in ((bench.plan.evaluations, OPTIONS), (bench.run.evaluators, EVALUATOR)):
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "counting.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield
    for package in (bench.plan.evaluations, bench.run.evaluators):
        sys.modules.pop(f"{package.__name__}.counting", None)
        vars(package).pop("counting", None)


def planned(tmp_path: Path, **row: Any) -> list[RunInfo]:
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = {
        "counted": {"method": "random_sampling", "options": {"samples": 4}, "evaluator": "counting", **row}
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return plan(load_experiment(str(path)), "tiny", None, [0])


@pytest.mark.usefixtures("added")
def test_it_scores_a_search(tmp_path: Path) -> None:
    info = planned(tmp_path, evaluation={"operation": "skip_connect", "worth": 2})[0]
    assert info.config["evaluator"] == {"name": "counting", "operation": "skip_connect", "worth": 2.0}
    assert "recipe" not in info.config
    directory = RunDirectory(tmp_path / "runs" / "mine-tiny" / info.name)
    directory.create(info)
    assert execute(directory.path, "cpu") == DONE, directory.read_info().error
    scores = [json.loads(line)["score"] for line in (directory.path / PROPOSALS_NAME).read_text().splitlines()]
    assert len(scores) == 4
    found = json.loads((directory.path / "architecture.json").read_text())["genotype"]
    assert max(scores) == 2 * str(found).count("skip_connect")


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "evaluation: 'operation' is missing"),
        ({"evaluation": {"operation": "none", "worth": 11}}, r"worth is 11.* in \(0, 10\]"),
        ({"evaluation": {"operation": "none", "wort": 1}}, "unknown key 'wort'; did you mean 'worth'"),
        (
            {"evaluation": {"operation": "none"}, "search_data": {"division": "file"}},
            "the counting scores its proposals",
        ),
        (
            {"evaluation": {"operation": "none"}, "options": {"samples": 4, "space": "nasbench201"}},
            "works in nasbench201, where nothing is counted",
        ),
    ],
)
def test_its_options_are_checked_before_anything_runs(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        planned(tmp_path, **row)


def test_without_its_files_it_is_unknown(tmp_path: Path) -> None:
    assert evaluator_names() == ("proxy", "supernet", "table")
    with pytest.raises(ConfigError, match=r"rows\.counted: evaluator 'counting' is not possible"):
        planned(tmp_path)
