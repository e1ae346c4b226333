"""Sizes of cells: of an operation in the search's own measure, and the exact counts of a discrete network."""

from __future__ import annotations

from torch import Tensor, nn

from methods.architecture import Architecture
from methods.base import SearchContext
from methods.gradient.mgas.cells.operations import ConvolutionOperation, Reduction
from methods.gradient.mgas.cells.topology import CANDIDATES, EDGES, Plan, is_input_edge
from methods.gradient.mgas.sizes import MILLION
from methods.gradient.mgas.structure import Slot
from methods.spaces.base import NetworkSettings
from methods.spaces.cell.conventions import MGAS
from methods.spaces.cell.counts import network_counts, operation_weights
from methods.spaces.cell.layout import layout
from methods.spaces.operations import SKIP

COUNTS = ("params", "params_nonzero", "macs")


def operation_size(module: nn.Module | None, measure: str) -> int:
    """Weights of a candidate's module under its committed masks, see `methods.gradient.mgas.sizes.search_size`."""
    if isinstance(module, Reduction):
        return 0 if measure == "published" else module.widths[0] * int(module.norm.mask.sum())
    if not isinstance(module, ConvolutionOperation):
        return 0
    if measure == "nonzero":
        return sum(int(mask.sum()) for mask in effective_masks(module))
    kernel, widths = module.convs[0].weight[0].numel(), module.widths
    kept = [int(norm.mask.sum()) for norm in module.norms]
    size = kernel * widths[0] + widths[0] * kept[0]
    if len(kept) > 1:
        size += kernel * kept[0] + (kept[0] if measure == "kept" else widths[1]) * kept[1]
    return size


def published_skip_charge(plan: Plan, cell: int, slot: Slot) -> int:
    """What the released size measure adds for a skip from an input in the last cell of stages 1 and 2.

    It takes these cells for the reduction cells that follow them, and charges (twice their width) squared.
    """
    ends = plan.stage_ends[:2]
    charged = cell in ends and CANDIDATES[slot[1]] == SKIP and is_input_edge(slot[0])
    return (2 * plan.width(cell)) ** 2 if charged else 0


def effective_masks(module: ConvolutionOperation) -> list[Tensor]:
    """Masks of an operation's weights, (bool, the weight's shape), that also follow its removed filters."""
    masks = []
    before: Tensor | None = None
    for n, norm in enumerate(module.norms):
        depthwise, pointwise = module.convs[2 * n].mask, module.convs[2 * n + 1].mask
        on: Tensor = norm.mask
        if before is not None:
            depthwise, pointwise = depthwise & before[:, None, None, None], pointwise & before[:, None, None]
        masks += [depthwise, pointwise & on[:, None, None, None]]
        before = on
    return masks


def counts(architecture: Architecture, context: SearchContext) -> dict[str, int]:
    """Parameters (all, and without masked weights) and MACs of the retrained network, auxiliary head excluded.

    In closed form; tests compare with the counts of the built network.
    """
    settings = NetworkSettings(stem=context.stem, in_channels=context.in_channels)
    dense = network_counts(architecture, context.num_classes, settings, MGAS, context.image_size)
    masked = sum(mask.numel() - int(mask.sum()) for mask in architecture.masks.values())
    return {"params": dense.params, "params_nonzero": dense.params - masked, "macs": dense.macs}


def published_size(architecture: Architecture) -> float:
    """The released size measure of an architecture, in millions: operation weights and the misplaced skip charge."""
    plan = Plan(int(architecture.scale["channels"]), int(architecture.scale["cells"]))
    total = 0
    for index, cell in enumerate(layout(architecture, NetworkSettings())):
        for edge in cell.edges:
            total += 0 if edge.operation == SKIP else operation_weights(cell, edge)
            slot = (EDGES.index((edge.source, edge.node)), CANDIDATES.index(edge.operation))
            total += published_skip_charge(plan, index, slot)
    return total / MILLION
