"""Rows put together to tables with their statistics: what every output (text, page, plots) reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from bench.records.directory import Record
from methods.tasks import Metric, Task
from reports import coverage
from reports.alike import alike_notes
from reports.collect import collect
from reports.coupling import coupled, twin_notes, twins
from reports.numbers import Number
from reports.power import pairs_needed, seeds_needed
from reports.references import Reference, find
from reports.rows import RANDOM_METHOD, Row, Setting, is_random, number, part
from reports.statistics import (
    LEVEL,
    PAIRED,
    Comparison,
    Improvement,
    Interval,
    all_pairs,
    improvement,
    interval,
    letters,
)
from reports.summary import Summary, summarise
from reports.verdicts import PAPER, Verdict, judge


@dataclass
class Entry:
    """A row with everything computed about it.

    Attributes:
        rank: 1 for the best mean of the table, by the task's headline.
        letters: rows of a table that share a letter cannot be separated.
        seeds_wanted: searches per row that find each of the metric's `differences` after Holm's correction over the
            table's pairs.
        improvement: over random sampling; None without a random row, and for that row itself.
        verdict: where a published value is known.
        reference, other_references: the published values, only where the profile is `paper`; the first one that is
            comparable is the main one.
    """

    row: Row
    summary: Summary
    interval: Interval | None
    rank: int | None = None
    letters: str = ""
    improvement: Improvement | None = None
    seeds_wanted: dict[float, int] | None = None
    reference: Reference | None = None
    verdict: Verdict | None = None
    other_references: list[tuple[Reference, Verdict | None]] = field(default_factory=list)


@dataclass
class Table:
    """The rows of one setting, best first; `intermediate` ones (`reports.rows.Row`) stand in none of its statistics.

    Attributes:
        twins: rows made of the same runs as another one, and that one; `comparisons` and `adjusted` are without them.
        numbers: what was measured of the rows elsewhere (`reports.numbers`).
    """

    setting: Setting
    entries: list[Entry]
    comparisons: dict[frozenset[str], Comparison]
    adjusted: dict[frozenset[str], float]
    twins: dict[str, str]
    notes: list[str]
    intermediate: list[Entry] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)

    @property
    def task(self) -> Task:
        return self.setting.task

    @property
    def metric(self) -> Metric:
        """By which its rows are ranked."""
        return self.setting.metric

    @property
    def paper(self) -> bool:
        return self.setting.profile == PAPER

    @property
    def random(self) -> Entry | None:
        """The row of random sampling with most searches."""
        found = [entry for entry in self.entries if is_random(entry.row) and entry.summary.value is not None]
        return max(found, key=lambda entry: entry.summary.searches, default=None)


def analyse(records: Iterable[Record]) -> tuple[list[Table], list[str]]:
    """All tables of the records, and what was wrong with the records."""
    rows, problems = collect(records)
    by_setting: dict[Setting, list[Row]] = defaultdict(list)
    for row in rows:
        by_setting[row.setting].append(row)
    ordered = sorted(by_setting.items(), key=lambda item: (item[0].dataset, item[0].profile, -len(item[1]), item[0]))
    return [_table(setting, group) for setting, group in ordered], problems


def _table(setting: Setting, rows: list[Row]) -> Table:
    metric = setting.metric
    whole = [Entry(row, summarise(row), _possible(interval(row.samples), metric)) for row in rows]
    entries = [entry for entry in whole if not entry.row.intermediate]
    finished = {entry.row.name: entry for entry in entries if entry.summary.value is not None}
    same = twins({name: entry.row.trains for name, entry in finished.items()})
    comparisons, adjusted = all_pairs(
        {name: entry.row.units for name, entry in finished.items() if name not in same},
        lambda a, b: coupled(finished[a].row.origins, finished[b].row.origins),
    )
    marks = letters([n for n in finished if n not in same], {pair for pair, p in adjusted.items() if p < LEVEL})
    for place, (name, entry) in enumerate(finished.items(), start=1):
        first = same.get(name, name)
        entry.rank, entry.letters = finished[first].rank or place, marks[first] if len(finished) > 1 else ""
        if entry.summary.std_searches:
            entry.seeds_wanted = {
                d: seeds_needed(entry.summary.std_searches, d, max(1, len(comparisons))) for d in metric.differences
            }
        _set_beside_published(entry)
    intermediate = [entry for entry in whole if entry.row.intermediate]
    table = Table(setting, entries, comparisons, adjusted, same, [], intermediate)
    baseline = table.random
    for name, entry in finished.items():
        if baseline is not None and same.get(name, name) != same.get(baseline.row.name, baseline.row.name):
            entry.improvement = improvement(metric, entry.row.samples, baseline.row.samples)
    table.notes = _notes(table)
    return table


def _possible(bounds: Interval | None, metric: Metric) -> Interval | None:
    """An interval, cut to what the metric can be."""
    return bounds and Interval(*bounds.within(metric.low, metric.high), bounds.units)


def _set_beside_published(entry: Entry) -> None:
    """The verdict on a row of which a published value is known; the value itself only beside the published schedule."""
    row = entry.row
    judged = [(reference, judge(row, reference)) for reference in find(row)]
    judged.sort(key=lambda each: each[1] is None or not each[1].comparable)
    if not judged:
        return
    entry.verdict = judged[0][1]
    if row.setting.profile == PAPER:
        entry.reference, entry.other_references = judged[0][0], judged[1:]


def _notes(table: Table) -> list[str]:
    finished = [entry for entry in table.entries if entry.summary.value is not None]
    notes = []
    if not table.paper:
        notes.append(f"profile {table.setting.profile}: not comparable with published values (reduced schedule)")
    if not finished:
        return [*notes, "no retraining has finished"]
    notes += _baseline_notes(finished, table.task)
    if table.random is None:
        matched = any(entry.row.method == RANDOM_METHOD and not is_random(entry.row) for entry in table.entries)
        there = "random sampling only at the size of other rows" if matched else "no random sampling in this table"
        stated = "relative improvement" if table.metric.complement is not None else "what rows are better by"
        notes.append(f"{there}: {stated} cannot be stated")
    notes += twin_notes(table.twins) + alike_notes(entry.row for entry in finished)
    notes += _interval_notes(finished, table.metric) + _seed_notes(finished, table) + _pair_notes(table)
    if len(finished) > 1:
        tested = len(table.adjusted)
        separated = sum(p < LEVEL for p in table.adjusted.values())
        lettered = any(entry.letters for entry in finished)
        told = "letters: rows that share one cannot be separated" if lettered else "too many groups for letters"
        notes.append(
            f"{told} ({separated} of {len(table.comparisons)} pairs are separated, {tested} could be tested; Holm, 5 %)"
        )
    return notes


def _baseline_notes(finished: list[Entry], task: Task) -> list[str]:
    """What the task's untrained line does, which any row has to beat, and the rows that do not."""
    found = [part(run, "metrics") for entry in finished for run in entry.row.trains]
    metrics = [
        each for each in task.metrics if any(number(one.get(f"baseline_{each.key}")) is not None for one in found)
    ]
    if task.baseline_name is None or not metrics:
        return []
    key = f"baseline_{task.metric.key}"
    lines = {tuple(number(one.get(f"baseline_{each.key}")) for each in metrics) for one in found if one.get(key)}
    if len(lines) > 1:
        return [f"{task.baseline_name}: the runs of this table name {len(lines)} different values of it"]
    [values] = lines
    said = ", ".join(f"{m.name} {m.said(v)}" for m, v in zip(metrics, values, strict=True) if v is not None)
    line = task.headline_of(dict(zip(metrics, values, strict=True))[task.metric] or 0.0)
    below = [e.row.name for e in finished if task.headline.gain(e.summary.value or 0.0, line) <= 0]
    worse = f"; no better than that: {', '.join(below)}" if below else ""
    return [f"{task.baseline_name}, untrained, on the same test images: {said}{worse}"]


