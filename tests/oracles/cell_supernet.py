"""The cell supernet as a textbook writes it: one module for every edge and candidate, plain loops.

Liu et al., ICLR 2019, section 2.2 and Xu et al., ICLR 2020, section 3. Slow on purpose; it shares no code with
`methods.parts`, only the definition of a single operation, and its gates come from outside as plain tensors.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.spaces.operations import OPERATIONS, FactorizedReduce, ReLUConvBN, make_operation

NODES = 4


class MixedOperation(nn.Module):
    """One edge: `sum_o gate[o] * o(x)`; with `share` K > 1 on the first 1/K of the channels, the rest around it."""

    def __init__(self, channels: int, stride: int, share: int) -> None:
        super().__init__()
        self.through, self.stride, self.share = channels // share, stride, share
        self.operations = nn.ModuleList(
            make_operation(name, self.through, self.through, stride, affine=False, pool_norm=True)
            for name in OPERATIONS
        )

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        through, around = x[:, : self.through], x[:, self.through :]
        mixed = sum(gate[index] * operation(through) for index, operation in enumerate(self.operations))
        if self.share == 1:
            return mixed
        if self.stride == 2:
            around = F.max_pool2d(around, 2, 2)
        both = torch.cat([mixed, around], dim=1)
        batch, channels, height, width = both.shape
        both = both.view(batch, self.share, channels // self.share, height, width)
        return both.transpose(1, 2).reshape(batch, channels, height, width)


class Cell(nn.Module):
    def __init__(
        self, c_before_last: int, c_last: int, channels: int, reduction: bool, after_reduction: bool, share: int
    ) -> None:
        super().__init__()
        self.reduction = reduction
        first = FactorizedReduce if after_reduction else ReLUConvBN
        self.preprocess0 = first(c_before_last, channels, affine=False)
        self.preprocess1 = ReLUConvBN(c_last, channels, affine=False)
        self.edges = nn.ModuleList()
        for node in range(NODES):
            for source in range(2 + node):
                self.edges.append(MixedOperation(channels, 2 if reduction and source < 2 else 1, share))

    def forward(self, before_last: Tensor, last: Tensor, operations: Tensor, edges: Tensor) -> Tensor:
        states = [self.preprocess0(before_last), self.preprocess1(last)]
        row = 0
        for _ in range(NODES):
            node = 0
            for state in list(states):
                node = node + edges[row] * self.edges[row](state, operations[row])
                row += 1
            states.append(node)
        return torch.cat(states[2:], dim=1)


class Supernet(nn.Module):
    """CIFAR stem; `forward(images, gates)` with `gates[kind] = (operations (14, 8), edges (14,))`."""

    def __init__(self, num_classes: int, channels: int, cells: int, share: int = 1) -> None:
        super().__init__()
        stem = 3 * channels
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem))
        self.cells = nn.ModuleList()
        before_last = last = stem
        after_reduction = False
        for index in range(cells):
            reduction = index in (cells // 3, 2 * cells // 3)
            if reduction:
                channels *= 2
            self.cells.append(Cell(before_last, last, channels, reduction, after_reduction, share))
            before_last, last, after_reduction = last, NODES * channels, reduction
        self.classifier = nn.Linear(last, num_classes)

    def forward(self, images: Tensor, gates: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        before_last = last = self.stem(images)
        for cell in self.cells:
            before_last, last = last, cell(before_last, last, *gates["reduce" if cell.reduction else "normal"])
        return self.classifier(last.mean(dim=(2, 3)))
