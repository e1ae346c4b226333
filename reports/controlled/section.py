"""The part of the page that shows the questions of one experiment, and its figures as files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reports.controlled.plots import all_plots
from reports.controlled.tables import ComparisonTable, Line, comparison_columns
from reports.figures import order_plots
from reports.output import Output
from reports.page import Figure
from reports.style import Palette, figure_style

RUNS_SHOWN = 20
"""Run directories named in a line's fold-out."""
NAMING = ("question", "method")


@dataclass
class ComparisonSection:
    """One table of questions with its figures."""

    table: ComparisonTable
    palette: Palette
    figures: Sequence[Figure]

    def content(self, name: str) -> dict[str, Any]:
        """What the template shows; `name` is an id that no other section has."""
        columns = comparison_columns(self.table)
        more = {column.key for column in columns if column.detail}
        return {
            "id": name,
            "title": self.table.setting.title,
            "notes": self.table.notes,
            "columns": columns,
            "more": more,
            "rest": {*NAMING, *more},
            "rows": [self._row(f"{name}r{index}", line) for index, line in enumerate(self.table.lines)],
            "plots": self.figures,
        }

    def _row(self, name: str, line: Line) -> dict[str, Any]:
        cells = []
        for column in comparison_columns(self.table):
            raw = column.raw(line)
            value = "" if raw is None else raw
            cells.append(
                {"key": column.key, "text": column.text(line), "value": value, "left": column.left, "title": ""}
            )
        runs = line.question.runs
        more = f" and {len(runs) - RUNS_SHOWN} more" if len(runs) > RUNS_SHOWN else ""
        commits = sorted({commit for run in runs for commit in run.info.commits})
        return {
            "id": name,
            "name": f"{line.question.label}: {line.option}",
            "text": f"{line.question.label} {line.option}".lower(),
            "colour": self.palette.colour(line.question.label),
            "cells": cells,
            "facts": [
                ("dimension", line.question.dimension),
                ("commits", ", ".join(commits)),
                ("run directories", ", ".join(str(run.path) for run in runs[:RUNS_SHOWN]) + more),
            ],
            "configs": [
                (f"Configuration: {run.info.name}", json.dumps(run.info.config, indent=1, sort_keys=True))
                for run in runs[:1]
            ],
        }


def make_comparison_section(table: ComparisonTable, palette: Palette, output: Output) -> ComparisonSection:
    """Order everything there is to a table; files go to plots."""
    with figure_style():
        figures = order_plots(all_plots(table, palette), table.setting.slug, output)
    return ComparisonSection(table, palette, figures)
