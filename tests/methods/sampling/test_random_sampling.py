"""Random sampling: uniform, valid, decided by the seed."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chisquare

from methods.base import MethodError, SearchContext
from methods.sampling.random_sampling import RandomSampling
from methods.spaces import get_space
from methods.spaces.operations import OPERATIONS
from tests.methods.sampling.landscapes import landscape


def sampler(seed=0, samples=1):
    return RandomSampling(RandomSampling.Options(samples=samples), SearchContext(num_classes=10, seed=seed))


@pytest.fixture(scope="module")
def drawn():
    method = sampler(samples=500)
    return [method.ask() for _ in range(500)]


def test_every_sample_is_valid(drawn):
    for architecture in drawn:
        get_space("darts_cell").validate(architecture)


def test_operations_are_uniform(drawn):
    counts = Counter(op for a in drawn for cell in a.genotype.values() for op, _, _ in cell["edges"])
    assert set(counts) == set(OPERATIONS[1:])
    assert chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.parametrize("node", [2, 3, 4, 5])
def test_inputs_of_a_node_are_uniform(drawn, node):
    pairs = Counter()
    for architecture in drawn:
        for cell in architecture.genotype.values():
            pairs[tuple(source for _, source, to in cell["edges"] if to == node)] += 1
    assert set(pairs) == set(combinations(range(node), 2))
    if len(pairs) > 1:
        assert chisquare(list(pairs.values())).pvalue > 1e-3


def test_seed_decides_the_sequence():
    first, again, other = sampler(3), sampler(3), sampler(4)
    sequence = [first.ask() for _ in range(3)]
    assert sequence == [again.ask() for _ in range(3)]
    assert sequence[0] != other.ask()
    assert len({a.digest for a in sequence}) == 3


def test_the_best_score_wins():
    method = sampler(samples=3)
    asked = [method.ask() for _ in range(3)]
    for architecture, score in zip(asked, (0.2, 0.9, 0.5), strict=True):
        method.tell(architecture, score)
    assert method.architecture() is asked[1]
    assert method.architecture().provenance == {"method": "random_sampling", "seed": 0, "sample": 1}


def test_the_bits_of_the_first_release_are_kept():
    assert [architecture.digest for architecture in drawn_by(sampler(0), 3)] == [
        "7702e1eb8642fd86",
        "179b404999ba66b2",
        "b13846bc2d625181",
    ]


def drawn_by(method, number):
    return [method.ask() for _ in range(number)]


def test_a_space_of_another_kind_is_sampled_too():
    options = RandomSampling.Options(samples=2, space="nasbench201")
    asked = drawn_by(RandomSampling(options, SearchContext(num_classes=10)), 2)
    assert {architecture.space for architecture in asked} == {"nasbench201"}
    with pytest.raises(MethodError, match=r"space is 'nasbench20': unknown search space .*did you mean 'nasbench201'"):
        RandomSampling.Options(space="nasbench20")


def test_it_finds_the_expected_maximum_of_n_draws():
    """E[max] = sum over the sorted scores v_k of v_k ((k / N)^n - ((k - 1) / N)^n)."""
    space, samples, seeds = get_space("nasbench201"), 20, 400
    scores = landscape(space)
    shares = (np.arange(len(scores) + 1) / len(scores)) ** samples
    expected = float(np.sort(list(scores.values())) @ np.diff(shares))
    options, found = RandomSampling.Options(samples=samples, space="nasbench201"), []
    for seed in range(seeds):
        method = RandomSampling(options, SearchContext(num_classes=10, seed=seed))
        for proposal in drawn_by(method, samples):
            method.tell(proposal, scores[space.encode(proposal)])
        found.append(scores[space.encode(method.architecture())])
    assert abs(np.mean(found) - expected) < 4 * np.std(found) / seeds**0.5


def test_choosing_too_early_is_refused():
    method = sampler(samples=2)
    with pytest.raises(MethodError, match="drawn no architecture"):
        method.architecture()
    method.ask()
    method.ask()
    with pytest.raises(MethodError, match="2 of 2 samples have no score"):
        method.architecture()


@pytest.mark.parametrize("samples", [0, -1, 1.5, True])
def test_bad_sample_count_is_refused(samples):
    with pytest.raises(MethodError, match="samples is"):
        RandomSampling.Options(samples=samples)
