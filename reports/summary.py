"""The numbers one row stands for: its task's metric at two levels, counts, costs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bench.records.directory import Record
from bench.run.proposals import DIFFERENT, EVALUATIONS
from reports.rows import Row, mean_of_means, number, part, search_seed

HOUR = 3600.0


@dataclass(frozen=True)
class Summary:
    """The numbers of a row; None where a record does not hold what is needed.

    Attributes:
        searches: searches (search seeds) with a retrained result; 0 for a published or given architecture.
        retrains: retrainings of each search, fewest and most.
        value, best_epoch: mean over searches of their means, and the same of the best epoch, in the unit of the task's
            headline.
        others: the task's further metrics, by their keys, likewise.
        std_searches: standard deviation of the searches' means (it contains the retraining noise over retrainings).
        std_retrains: standard deviation between retrainings of one architecture, pooled over the searches.
        params, params_nonzero, macs, macs_sparse: means over searches, in units (not millions).
        evaluations, different: proposals of a sampling search that were scored, and the different networks among them;
            means over searches.
        search_hours: device-hours of all searches and transforms of the row together.
        search_memory, train_memory: largest peak, bytes.
    """

    searches: int
    retrains: tuple[int, int]
    runs: int
    value: float | None
    best_epoch: float | None
    std_searches: float | None
    std_retrains: float | None
    params: float | None
    params_nonzero: float | None
    params_training: float | None
    macs: float | None
    macs_sparse: float | None
    evaluations: float | None
    different: float | None
    search_hours: float | None
    train_hours: float | None
    search_memory: float | None
    train_memory: float | None
    latency_ms: float | None
    latency_batch: int | None
    resolution: int | None
    others: Mapping[str, float | None] = field(default_factory=dict, hash=False)


def summarise(row: Row) -> Summary:
    """All numbers of a row."""
    found, counts = row.values, [len(values) for values in row.values.values()]
    batch = _cost(row, "latency_batch")
    resolution = _cost(row, "resolution")
    return Summary(
        searches=len(found) if row.searched else 0,
        retrains=(min(counts), max(counts)) if counts else (0, 0),
        runs=sum(counts),
        value=mean_of_means(found),
        best_epoch=_best_epoch(row),
        std_searches=_std([float(np.mean(list(v.values()))) for v in found.values()]) if row.searched else None,
        std_retrains=pooled_std(list(values.values()) for values in found.values()),
        params=_cost(row, "params"),
        params_nonzero=_cost(row, "params_nonzero"),
        params_training=_cost(row, "params_training"),
        macs=_cost(row, "macs"),
        macs_sparse=_cost(row, "macs_sparse"),
        evaluations=_reported(row, EVALUATIONS),
        different=_reported(row, DIFFERENT),
        search_hours=_search_hours(row),
        train_hours=_train_hours(row),
        search_memory=_largest(row, "search_peak_memory"),
        train_memory=_largest(row, "peak_memory"),
        latency_ms=_cost(row, "latency_ms"),
        latency_batch=None if batch is None else int(batch),
        resolution=None if resolution is None else int(resolution),
        others={each.key: mean_of_means(row.measured(f"test_{each.key}")) for each in row.setting.task.others},
    )


def pooled_std(groups: Iterable[list[float]]) -> float | None:
    """Within-group standard deviation, pooled by degrees of freedom; None without a group of two."""
    squares = freedom = 0.0
    for values in groups:
        squares += float(np.sum((np.array(values) - np.mean(values)) ** 2))
        freedom += len(values) - 1
    return math.sqrt(squares / freedom) if freedom else None


def _std(values: list[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _costs(record: Record, name: str) -> float | None:
    return number(part(record, "costs").get(name))


def _cost(row: Row, name: str) -> float | None:
    """Mean over searches of the mean over their runs; None unless every run has it."""
    nested: dict[int, dict[int, float]] = defaultdict(dict)
    for index, record in enumerate(row.trains or row.counted):
        value = _costs(record, name)
        if value is None:
            return None
        nested[search_seed(record)][index] = value
    return mean_of_means(nested)


def _reported(row: Row, name: str) -> float | None:
    """Mean over the row's own searches of a number in their reports; None where none says it."""
    own = [run for run in row.searches if run.info.phase == "search" and run.info.method == row.method]
    values = [value for run in own if (value := number(part(run, "report").get(name))) is not None]
    return float(np.mean(values)) if values else None


def _largest(row: Row, name: str) -> float | None:
    values = [value for record in row.trains if (value := _costs(record, name)) is not None]
    return max(values) if values else None


def _search_hours(row: Row) -> float | None:
    """Device-hours of all searches and transforms of the row, each once.

    From their own records where all are there; otherwise from what the retrainings remember of them.
    """
    if not row.trains:
        return None
    own = [_costs(run, "device_s") for run in row.searches]
    if own and row.complete and None not in own:
        return sum(seconds or 0.0 for seconds in own) / HOUR
    by_seed: dict[int, float] = {}
    for record in row.trains:
        seconds = _costs(record, "search_device_s")
        if seconds is None:
            return None
        by_seed[search_seed(record)] = max(seconds, by_seed.get(search_seed(record), 0.0))
    return sum(by_seed.values()) / HOUR


def _train_hours(row: Row) -> float | None:
    values = [_costs(record, "device_s") for record in row.trains]
    known = [value for value in values if value is not None]
    return sum(known) / HOUR if known and len(known) == len(values) else None


def _best_epoch(row: Row) -> float | None:
    task = row.setting.task
    best = mean_of_means(row.measured(f"best_test_{task.metric.key}"))
    return None if best is None else task.headline_of(best)
