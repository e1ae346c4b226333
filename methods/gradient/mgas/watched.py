"""The figures of an MGAS search: what remains by granularity and cell, its size, the weight of its cost."""

from __future__ import annotations

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
