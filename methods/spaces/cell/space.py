"""The cell search space: nodes, edges, candidate operations; sampling and validation of its genotypes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from methods.architecture import Architecture, ArchitectureError
from methods.form import refuse_unknown
from methods.genotypes import published
from methods.parts.counts import NetworkCounts
from methods.spaces.base import NetworkSettings, SizeMatch
from methods.spaces.cell.conventions import DARTS, MGAS, Conventions
from methods.spaces.cell.counts import network_counts
from methods.spaces.cell.decisions import (
    decode_pairs,
    decode_subsets,
    encode_pairs,
    encode_subsets,
    pair_decisions,
    subset_decisions,
)
from methods.spaces.cell.layout import INPUTS, cells_of, layout, network_scale, refuse_gaps, validate_cell
from methods.spaces.cell.network import CellNetwork
from methods.spaces.cell.pairs_sized import draw_pairs_at_size
from methods.spaces.cell.sharing import BY_STAGE, BY_TYPE, Sharing
from methods.spaces.cell.sized import draw_at_size
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.decisions import Code, Decision, check_code, refuse_decided_elsewhere, sample
from methods.spaces.operations import OPERATIONS
from methods.spaces.registry import register_space


@register_space(
    "dense_cell",
    "every cell its own, any number of DARTS' operations into a node, scale and filters fixed (MGAS)",
    conventions=MGAS,
    max_inputs=None,
)
@register_space(
    "staged_cell", "DARTS' cells by stage: three normal and two reduction cells, each its own (H-DAS)", sharing=BY_STAGE
)
@register_space("darts_cell", "a normal and a reduction cell of 4 nodes, 2 inputs a node, 7 operations (DARTS)")
@dataclass(frozen=True)
class CellSpace:
    """Cells of four nodes over the operations of `methods.spaces.operations`.

    Attributes:
        name: "darts_cell" (a normal and a reduction cell, two inputs a node), "staged_cell" (the same cells, each
            stage's its own: H-DAS) or "dense_cell" (any number of operations a node, every cell its own: MGAS).
        conventions: of the built network.
        max_inputs: operations entering a node, exactly; None for any number from one.
        sharing: which cells are the same.
    """

    name: str = "darts_cell"
    conventions: Conventions = DARTS
    max_inputs: int | None = 2
    sharing: Sharing = BY_TYPE

    def reference(self) -> Architecture:
        cells = published("DARTS_V2").genotype
        by_kind = {kind: cells[BY_TYPE.kinds[self.sharing.reduces(kind)]] for kind in self.sharing.kinds}
        return Architecture(self.name, by_kind)

    def sample(self, generator: torch.Generator) -> Architecture:
        """Uniform over what `decisions` describe. In `darts_cell` the generator is drawn from node by node."""
        if self.max_inputs is None:
            return sample(self, generator)

        def cell() -> dict[str, object]:
            edges = []
            for node in TOPOLOGY.node_numbers:
                sources = torch.randperm(node, generator=generator)[: self.max_inputs].sort().values.tolist()
                for source in sources:
                    choice = int(torch.randint(1, len(OPERATIONS), (), generator=generator))
                    edges.append([OPERATIONS[choice], source, node])
            return {"edges": edges, "concat": list(TOPOLOGY.node_numbers)}

        return Architecture(self.name, {kind: cell() for kind in self.sharing.kinds})

    draws_at_size: ClassVar[bool] = True

    def sample_at_size(
        self, generator: torch.Generator, match: SizeMatch, num_classes: int, settings: NetworkSettings, image_size: int
    ) -> Architecture:
        """In `dense_cell` every cell its own, with widths and masks (`methods.spaces.cell.sized`); where a node has two
        inputs, uniform at that size (`methods.spaces.cell.pairs_sized`). Raises what these raise."""

        def count(architecture: Architecture) -> NetworkCounts:
            return self.counts(architecture, num_classes, settings, image_size)

        def shapes(architecture: Architecture) -> dict[str, torch.Size]:
            with torch.device("meta"):
                network = self.build(architecture, num_classes, settings)
            return {name: parameter.shape for name, parameter in network.named_parameters()}

        if self.max_inputs is not None:
            return draw_pairs_at_size(self, self.sharing.kinds, generator, match, count)
        return draw_at_size(self.name, generator, match, count, shapes)

    def decisions(self) -> tuple[Decision, ...]:
        """Of one cell of each kind (`methods.spaces.cell.decisions`)."""
        of = subset_decisions if self.max_inputs is None else pair_decisions
        return of(TOPOLOGY.nodes, self.sharing.kinds)

    def encode(self, architecture: Architecture) -> Code:
        """Raises ArchitectureError if there is anything but one cell of each kind, all nodes joined."""
        refuse_decided_elsewhere(self.name, architecture, "scale", "widths", "masks")
        encode = encode_subsets if self.max_inputs is None else encode_pairs
        return encode(TOPOLOGY.nodes, architecture.genotype, self.sharing.kinds)

    def decode(self, code: Code) -> Architecture:
        check_code(self, code)
        decode = decode_subsets if self.max_inputs is None else decode_pairs
        return Architecture(self.name, decode(TOPOLOGY.nodes, code, self.sharing.kinds))

    def validate(self, architecture: Architecture) -> None:
        """Raises ArchitectureError if the genotype is malformed or not of this space."""
        own = {"cells"} if self.sharing == BY_TYPE else set()
        refuse_unknown("key in a cell genotype:", architecture.genotype, {*self.sharing.kinds, *own})
        for name, cell in cells_of(architecture.genotype).items():
            validate_cell(name, cell, OPERATIONS[1:])
            refuse_gaps(name, cell)
            if min(cell["concat"]) < INPUTS:
                raise ArchitectureError(
                    f"cell '{name}': concat {cell['concat']} names an input; {self.name} joins nodes"
                )
            if self.max_inputs is None:
                continue
            for node in TOPOLOGY.node_numbers:
                sources = [source for _, source, to in cell["edges"] if to == node]
                if len(sources) != self.max_inputs or len(set(sources)) != len(sources):
                    raise ArchitectureError(
                        f"cell '{name}': node {node} has inputs {sources}; {self.name} wants {self.max_inputs} "
                        "distinct (general_cell takes any, see docs/cells.md)"
                    )
        layout(architecture, NetworkSettings())

    def scale(self, architecture: Architecture, settings: NetworkSettings) -> Mapping[str, int]:
        return network_scale(architecture, settings)

    def build(self, architecture: Architecture, num_classes: int, settings: NetworkSettings) -> nn.Module:
        return CellNetwork(architecture, num_classes, settings, self.conventions)

    def counts(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, image_size: int = 32
    ) -> NetworkCounts:
        """Parameters and MACs of the network that `build` gives, in closed form."""
        return network_counts(architecture, num_classes, settings, self.conventions, image_size)
