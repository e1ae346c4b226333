"""Drawings of cells, each like a sequence diagram: states are columns, every operation is an arrow in a lane of its
own, from the state it reads to the node it is added to. Nothing crosses a label, and a dense cell of forty operations
reads like one of eight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from methods.architecture import Architecture
from methods.spaces.base import NetworkSettings
from methods.spaces.cell.layout import INPUTS, empty_nodes, layout
from methods.spaces.cell.sharing import BY_STAGE, BY_TYPE, Sharing
from methods.spaces.nasbench201.cell import EDGES, NODES, read_cell, unread_edges
from methods.spaces.operation_names import NONE
from reports.colours import GRID, INK, MUTED, OPERATION_COLOURS, PAPER
from reports.draw.shapes import Area, Box, Dot, Drawing, Line, Shape, Text, arrow, room

LANE = 19.4
"""Height of a lane, in points."""
COLUMN = 80.6
"""Distance of two states, in points; more where the name of an operation needs it."""
LABEL = 6.3
"""Size of the operations' names, in points."""
BESIDE = 21.6
"""Of a cell's columns, left and right together, in points."""
TITLE = 22.0
"""Height of the title of all cells, in points."""
NAMES, FIRST = 36.0, 46.0
"""From the top of a cell to the middle of its states' names, and to the line above its first lane, in points."""
BELOW = 46.0
"""From the last lane to the bottom of a cell, in points."""


@dataclass(frozen=True)
class CellDrawing:
    """One cell as text.

    Attributes:
        edges: (operation, source, node, remark).
        concat: the states that are the cell's output.
        widths: the remarks under the states.
        names: of the states; where there are none, two inputs and nodes counted from 0.
        output: what is said under the cell; "" for the names of `concat`.
    """

    title: str
    edges: tuple[tuple[str, int, int, str], ...]
    concat: tuple[int, ...]
    widths: tuple[str, ...]
    names: tuple[str, ...] = ()
    output: str = ""

    @property
    def states(self) -> int:
        return len(self.widths)


def describe_cells(architecture: Architecture) -> list[CellDrawing]:
    """The cells to be drawn; empty for a network that is not made of cells.

    A genotype that cells share is one drawing for each kind, with the range of widths over its cells where pruning
    changed them.
    """
    genotype = architecture.genotype
    if "cells" in genotype:
        return [
            CellDrawing(
                f"cell {index} ({'reduction' if cell.reduction else 'normal'})",
                tuple((e.operation, e.source, e.node, "" if e.mid is None else f"mid {e.mid}") for e in cell.edges),
                cell.concat,
                tuple(f"{width} ch" for width in cell.widths),
            )
            for index, cell in enumerate(layout(architecture, NetworkSettings()))
        ]
    if architecture.space == "nasbench201":
        return [_nasbench201(genotype["cell"])]
    sharing = next((each for each in (BY_TYPE, BY_STAGE) if set(each.kinds) <= set(genotype)), None)
    return [_shared(architecture, kind, sharing) for kind in sharing.kinds] if sharing else []


def draw_cells(cells: Sequence[CellDrawing], title: str = "") -> Drawing:
    """Two in a row, beginning at one height and, for the eye to compare, ending at one."""
    columns = min(2, len(cells))
    labels = [_label(operation, remark) for cell in cells for operation, _, _, remark in cell.edges]
    column = max(COLUMN, room(labels, LABEL))
    width = max(cell.states for cell in cells) * column + BESIDE
    shapes: list[Shape] = [Text((8, 14), title, 10, INK, "start")] if title else []
    y = TITLE if title else 0.0
    for i in range(0, len(cells), columns):
        row = cells[i : i + columns]
        lanes = max(len(cell.edges) for cell in row)
        for j, cell in enumerate(row):
            shapes += draw_cell(cell, lanes, column, (j * width, y))
        y += FIRST + LANE * lanes + BELOW
    return Drawing(columns * width, y, tuple(shapes))


