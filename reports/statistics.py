"""What a difference between rows is worth: intervals, relative improvement, tests, ties, and the seeds it would take.

The independent unit is a search (for a published cell, a retraining); retrainings of one search are repetitions
inside it.
Simulated coverage of `interval` and the reasons for its form: docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

RESAMPLES = 2000
POWER_FACTOR = 2.80
"""z(0.975) + z(0.80): a two-sided test at 5 % that finds the difference in 80 % of the cases."""

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


@dataclass(frozen=True)
class Improvement:
    """Relative improvement over random sampling in percent, with its 95 % interval where both have two units."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Two rows against each other.

    Attributes:
        difference: mean of a minus mean of b.
        low, high: its 95 % interval.
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


def interval(samples: Sequence[Sequence[float]], level: float = 0.95, resamples: int = RESAMPLES) -> Interval | None:
    """Interval of the mean over searches, from a nested bootstrap: searches, then retrainings inside each.

    The bootstrap gives the standard error, Student's t with n - 1 degrees of freedom the quantile (Hesterberg,
    The American Statistician 2015, section 4: the percentile interval is too narrow for few units). Resampling both
    levels as they are would count the retraining noise twice, once inside the searches' means: the levels are
    rescaled to their variance components first (Davison and Hinkley, Bootstrap Methods, 1997, section 3.8).

    Args:
        samples: for each search the values of its retrainings; numbers of retrainings may differ.

    Returns:
        None for fewer than two searches.
    """
    groups = [np.asarray(values, dtype=float) for values in samples if len(values)]
    n = len(groups)
    if n < 2:
        return None
    means = np.array([values.mean() for values in groups])
    quantile = float(stats.t.ppf(0.5 + level / 2, n - 1))
    half = quantile * _standard_error(groups, means, resamples)
    return Interval(float(means.mean()) - half, float(means.mean()) + half, n)


def _standard_error(groups: list[np.ndarray], means: np.ndarray, resamples: int) -> float:
    """Bootstrap standard error of the mean of means."""
    n, sizes = len(groups), np.array([len(values) for values in groups])
    centres, residuals = _rescaled(groups, means)
    generator = np.random.default_rng(0)
    chosen = generator.integers(0, n, (resamples, n))
    drawn = centres[chosen]
    widest = int(sizes.max())
    if widest > 1:
        padded = np.zeros((n, widest))
        for index, values in enumerate(residuals):
            padded[index, : len(values)] = values
        size = sizes[chosen][:, :, None]
        inner = (generator.random((resamples, n, widest)) * size).astype(int)
        noise = padded[chosen[:, :, None], inner]
        used = np.arange(widest)[None, None, :] < size
        drawn = drawn + (noise * used).sum(-1) / size[:, :, 0]
    return float(drawn.mean(1).std()) * math.sqrt(n / (n - 1))


def _rescaled(groups: list[np.ndarray], means: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Search means shrunk to the variance between searches, residuals widened to the variance of a retraining."""
    repeated = [values for values in groups if len(values) > 1]
    if not repeated:
        return means, [np.zeros(len(values)) for values in groups]
    freedom = sum(len(values) - 1 for values in repeated)
    within = sum(float(((values - values.mean()) ** 2).sum()) for values in repeated) / freedom
    noise = float(np.mean([within / len(values) for values in groups]))
    between = float(means.var(ddof=1))
    shrink = math.sqrt(max(0.0, 1.0 - noise / between)) if between > 0 else 0.0
    centres = means.mean() + shrink * (means - means.mean())
    # The residuals' share of the standard error is multiplied by n / (n - 1) in the end, as the searches' is.
    correction = math.sqrt((len(groups) - 1) / len(groups))
    residuals = [
        (values - values.mean()) * math.sqrt(len(values) / (len(values) - 1)) * correction
        if len(values) > 1
        else np.zeros(1)
        for values in groups
    ]
    return centres, residuals


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


def compare(a: Nested, b: Nested, paired: bool = True) -> Comparison:
    """Test two rows for a difference of their means.

    Args:
        a, b: {unit: {repetition: value}}: for searches {search seed: {retrain seed: value}}.
        paired: units with one seed are a pair (same data order), each with the mean over the repetitions they share.
            Without two shared seeds, or where one row was searched and the other not, it is Welch's test.
    """
    if paired:
        pairs = _pairs(a, b)
        if len(pairs) >= 2:
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


def seeds_needed(sigma: float, difference: float) -> int:
    """Searches per method for 80 % power at 5 %, two-sided: n = 2 (2.80 sigma / difference)^2, rounded up.

    A normal approximation for two independent groups of standard deviation `sigma`; for n below about 5 it is one or
    two too small.
    """
    return max(2, math.ceil(round(2 * (POWER_FACTOR * sigma / difference) ** 2, 9)))


def all_pairs(
    rows: Mapping[str, Nested], searched: Mapping[str, bool]
) -> tuple[dict[frozenset[str], Comparison], dict[frozenset[str], float]]:
    """Every pair of rows compared, and the Holm-adjusted p-values of the pairs that could be tested."""
    found = {
        frozenset(pair): compare(rows[pair[0]], rows[pair[1]], searched[pair[0]] == searched[pair[1]])
        for pair in combinations(rows, 2)
    }
    testable = {pair: result.p for pair, result in found.items() if result.p is not None}
    return found, dict(zip(testable, holm(list(testable.values())), strict=True))


def _unit_means(samples: Sequence[Sequence[float]]) -> np.ndarray:
    return np.array([float(np.mean(values)) for values in samples if len(values)])


def _pairs(a: Nested, b: Nested) -> list[tuple[float, float]]:
    pairs = []
    for seed in sorted(set(a) & set(b)):
        shared = sorted(set(a[seed]) & set(b[seed]))
        left = [a[seed][s] for s in shared] or list(a[seed].values())
        right = [b[seed][s] for s in shared] or list(b[seed].values())
        if left and right:
            pairs.append((float(np.mean(left)), float(np.mean(right))))
    return pairs


def _paired(pairs: list[tuple[float, float]]) -> Comparison:
    differences = np.array([left - right for left, right in pairs])
    n, mean, spread = len(differences), float(differences.mean()), float(differences.std(ddof=1))
    if spread <= 1e-12:
        return Comparison(mean, None, "no spread between the pairs", n)
    error = spread / math.sqrt(n)
    p = 2 * float(stats.t.sf(abs(mean) / error, n - 1))
    half = float(stats.t.ppf(0.975, n - 1)) * error
    return Comparison(mean, p, "paired t", n, mean - half, mean + half)


def _welch(a: np.ndarray, b: np.ndarray) -> Comparison:
    n = min(len(a), len(b))
    difference = float(a.mean() - b.mean()) if n else math.nan
    if n < 2:
        return Comparison(difference, None, "fewer than two seeds", n)
    va, vb = float(a.var(ddof=1)) / len(a), float(b.var(ddof=1)) / len(b)
    if va + vb <= 1e-24:
        return Comparison(difference, None, "no spread between the seeds", n)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    error = math.sqrt(va + vb)
    half = float(stats.t.ppf(0.975, freedom)) * error
    p = 2 * float(stats.t.sf(abs(difference) / error, freedom))
    return Comparison(difference, p, "Welch t", n, difference - half, difference + half)
