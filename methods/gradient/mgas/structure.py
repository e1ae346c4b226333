"""A part of a network that MGAS prunes, as a table: which candidates it has, and which of them stand in for each other.

Such a part is called a cell here, whatever space it is of: a cell of DARTS, a place of a chain. Arrays over its
candidates have the shape (E, O): edge, operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

Slot = tuple[int, int]
"""An (edge, operation) pair of indices: one candidate of a cell."""


@dataclass(frozen=True)
class Structure:
    """What all cells of a space have in common.

    Attributes:
        candidates: the O operations of an edge, in the order of alpha's columns.
        nodes: of each of the E edges the node that it enters, counted from 0. The guard keeps one operation of a node.
        first_convolution, convolutions: the columns with filters and maskable weights, which stand together.
        input_thresholds: parameters of a cell that are thresholds of filters beside those of its operations.
    """

    candidates: tuple[str, ...]
    nodes: tuple[int, ...]
    first_convolution: int
    convolutions: int
    input_thresholds: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.nodes), len(self.candidates)

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All candidates in order of edge, then operation."""
        edges, operations = self.shape
        return tuple((edge, op) for edge in range(edges) for op in range(operations))

    @property
    def columns(self) -> slice:
        """Of the convolutions."""
        return slice(self.first_convolution, self.first_convolution + self.convolutions)

    @property
    def thresholds(self) -> tuple[str, ...]:
        return ("t_operation", "t_filter", "t_weight", *self.input_thresholds)


LAST_STAGE = 2


class Plan(Protocol):
    """Depth and stages of a supernet."""

    @property
    def cells(self) -> int: ...

    @property
    def stage_ends(self) -> tuple[int, int, int]:
        """Last cell of each stage."""


@cache
def edges_of_nodes(nodes: tuple[int, ...], device: torch.device) -> Tensor:
    """(E, N) float: 1 where the edge enters the node. Kept per device: a step must not copy from the host."""
    found = torch.tensor(nodes)[:, None] == torch.arange(max(nodes) + 1)
    return found.float().to(device)
