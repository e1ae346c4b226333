"""From a genotype of cells to cells with every width decided; validation of one cell.

A genotype is either *shared* (`{"normal": cell, "reduce": cell}`: DARTS, PC-DARTS, random sampling; or a cell for each
key of another sharing, `methods.spaces.cell.sharing`) or *per cell* (`{"cells": [cell, ...]}`: MGAS). A cell is
`{"edges": [[operation, source, node], ...], "concat": [nodes]}`; states 0 and 1 are the outputs of the two previous
cells, states 2, 3, ... the nodes in order.

Widths are those of named channel groups, and a group that is not named has its default width:

    cells.{i}.s{j}        state j of cell i: j = 0, 1 the preprocessed inputs, j >= 2 the nodes
    cells.{i}.s{j}.first  of these, the channels made by the first half of a factorised reduction (default: s{j} // 2)
    cells.{i}.op{n}.mid   inside of the n-th edge of cell i, where its operation has an inner width
    stem                  the stem's output (CIFAR stem)
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from methods.architecture import Architecture, ArchitectureError
from methods.domain import shown
from methods.form import MOST_CELLS, refuse_unknown
from methods.spaces.base import NetworkSettings
from methods.spaces.cell.sharing import BY_STAGE, BY_TYPE, reduction_cells, sharing_of
from methods.spaces.operation_names import KNOWN, SKIP, has_inner_width, keeps_width

INPUTS = 2
"""Input states of a cell."""
MOST_STATES, MOST_EDGES = 100, 1000
"""More states or edges than any published cell has many times over."""


@dataclass(frozen=True)
class Edge:
    """One operation from a source state to a node; `mid` is its inner width, where it has one."""

    operation: str
    source: int
    node: int
    mid: int | None = None


@dataclass(frozen=True)
class CellLayout:
    """One cell with every width decided: `widths[j]` channels in state j.

    `firsts[j]` of them come from the first half of every factorised reduction that leads to state j.
    """

    reduction: bool
    widths: tuple[int, ...]
    firsts: tuple[int, ...]
    edges: tuple[Edge, ...]
    concat: tuple[int, ...]

    @property
    def out_channels(self) -> int:
        return sum(self.widths[node] for node in self.concat)

    def stride(self, edge: Edge) -> int:
        return 2 if self.reduction and edge.source < INPUTS else 1


def network_scale(architecture: Architecture, settings: NetworkSettings) -> dict[str, int]:
    """Initial channels and cells: the architecture's own scale wins over the settings."""
    return {name: int(architecture.scale.get(name, getattr(settings, name))) for name in ("channels", "cells")}


def layout(architecture: Architecture, settings: NetworkSettings) -> list[CellLayout]:
    """Expand a genotype to cells with decided widths; the architecture's own scale wins over the settings.

    Raises:
        ArchitectureError: malformed genotype, an unknown channel group, or widths that do not fit together.
    """
    scale = architecture.scale
    refuse_unknown("scale", scale, {"channels", "cells"})
    if architecture.widths.get("stem", 1) < 1:
        raise ArchitectureError("the stem has no channel left")
    channels, cells = network_scale(architecture, settings).values()
    genotype, reductions = architecture.genotype, reduction_cells(cells)
    if "cells" in genotype and len(genotype["cells"]) != cells:
        raise ArchitectureError(f"the genotype has {len(genotype['cells'])} cells, its scale says {cells}")
    left = dict(architecture.widths)
    left.pop("stem", None)
    result = []
    for index in range(cells):
        reduction = index in reductions
        width = channels * 2 ** sum(index >= r for r in set(reductions))
        cell = genotype["cells"][index] if "cells" in genotype else genotype[sharing_of(genotype).of(index, cells)]
        result.append(cell_layout(cell, index, reduction, width, left))
    if left:
        raise ArchitectureError(f"unknown channel groups {sorted(left)[:4]} in the architecture's widths")
    return result


