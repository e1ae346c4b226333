"""What an experiment says of its look-ups: the table that answers instead of retrainings, and what is asked of it.

An experiment with `lookup` retrains nothing. A row whose proposals the table scores (`evaluator: table`) is searched on
every data set named here by a batch of seeds in one run; the architecture of any other row is looked up by a run of its
own. Everything that can be wrong is refused here, before the first run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.config import ConfigError, nearest
from bench.data.tables import get_table
from methods.domain import check, shown, within


@dataclass(frozen=True)
class Lookup:
    """How a table of trained networks answers.

    Attributes:
        table: its name.
        epochs: training budget of the values that answer.
        datasets: those of the table that rows scored by it are searched on, each in a run of its own.
        budgets: numbers of evaluations after which such a search answers.
        budget: the one of them that was fixed beforehand; a verdict is on this one.
        version: of the values that answer, where the table has several of one training budget (default: its first).
    """

    table: str
    epochs: int = field(metadata=within("[1, 100000]"))
    datasets: tuple[str, ...]
    budgets: tuple[int, ...] = field(default=(50, 100, 200), metadata=within("[1, 1000000]"))
    budget: int = field(default=100, metadata=within("[1, 1000000]"))
    version: str = field(default="", metadata={"absent": ""})

    def __post_init__(self) -> None:
        check(self, ConfigError)
        if not self.datasets or len(set(self.datasets)) < len(self.datasets):
            raise ConfigError(f"datasets is {shown(list(self.datasets))}; name some of the table's, each once")
        for name in self.datasets:
            get_table(self.table).measure(name, "test", self.epochs, self.version)
        if not self.budgets or list(self.budgets) != sorted(set(self.budgets)):
            raise ConfigError(f"budgets is {shown(list(self.budgets))}; name numbers of evaluations, each once, rising")
        if self.budget not in self.budgets:
            raise ConfigError(f"budget {self.budget} is none of the budgets" + nearest(self.budget, self.budgets))

    @property
    def space(self) -> str:
        return get_table(self.table).space

    def as_config(self) -> dict[str, Any]:
        """The part of a run's configuration that says which values answer."""
        return {"table": self.table, "epochs": self.epochs} | ({"version": self.version} if self.version else {})


def refuse_space(table: str, space: str, what: str) -> None:
    """Raises ConfigError when a table holds networks of another space; an unknown space ("") is found out later."""
    there = get_table(table).space
    if space and space != there:
        raise ConfigError(
            f"{what} works in the space {space}, and table {table} holds networks of {there}; set its option space: "
            f"{there}, or leave it out of this experiment"
        )


def seeds_as_text(seeds: Iterable[int]) -> str:
    """Seeds as a command line has them: "0-499", "0-2,7"."""
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][1] + 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)


def seeds_of(text: str) -> list[int]:
    """Inverse of `seeds_as_text`."""
    parts = [part.partition("-") for part in text.split(",")]
    return [seed for first, _, last in parts for seed in range(int(first), int(last or first) + 1)]
