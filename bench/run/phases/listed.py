"""The list of architectures that a search keeps to, as the search left it that it waits for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.data.tables import Table
from bench.records.inputs import verified_file
from bench.run.phases.context import RunContext
from bench.run.shrinkage import LISTED_NAME, codes_of
from methods.spaces import get_space
from methods.spaces.listed import ListedSpace

SEEDS_NAME = "seeds.jsonl"


def list_of(run: RunContext) -> ListedSpace | None:
    """Of a search; None where it keeps to none, or the other one kept the whole space.

    Raises:
        RunError: the other search is not done.
        RecordError: its list is missing or has changed.
        ArchitectureError: the list is of another space.
    """
    if "listed" not in run.config:
        return None
    other = run.needed(run.config["listed"]["run"])
    if LISTED_NAME not in (other.result or {}).get("files", {}):
        return None
    stored = json.loads(verified_file(other, LISTED_NAME).read_text())
    return ListedSpace.from_json(get_space(run.config["options"]["space"]), stored)


def lists_by_seed(run: RunContext, table: Table) -> Mapping[int, ListedSpace]:
    """Of a batch on a table, for every seed whose other search left a list that is shorter than the space."""
    if "listed" not in run.config:
        return {}
    text = verified_file(run.needed(run.config["listed"]["run"]), SEEDS_NAME).read_text()
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    space, codes = get_space(table.space), codes_of(table)
    return {
        line["seed"]: ListedSpace.of(space, [codes[index] for index in line["listed"]])
        for line in lines
        if "listed" in line and len(line["listed"]) < len(table)
    }
