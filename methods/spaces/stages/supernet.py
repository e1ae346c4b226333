"""The supernet of stage graphs: a pool, a skip connection or nothing on every edge between cells that are given.

As released (research-hdas, models/search_stage.py and search_bigDAG.py, 230b175), the cells are those of the network
that is retrained; the normalisations of candidates and of a stage's preprocessing have no scale and shift. Where the
number of cells is searched, a stage's output is a mixture over the cells at which it may end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.domain import MethodError
from methods.parts.choices import Choices, chosen, hard_two_edges, two_edges
from methods.parts.discretiser import top_two_edges
from methods.parts.executors.protocol import MakeExecutor
from methods.parts.gates import Gates
from methods.parts.parameterisation import Parameterisation
from methods.parts.topology import CellTopology
from methods.spaces.cell.frame import candidate
from methods.spaces.relaxation import Relaxation, Supernet
from methods.spaces.stages.graph import CHOICES, INPUTS, KINDS, STAGES, stage_topology, written
from methods.spaces.stages.layout import StageLayout, layout
from methods.spaces.stages.network import StageCells, StageFrame
from methods.spaces.stages.space import StageGraphSpace
from methods.spaces.supernet_settings import SupernetSettings

ENDS = {kind: f"end{kind[5:]}" for kind in KINDS}
"""By stage, what its end positions' gates are called."""


class Candidates(nn.Module):
    """What can leave a state, once for all edges that do: nothing has parameters."""

    def __init__(self, channels: int, edges: int, stride: int) -> None:
        super().__init__()
        self.operations = nn.ModuleList(candidate(operation, channels, stride) for operation in CHOICES)

    def forward(self, state: Tensor) -> list[Tensor]:
        """In the order of the gates' columns; of `none`, the last, nothing."""
        return [operation(state) for operation in self.operations]


class MixedStage(StageCells):
    """A stage with all its edges."""

    def __init__(self, stage: StageLayout, topology: CellTopology, executor: MakeExecutor) -> None:
        super().__init__(stage, affine=False)
        self.topology = topology
        self.sources = nn.ModuleList(
            executor(stage.width, len(topology.leaving(source)), 1) for source in topology.sources
        )

    def forward(self, x: Tensor, given: tuple[Gates, Gates | None]) -> Tensor:
        """From the stage's input to two states side by side.

        Args:
            given: the gates of the edges, and those of the end positions; None where it ends at its last cell.
        """
        gates, ends = given
        weights = gates.options * gates.weights[:, None]
        states = self.inputs(x)
        leaving = [source(state) for source, state in zip(self.sources, states, strict=False)]
        for node, cell in zip(self.topology.node_numbers, self.cells, strict=True):
            total: Tensor | None = None
            for row in self.topology.entering(node):
                for column, value in enumerate(leaving[self.topology.edges[row][0]]):
                    part = weights[row, column] * value
                    total = part if total is None else total + part
            states.append(cell(total, total, None))
            if node < len(self.sources):
                leaving.append(self.sources[node](states[node]))
        if ends is None:
            return torch.cat(states[-2:], dim=1)
        positions = ends.options[0]
        first = len(self.cells) - len(positions) + 1
        outputs = [weight * torch.cat(states[n : n + 2], dim=1) for n, weight in enumerate(positions, first)]
        return torch.stack(outputs).sum(dim=0)


class StageSupernet(StageFrame, Supernet):
    """The supernet.

    Args:
        space: that its cells are of.
        ends: whether the parameterisation has end positions.
    """

    def __init__(
        self,
        num_classes: int,
        settings: SupernetSettings,
        parameterisation: Parameterisation,
        executor: MakeExecutor,
        space: StageGraphSpace,
        ends: bool = False,
    ) -> None:
        super().__init__(parameterisation)
        self.ends = ends
        make = partial(MixedStage, topology=stage_topology(space.nodes), executor=executor)
        stages = layout(space.reference(), settings.channels)
        self.add_frame(stages, make, num_classes, settings.stem, settings.channels, settings.in_channels)

    @property
    def kinds(self) -> Sequence[str]:
        return (*KINDS, *ENDS.values()) if self.ends else KINDS

    def forward(self, images: Tensor, gates: Mapping[str, Gates] | None = None) -> Tensor:
        found = self.gates() if gates is None else gates
        logits, _ = self.run(images, [(found[kind], found.get(ENDS[kind])) for kind in KINDS])
        return logits


def stage_relaxation(space: StageGraphSpace, ends: bool = False) -> Relaxation:
    """Of a space with cells that are given.

    Args:
        ends: whether the number of cells is searched, too; gates then have an entry for each stage's end.
    """
    topology = stage_topology(space.nodes)

    def derive(gates: Mapping[str, Gates]) -> Architecture:
        """The two strongest edges into each cell up to a stage's end, each with its strongest operation."""
        graphs = []
        for kind in KINDS:
            edges = top_two_edges(gates[kind], topology)["edges"]
            end = INPUTS + (cells_at_end(gates[ENDS[kind]], space.nodes) if ENDS[kind] in gates else space.nodes)
            graphs.append(written([edge for edge in edges if edge[2] < end]))
        return space.with_graphs(graphs)

    def operations_of(architecture: Architecture) -> dict[str, list[str]]:
        graphs = architecture.genotype["stages"]
        return {kind: [name for name, *_ in graph["edges"]] for kind, graph in zip(KINDS, graphs, strict=True)}

    def choices_of(architecture: Architecture) -> Choices:
        rows = {edge: row for row, edge in enumerate(topology.edges)}
        graphs = zip(KINDS, architecture.genotype["stages"], strict=True)
        options = {kind: [(rows[source, to], name) for name, source, to in graph["edges"]] for kind, graph in graphs}
        return chosen(topology, options)

    def no_single_path(*_: Any) -> MakeExecutor:
        raise MethodError("a supernet of stage graphs computes all candidates: it has no executor of single paths")

    return Relaxation(
        space=space.name,
        topology=topology,
        candidates=CHOICES,
        size=("channels", "cells"),
        mixture=Candidates,
        single_path=no_single_path,
        supernet=partial(StageSupernet, space=space, ends=ends),
        derive=derive,
        operations_of=operations_of,
        choices=partial(two_edges, topology=topology),
        chosen=choices_of,
        hard=partial(hard_two_edges, topology=topology),
        stems=("cifar", "imagenet"),
    )


def cells_at_end(ends: Gates, nodes: int) -> int:
    """The number of cells of a stage by the strongest of its end positions, of which the last is after all of them."""
    positions = ends.options[0].detach().cpu()
    return nodes - len(positions) + 1 + int(positions.argmax())


def total_of(nodes: int) -> int:
    """Cells of a network whose stages have so many, the reductions included."""
    return STAGES * nodes + STAGES - 1


RELAXATIONS = ()
"""None without cells: a search of stages makes its own (`stage_relaxation`)."""
