"""The supernet of the DARTS cell space: a stack of cells in which every edge holds all candidates.

How an edge is executed and what its gates mean are parts (`methods.parts`); this file is the skeleton they share:
stem, cells with their preprocessing, classifier (Liu et al., ICLR 2019, and its released code).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.convolution import in_memory_format
from methods.spaces.cell.network import INPUTS, cifar_stem, imagenet_stem, reduction_cells
from methods.spaces.cell.space import EDGES, NODES
from methods.spaces.operations import FactorizedReduce, ReLUConvBN


class CellGates(Protocol):
    """The gates of one cell's edges."""

    def rows(self, index: Tensor) -> Any:
        """The gates of the edges with these rows."""


class Parameterisation(nn.Module, ABC):
    """Architecture parameters and what they mean."""

    @abstractmethod
    def gates(self, kind: str) -> Any:
        """The gates of the cells of one kind, "normal" or "reduce"."""


class StateExecutor(nn.Module, ABC):
    """Executes all edges leaving one state of a cell; `forward(state, gates, arrived)` gives the new `arrived`.

    `arrived` is what the later nodes have received so far, in a form only the executor knows (None: nothing yet).
    """

    @abstractmethod
    def next_node(self, arrived: Any) -> tuple[Tensor, Any]:
        """The next node (batch, channels, h, w), all of whose edges have arrived, and what arrived at the others."""


MakeExecutor = Callable[[int, int, int], StateExecutor]
"""(channels, edges, stride) -> the executor of a state with this many edges leaving it."""


@dataclass(frozen=True)
class SupernetSettings:
    """Size of a supernet; `channels` is C, `stem` as in `NetworkSettings`."""

    channels: int = 16
    cells: int = 8
    stem: str = "cifar"
    in_channels: int = 3


class SupernetCell(nn.Module):
    """One cell with all its edges, executed by source state; its output is the concatenation of its nodes."""

    def __init__(
        self,
        c_before_last: int,
        c_last: int,
        channels: int,
        reduction: bool,
        after_reduction: bool,
        executor: MakeExecutor,
    ) -> None:
        super().__init__()
        self.kind = "reduce" if reduction else "normal"
        first = FactorizedReduce if after_reduction else ReLUConvBN
        self.preprocess0 = first(c_before_last, channels, affine=False)
        self.preprocess1 = ReLUConvBN(c_last, channels, affine=False)
        self.sources = nn.ModuleList()
        for source in range(INPUTS + NODES - 1):
            rows = [row for row, edge in enumerate(EDGES) if edge[0] == source]
            stride = 2 if reduction and source < INPUTS else 1
            self.sources.append(executor(channels, len(rows), stride))
            self.register_buffer(f"rows{source}", torch.tensor(rows), persistent=False)

    def forward(self, before_last: Tensor, last: Tensor, gates: CellGates) -> Tensor:
        inputs = self.preprocess0(before_last), self.preprocess1(last)
        nodes: list[Tensor] = []
        arrived = None
        for index, source in enumerate(cast(Iterable[StateExecutor], self.sources)):
            if index >= INPUTS:
                node, arrived = source.next_node(arrived)
                nodes.append(node)
            state = inputs[index] if index < INPUTS else nodes[-1]
            arrived = source(state, gates.rows(self.get_buffer(f"rows{index}")), arrived)
        nodes.append(source.next_node(arrived)[0])
        return torch.cat(nodes, dim=1)


class CellSupernet(nn.Module):
    """The supernet; `forward(images)` maps (batch, in_channels, h, w) to logits (batch, num_classes).

    Batch normalisations of preprocessing and candidates have no scale and shift, those of the stem do.
    """

    def __init__(
        self, num_classes: int, settings: SupernetSettings, parameterisation: Parameterisation, executor: MakeExecutor
    ) -> None:
        super().__init__()
        self.parameterisation = parameterisation
        channels = settings.channels
        c_before_last = c_last = 3 * channels  # for both stems, unlike the discrete ImageNet network's C
        after_reduction = settings.stem == "imagenet"
        if after_reduction:
            self.stem, self.stem1 = imagenet_stem(settings.in_channels, c_last)
        else:
            self.stem, self.stem1 = cifar_stem(settings.in_channels, c_last), nn.Sequential()
        self.cells = nn.ModuleList()
        for index in range(settings.cells):
            reduction = index in reduction_cells(settings.cells)
            channels *= 2 if reduction else 1
            self.cells.append(SupernetCell(c_before_last, c_last, channels, reduction, after_reduction, executor))
            c_before_last, c_last, after_reduction = c_last, NODES * channels, reduction
        self.classifier = nn.Linear(c_last, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        before_last = in_memory_format(self.stem(in_memory_format(images)))  # again: one channel hands on no format
        last = self.stem1(before_last)
        cells = cast(list[SupernetCell], list(self.cells))
        gates = {kind: self.parameterisation.gates(kind) for kind in dict.fromkeys(cell.kind for cell in cells)}
        for cell in cells:
            before_last, last = last, cell(before_last, last, gates[cell.kind])
        return self.classifier(F.adaptive_avg_pool2d(last, 1).flatten(1))

    def architecture_parameters(self) -> list[nn.Parameter]:
        return list(self.parameterisation.parameters())

    def weights(self) -> list[nn.Parameter]:
        """Everything trainable that is not an architecture parameter."""
        return [p for name, p in self.named_parameters() if not name.startswith("parameterisation.")]
