"""A table without statistics of its own, in every format: as text for a terminal, as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from reports.cells import csv_cell, latex, markdown

Cell = str | float | int | None


Line = TypeVar("Line")
"""What a line of a table is made from."""


@dataclass(frozen=True)
class Column(Generic[Line]):
    """A column: its key in CSV, heading, meaning, text for people and value in full precision.

    `detail`: folded away on the page where the table is wider than its window.
    """

    key: str
    heading: str
    help: str
    text: Callable[[Line], str]
    raw: Callable[[Line], Cell]
    left: bool = False
    detail: bool = False


@dataclass(frozen=True)
class Listing:
    """Attributes:
    title: the heading.
    columns: of the cells, in their order.
    texts: for people, line by line.
    values: in full precision, line by line; may have more columns, which `more` names.
    notes: below the table.
    setting: what stands in the first columns of every line of CSV, by its heading.
    """

    title: str
    columns: Sequence[Column[Any]]
    texts: Sequence[Sequence[str]]
    values: Sequence[Sequence[Cell]] = ()
    notes: Sequence[str] = ()
    setting: dict[str, Cell] = field(default_factory=dict)
    more: Sequence[str] = ()


def to_text(listing: Listing) -> str:
    """For a terminal: heading, aligned columns, notes."""
    columns, body = listing.columns, listing.texts
    widths = [max([len(c.heading), *(len(line[i]) for line in body)]) for i, c in enumerate(columns)]

    def line(parts: Sequence[str]) -> str:
        each = zip(parts, widths, columns, strict=True)
        return "  ".join(p.ljust(width) if c.left else p.rjust(width) for p, width, c in each).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    notes = [
        textwrap.fill(note, max(len(rule), 80), subsequent_indent="  ", break_long_words=False)
        for note in listing.notes
    ]
    heading = line([c.heading for c in columns])
    return "\n".join([listing.title, rule, heading, rule, *map(line, body), rule, *notes, ""])


def to_csv(listing: Listing) -> str:
    """Full precision; the setting stands in the first columns of every line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*listing.setting, *(c.key for c in listing.columns), *listing.more])
    for line in listing.values:
        cells = ("" if value is None else csv_cell(value) for value in line)
        writer.writerow([*listing.setting.values(), *cells])
    return out.getvalue()


def to_markdown(listing: Listing) -> str:
    columns = listing.columns

    def line(parts: Sequence[str]) -> str:
        return "| " + " | ".join(map(markdown, parts)) + " |"

    marks = "| " + " | ".join(":--" if c.left else "--:" for c in columns) + " |"
    notes = [f"- {markdown(note)}" for note in listing.notes]
    heading = line([c.heading for c in columns])
    return "\n".join([f"### {markdown(listing.title)}", "", heading, marks, *map(line, listing.texts), "", *notes, ""])


def to_latex(listing: Listing) -> str:
    r"""A `table` float with booktabs rules; needs `\usepackage{booktabs}`."""
    rows = [[c.heading for c in listing.columns], *listing.texts]
    heading, *body = [" & ".join(map(latex, row)) + r" \\" for row in rows]
    notes = [rf"\par {latex(note)}." for note in listing.notes]
    begin = [r"\begin{table}", r"\centering\footnotesize\setlength{\tabcolsep}{3pt}"]
    kinds = "".join("l" if c.left else "r" for c in listing.columns)
    begin += [rf"\caption{{{latex(listing.title)}}}", rf"\begin{{tabular}}{{{kinds}}}"]
    end = [r"\bottomrule", r"\end{tabular}", r"\par\smallskip\begin{minipage}{\linewidth}\raggedright\scriptsize"]
    return "\n".join(
        [*begin, r"\toprule", heading, r"\midrule", *body, *end, *notes, r"\end{minipage}", r"\end{table}", ""]
    )
