"""Discrete networks of cells, physically built: the network every cell-based method is retrained as.

Genotypes and the names of widths are those of `methods.spaces.cell.layout`; what families of networks do differently
around the same cells is said by `methods.spaces.cell.conventions`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.architecture import Architecture
from methods.parts.drop_path import drop_path
from methods.spaces.base import NetworkSettings
from methods.spaces.cell.channels import cell_channel_groups
from methods.spaces.cell.conventions import Conventions
from methods.spaces.cell.layout import INPUTS, CellLayout, layout
from methods.spaces.channels import ChannelGroup
from methods.spaces.operations import FactorizedReduce, ReLUConvBN, is_pool, make_operation


class Cell(nn.Module):
    """One cell: preprocess both inputs, sum the operations entering each node, concatenate."""

    def __init__(
        self, cell: CellLayout, c_before_last: int, c_last: int, after_reduction: bool, conventions: Conventions
    ) -> None:
        super().__init__()
        affine = conventions.affine
        self.preprocess0: nn.Module
        if after_reduction and conventions.reduced_input == "factorized":
            self.preprocess0 = FactorizedReduce(c_before_last, cell.widths[0], affine, cell.firsts[0])
        else:
            self.preprocess0 = ReLUConvBN(c_before_last, cell.widths[0], affine, stride=2 if after_reduction else 1)
        self.preprocess1 = ReLUConvBN(c_last, cell.widths[1], affine)
        self.layout = cell
        self.drops_nodes = conventions.drop_path == "node"
        self.operations = nn.ModuleList(
            make_operation(
                edge.operation,
                cell.widths[edge.source],
                cell.widths[edge.node],
                stride=cell.stride(edge),
                affine=conventions.pool_norm == "affine" if is_pool(edge.operation) else affine,
                pool_norm=conventions.pool_norm != "none",
                c_mid=edge.mid,
                c_first=cell.firsts[edge.node],
            )
            for edge in cell.edges
        )

    def forward(self, before_last: Tensor, last: Tensor, drop_probability: Tensor | None) -> Tensor:
        states = [self.preprocess0(before_last), self.preprocess1(last)]
        for node in range(INPUTS, len(self.layout.widths)):
            total: Tensor | None = None
            for edge, operation in zip(self.layout.edges, self.operations, strict=True):
                if edge.node != node:
                    continue
                value = operation(states[edge.source])
                if drop_probability is not None and not self.drops_nodes and not isinstance(operation, nn.Identity):
                    value = drop_path(value, drop_probability)
                total = value if total is None else total + value
            assert total is not None
            if drop_probability is not None and self.drops_nodes:
                total = drop_path(total, drop_probability)
            states.append(total)
        return torch.cat([states[state] for state in self.layout.concat], dim=1)


AUXILIARY_WIDTHS = (128, 768)
"""Channels of the auxiliary head's two convolutions."""


class AuxiliaryHead(nn.Sequential):
    """The auxiliary classifier after the second reduction cell (DARTS code, AuxiliaryHeadCIFAR / -ImageNet).

    The ImageNet head pools with stride 2. DARTS left out the normalisation after its second convolution, and others
    did not: `imagenet_norm`.
    """

    def __init__(self, channels: int, num_classes: int, stem: str, imagenet_norm: bool = False) -> None:
        cifar = stem == "cifar"
        first, second = AUXILIARY_WIDTHS
        super().__init__(
            nn.ReLU(inplace=False),
            nn.AvgPool2d(5, stride=3 if cifar else 2, padding=0, count_include_pad=False),
            nn.Conv2d(channels, first, 1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, 2, bias=False),
            nn.BatchNorm2d(second) if cifar or imagenet_norm else nn.Identity(),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(second, num_classes),
        )


def cifar_stem(in_channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))


def imagenet_stem(in_channels: int, channels: int, width: int | None = None) -> tuple[nn.Sequential, nn.Sequential]:
    """The first brings the image to 1/4 of its height and width, the second to 1/8 and `width` channels, or as many."""

    def halve(c_in: int, c_out: int) -> list[nn.Module]:
        return [nn.Conv2d(c_in, c_out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(c_out)]

    first = [*halve(in_channels, channels // 2), nn.ReLU(inplace=True), *halve(channels // 2, channels)]
    return nn.Sequential(*first), nn.Sequential(nn.ReLU(inplace=True), *halve(channels, width or channels))


def auxiliary_after(cells: Sequence[CellLayout]) -> int:
    """The index of the last cell that reduces, behind which the auxiliary head stands."""
    return max((index for index, cell in enumerate(cells) if cell.reduction), default=-1)


def stem_widths(architecture: Architecture, settings: NetworkSettings) -> list[int]:
    """Channels of the image and after every convolution of the stem."""
    channels = int(architecture.scale.get("channels", settings.channels))
    if settings.stem == "cifar":
        return [settings.in_channels, int(architecture.widths.get("stem", 3 * channels))]
    return [settings.in_channels, channels // 2, channels, channels]


class CellStack(nn.Module):
    """Cells one after the other between a stem and a classifier.

    `forward(images)` gives logits (batch, num_classes); in training mode with an auxiliary head it gives the pair
    (logits, auxiliary logits). Drop path is off until `set_drop_path` is called with a probability above zero.
    """

    drop_path_probability: Tensor

    def __init__(
        self,
        cells: Sequence[CellLayout],
        stem: Sequence[int],
        num_classes: int,
        settings: NetworkSettings,
        conventions: Conventions,
    ) -> None:
        """The auxiliary head stands behind the last cell that reduces.

        Args:
            stem: channels of the image and after every convolution of the stem.
        """
        super().__init__()
        self.stem_kind = settings.stem
        c_before_last = c_last = stem[-1]
        if settings.stem == "cifar":
            self.stem = cifar_stem(stem[0], c_last)
        else:
            self.stem, self.stem1 = imagenet_stem(stem[0], c_last)
        after_reduction = settings.stem == "imagenet"
        self.cells = nn.ModuleList()
        self.auxiliary_after = auxiliary_after(cells)
        self.auxiliary_head: nn.Module | None = None
        for index, cell in enumerate(cells):
            self.cells.append(Cell(cell, c_before_last, c_last, after_reduction, conventions))
            c_before_last, c_last = c_last, cell.out_channels
            after_reduction = cell.reduction
            if settings.auxiliary and index == self.auxiliary_after:
                self.auxiliary_head = AuxiliaryHead(c_last, num_classes, settings.stem, conventions.auxiliary_norm)
        self.classifier = nn.Linear(c_last, num_classes)
        self.register_buffer("drop_path_probability", torch.zeros(()), persistent=False)
        self.drop_path_on = False

    def set_drop_path(self, probability: float) -> None:
        """Probability with which an operation's output is dropped for a sample, in training mode."""
        self.drop_path_on = self.drop_path_on or probability > 0
        self.drop_path_probability.fill_(probability)

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


class CellNetwork(CellStack):
    """The network of a genotype of cells (`CellStack`)."""

    def __init__(
        self, architecture: Architecture, num_classes: int, settings: NetworkSettings, conventions: Conventions
    ) -> None:
        cells = layout(architecture, settings)
        super().__init__(cells, stem_widths(architecture, settings), num_classes, settings, conventions)
        channels = int(architecture.scale.get("channels", settings.channels))
        self.scale = {"channels": channels, "cells": len(cells)}

    def channel_groups(self) -> tuple[ChannelGroup, ...]:
        """Which channels can be removed, and what must go with them."""
        return cell_channel_groups(self)
