"""Names beside points, placed so that they neither overlap each other nor hide a point."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from reports.colours import INK, MUTED

ANGLES = 24
RADII = (9, 14, 20, 28, 38, 50, 64, 80, 100, 125, 150)
"""Distances tried, in points."""


def place_labels(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    lines: Sequence[tuple[tuple[float, float], tuple[float, float]]] = (),
    size: float = 8,
) -> list[Annotation]:
    """Annotate points greedily: the nearest free place, with a thin line back where it is not next to its point.

    Call it last: limits and layout must be final.

    Args:
        points: in data coordinates.
        lines: upright or level lines no name should lie on (error bars, the front), as pairs of end points.
    """
    figure = axes.figure
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    pixel = figure.dpi / 72
    frame = axes.get_window_extent(renderer)
    centres = [tuple(axes.transData.transform(point)) for point in points]
    markers = [Bbox.from_bounds(x - 5 * pixel, y - 5 * pixel, 10 * pixel, 10 * pixel) for x, y in centres]
    markers += [Bbox(axes.transData.transform(sorted(line))).padded(2 * pixel) for line in lines]
    placed: list[Bbox] = []
    result = []
    for index in _crowded_first(centres):
        text = axes.annotate(
            names[index], points[index], xytext=(0, 0), textcoords="offset points", fontsize=size,
            color=INK, ha="center", va="center",
        )  # fmt: skip
        box = text.get_window_extent(renderer)
        width, height = box.width + 3 * pixel, box.height + 2 * pixel
        dx, dy, radius = _free_place(centres[index], width, height, placed, markers, frame, pixel)
        x, y = centres[index]
        placed.append(Bbox.from_bounds(x + dx - width / 2, y + dy - height / 2, width, height))
        text.set_position((dx / pixel, dy / pixel))
        if radius > 14:
            line = {"arrowstyle": "-", "color": MUTED, "lw": 0.6, "shrinkA": 0, "shrinkB": 3}
            placed += _along((x, y), (x + dx, y + dy), pixel)
            text.remove()
            text = axes.annotate(
                names[index], points[index], xytext=(dx / pixel, dy / pixel), textcoords="offset points",
                fontsize=size, color=INK, ha="center", va="center", arrowprops=line,
            )  # fmt: skip
        result.append(text)
    return result


def _crowded_first(centres: Sequence[tuple[float, float]]) -> list[int]:
    """Points with near neighbours choose first."""

    def nearest(index: int) -> float:
        return min((math.dist(centres[index], other) for k, other in enumerate(centres) if k != index), default=0.0)

    return sorted(range(len(centres)), key=nearest)


def _free_place(
    centre: tuple[float, float],
    width: float,
    height: float,
    placed: Sequence[Bbox],
    markers: Sequence[Bbox],
    frame: Bbox,
    pixel: float,
) -> tuple[float, float, int]:
    """Offset in pixels of the first place that is free; where none is, the one that overlaps least."""
    best: tuple[float, float, float, int] | None = None
    for radius in RADII:
        for step in range(ANGLES):
            angle = 2 * math.pi * step / ANGLES
            dx = math.cos(angle) * (radius * pixel + width / 2)
            dy = math.sin(angle) * (radius * pixel + height / 2)
            x, y = centre[0] + dx, centre[1] + dy
            box = Bbox.from_bounds(x - width / 2, y - height / 2, width, height)
            cost = sum(_overlap(box, other) for other in [*placed, *markers]) + _outside(box, frame)
            if radius > 14 and not cost:
                line = _along(centre, (x, y), pixel)
                cost = sum(_overlap(part, other) for part in line for other in placed)
            if cost == 0:
                return dx, dy, radius
            if best is None or cost < best[0]:
                best = (cost, dx, dy, radius)
    assert best is not None
    return best[1:]


def _along(start: tuple[float, float], end: tuple[float, float], pixel: float) -> list[Bbox]:
    """Small boxes along a line."""
    steps = 12
    places = [
        (start[0] + (end[0] - start[0]) * k / steps, start[1] + (end[1] - start[1]) * k / steps)
        for k in range(2, steps)
    ]
    return [Bbox.from_bounds(x - pixel, y - pixel, 2 * pixel, 2 * pixel) for x, y in places]


def _overlap(a: Bbox, b: Bbox) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return width * height if width > 0 and height > 0 else 0.0


def _outside(box: Bbox, frame: Bbox) -> float:
    return box.width * box.height - _overlap(box, frame) if not _inside(box, frame) else 0.0


def _inside(box: Bbox, frame: Bbox) -> bool:
    return box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1
