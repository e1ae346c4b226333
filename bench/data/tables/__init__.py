"""Published tables of trained networks by name. Two ship with the package: no download. docs/tables.md explains them.

table = get_table("nasbench201")
table.validation("cifar10", epochs=12)[table.index(architecture)]     # what a search may choose by
table.final("cifar10", epochs=200)[table.index(architecture)]         # sealed while a search runs
"""

from __future__ import annotations

import difflib
import importlib
from functools import cache

from bench.data.listed_tables import TABLES as TABLES
from bench.data.tables.table import Measure as Measure
from bench.data.tables.table import Table as Table
from bench.data.tables.table import TableError as TableError
from methods.domain import shown


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
