"""From the records of look-ups to rows. A batch of hundreds of seeds is one row, and one line of a table."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.names import one_line
from bench.records.directory import Record
from methods.architecture import canonical_json
from reports.collect import ancestors, without_copies, without_seeds
from reports.rows import file_form

SEEDS_NAME = "seeds.jsonl"
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, order=True)
class LookupSetting:
    """What rows must have in common to stand in one table: the data set searched on, and the values that answer."""

    dataset: str
    profile: str
    table: str
    epochs: int
    version: str = ""

    @property
    def title(self) -> str:
        version = f", version {self.version}" if self.version else ""
        return (
            f"Look-ups in {self.table} ({self.epochs} epochs{version}), searched on {self.dataset}, "
            f"profile {self.profile}"
        )

    @property
    def slug(self) -> str:
        version = f"-{self.version}" if self.version else ""
        return file_form(f"lookup-{self.table}-{self.dataset}-{self.profile}-{self.epochs}{version}")


@dataclass
class LookupRow:
    """One line: every seed's answer at the budget that was fixed beforehand.

    Attributes:
        scored_by: what the search chose by, in words.
        evaluator: name of the evaluator that the search's configuration names; empty for none.
        budget: evaluations after which the answers were given; None for a search that counts none.
        answers: one a seed, as `result.json` or a line of `seeds.jsonl` has them ("valid", "test", "rank", "regret").
        by_budget: test accuracies on the data set searched on, one a seed, after each number of evaluations.
        trajectories: one a seed: [evaluations, index, score, test accuracy] where the best score changed.
        evaluations: the largest number of a search.
        findings, shrinkage: of seeds that have them, one each, as a line of `seeds.jsonl` has them.
        runs, searches: the look-ups, and the runs that found what is looked up (none of a batch or a given answer).
        agreements: of searches that scored their proposals, one each: {"networks", "kendall_tau", "top": {k: share}}.
    """

    setting: LookupSetting
    label: str
    method: str
    scored_by: str
    evaluator: str
    budget: int | None
    options: Mapping[str, Any]
    answers: list[Mapping[str, Any]] = field(default_factory=list)
    by_budget: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    trajectories: list[list[list[float]]] = field(default_factory=list)
    evaluations: int = 0
    agreements: list[Mapping[str, Any]] = field(default_factory=list)
    findings: list[Mapping[str, Any]] = field(default_factory=list)
    shrinkage: list[Mapping[str, Mapping[str, Any]]] = field(default_factory=list)
    networks: int = 0
    runs: list[Record] = field(default_factory=list)
    searches: list[Record] = field(default_factory=list)

    def values(self, what: str, dataset: str | None = None) -> Numbers:
        """Of every seed's answer; empty where the table has none."""
        name = dataset or self.setting.dataset
        return np.array([a[what][name] for a in self.answers if name in (a.get(what) or {})], np.float64)

    def spent(self, what: str) -> Numbers:
        """`evaluations` of every search up to its answer, or the `distinct` networks among them, where recorded."""
        return np.array([answer[what] for answer in self.answers if what in answer], np.float64)

    @cached_property
    def test(self) -> Numbers:
        """Test accuracies in percent on the data set searched on."""
        return self.values("test")


def lookup_rows(records: Iterable[Record]) -> tuple[list[LookupRow], list[str]]:
    """Rows of all finished look-ups, and what was wrong with the records; a run in two folders counts once."""
    records, _ = without_copies(records)  # what contradicts itself is told beside the other tables
    by_signature = {record.info.signature: record for record in records}
    rows: dict[tuple[Any, ...], LookupRow] = {}
    problems: list[str] = []
    for record in records:
        if record.info.phase != "lookup" or record.result is None:
            continue
        try:
            for label in map(one_line, record.info.rows):
                _add(rows, label, record, ancestors(record, by_signature))
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            problems.append(f"{record.path}: its look-up is not as expected ({error!r}); left out")
    _separate_labels(rows)
    return list(rows.values()), problems


