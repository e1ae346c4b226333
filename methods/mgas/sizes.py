"""Sizes: what a stage's target is measured in, and the exact counts of a discrete network in closed form."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from methods.architecture import Architecture
from methods.base import SearchContext
from methods.mgas.cell import SearchCell
from methods.mgas.operations import ConvolutionOperation, Reduction
from methods.mgas.topology import CANDIDATES, Plan, Slot, is_input_edge
from methods.spaces.cell import EDGES
from methods.spaces.cell_layout import INPUTS, CellLayout, Edge, NetworkSettings, layout
from methods.spaces.operations import DILATED, KERNEL, SEPARABLE, SKIP

MILLION = 1e6
COUNTS = ("params", "params_nonzero", "macs")


def search_size(
    cells: Sequence[SearchCell], measure: str, dropped: Mapping[int, Collection[Slot]] | None = None
) -> float:
    """Size of the executed cells under their committed masks, in millions of convolution weights.

    Args:
        measure: "kept", "nonzero" or "published", see `methods.mgas.switches`.
        dropped: operations per cell to be treated as removed already.
    """
    dropped = dropped or {}
    total = sum(
        _operation_size(cell, slot, measure)
        for cell in cells
        for slot in cell.slots
        if slot not in dropped.get(cell.index, ())
    )
    if measure == "published":
        slots = [(cell, slot) for cell in cells for slot in cell.slots if slot not in dropped.get(cell.index, ())]
        total += sum(published_skip_charge(cell.plan, cell.index, slot) for cell, slot in slots)
    return total / MILLION


def _operation_size(cell: SearchCell, slot: Slot, measure: str) -> int:
    module = cell.operation(slot)
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


# -- discrete networks, in closed form (tests compare with the counts of the built network)


def edge_weights(cell: CellLayout, edge: Edge) -> int:
    """Convolution weights of one operation of a discrete cell."""
    source, node = cell.widths[edge.source], cell.widths[edge.node]
    if edge.operation in SEPARABLE:
        assert edge.mid is not None
        square = KERNEL[edge.operation] ** 2
        return square * source + source * edge.mid + square * edge.mid + edge.mid * node
    if edge.operation in DILATED:
        return KERNEL[edge.operation] ** 2 * source + source * node
    return source * node if _reduces(cell, edge) else 0


def _reduces(cell: CellLayout, edge: Edge) -> bool:
    return edge.operation == SKIP and cell.reduction and edge.source < INPUTS


def _norm_channels(cell: CellLayout, edge: Edge) -> int:
    if edge.operation == SKIP and not _reduces(cell, edge):
        return 0
    return cell.widths[edge.node] + (edge.mid or 0)


def counts(architecture: Architecture, context: SearchContext) -> dict[str, int]:
    """Parameters (all, and without masked weights) and MACs of the retrained network, auxiliary head excluded."""
    settings = NetworkSettings(stem=context.stem, in_channels=context.in_channels)
    cells = layout(architecture, settings)
    channels = int(architecture.scale["channels"])
    params, macs, resolution, before_last, last = _stem_counts(channels, context)
    for cell in cells:
        inputs = before_last * cell.widths[0] + last * cell.widths[1]
        operations = sum(edge_weights(cell, edge) for edge in cell.edges)
        norms = cell.widths[0] + cell.widths[1] + sum(_norm_channels(cell, edge) for edge in cell.edges)
        macs += inputs * resolution**2
        resolution = (resolution + 1) // 2 if cell.reduction else resolution
        macs += operations * resolution**2
        params += inputs + operations + 2 * norms
        before_last, last = last, cell.out_channels
    params += (last + 1) * context.num_classes
    macs += last * context.num_classes
    masked = sum(mask.numel() - int(mask.sum()) for mask in architecture.masks.values())
    return {"params": params, "params_nonzero": params - masked, "macs": macs}


def _stem_counts(channels: int, context: SearchContext) -> tuple[int, int, int, int, int]:
    """Parameters, MACs, resolution after the stem, and the channels of the first cell's two inputs."""
    if context.stem == "cifar":
        width, size = 3 * channels, context.image_size
        weights = 9 * context.in_channels * width
        return weights + 2 * width, weights * size**2, size, width, width
    layers = [
        (context.in_channels, channels // 2),
        (channels // 2, channels),
        (channels, channels),
    ]
    params = macs = 0
    size = context.image_size
    for c_in, c_out in layers:
        size = (size + 1) // 2
        params += 9 * c_in * c_out + 2 * c_out
        macs += 9 * c_in * c_out * size**2
    return params, macs, size, channels, channels


def published_size(architecture: Architecture) -> float:
    """The released size measure of an architecture, in millions: operation weights and the misplaced skip charge."""
    plan = Plan(int(architecture.scale["channels"]), int(architecture.scale["cells"]))
    total = 0
    for index, cell in enumerate(layout(architecture, NetworkSettings())):
        for edge in cell.edges:
            total += 0 if edge.operation == SKIP else edge_weights(cell, edge)
            slot = (EDGES.index((edge.source, edge.node)), CANDIDATES.index(edge.operation))
            total += published_skip_charge(plan, index, slot)
    return total / MILLION
