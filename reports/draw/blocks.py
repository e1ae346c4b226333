"""Stages that repeat a block, drawn by their cells; stages of one block are drawn once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from methods.architecture import Architecture
from reports.draw.cells import CellDrawing

KINDS = {"normal": "normal cell of", "reduce": "reduction cell before"}


def describe_blocks(architecture: Architecture) -> list[CellDrawing]:
    """A drawing for each different cell of a network of blocks; none for an architecture of another kind."""
    stages: Sequence[Mapping[str, Any]] = architecture.genotype.get("stages", ())
    if not all("repeats" in stage for stage in stages):
        return []
    titles: list[tuple[Mapping[str, Any], str, list[str]]] = []
    for kind, where in KINDS.items():
        for number, stage in enumerate(stages, 1):
            if kind not in stage:
                continue
            said = f"{number}" if kind == "reduce" else f"{number} (x{stage['repeats']})"
            same = next((places for cell, of, places in titles if of == where and cell == stage[kind]), None)
            if same is None:
                titles.append((stage[kind], where, [said]))
            else:
                same.append(said)
    width = f"width x{architecture.genotype['width']:g}" if titles else ""
    return [
        _cell(
            cell, f"{where} stage {', '.join(places)}; {width}" if not number else f"{where} stage {', '.join(places)}"
        )
        for number, (cell, where, places) in enumerate(titles)
    ]


def _cell(cell: Mapping[str, Any], title: str) -> CellDrawing:
    states = 1 + max([*cell["concat"], *(node for _, _, node in cell["edges"])])
    edges = tuple((operation, source, node, "") for operation, source, node in cell["edges"])
    return CellDrawing(title, edges, tuple(cell["concat"]), ("",) * states)
