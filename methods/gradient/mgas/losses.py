"""The two regularisers of MGAS. The whole loss is `cross entropy + lambda * (l_cost + l_thre)`.

`l_cost` tells operations of a node apart; it does not shrink them, because it is invariant to a common factor. Removal
comes from the thresholds, which `l_thre` pushes up at all granularities.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from methods.gradient.mgas.cell import SearchCell

LOWEST = -80.0
"""A threshold below it does not matter, and is not pushed; exp(80) is still a number in fp32, exp(89) is not."""


def l_cost(
    gates: Tensor,
    masks: Tensor,
    nodes: Tensor,
    costs: Tensor | None = None,
    mu: float = 0.0,
    counted: Tensor | None = None,
) -> Tensor:
    """Sum over nodes and over their operations that are on of `log(1 + n p / S) * (1 + mu * cost)`.

    n is the number of the node's operations that are on, S the sum of all its gates p. n and the choice of operations
    are constants for the gradient.

    Args:
        gates: (K, E, O), sigmoid(alpha), 0 for removed operations.
        masks: (K, E, O), 1 for operations that are on.
        nodes: (E, N), 1 where the edge enters the node.
        costs: (K, E, O) in millions of weights, needed for mu > 0; see `operation_costs`.
        counted: (E, N), the edges on which n of a node is counted, where these are not its own.
    """
    counted = nodes if counted is None else counted
    on = masks.detach()
    total = _of_node(_by_node(gates.sum(dim=2), nodes), nodes)  # S of the node that an edge enters
    total = total.clamp(min=torch.finfo(total.dtype).tiny)  # of a node that has lost everything
    number = _of_node(_by_node(on.sum(dim=2), counted), nodes)
    terms = torch.log1p((number / total)[:, :, None] * gates)
    if mu:
        assert costs is not None, "mu > 0 needs the operations' costs"
        terms = terms * (1.0 + mu * costs)
    return (terms * on).sum()


def _by_node(edges: Tensor, nodes: Tensor) -> Tensor:
    """(K, E) values of edges -> (K, N) sums over those of a node. Not a matrix product: these round under autocast."""
    return (edges[:, :, None] * nodes).sum(dim=1)


def _of_node(values: Tensor, nodes: Tensor) -> Tensor:
    """(K, N) values of nodes -> (K, E), for each edge that of the node it enters."""
    return (values[:, None, :] * nodes).sum(dim=2)


def l_thre(cells: Sequence[SearchCell]) -> Tensor:
    """Sum of exp(-t) over the thresholds of committed operations, and of those of a cell's inputs, if it has them.

    Only granularities that are searched count. All three: 212 per cell of DARTS in the beginning.
    """
    levels, structure = cells[0].discretisation.levels, cells[0].structure
    on = torch.stack([cell.operation_mask for cell in cells]).float()
    convolutions = on[:, :, structure.columns]
    total = (on * _push([cell.t_operation for cell in cells])).sum()
    if "filter" in levels:
        total = total + (convolutions * _push([cell.t_filter for cell in cells])).sum()
        for name in structure.input_thresholds:
            total = total + _push([getattr(cell, name) for cell in cells]).sum()
    if "weight" in levels:
        total = total + (convolutions * _push([cell.t_weight for cell in cells])).sum()
    return total


def _push(thresholds: Sequence[Tensor]) -> Tensor:
    """exp(-t). Far below every gate a threshold is left alone: exp would overflow, and infinity times a lambda of 0 is
    not a number.
    """
    return torch.exp(-torch.stack(list(thresholds)).clamp(min=LOWEST))


def operation_costs(cells: Sequence[SearchCell]) -> Tensor:
    """(K, E, O): cost of each operation in millions of weights, differentiable in gates, thresholds and weights.

    A convolution costs the weights its masks keep; behind a filter gate the count of a filter c is multiplied by
    `log(1 + K q_c / sum(q))`, with K the filters that are on. Uses the masks of the last forward pass of cells whose
    `keep_units` is set.
    """
    return torch.stack([cell.operation_costs() for cell in cells])
