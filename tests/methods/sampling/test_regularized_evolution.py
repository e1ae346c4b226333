"""Regularized evolution: the textbook's history, its ageing, and that it climbs."""

from __future__ import annotations

from collections import deque
from functools import partial

import numpy as np
import pytest
import torch

from methods.base import MethodError
from methods.sampling.regularized_evolution import RegularizedEvolution
from methods.spaces import get_space
from methods.spaces.decisions import mutate, neighbours, sample_code
from tests.methods.sampling.landscapes import NB201, TinySpace, context, landscape, run
from tests.oracles.evolution import regularized_evolution

SPACE = get_space(NB201)


def evolution(seed: int = 0, space: str = NB201, **options: int) -> RegularizedEvolution:
    return RegularizedEvolution(RegularizedEvolution.Options(space=space, **options), context(seed))


@pytest.mark.parametrize(("population", "tournament"), [(10, 3), (1, 1), (5, 8), (100, 25)])
def test_its_history_is_the_textbooks(population: int, tournament: int) -> None:
    scores, generator = landscape(SPACE), torch.Generator().manual_seed(5)
    expected = regularized_evolution(
        scores.__getitem__,
        partial(sample_code, SPACE, generator),
        partial(mutate, SPACE, generator=generator),
        generator,
        150,
        population,
        tournament,
    )
    search = evolution(5, samples=150, population=population, tournament=tournament)
    assert run(search, scores) == expected
    assert SPACE.encode(search.architecture()) == max(expected, key=scores.__getitem__)


def test_the_oldest_dies_even_if_it_is_the_best() -> None:
    """Parents are among the last P that were told; the best of all is no exception."""
    scores, search = landscape(SPACE, rugged=3.0), evolution(samples=200, population=6, tournament=6)
    alive: deque[tuple[int, ...]] = deque(maxlen=6)
    outlived = 0
    for number in range(200):
        proposal = search.ask()
        code = SPACE.encode(proposal)
        if number >= 6:
            assert any(code in neighbours(SPACE, parent) for parent in alive)
            outlived += max(search.codes[:-1], key=scores.__getitem__) not in alive
        search.tell(proposal, scores[code])
        alive.append(code)
        assert [individual for individual, _ in search.population] == list(alive)
    assert outlived > 0


def test_equal_scores_and_repeats_are_individuals_of_their_own(tiny: TinySpace) -> None:
    search = evolution(space="tiny", samples=60, population=10)
    codes = run(search, dict.fromkeys(landscape(search.space), 1.0))
    assert len(set(codes)) <= 24 < len(codes)
    assert len(search.population) == 10


def test_several_can_be_asked_before_the_first_is_told() -> None:
    """Until the first is told there is nothing to mutate; children join in the order in which they are told."""
    scores, search = landscape(SPACE), evolution(samples=40, population=4, tournament=2)
    first = [search.ask() for _ in range(6)]
    for proposal in reversed(first):
        search.tell(proposal, scores[SPACE.encode(proposal)])
    assert [code for code, _ in search.population] == [SPACE.encode(proposal) for proposal in reversed(first[:4])]
    assert any(SPACE.encode(search.ask()) in neighbours(SPACE, code) for code, _ in search.population)


def test_it_beats_uniform_sampling_where_neighbours_are_alike() -> None:
    scores = landscape(SPACE, rugged=0.2)
    found = [max(scores[code] for code in run(evolution(seed, samples=60), scores)) for seed in range(40)]
    values, generator = list(scores.values()), np.random.default_rng(0)
    uniform = [max(generator.choice(values, 60)) for _ in range(400)]
    assert np.mean(found) - np.mean(uniform) > 4 * np.std(uniform) / 40**0.5


@pytest.mark.parametrize("options", [{"population": 0}, {"tournament": 0}, {"samples": 0}, {"population": 1.5}])
def test_sizes_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(MethodError, match="it must be a whole number"):
        RegularizedEvolution.Options(**options)


def test_a_space_without_decisions_is_refused() -> None:
    with pytest.raises(MethodError, match=r"space is 'general_cell': .*decisions"):
        RegularizedEvolution.Options(space="general_cell")
