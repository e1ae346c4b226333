"""The two regularisers of MGAS. The whole loss is `cross entropy + lambda * (l_cost + l_thre)`.

`l_cost` tells operations of a node apart; it does not shrink them, because it is invariant to a common factor. Removal
comes from the thresholds, which `l_thre` pushes up at all granularities.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from methods.gradient.mgas.cell import SearchCell
from methods.gradient.mgas.operations import ConvolutionOperation
from methods.gradient.mgas.topology import (
    ALL_SLOTS,
    CANDIDATES,
    CONVOLUTIONS,
    FIRST_CONVOLUTION,
    node_edges,
    published_count_edges,
)
from methods.spaces.operations import SKIP

COST_UNIT = 1e-6
"""The cost of an operation is in millions of weights."""
LOWEST = -80.0
"""A threshold below it does not matter, and is not pushed; exp(80) is still a number in fp32, exp(89) is not."""


def l_cost(
    gates: Tensor, masks: Tensor, costs: Tensor | None = None, mu: float = 0.0, node_count: str = "own"
) -> Tensor:
    """Sum over nodes and over their operations that are on of `log(1 + n p / S) * (1 + mu * cost)`.

    n is the number of the node's operations that are on, S the sum of all its gates p. n and the choice of operations
    are constants for the gradient.

    Args:
        gates: (K, 14, 7), sigmoid(alpha), 0 for removed operations.
        masks: (K, 14, 7), 1 for operations that are on.
        costs: (K, 14, 7) in millions of weights, needed for mu > 0; see `operation_costs`.
        node_count: "own" or "published" (see `methods.gradient.mgas.switches`).
    """
    nodes = node_edges(gates.device)
    counted = published_count_edges(gates.device) if node_count == "published" else nodes
    on = masks.detach()
    total = _of_node(_by_node(gates.sum(dim=2), nodes), nodes)  # S of the node that an edge enters
    number = _of_node(_by_node(on.sum(dim=2), counted), nodes)
    terms = torch.log1p((number / total)[:, :, None] * gates)
    if mu:
        assert costs is not None, "mu > 0 needs the operations' costs"
        terms = terms * (1.0 + mu * costs)
    return (terms * on).sum()


def _by_node(edges: Tensor, nodes: Tensor) -> Tensor:
    """(K, 14) values of edges -> (K, 4) sums over those of a node. Not a matrix product: these round under autocast."""
    return (edges[:, :, None] * nodes).sum(dim=1)


def _of_node(values: Tensor, nodes: Tensor) -> Tensor:
    """(K, 4) values of nodes -> (K, 14), for each edge that of the node it enters."""
    return (values[:, None, :] * nodes).sum(dim=2)


def l_thre(cells: Sequence[SearchCell]) -> Tensor:
    """Sum of exp(-t) over the thresholds of committed operations, and of the two inputs of every cell.

    Only granularities that are searched count. All three: 212 per cell in the beginning.
    """
    levels = cells[0].discretisation.levels
    on = torch.stack([cell.operation_mask for cell in cells]).float()
    convolutions = on[:, :, FIRST_CONVOLUTION : FIRST_CONVOLUTION + len(CONVOLUTIONS)]
    total = (on * _push([cell.t_operation for cell in cells])).sum()
    if "filter" in levels:
        total = total + (convolutions * _push([cell.t_filter for cell in cells])).sum()
        total = total + _push([cell.t_input for cell in cells]).sum()
    if "weight" in levels:
        total = total + (convolutions * _push([cell.t_weight for cell in cells])).sum()
    return total


def _push(thresholds: Sequence[Tensor]) -> Tensor:
    """exp(-t). Far below every gate a threshold is left alone: exp would overflow, and infinity times a lambda of 0 is
    not a number.
    """
    return torch.exp(-torch.stack(list(thresholds)).clamp(min=LOWEST))


def operation_costs(cells: Sequence[SearchCell]) -> Tensor:
    """(K, 14, 7): cost of each operation in millions of weights, differentiable in gates, thresholds and weights.

    A convolution costs the weights its masks keep; behind a filter gate the count of a filter c is multiplied by
    `log(1 + K q_c / sum(q))`, with K the filters that are on. A stride-2 skip costs width^2; pools cost nothing.
    Uses the masks of the last forward pass of cells whose `keep_units` is set.
    """
    return torch.stack([_cell_costs(cell) for cell in cells])


def _cell_costs(cell: SearchCell) -> Tensor:
    units = cell.units
    assert units is not None, "costs need the masks of a forward pass with keep_units set"
    weights = cell.weights.shaped(units.weight_masks) if cell.weights.convs else []
    shares = _filter_shares(cell)[2:]  # without the two inputs
    costs = [cell.alpha.new_zeros(())] * len(ALL_SLOTS)
    for slot in cell.slots:
        module, index = cell.operation(slot), ALL_SLOTS.index(slot)
        if isinstance(module, ConvolutionOperation):
            masks, gates = weights[: len(module.convs)], shares[: len(module.norms)]
            del weights[: len(masks)], shares[: len(gates)]
            cost = masks[0].sum()
            for n, mask in enumerate(masks[1:], start=1):
                cost = cost + (mask.flatten(1).sum(dim=1) * gates[n // 3]).sum()
            costs[index] = COST_UNIT * cost
        elif CANDIDATES[slot[1]] == SKIP and cell.stride(slot[0]) == 2:
            shares.pop(0)
            costs[index] = cell.alpha.new_full((), COST_UNIT * cell.preprocess0.norm.channels**2)
    return torch.stack(costs).view(cell.alpha.shape)


def _filter_shares(cell: SearchCell) -> list[Tensor]:
    """Per normalisation of the cell: (channels,) `m log(1 + K q / sum(q))`."""
    units, channels = cell.units, cell.filters.channels
    assert units is not None
    result = []
    for gate, mask in zip(units.gates.split(channels), units.gate_masks.split(channels), strict=True):
        result.append(mask * torch.log1p(mask.sum() * gate / gate.sum()))
    return result
