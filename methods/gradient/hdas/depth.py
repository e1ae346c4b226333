"""The depth of stages as a loss of architecture parameters (Hs-DAS: Liu et al., AAAI 2021).

d of a stage's two inputs is 0, and d_i = (1 / |in_i|) sum_j a_ij (d_j + 1). Here a_ij is the probability, by the
softmax of the edges' operations, that the edge is one of the two that are derived, and |in_i| is 2: of a discrete graph
d_i is the mean length of the paths to cell i, exactly. A shift common to all operations of an edge changes nothing, as
it does in the network. That it is this probability is ours: the paper's alpha is the edge's, and a softmax over the
operations of one edge sums to one.

The released code (research-hdas, trainer, 230b175) has raw alpha in its place, for each operation by itself, summed at
the end, |in_i| the number of edges that could enter; where the number of cells is searched, a softmax over the edges of
their largest alpha. Such a loss sees the shifts that no task loss does.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from methods.parts.choices import two_edges
from methods.parts.gates import Gates
from methods.parts.topology import CellTopology


def depths(weights: Tensor, topology: CellTopology, entering: Sequence[int]) -> list[Tensor]:
    """d of every cell.

    Args:
        weights: (edges, ...), a_ij; what follows the edges, such as operations, is computed side by side.
        entering: |in_i| of every cell.
    """
    found = [torch.zeros_like(weights[0])] * topology.inputs
    for node, count in zip(topology.node_numbers, entering, strict=True):
        rows = topology.entering(node)
        paths = torch.stack([weights[row] * (found[topology.edges[row][0]] + 1) for row in rows])
        found.append(paths.sum(dim=0) / count)
    return found[topology.inputs :]


def stage_depths(gates: Gates, topology: CellTopology) -> list[Tensor]:
    """The mean path to every cell of the graph that gates stand for, 0-d tensors with a gradient."""
    kept = two_edges({"": gates}, topology)[""][:, :-1].sum(dim=-1)
    return depths(kept, topology, [2] * topology.nodes)


def mean_depth(of_cells: Sequence[Tensor], ends: Tensor | None = None) -> Tensor:
    """Of a stage: the mean over its cells; with end positions, expected over them.

    Args:
        ends: (positions,), the probability of each; the last one is after all cells.
    """
    if ends is None:
        return torch.stack(list(of_cells)).mean()
    first = len(of_cells) - len(ends) + 1
    means = [torch.stack(list(of_cells[: first + position])).mean() for position in range(len(ends))]
    return (ends * torch.stack(means)).sum()


def released_depth(alpha: Tensor, topology: CellTopology) -> Tensor:
    """Of a stage, as released: (edges, operations) raw parameters, each operation by itself, `none` among them."""
    of_cells = depths(alpha, topology, [len(topology.entering(node)) for node in topology.node_numbers])
    return torch.stack(of_cells).mean(dim=0).sum()


def released_depth_with_ends(alpha: Tensor, topology: CellTopology, ends: Tensor) -> Tensor:
    """The same where the number of cells is searched, as released.

    The d of a cell i that may come last is multiplied by 1 + i times the probability of that end, then read by others.
    """
    largest = alpha[:, :-1].amax(dim=-1)
    found = [torch.zeros_like(largest[0])] * topology.inputs
    first = topology.nodes - len(ends)
    for cell, node in enumerate(topology.node_numbers):
        rows = topology.entering(node)
        weights = largest[rows].softmax(dim=0)
        of_sources = torch.stack([found[topology.edges[row][0]] for row in rows])
        depth = (weights * (of_sources + 1)).sum() / len(rows)
        found.append(depth * (1 + cell * ends[cell - first]) if cell >= first else depth)
    return torch.stack(found).sum() / topology.nodes
