"""Which rows are compared in pairs: those that share a search or a dense network, by the records."""

import pytest

from reports.analysis import analyse
from reports.build import gather
from reports.table import footnotes
from tests.reports.synthetic import one_train, planned


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    found = {}
    for profile in ("quick", "paper"):
        folder = tmp_path_factory.mktemp(profile)
        planned(folder, "cifar10", profile, lambda k: 9.0 + (k * k * 7 % 101) / 100)
        found[profile] = max(analyse(gather([folder])[0])[0], key=lambda table: len(table.entries))
    return found


@pytest.mark.parametrize(
    ("profile", "pair", "test"),
    [
        ("paper", ("l1-filters", "DARTS_V2"), "paired t"),  # a transform and its own dense network
        ("paper", ("l1-filters", "magnitude"), "paired t"),  # two transforms of one network
        ("paper", ("slimming", "DARTS_V2"), "Welch t"),  # slimming trains a penalised network of its own
        ("paper", ("darts", "random"), "Welch t"),  # equal seeds, nothing else
        ("paper", ("mgas-large", "mgas-small"), "Welch t"),  # two searches
        ("quick", ("mgas-large", "mgas-small"), "paired t"),  # two sizes of one search
    ],
)
def test_pairs_by_what_rows_rest_on(tables, profile, pair, test):
    found = tables[profile].comparisons[frozenset(pair)]
    assert found.test == test, found


def test_a_matched_size_is_no_descent(tables):
    """Rows paired with random sampling would be paired by their seeds alone."""
    for pair, found in tables["paper"].comparisons.items():
        if "random" in pair:
            assert found.test == "Welch t"


def test_the_notes_say_what_was_paired_and_what_it_takes(tables):
    notes = "\n".join(footnotes(tables["paper"]))
    assert "pairs of rows share a search or a dense network" in notes
    assert "Welch's test takes" in notes
    assert "after Holm's correction over" in notes
    assert "95 % intervals are Student's over n searches or retrainings; simulated: at least 94.2 % at n = 3" in notes


def test_equal_results_have_no_interval_and_say_why(tmp_path):
    for s in range(2):
        one_train(tmp_path, "darts", 9.86, s)
        one_train(tmp_path, "random", 9.0 + s / 10, s, method="random_sampling")
    (table,) = analyse(gather([tmp_path])[0])[0]
    entry = next(e for e in table.entries if e.row.label == "darts")
    assert entry.interval is None
    assert entry.seeds_wanted is None
    assert entry.improvement.low is None
    assert any("every seed gave the same error" in note and "darts" in note for note in table.notes)


def test_a_number_of_searches_that_was_not_simulated_is_named(tmp_path):
    for s in range(17):
        one_train(tmp_path, "darts", 3.0 + s % 5 / 100, s)
    (table,) = analyse(gather([tmp_path])[0])[0]
    assert "the coverage of the 95 % interval was not simulated at n = 17" in table.notes
