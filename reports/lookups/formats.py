"""A table of look-ups as text for a terminal, as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Sequence

from reports.cells import csv_cell, latex, markdown
from reports.lookups.columns import lookup_columns
from reports.lookups.tables import LookupTable


def to_text(table: LookupTable) -> str:
    """For a terminal: heading, aligned columns, notes."""
    chosen = [column for column in lookup_columns(table) if column.key != "verdict"]
    body = [[column.text(entry) for column in chosen] for entry in table.entries]
    widths = [max([len(c.heading), *(len(line[i]) for line in body)]) for i, c in enumerate(chosen)]

    def line(parts: Sequence[str]) -> str:
        each = zip(parts, widths, chosen, strict=True)
        return "  ".join(p.ljust(width) if c.left else p.rjust(width) for p, width, c in each).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    notes = [
        textwrap.fill(n, max(len(rule), 80), subsequent_indent="  ", break_long_words=False) for n in _notes(table)
    ]
    heading = line([c.heading for c in chosen])
    return "\n".join([table.setting.title, rule, heading, rule, *map(line, body), rule, *notes, ""])


def _notes(table: LookupTable) -> list[str]:
    return [*table.notes, *table.verdicts]


def to_csv(table: LookupTable) -> str:
    """Full precision; the setting stands in the first columns of every line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    setting, chosen = table.setting, lookup_columns(table)
    deviations = [("test_std", "test"), ("rank_std", "rank"), ("regret_std", "regret")]
    writer.writerow(
        ["table", "dataset", "profile", "epochs", "version", *(c.key for c in chosen), *(key for key, _ in deviations)]
    )
    for entry in table.entries:
        spreads = [entry.row.values(what) for _, what in deviations]
        values = [c.raw(entry) for c in chosen] + [float(v.std(ddof=1)) if len(v) > 1 else None for v in spreads]
        first = [setting.table, setting.dataset, setting.profile, setting.epochs, setting.version]
        writer.writerow([*first, *("" if value is None else csv_cell(value) for value in values)])
    return out.getvalue()


def to_markdown(table: LookupTable) -> str:
    chosen = lookup_columns(table)

    def line(parts: Sequence[str]) -> str:
        return "| " + " | ".join(map(markdown, parts)) + " |"

    marks = "| " + " | ".join(":--" if c.left else "--:" for c in chosen) + " |"
    body = [line([c.text(entry) for c in chosen]) for entry in table.entries]
    notes = [f"- {markdown(note)}" for note in _notes(table)]
    return "\n".join(
        [f"### {markdown(table.setting.title)}", "", line([c.heading for c in chosen]), marks, *body, "", *notes, ""]
    )


def to_latex(table: LookupTable) -> str:
    r"""A `table` float with booktabs rules; needs `\usepackage{booktabs}`."""
    chosen = lookup_columns(table)
    rows = [[c.heading for c in chosen], *([c.text(entry) for c in chosen] for entry in table.entries)]
    heading, *body = [" & ".join(map(latex, row)) + r" \\" for row in rows]
    notes = [rf"\par {latex(note)}." for note in _notes(table)]
    begin = [r"\begin{table}", r"\centering\footnotesize\setlength{\tabcolsep}{3pt}"]
    kinds = "".join("l" if c.left else "r" for c in chosen)
    begin += [rf"\caption{{{latex(table.setting.title)}}}", rf"\begin{{tabular}}{{{kinds}}}"]
    end = [r"\bottomrule", r"\end{tabular}", r"\par\smallskip\begin{minipage}{\linewidth}\raggedright\scriptsize"]
    return "\n".join(
        [*begin, r"\toprule", heading, r"\midrule", *body, *end, *notes, r"\end{minipage}", r"\end{table}", ""]
    )
