"""Rows whose searches found one and the same architecture: their numbers differ by retraining alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from reports.rows import Row, search_seed

Found = dict[str, dict[str, set[int]]]
"""Digest of an architecture, label of a row, search seeds that found it."""


def alike_notes(rows: Iterable[Row]) -> list[str]:
    """A sentence for each architecture that stands in several rows; a row and its fine-tuned sibling are one."""
    found: Found = defaultdict(lambda: defaultdict(set))
    for row in rows:
        for record in row.trains if row.searched and row.twin is None else []:
            digest = (record.result or {}).get("architecture")
            if isinstance(digest, str):
                found[digest][row.label].add(search_seed(record))
    return [
        f"the same architecture ({digest[:8]}): {_named(seeds)}; between these at most the retraining differs"
        for digest, seeds in found.items()
        if len(seeds) > 1
    ]


def _named(seeds: dict[str, set[int]]) -> str:
    return ", ".join(f"{row} (search seed {', '.join(map(str, sorted(each)))})" for row, each in seeds.items())
