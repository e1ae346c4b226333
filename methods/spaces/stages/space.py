"""The space: three stages, each a graph of equally many cells, on cells that are given.

A code decides the graphs alone. The cells are those of a published network until `resting_on` gives others: a
stage-level search starts from cells that were found before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from torch import nn

from methods.architecture import Architecture, ArchitectureError
from methods.form import refuse_unknown
from methods.genotypes import published
from methods.parts.counts import NetworkCounts
from methods.spaces.base import NetworkSettings
from methods.spaces.cell.sharing import BY_TYPE
from methods.spaces.decisions import Code, Decision, check_code, refuse_decided_elsewhere, sample
from methods.spaces.operation_names import SKIP
from methods.spaces.registry import register_space
from methods.spaces.stages.counts import network_counts
from methods.spaces.stages.graph import decode_graphs, encode_graphs, graph_decisions, validate_graphs, written
from methods.spaces.stages.layout import channels_of, layout, total_cells
from methods.spaces.stages.network import StageNetwork

USUAL_CELL = "DARTS_V2"


def cells_within(architecture: Architecture) -> dict[str, Any]:
    """The normal and the reduction cell of an architecture, as a stage graph is made of.

    Raises:
        ArchitectureError: it does not have one of each.
    """
    if not set(BY_TYPE.kinds) <= set(architecture.genotype):
        raise ArchitectureError(
            f"a stage graph is made of a normal and a reduction cell; an architecture of {architecture.space} has not "
            "one of each"
        )
    return {kind: architecture.genotype[kind] for kind in BY_TYPE.kinds}


@cache
def _usual_cells() -> dict[str, Any]:
    return cells_within(published(USUAL_CELL))


@register_space("stage_graph_imagenet", "the same with 4 cells in each stage, as searched for ImageNet", nodes=4)
@register_space("stage_graph_xs", "the same with 3 cells in each stage", nodes=3)
@register_space("stage_graph", "three stages of 6 cells, each a graph of them, on given cells (Hs-DAS)", nodes=6)
@dataclass(frozen=True)
class StageGraphSpace:
    """Attributes:
    nodes: cells of a stage that a code stands for; others can be built, too.
    cells: by kind, of what decode gives; None for those of DARTS_V2.
    """

    name: str = "stage_graph"
    nodes: int = 6
    cells: Mapping[str, Any] | None = field(default=None, hash=False)

    def resting_on(self, given: Sequence[Architecture]) -> StageGraphSpace:
        """The same graphs on the cells of the first one. Raises ArchitectureError as `cells_within`."""
        return replace(self, cells=cells_within(given[0]))

    @property
    def made_of(self) -> Mapping[str, Any]:
        """The cells."""
        return self.cells if self.cells is not None else _usual_cells()

    def with_graphs(self, graphs: list[dict[str, Any]]) -> Architecture:
        return Architecture(self.name, {**self.made_of, "stages": graphs})

    def decisions(self) -> tuple[Decision, ...]:
        """Of the three graphs; the cells are none."""
        return graph_decisions(self.nodes)

    def encode(self, architecture: Architecture) -> Code:
        """Raises ArchitectureError for other cells than the space's, or another number of them in a stage."""
        refuse_decided_elsewhere(self.name, architecture, "scale", "widths", "masks")
        if cells_within(architecture) != self.made_of:
            raise ArchitectureError(f"no code of {self.name} stands for it: it is made of other cells")
        return encode_graphs(self.nodes, architecture.genotype["stages"])

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        return self.with_graphs(decode_graphs(self.nodes, code))

    def sample(self, generator: torch.Generator) -> Architecture:
        """Graphs uniform over all codes, on the space's cells."""
        return sample(self, generator)

    def reference(self) -> Architecture:
        """Skip connections from the two states before each cell."""
        edges = [[SKIP, node - back, node] for node in range(2, 2 + self.nodes) for back in (2, 1)]
        return self.with_graphs([written(edges) for _ in range(3)])

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError if the genotype is malformed or not of this space."""
        refuse_unknown("key in a stage graph:", architecture.genotype, {"normal", "reduce", "stages"})
        validate_graphs(architecture.genotype)
        total_cells(architecture)
        if architecture.widths:
            raise ArchitectureError("the layers of a stage graph have no widths of their own")

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        """Initial channels, which the settings give where it states none, and its cells, the reductions included."""
        return {"channels": channels_of(architecture, settings), "cells": total_cells(architecture)}

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        channels = channels_of(architecture, settings)
        stages = layout(architecture, channels)
        return StageNetwork(
            stages, num_classes, settings.stem, channels, settings.in_channels, auxiliary=settings.auxiliary
        )

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives, in closed form."""
        channels = channels_of(architecture, settings)
        stages = layout(architecture, channels)
        return network_counts(
            stages, num_classes, settings.stem, channels, settings.in_channels, image_size, settings.auxiliary
        )
