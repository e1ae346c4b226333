"""Which columns a table has, and which of them may be folded away."""

from __future__ import annotations

from reports.analysis import Entry, Table
from reports.column import Column
from reports.numbers import Number
from reports.row_columns import columns_of


def _measured_elsewhere(found: Number) -> Column:
    def text(entry: Entry) -> str:
        value = found.of(entry.row)
        return "" if value is None else f"{value:.4g}"

    return Column(found.name, found.heading, text, lambda entry: found.of(entry.row), found.help, wide=True)


def every_column(table: Table) -> list[Column]:
    """All that a table may have; the numbers measured elsewhere stand before the published values."""
    found = columns_of(table.task)
    first = next(index for index, column in enumerate(found) if column.paper)
    return [*found[:first], *map(_measured_elsewhere, table.numbers), *found[first:]]


def columns(table: Table, wide: bool = True) -> list[Column]:
    """The columns a table has: published values only at the profile `paper`, and none that is empty throughout.

    Rank, seeds, metrics and counts always stand, empty or not. Numbers measured elsewhere come last but for the
    verdict.
    """
    whole = ("ri", "gain", "interval", "evaluations", "search_memory", "train_memory", "latency_ms")
    optional = (*whole, "seeds_wanted", "published", "verdict")
    return [
        column
        for column in every_column(table)
        if (wide or not column.wide)
        and (table.paper or not column.paper)
        and (column.key not in optional or any(column.show(entry) for entry in table.entries))
    ]


DENSE_COUNTS = {"params_nonzero": "params", "macs_sparse": "macs"}
"""Counts that say something only where they differ from another column."""


def folded(table: Table, column: Column) -> bool:
    """Whether a column may be folded away in this table: a detail, or a count that repeats the one beside it."""
    dense = DENSE_COUNTS.get(column.key)
    if dense is None:
        return column.detail
    beside = next(other for other in columns_of(table.task) if other.key == dense)
    return all(column.text(entry) == beside.text(entry) for entry in table.entries)
