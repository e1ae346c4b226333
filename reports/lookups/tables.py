"""Tables of look-ups: one for each setting, rows ordered by mean test accuracy, as text, CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from reports.cells import csv_cell, latex, markdown
from reports.endings import flat_gates
from reports.lookups.agreement import agreement_note, shares, tau_text, taus, tops
from reports.lookups.published import LookupVerdict, judge
from reports.lookups.rows import LookupRow, LookupSetting, Numbers
from reports.statistics import LEVEL, Interval, all_pairs, interval, letters

Cell = str | float | int | None


@dataclass
class LookupEntry:
    """A row with what was computed about it; `letters` as in tables of retrained rows."""

    row: LookupRow
    interval: Interval | None
    rank: int
    letters: str = ""
    verdict: LookupVerdict | None = None


@dataclass
class LookupTable:
    """The rows of one setting, best first."""

    setting: LookupSetting
    entries: list[LookupEntry]
    notes: list[str] = field(default_factory=list)

    @property
    def datasets(self) -> list[str]:
        """The data set searched on, then the table's others."""
        names = dict.fromkeys([self.setting.dataset])
        for entry in self.entries:
            names |= dict.fromkeys(entry.row.answers[0]["test"])
        return list(names)

    @property
    def budgets(self) -> list[int]:
        """Numbers of evaluations that stand beside the one fixed beforehand."""
        return sorted({b for e in self.entries for b in e.row.by_budget if b != e.row.budget})


@dataclass(frozen=True)
class LookupColumn:
    """A column: its key in CSV, heading, meaning, text for people and value in full precision.

    `detail`: folded away on the page where the table is wider than its window.
    """

    key: str
    heading: str
    help: str
    text: Callable[[LookupEntry], str]
    raw: Callable[[LookupEntry], Cell]
    left: bool = False
    detail: bool = False


def lookup_tables(rows: Iterable[LookupRow]) -> list[LookupTable]:
    by_setting: dict[LookupSetting, list[LookupRow]] = defaultdict(list)
    for row in rows:
        by_setting[row.setting].append(row)
    return [_table(setting, group) for setting, group in sorted(by_setting.items())]


def _table(setting: LookupSetting, rows: list[LookupRow]) -> LookupTable:
    rows = sorted(rows, key=lambda row: (-float(row.test.mean()), row.label))
    samples = {row.label: {seed: {0: 100.0 - value} for seed, value in enumerate(row.test.tolist())} for row in rows}
    comparisons, adjusted = all_pairs(samples, lambda first, second: ())
    marks = letters(list(samples), {pair for pair, p in adjusted.items() if p < LEVEL})
    entries = [
        LookupEntry(
            row, interval([[x] for x in row.test.tolist()]), place, marks[row.label] * (len(rows) > 1), judge(row)
        )
        for place, row in enumerate(rows, start=1)
    ]
    return LookupTable(setting, entries, _notes(setting, entries, len(comparisons), adjusted.values()))


def _notes(setting: LookupSetting, entries: Sequence[LookupEntry], pairs: int, adjusted: Iterable[float]) -> list[str]:
    tested = list(adjusted)
    networks = max(entry.row.networks for entry in entries)
    notes = [
        f"look-ups: nothing was retrained; every value is the table's, of networks trained {setting.epochs} epochs; "
        f"rank and regret are among its {networks:,} networks"
    ]
    if setting.table == "nasbench_macro":
        notes.append("selected on a test run: the table has no validation values, so that no verdict is given")
    ways: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        count = "" if entry.row.budget is None else f" in {entry.row.budget} evaluation{'s' * (entry.row.budget != 1)}"
        ways[f"chose by {entry.row.scored_by}{count}"].append(entry.row.label)
    notes += [f"{way}: {', '.join(names)}" for way, names in ways.items()]
    if len(entries) > 1:
        separated = sum(p < LEVEL for p in tested)
        notes.append(
            f"letters: rows that share one cannot be separated ({separated} of {pairs} pairs are separated, "
            f"{len(tested)} could be tested; Welch's t, Holm, 5 %)"
        )
    notes += filter(None, [agreement_note(entry.row) for entry in entries])
    notes += [f"{entry.row.label}: {said}" for entry in entries if (said := flat_gates(entry.row.searches))]
    for entry in entries:
        if entry.verdict is not None and entry.verdict.reason:
            notes.append(f"{entry.row.label}: {entry.verdict.text or 'no verdict'}; {entry.verdict.reason}")
    return notes


