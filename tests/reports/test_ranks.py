"""Ranks of options over paired settings: ties, averages, intervals, and GraphGym's own results where they lie."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from pathlib import Path

import pytest
from scipy.stats import kendalltau, rankdata

from reports.ranks import Ranked, rank_options, ranks, similarities

RESULTS = Path(os.environ.get("GRAPHGYM_RESULTS", "/nowhere"))
"""`run/results` of a checkout of GraphGym (snap-stanford/GraphGym)."""
DIMENSIONS = ("batch", "l_pre", "l_mp", "l_post", "stage", "bn", "act", "drop", "agg", "optim", "lr", "epoch")
SETTING = ("dataset", "task", "trans", "feature", "label", *DIMENSIONS)


def test_a_rank_is_one_more_than_the_number_of_those_that_are_better() -> None:
    assert ranks([0.7, 0.9, 0.8]) == [3, 1, 2]
    assert ranks([0.7, 0.9, 0.9]) == [3, 1, 1]
    scores = [0.31, 0.4, 0.31, 0.9, 0.12]
    assert ranks(scores) == rankdata([-score for score in scores], method="min").tolist()


def test_what_is_within_the_tie_is_not_better() -> None:
    """It is no equivalence: the best ties with the second and the second with the third, and the third is second."""
    assert ranks([90.0, 89.0, 87.5], tie=2.0) == [1, 1, 2]
    assert ranks([90.0, 88.0], tie=2.0) == [1, 1]
    assert ranks([90.0, 87.9], tie=2.0) == [1, 2]


def test_ranks_are_averaged_over_settings_with_an_interval() -> None:
    settings = [{"a": 3.0, "b": 1.0}, {"a": 2.0, "b": 5.0}, {"a": 9.0, "b": 1.0}, {"a": 1.0, "b": 1.0}]
    found = rank_options(settings)
    assert list(found) == ["a", "b"]
    assert (found["a"].mean, found["b"].mean) == (1.25, 1.5)
    assert (found["a"].first, found["b"].first) == (0.75, 0.5)
    assert (found["a"].value, found["b"].value, found["a"].settings) == (3.75, 2.0, 4)
    of_a = found["a"].interval
    assert of_a is not None
    assert of_a.half_width == pytest.approx(3.182446 * 0.5 / 2, rel=1e-5)  # t(.975, 3) s / sqrt(4), ranks 1 2 1 1
    assert found["a"].letters == found["b"].letters == "a"
    clear = rank_options([{"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.0}, {"a": 1.5, "b": 1.0}] + [{"a": 0, "b": 1}] * 20)
    assert {name: ranked.letters for name, ranked in clear.items()} == {"b": "a", "a": "b"}


def test_settings_without_an_option_are_refused() -> None:
    with pytest.raises(ValueError, match="a setting has the options"):
        rank_options([{"a": 1.0, "b": 2.0}, {"a": 1.0}])
    with pytest.raises(ValueError, match="no setting"):
        rank_options([])


def test_similarity_is_kendalls_tau() -> None:
    scores = {"one": [0.1, 0.5, 0.3, 0.9], "other": [0.2, 0.4, 0.4, 0.1], "flat": [0.5] * 4}
    matrix = similarities(scores)
    assert matrix[0][0] == 1.0
    assert matrix[0][1] == matrix[1][0] == pytest.approx(kendalltau(scores["one"], scores["other"]).statistic)
    assert matrix[0][2] is None
    with pytest.raises(ValueError, match="different numbers"):
        similarities({"one": [1.0, 2.0], "other": [1.0]})


def published(round_: str) -> list[dict[str, str]]:
    path = RESULTS / round_ / "agg" / "val.csv"
    if not path.is_file():
        pytest.skip("GraphGym's results are not here; GRAPHGYM_RESULTS names run/results of a checkout")
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def question(lines: list[dict[str, str]], dimension: str) -> dict[str, Ranked]:
    """Of the settings that have every option: the release lacks some runs."""
    settings: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for line in lines:
        if line["sample"] == dimension:
            settings[tuple(line[key] for key in SETTING if key != dimension)][line[dimension]] = float(line["accuracy"])
    options = {option for setting in settings.values() for option in setting}
    return rank_options([setting for setting in settings.values() if set(setting) == options], tie=0.02)


@pytest.mark.parametrize(
    ("dimension", "mean_ranks"),
    [
        ("bn", {"True": 1.23, "False": 1.49}),
        ("act", {"prelu": 1.14, "relu": 1.44, "swish": 1.67}),
        ("drop", {"0.0": 1.17, "0.3": 1.52, "0.6": 2.03}),
        ("agg", {"add": 1.31, "mean": 1.63, "max": 1.88}),
        ("stage", {"skipconcat": 1.30, "skipsum": 1.42, "stack": 1.81}),
        ("optim", {"adam": 1.16, "sgd": 1.45}),
    ],
)
def test_graphgyms_ranks_come_out_of_its_results(dimension: str, mean_ranks: dict[str, float]) -> None:
    """Round 1 of GraphGym's design space, 96 settings a dimension; means to the second place."""
    found = question(published("design_v1_grid_round1"), dimension)
    assert list(found) == list(mean_ranks)
    assert [each.mean for each in found.values()] == pytest.approx(list(mean_ranks.values()), abs=0.006)
    if dimension == "bn":
        assert found["True"].first == pytest.approx(0.77, abs=0.005)


def test_graphgyms_tasks_are_as_alike_as_its_results_say() -> None:
    """Round 2: the same 96 designs on 32 tasks."""
    tasks: dict[tuple[str, ...], dict[tuple[str, ...], float]] = defaultdict(dict)
    for line in published("design_v2_grid_round2"):
        design = tuple(line[key] for key in ("l_pre", "l_mp", "l_post", "stage", "agg"))
        tasks[tuple(line[key] for key in ("dataset", "task", "feature", "label"))][design] = float(line["accuracy"])
    designs = sorted(next(iter(tasks.values())))
    scores = {task: [found[design] for design in designs] for task, found in tasks.items()}
    matrix = similarities(scores)
    taus = [tau for place, line in enumerate(matrix) for tau in line[place + 1 :] if tau is not None]
    assert (len(scores), len(designs)) == (32, 96)
    assert (min(taus), max(taus)) == pytest.approx((-0.608, 0.914), abs=0.0006)
    assert matrix[0][1] == pytest.approx(kendalltau(*list(scores.values())[:2]).statistic)
    assert len({max(designs, key=found.__getitem__) for found in tasks.values()}) == 19
