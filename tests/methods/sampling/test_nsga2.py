"""NSGA-II: the library's sorting against brute force on our points, sizes against the counter, and the front."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from bench.run.search import SamplingState, sampling_search
from methods.architecture import Architecture
from methods.base import SearchContext, Start
from methods.genotypes import published
from methods.parts.counts import count_macs, count_params
from methods.sampling.fronts import Individual, Objectives, front, hypervolume
from methods.sampling.nsga2 import NSGA2, NSGA2Options
from methods.spaces import NetworkSettings, build
from tests.contracts.scores import Scoring, score_of

BLOCKS = ("DARTS_V2", "PC_DARTS_cifar", "DARTS_V1")
SETTINGS = NetworkSettings(channels=8, cells=8)
START = Start(published(BLOCKS[0]), SETTINGS, family=[published(name) for name in BLOCKS])
OPTIONS = NSGA2Options(space="block_network_xs", samples=40, population=8)


def new(seed: int = 3, options: NSGA2Options = OPTIONS) -> NSGA2:
    return NSGA2(options, SearchContext(num_classes=10, seed=seed, start=START))


@cache
def searched() -> NSGA2:
    method = new()
    sampling_search(method, Scoring(), SamplingState())
    return method


def individual(error: float, count: int, number: int = 0) -> Individual:
    return Individual(str(number), number, 0, error, count, {})


points = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 12)), min_size=1, max_size=30)


def better(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Pareto's order, by its definition."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def ranks(values: list[tuple[float, ...]]) -> list[set[int]]:
    """Fronts by brute force: again and again those that nothing left is better than."""
    left, found = set(range(len(values))), []
    while left:
        first = {n for n in left if not any(better(values[m], values[n]) for m in left)}
        found.append(first)
        left -= first
    return found


@settings(max_examples=100, deadline=None)
@given(values=points)
def test_the_library_sorts_as_brute_force_does(values: list[tuple[float, float]]) -> None:
    found = NonDominatedSorting().do(np.array(values, dtype=float))
    assert [set(map(int, each)) for each in found] == ranks(values)


def test_it_sorts_the_points_of_a_search_as_brute_force_does() -> None:
    values = [each.minimised for each in searched().individuals()]
    found = NonDominatedSorting().do(np.array(values))
    assert [set(map(int, each)) for each in found] == ranks(values)


@settings(max_examples=100, deadline=None)
@given(values=points)
def test_the_front_is_what_nothing_is_better_than(values: list[tuple[float, int]]) -> None:
    every = [individual(error, count, number) for number, (error, count) in enumerate(values)]
    kept = {each.minimised for each in front(every)}
    assert kept == {every[n].minimised for n in ranks([each.minimised for each in every])[0]}
    counts = [each.count for each in front(every)]
    assert counts == sorted(set(counts))


@settings(max_examples=100, deadline=None)
@given(values=points)
def test_the_hypervolume_is_the_area_that_is_dominated(values: list[tuple[float, int]]) -> None:
    """Counted in small squares: errors are whole percents, counts whole decades."""
    every = [individual(error, 10**count) for error, count in values]
    squares = {(e, c) for error, count in values for e in range(error, 100) for c in range(count, 13)}
    assert hypervolume(every, 1e13) == pytest.approx(len(squares) / 100)


def test_the_hypervolume_never_falls() -> None:
    objectives = Objectives.from_json(searched().objectives())
    assert objectives.to_json() == searched().objectives()
    largest = max(each.count for each in objectives.individuals)
    values = [hypervolume(each, largest) for each in objectives.generations()]
    assert len(values) == 5
    assert all(one <= other for one, other in itertools.pairwise(values))
    assert values[-1] > values[0]


def test_every_individual_counts_as_the_counter_does() -> None:
    method = searched()
    for each in method.individuals():
        network = build(method.history.asked[each.number], 10, SETTINGS)
        assert each.count == count_params(network)
    macs = new(options=NSGA2Options(space="block_network_xs", samples=1, population=8, on="macs"))
    first = macs.ask()
    assert macs.count(macs.codes[0], first) == count_macs(build(first, 10, SETTINGS), (3, 32, 32))


def test_a_generation_has_the_best_of_all_before_it_as_parents() -> None:
    """Elitism, by brute force: those in the first fronts survive; the last front is cut by crowding."""
    method = new()
    for _ in range(40):
        proposal = method.ask()
        method.tell(proposal, score_of(proposal))
    method.propose()  # the fifth generation is learned from
    told = [each.minimised for each in method.individuals()]
    alive = {tuple(map(float, each)) for each in method.evolution.algorithm.pop.get("F")}
    kept: list[int] = []
    for rank in ranks(told):
        whole = {told[n] for n in rank}
        if len(kept) + len(rank) <= OPTIONS.population:
            assert whole <= alive
        kept += list(rank)
    best = ranks(told)[0]
    assert len({told[n] for n in best} & alive) == min(len(best), OPTIONS.population)


def test_the_answer_is_the_accurate_end_of_its_front_and_its_family_the_front() -> None:
    method = searched()
    family = method.family()
    assert [each.architecture for each in method.front()] == [member.digest for member in family]
    assert method.architecture() == family[-1]
    sizes = [count_params(build(member, 10, SETTINGS)) for member in family]
    assert sizes == sorted(sizes) == [member.provenance["params"] for member in family]
    errors = [member.provenance["valid_error"] for member in family]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == pytest.approx(100 - max(score_of(each) for each in method.history.asked))


def test_networks_are_made_of_the_blocks_that_it_starts_from() -> None:
    known = [published(name).genotype["normal"] for name in BLOCKS]
    used = [stage["normal"] for each in searched().history.asked for stage in each.genotype["stages"]]
    assert all(cell in known for cell in used)
    assert all(cell in used for cell in known)


def test_what_is_asked_before_a_generation_is_told_is_no_parent() -> None:
    method = new()
    asked: list[Architecture] = [method.ask() for _ in range(OPTIONS.population + 2)]
    assert [at is None for at in method.places] == [False] * OPTIONS.population + [True] * 2
    for proposal in asked:
        method.tell(proposal, score_of(proposal))
    method.ask()
    assert method.places[-1] == (1, 0)
    assert len(method.individuals()) == OPTIONS.population + 2


def test_where_nothing_new_is_left_it_goes_on_with_what_there_is() -> None:
    """24 networks of one block, and a population of more."""
    one = Start(published("DARTS_V2"), SETTINGS)
    options = NSGA2Options(space="block_network_xs", samples=60, population=30)
    method = NSGA2(options, SearchContext(num_classes=10, seed=1, start=one))
    assert math.prod(len(decision.options) for decision in method.space.decisions()) == 24
    for _ in range(60):
        proposal = method.ask()
        method.tell(proposal, score_of(proposal))
    assert method.evolution.exhausted
    assert len({each.architecture for each in method.individuals()}) == 24


def test_the_global_generators_have_no_part() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[union-attr]
    method = new(seed=9)
    for _ in range(17):
        method.tell(proposal := method.ask(), score_of(proposal))
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # type: ignore[index]
