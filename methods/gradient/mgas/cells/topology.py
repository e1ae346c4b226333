"""The cell of DARTS as tables: operations, edges, nodes, and how the cells are divided into stages.

A cell has 14 edges (`methods.spaces.cell.topology`), each with seven candidate operations; no "none" and no top-k:
any subset may survive. Arrays over the candidates have the shape (14, 7): edge, operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from methods.base import MethodError
from methods.gradient.mgas.structure import Slot, Structure, edges_of_nodes
from methods.spaces.cell.layout import INPUTS, reduction_cells
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.operations import AVG_POOL, DIL_3, DIL_5, MAX_POOL, SEP_3, SEP_5, SKIP

EDGES, NODES = TOPOLOGY.edges, TOPOLOGY.nodes
CANDIDATES = (SKIP, SEP_3, SEP_5, DIL_3, DIL_5, AVG_POOL, MAX_POOL)
"""The seven candidates of an edge, in the order of alpha's columns."""

CONVOLUTIONS = (SEP_3, SEP_5, DIL_3, DIL_5)
"""Candidates with filters and maskable weights; columns 1 to 4 of alpha, columns 0 to 3 of t_filter and t_weight."""

FIRST_CONVOLUTION = CANDIDATES.index(SEP_3)
STATES = INPUTS + NODES
SHAPE = (len(EDGES), len(CANDIDATES))


STRUCTURE = Structure(
    candidates=CANDIDATES,
    nodes=tuple(node - INPUTS for _, node in EDGES),
    first_convolution=FIRST_CONVOLUTION,
    convolutions=len(CONVOLUTIONS),
    input_thresholds=("t_input",),
)
ALL_SLOTS = STRUCTURE.slots


def node_edges(device: torch.device) -> Tensor:
    """(14, 4) float: 1 where the edge enters the node."""
    return edges_of_nodes(STRUCTURE.nodes, device)


@cache
def published_count_edges(device: torch.device) -> Tensor:
    """(14, 4) float: the edges on which the released code counts a node's operations.

    For the third and fourth node it looks at the second node's edges (2 to 4) again.
    """
    edges = node_edges(device).clone()
    edges[:, 2:] = edges[:, 1:2]
    return edges


def is_input_edge(edge: int) -> bool:
    """Whether the edge comes from one of the cell's two inputs; these have stride 2 in a reduction cell."""
    return EDGES[edge][0] < INPUTS


def module_name(slot: Slot) -> str:
    """Name of a candidate's module in its cell, e.g. "e03_sep_conv_3x3"."""
    edge, op = slot
    return f"e{edge:02d}_{CANDIDATES[op]}"


@dataclass(frozen=True)
class Plan:
    """Depth, widths and stages of a supernet.

    Attributes:
        channels: initial channels C; cells of stage k (0, 1, 2) have C * 2^k per state.
        cells: depth L; stage 1 ends before cell L // 3, stage 2 before cell 2 L // 3.

    Raises:
        MethodError: too few cells for three stages, or an odd number of channels.
    """

    channels: int
    cells: int

    def __post_init__(self) -> None:
        if self.cells < 3:
            raise MethodError(f"MGAS needs at least 3 cells, one a stage; got {self.cells}")
        if self.channels < 2 or self.channels % 2:
            raise MethodError(f"MGAS needs an even number of initial channels, at least 2; got {self.channels}")

    @property
    def reductions(self) -> tuple[int, int]:
        return reduction_cells(self.cells)

    @property
    def stage_ends(self) -> tuple[int, int, int]:
        """Last cell of each stage."""
        first, second = self.reductions
        return first - 1, second - 1, self.cells - 1

    def stage(self, cell: int) -> int:
        """0, 1 or 2."""
        return sum(cell >= reduction for reduction in self.reductions)

    def width(self, cell: int) -> int:
        """Initial channels of every state of a cell."""
        return self.channels * 2 ** self.stage(cell)
