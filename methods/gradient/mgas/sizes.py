"""The search's own measure of size, in which stage targets are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from methods.gradient.mgas.cell import SearchCell
from methods.gradient.mgas.structure import Slot

MILLION = 1e6


def search_size(
    cells: Sequence[SearchCell], measure: str, dropped: Mapping[int, Collection[Slot]] | None = None
) -> float:
    """Size of the executed cells under their committed masks, in millions of convolution weights.

    Args:
        measure: "kept", "nonzero" or "published", see `methods.gradient.mgas.switches`.
        dropped: operations per cell to be treated as removed already.
    """
    total = sum(
        cell.operation_size(slot, measure)
        for cell in cells
        for slot in cell.slots
        if slot not in (dropped or {}).get(cell.index, ())
    )
    return total / MILLION
