"""The one-shot weights of DARTS' cell space: two inputs and their operations at every node are run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from methods.spaces.cell.frame import CellFrame, FramedCell, Place, candidate
from methods.spaces.cell.sharing import BY_STAGE, BY_TYPE, Sharing
from methods.spaces.cell.space import CellSpace
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.decisions import Code
from methods.spaces.paths import PathCell, PathSupernet
from methods.spaces.supernet_settings import SupernetSettings

Chosen = list[int | None]


class _Cell(FramedCell):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.inside = PathCell(TOPOLOGY, lambda name, source: candidate(name, place.channels, place.stride(source)))

    def forward(self, before_last: Tensor, last: Tensor, chosen: Sequence[int | None]) -> Tensor:
        inputs = self.preprocess0(before_last), self.preprocess1(last)
        return torch.cat(self.inside(inputs, chosen), dim=1)


class CellPaths(PathSupernet, CellFrame):
    """`PathSupernet` of `darts_cell`. A code names two inputs of every node and the operation of each; never `none`."""

    space = "darts_cell"
    sharing: ClassVar[Sharing] = BY_TYPE

    def __init__(self, num_classes: int, settings: SupernetSettings) -> None:
        super().__init__()
        self.add_frame(num_classes, settings, _Cell, self.sharing)

    def forward(self, images: Tensor, code: Code) -> Tensor:
        return self.run(images, _chosen(self.space, self.sharing, tuple(code)))


class StagedPaths(CellPaths):
    """The same with cells for each stage."""

    space = "staged_cell"
    sharing = BY_STAGE


@lru_cache(maxsize=1024)
def _chosen(space: str, sharing: Sharing, code: Code) -> dict[str, Chosen]:
    """By kind of cell, the column of the operation on every edge, None where there is none."""
    chosen = {}
    for kind, cell in CellSpace(space, sharing=sharing).decode(code).genotype.items():
        edges: Chosen = [None] * len(TOPOLOGY.edges)
        for operation, source, node in cell["edges"]:
            edges[TOPOLOGY.edges.index((source, node))] = TOPOLOGY.operations.index(operation)
        chosen[kind] = edges
    return chosen


SUPERNETS = (CellPaths, StagedPaths)