def _interval_notes(finished: list[Entry], metric: Metric) -> list[str]:
    """What was tested of the intervals shown, and why some rows have none."""
    alone = [e.row.name for e in finished if e.row.searched and e.summary.searches < 2]
    same = [e.row.name for e in finished if e.interval is None and len(e.row.units) > 1]
    notes = []
    if alone:
        notes.append(f"one search only, so no interval and no test: {', '.join(alone)}")
    if same:
        notes.append(f"every seed gave the same {metric.name}, which tells no noise, so no interval: {', '.join(same)}")
    shown = {n: coverage.lowest(n) for n in sorted({e.interval.units for e in finished if e.interval is not None})}
    tested = [f"at least {least:.1f} % at n = {n}" for n, least in shown.items() if least is not None]
    untested = [str(n) for n, least in shown.items() if least is None]
    if tested:
        notes.append(f"95 % intervals are Student's over n searches or retrainings; simulated: {', '.join(tested)}")
    if untested:
        notes.append(f"the coverage of the 95 % interval was not simulated at n = {', '.join(untested)}")
    return notes


def _seed_notes(finished: list[Entry], table: Table) -> list[str]:
    """Whether the seeds suffice for Welch's test, judged by the pooled standard deviation between searches."""
    spreads = [e.summary.std_searches for e in finished if e.summary.std_searches]
    if not spreads:
        return []
    sigma = float(np.sqrt(np.mean(np.square(spreads))))
    fewest = min(e.summary.searches for e in finished if e.row.searched)
    comparisons, (small, large) = len(table.comparisons), table.metric.differences
    wanted = {d: (seeds_needed(sigma, d), seeds_needed(sigma, d, max(1, comparisons))) for d in (small, large)}
    if fewest >= wanted[small][1]:
        return []
    verdict = "too few seeds" if fewest < wanted[large][0] else "few seeds"
    spread, sizes = table.metric.written(sigma), _sizes(wanted, comparisons, table.metric)
    return [
        f"{verdict}: the smallest row has {fewest} searches; at a standard deviation of {spread} between searches "
        f"Welch's test takes {sizes} (searches per row, 80 % power)"
    ]


def _pair_notes(table: Table) -> list[str]:
    """Rows that share what they rest on, and what their paired test takes."""
    paired = [found for found in table.comparisons.values() if found.test == PAIRED]
    if not paired:
        return []
    spread = float(np.sqrt(np.mean([found.spread**2 for found in paired if found.spread is not None])))
    count = len(table.comparisons)
    wanted = {d: (pairs_needed(spread, d), pairs_needed(spread, d, count)) for d in table.metric.differences}
    return [
        f"{len(paired)} of {count} pairs of rows share a search or a dense network and are compared seed by seed "
        f"(paired t); at a standard deviation of {table.metric.written(spread)} of their differences this takes "
        f"{_sizes(wanted, count, table.metric)} (seeds of both, 80 % power)"
    ]


def _sizes(wanted: dict[float, tuple[int, int]], comparisons: int, metric: Metric) -> str:
    """ "16 for 0.2 points and 8 for 0.3, after Holm's correction over 15 pairs 28 and 13" """
    alone = " and ".join(f"{n[0]} for {d} {metric.step}" for d, n in wanted.items())
    if comparisons < 2:
        return alone
    corrected = " and ".join(str(n[1]) for n in wanted.values())
    return f"{alone}, after Holm's correction over {comparisons} pairs {corrected}"
