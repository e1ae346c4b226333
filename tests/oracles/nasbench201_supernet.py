"""The supernet of NAS-Bench-201 as a textbook writes it: one module for every edge and candidate, plain loops.

Dong and Yang, ICLR 2020, and the searches released with it; partial channels and weighted edges as of Xu et al., ICLR
2020. Slow on purpose; it shares no code with `methods`, and its gates come from outside as plain tensors.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EDGES = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]


def conv_block(c_in: int, c_out: int, kernel: int, stride: int, affine: bool) -> nn.Sequential:
    convolution = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(c_out, affine=affine))


class MixedOperation(nn.Module):
    """`none`, the skip connection, both convolutions and the pool, in this order, each times its gate."""

    def __init__(self, channels: int, share: int) -> None:
        super().__init__()
        self.through, self.share = channels // share, share
        self.conv1 = conv_block(self.through, self.through, 1, 1, affine=False)
        self.conv3 = conv_block(self.through, self.through, 3, 1, affine=False)

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        through, around = x[:, : self.through], x[:, self.through :]
        pooled = F.avg_pool2d(through, 3, 1, 1, count_include_pad=False)
        values = [through * 0.0, through, self.conv1(through), self.conv3(through), pooled]
        mixed = sum(weight * value for weight, value in zip(gate, values, strict=True))
        if self.share == 1:
            return mixed
        both = torch.cat([mixed, around], dim=1)
        batch, channels, height, width = both.shape
        both = both.view(batch, self.share, channels // self.share, height, width)
        return both.transpose(1, 2).reshape(batch, channels, height, width)


class Cell(nn.Module):
    def __init__(self, channels: int, share: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(MixedOperation(channels, share) for _ in EDGES)

    def forward(self, x: Tensor, operations: Tensor, edges: Tensor) -> Tensor:
        nodes = [x]
        for node in (1, 2, 3):
            total: Tensor | int = 0
            for row, (source, to) in enumerate(EDGES):
                if to == node:
                    total = total + edges[row] * self.edges[row](nodes[source], operations[row])
            nodes.append(total)
        return nodes[3]


class Reduction(nn.Module):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv_a = conv_block(c_in, c_out, 3, 2, affine=True)
        self.conv_b = conv_block(c_out, c_out, 3, 1, affine=True)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.conv_b(self.conv_a(x))


class Supernet(nn.Module):
    """`forward(images, gates)` with `gates["cell"] = (operations (6, 5), edges (6,))`; `share` is K."""

    def __init__(self, num_classes: int, channels: int, cells_per_stage: int, share: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.cells = nn.ModuleList()
        for stage in range(3):
            if stage:
                self.cells.append(Reduction(channels, 2 * channels))
                channels *= 2
            self.cells.extend(Cell(channels, share) for _ in range(cells_per_stage))
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor, gates: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        operations, edges = gates["cell"]
        x = self.stem(images)
        for cell in self.cells:
            x = cell(x, operations, edges) if isinstance(cell, Cell) else cell(x)
        return self.classifier(F.relu(self.norm(x)).mean(dim=(2, 3)))
