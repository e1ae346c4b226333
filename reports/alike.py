"""Searches of different rows that found one and the same architecture: their numbers differ by retraining alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations

from reports.rows import Row, search_seed

Found = dict[str, dict[str, set[int]]]
"""Digest of an architecture, name of a row, search seeds that found it."""


def alike_notes(rows: Iterable[Row]) -> list[str]:
    """A sentence for each architecture that rows found independently; rows that rest on one search did not."""
    kept = {row.name: row for row in rows if row.searched and row.twin is None}
    found: Found = defaultdict(lambda: defaultdict(set))
    for row in kept.values():
        for record in row.trains:
            digest = (record.result or {}).get("architecture")
            if isinstance(digest, str):
                found[digest][row.name].add(search_seed(record))
    return [
        f"the same architecture ({digest[:8]}): {_named(seeds)}; between these at most the retraining differs"
        for digest, seeds in found.items()
        if any(_independent(kept[a], kept[b], seeds[a], seeds[b]) for a, b in combinations(seeds, 2))
    ]


def _independent(one: Row, other: Row, seeds: set[int], others: set[int]) -> bool:
    """Whether there are searches of both that have nothing in common."""
    empty: frozenset[str] = frozenset()
    return any(not one.origins.get(seed, empty) & other.origins.get(their, empty) for seed in seeds for their in others)


def _named(seeds: dict[str, set[int]]) -> str:
    return ", ".join(f"{row} (search seed {', '.join(map(str, sorted(each)))})" for row, each in seeds.items())
