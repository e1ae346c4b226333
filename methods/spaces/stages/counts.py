"""Parameters and MACs of a network of stage graphs in closed form: what counting the built network gives.

Counted as in `methods.parts.counts`; the auxiliary head is in `params_training` only.
"""

from __future__ import annotations

from methods.parts.counts import NetworkCounts
from methods.spaces.cell.counts import auxiliary_params, cell_counts, halved, stem_counts
from methods.spaces.operation_names import is_pool
from methods.spaces.stages.layout import CONVENTIONS, StageLayout


def network_counts(
    stages: list[StageLayout], num_classes: int, stem: str, channels: int, in_channels: int, size: int, auxiliary: bool
) -> NetworkCounts:
    """Counts of `methods.spaces.stages.network.StageNetwork` for square images of `size` pixels."""
    first = stages[0].c_in
    widths = [in_channels, first] if stem == "cifar" else [in_channels, channels // 2, channels, first]
    params, macs, size = stem_counts(widths, stem, size)
    c_out = 0
    for stage in stages:
        if stage.reduction is not None:
            more, work = cell_counts(stage.reduction, c_out, c_out, size, CONVENTIONS)
            params, macs, size = params + more, macs + work, halved(size)
        projections = 2 * stage.c_in * stage.width
        pools = sum(is_pool(edge.operation) for edge in stage.edges)
        more, work = cell_counts(stage.cell, stage.width, stage.width, size, CONVENTIONS)
        params += projections + 2 * stage.width * (2 + pools) + stage.cells * more
        macs += projections * size**2 + stage.cells * work
        c_out = stage.c_out
    params += (c_out + 1) * num_classes
    head = auxiliary_params(stages[-1].c_in, num_classes, stem == "cifar") if auxiliary else 0
    return NetworkCounts(params, params + head, macs + c_out * num_classes)
