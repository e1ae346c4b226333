"""The supernet of the DARTS cell space: a stack of cells in which every edge holds all candidates.

How an edge is executed and what its gates mean are parts (`methods.parts`); what is around the cells stands in
`methods.spaces.cell.frame` (Liu et al., ICLR 2019, and its released code).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.parts.choices import Choices, chosen, hard_two_edges, two_edges
from methods.parts.discretiser import top_two_edges, top_two_pairs
from methods.parts.executors.mixture import Mixture
from methods.parts.executors.protocol import MakeExecutor, StateExecutor
from methods.parts.executors.single_path import single_path
from methods.parts.gates import Gates
from methods.parts.parameterisation import Parameterisation
from methods.spaces.cell.conventions import DARTS
from methods.spaces.cell.frame import CellFrame, FramedCell, Place, candidate
from methods.spaces.cell.layout import INPUTS
from methods.spaces.cell.sharing import BY_STAGE, BY_TYPE, Sharing
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.operations import NONE
from methods.spaces.relaxation import Relaxation, Supernet
from methods.spaces.supernet_settings import SupernetSettings


class SupernetCell(FramedCell):
    """One cell with all its edges, executed by source state; its output is the concatenation of its nodes."""

    def __init__(self, place: Place, executor: MakeExecutor) -> None:
        super().__init__(place)
        self.sources = nn.ModuleList()
        for source in TOPOLOGY.sources:
            rows = TOPOLOGY.leaving(source)
            self.sources.append(executor(place.channels, len(rows), place.stride(source)))
            self.register_buffer(f"rows{source}", torch.tensor(rows), persistent=False)

    def forward(self, before_last: Tensor, last: Tensor, gates: Gates) -> Tensor:
        inputs = self.preprocess0(before_last), self.preprocess1(last)
        nodes: list[Tensor] = []
        arrived = None
        for index, source in enumerate(cast(Iterable[StateExecutor[Any]], self.sources)):
            if index >= INPUTS:
                node, arrived = source.next_node(arrived)
                nodes.append(node)
            state = inputs[index] if index < INPUTS else nodes[-1]
            leaving = gates.rows(TOPOLOGY.leaving(index), self.get_buffer(f"rows{index}"))
            arrived = source(state, leaving, arrived)
        nodes.append(source.next_node(arrived)[0])
        return torch.cat(nodes, dim=1)


class CellSupernet(CellFrame, Supernet):
    """The supernet; its kinds are those of the cells it has."""

    def __init__(
        self,
        num_classes: int,
        settings: SupernetSettings,
        parameterisation: Parameterisation,
        executor: MakeExecutor,
        sharing: Sharing = BY_TYPE,
    ) -> None:
        super().__init__(parameterisation)
        self.add_frame(num_classes, settings, partial(SupernetCell, executor=executor), sharing)

    def forward(self, images: Tensor, gates: Mapping[str, Gates] | None = None) -> Tensor:
        return self.run(images, self.gates() if gates is None else gates)


def derive(gates: Mapping[str, Gates], space: str = "darts_cell") -> Architecture:
    """The two strongest edges into each node, each with its strongest operation; `none` is never chosen."""
    return Architecture(space, {kind: top_two_edges(each, TOPOLOGY) for kind, each in gates.items()})


def derive_pairs(gates: Mapping[str, Gates]) -> Architecture:
    """The two strongest pairs of edge and operation into each node, which may be of one edge; never `none`.

    With two of one edge it is no architecture of `darts_cell` but of `general_cell`, with the same conventions.
    """
    cells = {kind: top_two_pairs(each, TOPOLOGY) for kind, each in gates.items()}
    inputs = [[(kind, *edge[1:]) for edge in cell["edges"]] for kind, cell in cells.items()]
    if all(len(set(each)) == len(each) for each in inputs):
        return Architecture("darts_cell", cells)
    return Architecture("general_cell", {**cells, "conventions": DARTS.to_json()})


def operations_of(architecture: Architecture, kinds: Sequence[str] = TOPOLOGY.kinds) -> dict[str, list[str]]:
    """By kind of cell, the operations on its edges."""
    return {kind: [name for name, _, _ in architecture.genotype[kind]["edges"]] for kind in kinds}


def choices_of(architecture: Architecture, kinds: Sequence[str] = TOPOLOGY.kinds) -> Choices:
    """Of its cells of some kinds, whichever of the two rules they were derived by."""
    rows = {edge: row for row, edge in enumerate(TOPOLOGY.edges)}
    cells = {kind: architecture.genotype[kind]["edges"] for kind in kinds}
    return chosen(TOPOLOGY, {k: [(rows[source, to], name) for name, source, to in each] for k, each in cells.items()})


RELAXATION = Relaxation(
    space="darts_cell",
    topology=TOPOLOGY,
    candidates=tuple(name for name in TOPOLOGY.operations if name != NONE),
    size=("channels", "cells"),
    mixture=Mixture,
    single_path=partial(single_path, TOPOLOGY.operations, candidate),
    supernet=CellSupernet,
    derive=derive,
    operations_of=operations_of,
    choices=partial(two_edges, topology=TOPOLOGY),
    chosen=choices_of,
    hard=partial(hard_two_edges, topology=TOPOLOGY),
    stems=("cifar", "imagenet"),
)
STAGED = replace(
    RELAXATION,
    space="staged_cell",
    topology=replace(TOPOLOGY, kinds=BY_STAGE.kinds),
    supernet=partial(CellSupernet, sharing=BY_STAGE),
    derive=partial(derive, space="staged_cell"),
    operations_of=partial(operations_of, kinds=BY_STAGE.kinds),
    chosen=partial(choices_of, kinds=BY_STAGE.kinds),
    cells=BY_STAGE.cells,
)
"""The same cells, with architecture parameters for each stage (H-DAS' cell level)."""
RELAXATIONS = (RELAXATION, STAGED)
