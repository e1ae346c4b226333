"""Agreement of scores with the truth, against its definitions counted out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.seal import SealedTestSetError, sealed
from bench.data.tables import TableError, get_table
from bench.data.tables.agreement import Agreement, agreement, agreement_with_table, kendall_tau, top_overlap

few_values = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=5)


def textbook_tau(scores: list[float], truth: list[float]) -> float | None:
    """(concordant - discordant) / sqrt(pairs not tied in scores * pairs not tied in truth)."""
    concordant = discordant = untied_scores = untied_truth = 0
    for i, j in itertools.combinations(range(len(scores)), 2):
        product = (scores[i] - scores[j]) * (truth[i] - truth[j])
        concordant, discordant = concordant + (product > 0), discordant + (product < 0)
        untied_scores, untied_truth = untied_scores + (scores[i] != scores[j]), untied_truth + (truth[i] != truth[j])
    if not untied_scores or not untied_truth:
        return None
    return (concordant - discordant) / math.sqrt(untied_scores * untied_truth)


def textbook_overlap(scores: list[float], truth: list[float], k: int) -> float:
    """Mean over every order in which equal networks could stand."""

    def tops(values: list[float]) -> list[set[int]]:
        orders = itertools.permutations(range(len(values)))
        sorted_orders = [o for o in orders if all(values[a] >= values[b] for a, b in itertools.pairwise(o))]
        return [set(order[:k]) for order in sorted_orders]

    pairs = [len(a & b) / k for a in tops(scores) for b in tops(truth)]
    return sum(pairs) / len(pairs)


@settings(max_examples=40, deadline=None)
@given(pairs=few_values, data=st.data())
def test_the_definitions_counted_out(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    scores, truth = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    k = data.draw(st.integers(1, len(pairs)))
    expected = textbook_tau(scores, truth)
    found = kendall_tau(np.array(scores), np.array(truth))
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-12))
    overlap = top_overlap(np.array(scores), np.array(truth), k)
    assert overlap == pytest.approx(textbook_overlap(scores, truth, k), abs=1e-12)


def test_perfect_reversed_and_none() -> None:
    truth = list(range(200))
    assert agreement(truth, truth) == Agreement(200, 1.0, {10: 1.0, 50: 1.0, 100: 1.0})
    assert agreement(truth[::-1], truth) == Agreement(200, -1.0, {10: 0.0, 50: 0.0, 100: 0.0})
    flat = agreement([1.0] * 200, truth)
    assert flat.tau is None
    assert flat.top == pytest.approx({10: 0.05, 50: 0.25, 100: 0.5})  # as by chance
    assert agreement([1.0], [2.0]) == Agreement(1, None, {})
    assert agreement([], []) == Agreement(0, None, {})
    assert set(agreement(truth[:60], truth[:60]).top) == {10, 50}


@pytest.mark.parametrize(
    ("scores", "truth", "message"),
    [
        ([1, 2], [1], r"shape \(2,\) cannot be compared"),
        ([1, math.nan], [1, 2], "score of network 1 is nan"),
        ([1, 2], [math.inf, 2], "true value of network 0 is inf"),
    ],
)
def test_what_cannot_be_compared(scores: list[float], truth: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        agreement(scores, truth)


def test_a_top_beyond_the_networks() -> None:
    for k in (0, 4):
        with pytest.raises(ValueError, match=f"the top {k} of 3 networks"):
            top_overlap(np.arange(3.0), np.arange(3.0), k)


def test_scores_against_a_table() -> None:
    table = get_table("nasbench201")
    short = table.validation("cifar10", 12)
    found = agreement_with_table(table, dict(enumerate(short)), "cifar10", 200)
    assert found.networks == 15_625
    assert found.tau == pytest.approx(0.594, abs=5e-4)
    assert agreement_with_table(table, {3: 1.0, 6111: 2.0}, "cifar10", 200).tau == 1.0
    assert agreement_with_table(table, {3: 2.0, 6111: 1.0}, "cifar10", 200).tau == -1.0
    with pytest.raises(TableError, match="none with the index 15625"):
        agreement_with_table(table, {3: 1.0, 15_625: 1.0}, "cifar10", 200)
    with sealed("a search"), pytest.raises(SealedTestSetError):
        agreement_with_table(table, {3: 1.0, 5: 1.0}, "cifar10", 200)
