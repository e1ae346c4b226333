"""From the records of a table to what its searches with two objectives found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.records.directory import Record
from methods.sampling.fronts import Individual, Objectives, front, hypervolume
from reports.analysis import Table
from reports.rows import number, part, search_seed

KEY = "objectives"
"""Of a search's result."""


@dataclass(frozen=True)
class Found:
    """One search.

    Attributes:
        row: that it was first asked for by.
        retrained: by the digest of an architecture, rows that retrained it, and their mean test errors in percent.
    """

    row: str
    seed: int
    objectives: Objectives
    retrained: Mapping[str, Mapping[str, float]]

    @property
    def front(self) -> list[Individual]:
        return front(self.objectives.individuals)

    def volumes(self, largest: float) -> list[float]:
        """The hypervolume of all that was evaluated until the end of each generation (`methods.sampling.fronts`)."""
        return [hypervolume(front(each), largest) for each in self.objectives.generations()]


def fronts(table: Table) -> list[Found]:
    """Of every finished search of the table's rows, once; one whose record cannot be read is left out, and told."""
    found: dict[str, Found] = {}
    for entry in table.entries:
        for run in entry.row.searches:
            told = (run.result or {}).get(KEY)
            if not told or run.info.signature in found:
                continue
            try:
                objectives = Objectives.from_json(told)
                Found("", 0, objectives, {}).volumes(largest(objectives.individuals))
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                note = f"{run.info.name}: its objectives are not as expected ({error!r}); its front is left out"
                table.notes += [note] if note not in table.notes else []
                continue
            own = Found(entry.row.label, search_seed(run), objectives, _retrained(table, run))
            found[run.info.signature] = own
    return list(found.values())


def largest(individuals: Sequence[Individual]) -> float:
    """The count of the reference point: that of the largest network."""
    return max(each.count for each in individuals)


def reference(found: Sequence[Found], on: str) -> float:
    """The largest network of all searches that count the same, so that their hypervolumes can be compared."""
    return max(largest(each.objectives.individuals) for each in found if each.objectives.on == on)


def _retrained(table: Table, search: Record) -> dict[str, dict[str, float]]:
    """What became of the members of a front."""
    errors: dict[str, dict[str, list[float]]] = {}
    for entry in table.entries:
        for train in entry.row.trains:
            error = number(part(train, "metrics").get("test_error"))
            if search.info.signature in train.info.needs and error is not None:
                digest = str((train.result or {}).get("architecture"))
                errors.setdefault(digest, {}).setdefault(entry.row.name, []).append(error)
    return {digest: {name: sum(each) / len(each) for name, each in by_row.items()} for digest, by_row in errors.items()}
