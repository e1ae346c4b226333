"""The columns of a table of look-ups: what each means, its text for people and its value in full precision."""

from __future__ import annotations

import numpy as np

from reports.listing import Cell, Column
from reports.lookups.agreement import shares, tau_text, taus, tops
from reports.lookups.rows import Numbers
from reports.lookups.tables import LookupEntry, LookupTable

HERE = "the data set searched on"


LookupColumn = Column[LookupEntry]


def lookup_columns(table: LookupTable) -> list[LookupColumn]:
    """The columns that a table of look-ups has."""
    searched, epochs = table.setting.dataset, table.setting.epochs
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
            "evaluations", "evaluations", "scores that a search was told up to its answer, counted; mean over seeds",
            lambda e: _count(e, "evaluations"), lambda e: _counted(e, "evaluations"),
        ),
        LookupColumn(
            "distinct", "networks", "different networks among them, mean over seeds",
            lambda e: _count(e, "distinct"), lambda e: _counted(e, "distinct"), detail=True,
        ),
        _accuracy("valid", "valid", searched, HERE, epochs),
        _accuracy("test", "test", searched, HERE, epochs),
        LookupColumn(
            "interval", "95 % interval", "Student's, of the mean test accuracy, as far as an accuracy can be",
            lambda e: "" if e.interval is None else "{:.2f} to {:.2f}".format(*e.interval.within(0.0, 100.0)),
            lambda e: None if e.interval is None else "{} {}".format(*e.interval.within(0.0, 100.0)), left=True,
            detail=True,
        ),
        *(_at_budget(budget) for budget in table.budgets),
        *(_accuracy("test", f"test {name}", name, name, epochs) for name in table.datasets if name != searched),
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
    optional = ("evaluations", "distinct", "valid", "interval", "kendall_tau", "published", "verdict")
    return [c for c in chosen if c.key not in optional or any(c.text(entry) for entry in table.entries)]


def _counted(entry: LookupEntry, what: str) -> float | None:
    """Records without counts have made the evaluations that were fixed beforehand."""
    found = entry.row.spent(what)
    if len(found):
        return float(found.mean())
    return entry.row.budget if what == "evaluations" else None


def _count(entry: LookupEntry, what: str) -> str:
    found = _counted(entry, what)
    return "" if found is None else f"{found:.1f}".removesuffix(".0")


def _published(entry: LookupEntry) -> str:
    """Nothing where the row was made in another way: the note names the value."""
    if entry.verdict is None or not entry.verdict.comparable:
        return ""
    found = entry.verdict.published
    return "" if found is None or found.mean is None else found.text


def _spread(values: Numbers) -> str:
    """Mean and sample standard deviation; of one value no deviation."""
    return f"{values.mean():.2f}" + (f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else "")


def _accuracy(what: str, heading: str, dataset: str, told: str, epochs: int) -> LookupColumn:
    def raw(entry: LookupEntry) -> Cell:
        values = entry.row.values(what, dataset)
        return float(values.mean()) if len(values) else None

    def text(entry: LookupEntry) -> str:
        values = entry.row.values(what, dataset)
        return _spread(values) if len(values) else ""

    key = what if heading == what else f"{what}_{dataset}"
    word = {"valid": "validation", "test": "test"}[what]
    help = f"{word} accuracy on {told} after {epochs} epochs, mean ± standard deviation over seeds"
    return LookupColumn(key, f"{heading} %", help, text, raw)


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
