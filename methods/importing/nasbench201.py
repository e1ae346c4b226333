"""`|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|...|`: the cells of NAS-Bench-201 (Dong and Yang, ICLR 2020).

The string is read and checked. Its networks (one input a cell, the output of the last node, residual blocks between
three stages) are none that a registered space can build, and no cell space is bent to look like them.
"""

from __future__ import annotations

import difflib
import re
from functools import partial

from methods.architecture import ArchitectureError
from methods.importing.found import Choices, Format, Found, Imported, shorten

NAME = "a cell of NAS-Bench-201, |operation~input|+|...|"
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NODES = 3
BETWEEN = re.compile(r"[\n'\"()\[\]{},;=]")
"""What stands around a cell in code, logs and the results of confopt (`Structure(4 nodes with |...|)`)."""


def find(text: str) -> list[Found]:
    """Every piece of text with `|` and `~` in it, which is how no other format looks."""
    if "Genotype" in text or "~" not in text:
        return []
    found, line = [], 1
    pieces, ends = BETWEEN.split(text), [*BETWEEN.findall(text), ""]
    for piece, end in zip(pieces, ends, strict=True):
        if "|" in piece and "~" in piece:
            cell = piece[piece.index("|") :].strip()
            found.append(Found(None, line, NAME, cell, partial(read, cell)))
        line += end == "\n"
    return found


def read(cell: str, where: str, choices: Choices) -> Imported:
    """Check a cell.

    Raises:
        ArchitectureError: always: what is wrong with it, or what is missing here to build it.
    """
    choices.only("a cell of NAS-Bench-201")
    edges = parse(cell, where)
    raise ArchitectureError(
        f"{where}: a valid cell of NAS-Bench-201 ({len(edges)} edges), but no registered search space builds its "
        "networks (one input a cell, residual blocks between three stages); it was not turned into another space's"
    )


def parse(cell: str, where: str = "cell") -> list[tuple[str, int, int]]:
    """The edges (operation, source node, node) of a cell's string; node 0 is its input.

    Raises:
        ArchitectureError: with the node and the edge.
    """
    nodes = cell.split("+")
    if len(nodes) != NODES:
        raise ArchitectureError(f"{where}: {len(nodes)} nodes in {shorten(cell)}; a cell has {NODES}, joined by '+'")
    edges = []
    for node, text in enumerate(nodes, 1):
        if not (len(text) > 1 and text.startswith("|") and text.endswith("|")):
            raise ArchitectureError(f"{where}, node {node}: {shorten(text)} is not |operation~input|...|")
        entries = text[1:-1].split("|")
        if len(entries) != node:
            raise ArchitectureError(f"{where}, node {node}: {len(entries)} edges in {shorten(text)}; it has {node}")
        for source, entry in enumerate(entries):
            operation, _, number = entry.partition("~")
            if operation not in OPERATIONS:
                near = difflib.get_close_matches(operation, OPERATIONS, n=1, cutoff=0.5)
                hint = f"; did you mean '{near[0]}'?" if near else "."
                raise ArchitectureError(
                    f"{where}, node {node}, edge {source + 1}: unknown operation {shorten(repr(operation))}{hint} "
                    f"Known: {', '.join(OPERATIONS)}"
                )
            if number != str(source):
                raise ArchitectureError(
                    f"{where}, node {node}, edge {source + 1}: input {shorten(repr(number))} in {shorten(entry)}; "
                    f"edges come from nodes 0 to {node - 1}, in this order"
                )
            edges.append((operation, source, node))
    return edges


FORMAT = Format(NAME, find)
