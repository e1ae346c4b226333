"""Stages that are graphs of cells, drawn as cells are: a column for each cell, an arrow for what stands between two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from methods.architecture import Architecture
from methods.spaces.cell.layout import INPUTS
from reports.draw.cells import CellDrawing


def describe_stages(architecture: Architecture) -> list[CellDrawing]:
    """A drawing for each stage; none for an architecture of another kind."""
    stages: Sequence[Mapping[str, Any]] = architecture.genotype.get("stages", ())
    graphs = [stage for stage in stages if "edges" in stage]  # in spaces of widths stages are no graphs
    return [_stage(f"stage {number}", graph) for number, graph in enumerate(graphs, 1)]


def _stage(title: str, graph: Mapping[str, Any]) -> CellDrawing:
    cells = max(node for *_, node in graph["edges"]) - INPUTS + 1
    names = ("input 0", "input 1", *(f"cell {number + 1}" for number in range(cells)))
    joined = ", ".join(names[state] for state in graph["concat"])
    return CellDrawing(
        f"{title}: {cells} cells",
        tuple((operation, source, node, "") for operation, source, node in graph["edges"]),
        tuple(graph["concat"]),
        ("",) * len(names),
        names,
        f"both inputs of a cell are the sum of what enters it; output: {joined} concatenated",
    )
