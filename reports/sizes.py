"""What the title of a table says of the size of its networks: that of cells where it has some, and each space's own.

A profile's channels and cells are part of what decides a table (`Setting.details`), also where its networks are chains,
of whose size they say nothing. Titles leave them out there; which rows stand in a table is as it was.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.records.directory import Record
from methods.architecture import JSON_NAME
from methods.facts import own_spaces
from methods.spaces.chain.macro import macro_of
from methods.spaces.nasbench201.cell import SCALE as NASBENCH201
from reports.rows import Row, Setting

CELLS = "methods.spaces.cell."
"""Where the spaces are whose networks have the profile's channels and cells."""


def of_cells(network: Mapping[str, Any]) -> str:
    """As it stands in `Setting.details`."""
    return f"C={network.get('channels')}, {network.get('cells')} cells"


def of_space(space: str, scale: Mapping[str, Any]) -> str:
    """In the space's own words; likewise."""
    return f"{space}: " + ", ".join(f"{key} {value}" for key, value in scale.items())


def say_sizes(rows: Iterable[Row]) -> None:
    """Give the setting of each row the words of its table's title."""
    by_setting: dict[Setting, list[Row]] = defaultdict(list)
    for row in rows:
        by_setting[row.setting].append(row)
    for setting, group in by_setting.items():
        words = _words(setting, group)
        for row in group:
            row.setting = replace(setting, shown=words)


def _words(setting: Setting, rows: Sequence[Row]) -> str:
    """The details, without the size of cells where every network is known to be of another family."""
    network = next((record.info.config.get("network") for record in _records(rows)), None) or {}
    spaces = [_space(row) for row in rows]
    parts = setting.details.split(", ") if setting.details else []
    if network and not any(map(_may_have_cells, spaces)):
        size = of_cells(network).split(", ")
        parts = [part for part in parts if part not in size]
    given = network.get("scales", {})
    own = {space: scale for space in spaces if space and space not in given and (scale := _own_scale(space))}
    return ", ".join([*parts, *(of_space(space, scale) for space, scale in sorted(own.items()))])


def _records(rows: Iterable[Row]) -> Iterator[Record]:
    return (record for row in rows for record in [*row.trains, *row.counted, *row.unfinished])


def _space(row: Row) -> str | None:
    """Of a row's networks; None where none of its runs has got so far."""
    for record in _records([row]):
        try:
            return str(json.loads((record.path / JSON_NAME).read_bytes())["space"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return None


def _may_have_cells(space: str | None) -> bool:
    known = own_spaces().get(space or "")
    return known is None or known.module.startswith(CELLS)


def _own_scale(space: str) -> Mapping[str, int]:
    """The size that the space gives its networks, where it gives all of them one."""
    macro = macro_of(space)
    if macro is not None:
        return {"channels": macro.stem}
    return NASBENCH201 if space == "nasbench201" else {}
