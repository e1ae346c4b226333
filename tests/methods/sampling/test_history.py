"""What was asked and told: proposals one by one, equal ones too."""

from __future__ import annotations

import math

import pytest

from methods.architecture import Architecture
from methods.base import MethodError
from methods.sampling.history import History


def network(number: int) -> Architecture:
    return Architecture("nasbench201", {"cell": str(number)})


def test_a_repeated_proposal_is_two_evaluations() -> None:
    history = History("mine", 3)
    one, two, again = history.add(network(1)), history.add(network(2)), history.add(network(1))
    assert one == again
    assert again.provenance == {"method": "mine", "seed": 3, "sample": 2}
    assert [history.tell(again, 5.0), history.tell(two, 9.0), history.tell(one, 7.0)] == [2, 1, 0]
    assert history.scores == [7.0, 9.0, 5.0]
    assert history.best() is two


def test_an_equal_architecture_stands_for_the_one_asked_first() -> None:
    history = History("mine", 0)
    for _ in range(2):
        history.add(network(1))
    assert [history.tell(network(1), 1.0), history.tell(network(1), 2.0)] == [0, 1]


def test_of_equal_scores_the_first_asked_is_the_answer() -> None:
    history = History("mine", 0)
    for number in range(3):
        history.add(network(number))
    for number in (2, 0, 1):
        history.tell(history.asked[number], 1.0)
    assert history.best() is history.asked[0]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_refused(score: float) -> None:
    history = History("mine", 0)
    history.add(network(1))
    with pytest.raises(MethodError, match=r"mine was told the score .*; it must be a finite number"):
        history.tell(history.asked[0], score)


def test_what_waits_for_no_score_is_refused() -> None:
    history = History("mine", 0)
    history.add(network(1))
    history.tell(network(1), 1.0)
    for number in (1, 2):
        with pytest.raises(MethodError, match="waits for none"):
            history.tell(network(number), 1.0)


def test_choosing_too_early_is_refused() -> None:
    history = History("mine", 0)
    with pytest.raises(MethodError, match="drawn no architecture"):
        history.best()
    assert history.add(network(1)) is history.best()
    history.add(network(2))
    with pytest.raises(MethodError, match="2 of 2 samples have no score"):
        history.best()
