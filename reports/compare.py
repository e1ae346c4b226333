"""Two experiments, or one experiment at two commits: what changed, and whether it is more than noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.analysis import LEVEL, Entry, Table, analyse
from reports.build import ReportError, gather, nothing_finished
from reports.collect import without_seeds
from reports.column import counted, gib, hours
from reports.coupling import coupled
from reports.statistics import Comparison, holm
from reports.statistics import compare as test

Key = tuple[str, str, str, str, str]
"""Data set, profile, recipe hash, row name, details: what a row must share with another to be compared."""

COUNTS: tuple[tuple[str, Callable[[Entry], str]], ...] = (
    ("params M", lambda e: counted(e.summary.params)),
    ("non-zero M", lambda e: counted(e.summary.params_nonzero)),
    ("MACs M", lambda e: counted(e.summary.macs)),
    ("search device-hours", lambda e: hours(e.summary.search_hours)),
    ("retraining device-hours", lambda e: hours(e.summary.train_hours)),
    ("search GiB", lambda e: gib(e.summary.search_memory)),
    ("retraining GiB", lambda e: gib(e.summary.train_memory)),
)


@dataclass
class Change:
    """One row in both; `adjusted` is the Holm-corrected p-value over all rows compared."""

    name: str
    before: Entry
    after: Entry
    result: Comparison
    adjusted: float | None = None

    @property
    def identical(self) -> bool:
        """The same seeds gave the same values, to the last digit."""
        return self.before.row.values == self.after.row.values

    @property
    def verdict(self) -> str:
        if self.identical:
            return "identical"
        if self.adjusted is None:
            return f"cannot be tested: {self.result.test}"
        return "beyond noise" if self.adjusted < LEVEL else "within noise"


def compare(a: Path, b: Path) -> str:
    """What changed from the runs in `a` to those in `b`, as text.

    `folder@commit` takes only the runs of that commit (a prefix of its hash). Rows are compared only under the same
    data set, profile, recipe and name; they are paired where equal search seeds found the same architecture on both
    sides. The p-values of all rows are corrected together (Holm).

    Raises:
        ReportError: a folder is missing or holds no finished retraining.
    """
    (tables_a, problems_a), (tables_b, problems_b) = _tables(a), _tables(b)
    before, after = _by_key(tables_a), _by_key(tables_b)
    changes = [_change(before[key], after[key]) for key in before if key in after]
    tested = [change for change in changes if change.result.p is not None and not change.identical]
    for change, adjusted in zip(tested, holm([c.result.p or 0.0 for c in tested]), strict=True):
        change.adjusted = adjusted
    lines = [f"A: {a}  (commit {_commits(before.values())})", f"B: {b}  (commit {_commits(after.values())})", ""]
    for setting in dict.fromkeys(change.before.row.setting for change in changes):
        lines += [setting.title, *_lines([c for c in changes if c.before.row.setting == setting]), ""]
    lines += _unmatched("A", before, after) + _unmatched("B", after, before)
    if not changes:
        lines.append("nothing to compare: no row has the same data set, profile, recipe and name in both")
    return "\n".join([*lines, *(f"problem: {problem}" for problem in problems_a + problems_b)]).rstrip() + "\n"


def _tables(folder: Path) -> tuple[list[Table], list[str]]:
    commit = ""
    if not folder.is_dir() and "@" in folder.name:
        name, commit = folder.name.rsplit("@", 1)
        folder = folder.with_name(name)
    records, problems = gather([folder])
    records = [run for run in records if str(run.info.environment.get("commit") or "").startswith(commit)]
    tables, more = analyse(records)
    if not any(entry.summary.runs for table in tables for entry in table.entries):
        raise ReportError(nothing_finished([folder], records, problems))
    return tables, problems + more


def _by_key(tables: Sequence[Table]) -> dict[Key, Entry]:
    return {
        (s.dataset, s.profile, s.recipe_hash, entry.row.name, s.details): entry
        for table in tables
        for s in [table.setting]
        for entry in table.entries
        if entry.summary.runs
    }


def _change(before: Entry, after: Entry) -> Change:
    pairs = coupled(_found(after), _found(before))
    return Change(before.row.name, before, after, test(after.row.units, before.row.units, pairs))


def _found(entry: Entry) -> dict[int, frozenset[str]]:
    """The architectures of each search; nothing for given ones, whose units are retrainings."""
    found: dict[int, frozenset[str]] = {}
    for seed, digest in _digests(entry):
        if seed is not None and digest != "None":
            found[seed] = found.get(seed, frozenset()) | {digest}
    return found


def _lines(changes: Sequence[Change]) -> list[str]:
    width = max(len(change.name) for change in changes)
    metric = changes[0].before.row.setting.metric
    named, form = [f"{metric.name} {side}" for side in "AB"], f".{metric.digits}f"
    lines = [f"{'':{width}}  {named[0]:>7}  {named[1]:>7}   B - A  95 % interval     p (Holm)  test      n  verdict"]
    for change in changes:
        result, a, b = change.result, change.before.summary, change.after.summary
        bounds = "" if result.low is None else f"{result.low:+{form}} to {result.high:+{form}}"
        p = "" if change.adjusted is None else f"{change.adjusted:.4f}"
        shown = result.test if result.p is not None else ""
        lines.append(
            f"{change.name:{width}}  {metric.written(a.value):>7}  {metric.written(b.value):>7}  "
            f"{result.difference:+6{form}}  {bounds:<16}  {p:>8}  {shown:<8}  {result.units:>1}  "
            f"{change.verdict}".rstrip()
        )
    for change in changes:
        differing = [
            f"{name} {of(change.before) or 'unknown'} -> {of(change.after) or 'unknown'}"
            for name, of in COUNTS
            if of(change.before) != of(change.after)
        ]
        seeds = (set(change.before.row.units), set(change.after.row.units))
        if seeds[0] != seeds[1]:
            differing.append(f"seeds {_numbers(seeds[0])} -> {_numbers(seeds[1])}")
        found = [_digests(change.before), _digests(change.after)]
        if found[0] != found[1] and seeds[0] == seeds[1]:
            differing.append("architectures differ")
        differing += _options(change)
        if differing:
            lines.append(f"  {change.name}: " + "; ".join(differing))
    return lines


def _options(change: Change) -> list[str]:
    """Options that differ, from the first run of each phase; at most eight."""
    sides = []
    for entry in (change.before, change.after):
        flat: dict[str, str] = {}
        for run in reversed([*entry.row.trains, *entry.row.searches]):
            flat |= _flat(without_seeds(run.info.config), run.info.phase)
        sides.append(flat)
    keys = [key for key in sorted(sides[0].keys() | sides[1].keys()) if sides[0].get(key) != sides[1].get(key)]
    told = [f"{key} {sides[0].get(key, 'unset')} -> {sides[1].get(key, 'unset')}" for key in keys[:8]]
    return told + ([f"{len(keys) - 8} more options"] if len(keys) > 8 else [])


def _flat(value: Any, name: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {name: str(value)}
    return {key: text for part, item in value.items() for key, text in _flat(item, f"{name}.{part}").items()}


def _digests(entry: Entry) -> set[tuple[int | None, str]]:
    return {(run.info.search_seed, str((run.result or {}).get("architecture"))) for run in entry.row.trains}


def _numbers(seeds: set[int]) -> str:
    return ",".join(map(str, sorted(seeds)))


def _commits(entries: Iterable[Entry]) -> str:
    runs = [run for entry in entries for run in entry.row.trains]
    found = sorted({str(run.info.environment.get("commit") or "unknown")[:10] for run in runs})
    return ", ".join(found)


def _unmatched(where: str, these: dict[Key, Entry], others: dict[Key, Entry]) -> list[str]:
    lines = []
    for key, entry in these.items():
        if key in others:
            continue
        near = [entry.row.setting.title for other, entry in others.items() if (other[0], other[3]) == (key[0], key[3])]
        why = f"; the other side has it as {near[0]}, which is not comparable" if near else ""
        lines.append(f"only in {where}: {entry.row.name} ({entry.row.setting.title}){why}")
    return lines
