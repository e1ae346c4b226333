"""How well scores order networks: against the truth of a table, by Kendall's tau and by what the best have in common.

The scores are anything that ranks architectures without training them in full: a supernet's accuracies, short
trainings, a predictor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bench.data.tables.table import Table, TableError

TOPS = (10, 50, 100)
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """Of scores with the truth, over one set of networks.

    Attributes:
        networks: how many were scored, each counted once.
        tau: Kendall's tau-b, -1 to 1; None where it is not defined (fewer than two networks, or all equal).
        top: {k: share of the k networks with the best scores that are among the k truly best}, for each k below
            `networks`. By chance it is k / networks.
    """

    networks: int
    tau: float | None
    top: Mapping[int, float] = field(default_factory=dict)


def agreement(
    scores: Sequence[float] | Numbers, truth: Sequence[float] | Numbers, tops: Sequence[int] = TOPS
) -> Agreement:
    """Compare scores with true values of the same networks; higher is better in both.

    Raises:
        ValueError: of different lengths, or a value that is no finite number.
    """
    given, true = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    if given.shape != true.shape or given.ndim != 1:
        raise ValueError(f"scores of the shape {given.shape} cannot be compared with values of the shape {true.shape}")
    for name, values in (("score", given), ("true value", true)):
        if not np.isfinite(values).all():
            at = int((~np.isfinite(values)).argmax())
            raise ValueError(f"the {name} of network {at} is {values[at]}: only finite numbers can be ordered")
    return Agreement(
        len(given), kendall_tau(given, true), {k: top_overlap(given, true, k) for k in tops if k < len(given)}
    )


def kendall_tau(scores: Numbers, truth: Numbers) -> float | None:
    """Kendall's tau-b (Kendall, Biometrika 1945), which allows for ties; None where scores or truth are all equal."""
    if len(scores) < 2 or np.ptp(scores) == 0 or np.ptp(truth) == 0:
        return None
    from scipy import stats  # a second, which only who asks for this has to wait

    return float(stats.kendalltau(scores, truth).statistic)


def top_overlap(scores: Numbers, truth: Numbers, k: int) -> float:
    """Share of the k best by score that are among the k best in truth.

    Where equal values stand at the k-th place, the expectation over all ways of breaking the tie.

    Raises:
        ValueError: k is not between 1 and the number of networks.
    """
    if not 1 <= k <= len(scores):
        raise ValueError(f"the top {k} of {len(scores)} networks: choose 1 to {len(scores)}")
    return float(_membership(scores, k) @ _membership(truth, k)) / k


def _membership(values: Numbers, k: int) -> Numbers:
    """Probability that each is among the k best when ties are broken at random; (n,), sums to k."""
    ordered = np.sort(values)
    better = len(values) - np.searchsorted(ordered, values, side="right")
    equal = len(values) - np.searchsorted(ordered, values, side="left") - better
    return np.clip((k - better) / equal, 0, 1)


def agreement_with_table(
    table: Table, scores: Mapping[int, float], dataset: str, epochs: int, version: str = "", tops: Sequence[int] = TOPS
) -> Agreement:
    """Compare scores with the test accuracies of a table.

    Args:
        scores: by index in the table.

    Raises:
        SealedTestSetError: a search runs in this process.
        TableError: the table has no such values, or no such index.
        ValueError: a score is no finite number.
    """
    truth = table.final(dataset, epochs, version)
    indices = np.fromiter(scores, np.int64, len(scores))
    outside = indices[(indices < 0) | (indices >= len(table))]
    if len(outside):
        raise TableError(f"table '{table.name}' has {len(table)} architectures, and none with the index {outside[0]}")
    return agreement(np.fromiter(scores.values(), np.float64, len(scores)), truth[indices], tops)
