"""From the supernet to an `Architecture`: genotype, widths, and masks of single weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from methods.architecture import Architecture
from methods.gradient.mgas.cells.cell import DenseCell
from methods.gradient.mgas.cells.narrow import CellChannels
from methods.gradient.mgas.cells.operations import ConvolutionOperation
from methods.gradient.mgas.cells.sizes import effective_masks
from methods.gradient.mgas.cells.supernet import CellSupernet
from methods.gradient.mgas.cells.topology import CANDIDATES, EDGES, STATES
from methods.gradient.mgas.cuts import take
from methods.gradient.mgas.structure import Slot
from methods.spaces.cell.network import INPUTS
from methods.spaces.operations import DILATED, SEPARABLE

SPACE = "dense_cell"

CONV_POSITIONS = {**dict.fromkeys(SEPARABLE, (1, 2, 5, 6)), **dict.fromkeys(DILATED, (1, 2))}
"""Where the maskable convolutions stand in the built `SepConv` and `DilConv`."""


def export(
    net: CellSupernet,
    plans: Sequence[CellChannels],
    dropped: Mapping[int, Collection[Slot]] | None = None,
    with_masks: bool = True,
) -> Architecture:
    """The discrete network that the committed masks stand for, as it is after narrowing to `plans`.

    Masks are given for those convolutions that lose single weights, or whole filters that narrowing has to keep.

    Args:
        dropped: operations per cell to be treated as removed already.
        with_masks: False leaves the masks out, where only the dense network matters.
    """
    genotype: list[dict[str, Any]] = []
    widths: dict[str, int] = {}
    masks: dict[str, Tensor] = {}
    for index, plan in enumerate(plans):
        cell = net.cell(index)
        edges: list[list[Any]] = []
        widths |= {f"cells.{index}.s{state}": plan.widths[state] for state in range(STATES)}
        for slot in cell.slots:
            if slot in (dropped or {}).get(index, ()):
                continue
            source, node = EDGES[slot[0]]
            operation, name = CANDIDATES[slot[1]], f"cells.{index}.op{len(edges)}.mid"
            if operation in SEPARABLE and len(plan.operations[slot][1]) != plan.widths[source]:
                widths[name] = len(plan.operations[slot][1])
            for position, mask in _weight_masks(cell, slot, plan) if with_masks else []:
                masks[f"cells.{index}.operations.{len(edges)}.{position}.weight"] = mask
            edges.append([operation, source, node])
        genotype.append({"edges": edges, "concat": list(range(INPUTS, STATES))})
    return Architecture(
        space=SPACE,
        genotype={"cells": genotype},
        scale={"channels": net.plan.channels, "cells": net.plan.cells},
        widths=widths,
        masks=masks,
    )


def _weight_masks(cell: DenseCell, slot: Slot, plan: CellChannels) -> list[tuple[int, Tensor]]:
    """Narrowed masks with zeros, by position in the built operation (CPU, bool)."""
    module = cell.operation(slot)
    if not isinstance(module, ConvolutionOperation):
        return []
    channels, result = plan.operations[slot], []
    for k, (position, mask) in enumerate(
        zip(CONV_POSITIONS[CANDIDATES[slot[1]]], effective_masks(module), strict=True)
    ):
        columns, filters = channels[k // 2], channels[k // 2 + 1]
        cut = ((0, filters), (1, columns)) if k % 2 else ((0, columns),)
        narrowed = take(mask.cpu(), cut)
        if not bool(narrowed.all()):
            result.append((position, narrowed))
    return result


def whole(net: CellSupernet) -> list[CellChannels]:
    """The plan that narrows nothing."""
    plans = []
    for cell in map(net.cell, range(net.plan.cells)):
        inputs = [_all(layer.widths) for layer in (cell.preprocess0, cell.preprocess1)]
        plan = CellChannels(cell.state_widths, [(columns, filters) for columns, filters in inputs])
        for slot in cell.slots:
            module = cell.operation(slot)
            if module is not None:
                ends = (cell.state_widths[EDGES[slot[0]][1]],)
                plan.operations[slot] = _all(module.widths if hasattr(module, "widths") else ends)  # type: ignore[arg-type]
        plan.output = torch.arange(sum(cell.state_widths[INPUTS:]))
        plans.append(plan)
    return plans


def _all(widths: tuple[int, ...]) -> tuple[Tensor, ...]:
    return tuple(torch.arange(width) for width in widths)
