"""The genotype of a network of blocks, and its cells with every width decided.

    {"stages": [{"normal": cell, "repeats": 2}, {"normal": cell, "reduce": cell, "repeats": 4}, ...], "width": 0.5}

A block is a normal and a reduction cell that were found together. A stage is its block's normal cell, repeated; before
every stage but the first its block's reduction cell halves the image and doubles the channels. Cells read the two
before them, as in DARTS. The width multiplies the initial channels of the experiment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from methods.architecture import Architecture
from methods.domain import shown
from methods.form import MOST_CELLS, MOST_CHANNELS, ArchitectureError, refuse_unknown
from methods.spaces.base import NetworkSettings
from methods.spaces.cell.layout import CellLayout, cell_layout, empty_nodes, validate_cell
from methods.spaces.cell.sharing import BY_TYPE
from methods.spaces.operation_names import KNOWN

STAGES = 3
NORMAL, REDUCE = BY_TYPE.kinds
Block = Mapping[str, Any]
"""A cell of each kind."""


def block_of(architecture: Architecture) -> Block:
    """The cells of an architecture, as one block.

    Raises:
        ArchitectureError: it does not have a cell of each kind.
    """
    genotype = architecture.genotype
    if not set(BY_TYPE.kinds) <= set(genotype):
        raise ArchitectureError(
            f"a block is a normal and a reduction cell; an architecture of {architecture.space} has not one of each"
        )
    found: Block = json.loads(json.dumps({kind: genotype[kind] for kind in BY_TYPE.kinds}))  # as a file has it
    return found


def validate_blocks(genotype: Mapping[str, Any]) -> None:
    """Raises ArchitectureError, naming the stage, for a genotype that is none of blocks."""
    refuse_unknown("key in a network of blocks:", genotype, {"stages", "width"})
    stages, width = genotype.get("stages"), genotype.get("width")
    if not isinstance(stages, list | tuple) or len(stages) != STAGES:
        raise ArchitectureError(f"'stages' of a network of blocks is a list of {STAGES}, not {shown(stages)}")
    if type(width) not in (int, float) or not 0 < width <= 16:  # type: ignore[operator]
        raise ArchitectureError(f"'width' of a network of blocks is a number in (0, 16], not {shown(width)}")
    for number, stage in enumerate(stages):
        _validate_stage(f"stage {number + 1}", stage, (NORMAL, REDUCE) if number else (NORMAL,))
    if sum(stage["repeats"] for stage in stages) + STAGES - 1 > MOST_CELLS:
        raise ArchitectureError(f"a network of blocks has at most {MOST_CELLS} cells")


def _validate_stage(name: str, stage: Any, kinds: tuple[str, ...]) -> None:
    if not isinstance(stage, Mapping) or not {*kinds, "repeats"} <= set(stage):
        raise ArchitectureError(f"{name} needs {', '.join(map(repr, kinds))} and 'repeats', not {shown(stage)}")
    refuse_unknown(f"key in {name}:", stage, {*kinds, "repeats"})
    for kind in kinds:
        validate_cell(f"{name}.{kind}", stage[kind], KNOWN)
        if empty := empty_nodes(stage[kind]):
            raise ArchitectureError(f"cell '{name}.{kind}': nothing enters node {min(empty)}")
    if type(stage["repeats"]) is not int or not 1 <= stage["repeats"] <= MOST_CELLS:
        raise ArchitectureError(f"{name}: 'repeats' is a whole number from 1, not {shown(stage['repeats'])}")


def channels_of(architecture: Architecture, settings: NetworkSettings) -> int:
    """Initial channels before they are multiplied; the architecture's own scale wins over the settings."""
    refuse_unknown("scale", architecture.scale, {"channels"})
    return int(architecture.scale.get("channels", settings.channels))


def multiplied(channels: int, width: float) -> int:
    """Initial channels of the network: even, two at least."""
    return max(2, 2 * round(channels * width / 2))


def stack(architecture: Architecture, channels: int) -> list[CellLayout]:
    """The cells of a valid architecture, one after the other.

    Args:
        channels: before they are multiplied.

    Raises:
        ArchitectureError: more channels than can be built, or an operation that cannot have so many.
    """
    first = multiplied(channels, architecture.genotype["width"])
    if first > MOST_CHANNELS:
        raise ArchitectureError(f"{channels} channels times the width are {first}; at most {MOST_CHANNELS} are built")
    cells: list[CellLayout] = []
    for number, stage in enumerate(architecture.genotype["stages"]):
        width = first * 2**number
        cells += [cell_layout(stage[REDUCE], len(cells), True, width, {})] if number else []
        cells += [cell_layout(stage[NORMAL], len(cells), False, width, {})] * stage["repeats"]
    return cells
