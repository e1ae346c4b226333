"""How many searches a test takes: power of Welch's and of the paired t test, alone and after Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from reports.distributions import beta_quantile, chi2_quantile, normal_below, t_above
from reports.statistics import LEVEL

POWER = 0.80
QUANTILES = 100
"""Points at which the power is averaged over an estimated variance."""


@lru_cache(maxsize=1024)
def seeds_needed(sigma: float, difference: float, comparisons: int = 1) -> int:
    """Searches per row with which Welch's test finds a difference between two independent rows in 80 % of the cases.

    Args:
        sigma: standard deviation between the searches of either row, in the unit of `difference`; above 0.
        comparisons: how many are corrected together at 5 % by Holm's method. It rejects a p-value below
            5 % / comparisons whatever the others are, so that the number suffices in every case.
    """
    return _fewest(lambda n: welch_power(n, difference / sigma, LEVEL / comparisons))


@lru_cache(maxsize=1024)
def pairs_needed(sigma: float, difference: float, comparisons: int = 1) -> int:
    """The same for the paired test; `sigma` is the standard deviation of the differences within pairs."""
    return _fewest(lambda n: paired_power(n, difference / sigma, LEVEL / comparisons))


def welch_power(n: int, effect: float, level: float = LEVEL) -> float:
    """Power of Welch's two-sided test of two normal samples of size n, of one variance, `effect` deviations apart.

    Let u be the first sample's share in the sum of both variances. The statistic follows a noncentral t with 2n - 2
    degrees of freedom, whatever u is; only the critical value depends on u, through the estimated degrees of freedom
    (n - 1) / (u^2 + (1 - u)^2). u is Beta((n - 1) / 2, (n - 1) / 2), over which the power is averaged.
    """
    middles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    share = beta_quantile(middles, (n - 1) / 2, (n - 1) / 2)
    critical = t_above(level / 2, (n - 1) / (share**2 + (1 - share) ** 2))
    return float(_beyond(critical, 2 * n - 2, effect * math.sqrt(n / 2)).mean())


def paired_power(n: int, effect: float, level: float = LEVEL) -> float:
    """Power of the paired two-sided t test with n pairs; `effect` in standard deviations of the differences."""
    return float(_beyond(t_above(level / 2, n - 1), n - 1, effect * math.sqrt(n)))


def _beyond(critical: Any, freedom: int, shift: float) -> Any:
    """Probability of a noncentral t beyond either critical value: a normal one, averaged over its estimated deviation.

    Not by scipy's `nct`, which is not a number in places (1.17: `nct.cdf(-5.3, 30, 7.1)`).
    """
    middles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    bound = np.multiply.outer(critical, np.sqrt(chi2_quantile(middles, freedom) / freedom))
    return (normal_below(shift - bound) + normal_below(-bound - shift)).mean(-1)


def _fewest(power: Callable[[int], float]) -> int:
    """The smallest n of at least two whose power reaches `POWER`; power grows with n."""
    enough = 2
    while power(enough) < POWER:
        enough *= 2
    short = enough // 2
    while enough - short > 1:
        middle = (enough + short) // 2
        short, enough = (short, middle) if power(middle) >= POWER else (middle, enough)
    return max(enough, 2)
