"""Ranks of options over paired settings, as GraphGym's controlled comparison has them, and how alike tasks are.

You, Ying and Leskovec, Design Space for Graph Neural Networks, NeurIPS 2020 (arXiv 2011.08843), sections 5 and 6: in
every setting one dimension takes each of its options while all else stays; the options are ranked within the setting,
and the ranks are averaged over settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from methods.tasks import Metric
from reports.statistics import LEVEL, Interval, all_pairs, interval, kendall, letters

RELEASED_TIE = 2.0
"""Percentage points of accuracy within which two options of a setting tie (GraphGym's released analysis: .02)."""


def tie_of(metric: Metric) -> float:
    """Within which options tie: what was released says it of accuracies; of another metric only equal ones do."""
    return RELEASED_TIE if metric.unit == "%" else 0.0


@dataclass(frozen=True)
class Ranked:
    """What ranking made of one option.

    Attributes:
        mean: rank, 1 is best, averaged over settings.
        interval: Student's at 95 %, a setting is a unit; None where there are fewer than two, or all ranks are equal.
        first: share of the settings in which nothing is better.
        value: the score, averaged over settings.
        letters: options that share one are not separated at 5 % (paired t tests over settings, Holm).
    """

    mean: float
    interval: Interval | None
    first: float
    value: float
    settings: int
    letters: str = ""


def ranks(scores: Sequence[float], tie: float = 0.0) -> list[int]:
    """The rank of each score, in its setting: one more than the number of scores that are better by more than `tie`.

    Args:
        scores: higher is better.
        tie: in the unit of the scores.
    """
    return [1 + sum(other - score > tie for other in scores) for score in scores]


def rank_options(settings: Sequence[Mapping[str, float]], tie: float = 0.0) -> dict[str, Ranked]:
    """Every option ranked within each setting and averaged over them, best mean rank first.

    Args:
        settings: in each the scores of the same options, higher is better.

    Raises:
        ValueError: there is no setting, or one lacks an option that another one has.
    """
    if not settings:
        raise ValueError("there is no setting to rank options in")
    options = list(settings[0])
    for setting in settings:
        if set(setting) != set(options):
            raise ValueError(f"a setting has the options {sorted(setting)}, another one {sorted(options)}")
    found = [dict(zip(options, ranks([each[o] for o in options], tie), strict=True)) for each in settings]
    nested = {o: {place: {0: float(each[o])} for place, each in enumerate(found)} for o in options}
    tests = all_pairs(nested, lambda first, second: range(len(found)))[1]
    of = {o: [each[o] for each in found] for o in options}
    order = sorted(options, key=lambda o: sum(of[o]))
    marks = letters(order, {pair for pair, p in tests.items() if p < LEVEL})
    return {o: _ranked(of[o], [each[o] for each in settings], marks[o]) for o in order}


def _ranked(of: Sequence[int], scores: Sequence[float], marks: str) -> Ranked:
    n = len(of)
    return Ranked(sum(of) / n, interval([[r] for r in of]), of.count(1) / n, sum(scores) / n, n, marks)


def similarities(scores: Mapping[str, Sequence[float]]) -> list[list[float | None]]:
    """Kendall's tau b of every two tasks, over the scores of the same anchor models in the same order.

    None where all anchors of a task have one score.

    Raises:
        ValueError: tasks with different numbers of anchors.
    """
    columns = list(scores.values())
    if len({len(column) for column in columns}) > 1:
        raise ValueError("the tasks have different numbers of anchor models")
    return [[kendall(one, other) for other in columns] for one in columns]
