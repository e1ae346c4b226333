"""`|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|...|`: the cells of NAS-Bench-201 (Dong and Yang, ICLR 2020).

Read into the space `nasbench201`, whose networks are those of the published table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

from methods.architecture import Architecture
from methods.importing.found import Choices, Format, Found, Imported
from methods.spaces.nasbench201.cell import EDGES, read_cell, unread_edges, write_cell

NAME = "a cell of NAS-Bench-201, |operation~input|+|...|"
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
    """The architecture of a cell, in the networks that were trained for the table (C = 16, N = 5).

    Raises:
        ArchitectureError: what is wrong with the cell, with its node and edge.
    """
    choices.only("a cell of NAS-Bench-201")
    operations = read_cell(cell, where)
    provenance = {"imported_from": where, "form": NAME}
    architecture = Architecture("nasbench201", {"cell": write_cell(operations)}, provenance=provenance)
    return Imported(architecture, tuple(_notes(operations)))


def _notes(operations: Sequence[str]) -> Iterator[str]:
    dead = unread_edges(operations)
    if len(dead) == len(EDGES):
        yield "nothing of the input reaches this cell's output"
    elif dead:
        names = ", ".join(f"{operations[edge]} from node {EDGES[edge][0]} to node {EDGES[edge][1]}" for edge in dead)
        yield f"built and counted as in the published table, though they carry nothing to the output: {names}"


FORMAT = Format(NAME, find)
