"""Intervals, improvement, tests and ties, against textbook formulas, other libraries and published per-run data."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower

from reports.statistics import (
    compare,
    holm,
    interval,
    letters,
    relative_improvement,
    seeds_needed,
)

# Test accuracies in percent of eight random and eight searched DARTS cells on CIFAR-10, each trained once: columns
# "Random DARTS" and "DARTS" of Plots/data/performance/CIFAR10.csv in antoyang/NAS-Benchmark (Yang et al., 2020).
YANG_RANDOM = (97.05, 96.85, 96.57, 97.09, 96.76, 97.1, 96.94, 97.02)
YANG_DARTS = (97.47, 97.15, 97.41, 97.05, 96.93, 97.13, 97.4, 97.34)
# The same for P-DARTS.
YANG_RANDOM_PDARTS = (96.45, 96.69, 96.7, 96.89, 96.9, 96.65, 95.96, 96.73)
YANG_PDARTS = (97.14, 96.89, 96.99, 97.26, 97.23, 97.22, 97.07, 97.2)


def as_searches(accuracies):
    return [[100 - value] for value in accuracies]


@pytest.mark.parametrize(
    ("method", "random", "published"),
    [(YANG_DARTS, YANG_RANDOM, 0.32), (YANG_PDARTS, YANG_RANDOM_PDARTS, 0.52)],
)
def test_published_relative_improvements(method, random, published):
    improvement = relative_improvement(as_searches(method), as_searches(random))
    assert round(improvement.value, 2) == published
    assert improvement.low < published < improvement.high


def test_published_means_and_stds():
    for values, mean, std in ((YANG_RANDOM, 96.92, 0.19), (YANG_DARTS, 97.23, 0.20)):
        assert np.mean(values) == pytest.approx(mean, abs=0.006)
        assert np.std(values, ddof=1) == pytest.approx(std, abs=0.006)


def test_improvement_interval_is_welch():
    improvement = relative_improvement(as_searches(YANG_DARTS), as_searches(YANG_RANDOM))
    bounds = stats.ttest_ind(YANG_DARTS, YANG_RANDOM, equal_var=False).confidence_interval()
    base = np.mean(YANG_RANDOM)
    assert improvement.low == pytest.approx(100 * bounds.low / base)
    assert improvement.high == pytest.approx(100 * bounds.high / base)


def test_interval_without_repetitions_is_students():
    """One retraining a search: the bootstrap's standard error is s / sqrt(n), and the interval Student's."""
    values = [2.53, 2.85, 2.59, 2.95, 3.07, 2.87, 2.6, 2.66]
    found = interval([[value] for value in values], resamples=40_000)
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-3), pytest.approx(high, abs=5e-3))


def test_interval_does_not_count_retraining_noise_twice():
    generator = np.random.default_rng(3)
    samples = (generator.normal(0, 0.3, (12, 1)) + generator.normal(0, 0.3, (12, 4))).tolist()
    means = np.mean(samples, axis=1)
    expected = stats.t.ppf(0.975, 11) * means.std(ddof=1) / math.sqrt(12)
    assert interval(samples, resamples=20_000).half_width == pytest.approx(expected, rel=0.02)


def test_interval_of_one_search_or_none():
    assert interval([[2.5, 2.6, 2.7]]) is None
    assert interval([]) is None
    assert interval([[2.5], []]) is None


def test_interval_takes_unequal_repetitions():
    found = interval([[2.0, 2.2], [3.0], [2.5, 2.6, 2.7]])
    assert (found.low + found.high) / 2 == pytest.approx(np.mean([2.1, 3.0, 2.6]))


def coverage(searches, retrains, between, within, rounds=500):
    generator = np.random.default_rng(searches * 10 + retrains)
    hits = 0
    for _ in range(rounds):
        centres = generator.normal(0, between, (searches, 1))
        samples = centres + generator.normal(0, within, (searches, retrains))
        found = interval(samples.tolist(), resamples=250)
        hits += found.low <= 0 <= found.high
    return 100 * hits / rounds


@pytest.mark.parametrize("searches", [4, 8, 16])
@pytest.mark.parametrize("retrains", [1, 3])
def test_coverage_by_simulation(searches, retrains):
    """Nominally 95 %; 500 rounds have a standard error of one point."""
    assert 92 <= coverage(searches, retrains, between=0.20, within=0.12) <= 98


def test_coverage_is_conservative_where_retraining_noise_dominates():
    assert 95 <= coverage(4, 3, between=0.05, within=0.12) <= 100


@pytest.mark.parametrize("count", [1, 2, 5, 20, 105])
def test_holm_against_statsmodels(count):
    generator = np.random.default_rng(count)
    for scale in (1.0, 0.1, 0.001):
        p_values = np.round(generator.uniform(0, scale, count), 3).tolist()  # rounded: ties occur
        assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


def test_paired_test_against_scipy():
    a, b = dict(enumerate(YANG_RANDOM)), dict(enumerate(YANG_DARTS))
    found = compare({s: {0: v} for s, v in a.items()}, {s: {0: v} for s, v in b.items()})
    assert found.test == "paired t"
    assert found.units == 8
    assert found.p == pytest.approx(stats.ttest_rel(YANG_RANDOM, YANG_DARTS).pvalue)


def test_pairs_are_formed_over_common_seeds():
    """A retrain seed that one side lacks does not enter; a search seed that one side lacks does not either."""
    a = {0: {0: 3.0, 1: 9.0}, 1: {0: 3.2}, 2: {0: 3.1}, 7: {0: 99.0}}
    b = {0: {0: 2.0}, 1: {0: 2.1}, 2: {0: 2.3}}
    found = compare(a, b)
    assert found.units == 3
    assert found.difference == pytest.approx(np.mean([1.0, 1.1, 0.8]))


def test_unpaired_is_welch():
    a, b = {-1: {0: 2.7}, -2: {0: 2.8}, -3: {0: 2.6}}, {0: {0: 3.0}, 1: {0: 3.3}, 2: {0: 3.1}}
    found = compare(a, b, paired=False)
    assert found.test == "Welch t"
    assert found.p == pytest.approx(stats.ttest_ind([2.7, 2.8, 2.6], [3.0, 3.3, 3.1], equal_var=False).pvalue)


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ({0: {0: 3.0}}, {0: {0: 2.0}}, "fewer than two seeds"),
        ({0: {0: 3.0}, 1: {0: 3.5}}, {0: {0: 2.0}, 1: {0: 2.5}}, "no spread between the pairs"),
    ],
)
def test_what_cannot_be_tested_says_why(a, b, reason):
    found = compare(a, b)
    assert (found.p, found.test) == (None, reason)


@pytest.mark.parametrize("seed", range(30))
def test_letters_are_shared_exactly_by_rows_that_are_not_separated(seed):
    generator = np.random.default_rng(seed)
    names = [f"m{index}" for index in range(int(generator.integers(1, 9)))]
    pairs = [frozenset(pair) for pair in combinations(names, 2)]
    separated = {pair for pair in pairs if generator.random() < 0.5}
    marks = letters(names, separated)
    for pair in pairs:
        a, b = pair
        assert bool(set(marks[a]) & set(marks[b])) == (pair not in separated)
    groups = [{name for name in names if letter in marks[name]} for letter in set("".join(marks.values()))]
    assert not any(a < b for a in groups for b in groups), "a letter says what another says already"


def test_letters_give_up_where_nobody_could_read_them():
    generator = np.random.default_rng(0)
    names = [str(index) for index in range(80)]
    separated = {frozenset(pair) for pair in combinations(names, 2) if generator.random() < 0.5}
    assert set(letters(names, separated).values()) == {""}


@pytest.mark.parametrize(("sigma", "difference", "n"), [(0.12, 0.2, 6), (0.12, 0.3, 3), (0.2, 0.2, 16), (0.2, 0.3, 7)])
def test_seeds_needed(sigma, difference, n):
    assert seeds_needed(sigma, difference) == n


def test_seeds_needed_against_exact_power():
    """The normal approximation is at most one below the exact two-sample t test's number at this size."""
    exact = TTestIndPower().solve_power(effect_size=0.2 / 0.2, alpha=0.05, power=0.8)
    assert 0 <= math.ceil(exact) - seeds_needed(0.2, 0.2) <= 1
