"""From the genotype of a stage graph to stages and cells with every width decided.

The cells of stage s have C * 2^s channels in each state; a stage's states are as wide as what its cells give. A
reduction cell reads what a stage gives, two states side by side, and has the next stage's channels.
"""

from __future__ import annotations

from dataclasses import dataclass

from methods.architecture import Architecture
from methods.form import ArchitectureError, refuse_unknown
from methods.spaces.base import NetworkSettings
from methods.spaces.cell.conventions import Conventions
from methods.spaces.cell.layout import CellLayout, Edge, cell_layout
from methods.spaces.stages.graph import STAGES, cells_of_stage

CONVENTIONS = Conventions(pool_norm="affine")
"""Of the cells (research-hdas, models/ops.py, 230b175): as DARTS', but pools are normalised with scale and shift."""


@dataclass(frozen=True)
class StageLayout:
    """One stage, and the reduction before it.

    Attributes:
        c_in: channels that arrive at its two preprocessings.
        width: channels of its states.
        cells: number of its cells.
        cell: of each of them.
        edges: between its states; () for a stage that is still to be decided.
        reduction: the cell before it; None before the first stage.
    """

    c_in: int
    width: int
    cells: int
    cell: CellLayout
    edges: tuple[Edge, ...]
    reduction: CellLayout | None

    @property
    def c_out(self) -> int:
        """Of its last two states, side by side."""
        return 2 * self.width


def channels_of(architecture: Architecture, settings: NetworkSettings) -> int:
    """C; the architecture's own scale wins over the settings."""
    return int(architecture.scale.get("channels", settings.channels))


def total_cells(architecture: Architecture) -> int:
    """Those of the stages and the reduction cells; at another number, its scale is wrong.

    Raises:
        ArchitectureError: it has another number in its scale.
    """
    refuse_unknown("scale", architecture.scale, {"channels", "cells"})
    cells = sum(map(cells_of_stage, architecture.genotype["stages"])) + STAGES - 1
    stated = architecture.scale.get("cells", cells)
    if stated != cells:
        raise ArchitectureError(f"the stages have {cells} cells with the reductions, the scale says {stated}")
    return cells


def layout(architecture: Architecture, channels: int) -> list[StageLayout]:
    """The stages of a valid architecture.

    Raises:
        ArchitectureError: an operation that cannot have so many channels, or widths of single layers.
    """
    if architecture.widths:
        raise ArchitectureError("the layers of a stage graph have no widths of their own")
    genotype = architecture.genotype
    found: list[StageLayout] = []
    for stage, graph in enumerate(genotype["stages"]):
        width = channels * 2**stage
        cell = cell_layout(genotype["normal"], stage, False, width, {})
        reduction = cell_layout(genotype["reduce"], stage, True, width, {}) if stage else None
        c_in = cell.out_channels if reduction is None else reduction.out_channels
        edges = tuple(Edge(*edge) for edge in graph["edges"])
        found.append(StageLayout(c_in, cell.out_channels, cells_of_stage(graph), cell, edges, reduction))
    return found
