"""The distributions behind intervals and tests, by `scipy.special`.

`scipy.stats` gives the same numbers, and takes a second and 50 MB to import.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special


def t_above(p: Any, freedom: Any) -> Any:
    """The value that Student's t exceeds with probability `p`."""
    return -special.stdtrit(freedom, p)


def t_two_sided(statistic: Any, freedom: Any) -> Any:
    """The probability of a t at least as far from zero."""
    return 2 * special.stdtr(freedom, -np.abs(statistic))


def normal_below(value: Any) -> Any:
    """The probability of a standard normal value below."""
    return special.ndtr(value)


def chi2_quantile(p: Any, freedom: Any) -> Any:
    return 2 * special.gammaincinv(np.asarray(freedom) / 2, p)


def beta_quantile(p: Any, a: Any, b: Any) -> Any:
    return special.betaincinv(a, b, p)


def standard_error(values: np.ndarray) -> Any:
    """Of the mean, along the last axis."""
    return values.std(axis=-1, ddof=1) / np.sqrt(values.shape[-1])
