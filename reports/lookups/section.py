"""The part of the page that shows one table of look-ups, and its figures as files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from reports.curves import read_curves
from reports.figures import order_plots
from reports.lookups.columns import Cell, lookup_columns
from reports.lookups.plots import all_plots
from reports.lookups.rows import LookupRow
from reports.lookups.tables import LookupEntry, LookupTable
from reports.output import Output
from reports.page import NAMING, Figure
from reports.style import Palette, figure_style
from reports.watched import search_plots

RUNS_SHOWN = 20
"""Run directories named in a row's fold-out."""


@dataclass
class LookupSection:
    """One table of look-ups with its figures."""

    table: LookupTable
    palette: Palette
    figures: Sequence[Figure]

    def content(self, name: str) -> dict[str, Any]:
        """What the template shows; `name` is an id that no other section has."""
        chosen = lookup_columns(self.table)
        more = {column.key for column in chosen if column.detail}
        rows = []
        for index, entry in enumerate(self.table.entries):
            cells = [
                {"key": c.key, "text": c.text(entry), "value": _value(c.raw(entry)), "left": c.left, "title": ""}
                for c in chosen
            ]
            row = entry.row
            rows.append(
                {
                    "id": f"{name}r{index}",
                    "name": row.label,
                    "text": f"{row.label} {row.method} {row.scored_by}".lower(),
                    "colour": self.palette.colour(row.label),
                    "cells": cells,
                    "facts": _facts(entry),
                    "configs": _configs(row),
                }
            )
        return {
            "id": name,
            "title": self.table.setting.title,
            "notes": self.table.notes,
            "verdicts": self.table.verdicts,
            "columns": chosen,
            "more": more,
            "rest": {*NAMING, *more},
            "rows": rows,
            "plots": self.figures,
        }


def make_lookup_section(table: LookupTable, palette: Palette, output: Output) -> LookupSection:
    """Order everything there is to a table, and to the searches whose answers it holds; files go to plots."""
    curves, unreadable = read_curves({entry.row.label: entry.row.searches for entry in table.entries})
    output.problems += unreadable
    with figure_style():
        figures = order_plots(
            chain(all_plots(table, palette), search_plots(curves, palette)), table.setting.slug, output
        )
    return LookupSection(table, palette, figures)


def _value(raw: Cell) -> Cell:
    return "" if raw is None else raw


def _facts(entry: LookupEntry) -> list[tuple[str, str]]:
    row = entry.row
    facts = [("method", row.method), ("chose by", row.scored_by)]
    if entry.verdict is not None:
        facts.append(("verdict", f"{entry.verdict.text or 'none'}: {entry.verdict.reason}"))
        if entry.verdict.published is not None:
            facts.append(("published", entry.verdict.published.citation))
    commits = sorted({name for run in row.runs for name in run.info.commits})
    facts += [("commits", ", ".join(commits)), ("table", _sha(row))]
    more = f" and {len(row.runs) - RUNS_SHOWN} more" if len(row.runs) > RUNS_SHOWN else ""
    return [*facts, ("run directories", ", ".join(str(run.path) for run in row.runs[:RUNS_SHOWN]) + more)]


def _sha(row: LookupRow) -> str:
    found = sorted({str((run.result or {}).get("table", {}).get("sha256", "")) for run in row.runs})
    return f"{row.setting.table}, {row.networks:,} networks, SHA-256 {', '.join(found)}"


def _configs(row: LookupRow) -> list[tuple[str, str]]:
    run = row.runs[0]
    return [(f"Configuration: {run.info.name}", json.dumps(run.info.config, indent=1, sort_keys=True))]
