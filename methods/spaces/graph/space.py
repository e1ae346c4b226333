"""The spaces of graph cells: an operation at every node, and any subset of the edges of the complete graph.

Genotype: `{"operations": ["separable_3x3", "conv_1x1", ...], "edges": [[0, 1], ...]}`, edges from lower to higher
nodes, by target, then by source. Edges on no way from the first node to the last are part of the genotype, as an
operation behind `none` is elsewhere, and no part of the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import nn

from methods.architecture import Architecture, ArchitectureError
from methods.domain import shown
from methods.form import refuse_unknown
from methods.parts.counts import NetworkCounts
from methods.spaces.base import NetworkSettings, SizeMatch, refuse_imagenet_stem
from methods.spaces.decisions import (
    Code,
    Decision,
    SubsetDecision,
    Subsets,
    check_code,
    refuse_decided_elsewhere,
    sample,
)
from methods.spaces.graph.network import OPERATIONS, GraphNetwork, network_counts
from methods.spaces.graph.sized import draw_graph_at_size
from methods.spaces.graph.structure import Edge, complete, live
from methods.spaces.registry import register_space

SCALE = {"channels": 16}


@register_space("graph_5", "cells of 5 nodes, separable or 1x1 convolutions, with any of the 10 edges between them")
@register_space("graph_8", "cells of 8 nodes, separable or 1x1 convolutions, with any of the 28 edges between them")
@dataclass(frozen=True)
class GraphSpace:
    """Cells as graphs; the complete one has an edge between every two nodes."""

    name: str
    draws_at_size = True

    @property
    def nodes(self) -> int:
        return int(self.name.rpartition("_")[2])

    def decisions(self) -> tuple[Decision, ...]:
        """The operation of every node, then the edges."""
        return _decisions(self.nodes)

    def encode(self, architecture: Architecture) -> Code:
        """Raises ArchitectureError for an architecture with a scale of its own, widths or masks."""
        refuse_decided_elsewhere(self.name, architecture, "scale", "widths", "masks")
        operations, edges = self._read(architecture)
        *nodes, joined = self.decisions()
        chosen = [decision.options.index(operation) for decision, operation in zip(nodes, operations, strict=True)]
        return (*chosen, joined.options.index(edges))

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        *operations, edges = (decision.options[option] for decision, option in zip(self.decisions(), code, strict=True))
        return Architecture(self.name, {"operations": operations, "edges": [list(edge) for edge in edges]})

    def trimmed(self, code: Code) -> Code | None:
        """The code without the edges that are on no way from the first node to the last; None if there is no way."""
        edges = self.decisions()[-1].options
        there = live(edges[code[-1]], self.nodes)
        return (*code[:-1], edges.index(there)) if there else None

    def reference(self) -> Architecture:
        """The complete graph, every other node separable."""
        *nodes, edges = self.decisions()
        return self.decode((*(place % 2 for place in range(len(nodes))), len(edges.options) - 1))

    def sample(self, generator: torch.Generator) -> Architecture:
        """Uniform over operations and subsets of edges, those included that lead nowhere."""
        return sample(self, generator)

    def sample_at_size(
        self, generator: torch.Generator, match: SizeMatch, num_classes: int, settings: NetworkSettings, image_size: int
    ) -> Architecture:
        """See `methods.spaces.graph.sized`, and what it raises."""
        count = partial(self.counts, num_classes=num_classes, settings=settings, image_size=image_size)
        return draw_graph_at_size(self.name, self.nodes, generator, match, count)

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError with what is wrong in the genotype, or for a scale that says something unknown."""
        refuse_unknown("scale", architecture.scale, SCALE)
        if architecture.widths:
            raise ArchitectureError(f"a network of {self.name} has the width of its scale; leave 'widths' empty")
        self._read(architecture)

    def _read(self, architecture: Architecture) -> tuple[list[str], list[Edge]]:
        genotype = architecture.genotype
        refuse_unknown(f"key in a genotype of {self.name}:", genotype, {"operations", "edges"})
        operations, edges = genotype.get("operations"), genotype.get("edges")
        if not isinstance(operations, list | tuple) or len(operations) != self.nodes:
            raise ArchitectureError(f"operations is {shown(operations)}; a cell of {self.name} has {self.nodes} nodes")
        for node, operation in enumerate(operations):
            if operation not in OPERATIONS:
                known = ", ".join(OPERATIONS)
                raise ArchitectureError(f"operations, node {node}: unknown {shown(operation)}. Known: {known}")
        return list(operations), self._read_edges(edges)

    def _read_edges(self, edges: object) -> list[Edge]:
        every, found = complete(self.nodes), list[Edge]()
        for edge in edges if isinstance(edges, list | tuple) else [edges]:
            place = list(edge) if isinstance(edge, list | tuple) else edge
            known = next((each for each in every if list(each) == place), None)
            if known is None:
                raise ArchitectureError(
                    f"edges: {shown(edge)}; an edge is [source, target] with 0 <= source < target < {self.nodes}"
                )
            found.append(known)
        if found != [each for each in every if each in found]:
            raise ArchitectureError("edges: each stands once, by target, then by source")
        return found

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        return {**SCALE, **architecture.scale}

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        """Of the settings only `in_channels` counts: the size is the space's and there is no auxiliary head."""
        refuse_imagenet_stem(self.name, settings)
        channels = self.scale(architecture, settings)["channels"]
        return GraphNetwork(*self._read(architecture), num_classes, channels, settings.in_channels)

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives, in closed form."""
        channels = self.scale(architecture, settings)["channels"]
        return network_counts(*self._read(architecture), num_classes, channels, settings.in_channels, image_size)


@cache
def _decisions(nodes: int) -> tuple[Decision, ...]:
    edges = SubsetDecision("edges", Subsets(complete(nodes)))
    return (*(Decision(f"node {node}", OPERATIONS) for node in range(nodes)), edges)
