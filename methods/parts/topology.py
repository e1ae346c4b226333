"""What a supernet leaves open: its decisions and the candidates of each, declared by the space it is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol


class Topology(Protocol):
    """What a parameterisation and a discretiser need.

    Attributes:
        kinds: cells of one kind share their architecture parameters.
        operations: candidates of a decision, in the order of the columns of alpha and of the gates.
        edges: (source, node) of each decision's edge, in the order of the rows.
        node_numbers: of what the edges enter.
        shape: kinds, decisions, candidates.
        options: candidates of each decision.
        absent: (row, column) of every candidate that a decision does not have.
    """

    @property
    def kinds(self) -> tuple[str, ...]: ...
    @property
    def operations(self) -> tuple[str, ...]: ...
    @property
    def edges(self) -> tuple[tuple[int, int], ...]: ...
    @property
    def node_numbers(self) -> range: ...
    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def options(self) -> Sequence[Sequence[str]]: ...
    @property
    def absent(self) -> Sequence[tuple[int, int]]: ...


@dataclass(frozen=True)
class CellTopology:
    """A cell in which an edge leads from every state, or from each of the last ones, to every later node, with the same
    candidates on each.

    Attributes:
        kinds: cells of one kind share their architecture parameters.
        inputs: states that a cell is given; they are numbered first.
        nodes: states that it computes.
        operations: candidates of an edge, in the order of the columns of alpha and of the gates.
        window: how many of the states before it an edge can lead to a node from; None for all.
    """

    kinds: tuple[str, ...]
    inputs: int
    nodes: int
    operations: tuple[str, ...]
    window: int | None = None
    absent: ClassVar[Sequence[tuple[int, int]]] = ()

    @property
    def options(self) -> list[tuple[str, ...]]:
        return [self.operations] * len(self.edges)

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(source, node) of each edge, in the order of the rows of alpha: by node, then by source."""
        window = self.window or self.inputs + self.nodes
        return tuple((source, node) for node in self.node_numbers for source in range(max(0, node - window), node))

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


@dataclass(frozen=True)
class SlotTopology:
    """A chain: one edge from each state to the next, all of one kind, each a decision of its own.

    Attributes:
        kind: of all slots.
        options: of each slot, some of `operations`.
    """

    kind: str
    options: tuple[tuple[str, ...], ...]
    operations: tuple[str, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        return (self.kind,)

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        return tuple((slot, slot + 1) for slot in range(len(self.options)))

    @property
    def node_numbers(self) -> range:
        return range(1, len(self.options) + 1)

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, len(self.options), len(self.operations)

    @cached_property
    def absent(self) -> tuple[tuple[int, int], ...]:
        return tuple(
            (row, column)
            for row, options in enumerate(self.options)
            for column, operation in enumerate(self.operations)
            if operation not in options
        )
