"""What a difference between rows is worth: intervals, relative improvement, tests and ties.

The independent unit is a search (for a published cell, a retraining); retrainings of one search are repetitions
inside it. Simulated coverage of the intervals: `reports.coverage` and docs/statistics.md; how many searches a test
takes: `reports.power`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from methods.tasks import Metric
from reports.distributions import standard_error, t_above, t_two_sided

LEVEL = 0.05
PAIRED, WELCH = "paired t", "Welch t"
MOST_LETTERS = 26

Nested = Mapping[int, Mapping[int, float]]
"""{search seed: {retrain seed: value}}"""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of a mean, in the values' unit; `units` independent units stand behind it."""

    low: float
    high: float
    units: int

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    def within(self, least: float, most: float) -> tuple[float, float]:
        """Its ends, cut to what the mean can be at all: it covers that mean as often as before."""
        return max(least, self.low), min(most, self.high)


@dataclass(frozen=True)
class Improvement:
    """What a row is better by than random sampling, with its 95 % interval where both have two units: in percent of an
    accuracy, or in the unit of another metric."""

    value: float
    low: float | None = None
    high: float | None = None
    unit: str = "%"


@dataclass(frozen=True)
class Comparison:
    """Two rows against each other.

    Attributes:
        difference: mean of a minus mean of b.
        low, high: its 95 % interval.
        spread: standard deviation of the differences within pairs; None where the rows are independent.
        p: two-sided, not corrected; None where the seeds do not allow a test, and `test` says why.
        test: "paired t", "Welch t", or the reason for there being none.
        units: pairs, or the smaller number of units.
    """

    difference: float
    p: float | None
    test: str
    units: int
    low: float | None = None
    high: float | None = None
    spread: float | None = None


def interval(samples: Sequence[Sequence[float]], level: float = 1 - LEVEL) -> Interval | None:
    """Student's interval of the mean over searches, from the means of their retrainings.

    Every search weighs the same. Means over unequal numbers of retrainings differ in variance; Student's interval then
    covers at least its level as long as that is 92 % or more (Ibragimov and Mueller, Journal of Business and Economic
    Statistics 2010, after Bakirov and Szekely 2005). Its coverage by simulation: `reports.coverage`.

    Args:
        samples: for each search the values of its retrainings; numbers of retrainings may differ.

    Returns:
        None for fewer than two searches, and where all means are equal: no spread says nothing about the noise.
    """
    means = _unit_means(samples)
    n = len(means)
    if n < 2 or _no_spread(means):
        return None
    centre, half = float(means.mean()), float(half_width(means, level))
    return Interval(centre - half, centre + half, n)


def half_width(means: np.ndarray, level: float = 1 - LEVEL) -> np.ndarray:
    """Half the width of Student's interval along the last axis; the leading ones are independent experiments."""
    return np.asarray(t_above((1 - level) / 2, means.shape[-1] - 1) * standard_error(means))


def relative_improvement(errors: Sequence[Sequence[float]], random: Sequence[Sequence[float]]) -> Improvement | None:
    """RI = 100 (acc_method - acc_random) / acc_random (Yang, Esperanca, Carlucci, ICLR 2020, section 3).

    Args:
        errors, random: test errors in percent, for each search those of its retrainings.

    The interval is Welch's for the difference of the two means, divided by the accuracy of random sampling, whose own
    uncertainty as a denominator (some tenths in ninety-odd) is neglected.
    """
    a, b = _unit_means(errors), _unit_means(random)
    if not len(a) or not len(b):
        return None
    base = 100.0 - float(b.mean())
    if base <= 0:
        return None
    value = 100.0 * (float(b.mean()) - float(a.mean())) / base
    welch = _welch(b, a)
    if welch.low is None or welch.high is None:
        return Improvement(value)
    return Improvement(value, 100.0 * welch.low / base, 100.0 * welch.high / base)


def improvement(
    metric: Metric, values: Sequence[Sequence[float]], random: Sequence[Sequence[float]]
) -> Improvement | None:
    """Over random sampling: relative where what is missing of the metric is an accuracy, as a difference of any other.

    Args:
        values, random: of the metric, for each search those of its retrainings.
    """
    if metric.complement is not None:
        return relative_improvement(values, random)
    a, b = _unit_means(values), _unit_means(random)
    if not len(a) or not len(b):
        return None
    found = _welch(*((a, b) if metric.higher_is_better else (b, a)))
    return Improvement(found.difference, found.low, found.high, metric.unit)


