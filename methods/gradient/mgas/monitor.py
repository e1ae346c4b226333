"""What to watch in an MGAS search: remaining ratios by granularity and cell."""

from __future__ import annotations

from collections.abc import Sequence

from methods.gradient.mgas.cell import SearchCell
from methods.gradient.mgas.topology import ALL_SLOTS, CANDIDATES
from methods.parts.watched import OPERATIONS
from methods.watched import Flag, Watched

WATCHED = (
    OPERATIONS,
    Watched(
        "mgas-ratios", "Remaining ratios",
        {"mgas/ratio_operation": "operations", "mgas/ratio_filter": "filters", "mgas/ratio_weight": "weights"},
        "remaining ratio", "What remains in each cell of what it had at first", "by cell",
        Flag(
            "cut at the limit", "a search whose last operations went when its epochs were used up, not below their "
            "thresholds,", ("mgas/cut",), 1,
        ),
    ),
    Watched(
        "mgas-size", "Size during the search", {"mgas/size": ""}, "size (million weights)",
        "Convolution weights of the supernet under its committed masks",
    ),
    Watched(
        "mgas-lambda", "Weight of the cost term", {"mgas/lambda": ""}, "lambda",
        "Weight of the cost in the loss, which follows how many operations a commit removed",
    ),
)  # fmt: skip


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
