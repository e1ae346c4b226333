"""From records to the networks of sets on shared weights: what their search scored, and what they do on test images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.names import one_line
from bench.records.directory import Record
from bench.records.run_info import RunInfo
from methods.tasks import CLASSIFICATION, Metric, Task, task_of
from reports.collect import data_details, variants, without_copies
from reports.rows import file_form, number, possible, search_seed

PHASE = "inherit"


@dataclass(frozen=True, order=True)
class InheritedSetting:
    """What networks must have in common to stand in one table."""

    dataset: str
    profile: str
    details: str = ""
    task: Task = field(default=CLASSIFICATION, compare=False)

    @property
    def metric(self) -> Metric:
        return self.task.metric

    @property
    def title(self) -> str:
        title = f"Inherited weights, nothing retrained: {self.dataset}, profile {self.profile}"
        return f"{title}, {self.details}" if self.details else title

    @property
    def slug(self) -> str:
        """For file names and anchors."""
        return file_form(f"inherited-{self.dataset}-{self.profile}-{self.details}".rstrip("-"))


@dataclass
class InheritedRow:
    """One network of a row's set, over the searches that have it in theirs.

    Attributes:
        chosen: the value of every decision, by its name; empty where no record says it.
        macs, params: of the network by itself.
        valid, test: the task's metric by search seed: on the part that the search chose by, and on the test images.
        latency: milliseconds by search seed.
        tabled: search seeds in whose query table it is.
        runs, searches: evaluations, and the searches that found it.
        said: what the experiment says of its row.
        missing: evaluations of its row that are not finished.
    """

    setting: InheritedSetting
    label: str
    method: str
    architecture: str
    chosen: Mapping[str, Any] = field(default_factory=dict)
    macs: float | None = None
    params: float | None = None
    valid: dict[int, float] = field(default_factory=dict)
    test: dict[int, float] = field(default_factory=dict)
    latency: dict[int, float] = field(default_factory=dict)
    tabled: set[int] = field(default_factory=set)
    runs: list[Record] = field(default_factory=list)
    searches: list[Record] = field(default_factory=list)
    said: str = ""
    missing: int = 0

    @property
    def network(self) -> str:
        """In words: channels of the stages, of the insides of blocks, and pixels."""
        kinds: dict[str, list[str]] = {}
        for name, value in self.chosen.items():
            kinds.setdefault(name.rpartition(".")[2], []).append(str(value))
        return ", ".join(f"{kind} {'/'.join(values)}" for kind, values in kinds.items())


def setting_of(info: RunInfo) -> InheritedSetting:
    task = task_of(info.config)
    details = ", ".join(filter(None, [task.title, data_details(info.config)]))
    return InheritedSetting(info.dataset, info.profile, details, task)


def mean(values: Mapping[int, float]) -> float | None:
    return float(np.mean(list(values.values()))) if values else None


def inherited_rows(records: Iterable[Record]) -> tuple[list[InheritedRow], list[str]]:
    """Every network of every set, and what was wrong with the records; a run in two folders counts once."""
    records, _ = without_copies(records)  # what contradicts itself is told beside the other tables
    found = [run for run in records if run.result is not None and _tells(run)]
    by_signature = {run.info.signature: run for run in records}
    evaluated = {label for run in found if run.info.phase == PHASE for label in run.info.rows}
    variant = variants(found, by_signature)
    rows: dict[tuple[Any, ...], InheritedRow] = {}
    problems: list[str] = []
    for run in sorted(found, key=lambda run: run.info.phase == PHASE):
        needed = by_signature.get(run.info.needs[0]) if run.info.phase == PHASE and run.info.needs else run
        kind = variant.get(needed.info.signature, "") if needed is not None else ""
        for label in _labels(run, evaluated):
            try:
                for line in _lines(run):
                    _add(rows, run, one_line(label), kind, line)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                problems.append(f"{run.path}: its networks are not as expected ({error!r}); left out")
    _separate_labels(rows)
    unfinished = [run.info for run in records if run.info.phase == PHASE and run.result is None]
    for (setting, label, *_), row in rows.items():
        row.missing = sum(label in map(one_line, info.rows) and setting == setting_of(info) for info in unfinished)
    return [row for row in rows.values() if row.test or row.tabled], problems


def _tells(run: Record) -> bool:
    result = run.result or {}
    return run.info.phase == PHASE or (run.info.phase == "search" and bool(result.get("query_table")))


def _labels(run: Record, evaluated: set[str]) -> list[str]:
    """Of a search the rows whose networks are evaluated as they are, or its own if there are none."""
    return [label for label in run.info.rows if label in evaluated] or run.info.rows[:1]


def _lines(run: Record) -> Iterator[dict[str, Any]]:
    """What a record says of networks, one after the other."""
    result = run.result or {}
    if run.info.phase == PHASE:
        yield from result["members"]
        return
    tabled = {line["architecture"] for line in result["query_table"]}
    for line in [*result["query_table"], *result.get("members", ())]:
        yield {**line, "tabled": line["architecture"] in tabled}


def _add(
    rows: dict[tuple[Any, ...], InheritedRow], run: Record, label: str, kind: str, line: Mapping[str, Any]
) -> None:
    info, seed = run.info, search_seed(run)
    setting = setting_of(info)
    digest = str(line["architecture"])
    metric = setting.metric
    names = {part: f"{part}_{metric.key}" for part in ("valid", "test")}
    checked = {part: possible(line[name], metric) for part, name in names.items() if name in line}
    row = rows.setdefault((setting, label, kind, digest), InheritedRow(setting, label, info.method, digest))
    row.macs, row.params = number(line["macs"]), number(line["params"])
    row.chosen = line.get("chosen") or row.chosen
    row.said = row.said or (info.note if label == one_line(info.label) else "")
    if "valid" in checked:
        row.valid[seed] = checked["valid"]
    if line.get("tabled"):
        row.tabled.add(seed)
    if "test" in checked:
        row.test[seed] = checked["test"]
        latency = number(line.get("latency_ms"))
        row.latency |= {} if latency is None else {seed: latency}
    held = row.runs if info.phase == PHASE else row.searches
    if all(other.info.signature != info.signature for other in held):
        held.append(run)


def _separate_labels(rows: Mapping[tuple[Any, ...], InheritedRow]) -> None:
    """Sets of one table that would carry the same name get the digest of their search's configuration behind it."""
    kinds: dict[tuple[InheritedSetting, str], set[str]] = {}
    for setting, label, kind, _ in rows:
        kinds.setdefault((setting, label), set()).add(kind)
    for (setting, label, kind, _), row in rows.items():
        if len(kinds[setting, label]) > 1:
            row.label = f"{label} [{kind[:6]}]"
