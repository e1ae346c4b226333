"""Channels changed until a network has a budget: first where the choice is least certain, then everywhere.

A choice among a few widths seldom meets a number to a percent. So one width after the other, the least certain first,
takes the number of channels inside its window with which the network comes nearest to the budget, until it is near
enough. If all of them are not enough, as when a search ends before it is done, all widths are multiplied by one factor,
and then single ones fitted again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Values = dict[str, int]
"""Channels by the name of a width."""
HALVINGS = 40


@dataclass(frozen=True)
class Fitted:
    """Attributes:
    inside_windows: whether no width had to leave its window.
    """

    values: Values
    inside_windows: bool


def fit(
    values: Mapping[str, int],
    certainty: Mapping[str, float],
    ranges: Mapping[str, tuple[int, int]],
    cost: Callable[[Mapping[str, int]], float],
    target: float,
    tolerance: float,
) -> Fitted:
    """Widths whose cost is within `tolerance` of `target`, as a share of it, or as near to it as this finds.

    Args:
        values: as chosen; 0 is a block that is not there and stays away.
        certainty: of each choice, as the probability of what was chosen.
        ranges: of each width, the fewest and the most channels that its window allows.
        cost: which rises with every width.
    """
    order = sorted((name for name, value in values.items() if value), key=lambda name: (certainty[name], name))
    found, done = _one_by_one(dict(values), order, ranges, cost, target, tolerance)
    if done:
        return Fitted(found, True)
    scaled = _all_by_a_factor(found, order, cost, target)
    near = {name: (max(1, value // 2), 2 * value + 1) for name, value in scaled.items()}
    return Fitted(_one_by_one(scaled, order, near, cost, target, tolerance)[0], False)


def _one_by_one(
    values: Values,
    order: list[str],
    ranges: Mapping[str, tuple[int, int]],
    cost: Callable[[Mapping[str, int]], float],
    target: float,
    tolerance: float,
) -> tuple[Values, bool]:
    """And whether they are within the tolerance."""

    def off(found: Mapping[str, int]) -> float:
        return abs(cost(found) / target - 1)

    for name in order:
        if off(values) <= tolerance:
            break
        low, high = ranges[name]
        while low < high:  # the first whose cost reaches the target, or the last
            middle = (low + high) // 2
            if cost(values | {name: middle}) < target:
                low = middle + 1
            else:
                high = middle
        near = {values[name], low, max(ranges[name][0], low - 1)}
        values = min((values | {name: each} for each in sorted(near)), key=off)
    return values, off(values) <= tolerance


def _all_by_a_factor(
    values: Values, order: list[str], cost: Callable[[Mapping[str, int]], float], target: float
) -> Values:
    """The largest multiple that does not cost more than the target; one channel each where even that does."""

    def times(factor: float) -> Values:
        return values | {name: max(1, int(factor * values[name])) for name in order}

    low, high = 0.0, 1.0
    while cost(times(high)) < target and high < 1e4:
        low, high = high, 2 * high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(times(middle)) <= target else (low, middle)
    return times(low)
