"""Discretisers: from gates to a genotype."""

from __future__ import annotations

from typing import Any

from methods.parts.parameterisation import Gates
from methods.spaces.cell.network import INPUTS
from methods.spaces.cell.space import EDGES, NODES
from methods.spaces.operations import NONE, OPERATIONS

_NONE = OPERATIONS.index(NONE)


def top_two_edges(gates: Gates) -> dict[str, Any]:
    """One cell of a genotype: per edge the best operation except `none`, per node the two edges with the best ones.

    An edge is ranked by its gate times that of its best operation (Liu et al., ICLR 2019, section 2.4; with edge
    normalisation Xu et al., ICLR 2020, section 3.4). Ties go to the earlier edge and the earlier operation.
    """
    strength = (gates.operations * gates.edges[:, None]).detach().cpu().double()
    strength[:, _NONE] = -1.0
    best = strength.max(dim=-1)
    edges: list[list[Any]] = []
    for node in range(INPUTS, INPUTS + NODES):
        rows = [row for row, (_, to) in enumerate(EDGES) if to == node]
        chosen = sorted(rows, key=lambda row: -best.values[row].item())[:2]
        edges += [[OPERATIONS[int(best.indices[row])], EDGES[row][0], node] for row in sorted(chosen)]
    return {"edges": edges, "concat": list(range(INPUTS, INPUTS + NODES))}
