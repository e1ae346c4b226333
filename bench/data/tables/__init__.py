"""Published tables of trained networks by name. Two ship with the package: no download. docs/tables.md explains them.

table = get_table("nasbench201")
table.validation("cifar10", epochs=12)[table.index(architecture)]     # what a search may choose by
table.final("cifar10", epochs=200)[table.index(architecture)]         # sealed while a search runs
"""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from functools import cache

from bench.data.tables.table import Measure as Measure
from bench.data.tables.table import Table as Table
from bench.data.tables.table import TableError as TableError
from methods.domain import shown


@dataclass(frozen=True)
class Listed:
    """What is known of a table before it is read.

    Attributes:
        module: that loads it.
        space: whose architectures it holds.
        about: one line for lists.
        ships: with this package; the others are files of the user's own, which may not be there.
    """

    module: str
    space: str
    about: str
    ships: bool = True


TABLES = {
    "nasbench201": Listed(
        "bench.data.tables.nasbench201",
        "nasbench201",
        "15,625 cells on CIFAR-10, CIFAR-100 and ImageNet16-120; validation and test after 12 and 200 epochs",
    ),
    "nasbench_macro": Listed(
        "bench.data.tables.nasbench_macro",
        "nasbench_macro",
        "6,561 chains of 8 blocks on CIFAR-10, 50 epochs; test accuracies of three runs only",
    ),
    "nats_topology": Listed(
        "bench.data.tables.nats_topology",
        "nasbench201",
        "the cells of nasbench201 as NATS-Bench publishes them, from a file of the user's own",
        ships=False,
    ),
}


def table_names() -> tuple[str, ...]:
    """Of the tables that ship with the package."""
    return tuple(name for name, listed in TABLES.items() if listed.ships)


@cache
def get_table(name: str) -> Table:
    """The table called `name`, read and checked once a process.

    Raises:
        TableError: unknown (the message names the nearest and lists all), or its file is damaged or not there.
    """
    if name not in TABLES:
        near = difflib.get_close_matches(str(name), TABLES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        raise TableError(f"no table of trained networks is called {shown(name)}{hint} There are: {', '.join(TABLES)}")
    table: Table = importlib.import_module(TABLES[name].module).load()
    return table


def tables_of(space: str) -> tuple[str, ...]:
    """The names of the tables that ship and hold the architectures of a space; none for most spaces."""
    return tuple(name for name in table_names() if TABLES[name].space == space)
