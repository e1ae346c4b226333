"""A shrunk space as another row's space: its searches wait for the list of their seed, and propose nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.config import ConfigError
from bench.data.tables import get_table
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.records.directory import RecordError, RunDirectory, RunInfo, read_record
from bench.run.evaluators.base import Scored
from bench.run.evaluators.proxy import ProxyEvaluator
from bench.run.one_run import DONE, FAILED, execute
from bench.run.phases.context import RunContext
from bench.run.phases.listed import list_of, lists_by_seed
from methods.architecture import Architecture
from methods.spaces import get_space
from methods.spaces.listed import ListedSpace
from tests.bench.conftest import TINY

SHRINKING = {"space": "graph_5", "samples": 12, "first": 6, "seeds": 2, "radius": 1, "sampled": 2, "rounds": 1}
ROWS: dict[str, Any] = {
    "lissnas": {"method": "lissnas", "options": SHRINKING},
    "evolution": {
        "method": "regularized_evolution",
        "options": {"space": "graph_5", "samples": 8, "population": 3, "tournament": 2},
        "cost": {"on": "params", "objective": "log10", "weight": 1, "reference": 1000.0},
        "listed": "lissnas",
    },
}


def experiment(folder: Path, rows: dict[str, Any]) -> str:
    content = yaml.safe_load(TINY.read_text())
    content["rows"] = rows
    content["profiles"]["tiny"] |= {"options": {}}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def create(folder: Path, runs: list[RunInfo]) -> list[Path]:
    for run in runs:
        RunDirectory(folder / run.name).create(run)
    return [folder / run.name for run in runs]


def test_a_search_of_images_proposes_from_the_list_of_its_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def score(self: ProxyEvaluator, proposals: Any) -> list[Scored]:
        return [Scored(50.0 + len(each.genotype["edges"]), 1, 0.1, None) for _, each in proposals]

    monkeypatch.setattr(ProxyEvaluator, "score", score)
    runs = [run for run in plan(load_experiment(experiment(tmp_path, ROWS)), "tiny") if run.phase == "search"]
    for seed in (0, 1):
        shrink, inside = (next(run for run in runs if run.label == label and run.search_seed == seed) for label in ROWS)
        assert inside.needs == [shrink.signature]
        first, second = create(tmp_path, [shrink, inside])
        assert execute(second, "cpu") == FAILED, "its list is not there yet"
        assert execute(first, "cpu") == DONE
        assert execute(second, "cpu") == DONE
        lines = [json.loads(line) for line in (second / "proposals.jsonl").read_text().splitlines()]
        stored = json.loads((first / "listed.json").read_text())
        listed = ListedSpace.from_json(get_space("graph_5"), stored)
        assert len(lines) == 8
        for line in lines:
            listed.encode(Architecture(line["space"], line["genotype"]))  # raises for what is not in the list
    (first / "listed.json").write_text(json.dumps(stored | {"codes": stored["codes"][:1]}))
    task: Any = RunContext(RunDirectory(second), read_record(second).info, None, None)  # type: ignore[arg-type]
    with pytest.raises(RecordError, match=r"listed\.json"):
        list_of(task)


def test_a_batch_on_a_table_keeps_to_the_list_of_each_seed(tmp_path: Path) -> None:
    runs = plan(load_experiment("nasbench-macro"), "quick", ["evolution-in-list"], [0, 1, 2])
    assert [run.label for run in runs] == ["lissnas", "evolution-in-list"]
    assert runs[1].needs == [runs[0].signature]
    first, second = create(tmp_path, runs)
    assert [execute(path, "cpu") for path in (first, second)] == [DONE, DONE]
    lines = [[json.loads(line) for line in (path / "seeds.jsonl").read_text().splitlines()] for path in (first, second)]
    task: Any = RunContext(RunDirectory(second), read_record(second).info, None, None)  # type: ignore[arg-type]
    lists = lists_by_seed(task, get_table("nasbench_macro"))
    shrunk = 0
    for shrinking, inside in zip(*lines, strict=True):
        assert shrinking["seed"] == inside["seed"]
        indices = {entry[1] for entry in inside["trajectory"]} | {answer["index"] for answer in inside["answers"]}
        if len(shrinking["listed"]) < 6561:
            shrunk += 1
            assert indices <= set(shrinking["listed"])
            assert len(lists[shrinking["seed"]].codes) == len(shrinking["listed"])
        else:
            assert shrinking["seed"] not in lists
    assert shrunk


def test_all_seeds_have_a_list() -> None:
    runs = plan(load_experiment("nasbench-macro"), "quick", ["evolution-in-list"])
    assert [run.config["seeds"] for run in runs] == ["0-199", "0-199"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({"listed": "lisnas"}, "unknown row 'lisnas'"),
    "no list": ({"listed": "random"}, "row 'random' does not shrink its space"),
    "another space": ({"options": {"space": "graph_8", "samples": 8}}, "searches in graph_8, and row 'lissnas' lists"),
    "itself": ({"method": "lissnas", "options": SHRINKING, "listed": "evolution"}, "would wait for itself"),
    "gradients": ({"method": "darts", "options": {}, "cost": None}, "proposes no architectures one by one"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_can_be_no_list_is_refused(tmp_path: Path, case: str) -> None:
    changes, message = WRONG[case]
    row = {name: value for name, value in {**ROWS["evolution"], **changes}.items() if value is not None}
    rows = {**ROWS, "random": {"method": "random_sampling"}, "evolution": row}
    with pytest.raises(ConfigError, match=message):
        load_experiment(experiment(tmp_path, rows))