def draw_cell(cell: CellDrawing, lanes: int, column: float, corner: tuple[float, float]) -> Iterator[Shape]:
    """One cell of some lanes and a distance of its states, where it has its upper left corner."""
    left, top = corner
    xs = [left + (BESIDE + column) / 2 + column * state for state in range(cell.states)]
    bottom = top + FIRST + LANE * (lanes + 0.55)
    names = cell.names or ("c(k-2)", "c(k-1)", *(f"node {j - INPUTS}" for j in range(INPUTS, cell.states)))
    yield Text((left + 8, top + 14), cell.title, 9, INK, "start", bold=True)
    for state, (x, name, width) in enumerate(zip(xs, names, cell.widths, strict=True)):
        used = state in cell.concat
        yield Line(((x, top + NAMES), (x, bottom)), GRID, 1.2)
        yield Box((x - 23, top + NAMES - 7.5), 46, 15, PAPER, INK if used else MUTED, 1.3 if used else 0.8)
        yield Text((x, top + NAMES + 2.9), name, 8, INK)
        if width:
            yield Text((x, bottom + 9), width, 7, MUTED)
    order = sorted(cell.edges, key=lambda edge: (edge[2], edge[1], edge[0]))
    for lane, (operation, source, node, remark) in enumerate(order):
        yield from _draw_edge(operation, (xs[source], xs[node]), top + FIRST + LANE * (lane + 1))
        place = xs[node] - column / 2, top + FIRST + LANE * (lane + 1) - 3.4
        yield Text(place, _label(operation, remark), LABEL, INK)
    output = cell.output or f"output: {', '.join(names[state] for state in cell.concat)} concatenated"
    yield Text((left + 10, bottom + (23 if any(cell.widths) else 14)), output, 7, MUTED, "start")


def _draw_edge(operation: str, ends: tuple[float, float], y: float) -> Iterator[Line | Area | Dot]:
    colour = OPERATION_COLOURS.get(operation, MUTED)
    yield from arrow((ends[0], y), (ends[1] - 0.8, y), colour, 1.6)
    yield Dot((ends[0], y), colour)


def _label(operation: str, remark: str) -> str:
    """What stands before an operation's node, where no other arrow ends."""
    return operation.replace("_connect", "").replace("_", " ") + (f" · {remark}" if remark else "")


def _shared(architecture: Architecture, kind: str, sharing: Sharing) -> CellDrawing:
    """One drawing for all cells of a kind: as the genotype says, or, where widths were changed, as they are built."""
    stage = kind.removeprefix("reduce").removeprefix("normal")
    title = f"{'reduction' if sharing.reduces(kind) else 'normal'} cell{f' of stage {stage}' if stage else ''}"
    if architecture.widths:
        cells = layout(architecture, NetworkSettings())
        built = [cell for index, cell in enumerate(cells) if sharing.of(index, len(cells)) == kind]
        widths = tuple(_range([cell.widths[j] for cell in built]) for j in range(len(built[0].widths)))
        mids = [[cell.edges[n].mid for cell in built] for n in range(len(built[0].edges))]
        remarks = ["" if None in mid else "mid " + _range([m for m in mid if m is not None], "") for mid in mids]
        edges = [(e.operation, e.source, e.node, remark) for e, remark in zip(built[0].edges, remarks, strict=True)]
        return CellDrawing(title, tuple(edges), built[0].concat, widths)
    cell: Mapping[str, Any] = architecture.genotype[kind]
    empty = empty_nodes(cell)
    states = 1 + max([*cell["concat"], *(node for _, _, node in cell["edges"])])
    edges = [(op, source, node, "left out" if source in empty else "") for op, source, node in cell["edges"]]
    joined = tuple(state for state in cell["concat"] if state not in empty)
    return CellDrawing(title, tuple(edges), joined, tuple("empty" if state in empty else "" for state in range(states)))


def _nasbench201(text: str) -> CellDrawing:
    """The cell of all three stages; `none` is the absence of an edge."""
    operations = read_cell(text)
    unread = unread_edges(operations)
    edges = tuple(
        (operation, source, node, "idle" if index in unread else "")
        for index, (operation, (source, node)) in enumerate(zip(operations, EDGES, strict=True))
        if operation != NONE
    )
    names = ("input", *(f"node {node}" for node in range(1, NODES - 1)), "output")
    said = "output: the sum of what reaches it; idle: carries nothing of the input to it"
    said = said if any(remark for *_, remark in edges) else said.partition(";")[0]
    said = said if edges else "output: zeros; every operation is none"
    return CellDrawing("cell", edges, (NODES - 1,), ("",) * NODES, names, said)


def _range(values: Sequence[int], unit: str = " ch") -> str:
    low, high = min(values, default=0), max(values, default=0)
    return f"{low}{unit}" if low == high else f"{low}-{high}{unit}"
