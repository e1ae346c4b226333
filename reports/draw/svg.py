"""A drawing as SVG: written as text, since that is all it takes, and a hundred times faster than a plotting library.

Text stays text; equal drawings give equal files.
"""

from __future__ import annotations

from reports.colours import PAPER
from reports.draw.shapes import KINDS, Area, Box, Dot, Drawing, Line, Point, Shape
from reports.xml import as_xml

FONT = "'DejaVu Sans', Verdana, sans-serif"


def svg_of(drawing: Drawing, description: str) -> str:
    """The SVG element; shapes that look alike share a group, so that the look is written once."""
    looks: dict[str, list[str]] = {}
    for kind in KINDS:
        for shape in drawing.shapes:
            if isinstance(shape, kind):
                look, element = _written(shape)
                looks.setdefault(look, []).append(element)
    width, height = _number(drawing.width), _number(drawing.height)
    head = (
        f'<svg role="img" aria-label="{as_xml(description)}" width="{width}pt" height="{height}pt" '
        f'viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" version="1.1">'
    )
    ground = f'<path d="M0 0H{width}V{height}H0z" style="fill: {PAPER}"/>'
    groups = [f'<g style="{look}">\n' + "\n".join(elements) + "\n</g>" for look, elements in looks.items()]
    return "\n".join([head, ground, *groups, "</svg>"])


def _written(shape: Shape) -> tuple[str, str]:
    """How a shape looks, as CSS (where a page can say its colours by variables), and its element."""
    if isinstance(shape, Line):
        dashes = "; stroke-dasharray: " + " ".join(_number(n * shape.width) for n in shape.dashes)
        look = f"fill: none; stroke: {shape.colour}; stroke-width: {_number(shape.width)}"
        return look + (dashes if shape.dashes else ""), f'<path d="{_path(shape.points)}"/>'
    if isinstance(shape, Area):
        return f"fill: {shape.colour}", f'<path d="{_path(shape.points)}z"/>'
    if isinstance(shape, Dot):
        x, y = map(_number, shape.centre)
        return f"fill: {shape.colour}", f'<circle cx="{x}" cy="{y}" r="{_number(shape.radius)}"/>'
    if isinstance(shape, Box):
        x, y = map(_number, shape.corner)
        size = f'width="{_number(shape.width)}" height="{_number(shape.height)}" rx="{_number(shape.round)}"'
        look = f"fill: {shape.fill}; stroke: {shape.edge}; stroke-width: {_number(shape.line)}"
        return look, f'<rect x="{x}" y="{y}" {size}/>'
    x, y = map(_number, shape.place)
    weight = "bold " if shape.bold else ""
    look = f"font: {weight}{_number(shape.size)}px {FONT}; text-anchor: {shape.anchor}; fill: {shape.colour}"
    return look, f'<text x="{x}" y="{y}">{as_xml(shape.text)}</text>'


def _path(points: tuple[Point, ...]) -> str:
    return "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points)


def _number(value: float) -> str:
    """To a hundredth of a point, without what says nothing."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
