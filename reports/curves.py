"""What happened during the searches: metrics by epoch, as arrays, by the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.records.directory import Record, RecordError
from reports.rows import number


@dataclass
class Curve:
    """One search: metrics.jsonl by name. Missing values are NaN; lists (by cell) become (epochs, cells)."""

    record: Record
    epochs: np.ndarray
    values: dict[str, np.ndarray]


def read_curves(searches: Mapping[str, Sequence[Record]]) -> tuple[dict[str, list[Curve]], list[str]]:
    """Curves by row name, and one message for each file that could not be read.

    Args:
        searches: the runs that each row rests on; those of other phases are passed over.
    """
    problems: list[str] = []
    read: dict[str, Curve | None] = {}
    by_row: dict[str, list[Curve]] = {}
    for name, records in searches.items():
        curves = []
        for record in records:
            if record.info.phase != "search":
                continue
            if record.info.signature not in read:
                read[record.info.signature] = _read(record, problems)
            curve = read[record.info.signature]
            if curve is not None:
                curves.append(curve)
        if curves:
            by_row[name] = curves
    return by_row, problems


def stacked(curves: Sequence[Curve], name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Epochs and (searches, epochs[, cells]) of a metric, cut to the epochs all have; None where one lacks it."""
    if not curves or any(name not in curve.values for curve in curves):
        return None
    length = min(len(curve.epochs) for curve in curves)
    shapes = {curve.values[name].shape[1:] for curve in curves}
    if not length or len(shapes) != 1:
        return None
    return curves[0].epochs[:length], np.stack([curve.values[name][:length] for curve in curves])


def _read(record: Record, problems: list[str]) -> Curve | None:
    try:
        lines = record.directory.read_metrics()
    except (RecordError, OSError) as error:
        problems.append(str(error))
        return None
    if not lines:
        return None
    try:
        epochs = np.array([line["epoch"] for line in lines])
        names = sorted({name for line in lines for name in line["values"]})
        values = {name: _series([line["values"].get(name) for line in lines]) for name in names}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problems.append(
            f"{record.path / 'metrics.jsonl'}: a line is not as expected ({error!r}); its curves are left out"
        )
        return None
    return Curve(record, epochs, {name: series for name, series in values.items() if series is not None})


def _series(items: list[Any]) -> np.ndarray | None:
    """Numbers as (epochs,), lists as (epochs, cells); None for what is neither."""
    if {float} >= set(map(type, items)):  # most are, and thousands of searches have dozens of them
        series = np.array(items)
        series[~np.isfinite(series)] = np.nan
        return None if np.isnan(series).all() else series
    lists = [item for item in items if isinstance(item, list)]
    if not lists:
        series = np.array([np.nan if (value := number(item)) is None else value for item in items])
        return None if np.isnan(series).all() else series
    width = max(map(len, lists))
    result = np.full((len(items), width), np.nan)
    for index, item in enumerate(items):
        if isinstance(item, list):
            result[index, : len(item)] = [np.nan if (value := number(part)) is None else value for part in item]
    return result
