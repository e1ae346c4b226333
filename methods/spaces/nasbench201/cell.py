"""The cell: four nodes, an edge between every two, one of five operations on each; and how it is written.

Node 0 is the cell's input, node 3 its output; a node is the sum of what its edges bring. A cell is written

    |op(0,1)~0|+|op(0,2)~0|op(1,2)~1|+|op(0,3)~0|op(1,3)~1|op(2,3)~2|

with the source of each edge after its operation (Dong and Yang, ICLR 2020, section 2.1 and released code).
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from methods.domain import shown
from methods.form import ArchitectureError
from methods.parts.topology import CellTopology
from methods.spaces.operation_names import AVG_POOL, NONE, SKIP

CONV_1, CONV_3 = "nor_conv_1x1", "nor_conv_3x3"
OPERATIONS = (NONE, SKIP, CONV_1, CONV_3, AVG_POOL)
"""In the order of the released code (`NAS_BENCH_201`)."""

SCALE = {"channels": 16, "cells_per_stage": 5}
"""Of the networks that were trained for the table."""

NODES = 4
TOPOLOGY = CellTopology(kinds=("cell",), inputs=1, nodes=NODES - 1, operations=OPERATIONS)
EDGES = TOPOLOGY.edges
"""The six edges (source, node), in the order in which a cell is written."""


def write_cell(operations: Sequence[str]) -> str:
    """The text of a cell with these six operations, in the order of `EDGES`."""
    edges = list(zip(operations, EDGES, strict=True))
    parts = ("".join(f"{op}~{source}|" for op, (source, to) in edges if to == node) for node in range(1, NODES))
    return "+".join("|" + part for part in parts)


def unread_edges(operations: Sequence[str]) -> tuple[int, ...]:
    """The edges, as indices into `EDGES`, that carry nothing of the input to the output; those of `none` are left out.

    All six where the output is nothing at all.
    """
    on = [edge for edge, operation in zip(EDGES, operations, strict=True) if operation != NONE]
    filled, read = {0}, {NODES - 1}
    for source, node in on:
        filled |= {node} if source in filled else set()
    for source, node in reversed(on):
        read |= {source} if node in read else set()
    if NODES - 1 not in filled:
        return tuple(range(len(EDGES)))
    dead = {(source, node) for source, node in on if source not in filled or node not in read}
    return tuple(index for index, edge in enumerate(EDGES) if edge in dead)


def read_cell(text: str, where: str = "cell") -> tuple[str, ...]:
    """The six operations of a cell, in the order of `EDGES`.

    Raises:
        ArchitectureError: with the node and the edge where the text is not a cell.
    """
    nodes = text.split("+") if isinstance(text, str) else []
    if len(nodes) != NODES - 1:
        raise ArchitectureError(
            f"{where}: {len(nodes)} nodes in {shown(text)}; a cell has {NODES - 1}, joined by '+', as in "
            f"{write_cell([SKIP] * len(EDGES))}"
        )
    return tuple(operation for node, part in enumerate(nodes, 1) for operation in _read_node(part, node, where))


def _read_node(text: str, node: int, where: str) -> list[str]:
    if not (len(text) > 1 and text.startswith("|") and text.endswith("|")):
        raise ArchitectureError(f"{where}, node {node}: {shown(text)} is not |operation~input|...|")
    entries = text[1:-1].split("|")
    if len(entries) != node:
        raise ArchitectureError(f"{where}, node {node}: {len(entries)} edges in {shown(text)}; it has {node}")
    return [_read_edge(entry, source, node, where) for source, entry in enumerate(entries)]


def _read_edge(entry: str, source: int, node: int, where: str) -> str:
    operation, _, number = entry.partition("~")
    place = f"{where}, node {node}, edge {source + 1}"
    if operation not in OPERATIONS:
        near = difflib.get_close_matches(operation[:100], OPERATIONS, n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        raise ArchitectureError(f"{place}: unknown operation {shown(operation)}{hint} Known: {', '.join(OPERATIONS)}")
    if number != str(source):
        raise ArchitectureError(
            f"{place}: input {shown(number)} in {shown(entry)}; edges come from nodes 0 to {node - 1}, in this order"
        )
    return operation
