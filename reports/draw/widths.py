"""Drawings of networks that are neither cells nor chains: the channels of every group that is fixed, as bars."""

from __future__ import annotations

from methods.architecture import Architecture
from methods.spaces import get_space
from methods.spaces.width_space import WidthSpace
from methods.spaces.widths import FULL, RESOLUTION
from reports.colours import COLOURS, INK, MUTED, PAPER
from reports.draw.shapes import Box, Drawing, Shape, Text, room

BAR, STEP = 10.0, 14.0
"""Height of a bar, and distance of two, in points."""
LONGEST = 320.0
"""Length of the longest bar, in points."""
TOP = 28.0
"""Where the first bar begins, in points."""


def draw_widths(architecture: Architecture, title: str) -> Drawing:
    """One bar for each group."""
    told, groups = _told(architecture)
    title = title or f"{architecture.space}: {told}"
    shapes: list[Shape] = [Text((8, 14), title, 9, INK, "start", bold=True)]
    needed = 8 + room([title], 9)
    if not groups:
        shapes.append(Text((8, TOP + 8), "default widths throughout", 8, MUTED, "start"))
        return Drawing(max(260.0, needed), TOP + 20, tuple(shapes))
    left = 14 + room([name for name, _ in groups], 7)
    scale = LONGEST / max(1, *(width for _, width in groups))
    for index, (name, width) in enumerate(groups):
        y = TOP + index * STEP
        shapes.append(Box((left, y), width * scale, BAR, COLOURS[0], PAPER, 0.0, 0.0))
        shapes.append(Text((left - 5, y + 7.5), name, 7, INK, "end"))
        shapes.append(Text((left + width * scale + 4, y + 7.5), f"{width:,}", 7, INK, "start"))
    bottom = TOP + len(groups) * STEP
    shapes.append(Text((left, bottom + 9), "channels", 7, MUTED, "start"))
    return Drawing(max(left + LONGEST + 40, needed), bottom + 18, tuple(shapes))


def _told(architecture: Architecture) -> tuple[str, list[tuple[str, int]]]:
    """What the title says, and the bars; of a space of widths all that it decides."""
    space = get_space(architecture.space)
    if isinstance(space, WidthSpace):
        values = space.read(architecture).values()
        return f"images at {values.pop(RESOLUTION)} of {FULL} pixels", list(values.items())
    told = ", ".join(f"{key} {value}" for key, value in architecture.genotype.items())
    return told, list(architecture.widths.items())