def compare(a: Nested, b: Nested, coupled: Collection[int] = ()) -> Comparison:
    """Test two rows for a difference of their means.

    Args:
        a, b: {unit: {repetition: value}}: for searches {search seed: {retrain seed: value}}.
        coupled: units at which both rows rest on something common (one search, one dense network). Where these are two
            or more and all units of the smaller row, they are pairs, each with the mean over the repetitions both
            sides have; otherwise the rows are independent and the test is Welch's. An equal seed alone couples
            nothing: it gives an equal order of images, and pairing on it costs degrees of freedom.
    """
    pairs = _pairs(a, b, coupled)
    if 2 <= len(pairs) == min(len(a), len(b)):
        return _paired(pairs)
    return _welch(*(_unit_means([list(values.values()) for values in nested.values()]) for nested in (a, b)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given (Holm, Scandinavian Journal of Statistics 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for position, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - position) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def letters(names: Sequence[str], separated: set[frozenset[str]]) -> dict[str, str]:
    """Compact letter display: names share a letter if and only if they are not separated.

    Insert and absorb (Piepho, Journal of Computational and Graphical Statistics 2004). Letters follow the order of
    `names`, so the best row has an "a". Beyond `MOST_LETTERS` groups letters would not be read, and their number can
    grow exponentially: then nobody has one.
    """
    columns: list[frozenset[str]] = [frozenset(names)]
    for pair in sorted(separated, key=sorted):
        split: list[frozenset[str]] = []
        for column in columns:
            split += [column - {name} for name in pair] if pair <= column else [column]
        unique = set(split)
        columns = [column for column in unique if not any(column < other for other in unique)]
        if len(columns) > MOST_LETTERS:
            return dict.fromkeys(names, "")
    position = {name: index for index, name in enumerate(names)}
    columns.sort(key=lambda column: sorted(position[name] for name in column))
    return {name: "".join(_letter(index) for index, column in enumerate(columns) if name in column) for name in names}


def _letter(index: int) -> str:
    return chr(ord("a") + index)


def all_pairs(
    rows: Mapping[str, Nested], coupled: Callable[[str, str], Collection[int]]
) -> tuple[dict[frozenset[str], Comparison], dict[frozenset[str], float]]:
    """Every pair of rows compared, and the Holm-adjusted p-values of the pairs that could be tested.

    Args:
        coupled: the units at which two rows rest on something common (see `compare`).
    """
    found = {frozenset(pair): compare(rows[pair[0]], rows[pair[1]], coupled(*pair)) for pair in combinations(rows, 2)}
    testable = {pair: result.p for pair, result in found.items() if result.p is not None}
    return found, dict(zip(testable, holm(list(testable.values())), strict=True))


def kendall(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Tau b: ranks in common, without ties; None where all of one are equal (Kendall, Biometrika 33, 1945)."""
    a, b = (np.sign(np.subtract.outer(each, each)) for each in (x, y))
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale else None


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Rho: the correlation of ranks, of equal values their mean; None where all of one are equal."""
    a, b = (np.sign(np.subtract.outer(each, each)).sum(axis=1) for each in (x, y))
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale else None


def _unit_means(samples: Sequence[Sequence[float]]) -> np.ndarray:
    return np.array([float(np.mean(values)) for values in samples if len(values)])


def _no_spread(values: np.ndarray) -> bool:
    """Whether values are equal but for rounding of the last bits."""
    return float(np.ptp(values)) <= 1e-9


def _pairs(a: Nested, b: Nested, coupled: Collection[int]) -> list[tuple[float, float]]:
    pairs = []
    for seed in sorted(set(a) & set(b) & set(coupled)):
        shared = sorted(set(a[seed]) & set(b[seed]))
        left = [a[seed][s] for s in shared] or list(a[seed].values())
        right = [b[seed][s] for s in shared] or list(b[seed].values())
        if left and right:
            pairs.append((float(np.mean(left)), float(np.mean(right))))
    return pairs


def _paired(pairs: list[tuple[float, float]]) -> Comparison:
    left, right = np.array(pairs).T
    n, mean = len(pairs), float((left - right).mean())
    if _no_spread(left - right):
        return Comparison(mean, None, "no spread between the pairs", n)
    error, spread = float(standard_error(left - right)), float((left - right).std(ddof=1))
    half = float(t_above(LEVEL / 2, n - 1)) * error
    return Comparison(mean, float(t_two_sided(mean / error, n - 1)), PAIRED, n, mean - half, mean + half, spread)


def _welch(a: np.ndarray, b: np.ndarray) -> Comparison:
    n = min(len(a), len(b))
    difference = float(a.mean() - b.mean()) if n else math.nan
    if n < 2:
        return Comparison(difference, None, "fewer than two seeds", n)
    if _no_spread(a) or _no_spread(b):
        return Comparison(difference, None, "no spread between the seeds", n)
    half, p = welch(a, b)
    return Comparison(difference, float(p), WELCH, n, difference - float(half), difference + float(half))


def welch(a: np.ndarray, b: np.ndarray, level: float = 1 - LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Half the width of Welch's interval for a difference of means, and the two-sided p-value, along the last axis.

    Of two units beside more, or beside more than twice as many, Welch's degrees of freedom make too much: his interval
    then covers down to 88 % (two beside sixteen). There those of the smaller row are taken, which never cover less than
    the level (Hsu, Statistical Research Memoirs 1938; Mickey and Brown, Annals of Mathematical Statistics 1966).
    """
    first, second = standard_error(a) ** 2, standard_error(b) ** 2
    error = np.sqrt(first + second)
    small, large = sorted((a.shape[-1], b.shape[-1]))
    lopsided = large > (small if small == 2 else 2 * small)
    welchs = error**4 / (first**2 / (a.shape[-1] - 1) + second**2 / (b.shape[-1] - 1))
    freedom = np.full_like(welchs, small - 1) if lopsided else welchs
    half = t_above((1 - level) / 2, freedom) * error
    return half, t_two_sided((a.mean(axis=-1) - b.mean(axis=-1)) / error, freedom)
