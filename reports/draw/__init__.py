"""Drawings of architectures: cells, stages, blocks, chains, and the widths of other networks. Everything they need is
text and shapes, so that SVG is written without a plotting library; PNG and PDF go through one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from methods.architecture import Architecture, ArchitectureError
from methods.spaces.chain.macro import macro_of
from reports.draw.blocks import describe_blocks
from reports.draw.cells import CellDrawing, describe_cells, draw_cells
from reports.draw.chain import draw_chain
from reports.draw.shapes import Drawing
from reports.draw.stages import describe_stages
from reports.draw.superres import describe_superres
from reports.draw.svg import svg_of
from reports.draw.widths import draw_widths

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CellDrawing", "content", "describe", "draw", "draw_architecture", "figure_of", "svg_of"]


def draw(architecture: Architecture, path: Path) -> Path:
    """Write a drawing; the file's suffix (png, svg, pdf) decides the format.

    Raises:
        ArchitectureError: the genotype is malformed, or the suffix is none of these.
    """
    suffix = path.suffix.lstrip(".")
    if suffix not in ("png", "svg", "pdf"):
        raise ArchitectureError(f"cannot draw to {path}: give a name that ends in .png, .svg or .pdf")
    drawing = draw_architecture(architecture)
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == "svg":
        path.write_text(svg_of(drawing, f"architecture {architecture.digest}") + "\n")
        return path

    from reports.style import figure_style, save

    with figure_style():
        save(figure_of(drawing), path)
    return path


def describe(architecture: Architecture) -> list[CellDrawing]:
    """The stages and the cells to be drawn; empty for a network that is not made of cells."""
    kinds = describe_stages, describe_blocks, describe_superres, describe_cells
    return [drawing for describe_kind in kinds for drawing in describe_kind(architecture)]


def draw_architecture(architecture: Architecture, title: str = "") -> Drawing:
    """All cells of a cell genotype, with the stages that are graphs of them, the places of a chain; for another network
    its channel widths."""
    title = title or _density(architecture)
    macro = macro_of(architecture.space)
    if macro is not None:
        return draw_chain(architecture, macro, title)
    cells = describe(architecture)
    return draw_cells(cells, title) if cells else draw_widths(architecture, title)


def figure_of(drawing: Drawing) -> Figure:
    """A drawing for matplotlib, which is loaded here; asked for within `reports.style.figure_style`."""
    from reports.draw.figure import figure_of as made

    return made(drawing)


def content(architecture: Architecture) -> object:
    """Everything that its drawing shows.

    Raises:
        ArchitectureError: as `describe`.
    """
    network = architecture.space, architecture.genotype, architecture.widths
    return describe(architecture), _density(architecture), network


def _density(architecture: Architecture) -> str:
    """How many weights the masks keep, of those they cover; empty without masks."""
    kept = sum(int(mask.sum()) for mask in architecture.masks.values())
    total = sum(mask.numel() for mask in architecture.masks.values())
    return f"masks keep {kept:,} of {total:,} weights" if total else ""
