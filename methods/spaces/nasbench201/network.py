"""The network around the cell (Dong and Yang, ICLR 2020, figure 1 and section 2.1; released code, TinyNetwork).

A 3x3 stem, three stages of N equal cells with C, 2 C and 4 C channels, a residual block that halves the image between
two stages, then batch normalisation, ReLU, the average over all pixels, one linear layer. Published: C = 16, N = 5.

Every operation of a cell is built and computed, that of a node which reaches no output too: so were the networks of the
table, and so they are counted there. `none` is its input times zero, as released.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from methods.spaces.nasbench201.cell import EDGES, NODES
from methods.spaces.operations import ReLUConvBN, make_operation

STAGES = 3


class Cell(nn.Module):
    """`operations[e]` on edge e of `EDGES`; the sum of what enters each node; the last node is the output."""

    def __init__(self, operations: Sequence[str], channels: int) -> None:
        super().__init__()
        self.operations = nn.ModuleList(make_operation(name, channels, channels, stride=1) for name in operations)

    def forward(self, x: Tensor) -> Tensor:
        states = [x]
        for node in range(1, NODES):
            entering = [
                operation(states[source])
                for operation, (source, to) in zip(self.operations, EDGES, strict=True)
                if to == node
            ]
            states.append(sum(entering[1:], start=entering[0]))
        return states[-1]


class ResidualReduction(nn.Module):
    """Two ReLU-conv-BN of 3x3, the first with stride 2, added to a 2x2 average pool and a 1x1 convolution."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_a = ReLUConvBN(c_in, c_out, kernel=3, stride=2)
        self.conv_b = ReLUConvBN(c_out, c_out, kernel=3)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.conv_b(self.conv_a(x))


def candidate(operation: str, channels: int, stride: int) -> nn.Module:
    """One candidate of an edge in a search, as a module of its own: normalised without scale and shift."""
    return make_operation(operation, channels, channels, stride, affine=False)


class Frame(nn.Module):
    """Everything but the cells; `forward(images, *for_cells)` gives logits (batch, num_classes).

    Args:
        make_cell: of its channels; it is called with a feature map and `for_cells`, and keeps the map's shape.
        channels: C, of the first stage.
        cells_per_stage: N.
    """

    def __init__(
        self,
        make_cell: Callable[[int], nn.Module],
        num_classes: int,
        channels: int,
        cells_per_stage: int,
        in_channels: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.cells = nn.ModuleList()
        width = channels
        for stage in range(STAGES):
            if stage > 0:
                self.cells.append(ResidualReduction(width, 2 * width))
                width *= 2
            self.cells.extend(make_cell(width) for _ in range(cells_per_stage))
        self.norm = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: Tensor, *for_cells: Any) -> Tensor:
        x = self.stem(images)
        for cell in self.cells:
            x = cell(x) if isinstance(cell, ResidualReduction) else cell(x, *for_cells)
        return self.classifier(F.adaptive_avg_pool2d(F.relu(self.norm(x)), 1).flatten(1))


class Network201(Frame):
    """`forward(images)` gives logits (batch, num_classes), in training too: there is no auxiliary head.

    The sides of an image are multiples of 4.

    Args:
        operations: of the cell, in the order of its edges.
        channels, cells_per_stage: see `Frame`.
    """

    def __init__(
        self, operations: Sequence[str], num_classes: int, channels: int, cells_per_stage: int, in_channels: int
    ) -> None:
        super().__init__(partial(Cell, operations), num_classes, channels, cells_per_stage, in_channels)
