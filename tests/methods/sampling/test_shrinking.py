"""Locality against a double loop, seeds that are far apart, and options dropped by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from methods.sampling.shrinking import autocorrelation, distances, drop_options, mean_distance, spread
from methods.spaces import get_space
from methods.spaces.decisions import Code, distance, enumerate_codes
from tests.methods.sampling.landscapes import NB201, TinySpace, landscape

TINY = TinySpace()
CODES = list(enumerate_codes(TINY))


def by_hand(scores: dict[Code, float], steps: int) -> float:
    mean = sum(scores.values()) / len(scores)
    variance = sum((value - mean) ** 2 for value in scores.values()) / len(scores)
    products = [
        (scores[a] - mean) * (scores[b] - mean)
        for a, b in itertools.permutations(scores, 2)
        if distance(TINY, a, b) == steps
    ]
    return sum(products) / len(products) / variance


def test_locality_is_the_textbooks() -> None:
    scores = landscape(TINY, rugged=0.3)
    assert autocorrelation(TINY, scores, 4) == pytest.approx([by_hand(scores, steps) for steps in (1, 2, 3, 4)])
    assert autocorrelation(TINY, scores, 7)[5:] == [None, None], "no two are so far apart"
    assert autocorrelation(TINY, dict.fromkeys(CODES, 1.0), 2) == [None, None]
    assert autocorrelation(TINY, {}, 1) == [None]


def test_a_sum_over_decisions_is_local_and_noise_is_not() -> None:
    """In the 3,125 networks whose last edge is the first option."""
    space = get_space(NB201)
    scores = {code: score for code, score in landscape(space, rugged=0.0).items() if code[-1] == 0}
    values = list(scores.values())
    near = autocorrelation(space, scores, 3)
    # of a sum over five edges, all but d of them shared: 1 - d * 5 / 4 / 5, another option's mean is a fifth less
    assert near == pytest.approx([1 - steps * 1.25 / 5 for steps in (1, 2, 3)], abs=1e-6)
    shuffled = dict(zip(scores, np.random.default_rng(0).permutation(values).tolist(), strict=True))
    assert autocorrelation(space, shuffled, 3) == pytest.approx([0.0] * 3, abs=0.04)


@pytest.mark.parametrize("name", [NB201, "resnet", "dense_cell"])
def test_distances_in_blocks_are_those_of_pairs(name: str) -> None:
    import torch

    from methods.spaces.decisions import sample_code

    space, generator = get_space(name), torch.Generator().manual_seed(0)
    some, others = ([sample_code(space, generator) for _ in range(count)] for count in (4, 6))
    assert distances(space, some, others).tolist() == [[distance(space, a, b) for b in others] for a in some]


def test_seeds_are_good_and_far_apart() -> None:
    scores = {(0, 0, 0): 9.0, (0, 0, 1): 8.0, (1, 0, 1): 7.0, (2, 1, 3): 6.0, (2, 1, 2): 5.0, (1, 1, 3): 1.0}
    assert spread(TINY, scores, 1, 5) == [(0, 0, 0)]
    assert spread(TINY, scores, 2, 5) == [(0, 0, 0), (2, 1, 3)], "the farthest of the five best"
    assert spread(TINY, scores, 3, 5)[2] == (1, 0, 1), "two steps from the first; the other candidates are nearer"
    assert spread(TINY, scores, 9, 3) == [(0, 0, 0), (1, 0, 1), (0, 0, 1)]


def test_diversity_is_the_mean_over_pairs() -> None:
    pairs = list(itertools.combinations(CODES, 2))
    assert mean_distance(TINY, CODES) == pytest.approx(sum(distance(TINY, *pair) for pair in pairs) / len(pairs))
    assert mean_distance(TINY, CODES[:1]) == 0
    whole = list(enumerate_codes(get_space(NB201)))
    assert mean_distance(get_space(NB201), whole) == pytest.approx(6 * 4 / 5, abs=0.02)


def test_the_worst_options_go_one_by_one() -> None:
    scores = {code: 10.0 * code[0] + 3.0 * code[1] + code[2] for code in CODES}
    assert len(drop_options(TINY, scores, 24)) == 24
    assert drop_options(TINY, scores, 23) == [code for code in CODES if code[0] != 0]
    assert drop_options(TINY, scores, 8) == [code for code in CODES if code[0] == 2]
    assert drop_options(TINY, scores, 7) == [code for code in CODES if code[0] == 2 and code[1] == 1]
    assert drop_options(TINY, scores, 1) == drop_options(TINY, scores, 0) == [(2, 1, 3)]


def test_an_option_that_nobody_tried_goes_first() -> None:
    scores = {code: 1.0 for code in CODES if code[2] != 2}
    assert drop_options(TINY, scores, 23) == [code for code in CODES if code[2] != 2]
