"""Learned against fixed against random ratios at one size: what MGAS' learning of them is worth, in a table of its own.

A group is a learned search of MGAS with those rows of the same table that have its size and not its ratios: the twin
with `fixed_ratios` (all other options alike), and random sampling that is matched to it.
"""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.records.directory import Record
from reports.analysis import Entry, Table
from reports.cells import csv_cell, latex, markdown
from reports.column import counted, fixed
from reports.endings import provenance_of
from reports.rows import RANDOM_METHOD, number

LEARNED, FIXED, RANDOM = "learned", "fixed", "random"
METHOD = "mgas"
LEVELS = ("operation", "filter", "weight")
HEADINGS = (
    "ratios", "method", "searches", "test error %", "± betw. searches", "difference", "p (Holm)", "params M",
    "nonzero M", "operations %", "filters %", "weights %",
)  # fmt: skip
TITLE = "Learned, fixed and random ratios at one size"
NOTE = (
    "difference: test error minus that of the learned ratios, p after Holm's correction over the whole table; "
    "operations, filters and weights: what is left of each, mean over cells and architectures. Filters that an "
    "operation of MGAS has lost while its state keeps them are masked weights of the network; a draw masks as many"
)


@dataclass(frozen=True)
class Line:
    """A row of the group: where its ratios come from, and what is left at each granularity, as shares."""

    ratios: str
    entry: Entry
    left: Mapping[str, float]
    difference: float | None
    p: float | None

    @property
    def values(self) -> list[Any]:
        """In the order of `HEADINGS`, in full precision; None where nothing was measured."""
        summary = self.entry.summary
        left = [None if level not in self.left else 100 * self.left[level] for level in LEVELS]
        counts = [summary.params, summary.params_nonzero]
        spread = [summary.value, summary.std_searches, self.difference, self.p]
        return [self.ratios, self.entry.row.name, summary.searches, *spread, *counts, *left]

    @property
    def cells(self) -> list[str]:
        values = self.values
        ratios, name, searches, error, spread, difference, p, params, nonzero, *left = values
        shown = [fixed(error, 2), fixed(spread, 2), fixed(difference, 2, sign=True), fixed(p, 4)]
        return [ratios, name, str(searches), *shown, counted(params), counted(nonzero), *(fixed(x, 1) for x in left)]


def groups(table: Table) -> list[list[Line]]:
    """For each learned search with a companion its lines: learned, fixed, random."""
    found = []
    for entry in table.entries:
        if entry.row.method != METHOD or _options(entry).get("fixed_ratios") or entry.summary.value is None:
            continue
        others = [(kind, other) for other in table.entries if (kind := _kind(entry, other))]
        if others:
            ordered = sorted(others, key=lambda pair: (FIXED, RANDOM).index(pair[0]))
            found.append([_line(table, entry, *pair) for pair in [(LEARNED, entry), *ordered]])
    return found


def _kind(learned: Entry, other: Entry) -> str:
    """How another row's ratios come about, if it is a companion; else nothing."""
    if other is learned or other.summary.value is None:
        return ""
    if other.row.method == METHOD:
        twin = _options(other)
        alike = _plain(_options(learned)) == _plain(twin) and _select(learned) == _select(other)
        return FIXED if alike and twin.get("fixed_ratios") else ""
    if other.row.method != RANDOM_METHOD:
        return ""
    theirs = {run.info.signature for run in _searches(learned)}
    matches = [run.info.config.get("match") or {} for run in _searches(other)]
    own = any(match.get("run") in theirs and match.get("select") == _select(learned) for match in matches)
    return RANDOM if own else ""


def _searches(entry: Entry) -> list[Record]:
    return [run for run in entry.row.searches if run.info.phase == "search"]


def _options(entry: Entry) -> Mapping[str, Any]:
    return next((run.info.config.get("options") or {} for run in _searches(entry)), {})


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if not key.startswith("fixed_ratio")}


def _select(entry: Entry) -> Any:
    """The member of a family that a row takes."""
    return next(((run.info.config.get("architecture") or {}).get("select") for run in entry.row.trains), None)


def _line(table: Table, learned: Entry, kind: str, entry: Entry) -> Line:
    left: dict[str, list[float]] = {}
    for run in entry.row.trains:
        ratios = provenance_of(run).get("remaining_ratios")
        for level, cells in ratios.items() if isinstance(ratios, Mapping) else ():
            values = [value for cell in cells if (value := number(cell)) is not None]
            left.setdefault(level, []).extend([float(np.mean(values))] if values else [])
    difference = p = None
    if entry is not learned and entry.summary.value is not None and learned.summary.value is not None:
        difference = entry.summary.value - learned.summary.value
        p = table.adjusted.get(frozenset((entry.row.name, learned.row.name)))
    means = {level: float(np.mean(values)) for level, values in left.items() if values}
    return Line(kind, entry, means, difference, p)


def to_text(table: Table) -> str:
    """For a terminal; empty where the table has no such group."""
    note = textwrap.fill(NOTE, 110, subsequent_indent="  ")
    return "".join(f"{TITLE}\n{_aligned(lines)}\n{note}\n\n" for lines in groups(table))


def _aligned(lines: list[Line]) -> str:
    body = [list(HEADINGS), *(line.cells for line in lines)]
    widths = [max(map(len, column)) for column in zip(*body, strict=True)]
    written = []
    for cells in body:
        parts = (f"{c:<{w}}" if i < 2 else f"{c:>{w}}" for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
        written.append("  ".join(parts).rstrip())
    return "\n".join(written)


def to_csv(table: Table) -> str:
    """Full precision; the group is the learned row's name."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["group", *HEADINGS])
    for lines in groups(table):
        for line in lines:
            values = ["" if value is None else csv_cell(value) for value in line.values]
            writer.writerow([csv_cell(lines[0].entry.row.name), *values])
    return out.getvalue()


def to_markdown(table: Table) -> str:
    parts = []
    for lines in groups(table):
        marks = "| " + " | ".join([":--"] * 2 + ["--:"] * (len(HEADINGS) - 2)) + " |"
        body = ["| " + " | ".join(map(markdown, cells)) + " |" for cells in (HEADINGS, *(x.cells for x in lines))]
        parts.append("\n".join([f"### {TITLE}", "", body[0], marks, *body[1:], "", f"- {markdown(NOTE)}", ""]))
    return "\n".join(parts)


def to_latex(table: Table) -> str:
    r"""`table` floats with booktabs rules."""
    return "\n".join(_float(lines) for lines in groups(table))


def _float(lines: list[Line]) -> str:
    rows = [" & ".join(map(latex, cells)) + r" \\" for cells in (HEADINGS, *(line.cells for line in lines))]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{latex(TITLE)}; {latex(lines[0].entry.row.setting.title)}. {latex(NOTE)}.}}",
            r"\begin{tabular}{ll" + "r" * (len(HEADINGS) - 2) + "}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def sections(table: Table) -> Iterator[list[list[str]]]:
    """For the page: the cells of each group."""
    yield from ([line.cells for line in lines] for lines in groups(table))
