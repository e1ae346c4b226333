"""Windows over widths: their options, how they move; and widths fitted to a budget."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from methods.parts.budget_fit import fit
from methods.parts.windows import Window, Windows, around
from methods.spaces.widths import Stage, Widths

TWO = Windows.of(Widths((Stage(8, (16, 0)), Stage(12, (24, 24))), 28), 0.25)


@pytest.mark.parametrize(
    ("window", "options"),
    [(Window(8, 2), (6, 8, 10)), (Window(2, 4), (1, 2, 6)), (Window(1, 1), (1, 2)), (Window(0), (0,))],
)
def test_the_options_of_a_window(window: Window, options: tuple[int, ...]) -> None:
    assert window.values == options


@pytest.mark.parametrize(
    ("probabilities", "after"),
    [
        ([0.2, 0.2, 0.6], Window(10, 2, 8)),
        ([0.51, 0.4, 0.09], Window(6, 2, 8)),
        ([0.45, 0.35, 0.2], Window(8, 2)),  # an edge has most, and not enough
        ([0.3, 0.4, 0.3], Window(8, 1)),
    ],
)
def test_an_edge_that_is_chosen_becomes_the_middle_and_a_chosen_middle_narrows(
    probabilities: list[float], after: Window
) -> None:
    assert Window(8, 2).moved(probabilities, 0.5) == after


def test_a_window_that_turns_back_narrows() -> None:
    there = Window(8, 4).moved([0.1, 0.1, 0.8], 0.5)
    assert there == Window(12, 4, 8)
    assert there.moved([0.1, 0.1, 0.8], 0.5) == Window(16, 4, 12)
    assert there.moved([0.8, 0.1, 0.1], 0.5) == Window(8, 2, 12)


def test_a_grid_of_windows_has_what_is_not_there_as_it_is() -> None:
    """A block that may go has an option for that; the resolution is not chosen."""
    grid = TWO.grid(lambda stage, block: block > 0)
    assert grid.widths == ((6, 8, 10), (9, 12, 15))
    assert grid.inside == (((12, 16, 20), (0,)), ((18, 24, 30), (0, 18, 24, 30)))
    assert grid.resolutions == (28,)
    assert TWO.picked({}) == Widths((Stage(8, (16, 0)), Stage(12, (24, 24))), 28)
    assert Windows.from_state(TWO.to_state()) == TWO


def test_another_block_stands_at_the_first_empty_place_or_behind_all_others() -> None:
    new = around(16, 0.25)
    first, last = TWO.deepened(0, new, 3), TWO.deepened(1, new, 3)
    assert first is not None
    assert last is not None
    assert (first[1], [each.centre for each in first[0].inside[0]]) == (1, [16, 16])
    assert (last[1], [each.centre for each in last[0].inside[1]]) == (2, [24, 24, 16])
    assert TWO.deepened(1, new, 2) is None


def cost(values: Mapping[str, int]) -> float:
    return values["a"] * values["b"] + 10 * values["b"] + values["c"]


SURE = {"a": 0.9, "b": 0.4, "c": 0.6}
RANGES = {"a": (6, 10), "b": (15, 25), "c": (0, 0)}


def test_what_is_near_enough_stays() -> None:
    assert fit({"a": 8, "b": 20, "c": 0}, SURE, RANGES, cost, 361, 0.02).values == {"a": 8, "b": 20, "c": 0}


def test_the_least_certain_width_is_fitted_first_and_alone_where_that_is_enough() -> None:
    found = fit({"a": 8, "b": 20, "c": 0}, SURE, RANGES, cost, 400, 0.02)
    assert found.values == {"a": 8, "b": 22, "c": 0}
    assert found.inside_windows


@pytest.mark.parametrize("target", [90, 380, 1000, 50_000])
def test_any_budget_is_met_if_need_be_outside_of_the_windows(target: float) -> None:
    """A block that is not there stays away."""
    found = fit({"a": 8, "b": 20, "c": 0}, SURE, RANGES, cost, target, 0.02)
    assert abs(cost(found.values) / target - 1) <= 0.02
    assert found.values["c"] == 0
    assert found.inside_windows == (target == 380)


def test_one_channel_each_is_the_least() -> None:
    assert fit({"a": 8, "b": 20, "c": 0}, SURE, RANGES, cost, 1, 0.02).values == {"a": 1, "b": 1, "c": 0}
