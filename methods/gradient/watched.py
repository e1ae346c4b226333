"""The figures of gradient searches that have more, or less, than every search over operations."""

from __future__ import annotations

from methods.parts.watched import ENTROPY, OPERATIONS
from methods.watched import Watched

REMOVED = Watched(
    "removed", "Removed so far", {"pruning/removed": ""}, "fraction",
    "Fraction of the network with all candidates that is gone, in the unit of the ratio",
)  # fmt: skip
OPERATION_PRUNING = (OPERATIONS, ENTROPY, REMOVED)
"""Without skip connections: they stay beside other operations, and four of them are no collapse."""