def lookup_columns(table: LookupTable) -> list[LookupColumn]:
    """The columns that a table of look-ups has."""
    searched = table.setting.dataset
    chosen = [
        LookupColumn(
            "rank", "#", "by mean test accuracy; rows that share a letter cannot be separated",
            lambda e: f"{e.rank} {e.letters}".strip(), lambda e: e.rank, left=True,
        ),
        LookupColumn(
            "method", "method", "label in the experiment", lambda e: e.row.label, lambda e: e.row.label, left=True
        ),
        LookupColumn(
            "kind", "answer", "how it came by its numbers", lambda e: "look-up", lambda e: "look-up", left=True,
            detail=True,
        ),
        LookupColumn(
            "seeds", "seeds", "independent searches", lambda e: str(len(e.row.test)), lambda e: len(e.row.test)
        ),
        LookupColumn(
            "evaluations", "evaluations", "networks scored by a search, fixed beforehand",
            lambda e: "" if e.row.budget is None else str(e.row.budget), lambda e: e.row.budget,
        ),
        _accuracy("valid", "valid", searched),
        _accuracy("test", "test", searched),
        LookupColumn(
            "interval", "95 % interval", "Student's, of the mean test accuracy",
            lambda e: "" if e.interval is None else f"{e.interval.low:.2f} to {e.interval.high:.2f}",
            lambda e: None if e.interval is None else f"{e.interval.low} {e.interval.high}", left=True,
            detail=True,
        ),
        *(_at_budget(budget) for budget in table.budgets),
        *(_accuracy("test", f"test {name}", name) for name in table.datasets if name != searched),
        _middle("rank_of_answer", "median rank", "of the answer among all networks, by test accuracy", "rank"),
        LookupColumn(
            "regret", "regret", "percentage points of test accuracy below the best network, mean over seeds",
            lambda e: f"{e.row.values('regret').mean():.2f}", lambda e: float(e.row.values("regret").mean()),
        ),
        *_agreement(table),
        LookupColumn("published", "published test", "mean and standard deviation", _published, _published, left=True),
        LookupColumn(
            "verdict", "verdict", "computed from both intervals", lambda e: e.verdict.text if e.verdict else "",
            lambda e: e.verdict.text if e.verdict else None, left=True,
        ),
    ]  # fmt: skip
    optional = ("evaluations", "valid", "interval", "kendall_tau", "published", "verdict")
    return [c for c in chosen if c.key not in optional or any(c.text(entry) for entry in table.entries)]


def _published(entry: LookupEntry) -> str:
    """Nothing where the row was made in another way: the note names the value."""
    if entry.verdict is None or not entry.verdict.comparable:
        return ""
    found = entry.verdict.published
    return "" if found is None or found.mean is None else found.text


def _spread(values: Numbers) -> str:
    """Mean and sample standard deviation; of one value no deviation."""
    return f"{values.mean():.2f}" + (f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else "")


def _accuracy(what: str, heading: str, dataset: str) -> LookupColumn:
    def raw(entry: LookupEntry) -> Cell:
        values = entry.row.values(what, dataset)
        return float(values.mean()) if len(values) else None

    def text(entry: LookupEntry) -> str:
        values = entry.row.values(what, dataset)
        return _spread(values) if len(values) else ""

    key = what if heading == what else f"{what}_{dataset}"
    word = {"valid": "validation", "test": "test"}[what]
    return LookupColumn(key, f"{heading} %", f"{word} accuracy on {dataset}, mean ± standard deviation", text, raw)


