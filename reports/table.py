"""Tables: one for each setting (data set, profile, recipe), as plain text, CSV, Markdown and LaTeX (booktabs).

A cell without a measurement is empty. Numbers of different settings never meet in one table.
"""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Callable, Sequence

from reports.analysis import Entry, Table
from reports.cells import csv_cell, latex, markdown
from reports.column import Column
from reports.columns import columns, every_column
from reports.intermediate import intermediate_lines

CSV_EXTRA: tuple[tuple[str, Callable[[Entry], object]], ...] = (
    ("registered_method", lambda e: e.row.method),
    ("inheritance", lambda e: e.row.inheritance),
    ("runs", lambda e: e.summary.runs),
    ("test_{}_best_epoch", lambda e: e.summary.best_epoch),
    ("ri_low", lambda e: e.improvement.low if e.improvement else None),
    ("ri_high", lambda e: e.improvement.high if e.improvement else None),
    ("params_training", lambda e: e.summary.params_training),
    ("resolution", lambda e: e.summary.resolution),
    ("train_device_hours", lambda e: e.summary.train_hours),
    ("latency_batch", lambda e: e.summary.latency_batch),
    ("published_std", lambda e: e.reference.std if e.reference else None),
    ("published_source", lambda e: e.reference.citation if e.reference else None),
    ("published_measured_as", lambda e: e.reference.measured if e.reference else None),
    ("notes", lambda e: "; ".join(e.row.notes)),
)


def cells(table: Table, chosen: Sequence[Column]) -> list[list[str]]:
    return [[column.text(entry) for column in chosen] for entry in table.entries]


def to_text(table: Table) -> str:
    """For a terminal: heading, aligned columns, notes."""
    chosen = columns(table, wide=False)
    body = cells(table, chosen)
    widths = [
        max([len(part) for part in column.heading] + [len(line[i]) for line in body]) for i, column in enumerate(chosen)
    ]

    def line(parts: Sequence[str]) -> str:
        aligned = (
            part.ljust(width) if column.left else part.rjust(width)
            for part, width, column in zip(parts, widths, chosen, strict=True)
        )
        return "  ".join(aligned).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    heading = [line([column.heading[k] for column in chosen]) for k in (0, 1)]
    notes = [
        textwrap.fill(note, max(len(rule), 80), subsequent_indent="  ", break_long_words=False)
        for note in footnotes(table)
    ]
    return "\n".join([table.setting.title, rule, *heading, rule, *map(line, body), rule, *notes, ""])


def to_csv(table: Table) -> str:
    """Full precision, one line of headings; the setting stands in the first columns of every line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    setting = table.setting
    chosen = [column for column in every_column(table) if table.paper or not column.paper]
    gain = "ri_" if any(column.key == "ri" for column in chosen) else "gain_"
    writer.writerow(
        ["dataset", "profile", "recipe", "recipe_hash", "details"]
        + [c.key for c in chosen]
        + [key.format(table.metric.key).replace("ri_", gain) for key, _ in CSV_EXTRA]
    )
    for entry in table.entries:
        values = [column.raw(entry) for column in chosen] + [get(entry) for _, get in CSV_EXTRA]
        writer.writerow(
            [setting.dataset, setting.profile, setting.recipe, setting.recipe_hash, setting.details]
            + ["" if value is None else csv_cell(value) for value in values]
        )
    return out.getvalue()


def to_markdown(table: Table) -> str:
    chosen = columns(table, wide=True)

    def line(parts: Sequence[str]) -> str:
        return "| " + " | ".join(markdown(part) for part in parts) + " |"

    marks = [":--" if column.left else "--:" for column in chosen]
    heading = [" ".join(part for part in column.heading if part) for column in chosen]
    body = [line(parts) for parts in cells(table, chosen)]
    notes = [f"- {markdown(note)}" for note in footnotes(table)]
    return "\n".join([f"### {markdown(table.setting.title)}", "", line(heading), line(marks), *body, "", *notes, ""])


def to_latex(table: Table) -> str:
    r"""A `table` float with booktabs rules; needs `\usepackage{booktabs}`."""
    chosen = columns(table, wide=False)
    heading = [" & ".join(latex(column.heading[k]) for column in chosen) + r" \\" for k in (0, 1)]
    body = [" & ".join(latex(part) for part in parts) + r" \\" for parts in cells(table, chosen)]
    notes = [rf"\par {latex(note)}." for note in footnotes(table)]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{latex(table.setting.title)}}}",
            r"\begin{tabular}{" + "".join("l" if column.left else "r" for column in chosen) + "}",
            r"\toprule",
            *heading,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\smallskip\begin{minipage}{\linewidth}\raggedright\scriptsize",
            *notes,
            r"\end{minipage}",
            r"\end{table}",
            "",
        ]
    )


def footnotes(table: Table) -> list[str]:
    """What must be read with the table: its own notes, those of its rows, and the sources of published values."""
    notes = list(table.notes)
    rows: dict[str, list[str]] = {}
    for entry in table.entries:
        for note in entry.row.notes:
            rows.setdefault(note, []).append(entry.row.name)
    whole = len(table.entries)
    notes += [f"{note}: {', '.join(names) if len(names) < whole else 'all rows'}" for note, names in rows.items()]
    if table.paper:
        sources: dict[str, None] = {}
        for entry in table.entries:
            if entry.reference is not None and entry.reference.value is not None:
                reference, verdict = entry.reference, entry.verdict
                said = f": {verdict.shown} ({verdict.reason})" if verdict and verdict.reason else ""
                sources[f"{entry.row.name}{said}; published: {reference.citation}; {reference.measured}"] = None
        notes += list(sources)
    return notes + [f"not ranked, an intermediate training: {line}" for line in intermediate_lines(table)]