def cell_layout(cell: Mapping[str, Any], index: int, reduction: bool, width: int, left: dict[str, int]) -> CellLayout:
    """One cell of a valid genotype.

    Args:
        index: the number that its channel groups are named by.
        width: channels of its states where no group says other.
        left: widths of channel groups; those of this cell are taken out.
    """
    wiring, concat = _as_built(cell, reduction)
    states = max([INPUTS - 1, *(node for _, _, node in wiring)]) + 1
    widths = tuple(left.pop(f"cells.{index}.s{j}", width) for j in range(states))
    firsts = tuple(left.pop(f"cells.{index}.s{j}.first", half // 2) for j, half in enumerate(widths))
    edges = tuple(
        Edge(op, source, node, left.pop(f"cells.{index}.op{n}.mid", widths[source]))
        if has_inner_width(op)
        else Edge(op, source, node)
        for n, (op, source, node) in enumerate(wiring)
    )
    found = CellLayout(reduction, widths, firsts, edges, concat)
    _check_widths(index, found)
    return found


def _as_built(cell: Mapping[str, Any], reduction: bool) -> tuple[list[tuple[str, int, int]], tuple[int, ...]]:
    """The edges and the concatenation of what is built of a cell, its nodes numbered without gaps.

    A node that nothing enters is left out with what leaves it. An input in the output of a reduction cell passes a
    `skip_connect`, which brings it to the output's size.
    """
    empty = empty_nodes(cell)
    edges = [edge for edge in cell["edges"] if edge[1] not in empty]
    kept = [*range(INPUTS), *sorted({node for _, _, node in edges})]
    place = {state: index for index, state in enumerate(kept)}
    built = [(operation, place[source], place[node]) for operation, source, node in edges]
    concat = [place[state] for state in cell["concat"] if state not in empty]
    added = len(kept)
    for index, state in enumerate(concat):
        if reduction and state < INPUTS:
            built.append((SKIP, state, added))
            concat[index], added = added, added + 1
    return built, tuple(concat)


def empty_nodes(cell: Mapping[str, Any]) -> set[int]:
    """The nodes of a cell that nothing enters, or only what leaves other empty nodes."""
    named = {state for _, source, node in cell["edges"] for state in (source, node)} | set(cell["concat"])
    filled = set(range(INPUTS))
    for node in range(INPUTS, max(named, default=0) + 1):
        if any(to == node and source in filled for _, source, to in cell["edges"]):
            filled.add(node)
    return named - filled


def _check_widths(index: int, cell: CellLayout) -> None:
    for edge in cell.edges:
        source, node = cell.widths[edge.source], cell.widths[edge.node]
        if keeps_width(edge.operation, cell.stride(edge)) and source != node:
            raise ArchitectureError(
                f"cell {index}: {edge.operation} from state {edge.source} ({source} channels) to node {edge.node} "
                f"({node} channels) must keep the width"
            )
        multiple = KNOWN[edge.operation].multiple
        if source % multiple:
            raise ArchitectureError(
                f"cell {index}: {edge.operation} from state {edge.source} needs a multiple of {multiple} channels, "
                f"not {source}; choose other initial channels"
            )
    if min(cell.widths) < 1:
        raise ArchitectureError(f"cell {index}: a state has no channel left")
    for number, edge in enumerate(cell.edges):
        if edge.mid is not None and edge.mid < 1:
            raise ArchitectureError(f"cell {index}: op{number}.mid has no channel left")
    if any(not 0 <= first <= width for first, width in zip(cell.firsts, cell.widths, strict=True)):
        raise ArchitectureError(f"cell {index}: first halves {cell.firsts} do not fit the widths {cell.widths}")


def cells_of(genotype: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of a genotype by name: those of a sharing, as "normal" and "reduce", or "0", "1", ...

    Raises:
        ArchitectureError: none of these forms.
    """
    if "cells" in genotype:
        if {*BY_TYPE.kinds, *BY_STAGE.kinds} & set(genotype):
            raise ArchitectureError("a cell genotype has either 'normal' and 'reduce' or 'cells', not both")
        if not isinstance(genotype["cells"], list | tuple) or not 1 <= len(genotype["cells"]) <= MOST_CELLS:
            raise ArchitectureError(f"'cells' of a cell genotype must be a list of 1 to {MOST_CELLS} cells")
        return {str(index): cell for index, cell in enumerate(genotype["cells"])}
    return {kind: genotype[kind] for kind in sharing_of(genotype).kinds}


def validate_cell(name: str, cell: Any, operations: Collection[str]) -> None:
    """Check the form of one cell of a genotype: its edges and its concatenation of states that exist.

    Raises:
        ArchitectureError: with the cell's name and what is wrong.
    """
    if not isinstance(cell, Mapping) or not {"edges", "concat"} <= set(cell):
        raise ArchitectureError(f"cell '{name}' needs 'edges' and 'concat'")
    refuse_unknown(f"key in cell '{name}':", cell, {"edges", "concat"})
    for key in ("edges", "concat"):
        if not isinstance(cell[key], list | tuple):
            raise ArchitectureError(f"cell '{name}': '{key}' must be a list, not {shown(cell[key])}")
        if len(cell[key]) > MOST_EDGES:
            raise ArchitectureError(f"cell '{name}': '{key}' has {len(cell[key])} entries; at most {MOST_EDGES}")
    for index, edge in enumerate(cell["edges"]):
        _validate_edge(f"cell '{name}', edge {index}", edge, operations)
    last = max([node for _, _, node in cell["edges"]] + [INPUTS - 1])
    for state in cell["concat"]:
        if not (type(state) is int and 0 <= state <= last):
            raise ArchitectureError(
                f"cell '{name}': concat {shown(cell['concat'])} names {shown(state)}, not a state up to {last}"
            )
    if not cell["concat"] or len(set(cell["concat"])) < len(cell["concat"]):
        raise ArchitectureError(f"cell '{name}': concat {cell['concat']} must name states, each once")


def _validate_edge(where: str, edge: Any, operations: Collection[str]) -> None:
    if not isinstance(edge, list | tuple) or len(edge) != 3:
        raise ArchitectureError(f"{where}: {shown(edge)} is not [operation, source, node]")
    operation, source, node = edge
    if not isinstance(operation, str) or operation not in operations:
        near = difflib.get_close_matches(str(operation)[:100], operations, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ";"
        raise ArchitectureError(f"{where}: unknown operation {shown(operation)}{hint} known: {', '.join(operations)}")
    if not (type(source) is int and type(node) is int and 0 <= source < node and INPUTS <= node < MOST_STATES):
        raise ArchitectureError(
            f"{where}: {shown(list(edge))} must lead from an earlier state to a node in [{INPUTS}, {MOST_STATES})"
        )


def refuse_gaps(name: str, cell: Mapping[str, Any]) -> None:
    """Raises ArchitectureError if a node of a (valid) cell is entered by nothing."""
    nodes = {node for _, _, node in cell["edges"]}
    gaps = sorted(set(range(INPUTS, max(nodes, default=INPUTS) + 1)) - nodes)
    if gaps:
        raise ArchitectureError(f"cell '{name}': no edge enters node {gaps[0]}; every node needs an edge")