def _add(rows: dict[tuple[Any, ...], LookupRow], label: str, record: Record, searches: Sequence[Record]) -> None:
    info, config, result = record.info, record.info.config, record.result or {}
    search = searches[0].info.config if searches else config  # a batch's own, or that of the run it needs
    wanted = config["lookup"]
    setting = LookupSetting(
        info.dataset, info.profile, wanted["table"], int(wanted["epochs"]), wanted.get("version", "")
    )
    same = [{key: value for key, value in without_seeds(each).items() if key != "seeds"} for each in (config, search)]
    if "seeds" not in config and info.method != "published":
        same[0].pop("architecture", None)  # each seed found its own
    variant = hashlib.sha256(canonical_json(same).encode()).hexdigest()[:8]
    evaluator = (search.get("evaluator") or {}).get("name", "")
    made = LookupRow(
        setting,
        label,
        info.method,
        _scored_by(info.method, config, evaluator),
        evaluator,
        config.get("budget"),
        search.get("options") or {},
    )
    read = _read(record)  # all that can be wrong, before there is a row
    networks, agreements = int(result["table"]["networks"]), [found] if (found := _agreement(result)) else []
    row = rows.setdefault((setting, label, info.method, variant), made)
    row.runs.append(record)
    known = {run.info.signature for run in row.searches}
    row.searches += [run for run in searches if run.info.signature not in known]
    row.networks = networks
    row.answers += read.answers
    row.agreements += agreements
    row.trajectories += read.ways
    row.findings += read.findings
    row.shrinkage += read.shrinkage
    row.evaluations = max(row.evaluations, read.evaluations)
    for budget, values in read.budgets.items():
        row.by_budget[budget] += values


def _scored_by(method: str, config: Mapping[str, Any], evaluator: str) -> str:
    if "seeds" in config:
        return f"validation accuracy after {config['evaluator']['epochs']} epochs, from the table"
    if method == "published":
        return "nothing: it was given"
    return "a supernet with shared weights" if evaluator == "supernet" else "its own search on images"


@dataclass
class _Lines:
    """What a record says: answers at its budget, test accuracies by budget, the rest as in `LookupRow`."""

    answers: list[Mapping[str, Any]] = field(default_factory=list)
    budgets: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    ways: list[list[list[float]]] = field(default_factory=list)
    findings: list[Mapping[str, Any]] = field(default_factory=list)
    shrinkage: list[Mapping[str, Mapping[str, Any]]] = field(default_factory=list)
    evaluations: int = 0


def _read(record: Record) -> _Lines:
    result, config, dataset = record.result or {}, record.info.config, record.info.dataset
    read = _Lines()
    if "seeds" not in config:
        read.answers.append(_checked(result["answer"], dataset))
        return read
    for text in (record.path / SEEDS_NAME).read_text().splitlines():
        line = json.loads(text)
        for answer in line["answers"]:
            read.budgets[int(answer["budget"])].append(float(answer["test"][dataset]))
            if answer["budget"] == config["budget"]:
                read.answers.append(_checked(answer, dataset))
        read.ways.append(line["trajectory"])
        read.findings += [line["findings"]] if "findings" in line else []
        read.shrinkage += [line["shrinkage"]] if "shrinkage" in line else []
        read.evaluations = max(read.evaluations, int(line["evaluations"]))
    if len(read.answers) != result["seeds"]:
        raise ValueError(f"{SEEDS_NAME} has {len(read.answers)} of {result['seeds']} seeds")
    return read


def _checked(answer: Any, dataset: str) -> Mapping[str, Any]:
    for what, low, high in (("test", 0.0, 100.0), ("rank", 1.0, float("inf")), ("regret", 0.0, 100.0)):
        if not low <= answer[what][dataset] <= high:
            raise ValueError(f"{what} is {answer[what][dataset]}")
    return dict(answer)


def _agreement(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How a search's scores order its proposals, checked; None of one without scores, or where it was not recorded."""
    found = result.get("agreement")
    if found is None:
        return None
    tau, top = found["kendall_tau"], {int(k): float(share) for k, share in found["top"].items()}
    if tau is not None and not -1 <= tau <= 1:
        raise ValueError(f"Kendall's tau is {tau}")
    if wrong := [share for share in top.values() if not 0 <= share <= 1]:
        raise ValueError(f"a share of the best networks is {wrong[0]}")
    return {"networks": int(found["networks"]), "kendall_tau": tau, "top": top}


def _separate_labels(rows: Mapping[tuple[Any, ...], LookupRow]) -> None:
    """Rows of one table that would carry the same name get the digest of their configuration behind it."""
    names: dict[tuple[LookupSetting, str], list[tuple[Any, ...]]] = defaultdict(list)
    for key, row in rows.items():
        names[row.setting, row.label].append(key)
    for keys in names.values():
        if len(keys) > 1:
            for key in keys:
                rows[key].label = f"{rows[key].label} [{key[-1][:6]}]"
