"""Drawings of architectures. A cell is drawn like a sequence diagram: states are columns, every operation is an arrow
in a lane of its own, from the state it reads to the node it is added to. Nothing crosses a label, and a dense cell of
forty operations reads like one of eight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from methods.architecture import Architecture, ArchitectureError
from methods.spaces.base import NetworkSettings
from methods.spaces.cell.layout import INPUTS, empty_nodes, layout
from methods.spaces.chain.macro import macro_of
from methods.spaces.nasbench201.cell import EDGES, NODES, read_cell, unread_edges
from methods.spaces.operation_names import NONE
from reports.draw_chain import draw_chain
from reports.style import GRID, INK, MUTED, OPERATION_COLOURS, PAPER, figure_style, save, svg

LANE = 0.27
"""Height of a lane, in inches."""
GAP = 1.12
"""Distance of two columns, in inches."""
MARGIN = 1.25
"""Above and below the lanes together, in inches."""


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


def draw(architecture: Architecture, path: Path) -> Path:
    """Write a drawing; the file's suffix (png, svg, pdf) decides the format.

    Raises:
        ArchitectureError: the genotype is malformed, or the suffix is none of these.
    """
    suffix = path.suffix.lstrip(".")
    if suffix not in ("png", "svg", "pdf"):
        raise ArchitectureError(f"cannot draw to {path}: give a name that ends in .png, .svg or .pdf")
    path.parent.mkdir(parents=True, exist_ok=True)
    with figure_style():
        figure = draw_architecture(architecture)
        text = svg(figure, path.stem, f"architecture {architecture.digest}") if suffix == "svg" else ""
        save(figure, path.with_suffix(""), [suffix], text)
        plt.close(figure)
    return path


def draw_architecture(architecture: Architecture, title: str = "") -> Figure:
    """All cells of a cell genotype, the places of a chain; for another network its channel widths."""
    cells = describe(architecture)
    title = title or _density(architecture)
    macro = macro_of(architecture.space)
    if macro is not None:
        return draw_chain(architecture, macro, title)
    if not cells:
        return _draw_widths(architecture, title)
    columns = 2 if len(cells) > 1 else 1
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    lanes = [max(len(cell.edges) for cell in row) for row in rows]
    heights = [MARGIN + LANE * count for count in lanes]
    width = max(cell.states for cell in cells) * GAP + 0.3
    total = sum(heights) + (0.4 if title else 0)
    figure = plt.figure(figsize=(columns * width, total))
    edges = {"left": 0.01, "right": 0.99, "bottom": 0.0, "top": 1 - (0.6 if title else 0.28) / total}
    grid = figure.add_gridspec(len(rows), columns, height_ratios=heights, hspace=0.08, wspace=0.04, **edges)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            draw_cell(figure.add_subplot(grid[i, j]), cell, lanes[i])
    if title:
        figure.suptitle(title, fontsize=10, color=INK)
    return figure


def content(architecture: Architecture) -> object:
    """Everything that its drawing shows.

    Raises:
        ArchitectureError: as `describe`.
    """
    network = architecture.space, architecture.genotype, architecture.widths
    return describe(architecture), _density(architecture), network


def describe(architecture: Architecture) -> list[CellDrawing]:
    """The cells to be drawn; empty for a network that is not made of cells.

    A genotype shared by all cells is two drawings, with the range of widths over the cells where pruning changed them.
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
    if not {"normal", "reduce"} <= set(genotype):
        return []
    return [_shared(architecture, kind) for kind in ("normal", "reduce")]


def draw_cell(axes: Axes, cell: CellDrawing, lanes: int | None = None) -> None:
    """One cell into axes; `lanes` aligns cells of different size."""
    count = lanes or len(cell.edges)
    bottom = -(count + 0.55)
    names = cell.names or ("c(k-2)", "c(k-1)", *(f"node {j - INPUTS}" for j in range(INPUTS, cell.states)))
    for state, (name, width) in enumerate(zip(names, cell.widths, strict=True)):
        used = state in cell.concat
        axes.plot([state, state], [0, bottom], color=GRID, lw=1.2, zorder=1)
        box = {"boxstyle": "round,pad=0.3", "fc": PAPER, "ec": INK if used else MUTED, "lw": 1.3 if used else 0.8}
        axes.text(state, 0.45, name, ha="center", va="center", fontsize=8, color=INK, bbox=box, zorder=3)
        axes.text(state, bottom - 0.1, width, ha="center", va="top", fontsize=7, color=MUTED)
    order = sorted(cell.edges, key=lambda edge: (edge[2], edge[1], edge[0]))
    for lane, (operation, source, node, remark) in enumerate(order):
        _draw_edge(axes, operation, source, node, remark, -(lane + 1))
    output = cell.output or f"output: {', '.join(names[state] for state in cell.concat)} concatenated"
    axes.text(-0.45, bottom - 0.95, output, ha="left", va="top", fontsize=7, color=MUTED)
    axes.set_title(cell.title, fontsize=9, loc="left", color=INK)
    axes.set_xlim(-0.5, cell.states - 0.5)
    axes.set_ylim(bottom - 1.7, 1.1)
    axes.axis("off")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_visible(False)  # nor measured at each drawing


def _draw_edge(axes: Axes, operation: str, source: int, node: int, remark: str, y: float) -> None:
    colour = OPERATION_COLOURS.get(operation, MUTED)
    axes.annotate(
        "", (node, y), (source, y),
        arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.6, "shrinkA": 0, "shrinkB": 1, "mutation_scale": 9},
        zorder=2,
    )  # fmt: skip
    axes.plot(source, y, "o", ms=3.5, color=colour, zorder=3)
    label = operation.replace("_connect", "").replace("_", " ") + (f" · {remark}" if remark else "")
    axes.text(
        node - 0.5, y + 0.06, label, ha="center", va="bottom", fontsize=6.3, color=INK, zorder=4,
    )  # fmt: skip


def _density(architecture: Architecture) -> str:
    """How many weights the masks keep, of those they cover; empty without masks."""
    kept = sum(int(mask.sum()) for mask in architecture.masks.values())
    total = sum(mask.numel() for mask in architecture.masks.values())
    return f"masks keep {kept:,} of {total:,} weights" if total else ""


def _shared(architecture: Architecture, kind: str) -> CellDrawing:
    """One drawing for all cells of a kind: as the genotype says, or, where widths were changed, as they are built."""
    title = "normal cell" if kind == "normal" else "reduction cell"
    if architecture.widths:
        built = [cell for cell in layout(architecture, NetworkSettings()) if cell.reduction == (kind == "reduce")]
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


def _draw_widths(architecture: Architecture, title: str) -> Figure:
    """Channels of every group that the architecture fixes, as bars."""
    groups = list(architecture.widths.items())
    figure, axes = plt.subplots(figsize=(6.4, 1.2 + 0.2 * max(1, len(groups))), layout="constrained")
    told = ", ".join(f"{key} {value}" for key, value in architecture.genotype.items())
    axes.set_title(title or f"{architecture.space}: {told}", fontsize=9, loc="left")
    if not groups:
        axes.text(0, 0.5, "default widths throughout", color=MUTED, fontsize=8)
        axes.axis("off")
        return figure
    names, widths = [name for name, _ in groups], [width for _, width in groups]
    axes.barh(names, widths, color="#0072b2")
    for index, width in enumerate(widths):
        axes.annotate(str(width), (width, index), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.invert_yaxis()
    axes.tick_params(labelsize=7)
    axes.set_xlabel("channels")
    axes.grid(axis="y", visible=False)
    return figure
