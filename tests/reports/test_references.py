"""Published values: sources stated, verdicts computed."""

import csv

import pytest

from reports.analysis import analyse
from reports.build import gather
from reports.references import FOLDER, NOT_REPRODUCED, REPRODUCED, find, load
from tests.reports.synthetic import Kind, experiment, one_train

FILES = sorted(path.stem for path in FOLDER.glob("*.csv"))


@pytest.mark.parametrize("dataset", FILES)
def test_every_value_has_a_source_and_every_gap_a_reason(dataset):
    for reference in load(dataset):
        assert reference.paper
        assert reference.selection in ("mean", "best search", "unknown")
        if reference.value is None:
            assert reference.note
        else:
            assert reference.table


@pytest.mark.parametrize("dataset", FILES)
def test_mgas_results_are_empty(dataset):
    mgas = [reference for reference in load(dataset) if "MGAS" in reference.paper]
    assert mgas
    assert all(reference.value is None and "not available to us" in reference.note for reference in mgas)


def test_every_column_is_read():
    with open(FOLDER / "cifar10.csv", newline="") as file:
        assert all(None not in line and None not in line.values() for line in csv.DictReader(file))


def entry(folder, label, errors, **changes):
    for s, error in enumerate(errors):
        one_train(folder, label, error, s, **changes)
    return next(e for table in analyse(gather([folder])[0])[0] for e in table.entries if e.row.label == label)


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ((3.00, 3.05, 3.10, 3.15, 3.08), REPRODUCED),
        ((2.50, 2.55, 2.60, 2.52, 2.58), REPRODUCED),
        ((3.60, 3.65, 3.70, 3.62, 3.66), NOT_REPRODUCED),
        ((2.50, 3.60, 3.10), "undecided: too few seeds"),
        ((3.00,), "undecided: too few seeds"),
    ],
)
def test_verdict_follows_from_the_numbers(tmp_path, errors, verdict):
    """Random sampling against 3.08 +- 0.19 over eight cells."""
    assert entry(tmp_path, "random", errors).verdict.text == verdict


def test_verdict_of_reduced_schedules(tmp_path):
    found = entry(tmp_path, "random", (3.0, 3.1, 3.2), profile="short")
    assert found.verdict.text == "not comparable: reduced schedule"
    assert found.reference is None


def test_changed_recipe_is_not_comparable(tmp_path):
    found = entry(tmp_path, "random", (3.0, 3.1), recipe={"name": "darts-cifar*", "hash": "1"})
    assert found.verdict.text == "not comparable: changed recipe"


def test_best_of_several_is_compared_with_our_best(tmp_path):
    """Published 2.57 as the best search: a mean of 2.8 whose best search reaches 2.57 reproduces it."""
    for s, errors in enumerate([(2.55, 2.57, 2.59), (3.0, 3.02, 3.04)]):
        for r, error in enumerate(errors):
            one_train(tmp_path, "pc-darts", error, s, r)
    found = analyse(gather([tmp_path])[0])[0][0].entries[0]
    assert found.verdict.text == REPRODUCED
    assert "best search 2.57" in found.verdict.reason


def test_a_published_genotype_is_found_under_any_label(tmp_path):
    folder = tmp_path
    for r in range(3):
        one_train(folder, "reference", 2.8 + r / 100, None, r, method="published",
                  config={"architecture": {"published": "DARTS_V2"}, "retrain_seed": r})  # fmt: skip
    found = analyse(gather([folder])[0])[0][0].entries[0]
    assert found.reference.value == 2.76
    assert found.summary.searches == 0


def test_other_search_options_take_other_values(tmp_path):
    """A row called darts-2nd that was searched first order is not set beside the second-order result."""
    folder = experiment(tmp_path, (Kind("darts-2nd", "darts", 2.8),), searches=2)
    row = analyse(gather([folder])[0])[0][0].entries[0].row
    assert find(row)
    for run in row.searches:
        run.info.config["options"]["unrolled"] = False
    assert not find(row)