def _at_budget(budget: int) -> LookupColumn:
    def raw(entry: LookupEntry) -> Cell:
        values = entry.row.by_budget.get(budget)
        return float(np.mean(values)) if values and budget != entry.row.budget else None

    def text(entry: LookupEntry) -> str:
        value = raw(entry)
        return "" if value is None else _spread(np.array(entry.row.by_budget[budget]))

    told = f"test accuracy after {budget} evaluations, which was not fixed beforehand"
    return LookupColumn(f"test_at_{budget}", f"at {budget}", told, text, raw, detail=True)


def _middle(key: str, heading: str, told: str, what: str) -> LookupColumn:
    def raw(entry: LookupEntry) -> Cell:
        return float(np.median(entry.row.values(what)))

    return LookupColumn(key, heading, told, lambda e: f"{raw(e):,.0f}", raw)


def _agreement(table: LookupTable) -> list[LookupColumn]:
    """Of the scores that searches gave their proposals with the truth."""
    rows = [entry.row for entry in table.entries]

    def share(k: int) -> LookupColumn:
        def raw(entry: LookupEntry) -> Cell:
            found = shares(entry.row, k)
            return float(found.mean()) if len(found) else None

        told = f"share of the {k} networks with the best scores that are among the {k} truly best, mean over seeds"
        return LookupColumn(
            f"top_{k}", f"top {k} %", told, lambda e: "" if (found := raw(e)) is None else f"{found:.0f}", raw,
            detail=k != tops(rows)[0],
        )  # fmt: skip

    def tau(entry: LookupEntry) -> Cell:
        found = taus(entry.row)
        return float(found.mean()) if len(found) else None

    told = "Kendall's tau-b of the search's scores with test accuracy, -1 to 1; mean ± standard deviation over seeds"
    first = LookupColumn("kendall_tau", "Kendall's tau", told, lambda e: tau_text(e.row), tau)
    return [first, *map(share, tops(rows))]


def to_text(table: LookupTable) -> str:
    """For a terminal: heading, aligned columns, notes."""
    chosen = [column for column in lookup_columns(table) if column.key != "verdict"]
    body = [[column.text(entry) for column in chosen] for entry in table.entries]
    widths = [max([len(c.heading), *(len(line[i]) for line in body)]) for i, c in enumerate(chosen)]

    def line(parts: Sequence[str]) -> str:
        each = zip(parts, widths, chosen, strict=True)
        return "  ".join(p.ljust(width) if c.left else p.rjust(width) for p, width, c in each).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    notes = [textwrap.fill(n, max(len(rule), 80), subsequent_indent="  ", break_long_words=False) for n in table.notes]
    heading = line([c.heading for c in chosen])
    return "\n".join([table.setting.title, rule, heading, rule, *map(line, body), rule, *notes, ""])


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
    notes = [f"- {markdown(note)}" for note in table.notes]
    return "\n".join(
        [f"### {markdown(table.setting.title)}", "", line([c.heading for c in chosen]), marks, *body, "", *notes, ""]
    )


def to_latex(table: LookupTable) -> str:
    r"""A `table` float with booktabs rules; needs `\usepackage{booktabs}`."""
    chosen = lookup_columns(table)
    rows = [[c.heading for c in chosen], *([c.text(entry) for c in chosen] for entry in table.entries)]
    heading, *body = [" & ".join(map(latex, row)) + r" \\" for row in rows]
    notes = [rf"\par {latex(note)}." for note in table.notes]
    begin = [r"\begin{table}", r"\centering\footnotesize\setlength{\tabcolsep}{3pt}"]
    kinds = "".join("l" if c.left else "r" for c in chosen)
    begin += [rf"\caption{{{latex(table.setting.title)}}}", rf"\begin{{tabular}}{{{kinds}}}"]
    end = [r"\bottomrule", r"\end{tabular}", r"\par\smallskip\begin{minipage}{\linewidth}\raggedright\scriptsize"]
    return "\n".join(
        [*begin, r"\toprule", heading, r"\midrule", *body, *end, *notes, r"\end{minipage}", r"\end{table}", ""]
    )
