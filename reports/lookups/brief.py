"""Answers looked up in a table of trained networks, as text for the terminal: a line a row and data set searched on."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from bench.records.directory import Record


def lookup_text(records: Iterable[Record]) -> str:
    """Test accuracy by number of evaluations, mean ± sample standard deviation over seeds; "" without a look-up.

    A row whose architecture was found by a search of its own stands under "answer".
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    singles: dict[tuple[str, str], list[float]] = {}
    notes: dict[str, None] = {}
    for record in records:
        if record.info.phase != "lookup" or record.result is None:
            continue
        notes |= dict.fromkeys(filter(None, [_note(record.result.get("table") or {})]))
        for label in record.info.rows:
            key = (record.info.dataset, label)
            if "budgets" in record.result:
                rows[key] = {"seeds": str(record.result["seeds"])} | _by_budget(record.result["budgets"])
            else:
                singles.setdefault(key, []).append(float(record.result["metrics"]["test_accuracy"]))
    for key, values in singles.items():
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        rows[key] = {"seeds": str(len(values)), "answer": f"{statistics.mean(values):.2f}{spread}"}
    return _text(rows, list(notes)) if rows else ""


def _by_budget(budgets: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    found = {}
    for budget, values in budgets.items():
        spread = values.get("test_accuracy_std")
        text = f"{values['test_accuracy']:.2f}"
        found[budget] = text if spread is None else f"{text} ± {spread:.2f}"
    return found


def _note(table: Mapping[str, Any]) -> str:
    """What the values are."""
    if not table:
        return ""
    note = f"; {table['selection_note']}" if table.get("selection_note") else ""
    what = f"test accuracy in percent after {table['epochs']} epochs"
    return f"looked up in {table['name']} ({what}), nothing retrained{note}"


def _text(rows: Mapping[tuple[str, str], Mapping[str, str]], notes: list[str]) -> str:
    budgets = sorted({name for row in rows.values() for name in row if name.isdigit()}, key=int)
    columns = ["seeds", *budgets, *(["answer"] if any("answer" in row for row in rows.values()) else [])]
    lines = [["searched on", "row", *(f"{name} evaluations" if name.isdigit() else name for name in columns)]]
    lines += [[*key, *(row.get(name, "") for name in columns)] for key, row in sorted(rows.items())]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    table = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*notes, *table]) + "\n"
