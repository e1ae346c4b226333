"""The part of the page that shows one table of inherited weights, and its figures as files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from bench.records.directory import Record
from reports.curves import read_curves
from reports.figures import order_plots
from reports.inherited.plots import front
from reports.inherited.rows import InheritedRow
from reports.inherited.tables import InheritedTable, inherited_columns
from reports.output import Output
from reports.page import NAMING, Figure
from reports.style import Palette, figure_style
from reports.watched import search_plots


@dataclass
class InheritedSection:
    """One table of inherited weights with its figures."""

    table: InheritedTable
    palette: Palette
    figures: Sequence[Figure]

    def content(self, name: str) -> dict[str, Any]:
        """What the template shows; `name` is an id that no other section has."""
        chosen = inherited_columns(self.table)
        more = {column.key for column in chosen if column.detail}
        return {
            "id": name,
            "title": self.table.setting.title,
            "notes": self.table.notes,
            "columns": chosen,
            "more": more,
            "rest": {*NAMING, *more},
            "rows": [self._row(f"{name}r{index}", row) for index, row in enumerate(self.table.rows)],
            "plots": self.figures,
        }

    def _row(self, name: str, row: InheritedRow) -> dict[str, Any]:
        cells = []
        for column in inherited_columns(self.table):
            raw = column.raw(row)
            value = "" if raw is None else raw
            text = column.text(row)
            cells.append({"key": column.key, "text": text, "value": value, "left": column.left, "title": ""})
        return {
            "id": name,
            "name": row.label,
            "text": f"{row.label} {row.method} {row.network}".lower(),
            "colour": self.palette.colour(row.label),
            "cells": cells,
            "facts": _facts(row),
            "configs": _configs(row),
        }


def make_inherited_section(table: InheritedTable, palette: Palette, output: Output) -> InheritedSection:
    """Order everything there is to a table and to the searches of its sets; files go to plots."""
    searches: dict[str, dict[str, Record]] = {}
    for row in table.rows:
        searches.setdefault(row.label, {}).update({run.info.signature: run for run in row.searches})
    curves, unreadable = read_curves({label: list(runs.values()) for label, runs in searches.items()})
    output.problems += unreadable
    with figure_style():
        figures = order_plots(
            chain(filter(None, [front(table, palette)]), search_plots(curves, palette)), table.setting.slug, output
        )
    return InheritedSection(table, palette, figures)


def _facts(row: InheritedRow) -> list[tuple[str, str]]:
    runs = [*row.runs, *row.searches]
    commits = sorted({name for run in runs for name in run.info.commits})
    return [
        ("method", row.method),
        ("architecture", row.architecture),
        *row.chosen.items(),
        ("commits", ", ".join(commits)),
        ("run directories", ", ".join(str(run.path) for run in runs)),
    ]


def _configs(row: InheritedRow) -> list[tuple[str, str]]:
    first = [runs[0] for runs in (row.runs, row.searches) if runs]
    return [(f"Configuration: {r.info.name}", json.dumps(r.info.config, indent=1, sort_keys=True)) for r in first]
