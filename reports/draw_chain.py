"""Drawings of chains: the places in order from left to right, the blocks of a place above each other.

A block's colour is its kernel, its height its expansion; a line around a place is the input that is added, and a place
that has only the line has no block. Stages stand apart, with their channels and stride below.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from methods.architecture import Architecture
from methods.spaces.chain.layout import Slot, layout
from methods.spaces.chain.macro import Macro
from methods.spaces.chain.notation import Block
from reports.style import GRID, INK, MUTED, PAPER

KERNEL_COLOURS = {3: "#56b4e9", 5: "#0072b2", 7: "#00437a"}
WIDTH, GAP = 0.8, 0.35
"""Of a block, and beside the stages; a place is 1 wide."""
UNIT = 0.16
"""Height of a block for each channel inside that enters it."""


def draw_chain(architecture: Architecture, macro: Macro, title: str = "") -> Figure:
    """One row of places."""
    slots = layout(architecture, macro)
    heights = [sum(_height(block) for block in slot.blocks) for slot in slots]
    tallest = max([1.0, *heights])
    width = len(slots) + GAP * len(macro.stages)
    figure, axes = plt.subplots(figsize=(max(4.5, 0.62 * width), 0.9 + 0.75 * tallest), layout="constrained")
    axes.set_title(title or f"{architecture.space}", fontsize=9, loc="left", color=INK)
    _draw_places(axes, slots)
    axes.set_xlim(-0.2, width + 0.1)
    axes.set_ylim(-0.85, tallest + 0.75)
    axes.axis("off")
    return figure


def _draw_places(axes: Axes, slots: list[Slot]) -> None:
    x, begun, stage = 0.0, 0.0, 0
    for slot in slots:
        if slot.place.stage != stage:
            _name_stage(axes, slots, stage, (begun, x))
            x, stage = x + GAP, slot.place.stage
            begun = x
        _draw_place(axes, slot, x)
        x += 1
    _name_stage(axes, slots, stage, (begun, x))


def _draw_place(axes: Axes, slot: Slot, x: float) -> None:
    axes.plot([x, x + 1], [0, 0], color=GRID, lw=1.4, zorder=1)
    y = 0.05
    for block, inner in zip(slot.blocks, slot.inner, strict=True):
        height = _height(block)
        box = FancyBboxPatch(
            (x + (1 - WIDTH) / 2, y), WIDTH, height - 0.08,
            boxstyle="round,pad=0,rounding_size=0.08", fc=KERNEL_COLOURS[block.kernel], ec=INK, lw=0.8, zorder=2,
        )  # fmt: skip
        axes.add_patch(box)
        narrowed = "" if inner == block.expansion * slot.place.c_in else f"\n{inner} ch"
        axes.text(
            x + 0.5, y + height / 2 - 0.04, block.text + narrowed, ha="center", va="center", fontsize=6.5, zorder=3,
            color=INK if block.kernel == 3 else PAPER,
        )  # fmt: skip
        y += height
    if slot.place.keeps_shape:
        above = y + 0.08 if slot.blocks else 0.45
        dashes = "-" if slot.blocks else (0, (3, 2))
        axes.plot([x + 0.03, x + 0.03, x + 0.97], [0, above, above], color=MUTED, lw=0.9, ls=dashes, zorder=1)
        arrow = {"arrowstyle": "-|>", "color": MUTED, "lw": 0.9, "ls": dashes, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (x + 0.97, 0), (x + 0.97, above), arrowprops={**arrow, "mutation_scale": 7}, zorder=1)
    if not slot.blocks:
        axes.text(x + 0.5, 0.14, "zero", ha="center", va="bottom", fontsize=6.5, color=MUTED)


def _name_stage(axes: Axes, slots: list[Slot], stage: int, ends: tuple[float, float]) -> None:
    places = [slot.place for slot in slots if slot.place.stage == stage]
    axes.plot([ends[0] + 0.08, ends[1] - 0.08], [-0.2, -0.2], color=MUTED, lw=1)
    stride = f"\nstride {places[0].stride}" if places[0].stride > 1 else ""
    axes.text(sum(ends) / 2, -0.27, f"{places[0].c_out} ch{stride}", ha="center", va="top", fontsize=6.5, color=MUTED)


def _height(block: Block) -> float:
    return UNIT * block.expansion + 0.2
