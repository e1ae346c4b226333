"""Discrete networks of the cell space, physically built: the network every cell-based method is retrained as.

A genotype is either *shared* (`{"normal": cell, "reduce": cell}`: DARTS, PC-DARTS, random sampling) or *per cell*
(`{"cells": [cell, ...]}`: MGAS). A cell is `{"edges": [[operation, source, node], ...], "concat": [nodes]}`; states 0
and 1 are the outputs of the two previous cells, states 2, 3, ... the nodes in order.

Widths are those of named channel groups, and a group that is not named has its default width:

    cells.{i}.s{j}        state j of cell i: j = 0, 1 the preprocessed inputs, j >= 2 the nodes
    cells.{i}.s{j}.first  of these, the channels made by the first half of a factorised reduction (default: s{j} // 2)
    cells.{i}.op{n}.mid   inside of the n-th edge of cell i, where that is a separable convolution
    stem                  the stem's output (CIFAR stem)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.architecture import Architecture, ArchitectureError
from methods.spaces.cell_channels import cell_channel_groups
from methods.spaces.channels import ChannelGroup
from methods.spaces.operations import OPERATIONS, POOLS, SEPARABLE, SKIP, FactorizedReduce, ReLUConvBN, make_operation

INPUTS = 2
"""Input states of a cell."""


@dataclass(frozen=True)
class NetworkSettings:
    """What an experiment chooses about a built network.

    Attributes:
        channels: initial channels C; cells after k reductions have C * 2^k per node.
        cells: number of cells; reductions stand at 1/3 and 2/3 of the depth.
        auxiliary: build the auxiliary head (used in training only).
        stem: "cifar" (3x3, stride 1, to 3 C) or "imagenet" (three stride-2 convolutions).
        in_channels: image channels.
    """

    channels: int = 36
    cells: int = 20
    auxiliary: bool = False
    stem: str = "cifar"
    in_channels: int = 3


@dataclass(frozen=True)
class Edge:
    """One operation from a source state to a node; `mid` is the inner width of a separable convolution."""

    operation: str
    source: int
    node: int
    mid: int | None = None


@dataclass(frozen=True)
class CellLayout:
    """One cell with every width decided: `widths[j]` channels in state j.

    `firsts[j]` of them come from the first half of every factorised reduction that leads to state j.
    """

    reduction: bool
    widths: tuple[int, ...]
    firsts: tuple[int, ...]
    edges: tuple[Edge, ...]
    concat: tuple[int, ...]

    @property
    def out_channels(self) -> int:
        return sum(self.widths[node] for node in self.concat)


def reduction_cells(cells: int) -> tuple[int, int]:
    """Indices of the two reduction cells: one third and two thirds of the depth (DARTS code, NetworkCIFAR)."""
    return cells // 3, 2 * cells // 3


def layout(architecture: Architecture, settings: NetworkSettings) -> list[CellLayout]:
    """Expand a genotype to cells with decided widths; the architecture's own scale wins over the settings.

    Raises:
        ArchitectureError: malformed genotype, an unknown channel group, or widths that do not fit together.
    """
    scale = architecture.scale
    channels, cells = int(scale.get("channels", settings.channels)), int(scale.get("cells", settings.cells))
    genotype, reductions = architecture.genotype, reduction_cells(cells)
    if "cells" in genotype and len(genotype["cells"]) != cells:
        raise ArchitectureError(f"the genotype has {len(genotype['cells'])} cells, its scale says {cells}")
    left = dict(architecture.widths)
    left.pop("stem", None)
    result = []
    for index in range(cells):
        reduction = index in reductions
        width = channels * 2 ** sum(index >= r for r in set(reductions))
        cell = genotype["cells"][index] if "cells" in genotype else genotype["reduce" if reduction else "normal"]
        states = INPUTS + len({node for _, _, node in cell["edges"]} | set(cell["concat"]))
        widths = tuple(left.pop(f"cells.{index}.s{j}", width) for j in range(states))
        firsts = tuple(left.pop(f"cells.{index}.s{j}.first", half // 2) for j, half in enumerate(widths))
        edges = tuple(
            Edge(op, source, node, left.pop(f"cells.{index}.op{n}.mid", widths[source]) if op in SEPARABLE else None)
            for n, (op, source, node) in enumerate(cell["edges"])
        )
        result.append(CellLayout(reduction, widths, firsts, edges, tuple(cell["concat"])))
        _check_widths(index, result[-1])
    if left:
        raise ArchitectureError(f"unknown channel groups {sorted(left)[:4]} in the architecture's widths")
    return result


def _check_widths(index: int, cell: CellLayout) -> None:
    for edge in cell.edges:
        stride = 2 if cell.reduction and edge.source < INPUTS else 1
        source, node = cell.widths[edge.source], cell.widths[edge.node]
        keeps_width = edge.operation in POOLS or (edge.operation == SKIP and stride == 1)
        if keeps_width and source != node:
            raise ArchitectureError(
                f"cell {index}: {edge.operation} from state {edge.source} ({source} channels) to node {edge.node} "
                f"({node} channels) must keep the width"
            )
    if min(cell.widths) < 1:
        raise ArchitectureError(f"cell {index}: a state has no channel left")
    if any(not 0 <= first <= width for first, width in zip(cell.firsts, cell.widths, strict=True)):
        raise ArchitectureError(f"cell {index}: first halves {cell.firsts} do not fit the widths {cell.widths}")


def validate_cell(name: str, cell: Any) -> None:
    """Check one cell of a genotype.

    Raises:
        ArchitectureError: with the cell's name and what is wrong.
    """
    if not isinstance(cell, Mapping) or not {"edges", "concat"} <= set(cell):
        raise ArchitectureError(f"cell '{name}' needs 'edges' and 'concat'")
    nodes = sorted({edge[2] for edge in cell["edges"] if len(edge) == 3})
    last = max([*nodes, INPUTS - 1])
    for edge in cell["edges"]:
        if len(edge) != 3:
            raise ArchitectureError(f"cell '{name}': edge {edge} is not [operation, source, node]")
        operation, source, node = edge
        if operation not in OPERATIONS[1:]:
            raise ArchitectureError(
                f"cell '{name}': unknown operation '{operation}'; known: {', '.join(OPERATIONS[1:])}"
            )
        if not (isinstance(source, int) and isinstance(node, int) and 0 <= source < node and node >= INPUTS):
            raise ArchitectureError(f"cell '{name}': edge {edge} must lead from an earlier state to a node >= {INPUTS}")
    if nodes != list(range(INPUTS, last + 1)):
        raise ArchitectureError(f"cell '{name}': nodes {nodes} have a gap; every node needs an edge")
    if not cell["concat"] or not set(cell["concat"]) <= set(nodes):
        raise ArchitectureError(f"cell '{name}': concat {cell['concat']} must name nodes among {nodes}")


def drop_path(x: Tensor, probability: Tensor) -> Tensor:
    """Zero whole samples with the given probability and rescale the rest (Larsson et al., ICLR 2017; DARTS code)."""
    keep = 1.0 - probability
    mask = (torch.rand(x.shape[0], 1, 1, 1, device=x.device) < keep).to(x.dtype)
    return x / keep.to(x.dtype) * mask


class Cell(nn.Module):
    """One cell: preprocess both inputs, sum the operations entering each node, concatenate the nodes."""

    def __init__(
        self, cell: CellLayout, c_before_last: int, c_last: int, after_reduction: bool, pool_norm: bool
    ) -> None:
        super().__init__()
        self.preprocess0: nn.Module = (
            FactorizedReduce(c_before_last, cell.widths[0], c_first=cell.firsts[0])
            if after_reduction
            else ReLUConvBN(c_before_last, cell.widths[0])
        )
        self.preprocess1 = ReLUConvBN(c_last, cell.widths[1])
        self.layout = cell
        self.operations = nn.ModuleList(
            make_operation(
                edge.operation,
                cell.widths[edge.source],
                cell.widths[edge.node],
                stride=2 if cell.reduction and edge.source < INPUTS else 1,
                pool_norm=pool_norm,
                c_mid=edge.mid,
                c_first=cell.firsts[edge.node],
            )
            for edge in cell.edges
        )

    def forward(self, before_last: Tensor, last: Tensor, drop_probability: Tensor | None) -> Tensor:
        states: dict[int, Tensor] = {0: self.preprocess0(before_last), 1: self.preprocess1(last)}
        order = sorted(range(len(self.operations)), key=lambda n: self.layout.edges[n].node)
        for n in order:
            edge, operation = self.layout.edges[n], self.operations[n]
            value = operation(states[edge.source])
            if drop_probability is not None and not isinstance(operation, nn.Identity):
                value = drop_path(value, drop_probability)
            states[edge.node] = states[edge.node] + value if edge.node in states else value
        return torch.cat([states[node] for node in self.layout.concat], dim=1)


class AuxiliaryHead(nn.Sequential):
    """The auxiliary classifier after the second reduction cell (DARTS code, AuxiliaryHeadCIFAR / -ImageNet).

    The ImageNet head pools with stride 2 and, as in the released code, has no normalisation after its second
    convolution.
    """

    def __init__(self, channels: int, num_classes: int, stem: str) -> None:
        cifar = stem == "cifar"
        super().__init__(
            nn.ReLU(inplace=False),
            nn.AvgPool2d(5, stride=3 if cifar else 2, padding=0, count_include_pad=False),
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(inplace=True),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768) if cifar else nn.Identity(),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(768, num_classes),
        )


def cifar_stem(in_channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))


def imagenet_stem(in_channels: int, channels: int) -> tuple[nn.Sequential, nn.Sequential]:
    """The first brings the image to 1/4 of its height and width, the second to 1/8."""

    def halve(c_in: int, c_out: int) -> list[nn.Module]:
        return [nn.Conv2d(c_in, c_out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(c_out)]

    first = [*halve(in_channels, channels // 2), nn.ReLU(inplace=True), *halve(channels // 2, channels)]
    return nn.Sequential(*first), nn.Sequential(nn.ReLU(inplace=True), *halve(channels, channels))


class CellNetwork(nn.Module):
    """A discrete network of cells.

    `forward(images)` gives logits (batch, num_classes); in training mode with an auxiliary head it gives the pair
    (logits, auxiliary logits). Drop path is off until `set_drop_path` is called with a probability above zero.
    """

    drop_path_probability: Tensor

    def __init__(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, pool_norm: bool = False
    ) -> None:
        super().__init__()
        cells = layout(architecture, settings)
        channels = int(architecture.scale.get("channels", settings.channels))
        self.scale = {"channels": channels, "cells": len(cells)}
        self.stem_kind = settings.stem
        if settings.stem == "cifar":
            width = int(architecture.widths.get("stem", 3 * channels))
            self.stem = cifar_stem(settings.in_channels, width)
            c_before_last = c_last = width
        else:
            self.stem, self.stem1 = imagenet_stem(settings.in_channels, channels)
            c_before_last = c_last = channels
        after_reduction = settings.stem == "imagenet"
        self.cells = nn.ModuleList()
        self.auxiliary_after = reduction_cells(len(cells))[1]
        self.auxiliary_head: nn.Module | None = None
        for index, cell in enumerate(cells):
            self.cells.append(Cell(cell, c_before_last, c_last, after_reduction, pool_norm))
            c_before_last, c_last = c_last, cell.out_channels
            after_reduction = cell.reduction
            if settings.auxiliary and index == self.auxiliary_after:
                self.auxiliary_head = AuxiliaryHead(c_last, num_classes, settings.stem)
        self.classifier = nn.Linear(c_last, num_classes)
        self.register_buffer("drop_path_probability", torch.zeros(()), persistent=False)
        self.drop_path_on = False

    def set_drop_path(self, probability: float) -> None:
        """Probability with which an operation's output is dropped for a sample, in training mode."""
        self.drop_path_on = self.drop_path_on or probability > 0
        self.drop_path_probability.fill_(probability)

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Which channels can be removed, and what must go with them."""
        return cell_channel_groups(self)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        before_last = self.stem(images)
        last = self.stem1(before_last) if self.stem_kind == "imagenet" else before_last
        drop = self.drop_path_probability if self.training and self.drop_path_on else None
        auxiliary = None
        for index, cell in enumerate(self.cells):
            before_last, last = last, cell(before_last, last, drop)
            if index == self.auxiliary_after and self.auxiliary_head is not None and self.training:
                auxiliary = self.auxiliary_head(last)
        # The released networks pool adaptively on CIFAR and with a 7x7 average on ImageNet; counters tell them apart.
        pooled = F.adaptive_avg_pool2d(last, 1).flatten(1) if self.stem_kind == "cifar" else last.mean((2, 3))
        logits = self.classifier(pooled)
        return logits if auxiliary is None else (logits, auxiliary)
