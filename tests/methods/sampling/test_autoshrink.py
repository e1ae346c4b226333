"""AutoShrink: edges fall strictly, the output stays reachable, and no more is scored than the paper's rule allows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from methods.sampling.autoshrink import AutoShrink, AutoShrinkOptions
from methods.spaces import NetworkSettings, get_space
from methods.spaces.decisions import Code
from methods.spaces.graph.network import OPERATIONS
from methods.spaces.graph.structure import complete, live
from tests.contracts.scores import score_of
from tests.methods.sampling.landscapes import NB201, context, landscape, run


def autoshrink(space: str = "graph_5", seed: int = 0, **options: Any) -> AutoShrink:
    return AutoShrink(AutoShrinkOptions(space=space, **options), context(seed))


def edges_of(search: AutoShrink, code: Code) -> tuple[tuple[int, int], ...]:
    found: tuple[tuple[int, int], ...] = search.space.decisions()[-1].options[code[-1]]
    return found


def one_trajectory(search: AutoShrink, score: Any) -> list[Code]:
    """What is scored until it would start again."""
    for _ in range(search.samples):
        proposal = search.ask()
        if len(search.trajectories) > 1:
            search.codes.pop()
            break
        search.tell(proposal, score(search.codes[-1]))
    return search.codes


@pytest.mark.parametrize(("space", "children", "most"), [("graph_5", 4, 34), ("graph_8", 10, 235)])
@pytest.mark.parametrize("seed", range(3))
def test_edges_fall_and_evaluations_are_bounded(space: str, children: int, most: int, seed: int) -> None:
    """At most the sum of min(k, e) over e edges down to one."""
    nodes = int(space[-1])
    whole = len(complete(nodes))
    assert most == sum(min(children, edges) for edges in range(1, whole + 1))
    search = autoshrink(space, seed, samples=most + 1, children=children)
    codes = one_trajectory(search, lambda code: score_of(search.space.decode(code)))
    assert len(codes) <= most
    left = [whole, *(units for units, _ in search.trajectories[0])]
    assert all(after < before for before, after in pairwise(left))
    for code in codes:
        edges = edges_of(search, code)
        assert live(edges, nodes) == edges, "all of it is on a way from input to output"
        assert edges
    assert left[-1] < nodes, "one way from input to output is left"


def test_it_starts_with_everything_and_half_of_each_operation() -> None:
    for seed in range(4):
        search = autoshrink("graph_8", seed)
        genotype = search.space.decode(search.place).genotype
        assert len(genotype["edges"]) == 28
        assert [genotype["operations"].count(operation) for operation in OPERATIONS] == [4, 4]
    assert len({autoshrink("graph_8", seed).place for seed in range(4)}) > 1


def test_the_greedy_order_is_predictable() -> None:
    """Scored by its MACs, it removes what makes the network smallest; all children are looked at."""
    search, space = autoshrink(samples=60, children=100), get_space("graph_5")

    def cheap(code: Code) -> float:
        return 100 - space.counts(space.decode(code), 10, NetworkSettings()).macs / 1e6

    place, children = search.place, list(search.round)
    for _ in range(60):
        proposal = search.ask()
        if len(search.trajectories) > 1:
            break
        if search.place != place:
            assert search.place == max(children, key=cheap)
            place, children = search.place, list(search.round)
        assert set(children) == set(search.removals(place))
        search.tell(proposal, cheap(search.codes[-1]))
    assert len(search.trajectories[0]) > 2


def test_a_child_lacks_one_edge_and_what_that_leaves_dead() -> None:
    search = autoshrink()
    here = edges_of(search, search.place)
    for child in search.removals(search.place):
        there = edges_of(search, child)
        assert set(there) < set(here)
        assert any(live(set(here) - {edge}, 5) == there for edge in here)
        assert child[:-1] == search.place[:-1], "operations stay"


def test_the_answer_is_the_best_of_the_trajectory() -> None:
    search = autoshrink(samples=34, children=4)
    codes = run(search, Scores(search))
    assert score_of(search.architecture()) == max(score_of(search.space.decode(code)) for code in codes)
    units, scores = search.findings().values()
    assert len(units) == len(scores) > 0
    assert units == sorted(set(units), reverse=True)


class Scores(dict[Code, float]):
    def __init__(self, search: AutoShrink) -> None:
        self.space = search.space

    def __missing__(self, code: Code) -> float:
        return score_of(self.space.decode(code))


def test_when_nothing_is_left_it_starts_again() -> None:
    search = autoshrink(samples=100, children=4)
    run(search, Scores(search))
    assert len(search.trajectories) > 2
    assert len({search.codes[0][:-1]} | {code[:-1] for code in search.codes[40:]}) > 1


def test_without_subsets_decisions_go_back_to_neutral() -> None:
    search = autoshrink(NB201, samples=40)
    codes = run(search, landscape(get_space(NB201)))
    first = search.trajectories[0]
    assert [units for units, _ in first] == sorted({units for units, _ in first}, reverse=True)
    assert first[-1][0] == 0, "six skips"
    assert len(codes) == 40
