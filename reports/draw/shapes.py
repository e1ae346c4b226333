"""What drawings of architectures are made of. Lengths are in points (1/72 inch), x to the right, y down.

Shapes of a drawing lie upon each other by their kind: lines, areas, dots, boxes, texts; of one kind in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """Through some points; `dashes` are the lengths of a dash and a gap, in widths of the line."""

    points: tuple[Point, ...]
    colour: str
    width: float
    dashes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Area:
    """A filled polygon."""

    points: tuple[Point, ...]
    colour: str


@dataclass(frozen=True)
class Dot:
    centre: Point
    colour: str
    radius: float = 2.1


@dataclass(frozen=True)
class Box:
    """A rectangle with rounded corners; `corner` is its upper left one, `round` the corners' radius."""

    corner: Point
    width: float
    height: float
    fill: str
    edge: str
    line: float
    round: float = 3.0


@dataclass(frozen=True)
class Text:
    """One line; `place` lies on its baseline, at its start, middle or end."""

    place: Point
    text: str
    size: float
    colour: str
    anchor: Literal["start", "middle", "end"] = "middle"
    bold: bool = False


Shape = Line | Area | Dot | Box | Text
KINDS: tuple[type[Shape], ...] = (Line, Area, Dot, Box, Text)
"""From below to above."""


@dataclass(frozen=True)
class Drawing:
    """Shapes on a ground of a size."""

    width: float
    height: float
    shapes: tuple[Shape, ...]

    @property
    def texts(self) -> list[str]:
        return [shape.text for shape in self.shapes if isinstance(shape, Text)]


Kind = TypeVar("Kind", Line, Area, Dot, Box, Text)


def of_kind(drawing: Drawing, kind: type[Kind]) -> list[Kind]:
    """Its shapes of one kind, in order."""
    return [shape for shape in drawing.shapes if isinstance(shape, kind)]


def arrow(start: Point, end: Point, colour: str, width: float, head: Point = (6.0, 2.8)) -> tuple[Line, Area]:
    """A straight arrow along an axis of the drawing; `head` is its length and half its width."""
    (x0, y0), (x1, y1) = start, end
    length, half = head
    if y0 == y1:
        back = x1 - length if x1 > x0 else x1 + length
        return Line((start, (back, y1)), colour, width), Area((end, (back, y1 - half), (back, y1 + half)), colour)
    back = y1 - length if y1 > y0 else y1 + length
    return Line((start, (x1, back)), colour, width), Area((end, (x1 - half, back), (x1 + half, back)), colour)


def room(texts: Sequence[str], size: float) -> float:
    """A width in which the longest of some texts finds room: nothing is measured, and few letters are wider."""
    return 0.64 * size * max(map(len, texts), default=0)
