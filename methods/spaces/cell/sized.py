"""An architecture of the dense space drawn at random at a size: operations, widths and masks, the neighbour of MGAS.

Everything is there at first: all operations in every cell, all filters, all weights. Then units go one by one, in a
random order, until the closed-form count has come down to the size asked for:

1. Filters: a unit is two filters of every state of a cell, down to half of the cell's width and not below, as MGAS
   narrows; the last cell, which feeds the classifier, keeps its width. A share of these units, drawn uniformly from
   [0, 1], goes in random order.
2. Operations: all of all cells in random order, without the last of each node; if that is not enough, the other
   filters.
3. The units go in that order until the size is not above the one asked for. One whose removal would lead below the
   tolerance is passed over, and the next ones are tried.
4. From the convolutions of the operations that are left, as many single weights are masked as asked for, every subset
   of that many being equally likely.

Every order is equally likely, so that no operation, edge or cell is preferred, but for the few units at the end that
have to fit. The draw is not uniform over all architectures of that size. A draw that does not fit in the end is made
anew, `ATTEMPTS` times at most.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from methods.architecture import Architecture, ArchitectureError
from methods.parts.counts import NetworkCounts
from methods.spaces.base import SizeMatch
from methods.spaces.cell.layout import INPUTS, reduction_cells
from methods.spaces.cell.topology import TOPOLOGY
from methods.spaces.masked import random_masks
from methods.spaces.operations import DILATED, NONE, SEPARABLE

ATTEMPTS = 20
FLOOR = 0.5
"""Smallest width of a cell as a share of its initial one (MGAS' default `width_floor`)."""
CANDIDATES = tuple(operation for operation in TOPOLOGY.operations if operation != NONE)
EDGES, STATES = TOPOLOGY.edges, INPUTS + TOPOLOGY.nodes
FILTERS = -1

Unit = tuple[int, int, int]
"""Cell, edge and operation; or cell, `FILTERS` and the number of the step in which its width falls by two."""
Count = Callable[[Architecture], NetworkCounts]
Shapes = Callable[[Architecture], dict[str, torch.Size]]
"""Of the parameters of an architecture's network, by name."""


@dataclass(frozen=True)
class Scale:
    """Initial channels, and cells."""

    channels: int
    cells: int

    def width(self, cell: int) -> int:
        """Of every state of a cell, before anything goes."""
        return int(self.channels * 2 ** sum(cell >= r for r in set(reduction_cells(self.cells))))


def draw_at_size(
    space: str, generator: torch.Generator, match: SizeMatch, count: Count, shapes: Shapes
) -> Architecture:
    """A random architecture whose count `match.on` is `match.value`, or less by at most `match.tolerance` of it.

    Its provenance has its sizes and, as MGAS' has, the share of units left in each cell.

    Raises:
        ArchitectureError: the size is not between those of the smallest and the largest network, no draw came within
            the tolerance, or there are fewer weights than should be masked.
    """
    scale = Scale(match.scale["channels"], match.scale["cells"])

    def size(removed: Collection[Unit]) -> int:
        return int(getattr(count(architecture_without(space, scale, removed)), match.on))

    for _ in range(ATTEMPTS):
        removed = _down_to(match, removal_order(generator, scale), size)
        if removed is not None:
            found = architecture_without(space, scale, removed)
            convolutions = {name: shape for cell in maskable(found, shapes(found)) for name, shape in cell.items()}
            masks = random_masks(generator, convolutions, match.masked)
            return replace(found, masks=masks, provenance=_told(found, masks, count(found), scale, shapes(found)))
    raise ArchitectureError(
        f"{ATTEMPTS} random draws came no nearer than {match.tolerance:.2%} below {match.on} = {match.value:,.0f} at "
        f"{scale.channels} channels and {scale.cells} cells; allow more with a larger tolerance of 'match'"
    )


def removal_order(generator: torch.Generator, scale: Scale) -> list[Unit]:
    """All units that may go, in the order in which they do."""
    filters: list[Unit] = []
    for cell in range(scale.cells - 1):
        width = scale.width(cell)
        filters += [(cell, FILTERS, step) for step in range((width - max(2, round(FLOOR * width))) // 2)]
    operations = [
        (cell, edge, operation)
        for cell in range(scale.cells)
        for edge in range(len(EDGES))
        for operation in range(len(CANDIDATES))
    ]
    shuffled = _shuffled(generator, operations)
    last = {(cell, EDGES[edge][1]): (cell, edge, operation) for cell, edge, operation in shuffled}
    kept = set(last.values())
    filters = _shuffled(generator, filters)
    share = int(torch.randint(len(filters) + 1, (), generator=generator))
    return [*filters[:share], *(unit for unit in shuffled if unit not in kept), *filters[share:]]


def _shuffled(generator: torch.Generator, units: Sequence[Unit]) -> list[Unit]:
    return [units[index] for index in torch.randperm(len(units), generator=generator).tolist()]


def _down_to(match: SizeMatch, units: Sequence[Unit], size: Callable[[Sequence[Unit]], int]) -> list[Unit] | None:
    """The units to remove so that the size is the one asked for, or less within the tolerance; None where none fit.

    The place is found by bisection: no removal makes a network larger.
    """
    low, high = (1 - match.tolerance) * match.value, match.value
    least, most = size(units), size([])
    if not (least <= high and low <= most):
        raise ArchitectureError(
            f"{match.on} = {match.value:,.0f} is to be matched, and networks drawn at the scale "
            f"{dict(match.scale)} have from {least:,} to {most:,}"
        )
    first, end = 0, len(units)  # the fewest units without which the size is not above the one asked for
    while first < end:
        middle = (first + end) // 2
        first, end = (first, middle) if size(units[:middle]) <= high else (middle + 1, end)
    removed = list(units[:first])
    if size(removed) >= low:
        return removed
    removed.pop()
    for unit in units[first:]:
        reached = size([*removed, unit])
        if reached >= low:
            removed.append(unit)
            if reached <= high:
                return removed
    return None


def architecture_without(space: str, scale: Scale, removed: Collection[Unit]) -> Architecture:
    """Everything but the removed units; every cell has one width for all its states."""
    gone = set(removed)
    genotype: list[dict[str, Any]] = []
    widths: dict[str, int] = {}
    for cell in range(scale.cells):
        edges = [
            [CANDIDATES[operation], *EDGES[edge]]
            for edge in range(len(EDGES))
            for operation in range(len(CANDIDATES))
            if (cell, edge, operation) not in gone
        ]
        genotype.append({"edges": edges, "concat": list(TOPOLOGY.node_numbers)})
        narrower = sum(unit[:2] == (cell, FILTERS) for unit in gone)
        if narrower:
            widths |= {f"cells.{cell}.s{state}": scale.width(cell) - 2 * narrower for state in range(STATES)}
    return Architecture(
        space, {"cells": genotype}, scale={"channels": scale.channels, "cells": scale.cells}, widths=widths
    )


def maskable(architecture: Architecture, shapes: dict[str, torch.Size]) -> list[dict[str, torch.Size]]:
    """By cell, the weights of the convolutions of separable and dilated operations: those that MGAS masks."""
    result: list[dict[str, torch.Size]] = []
    for cell, content in enumerate(architecture.genotype["cells"]):
        masked = [n for n, edge in enumerate(content["edges"]) if edge[0] in (*SEPARABLE, *DILATED)]
        prefixes = tuple(f"cells.{cell}.operations.{n}." for n in masked)
        result.append({k: s for k, s in shapes.items() if k.startswith(prefixes) and len(s) == 4})
    return result


def _told(
    found: Architecture, masks: dict[str, Tensor], counts: NetworkCounts, scale: Scale, shapes: dict[str, torch.Size]
) -> dict[str, Any]:
    masked = {name: mask.numel() - int(mask.sum()) for name, mask in masks.items()}
    weight = []
    for names in maskable(found, shapes):
        total = sum(shape.numel() for shape in names.values())
        weight.append(1.0 - sum(masked.get(name, 0) for name in names) / total if total else 1.0)
    ratios = {
        "operation": [len(cell["edges"]) / (len(EDGES) * len(CANDIDATES)) for cell in found.genotype["cells"]],
        "filter": [found.widths.get(f"cells.{c}.s0", scale.width(c)) / scale.width(c) for c in range(scale.cells)],
        "weight": weight,
    }
    nonzero = counts.params - sum(masked.values())
    return {
        "sizes": {"params": counts.params, "params_nonzero": nonzero, "macs": counts.macs},
        "remaining_ratios": {level: [round(x, 4) for x in values] for level, values in ratios.items()},
    }
