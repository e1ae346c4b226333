"""What the authors of MG-DARTS published, as architectures: genes with widths, and files of weight masks.

The text of a gene is read by `methods.importing`; masks through `torch.load(weights_only=True)`.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from methods.architecture import Architecture, ArchitectureError
from methods.gradient.mgas.cells.export import CONV_POSITIONS, SPACE
from methods.gradient.mgas.cells.topology import STATES
from methods.spaces import NetworkSettings, build
from methods.spaces.cell.network import INPUTS
from methods.spaces.operations import DILATED, SEPARABLE

_NOT_AN_ARCHIVE = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError)
"""What torch raises for files that are something else."""

Gene = Sequence[Sequence[Sequence[Any]]]
"""Cells of tuples (operation, source state, node, widths); widths are [in, mid, out], [in, out] or [in]."""


def import_genotype(gene: Gene, channels: int, provenance: dict[str, Any] | None = None) -> Architecture:
    """A published gene as an architecture.

    Args:
        channels: initial channels C, which the gene does not carry.

    Raises:
        ArchitectureError: an entry is malformed, or two entries give one state different widths.
    """
    cells: list[dict[str, Any]] = []
    widths: dict[str, int] = {}
    for index, entries in enumerate(gene):
        edges: list[list[Any]] = []
        for entry in entries:
            try:
                operation, source, node, sizes = entry
                size_in, *middle, size_out = [*sizes, sizes[-1]] if len(sizes) == 1 else sizes
            except (TypeError, ValueError):
                raise ArchitectureError(f"cell {index}: {entry!r} is not (operation, source, node, [widths])") from None
            for state, size in ((source, size_in), (node, size_out)):
                _set_width(widths, f"cells.{index}.s{state}", size)
            if operation in SEPARABLE and middle and middle[0] != size_in:
                widths[f"cells.{index}.op{len(edges)}.mid"] = int(middle[0])
            edges.append([operation, source, node])
        cells.append({"edges": edges, "concat": list(range(INPUTS, STATES))})
    return Architecture(
        space=SPACE,
        genotype={"cells": cells},
        scale={"channels": channels, "cells": len(cells)},
        widths=widths,
        provenance=provenance or {},
    )


def _set_width(widths: dict[str, int], group: str, size: int) -> None:
    if widths.setdefault(group, int(size)) != size:
        raise ArchitectureError(f"{group} has {widths[group]} channels in one entry and {size} in another")


def import_masks(architecture: Architecture, path: Path) -> Architecture:
    """The architecture with the weight masks of a published file.

    The file (called .npy, but a torch archive) holds, by cell and by operation in genotype order, the list of 0/1
    masks of the operation's convolutions; an empty list for operations without.

    Raises:
        ArchitectureError: missing, not a plain tensor archive, or not the masks of this architecture.
    """
    try:
        cells = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ArchitectureError(f"no mask file at {path}") from None
    except OSError as error:
        raise ArchitectureError(f"cannot read masks from {path}: {error.strerror}") from None
    except _NOT_AN_ARCHIVE:  # torch's own words advise to load it in a way that would run what it holds
        raise ArchitectureError(
            f"{path} is not a safe archive of tensors: it is damaged, or holds more than tensors and lists of them. "
            "Give the file of masks as it was released"
        ) from None
    genotype = architecture.genotype["cells"]
    lists = isinstance(cells, list) and all(isinstance(cell, list) for cell in cells)
    if not lists or [len(cell) for cell in cells] != [len(cell["edges"]) for cell in genotype]:
        raise ArchitectureError(f"{path}: its cells and operations are not those of the architecture")
    shapes = _weight_shapes(architecture)
    masks: dict[str, Tensor] = {}
    for index, cell in enumerate(genotype):
        for n, (operation, _, _) in enumerate(cell["edges"]):
            positions = CONV_POSITIONS.get(operation, ()) if operation in (*SEPARABLE, *DILATED) else ()
            tensors = cells[index][n]
            if not isinstance(tensors, list) or not all(isinstance(tensor, Tensor) for tensor in tensors):
                raise ArchitectureError(f"{path}: cell {index}, {operation}: not a list of tensors")
            if len(tensors) != len(positions):
                raise ArchitectureError(
                    f"{path}: cell {index}, {operation}: {len(tensors)} masks, not {len(positions)}"
                )
            for position, tensor in zip(positions, tensors, strict=True):
                name = f"cells.{index}.operations.{n}.{position}.weight"
                masks[name] = _as_mask(tensor, shapes[name], f"{path}: {name}")
    return replace(architecture, masks=masks)


def _weight_shapes(architecture: Architecture) -> dict[str, torch.Size]:
    with torch.device("meta"):
        network = build(architecture, 10, NetworkSettings())
    return {name: parameter.shape for name, parameter in network.named_parameters()}


def _as_mask(tensor: Tensor, shape: torch.Size, where: str) -> Tensor:
    if tensor.shape != shape:
        raise ArchitectureError(f"{where}: shape {tuple(tensor.shape)}, the network has {tuple(shape)}")
    if not bool(((tensor == 0) | (tensor == 1)).all()):
        raise ArchitectureError(f"{where}: a mask holds only 0 and 1")
    return tensor.bool()
