"""The cells of genotypes as people write them, to edges (operation, source, node).

Three ways of writing the edges of a cell are in use, each with the operation or the input first:

    flat      [('sep_conv_3x3', 0), ('skip_connect', 1), ...]         two for each node, nodes in order (DARTS)
    by node   [[('sep_conv_3x3', 0), ('skip_connect', 1)], [...]]     any number for each node
    explicit  [('sep_conv_3x3', 2, 0), ...]                           with the node (FairDARTS: node, then source)

A decimal number after an edge, as searches print it, is the edge's weight in the search and no part of the network.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from methods.architecture import ArchitectureError
from methods.importing.found import shorten
from methods.spaces.cell.layout import INPUTS
from methods.spaces.operation_names import KNOWN

PER_NODE = 2
MOST_NODES = 64


@dataclass(frozen=True)
class ForeignCell:
    """A cell as it was written.

    Attributes:
        edges: (operation, source state, node), in the order of the text.
        explicit: nodes were written, so that some may have no edge.
        weighted: edges had weights of a search beside them.
    """

    edges: tuple[tuple[str, int, int], ...]
    concat: tuple[int, ...]
    explicit: bool = False
    weighted: bool = False

    @property
    def operations(self) -> set[str]:
        return {operation for operation, _, _ in self.edges}

    def sources(self, node: int) -> list[int]:
        return [source for _, source, to in self.edges if to == node]

    def to_json(self) -> dict[str, Any]:
        return {"edges": [list(edge) for edge in self.edges], "concat": list(self.concat)}


def read_cell(value: Any, concat: Any, where: str, renamed: Mapping[str, str] | None = None) -> ForeignCell:
    """A cell from its list of edges and its list of joined states.

    Args:
        where: the cell's place, for messages.
        renamed: operations that the writer calls differently.

    Raises:
        ArchitectureError: with the cell, node and edge, what is written there, and the nearest that would be valid.
    """
    if not isinstance(value, list) or not value:
        raise ArchitectureError(f"{where}: expected a list of edges, found {shorten(value)}")
    edges, explicit, weighted = [], False, False
    for place, node, entry in _entries(value, where):
        operation, first, second, weight = _parts(entry, place)
        operation = (renamed or {}).get(operation, operation)
        _check_operation(operation, place)
        weighted = weighted or weight
        if second is None:
            edges.append((operation, first, node))
        else:
            edges.append((operation, first, second))
            explicit = True
    if explicit:
        edges = _with_source_first(edges, where)
    for index, (operation, source, node) in enumerate(edges):
        _check_edge(operation, source, node, f"{where}, node {node}, edge {_number(edges, index)}")
    last = max(node for _, _, node in edges)
    return ForeignCell(tuple(edges), _states(concat, last, where), explicit, weighted)


def joined(edges: Sequence[tuple[str, int, int]], which: str) -> list[int]:
    """The nodes of a cell that are joined to its output: "all", or the "loose" ones that no other node reads."""
    read = {source for _, source, _ in edges} if which == "loose" else set()
    return [node for node in sorted({node for _, _, node in edges}) if node not in read]


def is_edge(value: Any) -> bool:
    """Whether a value is written as one edge: a list with an operation's name in it."""
    return isinstance(value, list) and any(isinstance(item, str) for item in value)


def _entries(value: list[Any], where: str) -> Iterator[tuple[str, int, Any]]:
    """Each edge as written, with its place and the node it enters if that follows from its position."""
    nested = isinstance(value[0], list) and not is_edge(value[0])
    if not nested:
        explicit = is_edge(value[0]) and sum(type(item) is int for item in value[0]) == 2
        if len(value) % PER_NODE and not explicit:
            raise ArchitectureError(
                f"{where}: {len(value)} edges; a flat list has {PER_NODE} for each node. Nodes with other numbers of "
                "edges are written by node, [[edge, edge, edge], [edge]], or with their node"
            )
        for index, entry in enumerate(value):
            node = INPUTS + index // PER_NODE
            place = f"edge {index + 1}" if explicit else f"node {node}, edge {index % PER_NODE + 1}"
            _same_length(entry, value[0], f"{where}, {place}")
            yield f"{where}, {place}", node, entry
        return
    for node, entries in enumerate(value, INPUTS):
        if not isinstance(entries, list) or is_edge(entries) or not entries:
            raise ArchitectureError(f"{where}, node {node}: expected a list of edges, found {shorten(entries)}")
        for index, entry in enumerate(entries):
            if is_edge(entry) and sum(type(item) is int for item in entry) == 2:
                raise ArchitectureError(f"{where}, node {node}, edge {index + 1}: {_told(entry)} names its node again")
            yield f"{where}, node {node}, edge {index + 1}", node, entry


