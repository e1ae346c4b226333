"""What to watch in an MGAS search: remaining ratios by granularity and cell."""

from __future__ import annotations

from collections.abc import Sequence

from methods.gradient.mgas.cell import SearchCell
from methods.gradient.mgas.topology import ALL_SLOTS, CANDIDATES


def remaining_ratios(cells: Sequence[SearchCell]) -> dict[str, list[float]]:
    """Share of units left at each granularity, one value per cell.

    Operations of the 98 in the beginning; filters of what the living operations (and inputs) had in the beginning;
    weights of what the living operations have at their present widths.
    """
    return {
        "operation": [len(cell.slots) / len(ALL_SLOTS) for cell in cells],
        "filter": [
            int(cell.filters.mask.sum()) / (len(cell.filters.norms) * cell.plan.width(cell.index)) for cell in cells
        ],
        "weight": [
            int(cell.weights.mask.sum()) / cell.weights.mask.numel() if cell.weights.convs else 1.0 for cell in cells
        ],
    }


def operation_histogram(cells: Sequence[SearchCell]) -> dict[str, int]:
    """How often each operation lives, over the given cells."""
    found = [CANDIDATES[op] for cell in cells for _, op in cell.slots]
    return {f"arch/operations/{operation}": found.count(operation) for operation in CANDIDATES}
