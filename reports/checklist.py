"""Good practice for NAS research, answered from the records: the fourteen items of Lindauer and Hutter, "Best Practices
for Scientific Research on Neural Architecture Search", JMLR 21(243), 2020.

An item is met only if the records show it. What they cannot show is not met, and the evidence says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.records.directory import Record
from reports.analysis import Table
from reports.collect import without_seeds
from reports.curves import Curve
from reports.rows import is_random

MET, PARTLY, NOT_MET, NOT_APPLICABLE = "met", "partly met", "not met", "does not apply"
VERSIONS = ("python", "torch", "torchvision", "cuda", "cudnn")
SETUP = ("commit", "command", "python", "torch", "device", "host")


@dataclass(frozen=True)
class Item:
    """One item: its number and title, the answer, and what in the records it rests on."""

    number: int
    title: str
    status: str
    evidence: str


@dataclass(frozen=True)
class Facts:
    """What the items look at.

    Attributes:
        spaces: search spaces of the architectures, as far as they were read.
        curves: searches with metrics, by row.
    """

    table: Table
    spaces: frozenset[str]
    curves: dict[str, list[Curve]]

    @property
    def trains(self) -> list[Record]:
        return [run for entry in self.table.entries for run in entry.row.trains]

    @property
    def searches(self) -> list[Record]:
        runs = [run for entry in self.table.entries for run in entry.row.searches]
        return list({run.info.signature: run for run in runs}.values())


Answer = tuple[str, str]


def checklist(table: Table, spaces: Iterable[str], curves: dict[str, list[Curve]]) -> list[Item]:
    """The fourteen items for one table."""
    facts = Facts(table, frozenset(spaces), curves)
    return [Item(number, title, *answer(facts)) for number, (title, answer) in enumerate(ITEMS, start=1)]


def _named_code(runs: list[Record]) -> Answer:
    """Whether every run names a commit and was made from exactly that."""
    commits = Counter(name for run in runs for name in run.info.commits)
    missing = sum(any(name.startswith("None") for name in run.info.commits) for run in runs)
    dirty = sum(any(name.endswith("+dirty") for name in run.info.commits) for run in runs)
    if missing:
        return NOT_MET, f"{missing} of {len(runs)} runs do not name a commit"
    if dirty:
        return NOT_MET, f"{dirty} of {len(runs)} runs come from a working tree with uncommitted changes"
    named = ", ".join(commit[:10] for commit in sorted(commits))
    return MET, f"{len(runs)} runs made from commit {named} as it stands; publish it with the results"


def _training_code(facts: Facts) -> Answer:
    return _named_code(facts.trains)


def _method_code(facts: Facts) -> Answer:
    return _named_code(facts.searches) if facts.searches else (NOT_APPLICABLE, "no search in this table")


def _code_as_used(facts: Facts) -> Answer:
    runs = [*facts.trains, *facts.searches]
    named = sum(bool(run.info.environment.get("commit")) for run in runs)
    return MET if named == len(runs) else NOT_MET, f"{named} of {len(runs)} runs name the code they ran, as it was"


def _same_benchmark(facts: Facts) -> Answer:
    said = f"one data set, profile and recipe: {facts.table.setting.title}"
    if len(facts.spaces) > 1:
        return PARTLY, f"{said}; but several search spaces: {', '.join(sorted(facts.spaces))}"
    return MET, said + (f"; search space {next(iter(facts.spaces))}" if facts.spaces else "")


def _ablations(facts: Facts) -> Answer:
    configurations: dict[str, set[str]] = {}
    for run in facts.searches:
        configurations.setdefault(run.info.method, set()).add(repr(without_seeds(run.info.config)))
    several = [f"{method} ({len(found)})" for method, found in sorted(configurations.items()) if len(found) > 1]
    if several:
        return MET, f"methods in several configurations: {', '.join(several)}"
    return NOT_MET, "every method stands in one configuration"


def _same_protocol(facts: Facts) -> Answer:
    setting = facts.table.setting
    return MET, f"one recipe for every row of the table, by hash: {setting.recipe} {setting.recipe_hash}; last epoch"


def _against_compute(facts: Facts) -> Answer:
    searched = [entry for entry in facts.table.entries if entry.row.searched and entry.summary.runs]
    if not searched:
        return NOT_APPLICABLE, "no search in this table"
    known = [entry for entry in searched if entry.summary.search_hours is not None]
    curves = [entry for entry in searched if entry.row.name in facts.curves]
    said = f"search cost of {len(known)} of {len(searched)} rows, curves over epochs of {len(curves)}"
    return (MET if len(known) == len(searched) else NOT_MET), said


def _random(facts: Facts) -> Answer:
    rows = [entry for entry in facts.table.entries if is_random(entry.row) and entry.summary.runs]
    tried = {run.info.config.get("options", {}).get("samples", 1) for entry in rows for run in entry.row.searches}
    if not rows:
        return NOT_MET, "neither random sampling nor random search in this table"
    if any(isinstance(count, int) and count > 1 for count in tried):
        return MET if 1 in tried else PARTLY, f"random rows that choose among {sorted(tried, key=str)} samples"
    return PARTLY, f"random sampling ({rows[0].summary.searches} samples); no random search at equal cost"


def _seeds(facts: Facts) -> Answer:
    counts = {e.row.name: e.summary.searches for e in facts.table.entries if e.row.searched and e.summary.runs}
    if not counts:
        return NOT_APPLICABLE, "no search in this table"
    alone = [name for name, count in counts.items() if count < 2]
    if alone:
        return NOT_MET, f"one search seed only: {', '.join(alone)}"
    low, high = min(counts.values()), max(counts.values())
    return MET, f"{low if low == high else f'{low} to {high}'} search seeds a row; every seed is in the records"


def _tabular(facts: Facts) -> Answer:
    return NOT_APPLICABLE, "every network was trained; no tabular or surrogate benchmark was queried"


def _confounders(facts: Facts) -> Answer:
    differing = []
    for key in ("device", *VERSIONS, "threads"):
        values = {str(run.info.environment.get(key)) for run in facts.trains}
        if len(values) > 1:
            differing.append(f"{key}: {', '.join(sorted(values))}")
    if differing:
        return NOT_MET, "retrainings differ in " + "; ".join(differing)
    device = {str(run.info.environment.get("device")) for run in facts.trains}
    return MET, f"one device type ({', '.join(device)}) and one set of versions for all retrainings"


def _tuning(facts: Facts) -> Answer:
    return NOT_MET, "the records hold the options used, not how they were chosen; state it where you publish"


def _end_to_end(facts: Facts) -> Answer:
    entries = [entry for entry in facts.table.entries if entry.summary.runs]
    search = [entry.summary.search_hours for entry in entries]
    train = [entry.summary.train_hours for entry in entries]
    if None in search or None in train:
        missing = sum(a is None or b is None for a, b in zip(search, train, strict=True))
        return NOT_MET, f"device time is missing for {missing} of {len(entries)} rows"
    total_search, total_train = sum(x or 0.0 for x in search), sum(x or 0.0 for x in train)
    return MET, f"all searches {total_search:.1f} and all retrainings {total_train:.1f} device-hours"


def _setup(facts: Facts) -> Answer:
    runs = [*facts.trains, *facts.searches]
    lacking = Counter(key for run in runs for key in SETUP if not run.info.environment.get(key))
    if lacking:
        return NOT_MET, "missing in some runs: " + ", ".join(f"{key} ({n})" for key, n in lacking.most_common())
    return MET, f"configuration, command, versions, device and host of all {len(runs)} runs"


ITEMS: tuple[tuple[str, Callable[[Facts], Answer]], ...] = (
    ("Code of the training pipeline is released", _training_code),
    ("Code of the NAS method is released", _method_code),
    ("Code is released as it was used, not only once it is clean", _code_as_used),
    ("The same NAS benchmark for all: data, search space, pipeline", _same_benchmark),
    ("Ablation studies", _ablations),
    ("The same evaluation protocol for all", _same_protocol),
    ("Performance as a function of compute", _against_compute),
    ("Comparison with random sampling and random search", _random),
    ("Several runs, with their seeds", _seeds),
    ("Tabular or surrogate benchmarks where possible", _tabular),
    ("Confounding factors controlled: hardware, versions", _confounders),
    ("Use of hyper-parameter optimisation reported", _tuning),
    ("End-to-end cost reported", _end_to_end),
    ("The whole setup reported", _setup),
)