def _same_length(entry: Any, first: Any, place: str) -> None:
    if is_edge(entry) and is_edge(first) and len(entry) != len(first):
        raise ArchitectureError(f"{place}: {_told(entry)} has {len(entry)} parts, the first edge {len(first)}")


def _parts(entry: Any, place: str) -> tuple[str, int, int | None, bool]:
    """An edge's operation, one or two states in the order written, and whether a weight stands beside it."""
    if not is_edge(entry):
        raise ArchitectureError(f"{place}: {_told(entry)} is not (operation, input)")
    names = [item for item in entry if isinstance(item, str)]
    states = [item for item in entry if type(item) is int]
    weights = [item for item in entry if isinstance(item, float)]
    whole = len(names) + len(states) + len(weights) == len(entry)
    if not (whole and len(names) == 1 and (len(states), len(weights)) in ((1, 0), (1, 1), (2, 0))):
        raise ArchitectureError(f"{place}: {_told(entry)} is not (operation, input), (input, operation) or with a node")
    return names[0], states[0], states[1] if len(states) == 2 else None, bool(weights)


def _check_operation(operation: str, place: str) -> None:
    if operation not in KNOWN:
        near = difflib.get_close_matches(operation, KNOWN, n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        raise ArchitectureError(f"{place}: unknown operation {_told(operation)}{hint} Known: {', '.join(KNOWN)}")


def _check_edge(operation: str, source: int, node: int, place: str) -> None:
    if not INPUTS <= node < INPUTS + MOST_NODES:
        raise ArchitectureError(f"{place}: nodes are {INPUTS}, {INPUTS + 1}, ... (0 and 1 are the cell's inputs)")
    if not 0 <= source < node:
        raise ArchitectureError(
            f"{place}: {operation} from state {shorten(source)}; node {node} can read states 0 to {node - 1}"
        )


def _with_source_first(edges: list[tuple[str, int, int]], where: str) -> list[tuple[str, int, int]]:
    """Edges with two states: the later state is the node, in all of them on the same side."""
    node_first = edges[0][1] > edges[0][2]
    for index, (operation, first, second) in enumerate(edges):
        if first == second or (first > second) != node_first:
            order = "node, then source" if node_first else "source, then node"
            raise ArchitectureError(
                f"{where}, edge {index + 1}: ({operation!r}, {shorten(first)}, {shorten(second)}) does not lead from "
                f"an earlier state to a later one, written as in the first edge ({order})"
            )
    return [(operation, min(states), max(states)) for operation, *states in edges]


def _states(concat: Any, last: int, where: str) -> tuple[int, ...]:
    good = isinstance(concat, list) and concat and all(type(state) is int and 0 <= state <= last for state in concat)
    if not good or len(set(concat)) < len(concat):
        raise ArchitectureError(
            f"{where}, concat: {shorten(concat)} must name states of 0 to {last}, each once; DARTS joins its nodes, "
            f"range({INPUTS}, {last + 1})"
        )
    return tuple(concat)


def _number(edges: list[tuple[str, int, int]], index: int) -> int:
    return sum(node == edges[index][2] for _, _, node in edges[: index + 1])


def _told(value: Any) -> str:
    """As it was probably written: an edge in round brackets."""
    return shorten(f"({', '.join(map(repr, value))})" if isinstance(value, list) else repr(value))
