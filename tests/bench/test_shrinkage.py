"""What a shrunk space keeps, against a count by hand, and that its two controls stand beside it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.tables import get_table
from bench.plan.experiment import load_experiment
from bench.plan.runs import plan
from bench.run.evaluators.table import TableEvaluator
from bench.run.findings import mean, means_of
from bench.run.shrinkage import DROPPED, OWN, SHUFFLED, measured
from bench.run.table_search import Answers, TableSearch
from methods.base import SearchContext
from methods.registry import get_method


@cache
def lines(method: str = "lissnas", seeds: int = 4, budget: int = 120) -> list[dict[str, Any]]:
    table, cls = get_table("nasbench_macro"), get_method(method)
    options: Any = cls.Options(space="nasbench_macro")
    evaluator = TableEvaluator(table, "cifar10", 50, Path())
    search = TableSearch(cls, options, evaluator, (50, budget))  # type: ignore[arg-type]
    return [search.run(seed, SearchContext(10, seed=seed)) for seed in range(seeds)]


def test_what_a_list_keeps_is_counted() -> None:
    truth = np.arange(100.0)
    found = measured({"listed": [*range(20), 90, 91, 92, 93], "scored": [0, 1, 92, 93, 50], "distance": 3.0}, truth)
    unscored = (2 / 8) / (20 / 95)  # of the ten best 8 were not scored, of them 90 and 91 are listed
    assert found == pytest.approx(
        {
            "share": 0.24,
            "kept": 0.4,
            "enrichment": 0.4 / 0.24,
            "unscored": unscored,
            "mean": (sum(range(20)) + 366) / 24,
            "gain": (sum(range(20)) + 366) / 24 - 49.5,
            "distance": 3.0,
            "scored": 5.0,
        }
    )


def test_the_whole_space_is_enriched_by_nothing() -> None:
    found = measured({"listed": [*range(50)], "scored": [1], "distance": 1.0}, np.arange(50.0))
    assert (found["share"], found["kept"], found["enrichment"], found["unscored"], found["gain"]) == (1, 1, 1, 1, 0)


def test_controls_get_what_the_search_got() -> None:
    for line in lines():
        own, dropped, shuffled = (line["lists"][name] for name in (OWN, DROPPED, SHUFFLED))
        assert len(dropped["scored"]) == len(own["scored"])
        assert len(dropped["listed"]) <= len(own["listed"]) < 6561
        assert dropped["scored"] != own["scored"]
        assert len(shuffled["listed"]) <= 6561
        assert json.loads(json.dumps(line)) == line


def test_a_shuffled_table_keeps_no_more_of_the_best_than_its_share() -> None:
    truth = get_table("nasbench_macro").final("cifar10", 50)
    gains = [measured(line["lists"][SHUFFLED], truth)["gain"] for line in lines()]
    own = [measured(line["lists"][OWN], truth)["gain"] for line in lines()]
    assert np.mean(own) > 0.5  # type: ignore[arg-type]
    assert abs(np.mean(gains)) < 0.3  # type: ignore[arg-type]


def test_a_line_names_the_list_and_measures_it_with_its_controls() -> None:
    answers = Answers(get_table("nasbench_macro"), "cifar10", 50)
    line = answers.complete(lines()[0])
    assert list(line["shrinkage"]) == [OWN, DROPPED, SHUFFLED]
    assert line["listed"] == lines()[0]["lists"][OWN]["listed"]
    assert "lists" not in line
    assert line["shrinkage"][OWN]["share"] == pytest.approx(len(line["listed"]) / 6561)
    assert [answer["evaluations"] for answer in line["answers"]] == [50, 120]


def test_a_search_that_does_not_shrink_has_no_list() -> None:
    assert "lists" not in lines("random_sampling", 1)[0]
    assert "lists" not in lines("lissnas", 1, 51)[0], "its budget ends before it has one"


def test_means_are_taken_place_by_place() -> None:
    assert mean([1.0, 3.0, None]) == 2.0
    assert mean([[1.0, None], [3.0, 4.0, 5.0]]) == [2.0, 4.0, 5.0]
    assert mean([None]) is None
    assert means_of([{"seed": 0}]) == {}
    lists = {"own": {"share": 0.5}}
    found = means_of([{"findings": {"a": 1.0}, "shrinkage": lists}, {"findings": {"a": 2.0}}])
    assert found == {"findings": {"a": 1.5}, "shrinkage": {"own": {"share": 0.5}}}


@pytest.mark.parametrize("name", ["nasbench201", "nasbench-macro"])
def test_each_row_states_its_own_number_of_seeds(name: str) -> None:
    experiment = load_experiment(name)
    seeds = {run.label: run.config["seeds"] for run in plan(experiment, "quick") if "seeds" in run.config}
    assert (seeds["random-search"], seeds["pnas"], seeds["lissnas"]) == ("0-499", "0-49", "0-199")
    few = plan(experiment, "quick", ["pnas"], search_seeds=[3, 4])
    assert {run.config["seeds"] for run in few} == {"3-4"}
