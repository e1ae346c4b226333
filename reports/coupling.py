"""Which units of two rows rest on something common: only those are pairs.

A transform and its own dense network, fine-tuned and from scratch, two sizes of one search: what they share varies from
unit to unit and falls out of their difference. Equal seeds of unrelated rows share an order of images, no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.records.directory import Record
from bench.records.run_info import built_on
from reports.rows import Row, search_seed

Origins = Mapping[int, frozenset[str]]
"""{unit: what it rests on}: signatures of runs, or digests of architectures"""


def descent(record: Record, by_signature: Mapping[str, Record]) -> frozenset[str]:
    """Signatures of a run and of those it inherits an architecture or weights from; a size to match is no descent."""
    found: set[str] = set()
    frontier = [record.info.signature]
    while frontier:
        signature = frontier.pop()
        if signature in found:
            continue
        found.add(signature)
        if signature in by_signature:
            info = by_signature[signature].info
            source = info.config.get("source")
            frontier += [str(source)] if source else map(str, built_on(info))
    return frozenset(found)


def origins(row: Row, by_signature: Mapping[str, Record]) -> dict[int, frozenset[str]]:
    """For each unit of a row everything its retrainings descend from, themselves included."""
    found: dict[int, frozenset[str]] = {}
    for record in row.trains:
        unit = search_seed(record) if row.searched else record.info.retrain_seed or 0
        found[unit] = found.get(unit, frozenset()) | descent(record, by_signature)
    return found


def coupled(a: Origins, b: Origins) -> frozenset[int]:
    """Units at which both rest on something common."""
    return frozenset(unit for unit in a.keys() & b.keys() if a[unit] & b[unit])


def twins(runs: Mapping[str, Iterable[Record]]) -> dict[str, str]:
    """Names of rows that are made of the same runs as an earlier one, and the name of that one.

    What is said of the one is said of the other; they are no two samples, and a test of them would compare nothing.
    """
    first: dict[frozenset[str], str] = {}
    found = {name: first.setdefault(frozenset(run.info.signature for run in of), name) for name, of in runs.items()}
    return {name: other for name, other in found.items() if name != other}


def twin_notes(same: Mapping[str, str]) -> list[str]:
    """One sentence for each row of `twins`."""
    return [
        f"{name} is made of the same runs as {other}: the two are not compared, and tests name {other} alone"
        for name, other in same.items()
    ]
