"""Parameterisations: the trainable architecture parameters of a cell space, and the gates they stand for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from methods.spaces.cell.network import INPUTS
from methods.spaces.cell.space import EDGES, NODES
from methods.spaces.cell.supernet import Parameterisation
from methods.spaces.operations import OPERATIONS

KINDS = ("normal", "reduce")
"""Cells of one kind share their architecture parameters."""


@dataclass(frozen=True)
class Gates:
    """What an executor multiplies with; a node is `sum_e edges[e] * sum_o operations[e, o] * o(x_e)`.

    Attributes:
        operations: (edges, operations), the weight of each candidate operation on its edge.
        edges: (edges,), the weight of each edge among those entering its node.
    """

    operations: Tensor
    edges: Tensor

    def rows(self, index: Tensor) -> Gates:
        """The gates of some edges; `index` holds their rows, int64, on the gates' device."""
        return Gates(self.operations.index_select(0, index), self.edges.index_select(0, index))


class Softmax(Parameterisation):
    """Softmax over the candidates of every edge (Liu et al., ICLR 2019, equation 2): 2 x 14 x 8 parameters.

    Parameters start as `1e-3 * N(0, 1)` (released code).
    """

    def __init__(self) -> None:
        super().__init__()
        shape = (len(EDGES), len(OPERATIONS))
        self.alpha = nn.ParameterDict({kind: nn.Parameter(1e-3 * torch.randn(shape)) for kind in KINDS})

    def gates(self, kind: str) -> Gates:
        """The gates of the cells of one kind, "normal" or "reduce"."""
        operations = self.alpha[kind].softmax(dim=-1)
        return Gates(operations, torch.ones_like(operations[:, 0]))


class EdgeNormalisedSoftmax(Softmax):
    """Softmax over candidates, and softmax over the edges entering a node (Xu et al., ICLR 2020, section 3.4).

    Adds 2 x 14 parameters beta; a node's edges sum to one.
    """

    enters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.ParameterDict({kind: nn.Parameter(1e-3 * torch.randn(len(EDGES))) for kind in KINDS})
        nodes = torch.arange(INPUTS, INPUTS + NODES)
        ends = torch.tensor([node for _, node in EDGES])
        self.register_buffer("enters", nodes[:, None] == ends, persistent=False)

    def gates(self, kind: str) -> Gates:
        by_node = self.beta[kind].expand_as(self.enters).masked_fill(~self.enters, -torch.inf)
        return Gates(self.alpha[kind].softmax(dim=-1), by_node.softmax(dim=-1).sum(dim=0))
