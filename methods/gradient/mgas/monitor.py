"""What to watch in an MGAS search: remaining ratios by granularity and cell."""

from __future__ import annotations

from collections.abc import Sequence

from methods.gradient.mgas.cell import SearchCell
from methods.gradient.mgas.supernet import Supernet


def remaining_ratios(cells: Sequence[SearchCell]) -> dict[str, list[float]]:
    """Share of units left at each granularity, one value per cell.

    Operations of all that there were in the beginning (98 in a cell of DARTS); filters of what the living operations
    (and inputs) had in the beginning; weights of what the living operations have at their present widths.
    """
    return {
        "operation": [len(cell.slots) / len(cell.structure.slots) for cell in cells],
        "filter": [int(cell.filters.mask.sum()) / cell.filters.first if cell.filters.norms else 1.0 for cell in cells],
        "weight": [
            int(cell.weights.mask.sum()) / cell.weights.mask.numel() if cell.weights.convs else 1.0 for cell in cells
        ],
    }


def operation_histogram(net: Supernet) -> dict[str, int]:
    """How often each operation lives, over all cells."""
    found = net.operation_names()
    return {f"arch/operations/{operation}": found.count(operation) for operation in net.names}
