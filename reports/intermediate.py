"""Intermediate trainings: networks trained for a transform to start from, with a penalty that no row of a table has."""

from __future__ import annotations

from reports.analysis import Entry, Table


def intermediate_lines(table: Table) -> list[str]:
    """One line on each: what it is, and what it reached."""
    return [f"{entry.row.name}: {_what(entry)}; {_reached(entry)}" for entry in table.intermediate]


def _what(entry: Entry) -> str:
    record = next(iter([*entry.row.trains, *entry.row.unfinished]))
    penalty = record.info.config.get("penalty") or {}
    options = ", ".join(f"{key} {value}" for key, value in (penalty.get("options") or {}).items())
    by = penalty.get("method", "a transform")
    return f"trained with the penalty of {by}" + (f" ({options})" if options else "") + ", for transforms to start from"


def _reached(entry: Entry) -> str:
    if entry.summary.value is None:
        return "no training has finished"
    runs = f"{entry.summary.runs} training" + "s" * (entry.summary.runs != 1)
    metric = entry.row.setting.metric
    return f"test {metric.name} {metric.said(entry.summary.value)} ({runs})"
