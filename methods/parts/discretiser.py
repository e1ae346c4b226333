"""Discretisers: from gates to the operations of a cell."""

from __future__ import annotations

from typing import Any

import torch

from methods.parts.gates import Gates
from methods.parts.topology import CellTopology, Topology
from methods.spaces.operations import NONE


def top_two_edges(gates: Gates, topology: CellTopology) -> dict[str, Any]:
    """One cell of a genotype: per edge the best operation except `none`, per node the two edges with the best ones.

    An edge is ranked by its gate times that of its best operation (Liu et al., ICLR 2019, section 2.4; with edge
    normalisation Xu et al., ICLR 2020, section 3.4). Ties go to the earlier edge and the earlier operation.
    """
    strength = gates.strength()
    strength[:, topology.operations.index(NONE)] = -torch.inf
    best = strength.max(dim=-1)
    edges: list[list[Any]] = []
    for node in topology.node_numbers:
        chosen = sorted(topology.entering(node), key=lambda row: -best.values[row].item())[:2]
        edges += [[topology.operations[int(best.indices[row])], topology.edges[row][0], node] for row in sorted(chosen)]
    return {"edges": edges, "concat": list(topology.node_numbers)}


def top_two_pairs(gates: Gates, topology: CellTopology) -> dict[str, Any]:
    """One cell of a genotype: per node the two strongest pairs of predecessor and operation, `none` left out.

    Nothing forces the two to come from different predecessors (Dong and Yang, CVPR 2019, released code). Ties go to the
    earlier edge and the earlier operation.
    """
    strength = gates.strength()
    strength[:, topology.operations.index(NONE)] = -torch.inf
    edges: list[list[Any]] = []
    for node in topology.node_numbers:
        pairs = [(row, column) for row in topology.entering(node) for column in range(len(topology.operations))]
        chosen = sorted(pairs, key=lambda pair: -strength[pair].item())[:2]
        edges += [[topology.operations[column], topology.edges[row][0], node] for row, column in sorted(chosen)]
    return {"edges": edges, "concat": list(topology.node_numbers)}


def best_operations(gates: Gates, topology: Topology) -> list[str]:
    """The operation with the largest gate on every edge, `none` like any other. Ties go to the earlier operation.

    The weight of an edge decides nothing: every edge stays.
    """
    return [topology.operations[column] for column in gates.options.detach().cpu().argmax(dim=-1).tolist()]


def two_strongest(gates: Gates) -> list[int]:
    """The columns of the two largest gates of a single decision, ascending. Ties go to the earlier one."""
    strength = gates.strength()[0].tolist()
    return sorted(sorted(range(len(strength)), key=lambda column: -strength[column])[:2])
