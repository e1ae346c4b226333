"""The general cell space: what was published as cells and does not fit the search space of DARTS.

Genotype (docs/cells.md): `{"normal": cell, "reduce": cell, "conventions": {...}}`, or `"cells": [cell, ...]` in place
of the two kinds. A cell may have any number of nodes, any number of edges into a node (several from one source, too),
any operation of `methods.spaces.operations`, and concatenate any of its states, inputs included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import nn

from methods.architecture import Architecture, ArchitectureError
from methods.domain import shown
from methods.genotypes import published
from methods.parts.counts import NetworkCounts
from methods.spaces.base import NetworkSettings
from methods.spaces.cell.conventions import DARTS, Conventions
from methods.spaces.cell.counts import network_counts
from methods.spaces.cell.layout import INPUTS, cells_of, empty_nodes, layout, network_scale, validate_cell
from methods.spaces.cell.network import CellNetwork
from methods.spaces.decisions import Code, NoDecisionsError
from methods.spaces.operation_names import AVG_POOL, KNOWN, MAX_POOL, SKIP
from methods.spaces.registry import register_space

SAMPLED_OPERATIONS = (
    SKIP,
    "conv_3x1_1x3",
    "conv_7x1_1x7",
    "dil_conv_3x3",
    AVG_POOL,
    MAX_POOL,
    "max_pool_5x5",
    "max_pool_7x7",
    "nor_conv_1x1",
    "nor_conv_3x3",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
)
"""The candidates of NASNet's search space (Zoph et al., CVPR 2018, section 3), in its order."""


@register_space(
    "general_cell", "cells of any shape over the operations of published cells (NASNet, AmoebaNet, PNASNet, ...)"
)
@dataclass(frozen=True)
class GeneralCellSpace:
    """Cells of any shape. It has no end, so `sample` draws from the part that NASNet was searched in.

    Attributes:
        nodes: of a sampled cell.
        conventions: of a sampled architecture.
        operations: of a sampled cell.
    """

    name: str = "general_cell"
    nodes: int = 5
    conventions: Conventions = DARTS
    operations: tuple[str, ...] = SAMPLED_OPERATIONS

    def reference(self) -> Architecture:
        return Architecture(self.name, {**published("DARTS_V2").genotype, "conventions": self.conventions.to_json()})

    def sample(self, generator: torch.Generator) -> Architecture:
        """Uniform over cells of `nodes` nodes: two operations each, of any two earlier states, which may be one.

        The output joins all nodes (NASNet's joins those that no other node reads).
        """

        def draw(end: int) -> int:
            return int(torch.randint(end, (), generator=generator))

        def cell() -> dict[str, object]:
            nodes = range(INPUTS, INPUTS + self.nodes)
            edges = [[self.operations[draw(len(self.operations))], draw(node), node] for node in nodes for _ in "ab"]
            return {"edges": edges, "concat": list(nodes)}

        return Architecture(self.name, {"normal": cell(), "reduce": cell(), "conventions": self.conventions.to_json()})

    def decisions(self) -> NoReturn:
        raise NoDecisionsError(
            f"{self.name} has cells of any shape, which no finite list of decisions describes; searches over decisions "
            "work in darts_cell, nasbench201 and the other spaces that have them"
        )

    def encode(self, architecture: Architecture) -> NoReturn:
        self.decisions()

    def decode(self, code: Code) -> NoReturn:
        self.decisions()

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError, naming the cell with its edge or node, if the genotype is malformed."""
        genotype = architecture.genotype
        unknown = set(genotype) - {"normal", "reduce", "cells", "conventions"}
        if unknown:
            raise ArchitectureError(f"unknown {shown(min(unknown))} in a general cell genotype (docs/cells.md)")
        conventions = Conventions.from_json(genotype.get("conventions"))
        for name, cell in cells_of(genotype).items():
            validate_cell(name, cell, KNOWN)
            empty = sorted(empty_nodes(cell))
            if empty and conventions.empty_nodes == "refused":
                raise ArchitectureError(
                    f"cell '{name}': nothing enters node {empty[0]}; networks that leave it out (FairDARTS) declare "
                    'the convention "empty_nodes": "left_out"'
                )
            if not set(cell["concat"]) - set(empty):
                raise ArchitectureError(f"cell '{name}': concat {cell['concat']} joins nothing but empty nodes")
        layout(architecture, NetworkSettings(channels=_common_width(genotype)))

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        return network_scale(architecture, settings)

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        return CellNetwork(
            architecture, num_classes, settings, Conventions.from_json(architecture.genotype["conventions"])
        )

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives, in closed form."""
        return network_counts(
            architecture, num_classes, settings, Conventions.from_json(architecture.genotype["conventions"]), image_size
        )


def _common_width(genotype: Mapping[str, Any]) -> int:
    """Channels that every operation of a genotype can have."""
    operations = {edge[0] for cell in cells_of(genotype).values() for edge in cell["edges"]}
    return math.lcm(8, *(KNOWN[operation].multiple for operation in operations))
