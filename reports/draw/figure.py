"""A drawing as a figure of matplotlib, for PNG and PDF: collections and texts alone, without axes or a layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.collections import Collection, LineCollection, PatchCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch
from matplotlib.transforms import Affine2D

from reports.colours import PAPER
from reports.draw.shapes import Area, Box, Dot, Drawing, Line, Text, of_kind

POINTS = 72.0
"""In an inch."""


def figure_of(drawing: Drawing) -> Figure:
    """Of the drawing's size; whoever wants it in the page's or our style asks within `figure_style`."""
    figure = Figure(figsize=(drawing.width / POINTS, drawing.height / POINTS), facecolor=PAPER)
    place = Affine2D().scale(1 / POINTS, -1 / POINTS).translate(0, drawing.height / POINTS) + figure.dpi_scale_trans
    areas = of_kind(drawing, Area)
    made = [
        _lines(of_kind(drawing, Line)),
        PolyCollection([area.points for area in areas], **_plain([area.colour for area in areas])),
        _dots(of_kind(drawing, Dot)),
        _boxes(of_kind(drawing, Box)),
    ]
    for layer, collection in enumerate(made):
        collection.set(transform=place, zorder=layer)
        figure.add_artist(collection)
    for text in of_kind(drawing, Text):
        aligned = {"start": "left", "middle": "center", "end": "right"}[text.anchor]
        weight = "bold" if text.bold else "normal"
        figure.text(
            *text.place, text.text, transform=place, ha=aligned, va="baseline", size=text.size, color=text.colour,
            weight=weight, zorder=len(made), parse_math=False,
        )  # fmt: skip
    return figure


def _plain(colours: Sequence[str]) -> dict[str, Any]:
    """Filled, without a line around."""
    return {"facecolors": colours, "edgecolors": "none", "linewidths": 0}


def _lines(lines: Sequence[Line]) -> LineCollection:
    return LineCollection(
        [line.points for line in lines],
        colors=[line.colour for line in lines],
        linewidths=[line.width for line in lines],
        linestyles=[(0, line.dashes) if line.dashes else "solid" for line in lines],
        capstyle="butt",
    )


def _dots(dots: Sequence[Dot]) -> Collection:
    return PatchCollection([Circle(dot.centre, dot.radius) for dot in dots], **_plain([dot.colour for dot in dots]))


def _boxes(boxes: Sequence[Box]) -> Collection:
    patches = [
        FancyBboxPatch(box.corner, box.width, box.height, boxstyle=f"round,pad=0,rounding_size={box.round}")
        for box in boxes
    ]
    return PatchCollection(
        patches,
        facecolors=[box.fill for box in boxes],
        edgecolors=[box.edge for box in boxes],
        linewidths=[box.line for box in boxes],
    )
