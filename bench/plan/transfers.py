"""Rows whose architectures another experiment's searches found: which of these searches are there, and what is not.

    darts-from-cifar10: {transfer: {experiment: cifar10, row: darts}}

takes, for each search seed, what the search of that row and seed found that the other experiment plans today, from its
records in RUNS_DIR. The search becomes a run of this experiment, too (`bench.records.carried`); a training of what it
found has the search's signature and the architecture's digest in its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.config import identity
from bench.plan.experiment import load_experiment
from bench.plan.planned import Plan, Source
from bench.plan.schema import Experiment, Row, Transfer
from bench.records.directory import directories, is_run_directory
from bench.records.inputs import finished_record
from bench.records.run_info import RecordError, RunInfo


@dataclass
class Transfers:
    """What is there of the searches that rows start from.

    Attributes:
        found: by row and search seed.
        lacking: by row, the seeds whose search is not finished.
        commands: by row, what makes them.
    """

    found: dict[str, dict[int, Source]] = field(default_factory=dict)
    lacking: dict[str, list[int]] = field(default_factory=dict)
    commands: dict[str, tuple[str, str]] = field(default_factory=dict)

    def left_out(self, experiment: Experiment, label: str) -> bool:
        """Whether a row is, or rests on, a transferred one of which nothing is there."""
        rows = experiment.rows
        return any(rows[name].transfer is not None and not self.found.get(name) for name in experiment.rests_on(label))

    def sentences(self, experiment: Experiment, rows: Sequence[str]) -> list[str]:
        """What to say of rows that cannot start, or not from every seed; with the command that makes their searches."""
        out = [label for label in rows if self.left_out(experiment, label)]
        none = [label for label, found in self.found.items() if not found]
        some = {label: seeds for label, seeds in self.lacking.items() if seeds and self.found[label]}
        said = []
        if out:
            why = "Left out, because the searches that they start from are not finished in RUNS_DIR"
            said.append(f"{why}: {', '.join(out)}. To make them: {self._make(none)}")
        for label, seeds in some.items():
            missing = ", ".join(map(str, seeds))
            said.append(
                f"{label} starts from {len(self.found[label])} searches; that of seed {missing} is not finished. "
                f"To make it: {self._make([label])}"
            )
        return said

    def _make(self, rows: Sequence[str]) -> str:
        wanted: dict[str, list[str]] = {}
        for label in rows:
            command, row = self.commands[label]
            wanted.setdefault(command, []).append(row)
        return " and ".join(
            f"{command} --methods {' '.join(dict.fromkeys(names))}" for command, names in wanted.items()
        )


def find_transfers(
    experiment: Experiment,
    profile: str,
    runs_dir: Path,
    rows: Sequence[str] | None = None,
    search_seeds: Sequence[int] | None = None,
    memory: str | None = None,
) -> Transfers:
    """Look for the searches that rows of an experiment start from; arguments as of `bench.plan.runs.plan`.

    Raises:
        ConfigError: the other experiment cannot be read.
    """
    found = Transfers()
    seeds = tuple(search_seeds) if search_seeds is not None else experiment.profile(profile).search_seeds
    for label in _wanted(experiment, rows):
        transfer = experiment.rows[label].transfer
        assert transfer is not None
        _look(found, label, transfer, transfer.profile or profile, runs_dir, seeds, memory)
    return found


def _wanted(experiment: Experiment, rows: Sequence[str] | None) -> list[str]:
    """The transferred rows among some rows and among those that these rest on."""
    wanted = {name: None for label in rows or experiment.lines for name in experiment.rests_on(label)}
    return [label for label in wanted if experiment.rows[label].transfer is not None]


def _look(
    transfers: Transfers,
    label: str,
    transfer: Transfer,
    profile: str,
    runs_dir: Path,
    seeds: Sequence[int],
    memory: str | None,
) -> None:
    other = load_experiment(transfer.experiment)
    whole, row = Plan(other, profile, memory), other.rows[transfer.row]
    folder = runs_dir / f"{other.name}-{profile}"
    transfers.found[label], transfers.lacking[label] = {}, []
    transfers.commands[label] = f"dasbench run {transfer.experiment} --profile {profile}", transfer.row
    for seed in seeds:
        source = _finished(whole.search(transfer.row, row, seed), row, folder)
        if source is None:
            transfers.lacking[label].append(seed)
        else:
            transfers.found[label][seed] = source


def _finished(planned: RunInfo, row: Row, folder: Path) -> Source | None:
    """A planned search of another experiment as its folder holds it, if it is done and sound."""
    directory = directories(folder, [planned])[planned.signature]
    if not is_run_directory(directory.path):
        return None
    try:
        record = finished_record(directory.path)
    except RecordError:
        return None
    if record is None or record.result is None or record.info.signature != planned.signature:
        return None
    select = identity(row.select) if row.select else None
    digests = record.result.get("family") if select else record.result["architecture"]
    planned.origin = {
        "experiment": planned.experiment,
        "profile": planned.profile,
        "row": planned.label,
        "run": record.path.name,
        "directory": str(record.path.absolute()),
    }
    return Source(planned, {"run": planned.signature, "select": select, "found": digests})
