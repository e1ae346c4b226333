"""Tables of look-ups: one for each setting, rows ordered by mean test accuracy, with what was computed about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reports.coupling import twin_notes, twins
from reports.endings import flat_gates
from reports.lookups.agreement import agreement_note
from reports.lookups.findings import finding_notes, shrinkage_notes
from reports.lookups.published import LookupVerdict, judge
from reports.lookups.rows import LookupRow, LookupSetting
from reports.statistics import LEVEL, Interval, all_pairs, interval, letters


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
    """The rows of one setting, best first; `notes` are on the table, `verdicts` on rows with a published value."""

    setting: LookupSetting
    entries: list[LookupEntry]
    notes: list[str] = field(default_factory=list)

    @property
    def verdicts(self) -> list[str]:
        told = [(entry.row.label, entry.verdict) for entry in self.entries if entry.verdict and entry.verdict.reason]
        return [f"{label}: {verdict.text or 'no verdict'}; {verdict.reason}" for label, verdict in told]

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


def lookup_tables(rows: Iterable[LookupRow]) -> list[LookupTable]:
    by_setting: dict[LookupSetting, list[LookupRow]] = defaultdict(list)
    for row in rows:
        by_setting[row.setting].append(row)
    return [_table(setting, group) for setting, group in sorted(by_setting.items())]


def _table(setting: LookupSetting, rows: list[LookupRow]) -> LookupTable:
    rows = sorted(rows, key=lambda row: (-float(row.test.mean()), row.label))
    same = twins({row.label: row.runs for row in rows})
    distinct = [row for row in rows if row.label not in same]
    samples = {row.label: {seed: {0: 100.0 - v} for seed, v in enumerate(row.test.tolist())} for row in distinct}
    comparisons, adjusted = all_pairs(samples, lambda first, second: ())
    marks = letters(list(samples), {pair for pair, p in adjusted.items() if p < LEVEL})
    entries: dict[str, LookupEntry] = {}
    for place, row in enumerate(rows, start=1):
        first = same.get(row.label, row.label)
        rank, letter = entries[first].rank if first in entries else place, marks[first] if len(rows) > 1 else ""
        entries[row.label] = LookupEntry(row, interval([[x] for x in row.test.tolist()]), rank, letter, judge(row))
    found = list(entries.values())
    return LookupTable(setting, found, _notes(setting, found, len(comparisons), adjusted.values()) + twin_notes(same))


def _notes(setting: LookupSetting, entries: Sequence[LookupEntry], pairs: int, adjusted: Iterable[float]) -> list[str]:
    tested = list(adjusted)
    networks = max(entry.row.networks for entry in entries)
    notes = [
        f"look-ups: nothing was retrained; every value is the table's, of networks that its authors trained "
        f"{setting.epochs} epochs; rank and regret are among its {networks:,} networks"
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
    notes += [note for entry in entries for note in (*finding_notes(entry.row), *shrinkage_notes(entry.row))]
    given = {(entry.row.label, run.info.note): None for entry in entries for run in entry.row.runs if run.info.note}
    notes += [f"{label}: {note}" for label, note in given]
    notes += [f"{entry.row.label}: {said}" for entry in entries if (said := flat_gates(entry.row.searches))]
    return notes
