"""The space: one of five operations on each of six edges, 15,625 cells.

Genotype: `{"cell": "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"}`. An
empty scale is the published one (C = 16, N = 5), which an experiment's channels and cells leave as it is; a smaller
network says so itself: `{"channels": 8, "cells_per_stage": 1}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from methods.architecture import Architecture, ArchitectureError
from methods.form import refuse_unknown
from methods.parts.counts import NetworkCounts
from methods.spaces.base import NetworkSettings, refuse_imagenet_stem
from methods.spaces.decisions import Code, Decision, check_code, refuse_decided_elsewhere, sample
from methods.spaces.nasbench201.cell import CONV_3, EDGES, OPERATIONS, SCALE, read_cell, write_cell
from methods.spaces.nasbench201.counts import Size, network_counts
from methods.spaces.nasbench201.network import Network201
from methods.spaces.operation_names import NONE, SKIP
from methods.spaces.registry import register_space

_INDEX = {operation: index for index, operation in enumerate(OPERATIONS)}


@register_space(
    "nasbench201", "one of 5 operations on each of 6 edges, 15,625 cells in networks of fixed size, each trained"
)
@dataclass(frozen=True)
class NASBench201Space:
    """Cells of NAS-Bench-201 in its networks."""

    name: str = "nasbench201"

    def decisions(self) -> tuple[Decision, ...]:
        """The operation of each edge, in the order in which a cell is written."""
        return _decisions()

    def encode(self, architecture: Architecture) -> Code:
        """Raises ArchitectureError if the architecture has a scale other than the published one, or masks."""
        published = {**SCALE, **architecture.scale} == SCALE
        refuse_decided_elsewhere(self.name, architecture, *([] if published else ["scale"]), "widths", "masks")
        return tuple(_INDEX[operation] for operation in read_cell(architecture.genotype["cell"]))

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        return Architecture(self.name, {"cell": write_cell([OPERATIONS[option] for option in code])})

    def reference(self) -> Architecture:
        """The residual block that the space contains (`ResNet_CODE` of the released code)."""
        return Architecture(self.name, {"cell": write_cell([CONV_3, NONE, CONV_3, SKIP, NONE, SKIP])})

    def sample(self, generator: torch.Generator) -> Architecture:
        """Uniform over the 15,625 cells, those included that compute the same function as another, or nothing."""
        return sample(self, generator)

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError if the cell is malformed, or the scale names something unknown."""
        refuse_unknown("key in a genotype of nasbench201:", architecture.genotype, {"cell"})
        if "cell" not in architecture.genotype:
            raise ArchitectureError("a genotype of nasbench201 needs 'cell', the text of its cell")
        read_cell(architecture.genotype["cell"])
        refuse_unknown("scale", architecture.scale, SCALE)
        if architecture.widths:
            raise ArchitectureError("a network of nasbench201 has the widths of its scale; leave 'widths' empty")

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        return {**SCALE, **architecture.scale}

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        """Of the settings only `in_channels` counts: the size is the space's and there is no auxiliary head."""
        refuse_imagenet_stem(self.name, settings)
        operations = read_cell(architecture.genotype["cell"])
        scale = self.scale(architecture, settings)
        return Network201(operations, num_classes, in_channels=settings.in_channels, **scale)

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives, in closed form."""
        size = Size(
            num_classes=num_classes,
            in_channels=settings.in_channels,
            image_size=image_size,
            **self.scale(architecture, settings),
        )
        return network_counts(read_cell(architecture.genotype["cell"]), size)


@cache
def _decisions() -> tuple[Decision, ...]:
    neutral = OPERATIONS.index(SKIP)
    return tuple(Decision(f"{source}->{node}", OPERATIONS, neutral=neutral) for source, node in EDGES)
