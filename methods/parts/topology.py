"""What a searched cell leaves open: its kinds, its edges and the candidates on each, declared by the space it is of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class CellTopology:
    """A cell in which an edge leads from every state to every later node, with the same candidates on each.

    Attributes:
        kinds: cells of one kind share their architecture parameters.
        inputs: states that a cell is given; they are numbered first.
        nodes: states that it computes.
        operations: candidates of an edge, in the order of the columns of alpha and of the gates.
    """

    kinds: tuple[str, ...]
    inputs: int
    nodes: int
    operations: tuple[str, ...]

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(source, node) of each edge, in the order of the rows of alpha: by node, then by source."""
        return tuple((source, node) for node in self.node_numbers for source in range(node))

    @property
    def node_numbers(self) -> range:
        return range(self.inputs, self.inputs + self.nodes)

    @property
    def sources(self) -> range:
        """The states that an edge leaves."""
        return range(self.inputs + self.nodes - 1)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Kinds, edges, operations."""
        return len(self.kinds), len(self.edges), len(self.operations)

    def entering(self, node: int) -> list[int]:
        """The rows of the edges that enter a node."""
        return [row for row, (_, to) in enumerate(self.edges) if to == node]

    def leaving(self, source: int) -> list[int]:
        """The rows of the edges that leave a state, in the order of their nodes."""
        return [row for row, (start, _) in enumerate(self.edges) if start == source]
