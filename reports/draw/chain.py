"""Drawings of chains: the places in order from left to right, the blocks of a place above each other.

A block's colour is its kernel, its height its expansion; a line around a place is the input that is added, and a place
that has only the line has no block. Stages stand apart, with their channels and stride below.
"""

from __future__ import annotations

from collections.abc import Iterator

from methods.architecture import Architecture
from methods.spaces.chain.layout import Slot, layout
from methods.spaces.chain.macro import Macro
from methods.spaces.chain.notation import Block
from reports.colours import GRID, INK, MUTED, PAPER
from reports.draw.shapes import Area, Box, Drawing, Line, Shape, Text, arrow, room

KERNEL_COLOURS = {3: "#56b4e9", 5: "#0072b2", 7: "#00437a"}
PLACE, WIDTH, GAP = 44.6, 35.7, 15.6
"""Width of a place, of a block in it, and between two stages, in points."""
LEFT, TOP = 9.0, 32.0
"""Before the first place, and above the tallest, in points."""


def draw_chain(architecture: Architecture, macro: Macro, title: str = "") -> Drawing:
    """One row of places."""
    slots = layout(architecture, macro)
    title = title or architecture.space
    ground = TOP + max([54.0, *(sum(map(_height, slot.blocks)) for slot in slots)])
    shapes: list[Shape] = [Text((LEFT, 14), title, 9, INK, "start", bold=True)]
    x, begun, stage = LEFT, LEFT, 0
    for slot in slots:
        if slot.place.stage != stage:
            shapes += _stage(slots, stage, (begun, x), ground)
            x, stage = x + GAP, slot.place.stage
            begun = x
        shapes += _place(slot, x, ground)
        x += PLACE
    shapes += _stage(slots, stage, (begun, x), ground)
    return Drawing(max(x + LEFT, LEFT + room([title], 9)), ground + 42, tuple(shapes))


def _place(slot: Slot, x: float, ground: float) -> Iterator[Shape]:
    yield Line(((x, ground), (x + PLACE, ground)), GRID, 1.4)
    y = ground - 2.7
    for block, inner in zip(slot.blocks, slot.inner, strict=True):
        height = _height(block)
        corner = x + (PLACE - WIDTH) / 2, y - height + 4
        yield Box(corner, WIDTH, height - 4, KERNEL_COLOURS[block.kernel], INK, 0.8, 3.6)
        middle = y - (height - 4) / 2
        colour = INK if block.kernel == 3 else PAPER
        if inner == block.expansion * slot.place.c_in:
            yield Text((x + PLACE / 2, middle + 2.4), block.text, 6.5, colour)
        else:
            yield Text((x + PLACE / 2, middle - 1.5), block.text, 6.5, colour)
            yield Text((x + PLACE / 2, middle + 6.2), f"{inner} ch", 6.5, colour)
        y -= height
    if slot.place.keeps_shape:
        yield from _added(x, ground, y - 4.3 if slot.blocks else ground - 24, () if slot.blocks else (3.0, 2.0))
    if not slot.blocks:
        yield Text((x + PLACE / 2, ground - 8), "zero", 6.5, MUTED)


def _added(x: float, ground: float, above: float, dashes: tuple[float, ...]) -> Iterator[Line | Area]:
    """The way of the input around a place."""
    left, right = x + 1.4, x + PLACE - 1.4
    line, head = arrow((right, above), (right, ground - 0.5), MUTED, 0.9, (3.6, 1.9))
    yield Line(((left, ground), (left, above), *((right, above), line.points[1])), MUTED, 0.9, dashes)
    yield head


def _stage(slots: list[Slot], stage: int, ends: tuple[float, float], ground: float) -> Iterator[Shape]:
    """Its channels and its stride, below its places."""
    places = [slot.place for slot in slots if slot.place.stage == stage]
    middle = sum(ends) / 2
    yield Line(((ends[0] + 3.6, ground + 10.8), (ends[1] - 3.6, ground + 10.8)), MUTED, 1.0)
    yield Text((middle, ground + 21), f"{places[0].c_out} ch", 6.5, MUTED)
    if places[0].stride > 1:
        yield Text((middle, ground + 29.5), f"stride {places[0].stride}", 6.5, MUTED)


def _height(block: Block) -> float:
    """Of a block with the gap above it, in points: more for each channel inside that enters it."""
    return 8.64 * block.expansion + 10.8
