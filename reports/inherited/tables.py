"""Tables of networks with inherited weights: a row's networks by falling cost, in no order with those of other rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from methods.tasks import Metric
from reports import listing
from reports.inherited.rows import InheritedRow, InheritedSetting, mean
from reports.listing import Column, Listing


@dataclass
class InheritedTable:
    """The networks of one setting, set by set, the most expensive first; `notes` are on the table."""

    setting: InheritedSetting
    rows: list[InheritedRow]
    notes: list[str] = field(default_factory=list)


InheritedColumn = Column[InheritedRow]


def inherited_tables(rows: Iterable[InheritedRow]) -> list[InheritedTable]:
    by_setting: dict[InheritedSetting, list[InheritedRow]] = defaultdict(list)
    for row in rows:
        by_setting[row.setting].append(row)
    return [_table(setting, group) for setting, group in sorted(by_setting.items())]


def _table(setting: InheritedSetting, rows: list[InheritedRow]) -> InheritedTable:
    labels = list(dict.fromkeys(row.label for row in rows))
    rows = sorted(rows, key=lambda row: (labels.index(row.label), -(row.macs or 0.0), row.architecture))
    notes = [
        "inherited weights: every network is evaluated as its search left it, with statistics of its normalisations "
        "taken anew from search-train images; these lines stand in no ranking with retrained rows, nor with each other",
        "valid: the part of the training images that the search chose by; a network in the query table is "
        f"{'more accurate' if setting.metric.unit == '%' else 'better'} there than every cheaper one",
    ]
    if untested := sum(not row.test for row in rows):
        notes.append(f"networks of query tables that were not evaluated on the test images: {untested}")
    for row in {row.label: row for row in rows}.values():
        notes += [f"{row.label}: {row.said}"] if row.said else []
        notes += [f"{row.label}: evaluations that are not finished: {row.missing}"] if row.missing else []
    return InheritedTable(setting, rows, notes)


def inherited_columns(table: InheritedTable) -> list[InheritedColumn]:
    """Those that something is known of."""
    metric = table.setting.metric
    chosen = [
        InheritedColumn("method", "method", "label in the experiment", lambda r: r.label, lambda r: r.label, left=True),
        InheritedColumn(
            "network", "network", "channels of each stage, channels inside of each block, pixels of 32",
            lambda r: r.network, lambda r: r.network, left=True, detail=True,
        ),
        InheritedColumn(
            "macs", "MACs (M)", "dense MACs of one image", lambda r: _millions(r.macs, 2), lambda r: r.macs
        ),
        InheritedColumn(
            "params", "params (M)", "parameters at inference", lambda r: _millions(r.params, 3), lambda r: r.params
        ),
        InheritedColumn(
            "searches", "searches", "that have this network in their set",
            lambda r: str(len(_seeds(r))), lambda r: len(_seeds(r)),
        ),
        InheritedColumn(
            "tabled", "in table", "searches in whose query table it is", lambda r: str(len(r.tabled)),
            lambda r: len(r.tabled), detail=True,
        ),
        _of_metric(metric, "valid", f"validation {metric.name}", lambda r: r.valid),
        _of_metric(metric, "test", f"test {metric.name}", lambda r: r.test),
        InheritedColumn(
            "latency_ms", "latency (ms)", "median of one image on the run's device, mean over searches",
            lambda r: "" if (found := mean(r.latency)) is None else f"{found:.2f}", lambda r: mean(r.latency),
            detail=True,
        ),
    ]  # fmt: skip
    return [c for c in chosen if c.key != "network" or any(row.chosen for row in table.rows)]


def _seeds(row: InheritedRow) -> set[int]:
    return {*row.valid, *row.test}


def _millions(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value / 1e6:.{digits}f}"


def _of_metric(metric: Metric, key: str, told: str, of: Callable[[InheritedRow], dict[int, float]]) -> InheritedColumn:
    def text(row: InheritedRow) -> str:
        values = list(of(row).values())
        spread = f" ± {metric.written(float(np.std(values, ddof=1)))}" if len(values) > 1 else ""
        return f"{metric.written(float(np.mean(values)))}{spread}" if values else ""

    help = f"{told}, mean ± standard deviation over searches"
    return InheritedColumn(key, f"{key} {metric.unit or metric.name}", help, text, lambda row: mean(of(row)))


def as_listing(table: InheritedTable, without: Sequence[str] = ()) -> Listing:
    """Args:
    without: keys of columns that are left out.
    """
    chosen = [column for column in inherited_columns(table) if column.key not in without]
    setting = table.setting
    return Listing(
        setting.title,
        chosen,
        [[column.text(row) for column in chosen] for row in table.rows],
        [[column.raw(row) for column in chosen] for row in table.rows],
        table.notes,
        {"dataset": setting.dataset, "profile": setting.profile, "details": setting.details},
    )


def to_text(table: InheritedTable) -> str:
    """For a terminal, which is too narrow for the widths of every layer."""
    return listing.to_text(as_listing(table, without=("tabled",)))


def to_csv(table: InheritedTable) -> str:
    return listing.to_csv(as_listing(table))


def to_markdown(table: InheritedTable) -> str:
    return listing.to_markdown(as_listing(table))


def to_latex(table: InheritedTable) -> str:
    return listing.to_latex(as_listing(table, without=("network", "tabled")))
