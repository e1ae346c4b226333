"""What a sampling search proposed and was told, kept beside its answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.records.directory import Record, write_atomically
from bench.records.inputs import verified_file
from methods.architecture import Architecture

PROPOSALS_NAME = "proposals.jsonl"
EVALUATIONS, DIFFERENT = "evaluations", "different networks"
"""What a search that was told scores spent, in the report of its result."""


def write_proposals(
    folder: Path, proposals: Sequence[Architecture], scores: Sequence[float], costs: Sequence[float] | None = None
) -> None:
    """One line a proposal, in their order: digest, space, genotype and score; its cost where the search heeds one."""
    lines: list[dict[str, Any]] = [
        {"architecture": each.digest, "space": each.space, "genotype": each.genotype, "score": score}
        for each, score in zip(proposals, scores, strict=True)
    ]
    for line, cost in zip(lines, costs or (), strict=costs is not None):
        line["cost"] = cost
    write_atomically(folder / PROPOSALS_NAME, "".join(json.dumps(line) + "\n" for line in lines))


def proposed(record: Record) -> list[str]:
    """Digests of all that a finished search proposed, in order; empty where it kept none. Raises as below."""
    return [line["architecture"] for line in _lines(record)]


def read_proposals(record: Record) -> list[tuple[Architecture, float]]:
    """The different architectures that a finished search proposed, with their scores; empty where it kept none.

    Raises:
        RecordError: the file has changed since.
    """
    found = {
        line["architecture"]: (Architecture(line["space"], line["genotype"]), line["score"]) for line in _lines(record)
    }
    return list(found.values())


def _lines(record: Record) -> list[dict[str, Any]]:
    if PROPOSALS_NAME not in (record.result or {}).get("files", {}):
        return []
    return [json.loads(line) for line in verified_file(record, PROPOSALS_NAME).read_text().splitlines()]
